//! User names by id, from `/etc/passwd`. Users of a directory service are not asked for: that could block for long.

use std::{
    collections::HashMap,
    io::Read,
    path::Path,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use khien_core::Untrusted;

use crate::open::Opened;

/// Where they are.
const USERS: &str = "/etc/passwd";
/// More of the file is not read.
const MAX_FILE: u64 = 4 << 20;

/// The names, read again when the file changes.
#[derive(Debug, Default)]
pub struct Users(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    read: Option<SystemTime>,
    names: HashMap<u32, Untrusted>,
}

impl Users {
    /// Returns the name of a user, if this host has one.
    #[must_use]
    pub fn name(&self, uid: u32) -> Option<Untrusted> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::fs::metadata(USERS).and_then(|m| m.modified()).ok();
        if known.read != changed {
            *known = Known { read: changed, names: read(Path::new(USERS)) };
        }
        known.names.get(&uid).cloned()
    }
}

fn read(path: &Path) -> HashMap<u32, Untrusted> {
    let mut text = Vec::new();
    let opened = Opened::at_or_behind(path).ok();
    let read = opened.and_then(|opened| opened.file.take(MAX_FILE).read_to_end(&mut text).ok());
    read.map(|_| parse(&text)).unwrap_or_default()
}

/// The first line with an id names it, as for the system's own programs.
fn parse(text: &[u8]) -> HashMap<u32, Untrusted> {
    let mut names = HashMap::new();
    for line in text.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next().unwrap_or_default();
        let uid = fields.nth(1).and_then(|f| std::str::from_utf8(f).ok()?.parse().ok());
        if let Some(uid) = uid {
            names.entry(uid).or_insert_with(|| Untrusted::cut(name, 256));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_from_a_regular_file_only_and_no_more_than_a_part_of_a_long_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().canonicalize().unwrap();
        let long = format!("an:x:7:7\n{}\nbinh:x:8:8\n", "#".repeat(usize::try_from(MAX_FILE).unwrap()));
        std::fs::write(at.join("long"), long).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, at.join("pipe"), fifo, mode, 0).unwrap();

        let names = read(&at.join("long"));

        assert_eq!((names.get(&7), names.get(&8)), (Some(&"an".into()), None));
        // Who opens a pipe waits for somebody who writes to it.
        assert!(read(&at.join("pipe")).is_empty() && read(&at.join("none")).is_empty());
    }

    #[test]
    fn the_first_line_of_an_id_names_it_and_bad_lines_are_passed_over() {
        let names = parse(b"root:x:0:0::/:/bin/sh\ntoor:x:0:0\nbad\n\xff:x:12:1\nx:x:y:1\n");

        assert_eq!(names.get(&0), Some(&"root".into()));
        assert_eq!(names.get(&12), Some(&Untrusted::new(b"\xff".to_vec())));
        assert_eq!(names.len(), 2);
    }
}
