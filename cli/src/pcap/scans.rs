//! Hands pieces of streams and carried files to the workers, several at a time, and takes what they say.
//!
//! What waits takes a bounded amount of memory: who brings more waits for room, so that a file of any size is looked at whole
//! with the same memory.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    event::{FlowFacts, ScanOutcome, Unseen},
};
use khien_rules::{Scanned, external::Externals};
use khien_scan::Pool;
use khien_traffic::sink::{Job, Origin};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::rules::memory_file;

/// Bytes that are with the workers or wait for them, in KiB.
const ROOM: u32 = 8 << 10;
/// What a piece costs beside its bytes, in KiB: a task, a file in memory, an answer.
const EACH: u32 = 16;
/// Pieces and carried files that are remembered as clean: the same one is not scanned again.
const REMEMBERED: usize = 65_536;

/// What was scanned.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) origin: Origin,
    pub(super) facts: FlowFacts,
    /// When it was complete, by the clock of the capture.
    pub(super) at: Timestamp,
    /// Where it begins in its stream.
    pub(super) offset: u64,
    /// The name and the digest of a carried file.
    pub(super) carried: Option<(Untrusted, Sha256)>,
    /// By what it is known again.
    pub(super) digest: Option<Sha256>,
}

/// How a scan ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) piece: Piece,
    pub(super) scanned: Scanned,
    pub(super) unseen: Vec<Unseen>,
}

/// The scans of one file of packets.
pub(super) struct Scans {
    pool: Arc<Pool>,
    runtime: Handle,
    /// Whether the rules are of others: they know files only, and ask what those are called.
    is_foreign: bool,
    room: Arc<Semaphore>,
    tell: Sender<Ended>,
    told: Receiver<Ended>,
    running: usize,
    clean: HashSet<Sha256>,
}

impl Scans {
    pub(super) fn new(pool: Arc<Pool>, runtime: Handle, is_foreign: bool) -> Self {
        let (tell, told) = channel();
        let room = Arc::new(Semaphore::new(ROOM as usize));
        Self { pool, runtime, is_foreign, room, tell, told, running: 0, clean: HashSet::new() }
    }

    /// Begins to scan a piece of a stream.
    pub(super) fn stream(&mut self, job: Job, at: Timestamp) {
        let Job { origin, facts, offset, bytes } = job;
        let piece = Piece { origin, facts, at, offset, carried: None, digest: None };
        // The same pages and downloads come again and again.
        let digest = Sha256::of(&bytes);
        if self.clean.contains(&digest) {
            return;
        }
        let piece = Piece { digest: Some(digest), ..piece };
        if self.is_foreign {
            return self.as_file(piece, Untrusted::none(), &bytes);
        }
        let (room, pool, tell) = (self.wait(bytes.len()), Arc::clone(&self.pool), self.tell.clone());
        self.runtime.spawn(async move {
            let scanned = pool.scan_stream(bytes).await;
            // Nobody hears it any more when all is broken off.
            tell.send(Ended { piece, scanned, unseen: Vec::new() }).ok();
            drop(room);
        });
    }

    /// Begins to scan a carried file. One that was clean under the same name is clean.
    pub(super) fn file(&mut self, piece: Piece, bytes: &[u8]) {
        let known = piece.carried.as_ref().map(|(name, digest)| named(name, digest));
        if known.is_some_and(|known| self.clean.contains(&known)) {
            return;
        }
        let piece = Piece { digest: known, ..piece };
        let name = piece.carried.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
        self.as_file(piece, name, bytes);
    }

    fn as_file(&mut self, piece: Piece, name: Untrusted, bytes: &[u8]) {
        let room = self.wait(bytes.len());
        let (pool, tell) = (Arc::clone(&self.pool), self.tell.clone());
        let file = memory_file(bytes);
        let externals = self.is_foreign.then(|| Externals { path: name.clone(), ..Externals::default() });
        self.runtime.spawn(async move {
            let scanning = match file {
                Ok(file) => pool.begin(file, name, externals, false).await,
                Err(_) => None,
            };
            let ended = match scanning {
                Some(scanning) => {
                    let scan = scanning.ended().await;
                    Ended { piece, scanned: scan.scanned, unseen: scan.unseen }
                }
                None => {
                    let scanned = Scanned { outcome: ScanOutcome::Unreadable, hits: Vec::new() };
                    Ended { piece, scanned, unseen: Vec::new() }
                }
            };
            tell.send(ended).ok();
            drop(room);
        });
    }

    /// Returns a scan that has ended.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let ended = self.told.try_recv().ok()?;
        Some(self.take(ended))
    }

    /// Waits for a scan to end. None: none runs.
    pub(super) fn wait_for_one(&mut self) -> Option<Ended> {
        if self.running == 0 {
            return None;
        }
        let ended = self.told.recv().ok()?;
        Some(self.take(ended))
    }

    fn take(&mut self, ended: Ended) -> Ended {
        self.running = self.running.saturating_sub(1);
        let is_clean = ended.scanned.outcome == ScanOutcome::Clean && ended.unseen.is_empty();
        if let Some(digest) = ended.piece.digest.filter(|_| is_clean) {
            if self.clean.len() >= REMEMBERED {
                self.clean.clear();
            }
            self.clean.insert(digest);
        }
        ended
    }

    /// Waits until there is room. A worker that takes long is killed, so there will be.
    fn wait(&mut self, size: usize) -> Option<OwnedSemaphorePermit> {
        self.running += 1;
        let wanted = u32::try_from(size >> 10).unwrap_or(ROOM).saturating_add(EACH).min(ROOM);
        // It is never closed.
        self.runtime.block_on(Arc::clone(&self.room).acquire_many_owned(wanted)).ok()
    }
}

/// Lists of names make the same content another finding under another name; as a piece of a stream it is held against other
/// rules.
fn named(name: &Untrusted, digest: &Sha256) -> Sha256 {
    Sha256::of(&[b"file", &digest.0[..], name.raw()].concat())
}
