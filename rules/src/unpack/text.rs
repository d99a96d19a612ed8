//! Tells mail and edXML from other text, and turns base64, quoted-printable and UTF-16 into bytes.

use std::borrow::Cow;

use memchr::memmem;

/// Headers by which a mail is known, in small letters.
const HEADERS: [&str; 15] = [
    "received",
    "return-path",
    "delivered-to",
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "dkim-signature",
];
/// Words by which an edXML message is known: its root and the namespaces of 2016 and 2012.
const EDXML: [&[u8]; 4] = [b"edXML", b"EdXML", b"QCVN_102_2016", b"e-doc.vn/Schema"];

/// Tells whether text starts with the headers of a mail, or with a mailbox's line before them.
pub(super) fn is_mail(head: &[u8]) -> bool {
    let head = with_line_feeds(head);
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let head = match head.strip_prefix(b"From ") {
        Some(rest) => rest.split_once_newline().1,
        None => head,
    };
    let mut known = 0;
    for (n, line) in head.split(|b| *b == b'\n').take(200).enumerate() {
        match line.first() {
            None | Some(b'\r') => break,
            Some(b' ' | b'\t') if n > 0 => continue,
            _ => {}
        }
        let Some(name) = header_name(line) else { return known >= 2 };
        known += usize::from(HEADERS.contains(&name.as_str()));
        if n == 0 && name == "content-type" {
            known += 1;
        }
    }
    known >= 2
}

/// Returns text whose lines end with a carriage return alone as forgiving readers take it.
pub(super) fn with_line_feeds(text: &[u8]) -> Cow<'_, [u8]> {
    let is_lone = |at: usize| text.get(at + 1) != Some(&b'\n');
    if !memchr::memchr_iter(b'\r', text).any(|at| is_lone(at) && at + 1 < text.len()) {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_vec();
    for at in 0..text.len() {
        if text[at] == b'\r' && text.get(at + 1) != Some(&b'\n') {
            text[at] = b'\n';
        }
    }
    Cow::Owned(text)
}

fn header_name(line: &[u8]) -> Option<String> {
    let colon = line.iter().take(80).position(|b| *b == b':')?;
    let name = line[..colon].trim_ascii_end();
    let fits = !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    fits.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

/// Tells whether text is an edXML message, as it is or inside a SOAP envelope.
pub(super) fn is_edxml(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    text.starts_with(b"<") && EDXML.iter().any(|word| memmem::find(text, word).is_some())
}

/// Returns UTF-16 with a byte order mark as UTF-8, and anything else as it is.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(bytes),
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

/// Decodes base64 as forgiving readers do: what is not of its alphabet is passed over, padding may come anywhere.
pub(super) fn base64(text: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text {
        if byte == b'=' {
            (bits, count) = (0, 0);
        }
        let Some(value) = sextet(byte) else { continue };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// Tells whether a byte is of the alphabet, padding left out.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// Decodes quoted-printable. What is no escape stays as it is.
pub(super) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let soft = rest.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(0);
        if let Some(byte) = hex(rest) {
            out.push(byte);
            rest = &rest[2..];
        } else if rest[soft..].starts_with(b"\r\n") {
            rest = &rest[soft + 2..];
        } else if rest[soft..].starts_with(b"\n") {
            rest = &rest[soft + 1..];
        } else {
            out.push(b'=');
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Reads text that is hexadecimal digits and nothing else, with or without `0x` before them.
pub(super) fn hex_digits(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let fits =
        !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    fits.then(|| digits.chunks_exact(2).filter_map(hex).collect())
}

/// Turns a letter by 13 places, as `str_rot13` does.
pub(super) fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

/// Writes out each `%20`, or `#20` where that is the mark of an escape.
pub(super) fn unescaped(text: &[u8], mark: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = text.get(at + 1..).filter(|_| *byte == mark).and_then(hex);
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// Reads a decimal number and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns what stands before the first zero.
pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// Reads two hexadecimal digits.
pub(super) fn hex(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// Cuts bytes at the end of their first line.
pub(super) trait SplitLine {
    fn split_once_newline(&self) -> (&[u8], &[u8]);
}

impl SplitLine for [u8] {
    fn split_once_newline(&self) -> (&[u8], &[u8]) {
        match memchr::memchr(b'\n', self) {
            Some(at) => (&self[..at], &self[at + 1..]),
            None => (self, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_forgiving_readers_do() {
        assert_eq!(base64(*b"eGlu IGNo\r\n4buLdQ=="), "xin chịu".as_bytes());
        assert_eq!(base64(*b"YQ==Yg=="), b"ab");
        assert_eq!(base64(*b"****"), b"");
    }

    #[test]
    fn quoted_printable_joins_soft_lines_and_keeps_what_is_no_escape() {
        assert_eq!(quoted_printable(b"a=3Db=\r\nc= \nd=ZZ="), b"a=bcd=ZZ=");
    }

    #[test]
    fn a_log_is_no_mail_and_a_mail_is() {
        assert!(is_mail(b"Received: from x\r\n\tby y\r\nSubject: z\r\n\r\n"));
        assert!(is_mail(b"From a@b Mon\nFrom: a@b\nTo: c@d\n\n"));
        assert!(!is_mail(b"error: cannot open\nwarning: none\n"));
        assert!(!is_mail(b"<?php echo 1;"));
    }
}
