//! Ar: packages of Debian and libraries. Its files lie in it as they are, one after another.

use khien_core::event::NotSeen;

use super::{text, walk::Walk};

pub(super) const MAGIC: &[u8] = b"!<arch>\n";
/// The header of one file.
const HEADER: usize = 60;

/// Walks through the files.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let (mut rest, mut long_names) = (bytes.get(MAGIC.len()..).unwrap_or_default(), &[][..]);
    while !rest.trim_ascii().is_empty() && walk.may_go_on() {
        let Some((name, size)) = header(rest) else { return walk.trouble(NotSeen::Unreadable) };
        let body = &rest[HEADER..];
        let content = &body[..body.len().min(size)];
        // Each file begins at an even place.
        rest = body.get(size.next_multiple_of(2)..).unwrap_or_default();
        if name == b"//" {
            long_names = content;
        } else if !matches!(name, b"/" | b"/SYM64/") {
            file(walk, name, content, long_names);
        }
        if content.len() < size {
            return walk.trouble(NotSeen::Unreadable);
        }
    }
}

/// Reads a name of at most sixteen letters and the size.
fn header(rest: &[u8]) -> Option<(&[u8], usize)> {
    let header = rest.get(..HEADER).filter(|h| h.ends_with(b"`\n"))?;
    let size = text::decimal(header[48..58].trim_ascii())?;
    Some((header[..16].trim_ascii_end(), usize::try_from(size).ok().filter(|size| *size < usize::MAX / 2)?))
}

fn file(walk: &mut Walk<'_>, name: &[u8], content: &[u8], long_names: &[u8]) {
    // BSD puts a long name before the bytes, GNU into a list of its own.
    let own = name.strip_prefix(b"#1/").and_then(text::decimal).and_then(|n| usize::try_from(n).ok());
    let (own, content) = content.split_at(own.unwrap_or(0).min(content.len()));
    let listed = name.strip_prefix(b"/").and_then(text::decimal).and_then(|n| usize::try_from(n).ok());
    let listed = listed.and_then(|at| long_names.get(at..)?.split(|b| *b == b'\n').next());
    let name = match listed {
        Some(listed) => listed,
        None if !own.is_empty() => own,
        None => name,
    };
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if walk.count() && walk.spend(content.len()) && !content.is_empty() {
        walk.enter(name, content);
    }
}
