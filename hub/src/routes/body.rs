//! Bodies: bounded in size and time before they are read, bounded again before they are inflated.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, Limited};
use khien_core::protocol::{MAX_BODY, MAX_INFLATED};
use serde::de::DeserializeOwned;

use crate::{fault::Fault, hub::Hub};

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest zstd window: no more than the largest body is worth.
const WINDOW_LOG: u32 = 23;
/// How a zstd frame begins; no JSON does.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A JSON body, in zstd or plain, within the limits of the protocol.
pub(super) struct Bounded<T>(pub(super) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<Hub>> for Bounded<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, hub: &Arc<Hub>) -> Result<Self, Fault> {
        json(request, hub, MAX_BODY, MAX_INFLATED).await.map(Self)
    }
}

/// Reads a JSON body within given limits.
pub(super) async fn json<T>(request: Request, hub: &Hub, max: usize, inflated: usize) -> Result<T, Fault>
where
    T: DeserializeOwned + Send + 'static,
{
    let (head, body) = request.into_parts();
    let bytes = read(&head.headers, body, max).await?;
    let _permit = hub.heavy.acquire().await.map_err(|e| Fault::Internal(e.to_string()))?;
    let parsed = tokio::task::spawn_blocking(move || {
        let plain = if bytes.starts_with(&ZSTD) { inflate(&bytes, inflated)? } else { bytes };
        serde_json::from_slice(&plain).map_err(|e| Fault::Bad(format!("body cannot be read: {e}")))
    });
    parsed.await.map_err(|e| Fault::Internal(format!("read a body: {e}")))?
}

/// Reads a body of at most `max` bytes.
pub(super) async fn read(headers: &HeaderMap, body: Body, max: usize) -> Result<Vec<u8>, Fault> {
    let too_large = || Fault::TooLarge(format!("a body has at most {max} bytes here"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|n| n > max) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, max).collect()).await;
    let collected = collected.map_err(|_| Fault::Bad("body did not come in 30 s".to_owned()))?;
    match collected {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(e) => Err(Fault::Bad(format!("body was cut: {e}"))),
    }
}

fn inflate(bytes: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
    let unreadable = |e: io::Error| Fault::Bad(format!("body is not zstd: {e}"));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(unreadable)?;
    decoder.window_log_max(WINDOW_LOG).map_err(unreadable)?;
    let mut plain = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut plain).map_err(unreadable)?;
    match plain.len() > max {
        true => Err(Fault::TooLarge(format!("a body has at most {max} bytes once inflated"))),
        false => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_inflates_beyond_the_limit_is_refused() {
        let bomb = zstd::bulk::compress(&vec![b' '; 1 << 20], 3).unwrap();

        assert!(bomb.starts_with(&ZSTD));
        assert!(matches!(inflate(&bomb, 1 << 19), Err(Fault::TooLarge(_))));
        assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }
}
