//! Who on this host owns a flow: from the addresses and ports of its two ends to the process that holds the socket.
//!
//! ```text
//! analyst ─► question (bounded, shed when full) ─► thread: kernel: socket? ─► inode ─► /proc/PID/fd ─► process
//!        ◄─ answer, some milliseconds later ◄────────┘  └─ not yet or nobody: asked again, a moment later
//! ```
//! A flow is asked for when its first packet is seen: a connection may be gone, and its process with it, some milliseconds
//! later. Where nobody is found that is said as nobody; it is never guessed. On loopback both ends are here: the one that
//! opened the flow is told.
//!
//! Never looks for sockets behind an address translation, and never enters a namespace: the tables of other ones are read
//! through `/proc/PID/net`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
};

use khien_core::{
    Timestamp, Untrusted,
    event::{Process, Transport},
    time::SignedDuration,
    traffic::Ends,
};

use crate::{scan::recent::Recent, story::Stories};

mod again;
mod asker;
mod diag;
mod holders;
mod spaces;
mod table;
#[cfg(test)]
mod tests;

/// Questions that may wait; more are shed: their flows stay without a process.
const QUEUE: usize = 4_096;
/// Flows of which the process is remembered.
const REMEMBERED: usize = 65_536;
/// Flows of which is remembered for others what was found out.
const NAMED: usize = 8_192;
/// So often a flow without a process is asked for, the thread's own further tries not counted.
const TRIES: u8 = 2;
/// So long a flow without a process is not asked for again.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A socket as the kernel's tables have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Socket {
    is_tcp: bool,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Socket {
    /// Returns the sockets that may belong to a flow, that of the client first; none for what has no sockets. The ends of what
    /// came out of a tunnel are of another network, whatever addresses they have.
    fn of(ends: &Ends) -> Option<[Self; 2]> {
        if ends.tunnel.is_some() {
            return None;
        }
        let is_tcp = match ends.transport {
            Transport::Tcp => true,
            Transport::Udp => false,
            Transport::Icmp => return None,
        };
        let [client, server] = [ends.client, ends.server].map(plain);
        Some([(client, server), (server, client)].map(|(local, remote)| Self { is_tcp, local, remote }))
    }
}

/// Takes an IPv4 address out of an IPv6 one, and leaves out what only this host knows of it.
fn plain(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

/// Which flow is asked for.
#[derive(Debug, Clone, Copy)]
struct Question {
    flow: u64,
    sockets: [Socket; 2],
    at: Timestamp,
}

/// Who it is.
#[derive(Debug)]
struct Answer {
    flow: u64,
    process: Arc<Process>,
    /// Whether it is the one that opened the flow.
    opened: bool,
}

/// What is known of a flow.
#[derive(Debug)]
struct Known {
    asked: Timestamp,
    tries: u8,
    process: Option<Arc<Process>>,
    opened: bool,
}

/// What was found out of a flow.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    /// It is asked for, or once more; the name is that by which its server is called, if it was called by now.
    Asked { name: Option<Untrusted> },
    /// Nobody has it.
    Nobodys,
    /// Somebody has it, and whether it is the one that opened it.
    Of { process: Arc<Process>, opened: bool },
}

/// What was found out of flows, for whoever does not ask: a process, or that there is none.
#[derive(Debug, Clone)]
pub(crate) struct Named(Arc<Mutex<Recent<u64, Whose>>>);

impl Named {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Recent::new(NAMED))))
    }

    /// Notes whose a flow is; returns the name by which its server was called meanwhile.
    pub(crate) fn of(&self, flow: u64, process: &Arc<Process>, opened: bool) -> Option<Untrusted> {
        let mut known = self.known();
        let name = match known.get(&flow) {
            Some(Whose::Asked { name }) => name.clone(),
            _ => None,
        };
        known.put(flow, Whose::Of { process: Arc::clone(process), opened });
        name
    }

    /// Notes that nobody was found; whoever was found before is it still.
    pub(crate) fn nobodys(&self, flow: u64) {
        self.note(flow, Whose::Nobodys);
    }

    /// Notes that it is asked for, and by which name its server is called, if that is known.
    fn asked(&self, flow: u64, name: Option<&Untrusted>) {
        self.note(flow, Whose::Asked { name: name.cloned() });
    }

    fn note(&self, flow: u64, whose: Whose) {
        let mut known = self.known();
        if !matches!(known.get(&flow), Some(Whose::Of { .. })) {
            known.put(flow, whose);
        }
    }

    /// Returns what was found out of a flow, if anything.
    pub(crate) fn get(&self, flow: u64) -> Option<Whose> {
        self.known().get(&flow).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Recent<u64, Whose>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells who owns a flow. Belongs to the one who looks at packets and never makes it wait.
#[derive(Debug)]
pub(crate) struct Owners {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
    known: Recent<u64, Known>,
    named: Named,
    shed: u64,
}

impl Owners {
    /// Starts the thread that looks, and notes who connects to other hosts; it ends with this value.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(stories: Stories) -> io::Result<Self> {
        let (questions, asked) = mpsc::sync_channel(QUEUE);
        let (answer, answers) = mpsc::sync_channel(QUEUE);
        let named = Named::new();
        let asker = asker::Asker::new(stories, named.clone());
        std::thread::Builder::new().name("sockets".to_owned()).spawn(move || asker.run(&asked, &answer))?;
        Ok(Self { questions, answers, known: Recent::new(REMEMBERED), named, shed: 0 })
    }

    /// Takes questions and never answers one.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        let (questions, asked) = mpsc::sync_channel(REMEMBERED);
        std::mem::forget(asked);
        let (known, named) = (Recent::new(REMEMBERED), Named::new());
        Self { questions, answers: mpsc::channel().1, known, named, shed: 0 }
    }

    /// Returns the process that owns a flow, if it is known by now. The first call for a flow asks: it belongs where the
    /// flow's first packet is seen.
    pub(crate) fn owner(&mut self, ends: &Ends, now: Timestamp) -> Option<Arc<Process>> {
        self.hear();
        let Some(sockets) = Socket::of(ends) else {
            // Who asks for the same flow later may not know any more that it came out of a tunnel.
            self.known.put(ends.flow, Known { asked: now, tries: TRIES, process: None, opened: false });
            self.named.nobodys(ends.flow);
            return None;
        };
        let (tries, due) = match self.known.get(&ends.flow) {
            Some(Known { process: Some(process), .. }) => return Some(Arc::clone(process)),
            Some(known) => (known.tries, now.duration_since(known.asked) >= PAUSE),
            None => (0, true),
        };
        if due && tries < TRIES {
            if tries > 0 {
                self.named.asked(ends.flow, None);
            }
            self.ask(Question { flow: ends.flow, sockets, at: now });
            self.known.put(ends.flow, Known { asked: now, tries: tries + 1, process: None, opened: false });
        }
        None
    }

    /// Takes the name by which the server of a flow is called. Returns the process that owns the flow, if that was found out
    /// meanwhile; whoever finds it later knows the name then.
    pub(crate) fn called(&mut self, ends: &Ends, name: &Untrusted) -> Option<Arc<Process>> {
        if !self.is_nobodys(ends.flow) {
            self.named.asked(ends.flow, Some(name));
        }
        let Some(Whose::Of { process, opened }) = self.named.get(ends.flow) else { return None };
        let Known { asked, tries, .. } = *self.known.get(&ends.flow)?;
        self.known.put(ends.flow, Known { asked, tries, process: Some(Arc::clone(&process)), opened });
        Some(process)
    }

    /// Tells whether it is known that nobody here owns a flow, so that nothing is to be waited for.
    pub(crate) fn is_nobodys(&self, flow: u64) -> bool {
        matches!(self.named.get(flow), Some(Whose::Nobodys))
    }

    /// Tells whether the process that is known to own a flow is the one that opened it, and not the one that was called.
    pub(crate) fn opened(&self, ends: &Ends) -> bool {
        self.known.get(&ends.flow).is_some_and(|known| known.opened)
    }

    /// Returns what is found out, for others.
    pub(crate) fn named(&self) -> Named {
        self.named.clone()
    }

    /// Returns how many questions found no room since the last time.
    pub(crate) fn take_shed(&mut self) -> u64 {
        std::mem::take(&mut self.shed)
    }

    fn ask(&mut self, question: Question) {
        // Whoever waits for it waits in vain, also where the thread is gone.
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            self.questions.try_send(question)
        {
            self.shed += 1;
            self.named.nobodys(lost.flow);
        }
    }

    /// Takes the answers that came. A later one for the same flow is the better one.
    fn hear(&mut self) {
        while let Ok(Answer { flow, process, opened }) = self.answers.try_recv() {
            if let Some(known) = self.known.get(&flow) {
                let Known { asked, tries, .. } = *known;
                self.known.put(flow, Known { asked, tries, process: Some(process), opened });
            }
        }
    }
}

/// Tells whether an address is none in particular.
fn is_any(address: IpAddr) -> bool {
    address.is_unspecified()
}
