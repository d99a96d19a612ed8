//! The rule pack that the team signed: checked, kept, offered to agents. The hub never runs a rule.

use std::sync::Arc;

use axum::body::Bytes;
use khien_core::{
    Sha256, Timestamp,
    api::PackState,
    bundle::{self, Form, Pack, Release},
    problem::Cause,
    signature::Signed,
};

use crate::{
    fault::Fault,
    forms,
    hub::Hub,
    orders,
    store::{Operator, PackRow, Read, Write},
};

/// Takes a newer pack; the current one again is nothing.
pub(crate) async fn put(hub: &Arc<Hub>, by: Operator, signed: Signed) -> Result<PackState, Fault> {
    let (state, pack, named) = hub.store.write(move |tx| keep(tx, &by, signed, Timestamp::now())).await?;
    hub.set_pack(pack);
    forms::sweep(hub, named).await;
    tracing::info!(version = state.version, "rule pack is offered to agents");
    Ok(state)
}

fn keep(
    tx: &mut dyn Write,
    by: &Operator,
    signed: Signed,
    now: Timestamp,
) -> Result<(PackState, Pack, Vec<Form>), Fault> {
    let keys = orders::trusted(tx)?;
    let release = Release::open(&signed, &keys)
        .map_err(|e| Fault::Forbidden(Cause::PackRefused { reason: (&e).into() }))?;
    let Release { pack, forms: named } = release;
    let sha256 = Sha256::of(signed.body.as_bytes());
    let state = PackState { version: pack.version, sha256: Some(sha256) };
    if i64::try_from(pack.version).is_err() || pack.version == 0 {
        return Err(Fault::Bad(Cause::BadPackVersion));
    }
    if let Some(current) = tx.pack()? {
        if current.version == pack.version && current.sha256 == sha256 {
            return Ok((state, pack, named));
        }
        if pack.version <= current.version {
            let (offered, current) = (pack.version, current.version);
            return Err(Fault::Conflict(Cause::PackNotNewer { offered, current }));
        }
    }
    tx.put_pack(&PackRow { version: pack.version, sha256, signed }, by.name(), now)?;
    tx.next_revision();
    Ok((state, pack, named))
}

/// Tells which pack is offered.
pub(crate) fn state(tx: &dyn Read) -> Result<PackState, Fault> {
    let pack = tx.pack()?;
    Ok(PackState { version: pack.as_ref().map_or(0, |p| p.version), sha256: pack.map(|p| p.sha256) })
}

/// Returns the pack that is offered, as it was signed.
pub(crate) fn signed(tx: &dyn Read) -> Result<Signed, Fault> {
    Ok(tx.pack()?.ok_or_else(|| Fault::Missing(Cause::NoPack))?.signed)
}

/// Returns the pack's text that every agent gets: one copy for all who fetch it at the same time.
pub(crate) async fn offered(hub: &Hub) -> Result<Bytes, Fault> {
    let mut offered = hub.offered.lock().await;
    let version = hub.store.read(|tx| Ok(tx.pack_version()?)).await?;
    if let Some((of, text)) = &*offered
        && *of == version
    {
        return Ok(text.clone());
    }
    let signed = hub.store.read(|tx| signed(tx)).await?;
    let text = serde_json::to_vec(&signed).map_err(|e| Fault::Internal(format!("write the pack: {e}")))?;
    let text = Bytes::from(text);
    *offered = Some((version, text.clone()));
    Ok(text)
}

/// Reads the stored pack at the start, for the words that describe detections. One whose signer was shut out since
/// then describes nothing.
pub(crate) fn stored(tx: &dyn Read) -> Option<Pack> {
    let row = tx.pack().ok()??;
    let keys = orders::trusted(tx).ok()?;
    bundle::open(&row.signed, &keys)
        .inspect_err(|error| tracing::warn!(%error, "stored pack is not used"))
        .ok()
}

/// Returns the compiled forms that the current pack names.
pub(crate) fn named(tx: &dyn Read) -> Vec<Form> {
    let open = || Release::open(&tx.pack().ok()??.signed, &orders::trusted(tx).ok()?).ok();
    open().map(|release| release.forms).unwrap_or_default()
}
