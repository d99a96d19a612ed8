//! Headers of mail: fields, parameters and the names that they hide (RFC 2045, 2047, 2231).

use super::text;

/// Bytes of headers that are read; what comes after is the body.
const MAX_HEADERS: usize = 256 << 10;

/// The fields that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// The media type in small letters, such as `text/html`.
    pub(super) kind: String,
    /// What stands between the parts, as each field says.
    pub(super) boundaries: Vec<Vec<u8>>,
    /// How the body is written, in small letters. Of a field that is there twice, readers take the one or the other.
    pub(super) encodings: Vec<String>,
    /// The name of the file.
    pub(super) name: Option<Vec<u8>>,
}

/// Cuts a part into its headers and its body.
pub(super) fn split(part: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers { kind: "text/plain".to_owned(), ..Headers::default() };
    let mut type_name = None;
    let (fields, body) = fields(part);
    for (name, value) in fields {
        match name.to_ascii_lowercase().as_str() {
            "content-type" => {
                let kind = word(&value);
                let parameters = parameters(&value);
                if kind.starts_with("multipart/") {
                    add(&mut headers.boundaries, find(&parameters, "boundary"));
                }
                // A container is looked into whatever its type; only a letter needs to be told that it is one.
                headers.kind = if headers.kind.starts_with("message/") { headers.kind } else { kind };
                type_name = find(&parameters, "name").or(type_name);
            }
            "content-transfer-encoding" => add(&mut headers.encodings, Some(word(&value))),
            "content-disposition" => headers.name = find(&parameters(&value), "filename"),
            _ => {}
        }
    }
    headers.name = headers.name.or(type_name);
    (headers, body)
}

/// The most values of one field.
const MAX_SAME: usize = 4;

fn add<T: PartialEq>(list: &mut Vec<T>, value: Option<T>) {
    list.extend(value.filter(|v| list.len() < MAX_SAME && !list.contains(v)));
}

/// Returns the fields, their continuation lines joined, and what comes after the empty line.
fn fields(part: &[u8]) -> (Vec<(String, Vec<u8>)>, &[u8]) {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut rest = part;
    while !rest.is_empty() && part.len() - rest.len() < MAX_HEADERS {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim_ascii_end();
        if line.is_empty() {
            return (fields, &rest[end..]);
        }
        match (rest[0], fields.last_mut(), memchr::memchr(b':', line)) {
            (b' ' | b'\t', Some((_, value)), _) => {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii_start());
            }
            (_, _, Some(colon)) => {
                let name = String::from_utf8_lossy(line[..colon].trim_ascii()).into_owned();
                fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
            }
            // No header any more, and no empty line before it: forgiving readers begin the body here.
            (_, Some(_), None) if !line.starts_with(b"From ") => return (fields, rest),
            _ => {}
        }
        rest = &rest[end..];
    }
    (fields, rest)
}

/// Returns the first word of a value, in small letters.
fn word(value: &[u8]) -> String {
    let end = value.iter().position(|b| matches!(b, b';' | b'(' | b' ' | b'\t')).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).to_ascii_lowercase()
}

/// Returns the parameters after the first semicolon: names in small letters, values without their quotes.
fn parameters(value: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for piece in pieces(value).into_iter().skip(1) {
        let Some(is) = memchr::memchr(b'=', piece) else { continue };
        let name = String::from_utf8_lossy(piece[..is].trim_ascii()).to_ascii_lowercase();
        found.push((name, unquoted(piece[is + 1..].trim_ascii())));
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
            b';' if !quoted => {
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
fn find(parameters: &[(String, Vec<u8>)], wanted: &str) -> Option<Vec<u8>> {
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut plain = None;
    for (name, value) in parameters {
        let Some(rest) = name.strip_prefix(wanted) else { continue };
        if rest.is_empty() {
            plain = plain.or_else(|| Some(encoded_words(value)));
        } else if let Some((number, escaped)) = piece(rest) {
            pieces.push((number, if escaped { unescaped(value, number == 0) } else { value.clone() }));
        }
    }
    pieces.sort_by_key(|(number, _)| *number);
    let joined: Vec<u8> = pieces.into_iter().flat_map(|(_, value)| value).collect();
    if joined.is_empty() { plain.filter(|p| !p.is_empty()) } else { Some(joined) }
}

/// Reads `*`, `*0` or `*0*`: the number and whether escapes are in it.
fn piece(rest: &str) -> Option<(u32, bool)> {
    let rest = rest.strip_prefix('*')?;
    if rest.is_empty() {
        return Some((0, true));
    }
    let (number, escaped) = rest.strip_suffix('*').map_or((rest, false), |number| (number, true));
    Some((number.parse().ok()?, escaped))
}

/// Reads `UTF-8'vi'a%20b`; only the first piece names a character set.
fn unescaped(value: &[u8], is_first: bool) -> Vec<u8> {
    let escaped = match value.splitn(3, |b| *b == b'\'').collect::<Vec<_>>()[..] {
        [_, _, escaped] if is_first => escaped,
        _ => value,
    };
    text::unescaped(escaped, b'%')
}

/// Writes out `=?UTF-8?B?…?=` and `=?UTF-8?Q?…?=`; other character sets stay bytes.
fn encoded_words(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let Some((word, len)) = encoded_word(&rest[at..]) else {
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
        rest = &rest[at + len..];
    }
    out.extend_from_slice(rest);
    out
}

fn encoded_word(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let inner = &text[2..];
    let charset = memchr::memchr(b'?', inner)?;
    let [how, b'?', ..] = inner[charset + 1..] else { return None };
    let start = charset + 3;
    let len = memchr::memmem::find(&inner[start..], b"?=")?;
    let payload = &inner[start..start + len];
    let word = match how {
        b'B' | b'b' => text::base64(payload.iter().copied()),
        b'Q' | b'q' => {
            let spaced: Vec<u8> = payload.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            text::quoted_printable(&spaced)
        }
        _ => return None,
    };
    Some((word, 2 + start + len + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(headers: &str) -> String {
        String::from_utf8(split(headers.as_bytes()).0.name.unwrap()).unwrap()
    }

    #[test]
    fn a_name_is_read_however_it_is_written() {
        assert_eq!(
            name("Content-Disposition: attachment; filename=\"a; \\\"b\\\".zip\"\n\n"),
            "a; \"b\".zip"
        );
        assert_eq!(name("Content-Type: application/zip;\r\n\tname=a.zip\r\n\r\n"), "a.zip");
        assert_eq!(
            name("Content-Disposition: attachment; filename*=UTF-8''c%C3%B4ng%20v%C4%83n.docx\n\n"),
            "công văn.docx"
        );
        assert_eq!(
            name("content-disposition: attachment; filename*1=\"d.zip\"; filename*0*=utf-8'vi'%61b%20c\n\n"),
            "ab cd.zip"
        );
        assert_eq!(
            name("Content-Type: a/b; name=\"=?UTF-8?B?Y8O0bmc=?= =?utf-8?Q?_v=C4=83n?=.doc\"\n\n"),
            "công văn.doc"
        );
    }

    #[test]
    fn headers_end_at_the_empty_line_or_where_there_are_none() {
        let (headers, body) = split(b"Content-Transfer-Encoding: BASE64\r\n\r\nbody");
        assert_eq!((headers.encodings, body), (vec!["base64".to_owned()], &b"body"[..]));

        assert_eq!(split(b"A: b\nno header\nrest").1, b"no header\nrest");
        assert_eq!(split(b"\nbody").1, b"body");
    }
}
