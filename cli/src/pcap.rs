//! `khien pcap scan`: looks at files of packets as an agent looks at traffic, with the same engine, detectors, lists and
//! sandboxed workers. Alone it needs neither agent nor hub nor home; with `--incident` it holds files against the hub's signed
//! pack and hands over what is found.
//!
//! ```text
//! file ─► Reader ─► Engine ─► Sight ─┬─ records ──────────────────────────► --events
//!                                    ├─ findings ─────────────────────────► alerts
//!                                    └─ pieces of streams, carried files ─► workers ─► alerts
//! ```
//! A file is a timeline of its own: flows of one never go on in another. What waits for a worker is bounded, so a file of any
//! size takes the same memory. What could not be looked at never reads as clean.

mod alerts;
mod case;
mod events;
mod hashed;
mod look;
mod rules;
mod scans;
mod sight;
mod told;

use std::{os::unix::ffi::OsStrExt, path::Path, sync::Arc, sync::atomic::Ordering};

use anyhow::Result;
use khien_core::{
    Lang, RuleId, Untrusted,
    api::CaptureTaken,
    capture::{Capture, CaptureEnd, MOST_ALERTS},
    text::pcap as t,
};
use khien_traffic::pcap::read::NotPackets;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    args,
    command::Context,
    config::Home,
    exit::{self, Exit, Stop},
    output::print_json_line,
    scan::{Ended, Wish, asked_to_stop},
    told::{Told, system},
};
use case::{Case, Parcel, Sent};
use events::{Events, STANDARD};
use hashed::Hashed;
use look::{Look, Looked, Opened};
use rules::Ready;
use told::{Seen, Teller};

/// The most rules that one line names.
const MOST_SHOWN: usize = 8;

/// What all files are looked at with.
struct Run {
    lang: Lang,
    json: bool,
    runtime: Runtime,
    /// None: only records are wanted.
    ready: Option<Ready>,
    events: Option<Events>,
    teller: Teller,
    wish: Arc<Wish>,
    /// Where findings go, if not only to whoever sits here.
    case: Option<Case>,
    /// What did not reach the hub: files, and the first reason.
    unsent: Option<(Vec<String>, Stop)>,
    /// So that nobody can make a file whose flows slow the tables down.
    seed: [u64; 2],
}

/// Looks at the files that were typed.
pub(crate) fn run(global: args::Global, what: &args::PcapScan) -> Result<Ended> {
    let args::Global { home, lang, json } = global;
    let aside = what.events.as_deref().is_some_and(|path| path.as_os_str() == STANDARD);
    if json && aside {
        return Err(Stop::new(Exit::Usage, t::BOTH.get(lang), t::NEXT_BOTH.get(lang)).into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (case, ready) = match what.incident {
        Some(incident) => {
            let context = Context { home: Home::new(home)?, lang, json };
            let (case, pack) = runtime.block_on(Case::open(&context, what, incident))?;
            (Some(case), Some(rules::of_pack(pack, &runtime, lang)?))
        }
        None => (None, (!what.no_rules).then(|| rules::load(what, &runtime, lang)).transpose()?),
    };
    let events = what.events.as_deref().map(Events::open).transpose()?;
    let (wish, mut teller) = (Arc::<Wish>::default(), Teller::new(lang, aside));
    if let Some(case) = &case {
        teller.say(&t::PACK.with(lang, &[&case.pack]));
        // It is set here alone.
        wish.owed.set(t::ENDED_UNSENT.get(lang).to_owned()).ok();
    }
    runtime.spawn(asked_to_stop(Arc::clone(&wish)));
    let mut run = Run { lang, json, runtime, ready, events, teller, wish, case, unsent: None, seed: seed()? };
    let ended = run.all(what)?;
    let unsent = run.unsent.take();
    // A worker may be in the middle of something: it is killed with this process.
    run.runtime.shutdown_background();
    match unsent {
        Some((files, why)) => {
            let what = t::NOT_SENT.with(lang, &[&files.join(", "), &why.what]);
            Err(Stop { exit: Exit::Unreachable, what, ..why }.into())
        }
        None => Ok(ended),
    }
}

fn seed() -> Result<[u64; 2]> {
    Ok([getrandom::u64()?, getrandom::u64()?])
}

impl Run {
    /// A file that cannot be opened does not keep the others from being looked at.
    fn all(&mut self, what: &args::PcapScan) -> Result<Ended> {
        let (mut ended, mut any) = (Ended::Clean, false);
        for path in &what.files {
            let one = match look::open(path, self.case.is_some()) {
                Ok(Opened { reader, size, hashed }) => {
                    any = true;
                    self.teller.begin(&shown(path));
                    let looked = Look::new(self, path, reader).run(size)?;
                    let ended = self.finish(path, &looked.seen)?;
                    // It was printed: from here on nothing of it is lost.
                    self.deliver(path, looked, hashed)?;
                    ended
                }
                Err(why) => {
                    let line = t::NOT_PACKETS.with(self.lang, &[&path.display(), &self.why(&why)]);
                    if what.files.len() == 1 {
                        return Err(Stop::new(Exit::Usage, line, t::NEXT_FILES.get(self.lang)).into());
                    }
                    self.teller.say(&line);
                    Ended::Incomplete
                }
            };
            ended = worse(ended, one);
            if self.wish.stop.load(Ordering::Relaxed) {
                return Ok(worse(ended, Ended::Incomplete));
            }
        }
        match any {
            true => Ok(ended),
            false => {
                let what = t::NONE.get(self.lang);
                Err(Stop::new(Exit::Usage, what, t::NEXT_FILES.get(self.lang)).into())
            }
        }
    }

    fn finish(&mut self, path: &Path, seen: &Seen) -> Result<Ended> {
        let ended = match () {
            () if seen.alerts > 0 => Ended::Matched,
            () if seen.is_whole() => Ended::Clean,
            () => Ended::Incomplete,
        };
        let file = shown(path);
        match self.json {
            true => print_json_line(&seen.summary(&file, ended as u8))?,
            false => seen.lines(&file, self.lang).iter().for_each(|line| self.teller.say(line)),
        }
        Ok(ended)
    }

    /// Hands over what was found in a file, and says what became of it.
    fn deliver(&mut self, path: &Path, looked: Looked, hashed: Option<Hashed>) -> Result<()> {
        let (Some(case), Some(hashed)) = (&self.case, hashed) else { return Ok(()) };
        let parcel = parcel(path, looked, hashed, case.pack, self.lang);
        let sent = parcel.and_then(|parcel| self.runtime.block_on(case.deliver(path, parcel)));
        match sent {
            Ok(sent) => {
                match self.json {
                    true => print_json_line(&json!({ "sent": sent }))?,
                    false => self.tell_taken(&sent),
                }
                if let Some(why) = unknown(&sent.taken, self.lang) {
                    self.owe(path, why);
                }
                Ok(())
            }
            Err(error) => self.not_sent(path, exit::explain(&error, self.lang)),
        }
    }

    fn tell_taken(&mut self, sent: &Sent) {
        let taken = &sent.taken;
        self.teller.say(&t::SENT.with(self.lang, &[&taken.added, &sent.incident, &taken.known]));
        if taken.left_out > 0 {
            self.teller.say(&t::LEFT_OUT.with(self.lang, &[&taken.left_out, &MOST_ALERTS]));
        }
    }

    fn not_sent(&mut self, path: &Path, why: Stop) -> Result<()> {
        if self.json {
            print_json_line(&json!({ "not_sent": { "capture": shown(path), "error": why.what } }))?;
        }
        self.owe(path, why);
        Ok(())
    }

    /// Remembers that something of a file did not reach the hub, and the first reason.
    fn owe(&mut self, path: &Path, why: Stop) {
        // What the hub said is what to act on; else the same once more will do.
        let next =
            if why.problem.is_some() { why.next.clone() } else { t::NEXT_SEND.get(self.lang).to_owned() };
        let (files, _) = self.unsent.get_or_insert_with(|| (Vec::new(), Stop { next, ..why }));
        files.push(shown(path).to_string());
    }

    fn why(&self, why: &NotPackets) -> String {
        match why {
            NotPackets::Empty => t::EMPTY.get(self.lang).to_owned(),
            NotPackets::Other => t::OTHER.get(self.lang).to_owned(),
            NotPackets::Unreadable(e) => system(e, self.lang),
        }
    }
}

/// Says which findings the hub did not take because its pack is another one by now.
fn unknown(taken: &CaptureTaken, lang: Lang) -> Option<Stop> {
    let rules: Vec<_> = taken.unknown.keys().take(MOST_SHOWN).map(RuleId::as_str).collect();
    let more = if taken.unknown.len() > rules.len() { ", …" } else { "" };
    let count: u64 = taken.unknown.values().sum();
    let what = t::UNKNOWN_RULES.with(lang, &[&count, &format!("{}{more}", rules.join(", "))]);
    (count > 0).then(|| Stop::new(Exit::Unreachable, what, t::NEXT_SEND.get(lang)))
}

/// Puts together what a hub is told of a file. What was broken off is not told: another look would find more.
fn parcel(path: &Path, looked: Looked, hashed: Hashed, pack: u64, lang: Lang) -> Result<Parcel> {
    let Looked { seen, alerts } = looked;
    if seen.interrupted {
        return Err(Told::new(t::BROKEN_OFF, &[]).into());
    }
    let sha256 = hashed.finish().map_err(|e| Told::new(t::NO_DIGEST, &[&system(&e, lang)]))?;
    let uncounted = seen.alerts.saturating_sub(alerts.len() as u64);
    let (findings, left_out) = case::chosen(alerts, pack);
    let left_out = left_out + uncounted;
    let (first, last) = seen.span.unzip();
    let end = CaptureEnd { packets: seen.packets.packets, first, last, left_out, gaps: seen.gaps(), pack };
    Ok(Parcel { capture: Capture { name: shown(path), sha256 }, findings, end })
}

/// What was found in one file is found, whatever became of the others.
fn worse(one: Ended, other: Ended) -> Ended {
    match (one, other) {
        (Ended::Matched, _) | (_, Ended::Matched) => Ended::Matched,
        (Ended::Incomplete, _) | (_, Ended::Incomplete) => Ended::Incomplete,
        (Ended::Clean, Ended::Clean) => Ended::Clean,
    }
}

fn shown(path: &Path) -> Untrusted {
    Untrusted::new(path.as_os_str().as_bytes())
}
