//! Bodies: memory is taken before the bytes are, every step has its time, and what inflates says first how large it is.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use khien_core::{
    problem::Cause,
    protocol::{MAX_BODY, MAX_INFLATED},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use zstd::bulk::Decompressor;

use crate::{fault::Fault, hub::Hub, limits::PARSED, memory::Hold};

/// A slow body must come on by this many bytes in the time of one step.
const STEP: usize = 64 << 10;
/// The first room that a body gets.
const FIRST: usize = 4 << 10;
/// How a zstd frame begins; no JSON does.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A JSON body, in zstd or plain, of at most `MAX` bytes once inflated.
pub(super) struct Bounded<T, const MAX: usize = MAX_INFLATED>(pub(super) T);

impl<T, const MAX: usize> FromRequest<Arc<Hub>> for Bounded<T, MAX>
where
    T: DeserializeOwned + Send + 'static,
{
    type Rejection = Fault;

    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Fault> {
        json(request, hub, MAX.min(MAX_BODY), MAX).await.map(Self)
    }
}

/// Reads a JSON body within given limits. The memory for what is made of it stays taken until the request is done.
pub(super) async fn json<T>(request: Request, hub: &Hub, max: usize, inflated: usize) -> Result<T, Fault>
where
    T: DeserializeOwned + Send + 'static,
{
    let (head, body) = request.into_parts();
    let bytes = read(&head, body, max, hub.limits.step).await?;
    let size = plain_size(&bytes, inflated)?;
    let hold = head.extensions.get::<Hold>().cloned();
    if let Some(hold) = &hold {
        hold.plain(size * PARSED, hub.limits.patience).await?;
    }
    let parsed = tokio::task::spawn_blocking(move || {
        let plain = if bytes.starts_with(&ZSTD) { inflate(&bytes, size)? } else { bytes };
        // Held until the work is over, even if nobody waits for it any more.
        if let Some(hold) = &hold {
            hold.wire_is_read();
        }
        let unreadable = |e| Fault::Bad(Cause::BodyUnreadable { error: Cause::quoted(&e) });
        serde_json::from_slice(&plain).map_err(unreadable)
    });
    parsed.await.map_err(|e| Fault::Internal(format!("read a body: {e}")))?
}

/// Reads a body of at most `max` bytes, of which each step comes within `step`.
pub(super) async fn read(head: &Parts, body: Body, max: usize, step: Duration) -> Result<Vec<u8>, Fault> {
    let length = head.headers.get(header::CONTENT_LENGTH);
    let announced = length.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|n| n > max) {
        return Err(too_large(max));
    }
    let hold = head.extensions.get::<Hold>();
    let mut coming = Coming { body: Limited::new(body, max), bytes: Vec::new(), hold, max };
    loop {
        match timeout(step, coming.one_step()).await {
            Ok(Ok(Go::On)) => {}
            Ok(Ok(Go::Ended)) => return Ok(coming.bytes),
            Ok(Err(fault)) => return Err(fault),
            Err(_) => return Err(Fault::Bad(Cause::BodyTooSlow { seconds: step.as_secs() })),
        }
    }
}

enum Go {
    On,
    Ended,
}

/// A body while it comes.
struct Coming<'a> {
    body: Limited<Body>,
    bytes: Vec<u8>,
    hold: Option<&'a Hold>,
    max: usize,
}

impl Coming<'_> {
    async fn one_step(&mut self) -> Result<Go, Fault> {
        let due = self.bytes.len() + STEP;
        while self.bytes.len() < due {
            let Some(frame) = self.body.frame().await else { return Ok(Go::Ended) };
            let frame = frame.map_err(|e| match e.is::<LengthLimitError>() {
                true => too_large(self.max),
                false => Fault::Bad(Cause::BodyCut { error: Cause::quoted(&e) }),
            })?;
            if let Ok(piece) = frame.into_data() {
                self.make_room(piece.len())?;
                self.bytes.extend_from_slice(&piece);
            }
        }
        Ok(Go::On)
    }

    /// Takes memory for what comes next, a quarter more each time so that a long body is seldom moved.
    fn make_room(&mut self, more: usize) -> Result<(), Fault> {
        let (had, needed) = (self.bytes.capacity(), self.bytes.len() + more);
        if needed <= had {
            return Ok(());
        }
        let wanted = (had + had / 4).max(FIRST).min(self.max).max(needed);
        if let Some(hold) = self.hold {
            hold.wire(wanted - had)?;
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}

fn too_large(max: usize) -> Fault {
    Fault::TooLarge(Cause::BodyTooLarge { limit: max as u64 })
}

/// Returns how large a body is once inflated, as all its frames say: one that does not say it is refused.
fn plain_size(bytes: &[u8], max: usize) -> Result<usize, Fault> {
    let size = match bytes.starts_with(&ZSTD) {
        true => Decompressor::upper_bound(bytes).ok_or_else(|| not_zstd(&"size is not stated"))?,
        false => bytes.len(),
    };
    match size > max {
        true => Err(Fault::TooLarge(Cause::InflatedTooLarge { limit: max as u64 })),
        false => Ok(size),
    }
}

/// Inflates into `size` bytes and no more, without a window beside them.
fn inflate(bytes: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
    zstd::bulk::decompress(bytes, size).map_err(|e| not_zstd(&e))
}

fn not_zstd(error: &impl std::fmt::Display) -> Fault {
    Fault::Bad(Cause::BodyNotZstd { error: Cause::quoted(error) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LARGE: usize = 1 << 20;

    fn packed(size: usize) -> Vec<u8> {
        zstd::bulk::compress(&vec![b' '; size], 3).unwrap()
    }

    #[test]
    fn a_body_that_inflates_beyond_the_limit_is_refused_before_it_is_inflated() {
        let bomb = packed(LARGE);

        assert!(matches!(plain_size(&bomb, LARGE - 1), Err(Fault::TooLarge(_))));
        assert_eq!(plain_size(&bomb, LARGE).unwrap(), LARGE);
        assert_eq!(inflate(&bomb, LARGE).unwrap().len(), LARGE);
    }

    #[test]
    fn many_small_frames_are_counted_together() {
        let bomb = packed(1 << 10).repeat(1 << 10);

        assert!(matches!(plain_size(&bomb, LARGE - 1), Err(Fault::TooLarge(_))));
    }

    #[test]
    fn a_frame_that_does_not_say_its_size_or_lies_about_it_is_refused() {
        let mut silent = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        silent.write_all(&[b' '; 4096]).unwrap();
        let silent = silent.finish().unwrap();
        // The size of a frame of 4,096 equal bytes stands in two bytes after the descriptor, less 256.
        let mut lying = packed(4096);
        let size = u16::to_le_bytes(4096 - 256);
        let at = lying.windows(2).position(|w| w == size).unwrap();
        lying[at..at + 2].copy_from_slice(&u16::to_le_bytes(512 - 256));

        assert!(matches!(plain_size(&silent, LARGE), Err(Fault::Bad(_))));
        let said = plain_size(&lying, LARGE).unwrap();
        assert_eq!(said, 512);
        assert!(matches!(inflate(&lying, said), Err(Fault::Bad(_))));
    }
}
