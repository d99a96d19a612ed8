//! What `khien pcap scan` says: alerts as they come, how far it is, and what was seen.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Read, Write},
    time::{Duration, Instant},
};

use anyhow::Result;
use khien_core::{
    Lang, Severity, Timestamp, Untrusted,
    capture::Gaps,
    event::Application,
    text::{alert, pcap as t, scan},
    time,
    traffic::{FlowEnd, Record, What},
};
use khien_traffic::{
    flow::Counts,
    pcap::read::{self, End, Reader},
};
use serde::Serialize;

use super::alerts::{Alert, Alerts};
use crate::{
    output::{is_plain, print, sane, say},
    scan::totals::sized,
    told::system,
};

/// How often the progress is written.
const OFTEN: Duration = Duration::from_millis(200);
/// The width that is taken when a terminal does not tell its own.
const WIDTH: u16 = 80;

/// What was seen of one file, or of all.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) packets: read::Counts,
    pub(super) engine: Counts,
    pub(super) flows: BTreeMap<Application, u64>,
    pub(super) records: u64,
    pub(super) carried: u64,
    pub(super) pieces: u64,
    pub(super) not_scanned: u64,
    /// What detectors forgot to make room; no gap, since all was looked at.
    pub(super) forgotten: u64,
    pub(super) findings: u64,
    pub(super) alerts: u64,
    pub(super) interrupted: bool,
    /// Of the capture.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// How long it took.
    pub(super) took: Duration,
    /// How the file ended, if not at its end.
    pub(super) broken: Option<Broken>,
}

/// How a file ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    Cut,
    Damaged(u64),
    Unreadable(io::Error),
}

impl Seen {
    /// Takes the time of a packet.
    pub(super) fn at(&mut self, at: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// Counts a record.
    pub(super) fn count(&mut self, record: &Record) {
        self.records += 1;
        if let What::Flow(flow) = &record.what
            && flow.ended != FlowEnd::Ongoing
        {
            *self.flows.entry(flow.application).or_default() += 1;
        }
    }

    /// Takes what the reader and the engine counted.
    pub(super) fn end<R: Read>(&mut self, reader: &Reader<R>, engine: Counts, took: Duration) {
        (self.packets, self.engine, self.took) = (reader.counts().clone(), engine, took);
        self.broken = match reader.end() {
            Some(End::Cut) => Some(Broken::Cut),
            Some(End::Damaged(at)) => Some(Broken::Damaged(*at)),
            Some(End::Unreadable(e)) => Some(Broken::Unreadable(io::Error::new(e.kind(), e.to_string()))),
            Some(End::Whole) | None => None,
        };
    }

    /// Tells whether all of it was looked at and scanned.
    pub(super) fn is_whole(&self) -> bool {
        !self.interrupted && self.gaps().is_none()
    }

    /// Returns what could not be looked at.
    pub(super) fn gaps(&self) -> Gaps {
        let (packets, engine) = (&self.packets, &self.engine);
        Gaps {
            cut: self.broken.is_some(),
            damaged: packets.damaged + packets.too_large + engine.malformed,
            shortened: packets.shortened,
            other_links: packets.other_links.values().sum(),
            wrong_checksums: engine.wrong_checksums,
            // What lies between two places of a stream is as doubtful as two copies of it.
            conflicts: engine.conflicts + engine.jumps,
            odd: engine.odd,
            pieces_lost: engine.pieces_lost,
            missing: engine.missing,
            evicted: engine.evicted + engine.hushed,
            not_scanned: self.not_scanned,
        }
    }

    /// Returns the lines for a person.
    pub(super) fn lines(&self, file: &Untrusted, lang: Lang) -> Vec<String> {
        let mut lines = vec![self.total(file, lang)];
        if !self.flows.is_empty() {
            lines.push(t::FLOWS.with(lang, &[&self.flows.values().sum::<u64>(), &self.applications(lang)]));
            lines.push(t::LOOKED.with(lang, &[&self.records, &self.carried, &self.pieces]));
        }
        let packets = &self.packets;
        lines.extend(self.broken.as_ref().map(|broken| match broken {
            Broken::Cut => t::CUT.get(lang).to_owned(),
            Broken::Damaged(at) => t::DAMAGED.with(lang, &[at]),
            Broken::Unreadable(e) => t::UNREADABLE.with(lang, &[&system(e, lang)]),
        }));
        for (kind, count) in &packets.other_links {
            lines.push(t::OTHER_LINK.with(lang, &[count, kind]));
        }
        let engine = &self.engine;
        let counted = [
            (t::DAMAGED_PACKETS, packets.damaged + engine.malformed),
            (t::TOO_LARGE, packets.too_large),
            (t::SHORTENED, packets.shortened),
            (t::NOT_IP, engine.not_ip),
            (t::OTHER_TRANSPORT, engine.other_transport),
            (t::WRONG_CHECKSUMS, engine.wrong_checksums),
            (t::UNCLAIMED, engine.unclaimed),
            (t::PIECES_LOST, engine.pieces_lost),
            (t::CONFLICTS, engine.conflicts),
            (t::ODD, engine.odd),
            (t::PIECES_OVERLAP, engine.pieces_overlap),
            (t::REFUSED, engine.refused),
            (t::JUMPS, engine.jumps),
            (t::HOPS_CHANGED, engine.hops_changed),
            (t::RESETS_IGNORED, engine.resets_ignored),
            (t::UNFINISHED_CHECKSUMS, engine.unfinished_checksums),
            (t::EVICTED, engine.evicted + engine.hushed),
            (t::FORGOTTEN, self.forgotten),
            (t::NOT_SCANNED, self.not_scanned),
        ];
        let some = counted.into_iter().filter(|(_, count)| *count > 0);
        lines.extend(some.map(|(message, count)| message.with(lang, &[&count])));
        if engine.missing > 0 {
            lines.push(t::MISSING.with(lang, &[&sized(engine.missing)]));
        }
        if self.interrupted {
            lines.push(scan::INTERRUPTED.get(lang).to_owned());
        }
        lines.push(t::RESULT.with(lang, &[&self.alerts, &self.findings]));
        lines
    }

    fn total(&self, file: &Untrusted, lang: Lang) -> String {
        let Some((first, last)) = self.span else { return t::NO_PACKETS.with(lang, &[file]) };
        let seconds = self.took.as_secs_f64();
        let rate = format!("{:.0}", self.packets.packets as f64 / seconds.max(0.001));
        let (size, seconds) = (sized(self.packets.bytes), format!("{seconds:.1}"));
        let (first, last) = (time::shown(first), time::shown(last));
        t::TOTAL.with(lang, &[file, &self.packets.packets, &size, &first, &last, &seconds, &rate])
    }

    fn applications(&self, lang: Lang) -> String {
        let name = |app: &Application| app.name().unwrap_or(t::UNKNOWN.get(lang));
        let each: Vec<_> = self.flows.iter().map(|(app, count)| format!("{} {count}", name(app))).collect();
        each.join(", ")
    }

    /// Returns the last line of a file for `--json`.
    pub(super) fn summary<'a>(&'a self, file: &'a Untrusted, exit: u8) -> Summary<'a> {
        let flows = self.flows.iter().map(|(app, count)| (app.as_str(), *count)).collect();
        let packets = &self.packets;
        Summary {
            summary: All {
                capture: file,
                packets: packets.packets,
                bytes: packets.bytes,
                first: self.span.map(|(first, _)| first),
                last: self.span.map(|(_, last)| last),
                flows,
                records: self.records,
                carried: self.carried,
                pieces: self.pieces,
                findings: self.findings,
                alerts: self.alerts,
                damaged: packets.damaged + packets.too_large + self.engine.malformed,
                shortened: packets.shortened,
                other_links: packets.other_links.values().sum(),
                missing: self.engine.missing,
                evicted: self.engine.evicted + self.engine.hushed,
                forgotten: self.forgotten,
                not_ip: self.engine.not_ip,
                other_transport: self.engine.other_transport,
                wrong_checksums: self.engine.wrong_checksums,
                unfinished_checksums: self.engine.unfinished_checksums,
                conflicts: self.engine.conflicts,
                odd: self.engine.odd,
                pieces_lost: self.engine.pieces_lost,
                pieces_overlap: self.engine.pieces_overlap,
                hops_changed: self.engine.hops_changed,
                resets_ignored: self.engine.resets_ignored,
                refused: self.engine.refused,
                jumps: self.engine.jumps,
                unclaimed: self.engine.unclaimed,
                not_scanned: self.not_scanned,
                whole: self.is_whole(),
                interrupted: self.interrupted,
                seconds: (self.took.as_secs_f64() * 1e3).round() / 1e3,
                exit,
            },
        }
    }
}

/// The last line of a file.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    summary: All<'a>,
}

#[derive(Serialize)]
struct All<'a> {
    capture: &'a Untrusted,
    packets: u64,
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    flows: BTreeMap<&'static str, u64>,
    records: u64,
    carried: u64,
    pieces: u64,
    findings: u64,
    alerts: u64,
    damaged: u64,
    shortened: u64,
    other_links: u64,
    missing: u64,
    evicted: u64,
    forgotten: u64,
    not_ip: u64,
    other_transport: u64,
    wrong_checksums: u64,
    unfinished_checksums: u64,
    conflicts: u64,
    odd: u64,
    pieces_lost: u64,
    pieces_overlap: u64,
    hops_changed: u64,
    resets_ignored: u64,
    refused: u64,
    jumps: u64,
    unclaimed: u64,
    not_scanned: u64,
    whole: bool,
    interrupted: bool,
    seconds: f64,
    exit: u8,
}

/// Prints.
pub(super) struct Teller {
    lang: Lang,
    /// Whether records have standard output for themselves.
    aside: bool,
    colour: bool,
    /// The line at the foot of a terminal: when it was written, if it can stand there.
    progress: Option<Option<Instant>>,
    file: String,
}

impl Teller {
    pub(super) fn new(lang: Lang, aside: bool) -> Self {
        let is_plain = is_plain();
        Self {
            lang,
            aside,
            colour: io::stdout().is_terminal() && !is_plain && !aside,
            progress: (io::stderr().is_terminal() && !is_plain).then_some(None),
            file: String::new(),
        }
    }

    /// Takes the name of the file that is looked at.
    pub(super) fn begin(&mut self, file: &Untrusted) {
        self.file = file.to_string();
    }

    /// Prints an alert.
    pub(super) fn alert(&mut self, alert: &Alert) -> Result<()> {
        self.wipe();
        let head = alert::severity(alert.severity).get(self.lang).to_uppercase();
        let rest = alert.line(self.lang);
        if self.aside {
            say(&format!("{head:<10}  {rest}"));
            return Ok(());
        }
        if !self.colour {
            return print(&format!("{head:<10}  {rest}"));
        }
        let colour = match alert.severity {
            Severity::Critical | Severity::High => "\x1b[1;31m",
            Severity::Medium => "\x1b[33m",
            Severity::Low => "\x1b[36m",
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{colour}{head:<10}\x1b[0m  {}", sane(&rest))?;
        Ok(out.flush()?)
    }

    /// Says a line on stderr.
    pub(super) fn say(&mut self, line: &str) {
        self.wipe();
        say(line);
    }

    /// Shows how far it is, if somebody sits there.
    pub(super) fn progress(&mut self, alerts: &Alerts, packets: u64, bytes: (u64, u64), begun: Instant) {
        let Some(written) = &mut self.progress else { return };
        if written.is_some_and(|at| at.elapsed() < OFTEN) {
            return;
        }
        *written = Some(Instant::now());
        let rate = format!("{:.0}", packets as f64 / begun.elapsed().as_secs_f64().max(0.001));
        // What is packed has more bytes than its file; of standard input nobody knows how many there are.
        let (position, size) = bytes;
        let whole = if size >= position { sized(size) } else { "?".to_owned() };
        let line = t::PROGRESS
            .with(self.lang, &[&self.file, &sized(position), &whole, &packets, &rate, &alerts.len()]);
        let width =
            crossterm::terminal::size().ok().map(|(columns, _)| columns).filter(|columns| *columns > 0);
        let width = usize::from(width.unwrap_or(WIDTH)).saturating_sub(1);
        let line: String = sane(&line).chars().take(width).collect();
        write!(io::stderr().lock(), "\r\x1b[2K{line}").ok();
    }

    /// Takes the progress off the terminal, so that a line can stand there.
    fn wipe(&mut self) {
        if let Some(Some(_)) = self.progress {
            write!(io::stderr().lock(), "\r\x1b[2K").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Everything that the engine counts of what it did not follow or could not be sure of, each another number.
    const SOME: Counts = Counts {
        frames: 0,
        flows: 0,
        not_ip: 1_001,
        malformed: 1_002,
        other_transport: 1_003,
        tunnelled: 0,
        pieces: 0,
        pieces_lost: 1_004,
        pieces_overlap: 1_005,
        wrong_checksums: 1_006,
        unfinished_checksums: 1_007,
        hops_changed: 1_008,
        unclaimed: 1_009,
        left_out: 0,
        resets_ignored: 1_010,
        conflicts: 1_011,
        odd: 1_012,
        missing: 1_013,
        evicted: 1_014,
        hushed: 0,
        refused: 1_015,
        jumps: 1_016,
    };

    #[test]
    fn what_was_not_followed_or_is_doubtful_is_told_in_words_and_in_json() {
        let seen = Seen { engine: SOME, forgotten: 1_017, ..Seen::default() };

        let file = Untrusted::from("a.pcap");
        let summary = serde_json::to_value(seen.summary(&file, 3)).unwrap();

        let told: Vec<u64> =
            summary["summary"].as_object().unwrap().values().filter_map(Value::as_u64).collect();
        for lang in [Lang::Vi, Lang::En] {
            let lines = seen.lines(&file, lang).join("\n");
            // Missing bytes are told with their unit.
            for number in (1_001..=1_017).filter(|n| *n != 1_013) {
                assert!(lines.contains(&number.to_string()), "{number} in {lines}");
            }
        }
        assert!((1_001..=1_017).all(|number| told.contains(&number)), "{summary}");
    }

    #[test]
    fn a_file_of_which_something_was_not_followed_is_not_whole() {
        let each = [
            Counts { malformed: 1, ..Counts::default() },
            Counts { pieces_lost: 1, ..Counts::default() },
            Counts { wrong_checksums: 1, ..Counts::default() },
            Counts { conflicts: 1, ..Counts::default() },
            Counts { jumps: 1, ..Counts::default() },
            Counts { odd: 1, ..Counts::default() },
            Counts { missing: 1, ..Counts::default() },
            Counts { evicted: 1, ..Counts::default() },
            Counts { hushed: 1, ..Counts::default() },
        ];

        for engine in each {
            let seen = Seen { engine, ..Seen::default() };
            assert!(!seen.is_whole() && !seen.gaps().is_none(), "{engine:?}");
        }
        assert!(Seen::default().is_whole());
        assert!(Seen { forgotten: 1, ..Seen::default() }.is_whole(), "all was looked at");
        assert!(!Seen { not_scanned: 1, ..Seen::default() }.is_whole());
        assert!(!Seen { broken: Some(Broken::Cut), ..Seen::default() }.is_whole());
        assert!(!Seen { interrupted: true, ..Seen::default() }.is_whole());
    }
}
