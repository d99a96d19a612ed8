//! Evidence: bytes that an open order asked for, named by the hash that the hub computed, with a custody record.
//!
//! No file is named by a client: incoming bytes are named by the order's id, finished ones by their SHA-256.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use khien_core::{
    AgentId, IncidentId, OrderId, Sha256, Timestamp,
    evidence::{Custody, CustodyAction, Evidence, MAX_EVIDENCE},
    incident::{Entry, EntryKind},
    order::{Outcome, Receipt},
    problem::Cause,
    reason::Reason,
    text::hub::EVIDENCE_LINE,
};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::{
    config::{self, Home},
    fault::Fault,
    fleet,
    hub::Hub,
    incidents, runs,
    store::{Host, OrderRow, Read, Write},
};

/// Names the hub in custody records.
const TOOL: &str = concat!("khien-hub ", env!("CARGO_PKG_VERSION"));

/// One piece of an upload.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) offset: u64,
    /// The size of the whole.
    pub(crate) size: u64,
    /// The hash of the whole.
    pub(crate) sha256: Sha256,
}

/// How much of an upload the hub has.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Have {
    pub(crate) have: u64,
}

/// Uploads at work: one request at a time for each order.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashSet<OrderId>>);

impl Uploads {
    fn begin(&self, order: OrderId) -> Result<Busy<'_>, Fault> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(order) {
            true => Ok(Busy { uploads: self, order }),
            false => Err(Fault::Conflict(Cause::EvidenceBusy { order })),
        }
    }
}

/// Held while one request works on an upload.
struct Busy<'a> {
    uploads: &'a Uploads,
    order: OrderId,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.order);
    }
}

/// Tells an agent how much of an upload is there, so that it goes on where it was cut.
pub(crate) async fn have(hub: &Arc<Hub>, agent: AgentId, id: OrderId) -> Result<Have, Fault> {
    let _busy = hub.uploads.begin(id)?;
    if let Some(evidence) = hub.store.read(move |tx| stored(tx, agent, id)).await? {
        forget_incoming(hub, id).await?;
        return Ok(Have { have: evidence.size });
    }
    let order = open_order(hub, agent, id).await?;
    let path = hub.home.incoming_file(&id);
    let Some((size, hash)) = blocking(move || size_and_hash(&path)).await? else {
        return Ok(Have { have: 0 });
    };
    if hash == order.allowed.verb.file().sha256 {
        // All bytes came, but the hub ended before it took them in.
        finish(hub, order, size).await?;
    }
    Ok(Have { have: size })
}

/// Takes one piece in; the last one makes it evidence.
pub(crate) async fn receive(
    hub: &Arc<Hub>,
    agent: AgentId,
    id: OrderId,
    piece: Piece,
    bytes: Vec<u8>,
) -> Result<Have, Fault> {
    let _busy = hub.uploads.begin(id)?;
    if piece.size > MAX_EVIDENCE {
        return Err(Fault::TooLarge(Cause::EvidenceTooLarge { limit: MAX_EVIDENCE }));
    }
    if let Some(evidence) = hub.store.read(move |tx| stored(tx, agent, id)).await? {
        forget_incoming(hub, id).await?;
        return Ok(Have { have: evidence.size });
    }
    let order = open_order(hub, agent, id).await?;
    if order.allowed.verb.file().sha256 != piece.sha256 {
        return Err(Fault::Conflict(Cause::EvidenceOtherContent));
    }
    let path = hub.home.incoming_file(&id);
    let have = blocking(move || append(&path, piece, &bytes)).await??;
    if have == piece.size {
        verify(hub, &order, piece).await?;
        finish(hub, order, piece.size).await?;
    }
    Ok(Have { have })
}

async fn verify(hub: &Hub, order: &OrderRow, piece: Piece) -> Result<(), Fault> {
    let path = hub.home.incoming_file(&order.id);
    let again = path.clone();
    let found = blocking(move || size_and_hash(&path)).await?;
    let hash = found.map(|(_, hash)| hash);
    if hash == Some(piece.sha256) {
        return Ok(());
    }
    tracing::warn!(agent = %order.allowed.agent, order = %order.id, ?hash, "evidence does not fit its hash");
    blocking(move || fs::remove_file(again)).await?;
    Err(Fault::Conflict(Cause::EvidenceOtherHash))
}

/// Returns the evidence of an order if this agent was the one to take it.
fn stored(tx: &dyn Read, agent: AgentId, id: OrderId) -> Result<Option<Evidence>, Fault> {
    Ok(tx.evidence_by_order(id)?.filter(|e| e.agent == agent))
}

async fn open_order(hub: &Hub, agent: AgentId, id: OrderId) -> Result<OrderRow, Fault> {
    let order = hub.store.read(move |tx| Ok(tx.order(id)?)).await?;
    let order = order.filter(|o| o.allowed.agent == agent && o.receipt.is_none() && runs::preserves(o));
    order.ok_or_else(|| Fault::Forbidden(Cause::EvidenceNotAsked { order: id }))
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|e| Fault::Internal(format!("evidence: {e}")))?;
    done.map_err(|e| Fault::io("evidence", &e))
}

/// Appends a piece; the inner error says that it does not go on where the file ends.
fn append(path: &Path, piece: Piece, bytes: &[u8]) -> io::Result<Result<u64, Fault>> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let have = file.seek(SeekFrom::End(0))?;
    let end = have.saturating_add(bytes.len() as u64);
    if piece.offset != have || end > piece.size {
        return Ok(Err(Fault::Conflict(Cause::EvidenceGap { have, size: piece.size })));
    }
    file.write_all(bytes)?;
    if end == piece.size {
        file.sync_all()?;
    }
    Ok(Ok(end))
}

/// Returns a file's size and hash, or nothing if it is not there.
fn size_and_hash(path: &Path) -> io::Result<Option<(u64, Sha256)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut hasher = sha2::Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(Some((size, Sha256(hasher.finalize().into()))));
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
}

/// Puts bytes that were checked in their place, then records them, then forgets the incoming name: cut at any point,
/// the next try finishes it.
async fn finish(hub: &Arc<Hub>, order: OrderRow, size: u64) -> Result<(), Fault> {
    let (home, id, sha256) = (hub.home.clone(), order.id, order.allowed.verb.file().sha256);
    blocking(move || settle(&home, id, sha256)).await?;
    hub.store.write(move |tx| record(tx, &order, size, Timestamp::now())).await?;
    forget_incoming(hub, id).await
}

/// Removes the incoming name, also where an earlier try that was cut off did.
async fn forget_incoming(hub: &Hub, id: OrderId) -> Result<(), Fault> {
    let incoming = hub.home.incoming_file(&id);
    blocking(move || match fs::remove_file(incoming) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    })
    .await
}

/// Removes what came in for orders that wait for no evidence any more. For a start, before agents are heard.
pub(crate) async fn sweep(hub: &Hub) -> Result<(), Fault> {
    let folder = hub.home.incoming();
    let names =
        blocking(move || fs::read_dir(folder)?.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>());
    for name in names.await? {
        let Some(id) = name.to_str().and_then(|n| n.parse::<OrderId>().ok()) else { continue };
        let waits = hub
            .store
            .read(move |tx| {
                let open = tx.order(id)?.is_some_and(|o| o.receipt.is_none());
                Ok(open && tx.evidence_by_order(id)?.is_none())
            })
            .await?;
        if !waits {
            forget_incoming(hub, id).await?;
        }
    }
    Ok(())
}

fn settle(home: &Home, order: OrderId, sha256: Sha256) -> io::Result<()> {
    let (incoming, place) = (home.incoming_file(&order), home.evidence_file(&sha256));
    if let Some(dir) = place.parent() {
        config::private_dir(dir)?;
        config::sync_dir(dir)?;
    }
    // The one who wrote the last piece may have been cut off before its bytes were on the disk.
    File::open(&incoming)?.sync_all()?;
    match fs::hard_link(incoming, &place) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    config::sync_dir(&place)
}

fn record(tx: &mut dyn Write, order: &OrderRow, size: u64, now: Timestamp) -> Result<(), Fault> {
    if tx.evidence_by_order(order.id)?.is_some() {
        return Ok(());
    }
    let run = tx.run(order.run)?.ok_or_else(|| Fault::Missing(Cause::NoRun { run: order.run }))?;
    let host = fleet::host(tx, order.allowed.agent)?;
    let file = order.allowed.verb.file();
    let ordered = custody(order.created, &order.by, CustodyAction::Ordered, "khien", file.sha256);
    let received = custody(now, "hub", CustodyAction::Received, TOOL, file.sha256);
    tx.add_evidence(&Evidence {
        sha256: file.sha256,
        size,
        path: file.path.clone(),
        agent: order.allowed.agent,
        host: host.agent.host,
        incident: run.incident,
        order: order.id,
        custody: vec![ordered, received],
    })?;
    let text = EVIDENCE_LINE.words_with(&[&file.path, &size, &file.sha256]);
    let entry = Entry { at: now, who: "hub".to_owned(), kind: EntryKind::EvidenceStored, text };
    incidents::write(tx, run.incident, entry)
}

fn custody(at: Timestamp, who: &str, action: CustodyAction, tool: &str, sha256: Sha256) -> Custody {
    Custody { at, who: who.to_owned(), action, tool: tool.to_owned(), sha256 }
}

/// Looks whether an agent that says it preserved a file really gave the bytes; returns what to believe if it did not.
pub(crate) fn missing(tx: &dyn Read, order: &OrderRow, receipt: &Receipt) -> Result<Option<Outcome>, Fault> {
    let Outcome::Done { evidence } = &receipt.outcome else { return Ok(None) };
    if !runs::preserves(order) {
        return Ok(None);
    }
    let held = tx.evidence_by_order(order.id)?;
    let fits =
        held.zip(evidence.as_ref()).is_some_and(|(h, said)| h.sha256 == said.sha256 && h.size == said.size);
    Ok((!fits).then_some(Outcome::Failed { reason: Reason::EvidenceMissing }))
}

/// Writes in the custody record when the agent read the bytes, as it says.
pub(crate) fn collected(
    tx: &mut dyn Write,
    host: &Host,
    order: &OrderRow,
    receipt: &Receipt,
) -> Result<(), Fault> {
    let Outcome::Done { evidence: Some(preserved) } = &receipt.outcome else { return Ok(()) };
    if !runs::preserves(order) {
        return Ok(());
    }
    let who = format!("agent {}", host.agent.host);
    let tool = format!("khien-agent {}", host.agent.version);
    Ok(tx.add_custody(
        order.id,
        &custody(preserved.at, &who, CustodyAction::Collected, &tool, preserved.sha256),
    )?)
}

/// Opens evidence of an incident for an operator, after the custody record says so.
pub(crate) async fn export(
    hub: &Arc<Hub>,
    sha256: Sha256,
    incident: IncidentId,
    by: String,
) -> Result<(tokio::fs::File, u64), Fault> {
    let size = hub
        .store
        .write(move |tx| {
            let all = tx.evidence_of(incident)?;
            let missing = || Fault::Missing(Cause::NoEvidence { sha256, incident });
            let found = all.into_iter().find(|e| e.sha256 == sha256).ok_or_else(missing)?;
            let line = custody(Timestamp::now(), &by, CustodyAction::Exported, TOOL, sha256);
            tx.add_custody(found.order, &line)?;
            let revision = tx.next_revision();
            tx.touch_incident(incident, revision)?;
            Ok(found.size)
        })
        .await?;
    let file = tokio::fs::File::open(hub.home.evidence_file(&sha256)).await;
    file.map(|f| (f, size)).map_err(|e| Fault::io("open evidence", &e))
}
