//! What alerts hold of their flows. A look through the ring goes on a little with each frame that comes: nobody waits for it.

use std::{collections::VecDeque, sync::Arc};

use khien_core::traffic::Ends;

use super::{Frame, is_of, ring::Ring};

/// Flows of alerts of which packets are held.
pub(super) const MOST_HELD: usize = 64;
/// The most bytes that are held of one of them.
pub(super) const HELD_BYTES: usize = 256 << 10;
/// Frames of the ring that are looked at for each one that comes: some hundred nanoseconds.
pub(super) const FOR_EACH: u64 = 32;

/// What an alert holds of its flow.
#[derive(Debug, Clone)]
pub(super) struct Held {
    flow: u64,
    pub(super) frames: Vec<Frame>,
    pub(super) bytes: usize,
    /// The number of the frame in the ring that is looked at next.
    next: u64,
    is_full: bool,
}

/// What all alerts hold.
#[derive(Debug, Default)]
pub(super) struct Holds {
    held: VecDeque<Arc<Held>>,
    /// Flows for which the ring is looked through, the first one now.
    looks: VecDeque<(Ends, Held)>,
}

impl Holds {
    /// Has the packets of a flow held; for the same flow once more, those that came since. Of too many the oldest are given up.
    pub(super) fn hold(&mut self, ends: &Ends) {
        if self.looks.iter().any(|(_, held)| held.flow == ends.flow) {
            return;
        }
        let before = self.held.iter().position(|held| held.flow == ends.flow);
        let before = before.and_then(|place| self.held.remove(place)).map(Arc::unwrap_or_clone);
        let empty = Held { flow: ends.flow, frames: Vec::new(), bytes: 0, next: 0, is_full: false };
        self.looks.push_back((ends.clone(), before.unwrap_or(empty)));
        if self.looks.len() > MOST_HELD {
            self.looks.pop_front();
            tracing::debug!("packets of an alert are not held: there are too many alerts");
        }
    }

    /// Goes on with what is looked for, so many frames; `false` if there is nothing more to look for.
    pub(super) fn look(&mut self, ring: &Ring, most: u64) -> bool {
        let Some((ends, mut held)) = self.looks.pop_front() else { return false };
        let there = ring.numbers();
        let from = held.next.max(there.start);
        held.next = from.saturating_add(most).min(there.end);
        for (facts, bytes) in (from..held.next).filter_map(|number| ring.get(number)) {
            if held.is_full || !is_of(&ends, facts.link, bytes) {
                continue;
            }
            held.is_full = held.bytes + bytes.len() > HELD_BYTES;
            if !held.is_full {
                held.bytes += bytes.len();
                held.frames.push((*facts, bytes.to_vec()));
            }
        }
        if held.next < there.end && !held.is_full {
            self.looks.push_front((ends, held));
            return true;
        }
        self.held.push_back(Arc::new(held));
        if self.held.len() > MOST_HELD {
            self.held.pop_front();
        }
        !self.looks.is_empty()
    }

    /// Returns what is held.
    pub(super) fn all(&self) -> Vec<Arc<Held>> {
        self.held.iter().cloned().collect()
    }
}
