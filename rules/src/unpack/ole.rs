//! OLE compound files (MS-CFB): old Office documents, the macros of new ones, messages of Outlook, installers.
//!
//! Every stream in the directory is handed over, also those that the tree of folders does not reach: what a strict
//! reader calls damaged, Office may still open.

use std::collections::BTreeSet;

use khien_core::event::{MAX_NAME, NotSeen};

use super::{text, vba, walk::Walk};

/// Ends a chain of sectors.
const LAST: u32 = 0xffff_fffa;
/// An entry of the directory.
const ENTRY: usize = 128;
/// Entries of the directory that are read.
const MAX_ENTRIES: usize = 65_536;
/// Folders in folders.
const MAX_NESTED: usize = 32;

/// A compound file that is read.
struct File<'a> {
    bytes: &'a [u8],
    sector: usize,
    mini_sector: usize,
    /// Streams below this size lie in the mini stream.
    cutoff: u64,
    fat: Vec<u32>,
    mini_fat: Vec<u32>,
    mini: Vec<u8>,
}

/// An entry of the directory.
#[derive(Debug, Clone, Default)]
struct Entry {
    name: String,
    kind: u8,
    left: u32,
    right: u32,
    child: u32,
    start: u32,
    size: u64,
    /// The folder in which it is, with a slash at its end.
    folder: String,
}

const STORAGE: u8 = 1;
const STREAM: u8 = 2;
const ROOT: u8 = 5;

/// Walks through the streams.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let Some((file, entries)) = File::read(bytes) else { return walk.trouble(NotSeen::Unreadable) };
    if is_encrypted(&file, &entries) {
        walk.trouble(NotSeen::Encrypted);
    }
    let projects = projects(&entries);
    for entry in entries.iter().filter(|e| e.kind == STREAM && e.size > 0) {
        if !walk.may_go_on() || !walk.count() {
            return;
        }
        let (content, is_all) = file.stream(entry, walk.limits.entry);
        if !walk.spend(content.len()) {
            return;
        }
        let path = [entry.folder.as_str(), entry.name.as_str()].concat();
        if !is_all {
            walk.trouble_in(path.as_bytes(), NotSeen::Unreadable);
        }
        let in_project = projects.contains(&entry.folder);
        stream(walk, &path, &entry.name, in_project, &content);
    }
}

fn stream(walk: &mut Walk<'_>, path: &str, name: &str, in_project: bool, content: &[u8]) {
    walk.enter(path.as_bytes(), content);
    if in_project {
        for (source, is_all) in vba::sources(content, walk.most_of(content.len())) {
            let name = format!("{path}.bas");
            if !walk.count() || !walk.spend(source.len()) {
                return;
            }
            if !is_all {
                walk.trouble_in(name.as_bytes(), NotSeen::Ratio);
            }
            walk.enter(name.as_bytes(), &source);
        }
    }
    if name == "\u{1}Ole10Native"
        && let Some((name, file)) = packed_file(content)
        && walk.count()
    {
        walk.inside(path.as_bytes(), |walk| walk.enter(name, file));
    }
}

/// Folders that hold a stream `dir` or `_VBA_PROJECT` hold macros.
fn projects(entries: &[Entry]) -> BTreeSet<String> {
    let tells = |e: &&Entry| e.kind == STREAM && matches!(e.name.as_str(), "dir" | "_VBA_PROJECT");
    entries.iter().filter(tells).map(|e| e.folder.clone()).collect()
}

/// An encrypted new document is two streams in an old one; old ones have a flag or a record.
fn is_encrypted(file: &File<'_>, entries: &[Entry]) -> bool {
    let stream = |name: &str| entries.iter().find(|e| e.kind == STREAM && e.name == name);
    if stream("EncryptedPackage").is_some() && stream("EncryptionInfo").is_some() {
        return true;
    }
    if let Some(word) = stream("WordDocument") {
        let (head, _) = file.stream(word, 12);
        return head.get(11).is_some_and(|flags| flags & 1 != 0);
    }
    let book = stream("Workbook").or_else(|| stream("Book"));
    book.is_some_and(|book| has_password_record(&file.stream(book, 4 << 10).0))
}

/// Excel writes the record `FILEPASS` (0x2f) soon after the first one.
fn has_password_record(book: &[u8]) -> bool {
    let mut rest = book;
    while let [a, b, c, d, after @ ..] = rest {
        match u16::from_le_bytes([*a, *b]) {
            0x2f => return true,
            // The end of the globals.
            0x0a => return false,
            _ => {}
        }
        let Some(next) = after.get(usize::from(u16::from_le_bytes([*c, *d]))..) else { return false };
        rest = next;
    }
    false
}

/// Reads what the packager embeds: a size, two bytes, three texts ended by zeros with numbers in between, the file.
fn packed_file(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = content.get(6..)?;
    let (name, rest) = split_at_zero(rest)?;
    let (_source, rest) = split_at_zero(rest)?;
    let (_temporary, rest) = split_at_zero(rest.get(8..)?)?;
    let size = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let rest = &rest[4..];
    Some((name, &rest[..size.min(rest.len())]))
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, Vec<Entry>)> {
        let (sector, mini) = (u16_at(bytes, 30)?, u16_at(bytes, 32)?);
        if !(7..=16).contains(&sector) || !(4..=sector).contains(&mini) {
            return None;
        }
        let mut file = Self {
            bytes,
            sector: 1 << sector,
            mini_sector: 1 << mini,
            cutoff: u32_at(bytes, 56)?.into(),
            fat: Vec::new(),
            mini_fat: Vec::new(),
            mini: Vec::new(),
        };
        file.fat = file.read_fat();
        let (directory, _) = file.chain(u32_at(bytes, 48)?, usize::MAX);
        let mut entries: Vec<Entry> =
            directory.chunks_exact(ENTRY).take(MAX_ENTRIES).map(|e| entry(e).unwrap_or_default()).collect();
        file.mini_fat = numbers(&file.chain(u32_at(bytes, 60)?, usize::MAX).0);
        let root = entries.iter().find(|e| e.kind == ROOT)?;
        file.mini = file.chain(root.start, usize::try_from(root.size).unwrap_or(usize::MAX)).0;
        name_folders(&mut entries);
        Some((file, entries))
    }

    /// The first sectors of the table of sectors are in the header, the others in a chain of their own.
    fn read_fat(&self) -> Vec<u32> {
        let mut sectors: Vec<u32> = numbers(self.bytes.get(76..512).unwrap_or(&[]));
        let mut next = u32_at(self.bytes, 68).unwrap_or(LAST);
        for _ in 0..self.sectors() {
            let more = numbers(self.at(next));
            let Some((last, rest)) = more.split_last() else { break };
            sectors.extend(rest);
            next = *last;
        }
        let used = sectors.into_iter().filter(|s| *s < LAST).take(self.sectors());
        used.flat_map(|s| numbers(self.at(s))).collect()
    }

    fn sectors(&self) -> usize {
        self.bytes.len() / self.sector
    }

    /// Returns a sector; the last one may be cut off.
    fn at(&self, number: u32) -> &'a [u8] {
        let from = (number as usize).checked_add(1).and_then(|n| n.checked_mul(self.sector));
        let Some(rest) = from.filter(|_| number < LAST).and_then(|from| self.bytes.get(from..)) else {
            return &[];
        };
        &rest[..self.sector.min(rest.len())]
    }

    /// Returns up to `most` bytes of a chain of sectors, and whether it ended as it should.
    fn chain(&self, start: u32, most: usize) -> (Vec<u8>, bool) {
        let (mut bytes, mut next) = (Vec::new(), start);
        // A chain that is longer than the file runs in a circle.
        for _ in 0..=self.sectors() {
            if next >= LAST || bytes.len() >= most {
                bytes.truncate(most);
                return (bytes, true);
            }
            bytes.extend_from_slice(self.at(next));
            match self.fat.get(next as usize) {
                Some(after) => next = *after,
                None => break,
            }
        }
        bytes.truncate(most);
        (bytes, false)
    }

    fn mini_chain(&self, start: u32, most: usize) -> Vec<u8> {
        let (mut bytes, mut next) = (Vec::new(), start);
        for _ in 0..=self.mini.len() / self.mini_sector {
            if next >= LAST || bytes.len() >= most {
                break;
            }
            let from = (next as usize).saturating_mul(self.mini_sector).min(self.mini.len());
            let to = from.saturating_add(self.mini_sector).min(self.mini.len());
            bytes.extend_from_slice(&self.mini[from..to]);
            next = self.mini_fat.get(next as usize).copied().unwrap_or(LAST);
        }
        bytes.truncate(most);
        bytes
    }

    /// Returns up to `most` bytes of a stream, and whether all that it should have up to there.
    fn stream(&self, entry: &Entry, most: u64) -> (Vec<u8>, bool) {
        let want = usize::try_from(entry.size.min(most)).unwrap_or(usize::MAX);
        let bytes = match entry.size < self.cutoff {
            true => self.mini_chain(entry.start, want),
            false => self.chain(entry.start, want).0,
        };
        let is_all = bytes.len() == want && entry.size <= most.max(want as u64);
        (bytes, is_all)
    }
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let len = usize::from(u16_at(bytes, 64)?).clamp(2, 64) - 2;
    let name = [&[0xff, 0xfe], &bytes[..len]].concat();
    Some(Entry {
        name: String::from_utf8_lossy(&text::utf8(&name)).into_owned(),
        kind: bytes[66],
        left: u32_at(bytes, 68)?,
        right: u32_at(bytes, 72)?,
        child: u32_at(bytes, 76)?,
        start: u32_at(bytes, 116)?,
        // The upper half is not used by old files and may hold anything.
        size: u32_at(bytes, 120)?.into(),
        folder: String::new(),
    })
}

/// Writes into each entry in which folder it is. Entries that no folder reaches stay at the top.
fn name_folders(entries: &mut [Entry]) {
    let mut seen = BTreeSet::new();
    let tops = entries.iter().filter(|e| e.kind == ROOT).map(|e| (e.child, String::new(), 0));
    let mut open: Vec<(u32, String, usize)> = tops.collect();
    while let Some((number, folder, nested)) = open.pop() {
        let Some(entry) = entries.get_mut(number as usize).filter(|_| seen.insert(number)) else { continue };
        open.push((entry.left, folder.clone(), nested));
        open.push((entry.right, folder.clone(), nested));
        // No more of a path is ever shown, and each entry has a copy.
        if entry.kind == STORAGE && nested < MAX_NESTED && folder.len() < MAX_NAME {
            open.push((entry.child, format!("{folder}{}/", entry.name), nested + 1));
        }
        entry.folder = folder;
    }
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).filter_map(|n| u32_at(n, 0)).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_keeps_its_name() {
        let content = [
            &[0u8; 4][..],
            b"\x02\0a.vbs\0C:\\a.vbs\0\0\0\x03\0\x06\0\0\0C:\\b\0",
            &3u32.to_le_bytes(),
            b"abcrest",
        ]
        .concat();

        assert_eq!(packed_file(&content), Some((&b"a.vbs"[..], &b"abc"[..])));
        assert_eq!(packed_file(b"short"), None);
    }

    #[test]
    fn an_entry_deep_in_folders_has_no_longer_path_than_is_shown() {
        let storage = |child| Entry {
            name: "f".repeat(31),
            kind: STORAGE,
            child,
            left: LAST,
            right: LAST,
            ..Entry::default()
        };
        let mut entries: Vec<_> = (0..30).map(|n| storage(n + 1)).collect();
        entries[0].kind = ROOT;

        name_folders(&mut entries);

        let longest = entries.iter().map(|e| e.folder.len()).max();
        assert!(longest > Some(100) && longest < Some(MAX_NAME + 64), "{longest:?}");
    }

    #[test]
    fn a_password_record_is_found_before_the_globals_end() {
        assert!(has_password_record(&[9, 8, 2, 0, 1, 1, 0x2f, 0, 0, 0]));
        assert!(!has_password_record(&[9, 8, 2, 0, 1, 1, 0x0a, 0, 0, 0, 0x2f, 0, 0, 0]));
    }
}
