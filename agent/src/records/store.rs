//! All segments: the newest is written to, the oldest goes when there are too many bytes or its days are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use khien_core::{
    Timestamp,
    order::RecordGap,
    time::{self, SignedDuration},
};

use super::{
    Limits, RecordsError, WAIT,
    block::{Block, Span},
    forecast,
    gaps::Why,
    search::{Shelf, begins},
    segment::{self, Segment},
};

/// A segment is of one of so many parts of all bytes: what goes at once when room is needed.
const PARTS: u64 = 16;
/// And of so many hours at the most.
const HOURS: i64 = 24;
/// What the name of a segment ends with.
const END: &str = ".records";
/// No segment has a higher number: not with one each second for a million years.
const MOST_NUMBERS: u64 = 1 << 45;
/// By their age segments go no faster than one in so long: a clock that is wrong for a moment must not take all.
const AGE_PACE: SignedDuration = SignedDuration::from_hours(1);
/// By their size they go no faster either: whoever makes many records must not wipe out the past in a minute. What finds no room
/// until then is lost and told.
const SIZE_PACE: SignedDuration = SignedDuration::from_mins(10);

/// The kept records.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    limits: Limits,
    /// The segment that is written to, and its number.
    current: (u64, Segment),
    /// Those before it.
    older: BTreeMap<u64, Older>,
    /// Of what nothing is seen now.
    blind: BTreeSet<String>,
    /// Segments that were set aside, now or before.
    damaged: u64,
    /// When one went last because its days were over.
    aged: Option<Timestamp>,
    /// When one went last because there was no room.
    crowded: Option<Timestamp>,
}

/// What is known of a segment that is not written to any more.
#[derive(Debug, Clone, Default)]
struct Older {
    span: Option<Span>,
    gaps: Vec<RecordGap>,
}

impl Store {
    /// Opens what is there, and begins a new segment. If the agent died while it wrote that is noted.
    pub(super) fn open(dir: PathBuf, limits: Limits, now: Timestamp) -> Result<Self, RecordsError> {
        let aside = numbers(&dir, segment::DAMAGED)?;
        let (mut older, mut damaged) = (BTreeMap::new(), aside.len() as u64);
        let mut next = aside.last().map_or(0, |number| number.saturating_add(1));
        for number in numbers(&dir, "")? {
            next = next.max(number.saturating_add(1));
            let file = dir.join(name(number));
            match taken_up(&file, now) {
                Ok(found) => {
                    older.insert(number, found);
                }
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, file = %file.display(), "a segment of records cannot be read, it is set aside");
                    damaged += 1;
                    segment::set_aside(&file)?;
                }
                Err(error) => return Err(error),
            }
        }
        // A segment that was hardly begun is gone on with.
        let last = older.last_key_value().map(|(number, older)| (*number, older.span));
        let number = match last {
            Some((number, span)) if is_young(span, now) => number,
            _ => next,
        };
        older.remove(&number);
        let current = (number, Segment::open(&dir.join(name(number)))?);
        let blind = BTreeSet::new();
        let mut store = Self { dir, limits, current, older, blind, damaged, aged: None, crowded: None };
        store.make_room(now);
        if let Err(error) = store.current.1.live(now) {
            tracing::warn!(%error, "if the agent dies now, hunts will not say so");
        }
        Ok(store)
    }

    /// Adds blocks of records, all or none.
    ///
    /// # Errors
    /// [`RecordsError::Full`] if there is no room and the oldest may not go yet; those of the database.
    pub(super) fn add(&mut self, blocks: &[Block], now: Timestamp) -> Result<(), RecordsError> {
        self.make_room(now);
        if !self.older.is_empty() && self.bytes() > self.limits.bytes {
            return Err(RecordsError::Full);
        }
        let (number, current) = &mut self.current;
        let span = current.span();
        let full = current.settled_bytes() >= self.limits.bytes / PARTS;
        if span.is_some() && (full || !is_young(span, now)) {
            let next = *number + 1;
            let segment = Segment::open(&self.dir.join(name(next)))?;
            self.blind.iter().try_for_each(|scope| segment.begin_gap(now, Why::Blind, scope))?;
            current.end_gaps(now, None)?;
            current.rest()?;
            let gaps = current.gaps(now)?;
            let (number, before) = std::mem::replace(&mut self.current, (next, segment));
            before.close();
            self.older.insert(number, Older { span, gaps });
        }
        self.current.1.add(blocks, now)
    }

    /// Notes that records were lost in some time.
    pub(super) fn note_lost(&mut self, many: u64, span: Span) -> Result<(), RecordsError> {
        self.current.1.note_lost(many, span)
    }

    /// Notes that nothing waits to be written: if the agent ends now nothing is lost.
    /// That goes on until the next start.
    pub(super) fn rest(&self, now: Timestamp) -> Result<(), RecordsError> {
        self.current.1.begin_gap(now, Why::Stopped, "")?;
        self.current.1.rest()
    }

    /// Notes whether anything is seen of a part from now on.
    pub(super) fn sight(&mut self, scope: String, sees: bool, now: Timestamp) -> Result<(), RecordsError> {
        let is_news = match sees {
            true => self.blind.remove(&scope),
            false => self.blind.insert(scope.clone()),
        };
        match (is_news, sees) {
            (false, _) => Ok(()),
            (true, true) => self.current.1.end_gaps(now, Some(&scope)),
            (true, false) => self.current.1.begin_gap(now, Why::Blind, &scope),
        }
    }

    /// Removes the oldest segments, as fast as they may go. One that cannot be removed does not keep the others.
    fn make_room(&mut self, now: Timestamp) {
        let oldest = time::after(now, SignedDuration::from_hours(-HOURS * i64::from(self.limits.days)));
        let passed =
            |last: Option<Timestamp>, pace| last.is_none_or(|last| now.duration_since(last).abs() >= pace);
        while let Some((&number, first)) = self.older.first_key_value() {
            let is_over = passed(self.aged, AGE_PACE) && first.span.is_none_or(|(_, last)| last < oldest);
            let is_crowded = passed(self.crowded, SIZE_PACE) && self.bytes() > self.limits.bytes;
            match (is_over, is_crowded) {
                (true, _) => self.aged = Some(now),
                (false, true) => self.crowded = Some(now),
                (false, false) => break,
            }
            tracing::info!(number, is_over, "the oldest records of the network make room");
            self.remove(number);
        }
    }

    /// Takes over how much is kept. Where that is less than before, the oldest go at once: no flood takes their room.
    pub(super) fn obey(&mut self, limits: Limits) {
        let is_less = limits.bytes < self.limits.bytes;
        self.limits = limits;
        while is_less && self.bytes() > self.limits.bytes {
            let Some((&number, _)) = self.older.first_key_value() else { return };
            tracing::info!(number, "the oldest records of the network go, as the policy says");
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Err(error) = segment::remove(&self.dir.join(name(number))) {
            tracing::warn!(%error, number, "a segment of records cannot be removed");
        }
        self.older.remove(&number);
    }

    /// Returns how many bytes all of it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        let older = self.older.keys().map(|number| segment::size(&self.dir.join(name(*number))));
        older.sum::<u64>() + self.current.1.bytes()
    }

    /// Returns since when there are records.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let spans = self.older.values().map(|older| older.span).chain([self.current.1.span()]);
        spans.flatten().map(begins).min()
    }

    /// Returns how many bytes a day they take, if that is known.
    pub(super) fn daily(&self, now: Timestamp) -> Option<u64> {
        let current = (self.current.1.settled_bytes(), self.current.1.span());
        let older = self.older.iter().rev();
        let older = older.map(|(number, older)| (segment::size(&self.dir.join(name(*number))), older.span));
        forecast::daily(std::iter::once(current).chain(older), now)
    }

    /// Returns what there is to look through now, beside so many lost records that are not noted yet.
    ///
    /// # Errors
    /// Those of the database: what is missing must be known.
    pub(super) fn shelf(&self, lost: u64, now: Timestamp) -> Result<Shelf, RecordsError> {
        let (number, current) = &self.current;
        let all = std::iter::once((*number, current.span()))
            .chain(self.older.iter().rev().map(|(number, older)| (*number, older.span)));
        let segments: Vec<_> = all.map(|(number, span)| (self.dir.join(name(number)), span)).collect();
        let first = self.older.first_key_value().map_or(*number, |(number, _)| *number);
        let mut gaps: Vec<_> = self.older.values().flat_map(|older| older.gaps.clone()).collect();
        gaps.extend(current.gaps(now)?);
        Ok(Shelf { segments, cut: first > 0, unread: self.damaged, lost, gaps, at: now })
    }
}

/// Returns how many bytes all that is in a folder takes.
pub(super) fn taken(dir: &Path) -> io::Result<u64> {
    Ok(numbers(dir, "")?.into_iter().map(|number| segment::size(&dir.join(name(number)))).sum())
}

/// Looks into a segment of an earlier life. What the agent died over is noted: it was about to be written then, or later. What
/// was not written down up to now is from now on.
fn taken_up(file: &Path, now: Timestamp) -> Result<Older, RecordsError> {
    let mut segment = Segment::open(file)?;
    if let Some(at) = segment.died()? {
        let wait = SignedDuration::try_from(WAIT).unwrap_or(SignedDuration::ZERO);
        segment.note_lost(0, (time::after(at, -wait).min(now), now))?;
        segment.rest()?;
    }
    segment.end_gaps(now, None)?;
    let older = Older { span: segment.span(), gaps: segment.gaps(now)? };
    segment.close();
    Ok(older)
}

fn is_young(span: Option<Span>, now: Timestamp) -> bool {
    span.is_none_or(|(first, _)| now.duration_since(first) < SignedDuration::from_hours(HOURS))
}

fn name(number: u64) -> String {
    format!("{number:08}{END}")
}

/// Returns the numbers of the segments that are there, rising: of those with nothing more behind their names, or with this.
fn numbers(dir: &Path, behind: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = |name: &str| name.strip_suffix(behind)?.strip_suffix(END)?.parse::<u64>().ok();
        numbers.extend(name.to_str().and_then(number));
    }
    // Others are not ours.
    numbers.retain(|number| *number < MOST_NUMBERS);
    numbers.sort_unstable();
    Ok(numbers)
}
