//! Scans the memory of another process through three descriptors that were passed in, a few MiB at a time.
//!
//! ```text
//! maps ─► regions ─► pagemap ─► pages that are in memory ─► pread of mem ─► a block ─► rules
//! ```
//! Only what is in memory is read: reading a page that was never touched, or that was swapped out, would make the process
//! larger. The process is not stopped, so what it moves meanwhile may be missed. What could not be read is told.

mod maps;

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Untrusted,
    detection::builtin::PROCESS_ELF,
    event::{EXCERPT_SIDE, Excerpt, Inside, NotSeen, ScanOutcome, Unseen},
};
use khien_rules::scan::{Hit, MAX_HITS, Scanned, Scanner};

use self::maps::{Pages, Region};
use super::worker::read;

/// The most of a list of mappings that is read: more than the 65,530 that a process may have.
const MAX_MAPS: u64 = 16 << 20;
/// Bytes that are scanned at once.
const BLOCK: usize = 4 << 20;
/// Bytes of a block that are scanned with the next one too, so that no border cuts a match.
const OVERLAP: usize = 16 << 10;
/// Zeros between pieces that are not neighbours, so that nothing matches across.
const GAP: usize = 512;
/// Pages that the kernel is asked about at once.
const ASKED: u64 = 32 << 10;
/// Bytes that the kernel says of a page.
const ENTRY: usize = 8;
/// Of a page: it is in memory.
const PRESENT: u64 = 1 << 63;
/// Of a page: it is in the swap space.
const SWAPPED: u64 = 1 << 62;
/// Of a page: it is the file's, or shared; not changed by this process alone.
const OF_FILE: u64 = 1 << 61;
/// How a program begins.
const ELF: &[u8] = b"\x7fELF";

/// A process as a worker gets it.
pub(super) struct Process {
    pub(super) memory: OwnedFd,
    pub(super) maps: OwnedFd,
    pub(super) pages: OwnedFd,
}

/// What a scan gave.
pub(super) struct Looked {
    pub(super) scanned: Scanned,
    pub(super) unseen: Vec<Unseen>,
    /// Bytes that were read; none were when the process was gone.
    pub(super) read: u64,
}

/// Scans at most `most` bytes of a process, with all rules that the scanner has.
pub(super) fn scan(scanner: &mut Scanner<'_>, process: &Process, most: u64, until: Instant) -> Looked {
    let page = rustix::param::page_size() as u64;
    let regions = match maps(process) {
        Ok(regions) => regions,
        Err(why) => return Looked::nothing(why),
    };
    let mut look = Look {
        scanner,
        process,
        page,
        most,
        until,
        block: Vec::with_capacity(BLOCK),
        pieces: Vec::new(),
        fresh: false,
        read: 0,
        hits: Vec::new(),
        unseen: Vec::new(),
    };
    for region in &regions {
        if look.region(region).is_err() {
            break;
        }
    }
    look.flush();
    look.ended()
}

/// Returns the regions that are scanned, those that can be executed first and the vast ones last.
fn maps(process: &Process) -> Result<Vec<Region>, NotSeen> {
    let text = read(&process.maps, MAX_MAPS).map_err(|_| NotSeen::Unreadable)?;
    if text.len() as u64 >= MAX_MAPS {
        return Err(NotSeen::Entries);
    }
    let mut regions = maps::regions(&text);
    regions.sort_by_key(Region::rank);
    Ok(regions)
}

impl Looked {
    fn nothing(why: NotSeen) -> Self {
        let unseen = vec![Unseen { inside: Inside::default(), why }];
        Self { scanned: Scanned { outcome: why.outcome(), hits: Vec::new() }, unseen, read: 0 }
    }
}

/// Nothing more can be read, or may be.
struct Over;

/// A scan that goes on.
struct Look<'s, 'e> {
    scanner: &'s mut Scanner<'e>,
    process: &'s Process,
    page: u64,
    most: u64,
    until: Instant,
    /// What is scanned next.
    block: Vec<u8>,
    /// Of what it is made, in its order.
    pieces: Vec<Piece>,
    /// Whether it has bytes that were not scanned.
    fresh: bool,
    read: u64,
    hits: Vec<Hit>,
    unseen: Vec<Unseen>,
}

/// Bytes of a block that lie side by side in the process.
struct Piece {
    /// Where they begin in the block.
    at: usize,
    len: usize,
    /// Where they begin in the process.
    address: u64,
    /// The beginning of its region, and that as a place.
    region: u64,
    inside: Inside,
}

impl Piece {
    fn end(&self) -> u64 {
        self.address.saturating_add(self.len as u64)
    }
}

impl Look<'_, '_> {
    fn region(&mut self, region: &Region) -> Result<(), Over> {
        let mut at = region.from;
        while at < region.until {
            let next = region.until.min(at.saturating_add(ASKED * self.page));
            let entries = self.entries(at, (next - at) / self.page)?;
            self.runs(region, at, &entries)?;
            at = next;
        }
        Ok(())
    }

    /// Asks which pages are in memory.
    fn entries(&mut self, at: u64, pages: u64) -> Result<Vec<u64>, Over> {
        self.may_go_on()?;
        let mut bytes = vec![0; usize::try_from(pages).unwrap_or(0) * ENTRY];
        let mut had = 0;
        while had < bytes.len() {
            let offset = at / self.page * ENTRY as u64 + had as u64;
            match rustix::io::retry_on_intr(|| {
                rustix::io::pread(&self.process.pages, &mut bytes[had..], offset)
            }) {
                // The process is gone.
                Ok(0) => return Err(self.over(NotSeen::Unreadable)),
                Ok(got) => had += got,
                Err(_) => return Err(self.over(NotSeen::Unreadable)),
            }
        }
        let number = |entry: &[u8]| entry.try_into().map_or(0, u64::from_ne_bytes);
        Ok(bytes.chunks_exact(ENTRY).map(number).collect())
    }

    /// Takes each run of pages that are to be scanned.
    fn runs(&mut self, region: &Region, begin: u64, entries: &[u64]) -> Result<(), Over> {
        let is_wanted = |entry: u64| region.pages == Pages::All || entry & OF_FILE == 0;
        if entries.iter().any(|entry| entry & (PRESENT | SWAPPED) == SWAPPED && is_wanted(*entry)) {
            self.miss(region, NotSeen::Swapped);
        }
        let mut at = begin;
        let is_read = |entry: &u64| entry & PRESENT != 0 && is_wanted(*entry);
        for run in entries.chunk_by(|a, b| is_read(a) == is_read(b)) {
            let until = at + run.len() as u64 * self.page;
            if run.first().is_some_and(is_read) {
                self.take(region, at, until)?;
            }
            at = until;
        }
        Ok(())
    }

    /// Reads neighbouring pages into the block, and scans it each time it is full.
    fn take(&mut self, region: &Region, mut at: u64, until: u64) -> Result<(), Over> {
        while at < until {
            if (self.block.len() + GAP) as u64 + self.page > BLOCK as u64 {
                self.flush();
            }
            self.may_go_on()?;
            let before = self.block.len();
            let is_neighbour = self.pieces.last().is_none_or(|piece| piece.end() == at);
            self.block.resize(before + if is_neighbour { 0 } else { GAP }, 0);
            let start = self.block.len();
            let room = ((BLOCK - start) as u64 / self.page).max(1) * self.page;
            let want = usize::try_from(room.min(until - at)).unwrap_or(BLOCK);
            self.block.resize(start + want, 0);
            let got = rustix::io::retry_on_intr(|| {
                rustix::io::pread(&self.process.memory, &mut self.block[start..], at)
            });
            self.block.truncate(got.map_or(before, |got| start + got));
            at += match got {
                Ok(0) => return Err(self.over(NotSeen::Unreadable)),
                Ok(got) => {
                    self.took(region, (start, got), at);
                    got as u64
                }
                Err(_) => {
                    self.refused(region, at)?;
                    self.page
                }
            };
        }
        Ok(())
    }

    fn took(&mut self, region: &Region, (start, got): (usize, usize), at: u64) {
        if region.may_be_program && at == region.from && self.block[start..].starts_with(ELF) {
            let bytes = &self.block[start..];
            let matched = Untrusted::cut(bytes, EXCERPT_SIDE);
            let excerpt =
                Excerpt { offset: at, before: Untrusted::default(), matched, after: Untrusted::default() };
            if let Ok(rule) = PROCESS_ELF.parse() {
                self.keep(Hit { rule, inside: region.inside(), excerpts: vec![excerpt] });
            }
        }
        (self.fresh, self.read) = (true, self.read + got as u64);
        match self.pieces.last_mut().filter(|piece| piece.region == region.from && piece.end() == at) {
            Some(piece) => piece.len += got,
            None => {
                let inside = region.inside();
                self.pieces.push(Piece { at: start, len: got, address: at, region: region.from, inside });
            }
        }
    }

    /// A page that cannot be read is missed, unless the process itself has let go of it meanwhile.
    fn refused(&mut self, region: &Region, at: u64) -> Result<(), Over> {
        let entries = self.entries(at, 1)?;
        if entries.iter().any(|entry| entry & PRESENT != 0) {
            self.miss(region, NotSeen::Unreadable);
        }
        Ok(())
    }

    fn may_go_on(&mut self) -> Result<(), Over> {
        if self.read >= self.most {
            return Err(self.over(NotSeen::Total));
        }
        if self.left().is_zero() {
            return Err(self.over(NotSeen::Time));
        }
        Ok(())
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn over(&mut self, why: NotSeen) -> Over {
        self.note(Inside::default(), why);
        Over
    }

    fn miss(&mut self, region: &Region, why: NotSeen) {
        // Of swapped pages there are some in many places: one place says enough.
        if self.unseen.iter().all(|unseen| unseen.why != why) {
            self.note(region.inside(), why);
        }
    }

    fn note(&mut self, inside: Inside, why: NotSeen) {
        if self.unseen.iter().all(|unseen| unseen.why != why) {
            self.unseen.push(Unseen { inside, why });
        }
    }

    /// Scans the block and keeps its end for the next one.
    fn flush(&mut self) {
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        let scanned = self.scanner.scan(&self.block, self.until.saturating_duration_since(Instant::now()));
        match scanned.outcome {
            ScanOutcome::Timeout => self.note(Inside::default(), NotSeen::Time),
            outcome if outcome.is_trouble() => self.note(Inside::default(), NotSeen::Memory),
            _ => {}
        }
        for hit in scanned.hits {
            let hit = self.placed(hit);
            self.keep(hit);
        }
        let Some(last) = self.pieces.pop() else { return };
        let tail = last.len.min(OVERLAP);
        self.block.drain(..self.block.len() - tail);
        self.pieces.clear();
        self.pieces.push(Piece { at: 0, len: tail, address: last.end() - tail as u64, ..last });
    }

    /// Says where in the process a hit is: the region of its first match, and addresses.
    fn placed(&self, mut hit: Hit) -> Hit {
        for excerpt in &mut hit.excerpts {
            let at = usize::try_from(excerpt.offset).unwrap_or(0);
            let after = self.pieces.partition_point(|piece| piece.at <= at);
            let Some(piece) = after.checked_sub(1).and_then(|n| self.pieces.get(n)) else { continue };
            excerpt.offset = piece.address + (at - piece.at) as u64;
            if hit.inside.is_empty() {
                hit.inside = piece.inside.clone();
            }
        }
        hit
    }

    /// Keeps of each rule the first hit.
    fn keep(&mut self, hit: Hit) {
        if self.hits.len() < MAX_HITS * 4 && self.hits.iter().all(|known| known.rule != hit.rule) {
            self.hits.push(hit);
        }
    }

    fn ended(mut self) -> Looked {
        self.scanner.keep_severest(&mut self.hits);
        let worst = self.unseen.iter().map(|unseen| unseen.why.outcome()).max();
        let outcome = match self.hits.is_empty() {
            false => ScanOutcome::Matched,
            // A process has memory: where none was read, nobody knows what is in it.
            true if self.read == 0 => worst.unwrap_or(ScanOutcome::Unreadable),
            true => worst.unwrap_or(ScanOutcome::Clean),
        };
        Looked { scanned: Scanned { outcome, hits: self.hits }, unseen: self.unseen, read: self.read }
    }
}

/// Tells whether a rule is one that a worker finds by itself in memory.
pub(super) fn is_own(rule: &RuleId) -> bool {
    rule.as_str() == PROCESS_ELF
}
