//! Counts how a scan went, and says so at its end.

use std::{collections::BTreeMap, time::Duration};

use khien_core::{Lang, Untrusted, event::ScanOutcome, text::scan as t};
use serde::Serialize;

use super::{
    Ended,
    feed::{Answer, Done, How},
    rules::Loaded,
    walk::Passed,
};

/// Processes that are named; the others are counted.
const MAX_NAMED: usize = 16;

/// What is counted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    /// Files and folders that ended in one of the next three ways.
    pub(super) files: u64,
    /// Bytes that were handed to a worker.
    pub(super) bytes: u64,
    pub(super) matched: u64,
    clean: u64,
    not_scanned: u64,
    /// Files that matched and hold something that was not scanned; processes of which a part was not, matched or not.
    partly_scanned: u64,
    /// Files that were listed and were gone when their turn came.
    gone: u64,
    /// Processes that ended meanwhile or are the kernel's.
    #[serde(skip_serializing_if = "is_none")]
    without_memory: u64,
    /// Processes of Khiên's own that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    own: Vec<u32>,
    outcomes: BTreeMap<&'static str, u64>,
    /// Whether processes are counted, and not files.
    #[serde(skip)]
    of_processes: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    summary: All<'a>,
}

#[derive(Serialize)]
struct All<'a> {
    #[serde(flatten)]
    totals: &'a Totals,
    folders: u64,
    links: u64,
    special: u64,
    left_out: &'a [Untrusted],
    more_left_out: u64,
    rules: usize,
    rule_errors: &'a [String],
    seconds: f64,
    interrupted: bool,
    exit: u8,
}

impl Totals {
    /// Counts one that ended.
    pub(super) fn count(&mut self, done: &Done) {
        self.of_processes |= done.pid.is_some();
        let outcome = match &done.ended {
            How::Gone(_) => {
                self.gone += 1;
                return;
            }
            How::NoMemory => {
                self.without_memory += 1;
                return;
            }
            How::Own => {
                self.own.extend(done.pid);
                return;
            }
            How::NotScanned { outcome, .. } => *outcome,
            How::Scanned(answer) => {
                self.bytes += answer.size;
                self.partly_scanned += u64::from(is_partly_scanned(done, answer));
                answer.outcome
            }
        };
        self.files += 1;
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
        match outcome {
            ScanOutcome::Matched => self.matched += 1,
            ScanOutcome::Clean => self.clean += 1,
            _ => self.not_scanned += 1,
        }
    }

    /// Says how it ended.
    pub(super) fn ended(&self, interrupted: bool) -> Ended {
        match () {
            () if self.matched > 0 => Ended::Matched,
            () if self.not_scanned + self.gone > 0 || interrupted => Ended::Incomplete,
            () => Ended::Clean,
        }
    }

    /// Returns the last line of `--json`.
    pub(super) fn summary<'a>(
        &'a self,
        passed: &'a Passed,
        loaded: &'a Loaded,
        time: Duration,
        interrupted: bool,
    ) -> Summary<'a> {
        let summary = All {
            totals: self,
            folders: passed.folders,
            links: passed.links,
            special: passed.special,
            left_out: &passed.left_out,
            more_left_out: passed.more_left_out,
            rules: loaded.pack.rules.len(),
            rule_errors: &loaded.refused,
            seconds: (time.as_secs_f64() * 1e3).round() / 1e3,
            interrupted,
            exit: self.ended(interrupted) as u8,
        };
        Summary { summary }
    }

    /// Returns the lines for a person.
    pub(super) fn lines(
        &self,
        lang: Lang,
        passed: &Passed,
        time: Duration,
        interrupted: bool,
    ) -> Vec<String> {
        let (files, rate) = (&self.files, self.files as f64 / time.as_secs_f64().max(0.001));
        let (seconds, rate) = (format!("{:.1}", time.as_secs_f64()), format!("{rate:.0}"));
        let speed = sized((self.bytes as f64 / time.as_secs_f64().max(0.001)) as u64);
        let mut lines = Vec::new();
        if interrupted {
            lines.push(t::INTERRUPTED.get(lang).to_owned());
        }
        lines.extend(passed.left_out.iter().map(|path| t::LEFT_OUT.with(lang, &[path])));
        if passed.more_left_out > 0 {
            lines.push(t::LEFT_OUT_MORE.with(lang, &[&passed.more_left_out]));
        }
        let total = if self.of_processes { t::TOTAL_PROCESSES } else { t::TOTAL };
        lines.push(total.with(lang, &[files, &sized(self.bytes), &seconds, &rate, &speed]));
        lines.push(t::RESULT.with(lang, &[&self.matched, &self.clean, &self.not_scanned]));
        if self.partly_scanned > 0 {
            let partly = if self.of_processes { t::PARTLY_PROCESSES } else { t::PARTLY_TOTAL };
            lines.push(partly.with(lang, &[&self.partly_scanned]));
        }
        if !self.own.is_empty() {
            lines.push(t::OWN_PROCESSES.with(lang, &[&self.own.len(), &named(&self.own)]));
        }
        if self.gone > 0 {
            lines.push(t::GONE_TOTAL.with(lang, &[&self.gone]));
        }
        if self.without_memory > 0 {
            lines.push(t::GONE_PROCESSES.with(lang, &[&self.without_memory]));
        }
        if passed.links + passed.special > 0 {
            lines.push(t::PASSED.with(lang, &[&passed.links, &passed.special]));
        }
        lines
    }
}

/// Of a file that did not match nothing was scanned that counts; of a process the rest of its memory was.
fn is_partly_scanned(done: &Done, answer: &Answer) -> bool {
    let counts = answer.outcome == ScanOutcome::Matched || (done.pid.is_some() && answer.size > 0);
    counts && !answer.unseen.is_empty()
}

/// Names the first few.
fn named(pids: &[u32]) -> String {
    let named: Vec<String> = pids.iter().take(MAX_NAMED).map(u32::to_string).collect();
    let more = if pids.len() > MAX_NAMED { ", …" } else { "" };
    named.join(", ") + more
}

fn is_none(n: &u64) -> bool {
    *n == 0
}

/// Writes a number of bytes as people read it.
pub(crate) fn sized(bytes: u64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use khien_core::event::{Inside, NotSeen, Unseen};

    use super::*;

    fn scanned(pid: Option<u32>, outcome: ScanOutcome, why: Option<NotSeen>) -> Done {
        let unseen = why.map(|why| Unseen { inside: Inside::default(), why }).into_iter().collect();
        let answer = Answer { outcome, hits: Vec::new(), unseen, sha256: None, size: 7 };
        Done { path: "/x".into(), pid, ended: How::Scanned(Box::new(answer)) }
    }

    fn lines(done: &[Done]) -> String {
        let mut totals = Totals::default();
        done.iter().for_each(|done| totals.count(done));
        totals.lines(Lang::En, &Passed::default(), Duration::from_secs(1), false).join("\n")
    }

    #[test]
    fn every_process_of_which_a_part_was_missed_is_counted_whether_it_matched_or_not() {
        let said = lines(&[
            scanned(Some(1), ScanOutcome::Clean, None),
            scanned(Some(2), ScanOutcome::LimitExceeded, Some(NotSeen::Total)),
            scanned(Some(3), ScanOutcome::Matched, Some(NotSeen::Swapped)),
        ]);

        assert!(said.contains("1 matched, 1 clean, 1 not scanned"), "{said}");
        assert!(said.contains("of 2 processes a part of the memory was not scanned"), "{said}");
    }

    #[test]
    fn of_files_only_those_that_matched_are_partly_scanned() {
        let said = lines(&[
            scanned(None, ScanOutcome::LimitExceeded, Some(NotSeen::Total)),
            scanned(None, ScanOutcome::Matched, Some(NotSeen::Encrypted)),
        ]);

        assert!(said.contains("1 files matched and hold something that was not scanned"), "{said}");
    }

    #[test]
    fn khiens_own_processes_are_said_to_be_left_out_and_are_neither_clean_nor_not_scanned() {
        let own = |pid| Done { path: Untrusted::default(), pid: Some(pid), ended: How::Own };

        let said = lines(&[own(12), own(13), scanned(Some(1), ScanOutcome::Clean, None)]);

        assert!(said.contains("0 matched, 1 clean, 0 not scanned"), "{said}");
        assert!(
            said.contains("2 processes of Khiên's own, which hold the rules, were left out: 12, 13"),
            "{said}"
        );
    }
}
