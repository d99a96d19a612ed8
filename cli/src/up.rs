//! `khien up`: sets everything up on first run, starts hub and agent beside this program, and shows the live queue.
//!
//! Both children end when their stdin closes, so they never outlive this program, however it ends.

mod child;
mod feed;
mod setup;

use std::{
    fs::File,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use khien_core::{
    Lang,
    text::{Message, command as t, trouble},
};
use rustix::fs::{FlockOperation, flock};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use self::{
    child::{Note, Program, Started},
    setup::Ready,
};
use crate::{
    args,
    command::{Context, report},
    exit::{Exit, Stop},
    output::{has_terminal, say},
    told::Told,
    tui,
};

/// How long the hub may take until it serves.
const HUB_START: Duration = Duration::from_secs(15);
/// How long the agent may take until its sensors stand.
const AGENT_START: Duration = Duration::from_secs(20);
/// How soon a hub that died is started again.
const HUB_AGAIN: Duration = Duration::from_millis(500);
/// How soon an agent that died is started again.
const AGENT_AGAIN: Duration = Duration::from_secs(2);
/// Lines about the children that may wait to be shown.
const NOTES: usize = 64;

/// Returns where a program of ours lies: beside this one.
pub(crate) fn beside(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Runs until a person or a signal ends it.
pub(crate) async fn run(context: &Context, what: args::Up) -> Result<()> {
    let begun = Instant::now();
    let lang = context.lang;
    context.home.create()?;
    let _lock = lock(context)?;
    report::write_organization_sample(&context.home)?;
    let mut ended = Ended::watch()?;
    let (notes, mut said) = mpsc::channel(NOTES);
    let mut house = House { children: Vec::new() };
    let done = tokio::select! {
        opened = open(context, &what, &mut house, &notes) => match opened {
            Ok(ready) => {
                say(&t::READY.with(lang, &[&format!("{:.1}", begun.elapsed().as_secs_f64())]));
                show(context, &what, ready, &mut said, &mut ended).await
            }
            Err(e) => Err(e),
        },
        () = ended.wait() => Ok(()),
    };
    house.close().await;
    done
}

/// Starts hub and agent, and everything before and between them.
async fn open(
    context: &Context,
    what: &args::Up,
    house: &mut House,
    notes: &mpsc::Sender<Note>,
) -> Result<Ready> {
    let pack = setup::BasePack::begin(context);
    let name = setup::prepare_hub(context).await?;
    let address = setup::address(&context.home).await;
    let started = match setup::hub(context, &address)?.start(context.lang).await {
        Err(_) if address != setup::ANY_PORT => {
            setup::hub(context, setup::ANY_PORT)?.start_patiently(context.lang).await?
        }
        other => other?,
    };
    let address = started.address.clone().context(Told::new(trouble::NO_LISTEN, &[]))?;
    house.keep(setup::hub(context, &address)?, started, notes);
    let ready = setup::connect(context, &address, name).await?;
    pack.push(context, &ready).await?;
    setup::enrol(context, &ready, what.agency.as_deref()).await?;
    let agent = setup::agent(context, &address, what)?;
    let started = agent.start_patiently(context.lang).await?;
    house.keep(agent, started, notes);
    setup::heard(&ready.client).await;
    Ok(ready)
}

/// Shows the live queue until a person leaves or a signal comes.
async fn show(
    context: &Context,
    what: &args::Up,
    ready: Ready,
    said: &mut mpsc::Receiver<Note>,
    ended: &mut Ended,
) -> Result<()> {
    let lang = context.lang;
    if context.json || what.no_ui || !has_terminal() {
        return tokio::select! {
            done = feed::run(context, &ready) => done,
            () = told(said, lang) => Ok(()),
            () = ended.wait() => Ok(()),
        };
    }
    tokio::select! {
        done = tui::run(ready.client, ready.keys, lang, tui::TuiOptions::default()) => done,
        // The screen belongs to the UI; the log has the lines.
        () = swallowed(said) => Ok(()),
        () = ended.wait() => Ok(()),
    }
}

async fn told(said: &mut mpsc::Receiver<Note>, lang: Lang) {
    while let Some(note) = said.recv().await {
        say(&note.shown(lang));
    }
}

async fn swallowed(said: &mut mpsc::Receiver<Note>) {
    while said.recv().await.is_some() {}
}

/// The children in the order in which they were started, and how to end each.
struct House {
    children: Vec<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl House {
    fn keep(&mut self, program: Program, started: Started, notes: &mpsc::Sender<Note>) {
        let (stop, stopped) = watch::channel(false);
        self.children.push((stop, tokio::spawn(child::keep(program, started, stopped, notes.clone()))));
    }

    /// Ends them, the last one first, so that the agent can still tell the hub that it stops.
    async fn close(self) {
        for (stop, keeper) in self.children.into_iter().rev() {
            // A keeper that has ended already needs no telling and no waiting.
            stop.send(true).ok();
            keeper.await.ok();
        }
    }
}

/// Holds the home for this one `khien up`; the kernel lets go of it when the process ends.
fn lock(context: &Context) -> Result<File> {
    let path = context.home.join("lock");
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| Told::path(trouble::CANNOT_OPEN, &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let lang = context.lang;
            let what = t::UP_RUNS.with(lang, &[&context.home.path().display()]);
            Err(Stop::new(Exit::Refused, what, t::NEXT_UI.get(lang)).into())
        }
        Err(e) => Err(e).with_context(|| Told::path(trouble::CANNOT_LOCK, &path)),
    }
}

/// The signals that end the program.
struct Ended {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Ended {
    fn watch() -> Result<Self> {
        let on = |kind| signal(kind).context(Told::new(trouble::NO_SIGNALS, &[]));
        Ok(Self {
            signals: [on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?],
        })
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Makes the error of a child that did not start.
fn did_not_start(
    lang: Lang,
    what: Message,
    name: &str,
    detail: &str,
    log: &std::path::Path,
) -> anyhow::Error {
    let what = what.with(lang, &[&name, &detail]);
    Stop::new(Exit::Failed, what, t::NEXT_LOG.with(lang, &[&log.display()])).into()
}
