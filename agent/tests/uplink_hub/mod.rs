//! A hub for the agent to talk to: the same TLS, the same paths, and a memory of all it was told.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path as Name, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
    serve::Listener,
};
use data_encoding::BASE64;
use khien_core::{
    AgentId, Nonce, OrderId, Sha256, Timestamp,
    mandate::Mandate,
    order::Order,
    protocol::{
        Ack, Batch, Enroll, Enrolled, HUB_NAME, Heartbeat, HeartbeatReply, Hello, Mark, Orders, Report,
        Token, Welcome,
    },
    seal::{OpenKey, SEED},
    signature::OperatorKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    PublicKeyData,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The longest that a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What the hub was told and what it tells.
#[derive(Default)]
pub(crate) struct Told {
    /// Records by lane and number.
    pub(crate) lanes: BTreeMap<Nonce, BTreeMap<u64, String>>,
    /// Heartbeats.
    pub(crate) beats: Vec<Heartbeat>,
    /// Orders that are given at each poll until their receipt is there.
    pub(crate) orders: Vec<Order>,
    /// Gives orders again that have a receipt, as a captured hub may.
    pub(crate) replays: bool,
    /// Polls that were answered.
    pub(crate) polls: u64,
    /// Knows nothing of sealed evidence, as a hub of before.
    pub(crate) has_no_key: bool,
    /// Sealed evidence so far.
    pub(crate) evidence: Vec<u8>,
    /// Pieces of evidence that were taken.
    pub(crate) pieces: u64,
    /// Takes no batch while true.
    pub(crate) refuses: bool,
    /// So many batches are put off by a second.
    pub(crate) puts_off: u32,
    /// How often a session began.
    pub(crate) hellos: u64,
}

impl Told {
    fn open_orders(&self) -> Vec<Order> {
        let answered: Vec<OrderId> = self
            .reports()
            .iter()
            .filter_map(|r| if let Report::Receipt(receipt) = r { Some(receipt.order) } else { None })
            .collect();
        let open = |order: &&Order| self.replays || !answered.contains(&id(order));
        self.orders.iter().filter(open).cloned().collect()
    }

    /// Returns every report in the order of its lane.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.lanes
            .values()
            .flat_map(BTreeMap::values)
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }
}

struct Shared {
    told: Mutex<Told>,
    changed: Notify,
    issuer: Issuer<'static, KeyPair>,
}

/// The running hub; it stops with the test.
pub(crate) struct FakeHub {
    pub(crate) address: SocketAddr,
    pub(crate) ca: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeHub {
    pub(crate) async fn start() -> Self {
        // A second test finds the provider there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let tls = acceptor(&ca, &issuer);
        let shared = Arc::new(Shared { told: Mutex::default(), changed: Notify::new(), issuer });
        let app = routes(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(Tls { tcp, tls }, app).await.unwrap() });
        Self { address, ca: ca.pem(), shared, task }
    }

    /// Returns a token for this hub.
    pub(crate) fn token(&self, operators: Vec<OperatorKey>) -> String {
        let token =
            Token { hub: self.address.to_string(), ca: self.ca.clone(), operators, secret: "5a".repeat(32) };
        BASE64.encode(&serde_json::to_vec(&token).unwrap())
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.shared.told.lock().unwrap()
    }

    /// Waits until `holds` does.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Told) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if holds(&self.told()) {
                    return;
                }
                changed.await;
            }
        };
        let came = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(came.is_ok(), "waited in vain: {what}; reports: {:#?}", self.told().reports());
    }
}

fn acceptor(ca: &rcgen::Certificate, issuer: &Issuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([HUB_NAME.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut config = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

struct Tls {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, from)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/enroll", post(enroll))
        .route("/v1/agent/hello", post(hello))
        .route("/v1/agent/batch", post(batch))
        .route("/v1/agent/heartbeat", post(heartbeat))
        .route("/v1/agent/orders", get(orders))
        .route("/v1/agent/evidence/{order}", put(take_evidence).get(evidence_had))
        .with_state(shared)
}

type Held = State<Arc<Shared>>;

async fn enroll(State(shared): Held, Json(wanted): Json<Enroll>) -> Json<Enrolled> {
    let csr = CertificateSigningRequestParams::from_pem(&wanted.csr).unwrap();
    let agent = AgentId(Sha256::of(&csr.public_key.subject_public_key_info()).0);
    let certificate = csr.signed_by(&shared.issuer).unwrap().pem();
    Json(Enrolled { agent, certificate })
}

async fn hello(State(shared): Held, Json(hello): Json<Hello>) -> Json<Welcome> {
    let mut told = shared.told.lock().unwrap();
    told.hellos += 1;
    let acks = hello.lanes.iter().map(|lane| Mark {
        epoch: lane.epoch,
        seq: told.lanes.get(&lane.epoch).and_then(|l| l.keys().last().copied()).unwrap_or(0),
    });
    let acks = acks.collect();
    let evidence_key = (!told.has_no_key).then(|| key().public());
    Json(Welcome { acks, now: Timestamp::now(), pack: 0, evidence_key })
}

async fn batch(State(shared): Held, headers: HeaderMap, body: Bytes) -> Result<Json<Ack>, Response> {
    assert_eq!(headers["content-encoding"], "zstd");
    let text = zstd::bulk::decompress(&body, 8 << 20).unwrap();
    let batch: Batch = serde_json::from_slice(&text).unwrap();
    let mut told = shared.told.lock().unwrap();
    if told.refuses {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    if told.puts_off > 0 {
        told.puts_off -= 1;
        return Err((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response());
    }
    let lane = told.lanes.entry(batch.epoch).or_default();
    for record in batch.records {
        assert_eq!(record.hash, Sha256::of(record.body.as_bytes()));
        let next = lane.keys().last().map_or(1, |n| n + 1);
        assert!(record.seq <= next, "a gap before {}", record.seq);
        let body = lane.entry(record.seq).or_insert_with(|| record.body.clone());
        assert_eq!(*body, record.body, "two contents under one number");
    }
    let seq = lane.keys().last().copied().unwrap_or(0);
    shared.changed.notify_waiters();
    Ok(Json(Ack { mark: Mark { epoch: batch.epoch, seq } }))
}

async fn heartbeat(State(shared): Held, Json(beat): Json<Heartbeat>) -> Json<HeartbeatReply> {
    shared.told.lock().unwrap().beats.push(beat);
    shared.changed.notify_waiters();
    Json(HeartbeatReply { pack: 0 })
}

async fn orders(State(shared): Held) -> Json<Orders> {
    // Held for a moment, as the real one does.
    let waiting = async {
        loop {
            let changed = shared.changed.notified();
            if !shared.told.lock().unwrap().open_orders().is_empty() {
                return;
            }
            changed.await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), waiting).await;
    let mut told = shared.told.lock().unwrap();
    told.polls += 1;
    let orders = told.open_orders();
    drop(told);
    shared.changed.notify_waiters();
    Json(Orders { orders })
}

async fn evidence_had(State(shared): Held) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "have": shared.told.lock().unwrap().evidence.len() }))
}

async fn take_evidence(
    State(shared): Held,
    Name(_order): Name<String>,
    axum::extract::Query(query): axum::extract::Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Json<serde_json::Value> {
    let mut told = shared.told.lock().unwrap();
    let offset: usize = query["offset"].parse().unwrap();
    assert!(offset <= told.evidence.len(), "a hole in the evidence");
    told.evidence.truncate(offset);
    told.evidence.extend_from_slice(&body);
    told.pieces += 1;
    let have = told.evidence.len();
    drop(told);
    shared.changed.notify_waiters();
    Json(serde_json::json!({ "have": have }))
}

/// The hub's key for evidence.
pub(crate) fn key() -> OpenKey {
    OpenKey::from_seed(&[7; SEED])
}

/// Returns the name of an order.
pub(crate) fn id(order: &Order) -> OrderId {
    serde_json::from_str::<Mandate>(&order.mandate.body).unwrap().order_id(order.index)
}

/// Returns whether a folder holds a file of this name, anywhere below.
pub(crate) fn holds(dir: &Path, name: &str) -> bool {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name() == name || (entry.path().is_dir() && holds(&entry.path(), name)))
}
