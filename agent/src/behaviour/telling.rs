//! Tells what goes on and on: at once, then every few seconds with the newest figures. Pure.

use std::collections::HashMap;

use khien_core::{Timestamp, Untrusted, conduct::Deed};

use super::{
    tally::{AGAIN, WINDOW},
    verdict::Verdict,
};

/// What was told of a place under a rule, and what has come since.
#[derive(Debug, Default)]
pub(super) struct Telling(HashMap<(Untrusted, &'static str), Told>);

#[derive(Debug)]
struct Told {
    at: Timestamp,
    /// What was told last.
    deed: Deed,
    newer: Option<Verdict>,
}

impl Telling {
    /// Takes a verdict; returns it if nothing like it was told lately.
    pub(super) fn put(&mut self, verdict: Verdict, now: Timestamp) -> Option<Verdict> {
        let key = (verdict.path.clone(), verdict.behaviour.deed.rule());
        match self.0.get_mut(&key) {
            Some(told) => {
                told.deed = verdict.behaviour.deed.clone();
                told.newer = Some(verdict);
                None
            }
            None => {
                let deed = verdict.behaviour.deed.clone();
                self.0.insert(key, Told { at: now, deed, newer: None });
                Some(verdict)
            }
        }
    }

    /// Tells whether just this was told of a place lately.
    pub(super) fn goes_on(&self, place: &Untrusted, deed: &Deed) -> bool {
        self.0.get(&(place.clone(), deed.rule())).is_some_and(|told| told.deed == *deed)
    }

    /// Returns what is newer than what was told, and forgets what is over.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Verdict> {
        let mut due = Vec::new();
        for told in self.0.values_mut().filter(|told| now.duration_since(told.at) >= AGAIN) {
            if let Some(newer) = told.newer.take() {
                told.at = now;
                due.push(newer);
            }
        }
        self.0.retain(|_, told| told.newer.is_some() || now.duration_since(told.at) < WINDOW);
        due
    }
}
