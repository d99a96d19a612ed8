//! How content is written in mail: base64 and quoted-printable (RFC 2045 §6), piece by piece.

/// How content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Plain,
    /// Four letters for three bytes.
    Base64,
    /// `=3D` for what is not plain text.
    Quoted,
}

impl Encoding {
    /// Reads its name in small letters; what is unknown is left as it is.
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"base64" => Self::Base64,
            b"quoted-printable" => Self::Quoted,
            _ => Self::Plain,
        }
    }
}

/// No letter of base64.
const NONE: u8 = 0xff;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < LETTERS.len() {
        values[LETTERS[at] as usize] = at as u8;
        at += 1;
    }
    values
}

/// Reads content as mail programs do: what does not belong there is passed over.
#[derive(Debug)]
pub(super) enum Decoder {
    /// As it is.
    Plain,
    /// The bits that are no whole byte yet, and how many they are.
    Base64(u32, u32),
    /// What began at a `=`.
    Quoted(Vec<u8>),
}

impl Decoder {
    /// Makes one.
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Plain => Self::Plain,
            Encoding::Base64 => Self::Base64(0, 0),
            Encoding::Quoted => Self::Quoted(Vec::new()),
        }
    }

    /// Takes bytes and adds what they mean.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Plain => out.extend_from_slice(bytes),
            Self::Base64(bits, count) => base64(bits, count, bytes, out),
            Self::Quoted(escape) => quoted(escape, bytes, out),
        }
    }
}

fn base64(bits: &mut u32, count: &mut u32, bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() / 4 * 3);
    for byte in bytes {
        let value = VALUES[usize::from(*byte)];
        if value == NONE {
            // Padding ends a group; another may follow.
            if *byte == b'=' {
                (*bits, *count) = (0, 0);
            }
            continue;
        }
        *bits = (*bits << 6 | u32::from(value)) & 0xff_ffff;
        *count += 6;
        if *count >= 8 {
            *count -= 8;
            // Truncation is meant: the lowest eight of what is left.
            out.push((*bits >> *count) as u8);
        }
    }
}

/// An escape is at most three bytes long, but for blanks before the end of a line.
const MAX_ESCAPE: usize = 80;

fn quoted(escape: &mut Vec<u8>, mut bytes: &[u8], out: &mut Vec<u8>) {
    while !bytes.is_empty() {
        if escape.is_empty() {
            let plain = memchr::memchr(b'=', bytes).unwrap_or(bytes.len());
            out.extend_from_slice(&bytes[..plain]);
            bytes = &bytes[plain..];
        }
        let Some((byte, rest)) = bytes.split_first() else { return };
        escape.push(*byte);
        bytes = rest;
        match escape[..] {
            [_] => {}
            [_, high, low] if hex(high, low).is_some() => {
                out.extend(hex(high, low));
                escape.clear();
            }
            [_, .., b'\n'] if escape[1..].trim_ascii().is_empty() => escape.clear(),
            [_, digit] if digit.is_ascii_hexdigit() => {}
            [_, ..] if escape.len() < MAX_ESCAPE && escape[1..].trim_ascii().is_empty() => {}
            _ => {
                // No escape: it stands for itself, and what follows its sign may hold one.
                out.push(escape[0]);
                let again = escape.split_off(1);
                escape.clear();
                quoted(escape, &again, out);
            }
        }
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// Undoes `=3D` or `%3D`, by its sign.
pub(super) fn unescaped(text: &[u8], sign: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == sign => hex(*high, *low),
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    out
}

/// Reads content as a whole.
pub(super) fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Decoder::new(encoding).push(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64_MIME;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quoted_text_is_read_as_mail_programs_do() {
        let text = b"a=3Db=\r\nc=  \r\nd=zz==41=4";

        assert_eq!(decoded(Encoding::Quoted, text), b"a=bcd=zz=A");
    }

    #[test]
    fn base64_goes_on_behind_padding_and_passes_over_what_is_none_of_its_letters() {
        assert_eq!(decoded(Encoding::Base64, b"YQ==\r\n-Y m\nI=!YWJj"), b"abbabc");
    }

    proptest! {
        #[test]
        fn what_another_library_writes_is_read(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(Encoding::Base64, BASE64_MIME.encode(&bytes).as_bytes()), bytes);
        }

        #[test]
        fn any_segmentation_gives_the_same(text in "[=A-F0-9a \r\n]{0,60}", at: prop::sample::Index) {
            let (first, second) = text.as_bytes().split_at(at.index(text.len() + 1));
            for encoding in [Encoding::Plain, Encoding::Base64, Encoding::Quoted] {
                let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
                decoder.push(first, &mut out);
                decoder.push(second, &mut out);
                prop_assert_eq!(out, decoded(encoding, text.as_bytes()));
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            prop_assert!(decoded(Encoding::Quoted, &bytes).len() <= bytes.len());
            prop_assert!(unescaped(&bytes, b'%').len() <= bytes.len());
        }
    }
}
