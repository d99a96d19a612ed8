//! What a scan prints: matches on stdout as they come, the rest on stderr.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use anyhow::Result;
use khien_core::{
    Lang, RuleId, Severity, Sha256, Untrusted,
    event::{Excerpt, Inside, ScanOutcome, Unseen},
    text::{alert, scan as t},
};
use khien_rules::Hit;
use serde::Serialize;

use super::{
    Ended,
    feed::{Answer, Done, How},
    rules::Loaded,
    totals::{Totals, sized},
    walk::Passed,
};
use crate::output::{is_plain, print, print_json_line, sane, say};

/// Rules that are left out and are named; the others are counted.
const MAX_REFUSED: usize = 20;
/// The outcome of a file that was listed and was not there when its turn came.
const GONE: &str = "gone";
/// How often the progress is written.
const OFTEN: Duration = Duration::from_millis(200);
/// The width that is taken when a terminal does not tell its own.
const WIDTH: u16 = 80;

/// Prints and counts.
pub(super) struct Teller {
    lang: Lang,
    json: bool,
    all: bool,
    colour: bool,
    /// Whether somebody sits there.
    is_attended: bool,
    /// The line at the foot of a terminal on which it can stand.
    progress: Option<Progress>,
    totals: Totals,
    passed: Passed,
    begun: Instant,
}

/// The line at the foot of the terminal.
struct Progress {
    /// Whether it stands there.
    stands: bool,
    /// When it was written last.
    at: Option<Instant>,
    last: Untrusted,
}

/// One file of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    path: &'a Untrusted,
    outcome: &'static str,
    size: Option<u64>,
    sha256: Option<Sha256>,
    matches: Vec<Match<'a>>,
    #[serde(skip_serializing_if = "<[Unseen]>::is_empty")]
    unseen: &'a [Unseen],
    /// Why it, or some of it, was not scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One match of `--json`.
#[derive(Serialize)]
struct Match<'a> {
    rule: &'a RuleId,
    #[serde(skip_serializing_if = "Option::is_none")]
    yara: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    severity: Severity,
    title: &'a str,
    inside: &'a Inside,
    excerpts: &'a [Excerpt],
}

impl Teller {
    /// Prepares for one scan.
    pub(super) fn new(lang: Lang, json: bool, all: bool) -> Self {
        let (is_attended, is_plain) = (io::stderr().is_terminal(), is_plain());
        let progress = || Progress { stands: false, at: None, last: Untrusted::default() };
        Self {
            lang,
            json,
            all,
            colour: io::stdout().is_terminal() && !is_plain,
            is_attended,
            progress: (is_attended && !is_plain).then(progress),
            totals: Totals::default(),
            passed: Passed::default(),
            begun: Instant::now(),
        }
    }

    /// Says that rules are being read, which may take a while.
    pub(super) fn loading(&mut self) {
        if self.is_attended {
            say(t::LOADING.get(self.lang));
        }
    }

    /// Says which rules run and which do not.
    pub(super) fn loaded(&mut self, loaded: &Loaded) {
        for refused in loaded.refused.iter().take(MAX_REFUSED) {
            say(&t::REFUSED.with(self.lang, &[refused]));
        }
        if let Some(more) = loaded.refused.len().checked_sub(MAX_REFUSED).filter(|more| *more > 0) {
            say(&t::REFUSED_MORE.with(self.lang, &[&more]));
        }
        if self.is_attended {
            say(&t::LOADED.with(self.lang, &[&loaded.pack.rules.len(), &loaded.sources]));
        }
        self.begun = Instant::now();
    }

    /// Tells how one file ended.
    pub(super) fn done(&mut self, done: &Done, loaded: &Loaded) -> Result<()> {
        self.totals.count(done);
        if let Some(progress) = &mut self.progress {
            done.path.clone_into(&mut progress.last);
        }
        match self.json {
            true => self.line(done, loaded),
            false => self.words(done, loaded),
        }
    }

    /// Takes what the walk passed by.
    pub(super) fn walked(&mut self, passed: Passed) {
        self.passed = passed;
    }

    /// Tells the totals.
    pub(super) fn finish(&mut self, interrupted: bool, loaded: &Loaded) -> Result<Ended> {
        let time = self.begun.elapsed();
        self.wipe();
        if !self.json || self.is_attended {
            self.totals.lines(self.lang, &self.passed, time, interrupted).iter().for_each(|line| say(line));
            if !loaded.refused.is_empty() {
                say(&t::REFUSED_TOTAL.with(self.lang, &[&loaded.refused.len()]));
            }
        }
        if self.json {
            print_json_line(&self.totals.summary(&self.passed, loaded, time, interrupted))?;
        }
        Ok(self.totals.ended(interrupted))
    }

    fn line(&mut self, done: &Done, loaded: &Loaded) -> Result<()> {
        let lang = self.lang;
        let line = match &done.ended {
            How::NoMemory | How::Own => return Ok(()),
            How::Gone(_) => not_scanned_line(done, GONE, None, t::GONE_WHY.get(lang)),
            How::NotScanned { outcome, why, size } => {
                not_scanned_line(done, outcome.as_str(), *size, why.get(lang))
            }
            How::Scanned(answer) if answer.outcome == ScanOutcome::Clean && !self.all => return Ok(()),
            How::Scanned(answer) => Line {
                pid: done.pid,
                path: &done.path,
                outcome: answer.outcome.as_str(),
                size: Some(answer.size),
                sha256: answer.sha256,
                matches: answer.hits.iter().map(|hit| matched(hit, loaded, lang)).collect(),
                unseen: &answer.unseen,
                reason: answer.why_not_all().map(|why| why.get(lang).to_owned()),
            },
        };
        self.wipe();
        print_json_line(&line)
    }

    fn words(&mut self, done: &Done, loaded: &Loaded) -> Result<()> {
        match &done.ended {
            How::NoMemory | How::Own => Ok(()),
            How::Gone(_) => {
                self.aside(&t::GONE.with(self.lang, &[&done.path, &t::GONE_WHY.get(self.lang)]));
                Ok(())
            }
            How::NotScanned { why, .. } => {
                self.aside(&t::WHY.with(self.lang, &[&done.place(), &why.get(self.lang)]));
                Ok(())
            }
            How::Scanned(answer) => self.answered(&done.place(), answer, loaded),
        }
    }

    fn answered(&mut self, path: &str, answer: &Answer, loaded: &Loaded) -> Result<()> {
        for hit in &answer.hits {
            let severity = loaded.severity(&hit.rule);
            let inside = if hit.inside.is_empty() { String::new() } else { format!(" › {}", hit.inside) };
            let rest = format!("{}  {path}{inside}", hit.rule);
            self.wipe();
            self.headed(&alert::severity(severity).get(self.lang).to_uppercase(), severity, &rest)?;
        }
        if let Some(why) = answer.why_not_all() {
            let head = if answer.outcome == ScanOutcome::Matched { t::PARTLY } else { t::WHY };
            self.aside(&head.with(self.lang, &[&path, &why.get(self.lang)]));
        }
        if answer.outcome == ScanOutcome::Clean && self.all {
            self.wipe();
            print(&format!("{:<10}  {path}", t::CLEAN.get(self.lang)))?;
        }
        Ok(())
    }

    /// Prints a line whose first word has a colour on a terminal.
    fn headed(&self, head: &str, severity: Severity, rest: &str) -> Result<()> {
        if !self.colour {
            return print(&format!("{head:<10}  {rest}"));
        }
        let colour = match severity {
            Severity::Critical | Severity::High => "\x1b[1;31m",
            Severity::Medium => "\x1b[33m",
            Severity::Low => "\x1b[36m",
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{colour}{head:<10}\x1b[0m  {}", sane(rest))?;
        Ok(out.flush()?)
    }

    /// Says a line on stderr.
    fn aside(&mut self, line: &str) {
        self.wipe();
        say(line);
    }

    /// Shows how far it is, if somebody sits there.
    pub(super) fn progress(&mut self) {
        let Some(progress) = &mut self.progress else { return };
        if progress.at.is_some_and(|at| at.elapsed() < OFTEN) {
            return;
        }
        (progress.at, progress.stands) = (Some(Instant::now()), true);
        let (files, bytes, found) = (self.totals.files, sized(self.totals.bytes), self.totals.matched);
        let rate = format!("{:.0}", files as f64 / self.begun.elapsed().as_secs_f64().max(0.001));
        let line = t::PROGRESS.with(self.lang, &[&files, &bytes, &rate, &found, &progress.last]);
        let width =
            crossterm::terminal::size().ok().map(|(columns, _)| columns).filter(|columns| *columns > 0);
        let width = width.unwrap_or(WIDTH);
        let line: String = sane(&line).chars().take(usize::from(width).saturating_sub(1)).collect();
        write!(io::stderr().lock(), "\r\x1b[2K{line}").ok();
    }

    /// Takes the progress off the terminal, so that a line can stand there.
    fn wipe(&mut self) {
        let Some(progress) = &mut self.progress else { return };
        if std::mem::take(&mut progress.stands) {
            write!(io::stderr().lock(), "\r\x1b[2K").ok();
        }
    }
}

fn not_scanned_line<'a>(done: &'a Done, outcome: &'static str, size: Option<u64>, why: &str) -> Line<'a> {
    let (pid, path, reason) = (done.pid, &done.path, Some(why.to_owned()));
    Line { pid, path, outcome, size, sha256: None, matches: Vec::new(), unseen: &[], reason }
}

fn matched<'a>(hit: &'a Hit, loaded: &'a Loaded, lang: Lang) -> Match<'a> {
    let origin = loaded.origin(&hit.rule);
    Match {
        rule: &hit.rule,
        yara: origin.map(|o| o.yara.as_str()),
        source: origin.map(|o| o.source.as_str()),
        severity: loaded.severity(&hit.rule),
        title: loaded.title(&hit.rule, lang),
        inside: &hit.inside,
        excerpts: &hit.excerpts,
    }
}
