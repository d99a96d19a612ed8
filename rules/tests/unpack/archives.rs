//! Archives and files that were made smaller one by one.

use crate::{
    MARK, look, look_well,
    make::{self, deflated, stored},
    troubles,
};
use khien_core::event::NotSeen;

#[test]
fn every_archive_shows_its_files_with_their_names() {
    let files: [(&str, &[u8]); 2] = [("thư mục/công văn.txt", MARK), ("b.txt", b"other")];
    let all = [MARK, b"other"].concat();
    let coders: [(&[u8], Vec<u8>); 5] = [
        (&[1, 0], all.clone()),
        (&[0x21, 0x21, 1, 16], make::lzma2(&all)),
        (&[3, 4, 1, 8], make::deflate(&all)),
        (&[3, 4, 2, 2], make::bzip2(&all)),
        (&[4, 4, 0xf7, 0x11, 1], make::zstd(&all)),
    ];
    let mut archives = vec![make::zip(&files), make::tar(&files)];
    archives.extend(coders.iter().map(|(coder, packed)| make::seven(coder, packed, &files)));

    for archive in archives {
        let seen = look_well("archive", &archive);

        assert_eq!(seen.marked(), ["thư mục/công văn.txt"], "{:?}", &archive[..8]);
        assert_eq!(seen.files[1], ("b.txt".to_owned(), b"other".to_vec()));
    }
}

#[test]
fn every_squeezed_file_shows_what_it_was() {
    let cases = [
        ("a.txt.gz", make::gzip(None, MARK), "a.txt"),
        ("x.gz", make::gzip(Some("own name.txt"), MARK), "own name.txt"),
        ("a.txt.xz", make::xz(MARK), "a.txt"),
        ("A.TXT.ZST", make::zstd(MARK), "A.TXT"),
        ("a.bz2", make::bzip2(MARK), "a"),
        ("no ending", make::bzip2(MARK), "(bzip2)"),
    ];

    for (name, bytes, inner) in cases {
        assert_eq!(look_well(name, &bytes).marked(), [inner], "{name}");
    }
}

#[test]
fn every_method_of_zip_is_unpacked() {
    let packed = [
        (0, MARK.to_vec()),
        (8, make::deflate(MARK)),
        (12, make::bzip2(MARK)),
        (93, make::zstd(MARK)),
        (95, make::xz(MARK)),
    ];
    for (method, packed) in packed {
        let entry = make::Entry { method, packed, ..stored("a", b"") };
        assert_eq!(look_well("a.zip", &make::zip_of(&[entry])).marked(), ["a"], "method {method}");
    }
    let entry = make::Entry { method: 9, ..stored("a", MARK) };
    assert_eq!(troubles(&look("a.zip", &make::zip_of(&[entry])).1), [("a".to_owned(), NotSeen::Unsupported)]);
}

#[test]
fn several_members_frames_and_streams_are_one_file() {
    let (first, second) = MARK.split_at(20);
    for pack in [|b: &[u8]| make::gzip(None, b), make::zstd, make::bzip2, make::xz] {
        let bytes = [pack(first), pack(second)].concat();
        assert_eq!(look_well("a", &bytes).marked().len(), 1);
    }
}

#[test]
fn a_tar_inside_a_squeezed_file_is_read_as_it_goes_by() {
    let tar = make::tar(&[("a.txt", MARK), ("b.txt", b"b")]);
    for (name, bytes, inner) in [
        ("x.tar.gz", make::gzip(None, &tar), "x.tar › a.txt"),
        ("x.tgz", make::gzip(None, &tar), "x.tar › a.txt"),
        ("x.tar.xz", make::xz(&tar), "x.tar › a.txt"),
        ("x.tar.zst", make::zstd(&tar), "x.tar › a.txt"),
    ] {
        let seen = look_well(name, &bytes);

        assert_eq!(seen.marked(), [inner]);
        assert_eq!(seen.files.len(), 2, "the tar itself is never whole in memory");
    }
}

#[test]
fn long_names_of_tar_are_read_in_both_ways() {
    let long = "thư-mục/".repeat(20);
    let record = format!("path={long}pax\n");
    let len = record.len() + 1 + 3;
    let pax = [
        make::tar_entry(b"x", b'x', format!("{len} {record}").as_bytes()),
        make::tar_entry(b"short", b'0', MARK),
    ]
    .concat();
    let gnu = [
        make::tar_entry(b"././@LongLink", b'L', format!("{long}gnu\0").as_bytes()),
        make::tar_entry(b"short", b'0', MARK),
    ]
    .concat();

    assert_eq!(look_well("a.tar", &pax).marked(), [format!("{long}pax")]);
    assert_eq!(look_well("a.tar", &gnu).marked(), [format!("{long}gnu")]);
}

#[test]
fn links_and_devices_of_a_tar_are_passed_over() {
    let mut bytes: Vec<u8> =
        (b'1'..=b'6').flat_map(|kind| make::tar_header(b"/etc/shadow", kind, b"00000001000\0")).collect();
    bytes.extend(make::tar_entry(b"../../x", b'0', MARK));

    let seen = look_well("a.tar", &bytes);

    assert_eq!(seen.files.len(), 1);
    assert_eq!(seen.marked(), ["../../x"]);
}

#[test]
fn the_stored_bytes_of_sparse_files_are_read() {
    let mut header = make::tar_header(b"old", b'S', format!("{:011o}\0", MARK.len()).as_bytes());
    header[482] = 1;
    header[483..495].copy_from_slice(b"00000010000\0");
    make::sum_tar(&mut header);
    let mut body = MARK.to_vec();
    body.resize(512, 0);
    // The map goes on in one more block.
    let old = [header, vec![0; 512], body].concat();

    assert_eq!(look_well("a.tar", &old).marked(), ["old"]);
}

#[test]
fn a_zip_behind_other_bytes_is_found() {
    let zip = make::zip(&[("a.txt", MARK)]);
    for before in [&b"MZ program ".repeat(50)[..], b"GIF89a....", b"#!/bin/sh\n"] {
        assert_eq!(look_well("a.exe", &[before, &zip].concat()).marked(), ["a.txt"]);
    }
    // The same with a list that counts the bytes before.
    let before = b"0123456789";
    let entry = deflated("a.txt", MARK);
    let (local, list) = (make::local(&entry), make::listed(&entry, 10));
    let end = make::end(1, list.len() as u32, (10 + local.len()) as u32);
    assert_eq!(look_well("a", &[before, &local[..], &list, &end].concat()).marked(), ["a.txt"]);
}

#[test]
fn two_entries_of_one_name_are_both_read() {
    let zip = make::zip(&[("a", b"first"), ("a", MARK)]);

    let seen = look_well("a.zip", &zip);

    assert_eq!(seen.files.len(), 2);
    assert_eq!(seen.marked(), ["a"]);
}

#[test]
fn a_zip_with_sizes_after_the_bytes_is_read_with_and_without_its_list() {
    for (is_listed, entry) in
        [(true, deflated("a", MARK)), (false, deflated("a", MARK)), (false, stored("a", MARK))]
    {
        let entry = make::Entry { sizes_after: true, is_listed, ..entry };
        assert_eq!(look_well("a.zip", &make::zip_of(&[entry])).marked(), ["a"], "{is_listed}");
    }
}

#[test]
fn an_empty_archive_is_no_trouble() {
    assert!(look_well("a.zip", &make::zip(&[])).files.is_empty());
    assert!(look_well("a.tar", &[0; 1024]).files.is_empty());
    assert!(look_well("a.7z", &make::seven_with(&[], &[])).files.is_empty());
    assert!(look_well("a", b"").files.is_empty());
}

#[test]
fn a_large_file_is_walked_through_its_descriptor() {
    use std::io::Write;

    use khien_core::Untrusted;
    use khien_rules::unpack::{Limits, Source, walk};

    let filler = vec![b'x'; 3 << 20];
    let zip = make::zip_of(&[stored("filler", &filler), deflated("a.txt", MARK)]);
    let tar = make::tar(&[("filler", &filler), ("a.txt", MARK)]);
    for bytes in [zip, tar] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut seen = crate::Seen::default();

        let source = Source::File(&file, bytes.len() as u64);
        let outcome = walk(source, &Untrusted::from("a"), &Limits::default(), &mut seen);

        assert_eq!(outcome.troubles, []);
        assert_eq!(seen.marked(), ["a.txt"]);
    }
}
