//! Brings a sealed copy of a file to the hub in pieces, and goes on where it was cut off.

use std::{sync::Arc, time::Duration};

use khien_core::{
    OrderId, Timestamp,
    order::{FileTarget, PacketTarget, Preserved},
    protocol::EVIDENCE_CHUNK,
    reason::{self, Reason},
};

use crate::{
    packets::Packets,
    respond::{
        Leave, Responder,
        evidence::{Staged, Taking},
    },
    uplink::{Hub, Line, Trouble},
};

/// After this many failures of the hub in a row the order fails; a line that is down does not count.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Copies the file and sends the copy, which stays until the order is answered.
pub(super) async fn preserve(
    responder: &Responder,
    line: &mut Line,
    order: OrderId,
    file: FileTarget,
    leave: Leave,
) -> Result<Preserved, Reason> {
    let (responder, taking) = (responder.clone(), taking(line, order, leave).await?);
    let staged = tokio::task::spawn_blocking(move || responder.stage(&taking, &file)).await;
    let staged = staged.map_err(|_| Reason::AgentFailed)??;
    send(&staged, line, order).await?;
    Ok(staged.preserved)
}

/// Writes packets into a file and sends it. It stays until the order is answered: what is in memory moves on meanwhile.
pub(super) async fn preserve_packets(
    responder: &Responder,
    line: &mut Line,
    order: OrderId,
    (packets, target): (Packets, PacketTarget),
    leave: Leave,
) -> Result<Preserved, Reason> {
    let (responder, taking) = (responder.clone(), taking(line, order, leave).await?);
    let staged = tokio::task::spawn_blocking(move || {
        let save = |mut out: &mut dyn std::io::Write| packets.save(&target, Timestamp::now(), &mut out);
        responder.stage_made(&taking, &target.name(), save)
    });
    let staged = staged.await.map_err(|_| Reason::AgentFailed)??;
    send(&staged, line, order).await?;
    Ok(staged.preserved)
}

/// Says how a copy is taken: sealed to the key of the hub at the other end of the line. Without a key none is taken.
async fn taking(line: &mut Line, order: OrderId, leave: Leave) -> Result<Taking, Reason> {
    let key = standing(line).await?.evidence_key.ok_or(Reason::NoEvidenceKey)?;
    Ok(Taking { order, key, leave })
}

async fn send(staged: &Staged, line: &mut Line, order: OrderId) -> Result<(), Reason> {
    let mut failures = 0;
    while failures < TRIES {
        let hub = standing(line).await?;
        match send_over(staged, &hub, order).await {
            Ok(()) => return Ok(()),
            // 409 may only mean that the hub still works on the piece before; that passes.
            Err(Trouble::Refused { status: 400..=408 | 410..=428 | 430..=499, said }) => {
                return Err(Reason::EvidenceRefused {
                    vi: reason::quoted(&said.vi),
                    en: reason::quoted(&said.en),
                });
            }
            Err(Trouble::Later(wait)) => {
                tokio::time::sleep(wait).await;
                continue;
            }
            // The session sees the same and begins anew; until then there is nothing to hurry for.
            Err(Trouble::Line(error)) => tracing::warn!(%order, error, "evidence waits for the line"),
            Err(trouble) => {
                failures += 1;
                tracing::warn!(%order, %trouble, failures, "evidence is sent again");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Reason::EvidenceNotTaken)
}

async fn standing(line: &mut Line) -> Result<Arc<Hub>, Reason> {
    let hub = line.wait_for(Option::is_some).await.map_err(|_| Reason::AgentStops)?;
    hub.clone().ok_or(Reason::AgentStops)
}

async fn send_over(staged: &Staged, hub: &Hub, order: OrderId) -> Result<(), Trouble> {
    let (sha256, size) = (staged.preserved.sha256, staged.sealed);
    let mut have = hub.evidence_had(order).await?;
    while have < size {
        let piece = staged.read(have, EVIDENCE_CHUNK).map_err(|e| Trouble::Unwritable(e.to_string()))?;
        let next = have + piece.len() as u64;
        let now = hub.send_evidence(order, (have, size), sha256, piece).await?;
        if now != next {
            return Err(Trouble::Unreadable(format!("has {now} bytes of evidence, expected {next}")));
        }
        have = now;
    }
    match have == size {
        true => Ok(()),
        false => Err(Trouble::Unreadable(format!("has {have} bytes of evidence of {size}"))),
    }
}
