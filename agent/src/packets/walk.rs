//! A walk through the ring for an order, from the newest frame back, a slice at a time: between two of them frames are taken in.

use std::{ops::Range, sync::Arc};

use khien_core::{Timestamp, order::PacketTarget};

use super::{Facts, Frame, OVERHEAD, file, hold::Held, is_wanted, ring::Ring};

/// Frames of one slice, and the bytes that are copied of them: some ten microseconds, in which a frame waits.
const SLICE: u64 = 512;
const SLICE_BYTES: u64 = 256 << 10;

/// What was chosen.
#[derive(Debug)]
pub(super) struct Walk<'t> {
    target: &'t PacketTarget,
    since: Timestamp,
    /// What alerts hold of it, in the order of time.
    held: Vec<(Arc<Held>, usize)>,
    recent: Vec<Frame>,
    /// Bytes of the file that are left.
    room: u64,
    is_full: bool,
    left_out: u64,
    /// The number of the oldest frame when the walk began.
    oldest: u64,
    /// The number of the frame before which it goes on.
    before: u64,
    /// Whether the last frame that was seen was new enough.
    is_recent: bool,
}

/// Frames for a file, in the order of time.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) frames: Vec<Frame>,
    /// Older ones that did not fit.
    pub(super) left_out: u64,
    /// Those that made room before they were looked at, whatever they were.
    pub(super) overwritten: u64,
}

impl<'t> Walk<'t> {
    /// Begins behind the newest frame: of what alerts hold all is chosen, of the ring what came since then.
    pub(super) fn new(
        target: &'t PacketTarget,
        since: Timestamp,
        (there, held): (Range<u64>, Vec<Arc<Held>>),
    ) -> Self {
        let each = |held: Arc<Held>| (0..held.frames.len()).map(move |place| (Arc::clone(&held), place));
        let mut held: Vec<_> = held.into_iter().flat_map(each).collect();
        held.retain(|(held, place)| is_wanted(target, held.frames[*place].0.link, &held.frames[*place].1));
        held.sort_by_key(|(held, place)| held.frames[*place].0.at);
        Self {
            target,
            since,
            held,
            recent: Vec::new(),
            room: target.most_bytes().saturating_sub(file::HEAD),
            is_full: false,
            left_out: 0,
            oldest: there.start,
            before: there.end,
            is_recent: true,
        }
    }

    /// Looks at the next slice, and tells whether there is more.
    pub(super) fn step(&mut self, ring: &Ring) -> bool {
        let end = self.before.saturating_sub(SLICE).max(ring.numbers().start);
        let mut copied = 0;
        while self.before > end && copied < SLICE_BYTES {
            self.before -= 1;
            let Some((facts, bytes)) = ring.get(self.before) else { continue };
            self.is_recent = facts.at >= self.since;
            if !self.is_recent || !is_wanted(self.target, facts.link, bytes) || self.is_held(&(facts, bytes))
            {
                continue;
            }
            let cost = bytes.len() as u64 + OVERHEAD;
            self.is_full |= cost > self.room;
            if self.is_full {
                self.left_out += 1;
                continue;
            }
            self.room -= cost;
            copied += cost;
            self.recent.push((*facts, bytes.to_vec()));
        }
        self.before > ring.numbers().start
    }

    fn is_held(&self, (facts, bytes): &(&Facts, &[u8])) -> bool {
        let at = |(held, place): &(Arc<Held>, usize)| held.frames[*place].0.at;
        let first = self.held.partition_point(|held| at(held) < facts.at);
        let same_time = self.held[first..].iter().take_while(|held| at(held) == facts.at);
        same_time.into_iter().any(|(held, place)| {
            let (known, frame) = &held.frames[*place];
            known == *facts && frame == bytes
        })
    }

    /// Returns what was chosen: of more than fit, the newest.
    pub(super) fn end(self) -> Chosen {
        let overwritten = if self.is_recent { self.before.saturating_sub(self.oldest) } else { 0 };
        let mut frames = self.recent;
        frames.extend(self.held.iter().map(|(held, place)| held.frames[*place].clone()));
        frames.sort_by_key(|(facts, _)| facts.at);
        let mut room = self.target.most_bytes().saturating_sub(file::HEAD);
        let fits = |(_, bytes): &&Frame| {
            let rest = room.checked_sub(bytes.len() as u64 + OVERHEAD);
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        let many = frames.iter().rev().take_while(fits).count();
        let cut = frames.len() - many;
        frames.drain(..cut);
        Chosen { frames, left_out: self.left_out + cut as u64, overwritten }
    }
}
