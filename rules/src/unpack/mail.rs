//! Mail: the parts of a message and the messages of a mailbox.

use khien_core::event::NotSeen;
use memchr::memmem::{Finder, find_iter};

use super::{
    kind::Kind,
    mime::{self, Headers},
    text,
    walk::Walk,
};

/// Multiparts in multiparts.
const MAX_NESTED: usize = 16;

/// Walks through a message, or through all messages of a mailbox.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let bytes = &text::with_line_feeds(bytes);
    if !bytes.starts_with(b"From ") {
        return message(walk, bytes);
    }
    let mut starts: Vec<usize> = find_iter(bytes, b"\nFrom ").map(|at| at + 1).collect();
    if starts.is_empty() {
        return message(walk, bytes);
    }
    starts.insert(0, 0);
    starts.push(bytes.len());
    for (number, pair) in starts.windows(2).enumerate() {
        if !walk.count() || !walk.spend(pair[1] - pair[0]) {
            return;
        }
        let name = format!("message {}", number + 1);
        walk.enter_as(Kind::Mail, name.as_bytes(), &bytes[pair[0]..pair[1]]);
    }
}

fn message(walk: &mut Walk<'_>, bytes: &[u8]) {
    part(walk, bytes, 0, &mut 0);
}

fn part(walk: &mut Walk<'_>, bytes: &[u8], nested: usize, number: &mut u32) {
    if !walk.may_go_on() {
        return;
    }
    let (headers, body) = mime::split(bytes);
    if headers.boundaries.is_empty() {
        return leaf(walk, &headers, body, number);
    }
    // Each of its boundaries parts it anew, at every depth: what holds parts is counted like what it holds.
    if !walk.count() {
        return;
    }
    if nested >= MAX_NESTED {
        return walk.trouble(NotSeen::Depth);
    }
    let most = usize::try_from(walk.limits.entries).unwrap_or(usize::MAX).saturating_add(1);
    for boundary in &headers.boundaries {
        for inner in parts(body, boundary, most) {
            part(walk, inner, nested + 1, number);
        }
    }
}

fn leaf(walk: &mut Walk<'_>, headers: &Headers, body: &[u8], number: &mut u32) {
    *number += 1;
    let plain = [String::new()];
    let encodings = if headers.encodings.is_empty() { &plain[..] } else { &headers.encodings };
    for encoding in encodings {
        decoded(walk, headers, (encoding, body), *number);
    }
}

fn decoded(walk: &mut Walk<'_>, headers: &Headers, (encoding, body): (&str, &[u8]), number: u32) {
    if !walk.count() {
        return;
    }
    let decoded;
    let content = match encoding {
        "base64" => {
            decoded = text::base64(body.iter().copied());
            &decoded
        }
        "quoted-printable" => {
            decoded = text::quoted_printable(body);
            &decoded
        }
        "x-uuencode" | "uuencode" | "x-uue" => {
            return walk.trouble_in(&name(headers, number), NotSeen::Unsupported);
        }
        _ => body,
    };
    if !walk.spend(content.len()) || content.is_empty() {
        return;
    }
    let name = name(headers, number);
    match headers.kind.as_str() {
        "message/rfc822" | "message/global" => walk.enter_as(Kind::Mail, &name, content),
        _ => walk.enter(&name, content),
    }
}

fn name(headers: &Headers, number: u32) -> Vec<u8> {
    headers.name.clone().unwrap_or_else(|| format!("part {number} ({})", headers.kind).into_bytes())
}

/// Returns the first `most` parts that stand between the boundary lines, of which the last one may be missing, and what
/// comes after them as one more.
fn parts<'a>(body: &'a [u8], boundary: &[u8], most: usize) -> Vec<&'a [u8]> {
    let line = [b"--", boundary].concat();
    let finder = Finder::new(&line);
    let (mut parts, mut open, mut at) = (Vec::new(), None, 0);
    while parts.len() < most
        && let Some(found) = finder.find(&body[at..])
    {
        let start = at + found;
        at = start + line.len();
        if start > 0 && body[start - 1] != b'\n' {
            continue;
        }
        let rest = &body[at..];
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        let tail = rest[..end].trim_ascii();
        if !matches!(tail, b"" | b"--") {
            // The boundary of an inner multipart that begins like this one.
            continue;
        }
        if let Some(from) = open.take() {
            parts.push(&body[from..start]);
        }
        at += end;
        if tail.is_empty() {
            open = Some(at);
        }
    }
    parts.extend(open.map(|from| &body[from..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_whole_boundary_lines() {
        let body = b"pre\r\n--b\r\none\r\n--bb\r\ntwo --b\r\n--b  \r\nthree\r\n--b--\r\nafter";

        let found = parts(body, b"b", 9);

        assert_eq!(found, [&b"one\r\n--bb\r\ntwo --b\r\n"[..], b"three\r\n"]);
    }

    #[test]
    fn no_more_parts_are_kept_than_may_be_walked() {
        assert_eq!(parts(b"--b\n1\n--b\n2\n--b\n3\n--b--\n", b"b", 2).len(), 3);
    }

    #[test]
    fn a_part_without_an_end_goes_to_the_end() {
        assert_eq!(parts(b"--b\none", b"b", 9), [b"one"]);
    }
}
