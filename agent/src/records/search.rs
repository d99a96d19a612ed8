//! A search through what is kept, beside whoever writes: it has a list of the segments of one moment, and opens them itself.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp,
    order::{MOST_FOUND_BYTES, RecordGap, RecordQuery, RecordsFound},
    time::{self, SignedDuration},
    traffic::Record,
};

use super::{RecordsError, block::Span, gaps::Few, keys, segment::Segment};

/// How long a search may take: who ordered it waits, and few go on at a time.
const SEARCH: Duration = Duration::from_secs(10);
/// Records of one segment that lie further apart were written while the clock was set.
const LONGEST: SignedDuration = SignedDuration::from_hours(48);
/// A loss is noted after it was one: what waits is written at once, or when the disk has room again.
const NOTED_IN: SignedDuration = SignedDuration::from_mins(1);

/// What there is to look through.
#[derive(Debug)]
pub(super) struct Shelf {
    /// The segments, the newest first.
    pub(super) segments: Vec<(PathBuf, Option<Span>)>,
    /// Whether older ones were there.
    pub(super) cut: bool,
    /// How many were set aside.
    pub(super) unread: u64,
    /// Records that were lost, which is not noted yet.
    pub(super) lost: u64,
    /// The times of which records are missing.
    pub(super) gaps: Vec<RecordGap>,
    /// When that was so.
    pub(super) at: Timestamp,
}

/// A search that goes on.
struct Search<'q> {
    query: &'q RecordQuery,
    key: Option<u64>,
    until: Instant,
    bytes: usize,
    found: RecordsFound,
}

impl Shelf {
    /// Looks something up, the newest first.
    pub(super) fn search(self, query: &RecordQuery) -> RecordsFound {
        let found =
            RecordsFound { cut: self.cut, unread: self.unread, lost: self.lost, ..Default::default() };
        let key = keys::sought(query.sought());
        let mut search = Search { query, key, until: Instant::now() + SEARCH, bytes: 0, found };
        let until = time::after(query.until(), NOTED_IN);
        let mut kept: Vec<Option<Span>> = self.segments.iter().map(|(_, span)| *span).collect();
        for (place, (file, span)) in self.segments.iter().enumerate() {
            if !span.is_some_and(|(first, last)| first <= until && last >= query.since()) {
                continue;
            }
            if search.is_over() {
                break;
            }
            match Segment::look_into(file) {
                Ok(segment) => search.look(&segment),
                Err(_) if !file.exists() => {
                    // This one and all before it made room meanwhile.
                    kept.truncate(place);
                    search.found.cut = true;
                    break;
                }
                Err(error) => search.fail(&error),
            }
        }
        let kept_since = kept.into_iter().flatten().map(begins).min();
        search.found.kept_since = kept_since;
        search.found.kept_until = kept_since.map(|_| query.until().min(self.at));
        search.found.gaps = gaps(self.gaps, query, kept_since);
        search.found.records.sort_by_key(|record| std::cmp::Reverse(record.at));
        search.found
    }
}

impl Search<'_> {
    fn look(&mut self, segment: &Segment) {
        let time = (self.query.since(), self.query.until());
        match segment.lost((time.0, time::after(time.1, NOTED_IN))) {
            Ok(lost) => {
                self.found.lost = self.found.lost.saturating_add(lost);
            }
            Err(error) => self.fail(&error),
        }
        let done = segment.look(self.key, time, |records| {
            match records {
                Some(records) => records.into_iter().rev().for_each(|record| self.take(record)),
                None => self.found.unread += 1,
            }
            match self.is_over() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &RecordsError) {
        tracing::error!(%error, "a segment of records cannot be searched");
        self.found.unread += 1;
    }

    fn take(&mut self, record: Record) {
        if !self.query.takes(&record) {
            return;
        }
        let bytes = serde_json::to_string(&record).map_or(0, |text| text.len());
        let has_room = self.found.records.len() < self.query.most() as usize;
        if !has_room || self.bytes + bytes > MOST_FOUND_BYTES {
            self.found.more = true;
            return;
        }
        self.bytes += bytes;
        self.found.records.push(record);
    }

    fn is_over(&mut self) -> bool {
        let late = Instant::now() >= self.until;
        self.found.unfinished |= late;
        late || self.found.more
    }
}

/// Returns the gaps of the time that was asked for. Before the first record nothing is known in any case.
fn gaps(mut all: Vec<RecordGap>, query: &RecordQuery, kept_since: Option<Timestamp>) -> Vec<RecordGap> {
    let since = kept_since.map_or(query.since(), |kept| kept.max(query.since()));
    all.retain(|gap| gap.since <= query.until() && gap.until >= since);
    all.sort_by_key(|gap| gap.since);
    let mut few = Few::default();
    all.into_iter().for_each(|gap| few.add(gap));
    few.into_all()
}

/// Returns since when a segment surely has records. The first of one that spans too much has the time of a wrong clock.
pub(super) fn begins((first, last): Span) -> Timestamp {
    if last.duration_since(first) > LONGEST { last } else { first }
}
