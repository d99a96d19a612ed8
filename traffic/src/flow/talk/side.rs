//! One direction of what a flow says: what is to be scanned of it, of what it is a part, and what never came by.

use std::ops::Range;

use khien_core::{
    Untrusted,
    event::{Direction, FlowFacts},
};

use super::super::{
    history::History,
    scene::Scene,
    window::{Cut, Window},
};
use crate::sink::Job;

/// Passed holes of each direction whose bytes are still taken when they come late.
const MAX_HOLES: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) window: Window,
    pub(super) history: History,
    /// In which exchange it is: clients ask for the next thing before they have the last one.
    pub(super) exchange: u64,
    pub(super) asked: Option<Asked>,
    /// Holes that were given up, and late bytes of them, which no follower reads.
    pub(super) holes: Vec<Range<u64>>,
    pub(super) late: Window,
    /// Where the last hole began, and what stands right before it, if it is scanned as it is.
    pub(super) before: (u64, Vec<u8>),
    /// Urgent bytes, which the receiver takes out of the stream.
    pub(super) urgent: Vec<u64>,
    /// How long the stream was when a hole was last looked for.
    pub(super) mark: Option<u64>,
}

/// What an exchange asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) name: Option<Untrusted>,
    pub(super) url: Option<Untrusted>,
}

/// What is said of the pieces of one direction.
pub(super) struct About<'t> {
    pub(super) direction: Direction,
    pub(super) exchange: u64,
    pub(super) asked: Option<&'t Asked>,
}

impl About<'_> {
    /// Hands a cut out to be scanned. Most are not copied for that, nor is anything said of them: no rule can match them.
    pub(super) fn scan(&self, cut: Option<Cut<'_>>, scene: &mut Scene<'_>) {
        let Some(Cut { offset, bytes }) = cut.filter(|_| scene.wants.bodies) else { return };
        if !scene.sink.wants(bytes) {
            return;
        }
        let (origin, facts) = (scene.origin(self.exchange), self.facts(scene));
        scene.sink.scan(Job { origin, facts, offset, bytes: bytes.to_vec() });
    }

    pub(super) fn facts(&self, scene: &Scene<'_>) -> FlowFacts {
        match self.asked {
            Some(asked) => {
                FlowFacts { name: asked.name.clone(), ..scene.facts(self.direction, asked.url.as_ref()) }
            }
            None => scene.facts(self.direction, None),
        }
    }
}

impl Side {
    /// Returns how many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.window.held() + self.late.held() + self.before.1.capacity()
    }

    /// Notes a hole that was given up.
    pub(super) fn pass(&mut self, hole: Range<u64>) {
        if self.holes.len() == MAX_HOLES {
            self.holes.remove(0);
        }
        self.holes.push(hole);
    }

    /// Keeps what stands before a hole, to be joined to what comes late.
    pub(super) fn keep_before(&mut self, hole: u64) {
        let is_there = self.window.end() == hole;
        self.before = (hole, if is_there { self.window.last().to_vec() } else { Vec::new() });
    }

    /// Returns what is held of the bytes around late ones.
    pub(super) fn around(&self, late: &Range<u64>) -> [Vec<u8>; 2] {
        let (end, before) = &self.before;
        let before = if *end == late.start { before.clone() } else { Vec::new() };
        [before, self.window.from(late.end).to_vec()]
    }

    /// Returns a part of these bytes that falls into a hole, which is none there any more.
    pub(super) fn fill(&mut self, bytes: Range<u64>) -> Option<Range<u64>> {
        let place = self.holes.iter().position(|hole| hole.start < bytes.end && bytes.start < hole.end)?;
        let hole = self.holes.remove(place);
        let found = hole.start.max(bytes.start)..hole.end.min(bytes.end);
        for rest in [hole.start..found.start, found.end..hole.end] {
            if !rest.is_empty() {
                self.pass(rest);
            }
        }
        Some(found)
    }
}
