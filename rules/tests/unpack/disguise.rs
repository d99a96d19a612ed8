//! Scripts in other letters: wide ones, and words that are cut up, escaped, turned or packed.

use std::{fs, path::Path, time::Duration};

use khien_core::{
    Timestamp, Untrusted,
    event::{NotSeen, ScanOutcome},
};
use khien_rules::{
    Engine, Scope, base_pack,
    unpack::{Limits, scan},
};

use crate::{MARK, look, look_well, make};

/// Opens code; never whole in this file, which must alarm nobody.
const PHP: &str = concat!("<?", "php");
/// What a page of a server does with a request, never whole in this file.
const ORDER: &str = concat!("@ev", "al($_PO", "ST['x']);");

fn wide(text: &str, mark: bool, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    mark.into_iter().chain(text.encode_utf16()).flat_map(unit).collect()
}

fn long(text: &str, mark: bool, unit: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mark = mark.then_some('\u{feff}');
    mark.into_iter().chain(text.chars()).flat_map(|c| unit(u32::from(c))).collect()
}

/// Every way to write a text in wide letters.
fn all_wide(text: &str) -> Vec<Vec<u8>> {
    let of = |mark| {
        [
            wide(text, mark, u16::to_le_bytes),
            wide(text, mark, u16::to_be_bytes),
            long(text, mark, u32::to_le_bytes),
            long(text, mark, u32::to_be_bytes),
        ]
    };
    [of(true), of(false)].concat()
}

/// The rules of the shipped pack that match, with their ways in.
fn found(engine: &Engine, bytes: &[u8]) -> Vec<String> {
    let left = || Duration::from_secs(60);
    let deep = scan(&mut engine.scanner(), bytes, &Untrusted::from("a.php"), &Limits::default(), &left);
    deep.scanned.hits.iter().map(|hit| format!("{} in {}", hit.rule, hit.inside)).collect()
}

fn shipped() -> Engine {
    Engine::compile(&base_pack(Timestamp::UNIX_EPOCH), Scope::File).unwrap()
}

#[test]
fn a_page_in_wide_letters_is_read() {
    let text = format!("<% công văn %>\n{}", String::from_utf8_lossy(MARK));

    for (n, bytes) in all_wide(&text).iter().enumerate() {
        let ways = look_well("a.jsp", bytes).holding().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(ways, [if n % 4 < 2 { "[utf-16]" } else { "[utf-32]" }], "{n}");
    }
}

#[test]
fn a_blob_in_wide_letters_is_decoded() {
    let text = format!("<% x(\"{}\"); %>", make::base64(&MARK.repeat(3)));

    for bytes in all_wide(&text) {
        let seen = look_well("a.aspx", &bytes);
        assert!(seen.holding().iter().any(|way| way.contains("base64@")), "{:?}", seen.holding());
    }
}

#[test]
fn a_web_shell_in_wide_letters_is_found() {
    let engine = shipped();
    let page = format!("{PHP} {ORDER} ?>");

    for bytes in all_wide(&page) {
        let hits = found(&engine, &bytes);
        assert!(hits.iter().any(|h| h.starts_with("webshell.php.request_exec in [utf-")), "{hits:?}");
    }
    let marked = [b"\xef\xbb\xbf", page.as_bytes()].concat();
    assert_eq!(found(&engine, &marked), ["webshell.php.request_exec in "]);
}

/// The mark as a script carries it, in every form that is undone.
fn scripts() -> Vec<(&'static str, String)> {
    let mark = std::str::from_utf8(MARK).unwrap().trim_end().to_owned();
    let of =
        |letter: fn(u8) -> String, between: &str| mark.bytes().map(letter).collect::<Vec<_>>().join(between);
    let pieces = |text: &str, len: usize| {
        let pieces: Vec<_> = text.as_bytes().chunks(len).map(String::from_utf8_lossy).collect();
        pieces.join("' . '")
    };
    let turned = |bytes: &[u8]| -> Vec<u8> {
        let turn = |b: &u8, a: u8| (b - a + 13) % 26 + a;
        let all = bytes.iter().map(|b| match b {
            b'a'..=b'z' => turn(b, b'a'),
            b'A'..=b'Z' => turn(b, b'A'),
            _ => *b,
        });
        all.collect()
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let back = |text: &str| text.chars().rev().collect::<String>();
    let base64 = make::base64(MARK);
    let hex: String = MARK.iter().map(|b| format!("{b:02x}")).collect();
    vec![
        ("joined", format!("$a = '{}';", pieces(&mark, 5))),
        ("chr", format!("$a = {};", of(|b| format!("chr({b})"), "."))),
        ("escapes", format!("$a = \"{}\";", of(|b| format!("\\x{b:02x}"), ""))),
        ("octal", format!("$a = \"{}\";", of(|b| format!("\\{b:03o}"), ""))),
        ("url", format!("urldecode('{}');", of(|b| format!("%{b:02X}"), ""))),
        ("numbers", format!("pack('C*', {});", of(|b| b.to_string(), ", "))),
        ("rot13", format!("str_rot13('{}');", text(turned(mark.as_bytes())))),
        ("strrev", format!("strrev('{}');", back(&mark))),
        ("hex", format!("hex2bin('{hex}');")),
        ("hex cut up", format!("$f = 'hex' . '2bin'; $f('{}');", pieces(&hex, 6))),
        ("number of a database", format!("SELECT 0x{hex} INTO")),
        ("base64 cut up", format!("base64_decode('{}');", pieces(&base64, 7))),
        ("base64 backwards", format!("base64_decode(strrev('{}'));", back(&base64))),
        ("base64 turned", format!("base64_decode(str_rot13('{}'));", text(turned(base64.as_bytes())))),
        (
            "deflated and turned",
            format!("gzinflate(str_rot13(base64_decode('{}')));", {
                make::base64(&turned(&make::deflate(&MARK.repeat(9))))
            }),
        ),
    ]
}

#[test]
fn a_script_is_read_as_what_it_does_whatever_form_its_words_have() {
    let mark = MARK.trim_ascii_end();
    for (form, script) in scripts() {
        for page in [format!("{PHP} {script}"), script] {
            let seen = look_well("a.php", page.as_bytes());
            let holds = |bytes: &[u8]| bytes.windows(mark.len()).any(|w| w == mark);

            let ways: Vec<_> = seen.files.iter().filter(|(_, bytes)| holds(bytes)).collect();
            assert!(!ways.is_empty(), "{form}: {:?}", seen.files);
        }
    }
}

#[test]
fn short_blobs_are_found_with_what_stands_around_them() {
    let engine = shipped();
    let base64 = make::base64(ORDER.as_bytes());
    let hex: String = ORDER.bytes().map(|b| format!("{b:02x}")).collect();
    let deflated = make::base64(&make::deflate(ORDER.repeat(3).as_bytes()));
    let scripts = [
        format!("$a = \"{base64}\"; $b = base64_decode($a); $b();"),
        format!("$a = 'base' . '64_decode'; $a('{base64}');"),
        format!("$f = \"\\x62\\x61se64_decode\"; $f('{base64}');"),
        format!("$f = hex2bin('{hex}');"),
        format!("$f = gzinflate(base64_decode('{deflated}'));"),
    ];

    for script in scripts {
        let hits = found(&engine, format!("{PHP} {script}").as_bytes());
        assert!(hits.contains(&"webshell.php.request_exec in [decoded]".to_owned()), "{script}: {hits:?}");
    }
}

#[test]
fn a_function_that_is_called_by_a_name_in_pieces_is_found() {
    let engine = shipped();
    let chr: Vec<_> = "system".bytes().map(|b| format!("chr({b})")).collect();
    let call = concat!("$f($_GE", "T['q']);");
    let names = [
        "'sys' . 'tem'".to_owned(),
        "\"s\".\"y\".\"s\".\"t\".\"e\".\"m\"".to_owned(),
        "'pass'/* x */.'thru'".to_owned(),
        "\"\\x73ystem\"".to_owned(),
        "\"\\163\\171\\163tem\"".to_owned(),
        chr.join("."),
        "strrev('met' . 'sys')".to_owned(),
    ];

    for name in names {
        let hits = found(&engine, format!("{PHP} $f = {name}; {call}").as_bytes());
        assert!(hits.contains(&"webshell.php.named_call in [decoded]".to_owned()), "{name}: {hits:?}");
    }
}

#[test]
fn base64_that_only_looks_like_a_file_is_no_trouble_and_one_that_opens_tells_all() {
    let noise: Vec<u8> = (0..600_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let gzip = make::gzip(None, MARK);
    let heads =
        [&gzip[..12], b"\xfd7zXZ\0", b"BZh91AY&SY", b"\x28\xb5\x2f\xfd\x04", b"7z\xbc\xaf\x27\x1c\0\x04"];
    for head in heads {
        let script = format!("x = \"{}\";", make::base64(&[head, &noise].concat()));
        look_well("a.js", script.as_bytes());
    }

    let broken = [&gzip[..12], &noise].concat();
    let opens = make::zip(&[("mark.txt", MARK), ("in.gz", &broken)]);
    let script = format!("x = \"{}\";", make::base64(&opens));
    let (seen, outcome) = look("a.js", script.as_bytes());

    assert_eq!(seen.marked().len(), 1);
    let told = crate::troubles(&outcome);
    assert!(told.iter().any(|(way, why)| way.contains("in.gz") && *why == NotSeen::Unreadable), "{told:?}");
    let (_, outcome) = look("a.gz", &broken);
    assert!(!outcome.troubles.is_empty(), "what is no guess is told");
}

#[test]
fn clean_scripts_stay_clean_in_every_form() {
    let engine = shipped();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let folders = fs::read_dir(&here).unwrap().flatten().map(|e| e.path().join("clean"));
    let mut files = 0;
    for folder in folders.chain([here.join("clean")]).filter(|f| f.is_dir()) {
        for file in fs::read_dir(folder).unwrap().flatten() {
            let bytes = fs::read(file.path()).unwrap();
            let left = || Duration::from_secs(60);
            let name = Untrusted::from("a");
            let deep = scan(&mut engine.scanner(), &bytes, &name, &Limits::default(), &left);
            assert_eq!(deep.scanned.outcome, ScanOutcome::Clean, "{}: {deep:?}", file.path().display());
            files += 1;
        }
    }
    assert!(files > 10, "{files}");
}

#[test]
fn forms_within_forms_end_and_stay_within_the_limits() {
    // Each view of it is full of work again.
    let one = format!("str_rot13 strrev base64_decode hex2bin chr(99) '{}'.", make::base64(&[b'a'; 600]));
    let script = format!("{PHP} {}", one.repeat(300));
    let bomb = make::base64(&make::deflate(&b"a text and a text ".repeat(1 << 18)));
    let bombs = format!("{PHP} base64_decode('{bomb}');").repeat(8);

    for script in [script, bombs] {
        let (seen, outcome) = look("a.php", script.as_bytes());

        assert!(outcome.bytes <= Limits::default().total + (8 << 20), "{}", outcome.bytes);
        assert!(seen.files.iter().all(|(_, bytes)| bytes.len() < 24 << 20));
        assert!(seen.files.len() < 10_001, "{}", seen.files.len());
    }
}

#[test]
fn packed_data_in_which_a_tag_happens_to_stand_is_no_script() {
    // Bytes that do not pack lie in gzip as they are.
    let mut noise: Vec<u8> = (0..8_000u32).flat_map(|n| khien_core::Sha256::of(&n.to_le_bytes()).0).collect();
    for (at, bytes) in
        [(1_000, &b"<%\x00"[..]), (2_000, b"<\x3f=\x01"), (30_000, b"x\".'y"), (90_000, b"x'+'y")]
    {
        noise[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let packed = make::gzip(None, &noise);
    assert!(packed.windows(3).any(|w| w == b"<%\x00"), "the bytes lie there as they are");

    let (seen, outcome) = crate::look("a.gz", &packed);

    assert_eq!(crate::troubles(&outcome), []);
    let ways: Vec<&String> = seen.files.iter().map(|(way, _)| way).collect();
    assert!(ways.iter().all(|way| way.starts_with('a')), "only what is packed is read as a script: {ways:?}");
}

#[test]
fn a_match_in_the_script_itself_is_told_there_and_not_in_how_it_reads() {
    let script = format!("{PHP} {ORDER} $a = \"x\".\"y\"; ?>");

    assert_eq!(found(&shipped(), script.as_bytes()), ["webshell.php.request_exec in "]);
}
