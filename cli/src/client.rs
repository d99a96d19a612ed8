//! The hub as `khien` sees it: one method for each request of [`khien_core::api`].
//!
//! HTTP/2 over TLS 1.3. The hub's CA is pinned, the operator's certificate is shown, every reply is bounded before it
//! is kept and every request has a deadline. A [`Client`] is cheap to clone and shares one connection.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use khien_core::{
    AlertId, IncidentId, Lang, OrderId, RunId, Sha256,
    alert::{Alert, Status},
    api::{
        AddNote, Agents, Alerts, Approve, CaptureTaken, CloseAlert, CloseIncident, GiveOrder, GivenOrder,
        Incidents, NewToken, OpenIncident, OrderedScan, PackState, Refuse, ReportDrafted, Runs, Scans,
        SendCapture, StartRun, StartScan, StopScan, TokenSecret, Undo,
    },
    evidence::MAX_EVIDENCE,
    incident::Incident,
    problem::Cause,
    protocol::{HUB_NAME, POLL_SECONDS, Problem},
    run::Run,
    signature::Signed,
    text::{Words, trouble},
    untrusted::escape,
};
use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{config::Config, keys::Keys, told::system_words};

mod evidence;

/// The largest JSON reply that is read: a full queue of alerts with their excerpts fits several times.
const MAX_REPLY: usize = 64 << 20;
/// The largest error reply that is read.
const MAX_PROBLEM: usize = 64 << 10;
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an ordinary request may take.
const REQUEST: Duration = Duration::from_secs(20);
/// How long a piece of evidence or a pack may take on a slow line.
const TRANSFER: Duration = Duration::from_secs(300);
/// How long a poll may take: the hub's own time and some more.
const POLL: Duration = Duration::from_secs(POLL_SECONDS + 10);

/// Why a request to the hub did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers there, or not with the pinned certificate, or not in time.
    #[error("{}", self.shown(Lang::En))]
    Unreachable {
        /// Where it was sought.
        address: String,
        /// What the connection said.
        cause: Words,
    },
    /// The hub has no such thing.
    #[error("{}", self.shown(Lang::En))]
    NotFound(Box<Answer>),
    /// This operator may not do that.
    #[error("{}", self.shown(Lang::En))]
    Forbidden(Box<Answer>),
    /// The hub says that the request does not fit, or not now.
    #[error("{}", self.shown(Lang::En))]
    Refused(Box<Answer>),
    /// The hub failed.
    #[error("{}", self.shown(Lang::En))]
    Failed(Box<Answer>),
    /// The reply breaks the protocol.
    #[error("{}", self.shown(Lang::En))]
    Reply(Words),
    /// The keys, the certificate or the address here cannot be used.
    #[error("{}", self.shown(Lang::En))]
    Settings(Words),
}

impl ClientError {
    /// Says it in a language.
    pub(crate) fn shown(&self, lang: Lang) -> String {
        match self {
            Self::Unreachable { address, cause } => {
                trouble::UNREACHABLE.with(lang, &[address, &cause.get(lang)])
            }
            Self::NotFound(a) | Self::Forbidden(a) | Self::Refused(a) => a.words.get(lang).to_owned(),
            Self::Failed(a) => trouble::HUB_FAILED.with(lang, &[&a.words.get(lang)]),
            Self::Reply(how) => trouble::BAD_REPLY.with(lang, &[&how.get(lang)]),
            Self::Settings(why) => trouble::BAD_SETTINGS.with(lang, &[&why.get(lang)]),
        }
    }

    /// Returns what the hub answered, if it did.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::NotFound(a) | Self::Forbidden(a) | Self::Refused(a) | Self::Failed(a) => Some(a),
            Self::Unreachable { .. } | Self::Reply(_) | Self::Settings(_) => None,
        }
    }
}

/// What the hub answered instead of doing it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What to show: by its code, or in English if this program does not know the code.
    pub(crate) words: Words,
    /// What to do now, where that is known.
    pub(crate) next: Option<Words>,
    /// The problem as it came.
    pub(crate) problem: Problem,
}

impl Answer {
    /// Takes an error reply; its text is from outside and is escaped.
    pub(crate) fn new(problem: Problem) -> Self {
        let cause = problem.cause();
        let english = || Words::same(escape(problem.error.as_bytes()));
        let words = cause.as_ref().map_or_else(english, Cause::words);
        Self { words, next: cause.as_ref().and_then(Cause::next_step), problem }
    }
}

type Result<T> = std::result::Result<T, ClientError>;

/// A connection to the hub.
#[derive(Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    address: String,
    base: String,
}

impl Client {
    /// Prepares a connection with the settings and keys of a home; nothing is sent yet.
    pub(crate) fn new(config: &Config, keys: &Keys) -> Result<Self> {
        let settings = |e: &dyn std::fmt::Display| ClientError::Settings(Words::same(e.to_string()));
        let address = resolved(&config.hub)?;
        let ca = std::fs::read(&config.ca).map_err(|e| settings(&format!("{}: {e}", config.ca.display())))?;
        let ca = reqwest::Certificate::from_pem(&ca).map_err(|e| settings(&e))?;
        let identity =
            reqwest::Identity::from_pem(keys.identity_pem().as_bytes()).map_err(|e| settings(&e))?;
        let http = reqwest::Client::builder()
            .tls_backend_rustls()
            .tls_certs_only([ca])
            .identity(identity)
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(HUB_NAME, address)
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .user_agent(concat!("khien/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| ClientError::Settings(deepest(&e)))?;
        let base = format!("https://{HUB_NAME}:{}", address.port());
        Ok(Self { inner: Arc::new(Inner { http, address: config.hub.clone(), base }) })
    }

    /// Lists alerts in triage order.
    pub(crate) async fn alerts(&self, status: Option<Status>, limit: Option<u32>) -> Result<Alerts> {
        let status = status.map(|s| format!("status={}", s.as_str()));
        let limit = limit.map(|n| format!("limit={n}"));
        let query: Vec<String> = status.into_iter().chain(limit).collect();
        self.get(&format!("/v1/alerts?{}", query.join("&"))).await
    }

    /// Returns one alert.
    pub(crate) async fn alert(&self, id: AlertId) -> Result<Alert> {
        self.get(&format!("/v1/alerts/{id}")).await
    }

    /// Says that somebody is on it.
    pub(crate) async fn ack(&self, id: AlertId) -> Result<Alert> {
        self.post(&format!("/v1/alerts/{id}/ack"), &()).await
    }

    /// Takes an alert back into the queue.
    pub(crate) async fn reopen(&self, id: AlertId) -> Result<Alert> {
        self.post(&format!("/v1/alerts/{id}/reopen"), &()).await
    }

    /// Closes an alert.
    pub(crate) async fn close(&self, id: AlertId, how: CloseAlert) -> Result<Alert> {
        self.post(&format!("/v1/alerts/{id}/close"), &how).await
    }

    /// Waits for alerts with a revision above `after`, at most [`POLL_SECONDS`]; an empty list means none came.
    pub(crate) async fn changes(&self, after: u64) -> Result<Alerts> {
        let reply = self.send(Method::GET, &format!("/v1/changes?after={after}"), None, POLL).await?;
        decoded(reply, MAX_REPLY).await
    }

    /// Opens an incident.
    pub(crate) async fn open_incident(&self, what: OpenIncident) -> Result<Incident> {
        self.post("/v1/incidents", &what).await
    }

    /// Lists incidents, newest first.
    pub(crate) async fn incidents(&self) -> Result<Incidents> {
        self.get("/v1/incidents").await
    }

    /// Returns one incident.
    pub(crate) async fn incident(&self, id: IncidentId) -> Result<Incident> {
        self.get(&format!("/v1/incidents/{id}")).await
    }

    /// Writes a note in an incident's timeline.
    pub(crate) async fn note(&self, id: IncidentId, text: String) -> Result<Incident> {
        self.post(&format!("/v1/incidents/{id}/notes"), &AddNote { text }).await
    }

    /// Closes an incident.
    pub(crate) async fn close_incident(&self, id: IncidentId, reason: String) -> Result<Incident> {
        self.post(&format!("/v1/incidents/{id}/close"), &CloseIncident { reason }).await
    }

    /// Opens a closed incident again.
    pub(crate) async fn reopen_incident(&self, id: IncidentId) -> Result<Incident> {
        self.post(&format!("/v1/incidents/{id}/reopen"), &()).await
    }

    /// Tells an incident's timeline that a report was drafted.
    pub(crate) async fn report_drafted(&self, id: IncidentId, report: ReportDrafted) -> Result<Incident> {
        self.post(&format!("/v1/incidents/{id}/reports"), &report).await
    }

    /// Starts a run; [`crate::response::start_planned`] plans and signs it.
    pub(crate) async fn start_run(&self, start: StartRun) -> Result<Run> {
        self.post("/v1/runs", &start).await
    }

    /// Lists runs, newest first.
    pub(crate) async fn runs(&self) -> Result<Runs> {
        self.get("/v1/runs").await
    }

    /// Returns one run.
    pub(crate) async fn run(&self, id: RunId) -> Result<Run> {
        self.get(&format!("/v1/runs/{id}")).await
    }

    /// Approves the step that waits; [`crate::response::approve`] plans and signs it.
    pub(crate) async fn approve(&self, id: RunId, approve: Approve) -> Result<Run> {
        self.post(&format!("/v1/runs/{id}/approve"), &approve).await
    }

    /// Says no to the step that waits.
    pub(crate) async fn refuse(&self, id: RunId, refuse: Refuse) -> Result<Run> {
        self.post(&format!("/v1/runs/{id}/refuse"), &refuse).await
    }

    /// Undoes a run; [`crate::response::undo`] plans and signs it.
    pub(crate) async fn undo(&self, id: RunId, undo: Undo) -> Result<Run> {
        self.post(&format!("/v1/runs/{id}/undo"), &undo).await
    }

    /// Orders a scan; [`crate::response::start_scan`] signs it.
    pub(crate) async fn start_scan(&self, start: StartScan) -> Result<OrderedScan> {
        self.post("/v1/scans", &start).await
    }

    /// Has a scan stopped; [`crate::response::stop_scan`] signs it.
    pub(crate) async fn stop_scan(&self, id: OrderId, stop: StopScan) -> Result<OrderedScan> {
        self.post(&format!("/v1/scans/{id}/stop"), &stop).await
    }

    /// Lists ordered scans, newest first.
    pub(crate) async fn scans(&self) -> Result<Scans> {
        self.get("/v1/scans").await
    }

    /// Returns one ordered scan.
    pub(crate) async fn scan(&self, id: OrderId) -> Result<OrderedScan> {
        self.get(&format!("/v1/scans/{id}")).await
    }

    /// Gives an order that belongs to no playbook; [`crate::response::give`] signs it.
    pub(crate) async fn give(&self, order: GiveOrder) -> Result<GivenOrder> {
        self.post("/v1/orders", &order).await
    }

    /// Returns one such order.
    pub(crate) async fn given(&self, id: OrderId) -> Result<GivenOrder> {
        self.get(&format!("/v1/orders/{id}")).await
    }

    /// Lists agents.
    pub(crate) async fn agents(&self) -> Result<Agents> {
        self.get("/v1/agents").await
    }

    /// Invites one agent.
    pub(crate) async fn new_token(&self, token: NewToken) -> Result<TokenSecret> {
        self.post("/v1/tokens", &token).await
    }

    /// Hands a signed pack to the hub.
    pub(crate) async fn put_pack(&self, pack: &Signed) -> Result<PackState> {
        let reply = self.send(Method::PUT, "/v1/pack", Some(encoded(pack)?), TRANSFER).await?;
        decoded(reply, MAX_REPLY).await
    }

    /// Hands a compiled form to the hub, before the pack that names it.
    pub(crate) async fn put_compiled(&self, sha256: Sha256, bytes: Vec<u8>) -> Result<()> {
        let path = format!("/v1/compiled/{sha256}");
        decoded(self.send(Method::PUT, &path, Some(bytes), TRANSFER).await?, MAX_REPLY).await
    }

    /// Tells which pack the hub offers.
    pub(crate) async fn pack_state(&self) -> Result<PackState> {
        self.get("/v1/pack").await
    }

    /// Returns the pack that the hub offers, as it was signed; whoever uses it verifies that.
    pub(crate) async fn signed_pack(&self) -> Result<Signed> {
        decoded(self.send(Method::GET, "/v1/pack/signed", None, TRANSFER).await?, MAX_REPLY).await
    }

    /// Hands over what was found in a file of packets.
    pub(crate) async fn send_capture(&self, id: IncidentId, found: SendCapture) -> Result<CaptureTaken> {
        self.post(&format!("/v1/incidents/{id}/captures"), &found).await
    }

    /// Takes a copy of a piece of evidence out; it is returned only if its SHA-256 is the one that was asked for.
    pub(crate) async fn evidence(&self, sha256: Sha256, incident: IncidentId) -> Result<Vec<u8>> {
        let path = format!("/v1/evidence/{sha256}?incident={incident}");
        let reply = self.send(Method::GET, &path, None, TRANSFER).await?;
        let bytes = bounded(reply, usize::try_from(MAX_EVIDENCE).unwrap_or(usize::MAX)).await?;
        match Sha256::of(&bytes) == sha256 {
            true => Ok(bytes),
            false => Err(ClientError::Reply(trouble::OTHER_BYTES.words_with(&[&sha256]))),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        decoded(self.send(Method::GET, path, None, REQUEST).await?, MAX_REPLY).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        decoded(self.send(Method::POST, path, Some(encoded(body)?), REQUEST).await?, MAX_REPLY).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Response> {
        let mut request =
            self.inner.http.request(method, format!("{}{path}", self.inner.base)).timeout(limit);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let reply = request.send().await.map_err(|e| self.unreachable(&e))?;
        match reply.status().is_success() {
            true => Ok(reply),
            false => Err(problem(reply).await),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { address: self.inner.address.clone(), cause: deepest(error) }
    }
}

fn resolved(hub: &str) -> Result<SocketAddr> {
    let none = || ClientError::Settings(trouble::NO_ADDRESS.words_with(&[&hub]));
    hub.to_socket_addrs().map_err(|_| none())?.next().ok_or_else(none)
}

fn encoded(body: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|e| ClientError::Settings(Words::same(e.to_string())))
}

async fn decoded<T: DeserializeOwned>(reply: Response, max: usize) -> Result<T> {
    serde_json::from_slice(&bounded(reply, max).await?)
        .map_err(|e| ClientError::Reply(Words::same(e.to_string())))
}

/// Reads a body and stops as soon as it is longer than allowed.
async fn bounded(mut reply: Response, max: usize) -> Result<Vec<u8>> {
    let too_long = || ClientError::Reply(trouble::REPLY_TOO_LONG.words_with(&[&max]));
    if reply.content_length().is_some_and(|n| n > max as u64) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(|e| ClientError::Reply(deepest(&e)))? {
        if bytes.len() + chunk.len() > max {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Turns an error reply into an error.
async fn problem(reply: Response) -> ClientError {
    let status = reply.status();
    let answer = Box::new(match decoded::<Problem>(reply, MAX_PROBLEM).await {
        Ok(problem) => Answer::new(problem),
        Err(_) => Answer {
            words: trouble::STATUS.words_with(&[&status.as_u16()]),
            next: None,
            problem: Problem { error: status.to_string(), code: String::new(), args: Value::Null },
        },
    });
    match status {
        StatusCode::NOT_FOUND => ClientError::NotFound(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ClientError::Forbidden(answer),
        s if s.is_server_error() => ClientError::Failed(answer),
        _ => ClientError::Refused(answer),
    }
}

/// Returns the innermost cause, which is the one a person can act on.
fn deepest(error: &(dyn std::error::Error + 'static)) -> Words {
    let mut at = error;
    while let Some(next) = at.source() {
        at = next;
    }
    at.downcast_ref::<std::io::Error>().map_or_else(|| Words::same(at.to_string()), system_words)
}
