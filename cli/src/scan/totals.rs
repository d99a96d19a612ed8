//! Counts how a scan went, and says so at its end.

use std::{collections::BTreeMap, time::Duration};

use khien_core::{Lang, Untrusted, event::ScanOutcome, text::scan as t};
use serde::Serialize;

use super::{
    Ended,
    feed::{Done, How},
    rules::Loaded,
    walk::Passed,
};

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
    /// Files that matched and hold something that was not scanned.
    partly_scanned: u64,
    /// Files that went before their turn.
    gone: u64,
    outcomes: BTreeMap<&'static str, u64>,
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
        let outcome = match &done.ended {
            How::Gone => {
                self.gone += 1;
                return;
            }
            How::NotScanned { outcome, .. } => *outcome,
            How::Scanned(answer) => {
                self.bytes += answer.size;
                self.partly_scanned +=
                    u64::from(answer.outcome == ScanOutcome::Matched && !answer.unseen.is_empty());
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
            () if self.not_scanned > 0 || interrupted => Ended::Incomplete,
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
        lines.push(t::TOTAL.with(lang, &[files, &sized(self.bytes), &seconds, &rate, &speed]));
        lines.push(t::RESULT.with(lang, &[&self.matched, &self.clean, &self.not_scanned]));
        if self.partly_scanned > 0 {
            lines.push(t::PARTLY_TOTAL.with(lang, &[&self.partly_scanned]));
        }
        if passed.links + passed.special + self.gone > 0 {
            lines.push(t::PASSED.with(lang, &[&passed.links, &passed.special, &self.gone]));
        }
        lines
    }
}

/// Writes a number of bytes as people read it.
pub(super) fn sized(bytes: u64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
