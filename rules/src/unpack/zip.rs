//! Zip, and all that is one: Office documents, jar, apk, and programs or pictures with a zip behind them.
//!
//! A zip says everything twice, at the end and before each entry, and readers differ in whom they believe. So every
//! entry is read as either says, and what only one of them knows is read as well.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{self, BufReader, Read},
};

use khien_core::event::NotSeen;
use memchr::memmem::{Finder, rfind};

use super::{
    source::{Part, Source},
    squeeze::{self, MAX_LZMA_KIB},
    walk::{Walk, cause},
};

/// An end record with the longest comment.
const MAX_END: u64 = 22 + 0xffff;
/// The largest list of entries that is read.
const MAX_LIST: u64 = 16 << 20;
/// The bytes of a local header before its name.
const LOCAL: u64 = 30;
/// The bytes of an entry of the list before its name.
const LISTED_LEN: usize = 46;
/// What an entry of the list begins with.
const LISTED: &[u8] = b"PK\x01\x02";
/// End records that are tried; a comment may hold what looks like one.
const MAX_ENDS: usize = 16;
/// What stands for a number that is in an extra field.
const ELSEWHERE: u64 = 0xffff_ffff;

/// One way to read one entry.
#[derive(Debug, Clone)]
struct Entry {
    name: Vec<u8>,
    method: u16,
    encrypted: bool,
    /// Where its bytes are.
    at: u64,
    /// How many they are said to be; none if only their end tells.
    packed: Option<u64>,
}

/// What the list at the end says of an entry.
#[derive(Debug)]
struct Listed {
    entry: Entry,
    local: u64,
}

/// The list at the end.
struct List<'a> {
    source: Source<'a>,
    /// Where it is.
    at: u64,
    bytes: Cow<'a, [u8]>,
    /// How far everything is from where it is said to be, because of what stands before the zip.
    shift: u64,
}

/// What has been read of one zip.
struct Reading<'a> {
    source: Source<'a>,
    /// Bytes that were read as entries; more than there are means that entries share them.
    read: u64,
    /// What was read already: where, how, how much.
    seen: BTreeSet<(u64, u16, bool, Option<u64>)>,
    /// Where entries with their headers lie.
    known: Vec<(u64, u64)>,
}

/// Tells whether there is an end record whose list is where it says.
pub(super) fn has_end(source: Source<'_>) -> bool {
    list(source).is_some_and(|list| list.bytes.starts_with(LISTED))
}

/// Walks through the entries.
pub(super) fn walk(walk: &mut Walk<'_>, source: Source<'_>) {
    let mut reading = Reading { source, read: 0, seen: BTreeSet::new(), known: Vec::new() };
    let list = list(source);
    if let Some(list) = &list {
        reading.known.push((list.at, list.at.saturating_add(list.bytes.len() as u64)));
        for listed in list.entries() {
            match listed {
                Some(listed) => reading.listed(walk, listed),
                None => walk.trouble(NotSeen::Unreadable),
            }
            if walk.has_ended() {
                return;
            }
        }
    }
    reading.unlisted(walk);
    let is_empty = list.is_some_and(|list| list.bytes.is_empty());
    if reading.seen.is_empty() && !is_empty {
        walk.trouble(NotSeen::Unreadable);
    }
}

impl Reading<'_> {
    /// Reads an entry as the list says and, where that differs, as its own header says.
    fn listed(&mut self, walk: &mut Walk<'_>, listed: Listed) {
        let Listed { mut entry, local } = listed;
        let own = local_header(self.source, local);
        if let Some(own) = &own {
            entry.at = own.at;
        } else {
            entry.at = local.saturating_add(LOCAL).saturating_add(entry.name.len() as u64);
        }
        let end = entry.at.saturating_add(entry.packed.unwrap_or(0));
        let own_end = own.as_ref().and_then(|o| o.packed).map_or(end, |len| entry.at.saturating_add(len));
        self.known.push((local, end.min(own_end).max(entry.at)));
        match own {
            None => self.entry(walk, &entry, Some(NotSeen::Unreadable)),
            Some(own) => {
                self.entry(walk, &entry, None);
                let same = own.method == entry.method && own.encrypted == entry.encrypted;
                if !same || own.packed.is_some_and(|len| Some(len) != entry.packed) {
                    self.entry(walk, &own, None);
                }
            }
        }
    }

    /// Reads the entries that only their own headers tell of.
    fn unlisted(&mut self, walk: &mut Walk<'_>) {
        let header = Finder::new(b"PK\x03\x04");
        let mut known = std::mem::take(&mut self.known);
        known.sort_unstable();
        known.push((self.source.size(), self.source.size()));
        let mut at = 0;
        for (from, to) in known {
            while walk.may_go_on()
                && let Ok(Some(found)) = self.source.find(&header, at, from)
            {
                at = found + 4;
                if let Some(entry) = local_header(self.source, found).filter(|e| !e.name.is_empty()) {
                    let before = self.read;
                    self.entry(walk, &entry, None);
                    at = at.max(entry.at.saturating_add(entry.packed.unwrap_or(self.read - before)));
                }
            }
            at = at.max(to);
        }
    }

    fn entry(&mut self, walk: &mut Walk<'_>, entry: &Entry, damage: Option<NotSeen>) {
        if !self.seen.insert((entry.at, entry.method, entry.encrypted, entry.packed)) || !walk.count() {
            return;
        }
        if let Some(why) = damage {
            walk.trouble_in(&entry.name, why);
        }
        if entry.encrypted {
            return walk.trouble_in(&entry.name, NotSeen::Encrypted);
        }
        let left = self.source.size().saturating_sub(entry.at);
        let packed = entry.packed.unwrap_or_else(|| self.until_next(entry)).min(left);
        if entry.packed.unwrap_or(0) > left {
            walk.trouble_in(&entry.name, NotSeen::Unreadable);
        }
        if packed == 0 {
            return;
        }
        self.unpack(walk, entry, packed);
    }

    /// A packed entry knows its own end; one that is stored goes up to what looks like the next record.
    fn until_next(&self, entry: &Entry) -> u64 {
        if entry.method != 0 {
            return u64::MAX;
        }
        // Each is looked for up to the one before it only: thousands of entries must not each read all the rest.
        let mut end = u64::MAX;
        for what in [&b"PK\x03\x04"[..], LISTED, b"PK\x07\x08"] {
            let up_to = end.saturating_add(what.len() as u64 - 1);
            if let Ok(Some(at)) = self.source.find(&Finder::new(what), entry.at, up_to) {
                end = at;
            }
        }
        end.saturating_sub(entry.at)
    }

    fn unpack(&mut self, walk: &mut Walk<'_>, entry: &Entry, packed: u64) {
        if self.read > self.source.size().saturating_mul(2) {
            // Honest entries do not share their bytes.
            return walk.trouble_in(&entry.name, NotSeen::Ratio);
        }
        let part = self.source.part(entry.at, packed);
        let mut used = Counted { part, read: 0 };
        match decoder(entry.method, &mut used) {
            Ok(reader) => walk.unpack(&entry.name, reader, packed),
            Err(e) => walk.trouble_in(&entry.name, cause(&e)),
        }
        self.read = self.read.saturating_add(used.read);
    }
}

/// Counts what is read.
struct Counted<'a> {
    part: Part<'a>,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.part.read(into)?;
        self.read += got as u64;
        Ok(got)
    }
}

fn decoder<'r>(method: u16, packed: &'r mut Counted<'_>) -> io::Result<Box<dyn Read + 'r>> {
    let mut packed = BufReader::new(packed);
    Ok(match method {
        0 => Box::new(packed),
        8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
        12 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        14 => {
            let mut head = [0; 9];
            packed.read_exact(&mut head)?;
            let [.., properties, d0, d1, d2, d3] = head;
            let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
            Box::new(squeeze::raw_lzma(packed, u64::MAX, properties, dictionary)?)
        }
        93 => Box::new(squeeze::zstd(packed)?),
        95 => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, MAX_LZMA_KIB)),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    })
}

/// Looks for the list from the end of the source.
fn list(source: Source<'_>) -> Option<List<'_>> {
    let tail_at = source.size().saturating_sub(MAX_END);
    let tail = source.bytes(tail_at, MAX_END).ok()?;
    let mut up_to = tail.len();
    for _ in 0..MAX_ENDS {
        let at = rfind(&tail[..up_to], b"PK\x05\x06")?;
        if let Some(list) = list_before(source, tail_at + at as u64) {
            return Some(list);
        }
        up_to = at;
    }
    None
}

/// Reads the list of which the end record is at a place.
fn list_before(source: Source<'_>, end: u64) -> Option<List<'_>> {
    let record = source.array::<22>(end)?;
    let (mut size, mut told) = (u64::from(u32_at(&record, 12)?), u64::from(u32_at(&record, 16)?));
    let mut after = end;
    if let Some((large_at, large_size, large_told)) = large_end(source, end) {
        (after, size, told) = (large_at, large_size, large_told);
    }
    let is_list = |at: u64| source.array::<4>(at).is_some_and(|b| b == *LISTED);
    let before = after.checked_sub(size).filter(|at| is_list(*at));
    let at = before.or_else(|| (told < after && is_list(told)).then_some(told));
    let at = match at {
        Some(at) => at,
        None if size == 0 && u16_at(&record, 10) == Some(0) => after,
        None => return None,
    };
    let bytes = source.bytes(at, (after - at).min(MAX_LIST)).ok()?;
    Some(List { source, at, bytes, shift: at.saturating_sub(told) })
}

/// The end record of a large zip: where it is, and the size and place of the list.
fn large_end(source: Source<'_>, end: u64) -> Option<(u64, u64, u64)> {
    let locator = source.array::<20>(end.checked_sub(20)?)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return None;
    }
    // What stands before the zip shifts it, so that the place just before is tried as well.
    let at = [u64_at(&locator, 8)?, end.checked_sub(76)?]
        .into_iter()
        .find(|at| source.array::<4>(*at) == Some(*b"PK\x06\x06"))?;
    let record = source.array::<56>(at)?;
    Some((at, u64_at(&record, 40)?, u64_at(&record, 48)?))
}

impl List<'_> {
    /// Returns the entries; none where one is cut off.
    fn entries(&self) -> impl Iterator<Item = Option<Listed>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            if !rest.starts_with(LISTED) {
                return None;
            }
            let listed = listed(rest);
            rest = listed.as_ref().map_or(&[], |(_, len)| &rest[*len..]);
            Some(listed.map(|(mut listed, _)| {
                listed.local = self.real(listed.local);
                listed
            }))
        })
    }

    fn real(&self, local: u64) -> u64 {
        let shifted = local.saturating_add(self.shift);
        let is_there = |at| self.source.array::<4>(at) == Some(*b"PK\x03\x04");
        if !is_there(shifted) && is_there(local) { local } else { shifted }
    }
}

fn listed(bytes: &[u8]) -> Option<(Listed, usize)> {
    let lengths = [u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?].map(usize::from);
    let [name, extra, comment] = lengths;
    let len = LISTED_LEN + name + extra + comment;
    let name_end = LISTED_LEN + name;
    bytes.get(..len)?;
    let (unpacked, packed) = (u32_at(bytes, 24)?.into(), u32_at(bytes, 20)?.into());
    let numbers = large(&bytes[name_end..name_end + extra], [unpacked, packed, u32_at(bytes, 42)?.into()]);
    let entry = Entry {
        name: bytes[LISTED_LEN..name_end].to_vec(),
        method: u16_at(bytes, 10)?,
        encrypted: is_encrypted(u16_at(bytes, 8)?, u16_at(bytes, 10)?),
        at: 0,
        packed: Some(numbers[1]),
    };
    Some((Listed { entry, local: numbers[2] }, len))
}

fn local_header(source: Source<'_>, at: u64) -> Option<Entry> {
    let header = source.array::<30>(at)?;
    if !header.starts_with(b"PK\x03\x04") {
        return None;
    }
    let (flags, method) = (u16_at(&header, 6)?, u16_at(&header, 8)?);
    let (name, extra) = (u64::from(u16_at(&header, 26)?), u64::from(u16_at(&header, 28)?));
    let rest = source.bytes(at.checked_add(LOCAL)?, name + extra).ok()?;
    let (name, extra) = rest.split_at_checked(usize::try_from(name).ok()?)?;
    let told = [u32_at(&header, 22)?.into(), u32_at(&header, 18)?.into(), 0];
    let packed = large(extra, told)[1];
    // Bit 3: the sizes come after the bytes, and are zero here.
    let is_after = flags & 8 != 0 && packed == 0;
    Some(Entry {
        name: name.to_vec(),
        method,
        encrypted: is_encrypted(flags, method),
        at: at + LOCAL + rest.len() as u64,
        packed: (!is_after).then_some(packed),
    })
}

/// Fills in the numbers that are too large for their place from the extra field for that.
fn large(mut extra: &[u8], mut numbers: [u64; 3]) -> [u64; 3] {
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let end = 4 + usize::from(len);
        let Some(field) = extra.get(4..end) else { break };
        if id == 1 {
            let mut large = field.chunks_exact(8).filter_map(|n| u64_at(n, 0));
            for number in numbers.iter_mut().filter(|n| **n == ELSEWHERE) {
                *number = large.next().unwrap_or(*number);
            }
        }
        extra = &extra[end..];
    }
    numbers
}

/// The first bit of the flags, or the method that stands for AES.
fn is_encrypted(flags: u16, method: u16) -> bool {
    flags & 1 != 0 || method == 99
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
