//! Containers made to do harm: bombs, circles, lies. Each has its outcome, and never silence.

use khien_core::event::{MAX_NAMES, NotSeen, ScanOutcome};
use khien_rules::unpack::{Limits, MAX_TROUBLES};

use crate::{
    MARK, Seen, look, look_within,
    make::{self, deflated, stored},
    troubles,
};

/// Held by every walk, whatever it walks through.
const TOTAL: u64 = 256 << 20;

#[test]
fn a_bomb_in_a_bomb_is_cut_and_told() {
    // 42.zip: each of five layers holds sixteen of the next one, and the last one four gibibytes of zeros.
    let mut bytes = make::zip_of(&[make::Entry { packed: make::zeros(4 << 10), ..deflated("0.dll", b"") }]);
    for layer in 0..5 {
        let one = deflated("", &bytes);
        let named = |n| make::Entry { name: format!("{n} {layer}.zip").into_bytes(), ..one.clone() };
        bytes = make::zip_of(&(0..16).map(named).collect::<Vec<_>>());
    }
    assert!(bytes.len() < 64 << 10, "{} bytes", bytes.len());

    let (seen, outcome) = look("42.zip", &bytes);

    assert_eq!(outcome.worst(), ScanOutcome::LimitExceeded);
    assert!(outcome.bytes <= TOTAL + (64 << 10), "{}", outcome.bytes);
    assert!(!seen.files.is_empty());
    assert!(outcome.troubles.len() <= MAX_TROUBLES);
}

#[test]
fn a_file_that_unpacks_to_too_many_times_its_size_is_cut_and_told() {
    let zeros = vec![0; 40 << 20];
    let cases = [
        ("a.gz", make::gzip(None, &zeros), "a"),
        ("a.zst", make::zstd(&zeros), "a"),
        ("a.bz2", make::bzip2(&zeros), "a"),
        ("a.zip", make::zip(&[("a", &zeros)]), "a"),
        ("a.7z", make::seven(&[3, 4, 1, 8], &make::deflate(&zeros), &[("a", &zeros)]), "a"),
    ];
    for (name, bytes, inner) in cases {
        let (seen, outcome) = look(name, &bytes);

        assert_eq!(troubles(&outcome)[0], (inner.to_owned(), NotSeen::Ratio), "{name}");
        // What came before is handed out all the same.
        assert!(seen.files[0].1.len() >= 900 << 10, "{name}");
        assert!(outcome.bytes < 17 << 20, "{name}: {}", outcome.bytes);
    }
}

#[test]
fn a_zip_that_holds_itself_ends_at_the_depth() {
    let quine = make::quine();
    let mut deep = MARK.to_vec();
    for _ in 0..20 {
        deep = make::zip_of(&[stored(make::QUINE, &deep)]);
    }

    for bytes in [&quine, &deep] {
        let (seen, outcome) = look("r.zip", bytes);

        assert_eq!(seen.files.len(), Limits::default().depth);
        assert_eq!(troubles(&outcome), [(make::QUINE.to_owned(), NotSeen::Depth)]);
        assert_eq!(seen.files.iter().all(|(_, inner)| *inner == quine), *bytes == quine);
    }
}

#[test]
fn entries_that_share_their_bytes_are_not_all_read() {
    // Thousands of list entries point into one long entry, each a little further: every one unpacks differently.
    let noise: Vec<u8> = (0..1u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let entry = stored("a", &noise);
    let mut bytes = make::local(&entry);
    let mut list = Vec::new();
    for n in 0..5_000usize {
        let name = format!("{n}");
        let own = make::Entry { packed: noise[n..].to_vec(), ..stored(&name, b"") };
        list.extend(make::listed(&own, 0));
    }
    let at = bytes.len() as u32;
    bytes.extend(&list);
    bytes.extend(make::end(5_000, list.len() as u32, at));

    let (_, outcome) = look("overlap.zip", &bytes);

    assert!(outcome.troubles.iter().any(|t| t.why == NotSeen::Ratio), "{:?}", outcome.troubles);
    assert!(outcome.bytes < 8 << 20, "{}", outcome.bytes);
}

#[test]
fn a_million_empty_entries_are_told() {
    let (mut zip, mut list) = (Vec::new(), Vec::new());
    for n in 0..1_000_000 {
        let entry = stored(&n.to_string(), b"");
        list.extend(make::listed(&entry, zip.len() as u32));
        zip.extend(make::local(&entry));
    }
    let at = zip.len() as u32;
    zip.extend(&list);
    zip.extend(make::end(u16::MAX, list.len() as u32, at));
    let tar = make::tar_header(b"x", b'0', b"00000000000\0").repeat(1_000_000);

    for (name, bytes) in [("a.zip", zip), ("a.tar", tar)] {
        let (_, outcome) = look(name, &bytes);
        assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Entries)], "{name}");
        assert_eq!(outcome.worst(), ScanOutcome::LimitExceeded);
    }
}

#[test]
fn a_sparse_file_of_eight_exbibytes_is_told_and_what_is_stored_is_read() {
    let mut header = make::tar_header(b"old", b'S', format!("{:011o}\0", MARK.len()).as_bytes());
    header[483..495].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    make::sum_tar(&mut header);
    let mut body = MARK.to_vec();
    body.resize(512, 0);
    let record = b"43 GNU.sparse.realsize=9223372036854775807\n";
    let pax = [make::tar_entry(b"x", b'x', record), make::tar_entry(b"new", b'0', MARK)].concat();

    for (bytes, name) in [([header, body].concat(), "old"), (pax, "new")] {
        let (seen, outcome) = look("a.tar", &bytes);

        assert_eq!(seen.marked(), [name]);
        assert_eq!(troubles(&outcome), [(name.to_owned(), NotSeen::Entry)]);
        assert_eq!(outcome.worst(), ScanOutcome::LimitExceeded);
    }
}

#[test]
fn a_tar_entry_that_is_said_to_be_larger_than_the_tar_is_told() {
    for size in [&b"77777777777\0"[..], &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let bytes = [make::tar_header(b"a", b'0', size), MARK.to_vec()].concat();

        let (seen, outcome) = look("a.tar", &bytes);

        assert_eq!(seen.marked(), ["a"]);
        assert_eq!(troubles(&outcome)[0], ("a".to_owned(), NotSeen::Unreadable));
    }
}

#[test]
fn a_gzip_that_lies_about_its_size_is_read_and_told() {
    let mut bytes = make::gzip(None, MARK);
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&u32::MAX.to_le_bytes());

    let (seen, outcome) = look("a.gz", &bytes);

    assert_eq!(seen.marked(), ["a"]);
    assert_eq!(troubles(&outcome), [("a".to_owned(), NotSeen::Unreadable)]);
}

#[test]
fn an_encrypted_entry_is_told_with_its_name() {
    let zip = make::zip_of(&[
        make::Entry { flags: 1, ..stored("secret.docx", b"0123456789abc") },
        make::Entry { method: 99, ..stored("aes.docx", b"0123456789abc") },
        deflated("open.txt", MARK),
    ]);
    let seven = make::seven(&[0x24, 6, 0xf1, 7, 1, 2, 0x13, 0], b"0123456789abcdef", &[("s.docx", MARK)]);

    let (seen, outcome) = look("a.zip", &zip);
    assert_eq!(seen.marked(), ["open.txt"]);
    let expected = [("secret.docx", NotSeen::Encrypted), ("aes.docx", NotSeen::Encrypted)];
    assert_eq!(troubles(&outcome), expected.map(|(name, why)| (name.to_owned(), why)));
    assert_eq!(outcome.worst(), ScanOutcome::Unreadable);

    assert_eq!(troubles(&look("a.7z", &seven).1), [("s.docx".to_owned(), NotSeen::Encrypted)]);
}

#[test]
fn what_either_header_of_a_zip_says_is_read() {
    let other_method =
        make::Entry { own_method: Some(8), packed: make::deflate(MARK), ..stored("list says stored", b"") };
    let other_name = make::Entry { own_name: Some(b"own".to_vec()), ..deflated("listed", MARK) };
    let unlisted = make::Entry { is_listed: false, ..deflated("only its own header knows", MARK) };

    for (entry, name) in
        [(other_method, "list says stored"), (other_name, "listed"), (unlisted, "only its own header knows")]
    {
        let (seen, _) =
            look("a.zip", &make::zip_of(&[deflated("first", b"1"), entry, deflated("last", b"2")]));
        assert_eq!(seen.marked(), [name]);
    }
}

#[test]
fn names_are_shown_and_never_followed() {
    let names = ["../../../../tmp/khien-x", "/etc/cron.d/x", "..\\..\\x", "a\0b", "\u{202e}fdp.exe", ""];
    let before = std::fs::metadata("/tmp/khien-x").is_ok();

    for name in names {
        let entries = [stored(name, MARK)];
        let (seen, _) = look("a.zip", &make::zip_of(&entries));
        assert_eq!(seen.files.len(), 1, "{name:?}");
        assert!(!seen.files[0].0.contains('\u{202e}'));
    }
    assert_eq!(std::fs::metadata("/tmp/khien-x").is_ok(), before);
}

#[test]
fn what_is_not_understood_is_told() {
    let rar = [&b"Rar!\x1a\x07\x01\x00"[..], &[0; 64]].concat();
    let cab = [&b"MSCF\0\0\0\0"[..], &[0; 64]].concat();

    for bytes in [rar, cab] {
        let (_, outcome) = look("a.rar", &bytes);
        assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Unsupported)]);
        assert_eq!(outcome.worst(), ScanOutcome::Unreadable);
    }
}

#[test]
fn damage_is_told_and_what_came_before_it_is_read() {
    let mut gzip = make::gzip(None, &MARK.repeat(2_000));
    gzip.truncate(gzip.len() / 2);
    let zip = make::zip(&[("a", MARK), ("b", &MARK.repeat(9))]);
    let cut = &zip[..zip.len() / 2];

    let (seen, outcome) = look("a.gz", &gzip);
    assert!(!seen.holding().is_empty());
    assert_eq!(troubles(&outcome), [("a".to_owned(), NotSeen::Unreadable)]);

    let (seen, outcome) = look("a.zip", cut);
    assert_eq!(seen.marked(), ["a"]);
    assert!(outcome.worst().is_trouble());
}

#[test]
fn every_limit_says_where_it_was_met() {
    let text = MARK.repeat(10);
    let tar = make::tar(&[("a", &text), ("b", &text), ("c", &text)]);
    let size = text.len() as u64;
    let with = |change: fn(&mut Limits, u64)| {
        let mut limits = Limits::default();
        change(&mut limits, size);
        look_within("a.tar", &tar, &limits)
    };

    let (seen, outcome) = with(|l, _| l.entries = 2);
    assert_eq!((seen.files.len(), troubles(&outcome)), (2, vec![(String::new(), NotSeen::Entries)]));

    let (seen, outcome) = with(|l, size| l.entry = size - 1);
    assert_eq!(seen.files.iter().map(|f| f.1.len() as u64).collect::<Vec<_>>(), [size - 1; 3]);
    assert_eq!(troubles(&outcome), ["a", "b", "c"].map(|n| (n.to_owned(), NotSeen::Entry)));

    let (_, outcome) = with(|l, _| l.total = 700);
    assert_eq!(outcome.troubles.iter().map(|t| t.why).collect::<Vec<_>>(), [NotSeen::Total]);

    let (_, outcome) = with(|l, _| l.held = 10);
    assert_eq!(outcome.troubles[0].why, NotSeen::Memory);

    let (seen, outcome) = with(|l, _| l.depth = 0);
    assert_eq!((seen.files.len(), troubles(&outcome)), (0, vec![(String::new(), NotSeen::Depth)]));
}

#[test]
fn parts_of_a_letter_that_are_parted_in_many_ways_are_counted() {
    // Four boundaries at each of twenty depths: as many ways in as nobody can go.
    let letter = (0..20).fold("\nx\n".to_owned(), |inner, n| {
        let head = |way: &str| format!("Content-Type: multipart/mixed; boundary={way}{n}\n");
        let line = |way: &str| format!("--{way}{n}\n");
        let [heads, lines] =
            [head("a") + &head("b") + &head("c") + &head("d"), ["a", "b", "c", "d"].map(line).concat()];
        format!("{heads}\n{lines}{inner}")
    });

    let (_, outcome) = look("a.eml", format!("From: a\nTo: b\n{letter}").as_bytes());

    assert_eq!(outcome.troubles.last().map(|t| t.why), Some(NotSeen::Entries));
}

#[test]
fn a_macro_that_unpacks_to_too_many_times_its_size_is_cut_and_told() {
    let bomb = [&[1][..], &b"\x03\xb0\x02a\xfc\x0f".repeat(6_000)].concat();
    let ole = make::ole(Some("VBA"), &[("dir", b"\x01\0"), ("M", &bomb)]);

    let (seen, outcome) = look("a.doc", &ole);

    assert_eq!(troubles(&outcome), [("VBA/M.bas".to_owned(), NotSeen::Ratio)]);
    assert!(seen.files.iter().any(|(way, bytes)| way == "VBA/M.bas" && bytes.len() >= 1 << 20));
    assert!(outcome.bytes < 9 << 20, "{}", outcome.bytes);
}

#[test]
fn text_that_is_longer_in_utf_8_is_cut_and_told() {
    let wide: Vec<u8> =
        [0xfeff].into_iter().chain("ệ".repeat(2_000).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let limits = Limits { entry: 5_000, ..Limits::default() };

    let (seen, outcome) = look_within("a.txt", &wide, &limits);

    assert_eq!(seen.files.iter().map(|f| f.1.len()).collect::<Vec<_>>(), [5_000]);
    assert_eq!(troubles(&outcome), [("[utf-16]".to_owned(), NotSeen::Entry)]);
}

#[test]
fn a_walk_without_time_stops_soon_and_says_so() {
    use khien_core::Untrusted;
    use khien_rules::unpack::{Source, walk};

    let bytes = make::zip(&[("a", &vec![1; 1 << 20]), ("b", MARK), ("c", MARK)]);
    for patience in 0..12 {
        let mut seen = Seen { patience: Some(patience), ..Seen::default() };

        let outcome = walk(Source::Bytes(&bytes), &Untrusted::from("a.zip"), &Limits::default(), &mut seen);

        assert_eq!(outcome.troubles.last().map(|t| t.why), Some(NotSeen::Time), "{patience}");
        assert_eq!(outcome.worst(), ScanOutcome::Timeout);
    }
}

#[test]
fn many_troubles_are_counted_and_the_end_is_among_those_told() {
    let entries: Vec<_> =
        (0..100).map(|n| make::Entry { flags: 1, ..stored(&n.to_string(), b"secret") }).collect();
    let limits = Limits { entries: 50, ..Limits::default() };

    let (_, outcome) = look_within("a.zip", &make::zip_of(&entries), &limits);

    assert_eq!(outcome.troubles.len(), MAX_TROUBLES);
    assert_eq!(outcome.troubles.len() as u64 + outcome.untold, 51);
    assert_eq!(outcome.troubles.last().map(|t| t.why), Some(NotSeen::Entries));
}

#[test]
fn a_way_in_has_fewer_names_than_may_be_kept() {
    assert!(Limits::default().depth < MAX_NAMES);
}

#[test]
fn the_counts_of_a_seven_zip_are_held_against_its_bytes() {
    for part in [6, 7, 5] {
        let header = [&[1, 4, part][..], &make::long(u64::MAX), &make::long(u64::MAX)].concat();
        let (_, outcome) = look("a.7z", &make::seven_with(&header, b""));
        assert!(outcome.worst().is_trouble(), "{part}");
    }
}

#[test]
fn entries_without_sizes_do_not_each_read_all_the_rest() {
    let entry = make::Entry { sizes_after: true, is_listed: false, ..stored("a", &[1; 4_000]) };
    // None has the record with the sizes behind it, which would end the search.
    let local = make::local(&entry);
    let bytes = local[..local.len() - 16].repeat(9_000);
    let begin = std::time::Instant::now();

    let (seen, _) = look("a.zip", &bytes);

    assert_eq!(seen.files.len(), 9_000);
    assert!(seen.files.iter().all(|(_, bytes)| bytes.len() == 4_000));
    // It took minutes; the bound leaves room for a busy machine.
    assert!(begin.elapsed() < std::time::Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn parts_of_a_seven_zip_header_that_come_again_are_refused() {
    let folders =
        [&[11][..], &make::long(2_000), &[0], &[1, 1, 0].repeat(2_000), &[12], &[9; 2_000], &[0]].concat();
    let packed = [&[6, 0][..], &make::long(2_000), &[9], &[0; 2_000], &[0]].concat();
    let with = |rest: &[u8]| [&[1, 4][..], &packed, &[7], &folders, rest].concat();
    let sizes_again = with(&[&[8][..], &[9; 9_000], &[0, 0, 0]].concat());
    let files_again = with(&[&[8, 0].repeat(9_000)[..], &[0, 0]].concat());
    let once = with(&[8, 9, 0, 0, 0]);

    for header in [sizes_again, files_again] {
        let (seen, outcome) = look("a.7z", &make::seven_with(&header, b""));
        assert_eq!((seen.files.len(), troubles(&outcome)), (0, vec![(String::new(), NotSeen::Unreadable)]));
    }
    // What is told of this one is told by each of its files.
    assert!(troubles(&look("a.7z", &make::seven_with(&once, b"")).1)[0].0.starts_with("file"));
}

#[test]
fn a_chain_of_sectors_that_runs_in_a_circle_ends() {
    let mut ole = make::ole(None, &[("a", &[MARK, &[0; 2_000]].concat())]);
    // The table of sectors is the last one: the first stream's sectors follow each other for ever.
    let table = ole.len() - 512;
    ole[table..table + 8].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);

    let (seen, outcome) = look("a.doc", &ole);

    assert!(seen.files.len() <= 1);
    assert!(outcome.bytes < 1 << 20);
}
