//! Evidence: bytes that an open order asked for, or that a person brought, named by the hash that the hub computed, with a custody
//! record. On the disk they are sealed from the first byte on; the hub opens them to look, and to give them out.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use khien_core::{
    AgentId, EvidenceId, IncidentId, OrderId, Sha256, Timestamp, Untrusted,
    api::Have,
    evidence::{Custody, CustodyAction, Evidence, MAX_EVIDENCE, MAX_SEALED, Origin},
    incident::{Entry, EntryKind},
    order::{Outcome, Receipt, Verb},
    problem::Cause,
    reason::Reason,
    seal::{self, Plain, SealError},
    text::hub::{EVIDENCE_LINE, EVIDENCE_SET_ASIDE},
    time::{self, SignedDuration},
};
use serde::Deserialize;

use crate::{
    fault::Fault,
    fleet,
    hub::Hub,
    incidents,
    jobs::Job,
    runs, stop,
    store::{Host, OrderRow, Read, Write},
};

mod brought;
mod key;
mod vault;

pub(crate) use brought::{bring, piece as brought_piece};
pub(crate) use key::load as load_key;

use vault::{Kept, Older};

/// How long after the end of a mandate an agent may still bring what it took before: a thin line needs hours for 64 MiB.
const LATE: SignedDuration = SignedDuration::from_hours(24);
/// What came in and was not touched for so long is given up, unless an order waits for it.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);
/// How often that is looked for.
const CLEAR_EVERY: Duration = Duration::from_secs(600);
/// Names the hub in custody records.
const TOOL: &str = concat!("khien-hub ", env!("CARGO_PKG_VERSION"));

/// One piece of an upload.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) offset: u64,
    /// The size of the whole, sealed.
    pub(crate) size: u64,
    /// The hash of what the whole opens to.
    pub(crate) sha256: Sha256,
}

/// Uploads at work: one request at a time for each.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashSet<EvidenceId>>);

impl Uploads {
    /// Returns how many are at work.
    #[cfg(test)]
    pub(crate) fn at_work(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn begin(&self, id: EvidenceId) -> Result<Busy<'_>, Fault> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            true => Ok(Busy { uploads: self, id }),
            false => Err(Fault::Conflict(Cause::EvidenceBusy { order: OrderId(id.0) })),
        }
    }
}

/// Held while one request works on an upload.
struct Busy<'a> {
    uploads: &'a Uploads,
    id: EvidenceId,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Tells an agent how much of an upload is there, so that it goes on where it was cut.
pub(crate) async fn have(hub: &Arc<Hub>, agent: AgentId, order: OrderId) -> Result<Have, Fault> {
    let id = order.into();
    let _busy = hub.uploads.begin(id)?;
    if let Some(have) = all_of_it(hub, agent, id).await? {
        return Ok(have);
    }
    open_order(hub, agent, order).await?;
    let path = hub.home.incoming_file(&id);
    Ok(Have { have: blocking(move || vault::without_its_end(&path)).await? })
}

/// Takes one piece in; the last one makes it evidence.
pub(crate) async fn receive(
    hub: &Arc<Hub>,
    agent: AgentId,
    order: OrderId,
    piece: Piece,
    bytes: Vec<u8>,
) -> Result<Have, Fault> {
    let id = order.into();
    let _busy = hub.uploads.begin(id)?;
    if piece.size > MAX_SEALED {
        return Err(Fault::TooLarge(Cause::EvidenceTooLarge { limit: MAX_EVIDENCE }));
    }
    if let Some(have) = all_of_it(hub, agent, id).await? {
        return Ok(have);
    }
    let order = open_order(hub, agent, order).await?;
    if asked(&order)?.sha256.is_some_and(|wanted| wanted != piece.sha256) {
        return Err(Fault::Conflict(Cause::EvidenceOtherContent));
    }
    let have = append(hub, id, (piece.offset, piece.size), bytes).await?;
    if have == piece.size {
        let plain = verify(hub, id, piece.sha256).await?;
        finish(hub, id, plain.sha256, move |tx| {
            let evidence = taken(tx, &order, plain)?;
            record(tx, evidence, is_late(&order, Timestamp::now()))
        })
        .await?;
    }
    Ok(Have { have })
}

/// Says that all of an upload is there if it is evidence already, taken by this agent.
async fn all_of_it(hub: &Hub, agent: AgentId, id: EvidenceId) -> Result<Option<Have>, Fault> {
    let by_this = move |e: &Evidence| matches!(e.origin, Origin::Taken { agent: a, .. } if a == agent);
    let Some(evidence) = hub.store.read(move |tx| Ok(tx.evidence(id)?.filter(by_this))).await? else {
        return Ok(None);
    };
    forget_incoming(hub, id).await?;
    Ok(Some(Have { have: seal::sealed_size(evidence.size) }))
}

/// Appends a piece to what came in. The first one must begin as something that this hub can open.
async fn append(hub: &Hub, id: EvidenceId, (offset, size): (u64, u64), bytes: Vec<u8>) -> Result<u64, Fault> {
    if offset == 0 {
        vault::check_head(&bytes, &hub.evidence_key).map_err(refused)?;
    }
    let path = hub.home.incoming_file(&id);
    blocking(move || vault::append(&path, (offset, size), &bytes)).await?
}

/// Opens all that came in and drops it if it is not what was named.
async fn verify(hub: &Hub, id: EvidenceId, sha256: Sha256) -> Result<Plain, Fault> {
    let (path, key) = (hub.home.incoming_file(&id), Arc::clone(&hub.evidence_key));
    let fault = match blocking(move || Ok(vault::checked(&path, &key))).await? {
        Ok(plain) if plain.sha256 == sha256 => return Ok(plain),
        Ok(_) => Fault::Conflict(Cause::EvidenceOtherHash),
        Err(error @ SealError::Io(_)) => return Err(refused(error)),
        Err(error) => refused(error),
    };
    tracing::warn!(evidence = %id, %fault, "evidence that came in is dropped");
    forget_incoming(hub, id).await?;
    Err(fault)
}

/// Says what is wrong with bytes that came in. What was altered or cut on the way may be sent again; what was never sealed to
/// this hub not.
fn refused(error: SealError) -> Fault {
    match error {
        SealError::Io(error) => Fault::io("evidence", &error),
        SealError::Cut | SealError::Damaged(_) => Fault::Conflict(Cause::EvidenceOtherHash),
        SealError::NotSealed | SealError::Version(_) | SealError::OtherKey { .. } | SealError::BadKey => {
            Fault::Bad(Cause::EvidenceNotSealed { error: Cause::quoted(&error) })
        }
    }
}

async fn open_order(hub: &Hub, agent: AgentId, id: OrderId) -> Result<OrderRow, Fault> {
    let order = hub.store.read(move |tx| Ok(tx.order(id)?)).await?;
    let order = order.filter(|o| o.allowed.agent == agent && is_waited_for(o, Timestamp::now()));
    order.ok_or_else(|| Fault::Forbidden(Cause::EvidenceNotAsked { order: id }))
}

/// Tells whether evidence may still come for an order: until it is answered, also where the hub gave it up, and for a day after
/// its mandate. That the agent took it before that end is the agent's to keep, which obeys no mandate that is over.
fn is_waited_for(order: &OrderRow, now: Timestamp) -> bool {
    let is_open = order.receipt.as_ref().is_none_or(runs::was_given_up);
    runs::preserves(order) && is_open && time::after(order.expires, LATE) >= now
}

/// Tells whether what comes now comes after the end of its mandate.
fn is_late(order: &OrderRow, now: Timestamp) -> bool {
    order.expires < runs::answers_due(now)
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|e| Fault::Internal(format!("evidence: {e}")))?;
    done.map_err(|e| Fault::io("evidence", &e))
}

/// Puts bytes that were checked in their place, then has them recorded. What was recorded before stays as it is.
async fn finish(
    hub: &Arc<Hub>,
    id: EvidenceId,
    sha256: Sha256,
    recorded: impl FnOnce(&mut dyn Write) -> Result<Evidence, Fault> + Send + 'static,
) -> Result<Evidence, Fault> {
    let (home, key) = (hub.home.clone(), Arc::clone(&hub.evidence_key));
    let older = blocking(move || vault::settle(&home, id, sha256, &key)).await?;
    match older {
        Older::Sealed => tracing::info!(%sha256, "evidence came again, what is kept of it stays"),
        Older::Damaged => tracing::error!(%sha256, "kept evidence did not open any more and is set aside"),
        Older::None | Older::Open => {}
    }
    let work = hub.store.write(move |tx| {
        let evidence = match tx.evidence(id)? {
            Some(before) => before,
            None => recorded(tx)?,
        };
        if older == Older::Damaged {
            let text = EVIDENCE_SET_ASIDE.words_with(&[&sha256]);
            let entry = Entry { at: Timestamp::now(), who: "hub".to_owned(), kind: EntryKind::Note, text };
            incidents::write(tx, evidence.incident, entry)?;
        }
        Ok(evidence)
    });
    work.await
}

/// Removes the incoming name, also where an earlier try that was cut off did.
async fn forget_incoming(hub: &Hub, id: EvidenceId) -> Result<(), Fault> {
    let incoming = hub.home.incoming_file(&id);
    blocking(move || vault::forget(&incoming)).await
}

/// Removes what was left behind, at the start and then from time to time, until the hub stops.
pub(crate) async fn keep_clear(hub: Arc<Hub>) {
    let (mut stopping, mut every) = (hub.stopping.clone(), tokio::time::interval(CLEAR_EVERY));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = stop::begun(&mut stopping) => return,
        }
        if let Err(why) = sweep(&hub, LEFT_BEHIND).await {
            tracing::warn!(%why, "what came in for ended orders cannot be cleared away");
        }
    }
}

/// Removes what came in and is waited for no more: no order asks for it any more, and nothing of it came for so long. With no time
/// at all for a start, before anybody is heard.
pub(crate) async fn sweep(hub: &Hub, rested: Duration) -> Result<(), Fault> {
    let home = hub.home.clone();
    for id in blocking(move || vault::waiting(&home, rested)).await? {
        let waits = hub.store.read(move |tx| {
            let asked = tx.order(OrderId(id.0))?.is_some_and(|o| is_waited_for(&o, Timestamp::now()));
            Ok(asked && tx.evidence(id)?.is_none())
        });
        if !waits.await? {
            forget_incoming(hub, id).await?;
        }
    }
    Ok(())
}

/// Puts together what an order made evidence of.
fn taken(tx: &dyn Read, order: &OrderRow, plain: Plain) -> Result<Evidence, Fault> {
    let Plain { sha256, size } = plain;
    let agent = order.allowed.agent;
    let host = fleet::host(tx, agent)?.agent.host;
    Ok(Evidence {
        sha256,
        size,
        path: asked(order)?.path,
        origin: Origin::Taken { agent, host, order: order.id },
        incident: incident_of(tx, order)?,
        custody: vec![custody(order.created, &order.by, CustodyAction::Ordered, "khien", sha256)],
    })
}

/// Records evidence that is in its place, and says so in the timeline.
fn record(tx: &mut dyn Write, mut evidence: Evidence, late: bool) -> Result<Evidence, Fault> {
    let (now, sha256, incident) = (Timestamp::now(), evidence.sha256, evidence.incident);
    let received = custody(now, "hub", CustodyAction::Received, TOOL, sha256);
    evidence.custody.push(Custody { late, ..received });
    tx.add_evidence(&evidence)?;
    let who = match &evidence.origin {
        Origin::Taken { .. } => "hub",
        Origin::Brought { by, .. } => by,
    };
    let text = EVIDENCE_LINE.words_with(&[&evidence.path, &evidence.size, &sha256]);
    let entry = Entry { at: now, who: who.to_owned(), kind: EntryKind::EvidenceStored, text };
    incidents::write(tx, incident, entry)?;
    Ok(evidence)
}

/// What an order asks the bytes of.
struct Wanted {
    path: Untrusted,
    /// Of the bytes; none where nobody could know it before they were taken.
    sha256: Option<Sha256>,
}

fn asked(order: &OrderRow) -> Result<Wanted, Fault> {
    match &order.allowed.verb {
        Verb::PreservePackets(packets) => Ok(Wanted { path: packets.name(), sha256: None }),
        verb => {
            let file = verb.file().ok_or(Fault::Conflict(Cause::EvidenceNotAsked { order: order.id }))?;
            Ok(Wanted { path: file.path.clone(), sha256: Some(file.sha256) })
        }
    }
}

/// Returns the incident to which what an order preserves belongs: that of its run, or the one that was signed for.
fn incident_of(tx: &dyn Read, order: &OrderRow) -> Result<IncidentId, Fault> {
    match &order.allowed.verb {
        Verb::PreservePackets(packets) => Ok(packets.incident()),
        _ => {
            let run = tx.run(order.run)?.ok_or_else(|| Fault::Missing(Cause::NoRun { run: order.run }))?;
            Ok(run.incident)
        }
    }
}

fn custody(at: Timestamp, who: &str, action: CustodyAction, tool: &str, sha256: Sha256) -> Custody {
    Custody { at, who: who.to_owned(), action, tool: tool.to_owned(), sha256, late: false }
}

/// Looks whether an agent that says it preserved a file really gave the bytes; returns what to believe if it did not.
pub(crate) fn missing(tx: &dyn Read, order: &OrderRow, receipt: &Receipt) -> Result<Option<Outcome>, Fault> {
    let Outcome::Done { evidence } = &receipt.outcome else { return Ok(None) };
    if !runs::preserves(order) {
        return Ok(None);
    }
    let held = tx.evidence(order.id.into())?;
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
        order.id.into(),
        &custody(preserved.at, &who, CustodyAction::Collected, &tool, preserved.sha256),
    )?)
}

/// Opens evidence of an incident for an operator, after the custody record says so; returns its size too. The job goes on until
/// all of it is read, or nobody reads it any more.
pub(crate) async fn export(
    hub: &Arc<Hub>,
    sha256: Sha256,
    incident: IncidentId,
    by: String,
    job: Job,
) -> Result<(Export, u64), Fault> {
    let found = hub.store.read(move |tx| {
        let mut kept = tx.evidence_of(incident)?;
        kept.retain(|e| e.sha256 == sha256);
        match kept.first().map(|e| e.size) {
            Some(size) => Ok((kept.iter().map(|e| e.origin.id()).collect::<Vec<_>>(), size)),
            None => Err(Fault::Missing(Cause::NoEvidence { sha256, incident })),
        }
    });
    let (ids, size) = found.await?;
    let (home, key) = (hub.home.clone(), Arc::clone(&hub.evidence_key));
    // Whoever hangs up meanwhile has the job until the look is over.
    let opened =
        blocking(move || Ok(Kept::open(&home, &sha256, &key).map(|kept| Export { kept, _job: job })));
    let export = opened.await?.map_err(|error| {
        tracing::error!(%sha256, %error, "evidence cannot be opened");
        Fault::Conflict(Cause::EvidenceUnreadable { sha256, error: Cause::quoted(&error) })
    })?;
    let recorded = hub.store.write(move |tx| {
        let exported = custody(Timestamp::now(), &by, CustodyAction::Exported, TOOL, sha256);
        // It is a copy of each of them.
        ids.iter().try_for_each(|id| tx.add_custody(*id, &exported))?;
        let revision = tx.next_revision();
        Ok(tx.touch_incident(incident, revision)?)
    });
    recorded.await?;
    Ok((export, size))
}

/// Evidence that is given out.
pub(crate) struct Export {
    kept: Kept,
    _job: Job,
}

/// Reads the next bytes of evidence; none at its end.
pub(crate) async fn next_bytes(mut export: Export) -> io::Result<Option<(Vec<u8>, Export)>> {
    let read =
        tokio::task::spawn_blocking(move || export.kept.next_piece().map(|bytes| bytes.map(|b| (b, export))));
    read.await.map_err(io::Error::other)?.map_err(io::Error::other)
}
