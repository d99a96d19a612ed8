//! A real hub in a folder of its own, an operator, and agents that speak the protocol.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use khien_core::{
    AgentId, Nonce, RunId, SealKey, Sha256, Timestamp, Untrusted,
    alert::Alert,
    api::{Alerts, EvidenceKey, NewToken, TokenSecret},
    asset::HostFacts,
    conduct::{Behaviour, Conduct, Deed},
    detection::{
        ConductSubject, Detection, FileSubject, FlowSubject, Pattern, ProcessSubject, Subject, TrafficSubject,
    },
    event::{Application, Direction, Excerpt, FileFacts, FlowFacts, Process, Transport},
    mandate::Mandate,
    order::{Allowed, FileTarget},
    protocol::{Batch, Enroll, Enrolled, HUB_NAME, Record, Report},
    run::Target,
    seal::{SEED, Sealer},
    signature::Signed,
    time::{self, SignedDuration},
};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A hub that runs, and its operator.
pub(crate) struct Team {
    pub(crate) home: TempDir,
    hub: Option<Running>,
    key: KeyPair,
    certificate: String,
}

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Team {
    pub(crate) fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub");
        assert!(hub().arg("init").arg("--home").arg(&path).status().unwrap().success());
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = admit(&home, "thu", &key);
        let mut team = Self { home, hub: None, key, certificate };
        team.run();
        team
    }

    /// Starts the hub on the folder as it is.
    pub(crate) fn run(&mut self) {
        let mut child = hub()
            .arg("run")
            .arg("--home")
            .arg(self.home.path().join("hub"))
            .args(["--listen", "127.0.0.1:0", "--until-stdin-closes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        let address = ready["address"].as_str().unwrap().parse().unwrap();
        self.hub = Some(Running { child, stdin, address });
    }

    /// Ends the hub as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.hub = None;
    }

    /// Ends the hub by closing its stdin, and tells whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        let mut running = self.hub.take().unwrap();
        running.stdin = None;
        let until = Instant::now() + SOON;
        loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < until, "the hub did not stop");
            std::thread::yield_now();
        }
    }

    pub(crate) fn operator(&self) -> Client {
        self.client(Some((&self.key, &self.certificate)))
    }

    pub(crate) fn stranger(&self) -> Client {
        self.client(None)
    }

    pub(crate) fn signing_key(&self) -> SigningKey {
        signing_key(&self.key)
    }

    pub(crate) fn client(&self, identity: Option<(&KeyPair, &str)>) -> Client {
        let ca = fs::read(self.home.path().join("hub/ca.pem")).unwrap();
        let address = self.hub.as_ref().unwrap().address;
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&ca).unwrap()])
            .resolve(HUB_NAME, address)
            .no_proxy()
            .timeout(SOON);
        if let Some((key, certificate)) = identity {
            let pem = format!("{}{certificate}", key.serialize_pem());
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Client { http: builder.build().unwrap(), base: format!("https://{HUB_NAME}:{}", address.port()) }
    }

    pub(crate) async fn token(&self, agency: &str) -> String {
        let wanted = NewToken { agency: agency.to_owned(), hours: 1 };
        let token: TokenSecret = self.operator().good(Method::POST, "/v1/tokens", &wanted).await;
        token.secret
    }

    pub(crate) async fn agent(&self, host: &str) -> Agent {
        let secret = self.token("Sở Y tế").await;
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let enrolled: Enrolled =
            self.stranger().good(Method::POST, "/v1/enroll", &enroll(&secret, &key, host)).await;
        Agent { id: enrolled.agent, key, certificate: enrolled.certificate }
    }

    pub(crate) fn speak(&self, agent: &Agent) -> Client {
        self.client(Some((&agent.key, &agent.certificate)))
    }

    /// Asks for the key to which evidence is sealed.
    pub(crate) async fn evidence_key(&self) -> SealKey {
        let answer: EvidenceKey = self.operator().good(Method::GET, "/v1/evidence-key", &()).await;
        answer.key
    }

    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        let alerts: Alerts = self.operator().good(Method::GET, "/v1/alerts", &()).await;
        alerts.alerts
    }
}

/// Seals bytes to a hub's key; the same bytes each time, as they lie on an agent's disk.
pub(crate) fn sealed(key: &SealKey, plain: &[u8]) -> Vec<u8> {
    sealed_with(key, plain, 9)
}

/// The same with other random bytes, as each program has them that seals.
pub(crate) fn sealed_with(key: &SealKey, plain: &[u8], random: u8) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), key, &[random; SEED]).unwrap();
    sealer.write_all(plain).unwrap();
    sealer.finish().unwrap().0
}

pub(crate) fn hub() -> Command {
    let mut hub = Command::new(env!("CARGO_BIN_EXE_khien-hub"));
    hub.env("RUST_LOG", "error");
    hub
}

/// Admits an operator and returns the certificate.
pub(crate) fn admit(home: &TempDir, name: &str, key: &KeyPair) -> String {
    let csr = home.path().join("operator.csr");
    fs::write(&csr, request(key)).unwrap();
    let out = hub()
        .args(["operator", "add", "--name", name, "--home"])
        .arg(home.path().join("hub"))
        .arg("--csr")
        .arg(csr)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

pub(crate) fn request(key: &KeyPair) -> String {
    CertificateParams::new(vec![]).unwrap().serialize_request(key).unwrap().pem().unwrap()
}

/// Takes the Ed25519 seed out of a PKCS #8 key: it follows the inner octet string's head.
pub(crate) fn signing_key(key: &KeyPair) -> SigningKey {
    let der = key.serialize_der();
    let at = der.windows(4).position(|w| w == [0x04, 0x22, 0x04, 0x20]).unwrap() + 4;
    SigningKey::from_bytes(der[at..at + 32].try_into().unwrap())
}

pub(crate) fn enroll(secret: &str, key: &KeyPair, host: &str) -> Enroll {
    let host = HostFacts { host: host.into(), os: "Debian 12".into(), version: "0.1.0".to_owned() };
    Enroll { secret: secret.to_owned(), csr: request(key), host }
}

pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) key: KeyPair,
    pub(crate) certificate: String,
}

/// Speaks to the hub.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> reqwest::Result<(StatusCode, Vec<u8>)> {
        let answer = self.http.request(method, format!("{}{path}", self.base)).body(body).send().await?;
        let status = answer.status();
        Ok((status, answer.bytes().await?.to_vec()))
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: &impl Serialize) -> (StatusCode, Value) {
        let (status, bytes) = self.raw(method, path, serde_json::to_vec(body).unwrap()).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Asks for what must be granted.
    pub(crate) async fn good<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> T {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        serde_json::from_value(answer).unwrap()
    }

    /// Asks for what must be refused and returns the error text.
    pub(crate) async fn bad(
        &self,
        status: StatusCode,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> String {
        let (got, answer) = self.ask(method, path, body).await;
        assert_eq!(got, status, "{path}: {answer}");
        answer["error"].as_str().unwrap().to_owned()
    }

    /// Sends records as an agent does.
    pub(crate) async fn send(&self, batch: &Batch) -> (StatusCode, Value) {
        let body = zstd::bulk::compress(&serde_json::to_vec(batch).unwrap(), 3).unwrap();
        let (status, bytes) = self.raw(Method::POST, "/v1/agent/batch", body).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) async fn report(&self, epoch: u8, from: u64, reports: &[Report]) {
        let (status, answer) = self.send(&batch(epoch, from, reports)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

pub(crate) fn batch(epoch: u8, from: u64, reports: &[Report]) -> Batch {
    let bodies = reports.iter().map(|r| serde_json::to_string(r).unwrap());
    let records = (from..).zip(bodies).map(|(seq, body)| record(seq, body)).collect();
    Batch { epoch: Nonce([epoch; 16]), records }
}

pub(crate) fn record(seq: u64, body: String) -> Record {
    Record { seq, hash: Sha256::of(body.as_bytes()), body }
}

/// A detection of a rule in a file with some content.
pub(crate) fn found(path: &str, content: &[u8]) -> Report {
    let now = Timestamp::now();
    let file = FileFacts {
        inside: khien_core::event::Inside::default(),
        size: content.len() as u64,
        mode: 0o100_644,
        uid: 33,
        gid: 33,
        owner: None,
        modified: now,
    };
    let subject = Subject::File(FileSubject {
        path: path.into(),
        sha256: Sha256::of(content),
        file,
        process: None,
        excerpts: vec![],
    });
    Report::Detection(Box::new(Detection {
        rule: "webshell.php.test".parse().unwrap(),
        at: now,
        pack: 1,
        subject,
    }))
}

/// A detection of so many documents in a folder that were overwritten with noise.
pub(crate) fn encrypted(folder: &str, count: u64) -> Report {
    let deed = Deed::ManyScrambled { kinds: 3, note: false };
    let examples = vec![format!("{folder}/a.doc").as_str().into()];
    let rule = deed.rule().parse().unwrap();
    let subject = Subject::Conduct(ConductSubject {
        path: folder.into(),
        what: Conduct::Behaviour(Behaviour { deed, count, examples }),
        file: None,
        sha256: None,
        process: None,
        diff: None,
    });
    Report::Detection(Box::new(Detection { rule, at: Timestamp::now(), pack: 1, subject }))
}

/// A detection of so many documents in a folder that a process renamed to one extension.
pub(crate) fn renamed(folder: &str, suffix: &str, pid: u32) -> Report {
    let deed = Deed::ManyRenamed { suffix: suffix.into() };
    let examples = vec![format!("{folder}/a.doc").as_str().into()];
    let rule = deed.rule().parse().unwrap();
    let subject = Subject::Conduct(ConductSubject {
        path: folder.into(),
        what: Conduct::Behaviour(Behaviour { deed, count: 20, examples }),
        file: None,
        sha256: None,
        process: Some(Process { exe: Some("/tmp/enc".into()), ..Process::unknown(pid) }),
        diff: None,
    });
    Report::Detection(Box::new(Detection { rule, at: Timestamp::now(), pack: 1, subject }))
}

/// A detection in a request to one URL, with this text as the match.
pub(crate) fn seen_on_the_wire(matched: &str) -> Report {
    let flow = FlowFacts {
        transport: Transport::Tcp,
        client: "192.0.2.7:40000".parse().unwrap(),
        server: "192.0.2.1:80".parse().unwrap(),
        direction: Direction::ToServer,
        interface: "eth0".into(),
        vlan: Vec::new(),
        tunnel: None,
        application: Application::Http,
        name: Some("cong.tinh.example".into()),
        url: Some("http://cong.tinh.example/upload.php".into()),
        listed: None,
        process: None,
    };
    let excerpt = Excerpt { offset: 0, before: "".into(), matched: matched.into(), after: "".into() };
    let subject = Subject::Flow(FlowSubject { flow, excerpts: vec![excerpt] });
    let (rule, at) = ("webshell.php.test".parse().unwrap(), Timestamp::now());
    Report::Detection(Box::new(Detection { rule, at, pack: 1, subject }))
}

/// A detection in the memory of a process, with other bytes around it at another place each time.
pub(crate) fn seen_in_memory(matched: &str, offset: u64) -> Report {
    let around = Untrusted::from(offset.to_string().as_str());
    let excerpt = Excerpt { offset, before: around.clone(), matched: matched.into(), after: around };
    let process = Process { exe: Some("/usr/bin/suricata".into()), ..Process::unknown(7) };
    let subject =
        ProcessSubject { process, inside: Default::default(), sha256: None, excerpts: vec![excerpt] };
    let (rule, at) = ("miner.linux.xmrig".parse().unwrap(), Timestamp::now());
    Report::Detection(Box::new(Detection { rule, at, pack: 1, subject: Subject::Process(subject) }))
}

/// A detection in how traffic of one client with one server goes.
pub(crate) fn seen_in_traffic(rule: &str, what: Pattern) -> Report {
    let Report::Detection(wire) = seen_on_the_wire("") else { unreachable!("it is a detection") };
    let Subject::Flow(FlowSubject { flow, .. }) = wire.subject else { unreachable!("it is in a flow") };
    let other = FlowFacts { client: "192.0.2.7:40001".parse().unwrap(), ..flow.clone() };
    let subject = Subject::Traffic(TrafficSubject {
        what,
        client: flow.client.ip(),
        server: Some(flow.server.ip()),
        service: Some("80/tcp".parse().unwrap()),
        name: None,
        flows: vec![flow, other],
    });
    Report::Detection(Box::new(Detection {
        rule: rule.parse().unwrap(),
        at: Timestamp::now(),
        pack: 1,
        subject,
    }))
}

pub(crate) fn target(agent: &Agent, path: &str, content: &[u8]) -> Target {
    let file = FileTarget { path: Untrusted::from(path), sha256: Sha256::of(content) };
    Target { agent: agent.id, file }
}

/// A mandate that lives from some minutes from now for ten minutes.
pub(crate) fn mandate(
    run: RunId,
    playbook: Sha256,
    orders: Vec<Allowed>,
    starts_in: i64,
    nonce: u8,
) -> Mandate {
    let issued = time::after(Timestamp::now(), SignedDuration::from_mins(starts_in));
    let expires = time::after(issued, SignedDuration::from_mins(10));
    Mandate { run, playbook, orders, issued, expires, nonce: Nonce([nonce; 16]) }
}

pub(crate) fn sign(team: &Team, mandate: &Mandate) -> Signed {
    mandate.sign(&team.signing_key())
}
