//! Looking into containers of files: every kind, hostile ones, and a million small changes of honest ones.
//!
//! All samples are made here, at run time, from harmless content.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod archives;
mod disguise;
mod documents;
mod fuzz;
mod hostile;
mod make;
mod messages;
mod packages;
mod scan;

use khien_core::{
    Untrusted,
    event::{Inside, NotSeen},
};
use khien_rules::unpack::{Flow, Limits, Outcome, Source, Visitor, walk};

/// What every innermost sample file holds.
pub(crate) const MARK: &[u8] = b"a harmless mark, for all to find: 0123456789 abcdefghijklmnopqrstuvwxyz\n";

/// Keeps what it was handed.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// How often it may still be asked whether to go on; none is for ever.
    pub(crate) patience: Option<u64>,
}

impl Visitor for Seen {
    fn file(&mut self, inside: &Inside, bytes: &[u8]) -> Flow {
        self.files.push((inside.to_string(), bytes.to_vec()));
        Flow::Go
    }

    fn keep_going(&mut self) -> bool {
        match &mut self.patience {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl Seen {
    /// The ways in to files that hold exactly the mark.
    pub(crate) fn marked(&self) -> Vec<&str> {
        self.files.iter().filter(|(_, bytes)| bytes == MARK).map(|(way, _)| way.as_str()).collect()
    }

    /// The ways in to files that hold the mark among other bytes.
    pub(crate) fn holding(&self) -> Vec<&str> {
        let holds = |bytes: &[u8]| bytes.windows(MARK.len()).any(|w| w == MARK);
        self.files.iter().filter(|(_, bytes)| holds(bytes)).map(|(way, _)| way.as_str()).collect()
    }
}

pub(crate) fn look(name: &str, bytes: &[u8]) -> (Seen, Outcome) {
    look_within(name, bytes, &Limits::default())
}

pub(crate) fn look_within(name: &str, bytes: &[u8], limits: &Limits) -> (Seen, Outcome) {
    let mut seen = Seen::default();
    let outcome = walk(Source::Bytes(bytes), &Untrusted::from(name), limits, &mut seen);
    assert_eq!(outcome.files, seen.files.len() as u64);
    (seen, outcome)
}

/// Walks and holds that nothing was left out.
pub(crate) fn look_well(name: &str, bytes: &[u8]) -> Seen {
    let (seen, outcome) = look(name, bytes);
    assert_eq!(outcome.troubles, [], "{:?}", seen.files.iter().map(|(way, _)| way).collect::<Vec<_>>());
    seen
}

pub(crate) fn troubles(outcome: &Outcome) -> Vec<(String, NotSeen)> {
    outcome.troubles.iter().map(|t| (t.inside.to_string(), t.why)).collect()
}
