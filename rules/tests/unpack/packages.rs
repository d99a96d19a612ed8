//! Packages and programs that carry archives: ar, cpio, RPM, RTF, self-opening ones; and documents that hide how they
//! are written.

use khien_core::event::NotSeen;

use crate::{MARK, look, look_well, make, troubles};

fn ar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in files {
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, bytes.len()).bytes());
        out.extend(*bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

pub(crate) fn deb() -> Vec<u8> {
    let files = make::gzip(None, &make::tar(&[("./usr/a", MARK)]));
    ar(&[("debian-binary", b"2.0\n"), ("data.tar.gz/", &files)])
}

pub(crate) fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files.iter().chain(&[("TRAILER!!!", &b""[..])]) {
        let (size, name_size) = (bytes.len(), name.len() + 1);
        out.extend(format!("070701{:048X}{size:08X}{:032X}{name_size:08X}{:08X}", 0, 0, 0).bytes());
        out.extend(name.bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(*bytes);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

pub(crate) fn old_cpio(name: &str, bytes: &[u8]) -> Vec<u8> {
    let entry = |name: &str, bytes: &[u8]| {
        let head = format!("070707{:042o}{:011o}{:06o}{:011o}{name}\0", 0, 0, name.len() + 1, bytes.len());
        [head.as_bytes(), bytes].concat()
    };
    [entry(name, bytes), entry("TRAILER!!!", b"")].concat()
}

pub(crate) fn rpm() -> Vec<u8> {
    let header = |data: usize| {
        let mut out = b"\x8e\xad\xe8\x01\0\0\0\0\0\0\0\x01".to_vec();
        out.extend((data as u32).to_be_bytes());
        out.resize(out.len() + 16 + data, 7);
        out
    };
    let mut out = b"\xed\xab\xee\xdb\x03\0".to_vec();
    out.resize(96, 0);
    out.extend(header(5));
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(header(11));
    out.extend(make::gzip(None, &cpio(&[("./etc/a", MARK)])));
    out
}

pub(crate) fn rtf() -> Vec<u8> {
    let ole = make::ole(None, &[("a", &[MARK, &[0; 99]].concat())]);
    let object = [b"\x01\x05\0\0\x02\0\0\0\x08\0\0\0Package\0", &ole[..]].concat();
    let digits: String = object.iter().map(|b| format!("{b:02x}\r\n")).collect();
    format!("{{\\rtf1{{\\object\\objemb{{\\*\\objclass x}}{{\\*\\objdata {{\\*\\junk 1}}1{digits}}}}}}}")
        .into_bytes()
}

pub(crate) fn self_opening() -> Vec<u8> {
    let seven = make::seven(&[0x21, 0x21, 1, 16], &make::lzma2(MARK), &[("a.txt", MARK)]);
    // The program has the signature in it, too, without an archive behind it.
    [b"MZ\x90\0 7z\xbc\xaf\x27\x1c ", &[0; 300][..], &seven].concat()
}

#[test]
fn packages_are_looked_into() {
    let first = cpio(&[("a", b"x")]);
    let in_a_row = [&first[..], &[0; 600], &make::gzip(None, &cpio(&[("etc/b", MARK)]))].concat();
    let cases = [
        (deb(), "data.tar.gz › data.tar › ./usr/a"),
        (cpio(&[("etc/a", MARK), ("b", b"other")]), "etc/a"),
        (old_cpio("etc/a", MARK), "etc/a"),
        (in_a_row, "(next) › (gzip) › etc/b"),
        (rpm(), "payload › (gzip) › ./etc/a"),
        (self_opening(), "a.txt"),
    ];
    for (bytes, way) in cases {
        assert_eq!(look_well("x", &bytes).marked(), [way]);
    }
    let long =
        ar(&[("//", b"short/\na name of more than sixteen.txt/\n"), ("/7", MARK), ("#1/4", b"name....")]);
    assert_eq!(look_well("a.ar", &long).marked(), ["a name of more than sixteen.txt"]);
}

#[test]
fn an_object_in_an_rtf_is_looked_into() {
    let holding = look_well("a.doc", &rtf());

    assert!(holding.holding().iter().any(|way| way.ends_with(" › a")), "{:?}", holding.holding());
}

#[test]
fn archives_behind_a_program_that_are_not_understood_are_told() {
    let rar4 = [b"MZ", &[0; 99][..], b"Rar!\x1a\x07\0\x12\x34\x73\0\0"].concat();
    let rar5 = [b"MZ", &[0; 99][..], b"Rar!\x1a\x07\x01\0....\x0a\x01\0"].concat();
    let only_word = [b"MZ", &[0; 99][..], b"Rar!\x1a\x07\0........"].concat();

    for bytes in [rar4, rar5] {
        assert_eq!(troubles(&look("a.exe", &bytes).1), [(String::new(), NotSeen::Unsupported)]);
    }
    assert!(look_well("a.exe", &only_word).files.is_empty());
}

#[test]
fn packages_that_lie_about_sizes_are_told_and_what_is_there_is_read() {
    let mut cut = ar(&[("a", MARK)]);
    let at = cut.len() - MARK.len() - MARK.len() % 2 - 12;
    cut[at..at + 10].copy_from_slice(b"9999999999");
    let mut large = cpio(&[("a", MARK)]);
    large[54..62].copy_from_slice(b"7FFFFFFF");
    let mut header = rpm();
    header[96 + 8..96 + 12].fill(0xff);

    for bytes in [cut, large] {
        let (seen, outcome) = look("x", &bytes);
        assert!(!seen.holding().is_empty());
        assert_eq!(troubles(&outcome), [(String::new(), NotSeen::Unreadable)]);
    }
    assert_eq!(troubles(&look("a.rpm", &header).1), [(String::new(), NotSeen::Unreadable)]);
}

#[test]
fn what_the_headers_of_a_packed_tar_say_is_scanned() {
    let tar = [make::tar_entry(b"x", b'g', MARK), make::tar_entry(b"a", b'0', b"nothing")].concat();

    assert_eq!(look_well("a.tar.gz", &make::gzip(None, &tar)).holding(), ["a.tar › (headers)"]);
    // Here the whole file was scanned already.
    assert!(look_well("a.tar", &tar).holding().is_empty());
}

#[test]
fn a_pdf_may_hide_how_a_stream_is_written() {
    let packed = make::zlib(MARK);
    let base85 = b"<~87cURD]i,\"Ebo80~>".to_vec();
    let document = |dictionary: &str, data: &[u8]| {
        let head = format!(
            "%PDF-1.7\n7 0 obj [/#41SCII85Decode 9 0 R] endobj\n9 0 obj /Own endobj\n1 0 obj {dictionary}"
        );
        [head.as_bytes(), b"\nstream\n", data, b"\nendstream"].concat()
    };

    for dictionary in [
        "<</Filter 5 0 R>>\n",
        "<< /Filter %\u{1f}x /Own\n /FlateDecode >> % so >> and so\n",
        "<< /DecodeParms << /Filter /Own >> /Filter [ %a\n/Fl] >>",
    ] {
        assert_eq!(look("a.pdf", &document(dictionary, &packed)).0.marked(), ["1 0 obj"], "{dictionary}");
    }
    let (_, outcome) = look("a.pdf", &document("<< /Filter 7 0 R >>", &base85));
    assert_eq!(troubles(&outcome), [("1 0 obj".to_owned(), NotSeen::Unsupported)]);
    let direct = String::from_utf8(document("<< /Filter 7 0 R >>", &base85)).unwrap().replace(" 9 0 R]", "]");
    assert_eq!(look_well("a.pdf", direct.as_bytes()).files[0].1, b"Hello World!");
}

#[test]
fn a_letter_is_read_as_any_reader_may_read_it() {
    let base64 = make::base64(MARK);
    let mail = format!(
        "From: a\nTo: b\nContent-Type: multipart/mixed; boundary=one\nContent-Type: multipart/mixed; boundary=two\n\n\
         --two\nContent-Type: a/b; name=x\nContent-Transfer-Encoding: base64\n\
         Content-Transfer-Encoding: 7bit\n\n{base64}\n--two--\n"
    );

    for letter in [mail.clone(), mail.replace('\n', "\r"), mail.replace('\n', "\r\n")] {
        assert!(look_well("a.eml", letter.as_bytes()).marked().contains(&"x"), "{letter:?}");
    }
}
