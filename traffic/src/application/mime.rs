//! Header fields of mail and forms: types, parameters and the names in them (RFC 2045, 2047, 2231, 7578).

use super::transfer::{self, Encoding};

/// The most parameters of a field that are looked at.
const MAX_PARAMETERS: usize = 32;

/// The fields of a part that matter here. Of a field that is there twice, the first counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// The media type in small letters, such as `text/html`.
    pub(super) kind: Option<Vec<u8>>,
    /// What stands between its parts.
    pub(super) boundary: Option<Vec<u8>>,
    /// How its content is written.
    pub(super) encoding: Option<Encoding>,
    /// The name of the file.
    pub(super) name: Option<Vec<u8>>,
    /// The name in the type, where the disposition has none.
    type_name: Option<Vec<u8>>,
    /// The subject, encoded words written out.
    pub(super) subject: Option<Vec<u8>>,
}

impl Headers {
    /// Takes a field, its continuation lines joined.
    pub(super) fn field(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-type") && self.kind.is_none() {
            let parameters = parameters(value);
            self.kind = Some(word(value));
            self.boundary = find(&parameters, b"boundary").filter(|_| self.is_multipart());
            self.type_name = find(&parameters, b"name");
        } else if name.eq_ignore_ascii_case(b"content-disposition") && self.name.is_none() {
            self.name = find(&parameters(value), b"filename");
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") && self.encoding.is_none() {
            self.encoding = Some(Encoding::named(&word(value)));
        } else if name.eq_ignore_ascii_case(b"subject") && self.subject.is_none() {
            self.subject = Some(encoded_words(value));
        }
    }

    /// Returns the name of the file, wherever it stands.
    pub(super) fn file_name(&self) -> Option<&[u8]> {
        self.name.as_deref().or(self.type_name.as_deref())
    }

    /// Tells whether it holds parts.
    pub(super) fn is_multipart(&self) -> bool {
        self.kind.as_ref().is_some_and(|k| k.starts_with(b"multipart/"))
    }

    /// Tells whether it is text, as it is where nothing is said.
    pub(super) fn is_text(&self) -> bool {
        self.kind.as_ref().is_none_or(|k| k.starts_with(b"text/"))
    }

    /// Tells whether it is a letter itself, written as it is.
    pub(super) fn is_letter(&self) -> bool {
        let is_plain = matches!(self.encoding, None | Some(Encoding::Plain));
        is_plain && self.kind.as_ref().is_some_and(|k| k == b"message/rfc822" || k == b"message/global")
    }
}

/// Returns the boundary of a type that is `wanted`, as in `multipart/form-data; boundary=x`.
pub(super) fn boundary(value: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    (word(value) == wanted).then(|| find(&parameters(value), b"boundary")).flatten()
}

/// Returns the file name of a disposition.
pub(super) fn file_name(disposition: &[u8]) -> Option<Vec<u8>> {
    find(&parameters(disposition), b"filename")
}

/// Returns the first word of a value, in small letters.
pub(super) fn word(value: &[u8]) -> Vec<u8> {
    let end =
        value.iter().position(|b| matches!(b, b';' | b'(' | b' ' | b'\t' | b',')).unwrap_or(value.len());
    value[..end].to_ascii_lowercase()
}

/// Returns the parameters after the first semicolon: names in small letters, values without their quotes.
fn parameters(value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for piece in pieces(value).into_iter().skip(1) {
        let Some(is) = memchr::memchr(b'=', piece) else { continue };
        let (name, mut value) = (piece[..is].trim_ascii().to_ascii_lowercase(), piece[is + 1..].trim_ascii());
        // PHP ends a boundary there. Names of files may have blanks in them, though they should not.
        if name == b"boundary" && !value.starts_with(b"\"") {
            value = value.split(|b| matches!(b, b',' | b' ' | b'\t')).next().unwrap_or_default();
        }
        found.push((name, unquoted(value)));
    }
    found
}

/// Cuts a value at the semicolons that are not in quotes.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted && pieces.len() < MAX_PARAMETERS => {
                pieces.push(&value[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&value[from..]);
    pieces
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => out.extend(bytes.next()),
            _ => out.push(*byte),
        }
    }
    out
}

/// Finds a parameter, whole or in numbered pieces, plain or with escapes.
fn find(parameters: &[(Vec<u8>, Vec<u8>)], wanted: &[u8]) -> Option<Vec<u8>> {
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut plain = None;
    for (name, value) in parameters {
        let Some(rest) = name.strip_prefix(wanted) else { continue };
        if rest.is_empty() {
            plain = plain.or_else(|| Some(encoded_words(value)));
        } else if let Some((number, is_escaped)) = piece(rest) {
            pieces.push((number, if is_escaped { unescaped(value, number == 0) } else { value.clone() }));
        }
    }
    pieces.sort_by_key(|(number, _)| *number);
    let joined: Vec<u8> = pieces.into_iter().flat_map(|(_, value)| value).collect();
    if joined.is_empty() { plain.filter(|p| !p.is_empty()) } else { Some(joined) }
}

/// Reads `*`, `*0` or `*0*`: the number and whether escapes are in it.
fn piece(rest: &[u8]) -> Option<(u32, bool)> {
    let rest = rest.strip_prefix(b"*")?;
    if rest.is_empty() {
        return Some((0, true));
    }
    let (number, is_escaped) = rest.strip_suffix(b"*").map_or((rest, false), |number| (number, true));
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, is_escaped))
}

/// Reads `UTF-8'vi'a%20b`; only the first piece names a character set.
fn unescaped(value: &[u8], is_first: bool) -> Vec<u8> {
    let escaped = match value.splitn(3, |b| *b == b'\'').collect::<Vec<_>>()[..] {
        [_, _, escaped] if is_first => escaped,
        _ => value,
    };
    transfer::unescaped(escaped, b'%')
}

/// Writes out `=?UTF-8?B?…?=` and `=?UTF-8?Q?…?=`; other character sets stay bytes.
fn encoded_words(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let Some((word, length)) = encoded_word(&rest[at..]) else {
            out.extend_from_slice(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        // Blanks between two of them are not part of the text.
        let between = &rest[..at];
        if out.is_empty() || !between.trim_ascii().is_empty() {
            out.extend_from_slice(between);
        }
        out.extend_from_slice(&word);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
    out
}

/// The longest encoded word; RFC 2047 allows 75 bytes. Without a bound each `=?` would be looked for its end in all that follows.
const MAX_WORD: usize = 1024;

fn encoded_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let inner = text.get(2..)?;
    let charset = memchr::memchr(b'?', &inner[..inner.len().min(MAX_WORD)])?;
    let [how, b'?', ..] = inner[charset + 1..] else { return None };
    let start = charset + 3;
    let rest = &inner[start..];
    let rest = &rest[..rest.len().min(MAX_WORD)];
    let length = memchr::memmem::find(rest, b"?=")?;
    let payload = &rest[..length];
    let word = match how {
        b'B' | b'b' => transfer::decoded(Encoding::Base64, payload),
        b'Q' | b'q' => {
            let spaced: Vec<u8> = payload.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            transfer::unescaped(&spaced, b'=')
        }
        _ => return None,
    };
    Some((word, 2 + start + length + 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(fields: &[&str]) -> String {
        let mut headers = Headers::default();
        fields.iter().for_each(|f| headers.field(f.as_bytes()));
        String::from_utf8(headers.file_name().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_name_is_read_however_it_is_written() {
        assert_eq!(name(&["Content-Disposition: attachment; filename=\"a; \\\"b\\\".zip\""]), "a; \"b\".zip");
        assert_eq!(name(&["Content-Type: application/zip; name=a.zip"]), "a.zip");
        assert_eq!(
            name(&["Content-Disposition: attachment; filename*=UTF-8''c%C3%B4ng%20v%C4%83n.docx"]),
            "công văn.docx"
        );
        assert_eq!(
            name(&["content-disposition: x; filename*1=\"d.zip\"; filename*0*=utf-8'vi'%61b%20c"]),
            "ab cd.zip"
        );
        assert_eq!(
            name(&["Content-Type: a/b; name=\"=?UTF-8?B?Y8O0bmc=?= =?utf-8?Q?_v=C4=83n?=.doc\""]),
            "công văn.doc"
        );
    }

    #[test]
    fn of_two_dispositions_the_first_names_the_file() {
        let fields = ["Content-Disposition: x; filename=shell.php", "Content-Disposition: x; filename=a.png"];

        assert_eq!(name(&fields), "shell.php");
    }

    #[test]
    fn the_boundary_of_a_form_ends_where_servers_end_it() {
        let read = |text: &str| {
            let value = format!("multipart/form-data; boundary={text}");
            String::from_utf8(boundary(value.as_bytes(), b"multipart/form-data").unwrap()).unwrap()
        };

        for text in ["X", "X,", "X, charset=utf-8", "X y", "X;a=b", "\"X\"", "\"X\", z"] {
            assert_eq!(read(text), "X", "{text}");
        }
        assert_eq!(read("\"a, b\""), "a, b", "quoted it may hold them");
    }

    #[test]
    fn an_encoded_word_is_not_looked_for_without_end() {
        let long = [b"=?u?q?".as_slice(), &[b'x'; 2 * MAX_WORD], b"?="].concat();

        assert_eq!(encoded_words(&long), long);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let mut headers = Headers::default();
            for field in ["", "Subject:=?u?q?", "Content-Type:multipart/x;boundary", "Content-Disposition:;filename*"] {
                headers.field(&[field.as_bytes(), &bytes].concat());
            }
            boundary(&bytes, b"multipart/form-data");
        }
    }
}
