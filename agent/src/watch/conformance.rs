//! The conformance matrix: the ways in which a file comes into being or changes, and whether each back end sees it.
//!
//! Every row is done by another program, and what it leaves carries a mark. A row holds when the mark is reported at the
//! row's paths by the real scan workers: seen by an event, or only by the walk over everything, or, where the table says
//! so, not at all. A row that does better than the table says fails too, so that the table stays true. The test prints
//! it as Markdown.

pub(super) mod acts;
mod place;
mod table;
mod told;
mod uring;

use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

use self::{
    Seen::{Event, Never, Walk},
    place::Place,
    table::TABLE,
};
use super::{Backend, tests::backends};

/// One way.
struct Way {
    /// As the documentation says it.
    name: &'static str,
    /// Shell lines that are done before the watch starts. `$I` is the row's watched folder, `$O` one outside, `$M` the
    /// mark.
    before: &'static str,
    act: Act,
    /// What carries the mark then, in the row's watched folder.
    leaves: &'static [&'static [u8]],
    fanotify: Seen,
    notify: Seen,
}

/// How it is done. A step of a process that stays ends with a word from it; the next begins when all that happened
/// before was looked at.
#[derive(Clone, Copy)]
enum Act {
    /// By a shell.
    Sh(&'static str),
    /// By a shell that mounts.
    Mount(&'static str),
    /// By a shell that stays until the end.
    Stay(&'static str),
    /// By a shell that stays, in two steps.
    Steps(&'static str, &'static str),
    /// By a function of [`acts`] in another process, which stays until the end.
    Call(&'static str),
    /// Like it, in two steps.
    CallInSteps(&'static str),
}

/// What sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// An event, at once.
    Event,
    /// Only the walk over everything.
    Walk,
    /// Nothing.
    Never,
}

impl Way {
    fn expected(&self, backend: Backend) -> Seen {
        if backend == Backend::Notify { self.notify } else { self.fanotify }
    }
}

#[test]
fn each_way_in_which_a_file_comes_or_changes_is_seen_and_scanned_as_the_matrix_says() {
    assert!(TABLE.len() >= 40);
    if rustix::process::geteuid().is_root() {
        super::tests::alone::with_own_mounts(conform);
    } else {
        println!("cannot run here: the rows of the matrix that mount: mounting needs root");
        conform();
    }
    println!("{}", markdown());
}

fn conform() {
    let wrong: Vec<String> = backends().into_iter().flat_map(wrong_with).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Does everything in the table and returns what was not as it says.
fn wrong_with(backend: Backend) -> Vec<String> {
    let mut place = Place::new(backend);
    let rows: Vec<(usize, &Way)> = TABLE.iter().enumerate().filter(|(_, way)| place.can(way)).collect();
    for (row, way) in &rows {
        place.prepare(*row, way);
    }
    place.watch();
    for (row, way) in &rows {
        place.act(*row, way);
    }
    place.wait_for_a_last_file();
    place.go_on();
    let wanted = |seen| rows.iter().filter(move |(_, w)| w.expected(backend) == seen);
    let by_event: Vec<_> = wanted(Event).copied().collect();
    place.wait_for(&by_event);
    place.wait_for_a_last_file();
    let early: BTreeMap<usize, bool> = rows.iter().map(|(row, way)| (*row, place.has(*row, way))).collect();
    // Events that were lost are made up for by a walk over what changed lately: then rows may do better.
    let walked_early = place.blind.clone();
    if let Some(cause) = &walked_early {
        println!("{backend:?}: {cause}");
    }
    place.walk();
    let seen = |row: usize, way: &Way| match (early[&row], place.has(row, way)) {
        (true, _) => Event,
        (false, true) => Walk,
        (false, false) => Never,
    };
    let judge = |(row, way): &(usize, &Way)| {
        let (is, says) = (seen(*row, way), way.expected(backend));
        let as_it_says = is == says || is < says && walked_early.is_some();
        (!as_it_says).then(|| format!("{backend:?}: {}: {is:?}, not {says:?}", way.name))
    };
    rows.iter().filter_map(judge).collect()
}

/// Returns the table as the documentation shows it.
fn markdown() -> String {
    let word = |seen| match seen {
        Event => "at once",
        Walk => "by the next walk",
        Never => "**not seen**",
    };
    let mut text = String::from("| how | fanotify | notify |\n|---|---|---|\n");
    for way in TABLE {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} | {} |", way.name, word(way.fanotify), word(way.notify));
    }
    text
}

/// How long everything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

fn patience() -> Instant {
    Instant::now() + PATIENCE
}
