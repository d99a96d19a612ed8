//! A server with limits of the test's own, and peers that speak to it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::http::StatusCode;
use khien_core::{
    AgentId, Nonce, Sha256, Timestamp,
    asset::{Agent, Health, Presence},
    event::ScanOutcome,
    protocol::{Batch, HUB_NAME, Record, Report},
    signature::operator_key,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    authority::{self, Request},
    config::Home,
    hub::{Hub, Keys},
    limits::Limits,
    store::{Filter, Host, sqlite::Store},
};

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

pub(super) struct Served {
    pub(super) hub: Arc<Hub>,
    pub(super) address: SocketAddr,
    home: Home,
    _dir: TempDir,
    _stop: watch::Sender<bool>,
}

/// A key with a certificate of the hub's CA.
pub(super) struct Identity {
    pub(super) agent: AgentId,
    key: KeyPair,
    certificate: String,
}

impl Served {
    pub(super) async fn start(limits: Limits) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub");
        authority::init(&path).unwrap();
        let home = Home::prepare(&path).unwrap();
        let (store, _writer) = Store::open(&home.store()).unwrap();
        let (stop, stopping) = watch::channel(false);
        let keys = Keys::load(&home).unwrap();
        let hub = Arc::new(Hub::new(home.clone(), store, keys, stopping, limits));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(super::super::accept(listener, super::super::tls(&home).unwrap(), Arc::clone(&hub)));
        Self { hub, address, home, _dir: dir, _stop: stop }
    }

    /// Makes a key and certifies it; the hub has not admitted it.
    pub(super) fn certified(&self) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let csr = CertificateParams::new(vec![]).unwrap().serialize_request(&key).unwrap().pem().unwrap();
        let request = Request::read(&csr).unwrap();
        let certificate = self.hub.authority.certify(&request, "test").unwrap();
        Identity { agent: AgentId(request.id.0), key, certificate }
    }

    pub(super) async fn agent(&self) -> Identity {
        let identity = self.certified();
        let (id, now) = (identity.agent, Timestamp::now());
        let agent = Agent {
            id,
            host: "web-1".into(),
            agency: "Sở Y tế".to_owned(),
            os: "Debian 12".into(),
            version: "0.1.0".to_owned(),
            presence: Presence::Online,
            last_seen: now,
            health: Health::default(),
        };
        let host = Host { agent, enrolled: now, revoked: false, silent_from: None };
        self.hub.store.write(move |tx| Ok(tx.put_host(&host)?)).await.unwrap();
        identity
    }

    /// Admits an operator as `khien-hub operator add` does.
    pub(super) fn operator(&self) -> Identity {
        let identity = self.certified();
        let seed = [9; 32];
        let public = operator_key("thu", &ed25519_dalek::SigningKey::from_bytes(&seed)).public;
        let conn = crate::store::sqlite::migrate(&self.home.store()).unwrap();
        let sql = "INSERT INTO operators (id, name, public) VALUES (?1, 'thu', ?2)";
        conn.execute(sql, rusqlite::params![identity.agent.0, public]).unwrap();
        identity
    }

    /// Where evidence of these bytes lies.
    pub(super) fn evidence_file(&self, sha256: &Sha256) -> std::path::PathBuf {
        self.home.evidence_file(sha256)
    }

    /// Connects from one of this machine's own addresses, 127.0.0.`from`.
    pub(super) async fn tcp(&self, from: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, from], 0)))?;
        socket.connect(self.address).await
    }

    pub(super) async fn tls(
        &self,
        from: u8,
        who: Option<&Identity>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.home.ca()).unwrap()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match who {
            None => builder.with_no_client_auth(),
            Some(who) => {
                let chain = vec![CertificateDer::from_pem_slice(who.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(who.key.serialize_pem().as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(HUB_NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.tcp(from).await?).await
    }

    pub(super) fn client(&self, who: Option<&Identity>) -> Client {
        let ca = std::fs::read(self.home.ca()).unwrap();
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .resolve(HUB_NAME, self.address)
            .no_proxy()
            .timeout(SOON);
        if let Some(who) = who {
            let pem = format!("{}{}", who.key.serialize_pem(), who.certificate);
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Client { http: builder.build().unwrap(), base: format!("https://{HUB_NAME}:{}", self.address.port()) }
    }

    /// Returns rule, count and host path of every alert, by rule.
    pub(super) async fn alerts(&self) -> Vec<(String, u64)> {
        let filter = Filter { limit: 1_000, ..Filter::default() };
        let alerts = self.hub.store.read(move |tx| Ok(tx.alerts(&filter)?)).await.unwrap();
        let mut alerts: Vec<_> = alerts.into_iter().map(|a| (a.rule.to_string(), a.count)).collect();
        alerts.sort();
        alerts
    }
}

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

/// What an answer says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    /// `Retry-After`, in seconds.
    pub(super) again: Option<u64>,
    pub(super) body: Value,
}

impl Client {
    pub(super) async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Said {
        let answer = self.http.put(format!("{}{path}", self.base)).body(body).send().await.unwrap();
        said(answer).await
    }

    /// Asks for something and leaves its body unread.
    pub(super) async fn opens(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Said {
        let answer = self.http.post(format!("{}{path}", self.base)).body(body).send().await.unwrap();
        said(answer).await
    }

    pub(super) async fn beats(&self) -> Said {
        self.post("/v1/agent/heartbeat", serde_json::json!({ "health": Health::default() }).to_string()).await
    }

    pub(super) async fn sends(&self, first: u64, reports: usize) -> Said {
        let body = serde_json::to_vec(&batch(first, reports)).unwrap();
        self.post("/v1/agent/batch", zstd::bulk::compress(&body, 3).unwrap()).await
    }

    /// Begins a body of which so many bytes come; the rest comes or the body ends when the test says so.
    pub(super) fn begins(&self, bytes: usize) -> Slow {
        let (more, coming) = futures_channel(bytes);
        let client = self.clone();
        let answer =
            tokio::spawn(
                async move { client.post("/v1/agent/batch", reqwest::Body::wrap_stream(coming)).await },
            );
        Slow { more, answer }
    }
}

async fn said(answer: reqwest::Response) -> Said {
    let again = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().parse().unwrap());
    let status = answer.status();
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
    Said { status, again, body }
}

type Pieces = tokio::sync::mpsc::Sender<Vec<u8>>;

/// A body that has not ended.
pub(super) struct Slow {
    more: Pieces,
    answer: tokio::task::JoinHandle<Said>,
}

impl Slow {
    /// Ends the body and returns the answer.
    pub(super) async fn ends(self) -> Said {
        drop(self.more);
        self.answer.await.unwrap()
    }

    /// Drops the request in the middle of its body.
    pub(super) fn cut(self) {
        self.answer.abort();
    }

    /// Returns the answer to a body that never ends.
    pub(super) async fn answered(self) -> Said {
        self.answer.await.unwrap()
    }
}

fn futures_channel(
    bytes: usize,
) -> (Pieces, impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static) {
    let (more, coming) = tokio::sync::mpsc::channel(1);
    let first = futures_util::stream::once(async move { Ok(vec![b' '; bytes]) });
    let rest =
        futures_util::stream::unfold(coming, async |mut coming: tokio::sync::mpsc::Receiver<Vec<u8>>| {
            coming.recv().await.map(|piece| (Ok(piece), coming))
        });
    (more, futures_util::StreamExt::chain(first, Box::pin(rest)))
}

/// Files that could not be scanned, each another one, so each a new alert.
pub(super) fn batch(first: u64, reports: usize) -> Batch {
    let record = |seq: u64| {
        let (path, at) = (format!("/srv/{seq}").as_str().into(), Timestamp::now());
        let body = serde_json::to_string(&Report::NotScanned {
            path,
            outcome: ScanOutcome::TooLarge,
            at,
            unseen: Vec::new(),
        })
        .unwrap();
        Record { seq, hash: Sha256::of(body.as_bytes()), body }
    };
    Batch { epoch: Nonce([1; 16]), records: (first..first + reports as u64).map(record).collect() }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{what}");
}
