//! What is at a path now, and how that differs from what was there. Opens only regular files, only to read.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use khien_core::{
    Timestamp, Untrusted,
    conduct::{Differs, Facts, Kind},
    event::{FileFacts, Inside},
};
use khien_rules::indicator::digest::{Digester, Digests, Wanted};
use khien_scan::open::{NotOpened, Opened};
use serde::{Deserialize, Serialize};

use super::diff::{MAX_TEXT, is_text};

/// Of larger files mode, owner, size and times are compared, and no digest.
pub(super) const MAX_HASHED: u64 = 64 << 20;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// The longest target of a link that the kernel makes, in bytes.
const MAX_TARGET: usize = 4_096;

/// What is compared of a path, and what tells cheaply that a look is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) facts: Facts,
    /// Where a link leads.
    pub(super) target: Option<Untrusted>,
    /// Of the content, for the package database.
    pub(super) md5: Option<[u8; 16]>,
    /// When the content changed, as the inode says; anybody can set it.
    pub(super) modified: Timestamp,
    pub(super) stamp: Stamp,
}

/// What of an inode changes with anything else of it: nobody can set the time of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) changed: (i64, i64),
    pub(super) size: u64,
}

/// What was found at a path.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) state: State,
    /// The text, if it may be shown one day.
    pub(super) text: Option<Vec<u8>>,
}

/// How to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// Whether the text is wanted.
    pub(super) text: bool,
    /// What a link leads to, by a path of which no part is a link, if that is to be read: nobody else looks at it.
    pub(super) behind: Option<&'a Path>,
}

/// Tells cheaply what is there: nothing, or its inode.
pub(super) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    Ok(metadata(path)?.map(|found| Stamp::of(&found)))
}

/// Looks at a path. Nothing there is no error.
pub(super) fn look(path: &Path, how: Look<'_>) -> io::Result<Option<Seen>> {
    let Some(found) = metadata(path)? else { return Ok(None) };
    let mut seen = Seen { state: State::of(&found), text: None };
    match seen.state.kind {
        Kind::File => content(path, how, &mut seen)?,
        Kind::Link => {
            let target = fs::read_link(path)?;
            seen.state.target = Some(Untrusted::cut(target.as_os_str().as_bytes(), MAX_TARGET));
            if let Some(real) = how.behind {
                behind(real, &mut seen.state);
            }
        }
        Kind::Folder | Kind::Other => {}
    }
    Ok(Some(seen))
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the file that was looked at, not one that came in its place meanwhile: that has a look of its own.
fn content(path: &Path, how: Look<'_>, seen: &mut Seen) -> io::Result<()> {
    let mut opened = match Opened::at(path) {
        Ok(opened) => opened,
        Err(NotOpened::Unreadable) => return Ok(()),
        Err(NotOpened::Elsewhere) => return Err(ErrorKind::NotFound.into()),
    };
    let state = &mut seen.state;
    if (opened.inode.device, opened.inode.number) != (state.stamp.device, state.stamp.inode) {
        return Err(ErrorKind::NotFound.into());
    }
    let (digests, head) = digest(&mut opened)?;
    // Written to while it was read: the digest belongs to neither, and the stamp of before makes the next look due.
    state.facts.sha256 = digests.sha256;
    state.md5 = digests.md5;
    seen.text = head.filter(|head| how.text && is_text(head));
    Ok(())
}

/// A link's own facts stand; only the digest is of what it leads to.
fn behind(real: &Path, state: &mut State) {
    if let Ok(mut opened) = Opened::at(real)
        && let Ok((digests, _)) = digest(&mut opened)
    {
        state.facts.sha256 = digests.sha256;
    }
}

/// Returns the digests, none of a file that is too large, and the whole content if that is small.
fn digest(opened: &mut Opened) -> io::Result<(Digests, Option<Vec<u8>>)> {
    let mut digester = Digester::new(Wanted { sha256: true, md5: true, sha1: false });
    let (mut piece, mut total) = (vec![0; PIECE], 0_u64);
    let mut head = Some(Vec::new());
    loop {
        let got = match opened.file.read(&mut piece) {
            Ok(0) => return Ok((digester.finish(), head)),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += got as u64;
        if total > MAX_HASHED {
            return Ok((Digests::default(), None));
        }
        digester.take(&piece[..got]);
        head = head.filter(|_| total <= MAX_TEXT);
        if let Some(head) = &mut head {
            head.extend(&piece[..got]);
        }
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
            size: found.size(),
        }
    }
}

impl State {
    fn of(found: &Metadata) -> Self {
        let kind = found.file_type();
        let kind = match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_symlink() => Kind::Link,
            () if kind.is_dir() => Kind::Folder,
            () => Kind::Other,
        };
        let nanos = i32::try_from(found.mtime_nsec()).unwrap_or(0);
        Self {
            kind,
            facts: Facts { sha256: None, mode: found.mode(), uid: found.uid(), gid: found.gid() },
            target: None,
            md5: None,
            modified: Timestamp::new(found.mtime(), nanos).unwrap_or(Timestamp::UNIX_EPOCH),
            stamp: Stamp::of(found),
        }
    }

    /// Tells whether it has content that was not read.
    pub(super) fn is_unread(&self) -> bool {
        self.kind == Kind::File && self.facts.sha256.is_none()
    }

    /// Returns it as an alert shows it.
    pub(super) fn file(&self, owner: Option<Untrusted>) -> FileFacts {
        FileFacts {
            size: self.stamp.size,
            mode: self.facts.mode,
            uid: self.facts.uid,
            gid: self.facts.gid,
            owner,
            modified: self.modified,
            inside: Inside::default(),
        }
    }

    fn rights(&self) -> (u32, u32, u32) {
        // The mode of a link says nothing.
        let mode = if self.kind == Kind::Link { 0 } else { self.facts.mode & 0o7777 };
        (mode, self.facts.uid, self.facts.gid)
    }
}

/// Tells how two looks at one path differ. A time that was set, or another inode with the same content, is nothing.
/// Content that cannot be compared any more is something: a file that grows too large must not slip away.
pub(super) fn differs(before: &State, now: &State) -> Option<Differs> {
    if before.kind != now.kind {
        return Some(Differs::Replaced { from: before.kind, to: now.kind });
    }
    if before.target != now.target {
        let target = |s: &State| s.target.clone().unwrap_or_default();
        return Some(Differs::Link { from: target(before), to: target(now) });
    }
    let rights = before.rights() != now.rights();
    let content = match (before.facts.sha256, now.facts.sha256) {
        (Some(before), Some(now)) => before != now,
        (Some(_), None) => return Some(Differs::Unread),
        // What could not be read is held to its size and to the time that nobody can set.
        (None, _) => {
            now.kind == Kind::File
                && (before.stamp.size != now.stamp.size
                    || (!rights && before.stamp.changed != now.stamp.changed))
        }
    };
    match (content, rights) {
        (true, _) => Some(Differs::Content),
        (false, true) => Some(Differs::Rights),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn seen(path: &Path) -> Seen {
        let real = path.canonicalize().ok();
        look(path, Look { text: true, behind: real.as_deref() }).unwrap().unwrap()
    }

    #[test]
    fn every_way_in_which_a_path_can_differ_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("file");
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let first = seen(&path);
        assert_eq!(first.text.as_deref(), Some(&b"one"[..]));
        assert_eq!(differs(&first.state, &first.state), None);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let open = seen(&path).state;
        assert_eq!(differs(&first.state, &open), Some(Differs::Rights));

        // The same size and a time set back: the digest tells, and the stamp says that a look is due.
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
        let two = seen(&path).state;
        assert_eq!(differs(&open, &two), Some(Differs::Content));
        assert_ne!(stamp(&path).unwrap().unwrap(), open.stamp);

        fs::remove_file(&path).unwrap();
        assert!(look(&path, Look { text: true, behind: None }).unwrap().is_none());
        symlink("/etc/hostname", &path).unwrap();
        let link = seen(&path).state;
        assert_eq!(differs(&two, &link), Some(Differs::Replaced { from: Kind::File, to: Kind::Link }));
        fs::remove_file(&path).unwrap();
        symlink("/etc/hosts", &path).unwrap();
        assert!(matches!(differs(&link, &seen(&path).state), Some(Differs::Link { .. })));
    }

    #[test]
    fn another_inode_with_the_same_content_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::write(dir.join("a"), "x").unwrap();
        let first = seen(&dir.join("a")).state;
        fs::write(dir.join("b"), "x").unwrap();
        fs::rename(dir.join("b"), dir.join("a")).unwrap();

        assert_eq!(differs(&first, &seen(&dir.join("a")).state), None);
    }

    #[test]
    fn a_link_out_of_what_is_looked_at_is_held_to_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::write(dir.join("kit"), "one").unwrap();
        symlink("kit", dir.join("link")).unwrap();
        let first = seen(&dir.join("link")).state;
        fs::write(dir.join("kit"), "two").unwrap();

        assert_eq!(differs(&first, &seen(&dir.join("link")).state), Some(Differs::Content));
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened_and_a_large_file_has_no_digest() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        fs::File::create(dir.join("large")).unwrap().set_len(MAX_HASHED + 1).unwrap();

        assert_eq!(seen(&dir.join("pipe")).state.kind, Kind::Other);
        let large = seen(&dir.join("large")).state;
        assert!(large.is_unread());
        fs::File::options().write(true).open(dir.join("large")).unwrap().set_len(MAX_HASHED + 2).unwrap();
        assert_eq!(differs(&large, &seen(&dir.join("large")).state), Some(Differs::Content));
    }

    #[test]
    fn content_that_was_read_and_cannot_be_read_any_more_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::write(dir.join("file"), "one").unwrap();
        symlink("file", dir.join("link")).unwrap();
        let (file, link) = (seen(&dir.join("file")).state, seen(&dir.join("link")).state);

        fs::File::options().write(true).open(dir.join("file")).unwrap().set_len(MAX_HASHED + 1).unwrap();

        let (large, behind) = (seen(&dir.join("file")).state, seen(&dir.join("link")).state);
        assert_eq!(differs(&file, &large), Some(Differs::Unread));
        assert_eq!(differs(&link, &behind), Some(Differs::Unread));
        fs::write(dir.join("file"), "two").unwrap();
        assert_eq!(differs(&large, &seen(&dir.join("file")).state), Some(Differs::Content));
    }
}
