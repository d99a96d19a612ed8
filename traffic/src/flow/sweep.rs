//! The engine's clocks: what waits is done, quiet flows are forgotten, and at the end all are told; a few at a time, so that
//! neither frames wait for it nor what it tells grows large.

use std::cmp::Reverse;

use khien_core::{Timestamp, traffic::FlowEnd};

use super::{CLASSES, Engine, MILLISECOND, SECOND, nanoseconds, timestamp};
use crate::sink::Sink;

/// How long new bytes wait for more before they are scanned, in nanoseconds.
pub(super) const QUIET: i64 = 100 * MILLISECOND;
/// How long a hole is waited for, at least; twice as long at most.
const HOLE: i64 = SECOND;
/// How often old flows are looked for while frames come.
const SWEEP: i64 = 100 * MILLISECOND;
/// What is done between two frames when much is due: more than a frame can begin.
pub(super) const FEW: usize = 8;
/// What is done at one time when nobody waits.
pub(super) const MANY: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    slot: u32,
    /// The flow that was there when the clock was set.
    number: u64,
    kind: Clock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    Quiet,
    Hole,
}

impl Engine {
    /// Does what waited for this time, as much as may be at once; [`next_wait`](Self::next_wait) says whether more is due.
    pub fn tick(&mut self, now: Timestamp, sink: &mut impl Sink) {
        self.now = self.now.max(nanoseconds(now));
        self.sweep(MANY, sink);
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn next_wait(&self) -> Option<Timestamp> {
        let idle = CLASSES.into_iter().filter_map(|class| {
            let oldest = self.table.oldest(class as usize)?;
            Some(self.table[oldest].seen.saturating_add(self.idle(class)))
        });
        let clock = self.waits.peek().map(|Reverse((at, _))| *at);
        idle.chain(clock).chain(self.fragments.next_wait()).min().map(timestamp)
    }

    /// Ends every flow: the capture is over.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        while !self.finish_some(sink) {}
    }

    /// Ends some flows, and tells whether none is left: whoever takes what is told between two calls never holds much.
    pub fn finish_some(&mut self, sink: &mut impl Sink) -> bool {
        self.fragments.finish();
        let mut left = MANY;
        for class in CLASSES {
            while left > 0
                && let Some(oldest) = self.table.oldest(class as usize)
            {
                self.forget(oldest, FlowEnd::CaptureEnd, sink);
                left -= 1;
            }
        }
        let is_over = self.table.len() == 0;
        if is_over {
            self.waits.clear();
        }
        is_over
    }

    /// Sets the clocks of a flow that do not run yet.
    pub(super) fn arm(&mut self, slot: u32) {
        let entry = &mut self.table[slot];
        let (number, has_hole) = (entry.number, entry.has_hole());
        let Some(talk) = &mut entry.talk else { return };
        let wanted =
            [(Clock::Quiet, self.limits.scan && talk.is_fresh(), QUIET), (Clock::Hole, has_hole, HOLE)];
        for (kind, is_wanted, after) in wanted {
            if is_wanted && !std::mem::replace(&mut talk.armed[kind as usize], true) {
                self.waits.push(Reverse((self.now.saturating_add(after), Wait { slot, number, kind })));
            }
        }
    }

    /// Does so much of what is due.
    pub(super) fn sweep(&mut self, most: usize, sink: &mut dyn Sink) {
        self.fragments.tick(self.now);
        let mut left = most;
        while left > 0
            && let Some(Reverse((at, wait))) = self.waits.peek().copied()
            && at <= self.now
        {
            self.waits.pop();
            self.awake(wait, sink);
            left -= 1;
        }
        for class in CLASSES {
            while left > 0
                && let Some(oldest) = self.table.oldest(class as usize)
                && self.now.saturating_sub(self.table[oldest].seen) >= self.idle(class)
            {
                self.forget(oldest, FlowEnd::Idle, sink);
                left -= 1;
            }
        }
        // With more to do the next frame goes on.
        self.sweep_at = if left > 0 { self.now.saturating_add(SWEEP) } else { self.now };
    }

    fn awake(&mut self, wait: Wait, sink: &mut dyn Sink) {
        if self.table.get(wait.slot).is_none_or(|entry| entry.number != wait.number) {
            return;
        }
        let Some(mut talk) = self.table[wait.slot].talk.take() else { return };
        talk.armed[wait.kind as usize] = false;
        let mut scene = self.scene(wait.slot, self.now, sink);
        match wait.kind {
            Clock::Quiet => talk.quiet(&mut scene),
            Clock::Hole => talk.pass_old_holes(&mut scene),
        }
        self.table[wait.slot].talk = Some(talk);
        self.settle(wait.slot, sink);
    }
}
