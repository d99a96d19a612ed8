//! Cpio: the first file system of a starting machine, and what is in an RPM package. Its files lie in it as they are.

use khien_core::event::NotSeen;

use super::{text, walk::Walk};

/// The last entry of every archive.
const LAST: &[u8] = b"TRAILER!!!";

/// Where the fields of a header are, in the form of 1990 and in the one before.
struct Form {
    header: usize,
    radix: u32,
    size: (usize, usize),
    name: (usize, usize),
    /// Names and bytes begin at multiples of this.
    align: usize,
}

const NEW: Form = Form { header: 110, radix: 16, size: (54, 62), name: (94, 102), align: 4 };
const OLD: Form = Form { header: 76, radix: 8, size: (65, 76), name: (59, 65), align: 1 };

/// Tells it by the first bytes.
pub(super) fn is_one(head: &[u8]) -> bool {
    form(head).is_some_and(|form| form.fields(head).is_some())
}

fn form(rest: &[u8]) -> Option<&'static Form> {
    match rest.get(..6)? {
        b"070701" | b"070702" => Some(&NEW),
        b"070707" => Some(&OLD),
        _ => None,
    }
}

impl Form {
    /// Reads how long a name, with the zero at its end, and a file are.
    fn fields(&self, rest: &[u8]) -> Option<(usize, usize)> {
        let number = |(from, to): (usize, usize)| {
            let digits = std::str::from_utf8(rest.get(from..to)?).ok()?;
            usize::from_str_radix(digits, self.radix).ok().filter(|n| *n < usize::MAX / 4)
        };
        rest.get(..self.header)?;
        Some((number(self.name)?, number(self.size)?))
    }
}

/// Walks through the files, and through what follows the last one: a starting machine reads archives in a row.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let mut at = 0;
    while walk.may_go_on() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((form, (name, size))) = form(rest).and_then(|f| Some((f, f.fields(rest)?))) else {
            return walk.trouble(NotSeen::Unreadable);
        };
        let body = (form.header + name).next_multiple_of(form.align);
        let (Some(name), Some(body)) = (rest.get(form.header..form.header + name), rest.get(body..)) else {
            return walk.trouble(NotSeen::Unreadable);
        };
        let name = text::until_zero(name);
        let content = &body[..body.len().min(size)];
        at += rest.len() - body.len() + size.next_multiple_of(form.align);
        if name == LAST {
            return tail(walk, bytes.get(at..).unwrap_or_default());
        }
        file(walk, name, content);
        if content.len() < size {
            return walk.trouble(NotSeen::Unreadable);
        }
    }
}

fn file(walk: &mut Walk<'_>, name: &[u8], content: &[u8]) {
    if walk.count() && walk.spend(content.len()) && !content.is_empty() {
        walk.enter(name, content);
    }
}

fn tail(walk: &mut Walk<'_>, rest: &[u8]) {
    let Some(from) = rest.iter().position(|b| *b != 0) else { return };
    if walk.count() && walk.spend(rest.len() - from) {
        walk.enter(b"(next)", &rest[from..]);
    }
}
