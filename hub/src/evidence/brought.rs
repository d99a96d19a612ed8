//! Evidence that a person brings: sealed by their program, sent in pieces, then named and made part of an incident.

use std::{sync::Arc, time::Duration};

use khien_core::{
    EvidenceId, IncidentId, Nonce,
    api::{BringEvidence, Have, MAX_EVIDENCE_NAME},
    evidence::{CustodyAction, Evidence, MAX_EVIDENCE, MAX_SEALED, Origin},
    problem::Cause,
    seal::Plain,
};

use super::{append, blocking, custody, finish, forget_incoming, sweep, verify};
use crate::{fault::Fault, hub::Hub, runs};

/// An upload of which nothing was heard for so long is given up when the next one begins.
const GIVEN_UP: Duration = Duration::from_secs(3_600);

/// Takes one piece in.
pub(crate) async fn piece(hub: &Arc<Hub>, upload: Nonce, offset: u64, bytes: Vec<u8>) -> Result<Have, Fault> {
    let id = EvidenceId::brought(upload);
    let _busy = hub.uploads.begin(id)?;
    if offset.saturating_add(bytes.len() as u64) > MAX_SEALED {
        return Err(Fault::TooLarge(Cause::EvidenceTooLarge { limit: MAX_EVIDENCE }));
    }
    if offset == 0 {
        sweep(hub, GIVEN_UP).await?;
    }
    Ok(Have { have: append(hub, id, (offset, MAX_SEALED), bytes).await? })
}

/// Makes what was sent evidence of an incident. The same again is the same evidence.
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
        Ok(tx.evidence(id)?)
    });
    if let Some(kept) = before.await? {
        forget_incoming(hub, id).await?;
        let same = (kept.incident, kept.sha256, &kept.origin) == (incident, sha256, &evidence.origin);
        return if same { Ok(kept) } else { Err(Fault::Conflict(Cause::EvidenceOtherContent)) };
    }
    let incoming = hub.home.incoming_file(&id);
    if !blocking(move || incoming.try_exists()).await? {
        return Err(Fault::Missing(Cause::NoEvidence { sha256, incident }));
    }
    let Plain { size, .. } = verify(hub, id, sha256).await?;
    finish(hub, id, sha256, move |tx| {
        runs::check_open(tx, incident)?;
        Ok(Evidence { size, ..evidence })
    })
    .await
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
