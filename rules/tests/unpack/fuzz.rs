//! Small changes of honest containers, always the same ones: no walk panics, hangs, or hands out more than it may.

use khien_core::Untrusted;
use khien_rules::unpack::{Limits, Source, walk};
use proptest::prelude::*;

use crate::{MARK, Seen, make, packages};

/// Changed copies of each sample. `KHIEN_FUZZ` asks for more.
const ROUNDS: u32 = 400;

/// A generator of numbers that are always the same (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

/// Honest containers, each with the fuzz target of `tests/fuzz` that begins with it.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let text = MARK.repeat(4);
    let files: [(&str, &[u8]); 2] = [("a.txt", &text), ("b/công văn.txt", MARK)];
    let project = make::ole(Some("VBA"), &[("dir", b"\x01\0"), ("M", &make::ovba(&text))]);
    let all = [&text[..], MARK].concat();
    let zlib = make::zlib(&text);
    let pdf = [
        &b"%PDF-1.7\n1 0 obj <</Filter[/FlateDecode]/Length 9>> stream\n"[..],
        &zlib,
        b"\nendstream 2 0 obj <</Filter/LZW>>\nstream\n\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01\nendstream",
        b" 3 0 obj <</Filter/A85>>\nstream\n<~87cURD]i,\"Ebo80~>\nendstream",
    ]
    .concat();
    let mail = format!(
        "From: a@b\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; \
         name*0*=utf-8''a%20; name*1=b\nContent-Transfer-Encoding: base64\n\n{}\n--b\n\
         Content-Transfer-Encoding: quoted-printable\n\n=41=\nb\n--b--\n",
        make::base64(&make::zip(&files))
    );
    let script =
        format!("<?php x(\"{}\" . \"{}\");", make::base64(&text), make::base64(&make::deflate(&all)));
    let old =
        [make::tar_entry(b"x", b'x', b"17 path=long/one\n"), make::tar_entry(b"s", b'0', MARK)].concat();
    let lzma = b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x24\x19\x49\x98\x6f\x16\x02\x8c\xe8\xe6\x5b\xb1\x47\xc6\xce\xb7\x63\xff\xff\x3c\xac\0\0";
    vec![
        ("zip", make::zip(&files)),
        ("zip", make::zip_of(&[make::Entry { sizes_after: true, ..make::deflated("a", &text) }])),
        ("zip", make::zip(&[("word/vbaProject.bin", &project)])),
        ("zip", make::zip_of(&[make::stored("a.zip", &make::zip_of(&[make::stored("b", MARK)]))])),
        ("tape", make::tar(&files)),
        ("tape", old),
        ("tape", make::gzip(Some("a.tar"), &make::tar(&files))),
        ("tape", packages::deb()),
        ("tape", packages::cpio(&[("a", &text), ("b", MARK)])),
        ("tape", packages::old_cpio("a", MARK)),
        ("tape", packages::rpm()),
        ("tape", packages::self_opening()),
        ("packed", make::xz(&text)),
        ("packed", make::zstd(&text)),
        ("packed", make::bzip2(&text)),
        ("packed", make::seven(&[3, 4, 1, 8], &make::deflate(&all), &files)),
        ("packed", make::seven(&[0x21, 0x21, 1, 16], &make::lzma2(&all), &files)),
        // A .lzma of the mark's first words, as the tool of that name writes it.
        ("packed", lzma.to_vec()),
        ("documents", project),
        ("documents", pdf),
        ("documents", packages::rtf()),
        ("mail", mail.into_bytes()),
        ("mail", make::edxml("a.zip", &make::zip(&files))),
        ("script", script.into_bytes()),
        ("script", disguised().into_bytes()),
        ("script", "<% a page of wide letters %>".encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ]
}

/// A script with every form that is undone.
fn disguised() -> String {
    let (base64, hex) = (make::base64(b"a short text"), "612073686f72742074657874");
    format!(
        "<?php $a = \"\\x61\\142\\u0063%64\" . 'e' /* x */ . chr(102); base64_decode('{base64}'); hex2bin('{hex}'); \
         str_rot13('nop'); strrev('abc'); pack('C*', 97, 98, 99, 100, 101, 102, 103, 104, 0x69);"
    )
}

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(7) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
            2 => bytes.truncate(at.max(1)),
            3 => {
                let len = dice.roll(40).min(bytes.len() - at);
                let piece = bytes[at..at + len].to_vec();
                let to = dice.roll(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let len = dice.roll(40).min(bytes.len() - at);
                bytes.drain(at..at + len);
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            5 => {
                // A number that is as large as can be, where many formats keep theirs.
                let len = [2, 4, 8][dice.roll(3)].min(bytes.len() - at);
                bytes[at..at + len].fill(0xff);
            }
            _ => {
                let value = dice.roll(1 << 20) as u32;
                let len = 4.min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
            }
        }
    }
}

fn walk_small(bytes: &[u8]) {
    let limits = Limits {
        entries: 200,
        total: 4 << 20,
        entry: 1 << 20,
        held: 2 << 20,
        ratio_from: 64 << 10,
        ..Limits::default()
    };
    let mut seen = Seen::default();

    let outcome = walk(Source::Bytes(bytes), &Untrusted::from("a"), &limits, &mut seen);

    assert!(seen.files.len() as u64 <= limits.entries);
    assert!(outcome.bytes <= limits.total + limits.entry, "{}", outcome.bytes);
    assert!(seen.files.iter().all(|(_, bytes)| bytes.len() as u64 <= limits.entry));
}

#[test]
fn honest_samples_hold_the_mark() {
    let seeds = std::env::var_os("KHIEN_SEEDS").map(std::path::PathBuf::from);
    for (n, (target, bytes)) in samples().into_iter().enumerate() {
        let (seen, outcome) = crate::look("a", &bytes);
        assert_eq!(outcome.troubles, [], "sample {n}");
        assert!(!seen.files.is_empty(), "sample {n}");
        // `KHIEN_SEEDS=…/tests/fuzz/corpus` writes them where the fuzz targets begin.
        if let Some(folder) = &seeds {
            std::fs::write(folder.join(target).join(format!("sample-{n}")), bytes).unwrap();
        }
    }
}

#[test]
fn no_change_of_a_container_breaks_a_walk() {
    let rounds = std::env::var("KHIEN_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let samples = samples();
    for (n, (_, sample)) in samples.iter().enumerate() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (n as u64 + 1));
        for _ in 0..rounds {
            let mut bytes = sample.clone();
            change(&mut bytes, &mut dice);
            walk_small(&bytes);
            // The same inside another container, whose own checks it must pass.
            if dice.roll(8) == 0 {
                walk_small(&make::zip(&[("inner", &bytes)]));
            }
        }
    }
}

#[test]
fn no_cut_of_a_container_breaks_a_walk() {
    for (_, sample) in samples() {
        for len in (0..sample.len()).step_by(1 + sample.len() / 150) {
            walk_small(&sample[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_after_a_magic_break_a_walk(
        magic in proptest::sample::select(vec![
            &b"PK\x03\x04"[..], b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c\0\x04", b"\x1f\x8b\x08\x08", b"\xfd7zXZ\0\0\x04",
            b"\x28\xb5\x2f\xfd", b"BZh91AY&SY", b"\x5d\0\0\x80\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            b"%PDF-1.4 <<>>stream\n", b"From: a\nTo: b\nContent-Type: multipart/x; boundary=", b"<edXML>",
            b"!<arch>\n", b"070701", b"070707", b"\xed\xab\xee\xdb", b"{\\rtf{\\objdata ", b"\xff\xfe", b"<\0", b"MZ7z\xbc\xaf\x27\x1c",
            b"<?php chr(", b"<?php base64_decode rot13 strrev '",
        ]),
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        walk_small(&[magic, &bytes].concat());
    }

    #[test]
    fn what_is_zipped_is_found(name in "[a-z]{1,20}", bytes in proptest::collection::vec(any::<u8>(), 1..2_000)) {
        let (seen, _) = crate::look("a.zip", &make::zip(&[(&name, &bytes)]));

        prop_assert_eq!(&seen.files[0], &(name, bytes));
    }

    #[test]
    fn what_is_in_base64_is_found(words in proptest::collection::vec("[a-z ;$()]{1,9}", 20..60)) {
        let text = words.join(" ");
        let script = format!("<?php f('{}');", make::base64(text.as_bytes()));

        let (seen, _) = crate::look("a.php", script.as_bytes());

        prop_assert!(seen.files.iter().any(|(_, bytes)| bytes == text.as_bytes()));
    }
}
