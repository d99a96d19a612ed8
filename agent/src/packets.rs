//! The packets of the last moments, in memory: a ring of so many megabytes, from which an order saves some as evidence and an
//! alert holds those of its own flow.
//!
//! ```text
//! frames ─► ring (oldest overwritten) ──order──► pcapng ─► the hub's evidence, under an incident
//!              └─alert: its flow─► held (few, small; stays when the ring has moved on) ──┘
//! ```
//! Off unless the sysadmin of the host gives it room: traffic holds what people write and passwords. Nothing of it is ever on
//! this host's disk but the file that an operator ordered, until the hub has it.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp,
    order::PacketTarget,
    time::{self, SignedDuration},
    traffic::Ends,
};
use khien_traffic::decode::Link;

use crate::args;

mod ends;
mod file;
mod hold;
mod ring;
#[cfg(test)]
mod tests;
mod walk;

use ends::Addressed;
use hold::Holds;
use ring::Ring;
use walk::{Chosen, Walk};

/// Frames of the ring that are looked at in one go for an order.
const AT_ONCE: u64 = 512;
/// How long an order has what alerts hold looked for. What is not found by then most often is in the ring still.
const LOOK: Duration = Duration::from_secs(2);
/// How long an order lets frames come in between two slices of the ring.
const BREATH: Duration = Duration::from_micros(50);
/// What a packet costs in a file beside its bytes, at the most.
const OVERHEAD: u64 = 40;
/// The most names of interfaces that are remembered: tunnels may come and go all the year.
const MOST_NAMES: usize = 1_024;

/// A frame as it comes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// On which interface, by the number that [`Packets::name`] gave it.
    pub(crate) interface: usize,
    /// How it begins.
    pub(crate) link: Link,
    /// When.
    pub(crate) at: Timestamp,
    /// The VLAN tag that the kernel took out of it.
    pub(crate) vlan: Option<u16>,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// How long it was on the wire.
    pub(crate) length: u32,
}

/// A frame that is kept: its bytes are beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    interface: usize,
    link: Link,
    at: Timestamp,
    length: u32,
}

/// A frame that was taken out.
type Frame = (Facts, Vec<u8>);

#[derive(Debug)]
struct Kept {
    ring: Ring,
    /// All interfaces that there were, in the order of their numbers.
    names: Vec<String>,
    holds: Holds,
}

/// A handle to the packets.
#[derive(Debug, Clone)]
pub(crate) struct Packets(Arc<Mutex<Kept>>);
impl Packets {
    /// Makes the ring for which the sysadmin gave room, if any.
    pub(crate) fn kept(options: &args::Run) -> Option<Self> {
        let bytes = usize::try_from(options.packets_mib << 20).ok()?;
        (bytes > 0 && !options.no_network).then(|| Self::new(bytes))
    }

    /// Makes a ring of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let (ring, names, holds) = (Ring::new(bytes), Vec::new(), Holds::default());
        Self(Arc::new(Mutex::new(Kept { ring, names, holds })))
    }

    /// Names the interfaces of capture, and returns the number of each. One that was there before has its number again, since what
    /// is kept knows its interface by that, whichever there are when capture begins anew.
    pub(crate) fn name(&self, interfaces: &[String]) -> Vec<usize> {
        let names = &mut self.locked().names;
        let number = |name: &String| {
            let known = names.iter().position(|known| known == name);
            known.unwrap_or_else(|| {
                // Beyond the most all have the same number, and no name.
                let number = names.len();
                names.extend((number < MOST_NAMES).then(|| name.clone()));
                number
            })
        };
        interfaces.iter().map(number).collect()
    }

    /// Keeps a frame, in the place of the oldest ones.
    pub(crate) fn take(&self, seen: &Seen<'_>) {
        let facts = Facts { interface: seen.interface, link: seen.link, at: seen.at, length: seen.length };
        let kept = &mut *self.locked();
        kept.ring.put(facts, seen.bytes, seen.vlan);
        kept.holds.look(&kept.ring, hold::FOR_EACH);
    }

    /// Holds the packets of a flow about which there is an alert; for the same flow once more, those that came since. The ring is
    /// looked through while frames come: without any it does not move on. Of too many alerts the oldest are given up.
    pub(crate) fn hold(&self, ends: &Ends) {
        self.locked().holds.hold(ends);
    }

    /// Writes what an order asks for as pcapng: of the ring the last seconds, of what alerts hold all. Returns how many packets;
    /// of more than fit the oldest are left out, and the file says how many.
    ///
    /// # Errors
    /// As the output's.
    pub(crate) fn save(
        &self,
        target: &PacketTarget,
        now: Timestamp,
        out: &mut impl Write,
    ) -> io::Result<usize> {
        let Chosen { frames, left_out, overwritten } = self.chosen(target, now);
        if !frames.is_empty() {
            let names = self.locked().names.clone();
            file::write(out, &file::About { target, left_out, overwritten, names: &names }, &frames)?;
        }
        Ok(frames.len())
    }

    /// Takes out what an order asks for, in the order of time.
    fn chosen(&self, target: &PacketTarget, now: Timestamp) -> Chosen {
        let since = time::after(now, -SignedDuration::from_secs(target.seconds().into()));
        let until = Instant::now() + LOOK;
        self.in_slices(|kept| kept.holds.look(&kept.ring, AT_ONCE) && Instant::now() < until);
        let mut walk = {
            let kept = self.locked();
            Walk::new(target, since, (kept.ring.numbers(), kept.holds.all()))
        };
        self.in_slices(|kept| walk.step(&kept.ring));
        walk.end()
    }

    /// Does something until there is no more to do, and lets frames come in meanwhile.
    fn in_slices(&self, mut step: impl FnMut(&mut Kept) -> bool) {
        while step(&mut self.locked()) {
            thread::sleep(BREATH);
        }
    }

    /// A panic in the middle leaves a ring of which at most one frame is wrong.
    fn locked(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a frame belongs to a flow.
fn is_of(flow: &Ends, link: Link, bytes: &[u8]) -> bool {
    let Some(Addressed { transport, ends }) = ends::read(link, bytes) else { return false };
    let [client, server] = [flow.client, flow.server];
    transport == flow.transport && (ends == [client, server] || ends == [server, client])
}

/// Tells whether a frame is what an order asks for. One without readable ends is only where all are wanted.
fn is_wanted(target: &PacketTarget, link: Link, bytes: &[u8]) -> bool {
    if target.host().is_none() && target.port().is_none() {
        return true;
    }
    let Some(Addressed { ends, .. }) = ends::read(link, bytes) else { return false };
    target.host().is_none_or(|host| ends.iter().any(|end| end.ip() == host))
        && target.port().is_none_or(|port| ends.iter().any(|end| end.port() == port))
}
