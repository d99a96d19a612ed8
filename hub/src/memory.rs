//! Memory for bodies: bounded in sum and for each peer, taken before the bytes are.
//!
//! Two rooms, so that nobody who holds one waits for the same one: bytes as they come are taken from the first or not at
//! all; what they inflate to waits its turn for the second, and whoever holds that waits for nothing but the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use khien_core::{AgentId, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{fault::Fault, limits, tally::Taken};

/// One permit stands for this many bytes.
const UNIT: usize = 1 << 10;
/// When a peer that found no room shall come again, in seconds.
const AGAIN: u64 = 2;

/// A room of wire bytes and one of plain bytes.
struct Rooms {
    wire: Arc<Semaphore>,
    plain: Arc<Semaphore>,
}

impl Rooms {
    fn new(wire: usize, plain: usize) -> Self {
        Self { wire: Arc::new(Semaphore::new(wire / UNIT)), plain: Arc::new(Semaphore::new(plain / UNIT)) }
    }
}

/// The memory of one kind of peers.
pub(crate) struct Memory {
    limits: limits::Memory,
    all: Rooms,
    /// One for each peer that was admitted.
    shares: Mutex<HashMap<Sha256, Arc<Rooms>>>,
}

impl Memory {
    /// Begins empty.
    pub(crate) fn new(limits: limits::Memory) -> Self {
        Self { all: Rooms::new(limits.wire, limits.plain), shares: Mutex::default(), limits }
    }

    /// Returns how much of the first room nobody holds, in bytes.
    #[cfg(test)]
    pub(crate) fn free_wire(&self) -> usize {
        self.all.wire.available_permits() * UNIT
    }

    /// Begins a request of a peer.
    pub(crate) fn hold(self: &Arc<Self>, peer: Sha256, place: Option<Taken<AgentId>>) -> Hold {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares
            .entry(peer)
            .or_insert_with(|| Arc::new(Rooms::new(self.limits.wire_share, self.limits.plain_share)));
        let (memory, share) = (Arc::clone(self), Arc::clone(share));
        Hold(Arc::new(Held { memory, share, taken: Mutex::default(), _place: place }))
    }
}

/// What one request holds, until the last copy is gone.
#[derive(Clone)]
pub(crate) struct Hold(Arc<Held>);

struct Held {
    memory: Arc<Memory>,
    share: Arc<Rooms>,
    taken: Mutex<Permits>,
    _place: Option<Taken<AgentId>>,
}

#[derive(Default)]
struct Permits {
    wire: Vec<OwnedSemaphorePermit>,
    plain: Vec<OwnedSemaphorePermit>,
}

impl Hold {
    /// Takes room for bytes that are about to be read, or refuses at once.
    pub(crate) fn wire(&self, bytes: usize) -> Result<(), Fault> {
        let n = units(bytes);
        let own = Arc::clone(&self.0.share.wire).try_acquire_many_owned(n);
        let own = own.map_err(|_| Fault::TooMuch { seconds: AGAIN })?;
        let all = Arc::clone(&self.0.memory.all.wire).try_acquire_many_owned(n);
        let all = all.map_err(|_| Fault::Overloaded { seconds: AGAIN })?;
        self.permits(|taken| taken.wire.extend([own, all]));
        Ok(())
    }

    /// Waits for room to inflate and parse so many bytes, its turn among all who wait.
    pub(crate) async fn plain(&self, bytes: usize, patience: Duration) -> Result<(), Fault> {
        let n = units(bytes);
        let own = timeout(patience, Arc::clone(&self.0.share.plain).acquire_many_owned(n)).await;
        let Ok(Ok(own)) = own else { return Err(Fault::TooMuch { seconds: AGAIN }) };
        let all = timeout(patience, Arc::clone(&self.0.memory.all.plain).acquire_many_owned(n)).await;
        let Ok(Ok(all)) = all else { return Err(Fault::Overloaded { seconds: AGAIN }) };
        self.permits(|taken| taken.plain.extend([own, all]));
        Ok(())
    }

    /// Gives back the room of the bytes as they came.
    pub(crate) fn wire_is_read(&self) {
        self.permits(|taken| taken.wire.clear());
    }

    /// Gives back all memory; the place among the agent's requests stays taken until the last copy is gone.
    pub(crate) fn is_done(&self) {
        self.permits(|taken| *taken = Permits::default());
    }

    fn permits(&self, change: impl FnOnce(&mut Permits)) {
        change(&mut self.0.taken.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn memory() -> Arc<Memory> {
        let limits =
            limits::Memory { wire: 10 << 10, plain: 10 << 10, wire_share: 4 << 10, plain_share: 8 << 10 };
        Arc::new(Memory::new(limits))
    }

    fn peer(n: u8) -> Sha256 {
        Sha256([n; 32])
    }

    #[test]
    fn one_peer_takes_no_more_than_its_share_and_all_no_more_than_there_is() {
        let memory = memory();
        let [a, b, c] = [1, 2, 3].map(|n| memory.hold(peer(n), None));

        assert!(a.wire(4 << 10).is_ok());
        assert!(matches!(memory.hold(peer(1), None).wire(1), Err(Fault::TooMuch { .. })));
        assert!(b.wire(4 << 10).is_ok());
        assert!(matches!(c.wire(4 << 10), Err(Fault::Overloaded { .. })));
        assert!(c.wire(2 << 10).is_ok());
        drop(a);
        assert!(c.wire(2 << 10).is_ok());
    }

    #[tokio::test]
    async fn what_is_inflated_waits_its_turn_and_holds_until_it_is_done() {
        let memory = memory();
        let (first, second) = (memory.hold(peer(1), None), memory.hold(peer(2), None));
        first.plain(8 << 10, NOW).await.unwrap();

        assert!(matches!(second.plain(8 << 10, NOW).await, Err(Fault::Overloaded { .. })));
        let again = memory.hold(peer(1), None);
        assert!(matches!(again.plain(1, NOW).await, Err(Fault::TooMuch { .. })));

        let waiting = tokio::spawn(async move { second.plain(8 << 10, Duration::MAX).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        first.is_done();
        assert!(waiting.await.unwrap().is_ok());
    }
}
