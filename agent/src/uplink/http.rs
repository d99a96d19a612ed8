//! One connection to the hub: HTTP/2 over TLS 1.3, the hub's CA pinned, every answer bounded while it is read.

use std::{error::Error, net::SocketAddr, time::Duration};

use khien_core::{
    OrderId, SealKey, Sha256,
    api::Have,
    bundle::{FORM_PIECE, Form, MAX_FORM, MAX_PACK},
    protocol::{
        Ack, Batch, Enroll, Enrolled, HUB_NAME, Heartbeat, HeartbeatReply, Hello, MAX_BODY, MAX_INFLATED,
        Orders, POLL_SECONDS, Problem, Welcome,
    },
    text::Words,
    untrusted,
};
use reqwest::{Client, Method, RequestBuilder, Response, tls};
use serde::{Serialize, de::DeserializeOwned};

const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take where the hub has nothing to wait for.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a large body may take, either way.
const LARGE: Duration = Duration::from_secs(120);
/// How often a quiet connection is tried, and how long it may take to answer before it counts as cut.
const PING: Duration = Duration::from_secs(10);
/// The largest answer that is not orders or a pack.
const SMALL: usize = 64 << 10;
/// The longest time that the agent lets the hub put it off before it asks again.
const LONGEST_WAIT: u64 = 600;
/// How much of what the hub says of a refusal is kept.
const MAX_REASON: usize = 300;
/// zstd's fastest ordinary level: a batch must not wait for its compression.
const LEVEL: i32 = 1;

/// Why a request to the hub came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The address is not one, or names no host.
    #[error("address `{0}` does not lead to a host, expected host:port")]
    NoAddress(String),
    /// A certificate or key cannot be used.
    #[error("certificate or key cannot be used: {0}")]
    Identity(String),
    /// No connection, or it was cut.
    #[error("{0}")]
    Line(String),
    /// The hub answered with an error.
    #[error("hub answered {status}: {}", said.en)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, escaped and cut.
        said: Words,
    },
    /// The hub has no time for it now and says when it may have.
    #[error("hub says to come again in {} s", .0.as_secs())]
    Later(Duration),
    /// The answer is larger than allowed.
    #[error("hub answered more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what was asked for.
    #[error("hub answered what cannot be read: {0}")]
    Unreadable(String),
    /// The request has no form that may be sent.
    #[error("request cannot be written: {0}")]
    Unwritable(String),
    /// The spool failed meanwhile.
    #[error(transparent)]
    Spool(#[from] crate::spool::SpoolError),
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        // The outer text only says that sending failed; the cause is at the bottom.
        let error = error.without_url();
        let mut deepest: &dyn Error = &error;
        while let Some(cause) = deepest.source() {
            deepest = cause;
        }
        Self::Line(if error.is_timeout() { "timed out".to_owned() } else { deepest.to_string() })
    }
}

/// A client of the hub, connected when it is first used.
#[derive(Debug)]
pub(crate) struct Hub {
    client: Client,
    base: String,
    /// The key to which evidence for it is sealed, as it said when the session began.
    pub(crate) evidence_key: Option<SealKey>,
}

impl Hub {
    /// Prepares a connection to `host:port`; `identity` is the agent's certificate and key, PEM, after enrolment.
    pub(crate) async fn connect(address: &str, ca: &str, identity: Option<&str>) -> Result<Self, Trouble> {
        let addresses = addresses(address).await?;
        let port = addresses[0].port();
        let unusable = |e: reqwest::Error| Trouble::Identity(e.to_string());
        let mut builder = Client::builder()
            .tls_certs_only([tls::Certificate::from_pem(ca.as_bytes()).map_err(unusable)?])
            .tls_version_min(tls::Version::TLS_1_3)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(HUB_NAME, &addresses)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .http2_keep_alive_while_idle(true);
        if let Some(pem) = identity {
            builder = builder.identity(tls::Identity::from_pem(pem.as_bytes()).map_err(unusable)?);
        }
        let client = builder.build().map_err(unusable)?;
        Ok(Self { client, base: format!("https://{HUB_NAME}:{port}/v1"), evidence_key: None })
    }

    /// Enrols.
    pub(crate) async fn enroll(&self, request: &Enroll) -> Result<Enrolled, Trouble> {
        self.post("enroll", request).await
    }

    /// Begins a session.
    pub(crate) async fn hello(&self, request: &Hello) -> Result<Welcome, Trouble> {
        self.post("agent/hello", request).await
    }

    /// Says how the agent is.
    pub(crate) async fn heartbeat(&self, request: &Heartbeat) -> Result<HeartbeatReply, Trouble> {
        self.post("agent/heartbeat", request).await
    }

    /// Sends a batch. `Ok(None)` if it is larger than may be sent.
    pub(crate) async fn batch(&self, batch: &Batch) -> Result<Option<Ack>, Trouble> {
        let Some(body) = packed(batch)? else { return Ok(None) };
        let request = self
            .request(Method::POST, "agent/batch", LARGE)
            .header("content-type", "application/json")
            .header("content-encoding", "zstd")
            .body(body);
        json(answer(request, SMALL).await?).map(Some)
    }

    /// Asks for orders; the hub holds the question until there is one, or for [`POLL_SECONDS`].
    pub(crate) async fn orders(&self) -> Result<Orders, Trouble> {
        let wait = Duration::from_secs(POLL_SECONDS) + ANSWER;
        json(answer(self.request(Method::GET, "agent/orders?wait=1", wait), MAX_INFLATED).await?)
    }

    /// Fetches the signed pack as it came; it is read only where its signature is checked.
    pub(crate) async fn pack(&self) -> Result<Vec<u8>, Trouble> {
        answer(self.request(Method::GET, "agent/pack", LARGE), MAX_PACK).await
    }

    /// Fetches a compiled form that a signed pack names, piece by piece. Whether it is the right one is seen where its
    /// digest is checked.
    pub(crate) async fn compiled(&self, form: &Form) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < form.size.min(MAX_FORM as u64) {
            let path = format!("agent/compiled/{}?offset={}", form.sha256, bytes.len());
            let piece = patiently(|| answer(self.request(Method::GET, &path, LARGE), FORM_PIECE)).await?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Returns how much of an order's sealed evidence the hub has.
    pub(crate) async fn evidence_had(&self, order: OrderId) -> Result<u64, Trouble> {
        let request = self.request(Method::GET, &format!("agent/evidence/{order}"), ANSWER);
        Ok(json::<Have>(answer(request, SMALL).await?)?.have)
    }

    /// Sends a piece of an order's sealed evidence and returns how much the hub has then. The size is that of the sealed bytes, the
    /// digest that of what they open to.
    pub(crate) async fn send_evidence(
        &self,
        order: OrderId,
        (offset, size): (u64, u64),
        sha256: Sha256,
        piece: Vec<u8>,
    ) -> Result<u64, Trouble> {
        let path = format!("agent/evidence/{order}?offset={offset}&size={size}&sha256={sha256}");
        let request = self
            .request(Method::PUT, &path, LARGE)
            .header("content-type", "application/octet-stream")
            .body(piece);
        Ok(json::<Have>(answer(request, SMALL).await?)?.have)
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(&self, path: &str, question: &Q) -> Result<A, Trouble> {
        let body = serde_json::to_vec(question).map_err(|e| Trouble::Unwritable(e.to_string()))?;
        let request =
            self.request(Method::POST, path, ANSWER).header("content-type", "application/json").body(body);
        json(answer(request, SMALL).await?)
    }

    fn request(&self, method: Method, path: &str, timeout: Duration) -> RequestBuilder {
        self.client.request(method, format!("{}/{path}", self.base)).timeout(timeout)
    }
}

async fn addresses(address: &str) -> Result<Vec<SocketAddr>, Trouble> {
    let none = || Trouble::NoAddress(untrusted::escape(address.as_bytes()));
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(|_| none())?.collect();
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

/// Writes a batch as the hub takes it; `None` if that is larger than allowed.
fn packed(batch: &Batch) -> Result<Option<Vec<u8>>, Trouble> {
    let text = serde_json::to_vec(batch).map_err(|e| Trouble::Unwritable(e.to_string()))?;
    if text.len() > MAX_INFLATED {
        return Ok(None);
    }
    let body = zstd::bulk::compress(&text, LEVEL).map_err(|e| Trouble::Unwritable(e.to_string()))?;
    Ok((body.len() <= MAX_BODY).then_some(body))
}

async fn answer(request: RequestBuilder, max: usize) -> Result<Vec<u8>, Trouble> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return bounded(response, max).await;
    }
    if let Some(wait) = put_off(&response) {
        return Err(Trouble::Later(wait));
    }
    let body = bounded(response, SMALL).await.unwrap_or_default();
    let said = serde_json::from_slice(&body).map(|problem| said(&problem)).unwrap_or_default();
    Err(Trouble::Refused { status: status.as_u16(), said })
}

/// Says what the hub answered: in both languages where its code is known, else in its own words.
fn said(problem: &Problem) -> Words {
    let cut = |text: &str| text.chars().take(MAX_REASON).collect::<String>();
    match problem.cause().map(|cause| cause.words()) {
        Some(words) => Words { vi: cut(&words.vi), en: cut(&words.en) },
        None => Words::same(untrusted::escape(cut(&problem.error).as_bytes())),
    }
}

/// Returns how long to wait where the hub says that there is too much at once (429) or that it is busy (503).
fn put_off(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse::<u64>().ok()?;
    let is_busy = matches!(response.status().as_u16(), 429 | 503);
    is_busy.then(|| Duration::from_secs(seconds.clamp(1, LONGEST_WAIT)))
}

/// Asks again as long as the hub puts it off; what is to be sent stays where it is meanwhile.
pub(crate) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    loop {
        match ask().await {
            Err(Trouble::Later(wait)) => {
                tracing::warn!(?wait, "the hub has no time now");
                tokio::time::sleep(wait).await;
            }
            answered => return answered,
        }
    }
}

/// Reads an answer and gives up as soon as it is longer than allowed, whatever it said of its length.
async fn bounded(mut response: Response, max: usize) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max {
            return Err(Trouble::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn json<T: DeserializeOwned>(body: Vec<u8>) -> Result<T, Trouble> {
    serde_json::from_slice(&body).map_err(|e| Trouble::Unreadable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use khien_core::problem::Cause;

    use super::*;

    #[test]
    fn what_the_hub_answers_is_said_in_both_languages_or_safely_in_its_own() {
        let known = said(&Problem::from(&Cause::NoPack));
        let error = format!("moon \x1b[2J {}", "x".repeat(10_000));
        let strange = said(&Problem { error, code: "full_moon".to_owned(), args: serde_json::Value::Null });

        assert_eq!(known, Cause::NoPack.words());
        assert_eq!(strange.vi, strange.en);
        assert!(strange.en.starts_with(r"moon \u{1b}[2J") && strange.en.len() < MAX_REASON * 2);
    }
}
