use khien_core::event::Direction;
use proptest::prelude::*;

use super::*;

const LETTER: &str = "Subject: =?utf-8?q?H=E1=BB=8Fa_t=E1=BB=91c?=\r\n\tb\r\nContent-Type: multipart/mixed;\r\n boundary=\"b\"\r\n\r\npre\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\nplain text\r\n--bb\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<a=3D=\r\nb>\r\n--bb--\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBGZpbGUgd2l0\r\naCBieXRlcw==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Disposition: attachment; filename=inner.bin\r\n\r\nattached to a letter within\r\n--b--\r\nepilogue\r\n";

#[test]
fn attachments_are_found_at_every_depth_and_decoded_in_their_places() {
    let (found, files, view) = walked(&[LETTER.as_bytes()]);

    assert_eq!(found.subject.unwrap().to_string(), "Hỏa tốc b");
    assert_eq!(found.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a.zip", "inner.bin"]);
    assert_eq!(
        files,
        [(b"PK\x03\x04file with bytes".to_vec(), true), (b"attached to a letter within".to_vec(), true)]
    );
    let view = String::from_utf8_lossy(&view);
    for text in [
        "=?utf-8?q?H",
        "pre\r\n--b",
        "plain text",
        "\r\n\r\n<a=b>",
        "PK\u{3}\u{4}file with bytes",
        "epilogue\r\n",
    ] {
        assert!(view.contains(text), "{text} in {view}");
    }
}

#[test]
fn a_letter_without_parts_is_one_itself() {
    let (_, files, _) = walked(&[b"Content-Type: application/x-dosexec\r\nContent-Transfer-Encoding: BASE64\r\n\r\nTVqQAAMAAAAEAAAA//8AALg=\r\n"]);

    assert_eq!(files, [(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8".to_vec(), true)]);
}

#[test]
fn a_part_whose_end_never_comes_is_told_as_far_as_it_came() {
    let cut = LETTER.find("aCBieXRl").unwrap();
    let (_, files, _) = walked(&[&LETTER.as_bytes()[..cut]]);

    assert_eq!(files, [], "12 bytes are no file");
    let (_, files, _) = walked(&[&LETTER.as_bytes()[..cut + 6]]);
    assert_eq!(files, [(b"PK\x03\x04file with by".to_vec(), false)]);
}

#[test]
fn depth_and_number_of_parts_are_bounded_and_told() {
    let nested: String = (0..=MAX_NESTED)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}x\r\n\r\n--b{n}x\r\n"))
        .collect();
    let (found, files, view) =
        walked(&[nested.as_bytes(), b"Content-Type: a/b\r\n\r\nattached, but too deep"]);
    assert_eq!((found.odd, files.len()), (1, 1), "what is too deep is a file as it is");
    assert!(view.ends_with(b"too deep"));

    let part = "--b\r\nContent-Type: a/b\r\n\r\n0123456789abcdef\r\n";
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--",
        part.repeat(MAX_PARTS as usize + 3)
    );
    let (found, files, _) = walked(&[many.as_bytes()]);
    assert_eq!((found.odd, files.len()), (3, MAX_PARTS as usize));
}

#[test]
fn what_is_held_is_bounded() {
    let mut parts = Parts::letter(Direction::ToServer, Wants::NOTHING);
    for text in [&b"X: "[..], b"y", b" y\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"\r\n"] {
        for _ in 0..100_000 {
            parts.push(text, &mut Vec::new());
        }
        assert!(parts.held() < 100 << 10, "{}", parts.held());
    }
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same(cuts: Vec<prop::sample::Index>, text in "(--b\r\n|--b--|\r|\n|\r\n|A:[a-z]|=|[A-Z]{4}|[ \t]){0,20}", long in 0usize..9000) {
        let text = [LETTER, &text, &"x".repeat(long), &text].concat().replace("epilogue", &format!("--b\r\nContent-Type: a/b\r\n\r\n{text}"));
        let text = text.as_bytes();
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(text.len() + 1)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let parts: Vec<_> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        let (whole, cut) = (walked(&[text]), walked(&parts));
        prop_assert_eq!((whole.1, whole.2, whole.0.names), (cut.1, cut.2, cut.0.names));
    }

    #[test]
    fn any_bytes_are_taken(pieces: Vec<Vec<u8>>, boundary: Vec<u8>) {
        let mut form = Parts::form(Direction::ToServer, boundary.clone());
        let mut letter = Parts::letter(Direction::ToServer, Wants::ALL);
        for bytes in &pieces {
            let bytes = [b"--", &boundary[..], b"\n", bytes].concat();
            form.push(&bytes, &mut Vec::new());
            letter.push(&bytes, &mut Vec::new());
        }
        letter.cut();
        form.end(&mut Vec::new());
        letter.end(&mut Vec::new());
    }
}

/// Bytes, and whether they are all.
type File = (Vec<u8>, bool);

/// Returns what was found in a letter, its files, and what is scanned.
fn walked(pieces: &[&[u8]]) -> (Found, Vec<File>, Vec<u8>) {
    let (mut parts, mut out) = (Parts::letter(Direction::ToServer, Wants::ALL), Vec::new());
    for piece in pieces {
        parts.push(piece, &mut out);
        parts.flush(&mut out);
    }
    parts.end(&mut out);
    let (mut files, mut view) = (Vec::new(), Vec::new());
    for said in out {
        match said {
            Said::File(file) => files.push((file.bytes, file.whole)),
            Said::Body { offset, bytes, .. } => {
                assert_eq!(offset, view.len() as u64);
                view.extend_from_slice(&bytes);
            }
            _ => {}
        }
    }
    (parts.found(), files, view)
}
