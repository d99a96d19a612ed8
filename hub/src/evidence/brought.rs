//! Evidence that a person brings: sealed by their program, sent in pieces, then named and made part of an incident.

use std::sync::Arc;

use khien_core::{
    EvidenceId, IncidentId, Nonce, Sha256,
    api::{BringEvidence, Have, MAX_EVIDENCE_NAME},
    evidence::{CustodyAction, Evidence, MAX_EVIDENCE, MAX_SEALED, Origin},
    problem::Cause,
    seal::Plain,
};

use super::{LEFT_BEHIND, append, blocking, custody, finish, forget_incoming, record, sweep, verify};
use crate::{
    fault::Fault,
    hub::Hub,
    runs,
    store::{Read, Write},
};

/// Takes one piece in.
pub(crate) async fn piece(hub: &Arc<Hub>, upload: Nonce, offset: u64, bytes: Vec<u8>) -> Result<Have, Fault> {
    let id = EvidenceId::brought(upload);
    let _busy = hub.uploads.begin(id)?;
    if offset.saturating_add(bytes.len() as u64) > MAX_SEALED {
        return Err(Fault::TooLarge(Cause::EvidenceTooLarge { limit: MAX_EVIDENCE }));
    }
    if offset == 0 {
        sweep(hub, LEFT_BEHIND).await?;
    }
    Ok(Have { have: append(hub, id, (offset, MAX_SEALED), bytes).await? })
}

/// Makes what was sent evidence of an incident. The same again is the same evidence, and so are the same bytes of the same incident
/// in another upload: then that its sender had them, too, stands in the record of the first.
pub(crate) async fn bring(
    hub: &Arc<Hub>,
    incident: IncidentId,
    wanted: BringEvidence,
    by: String,
) -> Result<Evidence, Fault> {
    let (id, sha256) = (EvidenceId::brought(wanted.upload), wanted.sha256);
    let _busy = hub.uploads.begin(id)?;
    let evidence = described(incident, wanted, by)?;
    let before = hub.store.read(move |tx| {
        runs::check_open(tx, incident)?;
        Ok((tx.evidence(id)?, first(tx, incident, sha256)?))
    });
    let (known, first_of_all) = before.await?;
    if let Some(kept) = known {
        forget_incoming(hub, id).await?;
        let same = (kept.incident, kept.sha256, &kept.origin) == (incident, sha256, &evidence.origin);
        return if same { Ok(kept) } else { Err(Fault::Conflict(Cause::EvidenceOtherContent)) };
    }
    let incoming = hub.home.incoming_file(&id);
    if !blocking(move || incoming.try_exists()).await? {
        // This sender brought it before, and did not hear the answer.
        let same = first_of_all.filter(|first| is_from_all(first, &evidence));
        return same.ok_or(Fault::Missing(Cause::NoEvidence { sha256, incident }));
    }
    let Plain { size, .. } = verify(hub, id, sha256).await?;
    finish(hub, id, sha256, move |tx| {
        runs::check_open(tx, incident)?;
        match first(tx, incident, sha256)? {
            Some(kept) => also_from(tx, kept, &evidence),
            None => record(tx, Evidence { size, ..evidence }, false),
        }
    })
    .await
}

/// Returns what a person brought of these bytes first. What an agent took of the same is other evidence: it was elsewhere.
fn first(tx: &dyn Read, incident: IncidentId, sha256: Sha256) -> Result<Option<Evidence>, Fault> {
    let is_same = |e: &Evidence| e.sha256 == sha256 && matches!(e.origin, Origin::Brought { .. });
    Ok(tx.evidence_of(incident)?.into_iter().find(is_same))
}

/// Tells whether who brings something stands in the record of what is kept.
fn is_from_all(kept: &Evidence, brought: &Evidence) -> bool {
    let mut senders = brought.custody.iter().filter(|line| line.action == CustodyAction::Brought);
    senders.all(|line| kept.custody.iter().any(|k| (k.action, &k.who) == (line.action, &line.who)))
}

/// Writes into the record of what is kept who else brought it.
fn also_from(tx: &mut dyn Write, kept: Evidence, brought: &Evidence) -> Result<Evidence, Fault> {
    if is_from_all(&kept, brought) {
        return Ok(kept);
    }
    let id = kept.origin.id();
    brought.custody.iter().try_for_each(|line| tx.add_custody(id, line))?;
    let revision = tx.next_revision();
    tx.touch_incident(kept.incident, revision)?;
    Ok(tx.evidence(id)?.unwrap_or(kept))
}

/// Puts together what is known of it before it was opened.
fn described(incident: IncidentId, wanted: BringEvidence, by: String) -> Result<Evidence, Fault> {
    let BringEvidence { upload, name, sha256, at } = wanted;
    if !(1..=MAX_EVIDENCE_NAME).contains(&name.raw().len()) {
        return Err(Fault::Bad(Cause::BadEvidenceName { limit: MAX_EVIDENCE_NAME as u64 }));
    }
    let custody = vec![custody(at, &by, CustodyAction::Brought, "khien", sha256)];
    Ok(Evidence { sha256, size: 0, path: name, origin: Origin::Brought { by, upload }, incident, custody })
}
