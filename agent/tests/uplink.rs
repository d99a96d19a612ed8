//! The real program against a hub that remembers what it was told: joining, reporting, obeying, and dying at any time.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what does not hold")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use ed25519_dalek::SigningKey;
use khien_core::{
    AgentId, Nonce, OrderId, RunId, Sha256, Timestamp, Untrusted,
    mandate::{MAX_LIFE, Mandate},
    order::{Allowed, FileTarget, Order, Outcome, Verb},
    protocol::Report,
    reason::Reason,
    seal,
    signature::operator_key,
    time,
};
use uplink_hub::{DEADLINE, FakeHub};

mod uplink_hub;

const PROGRAM: &str = env!("CARGO_BIN_EXE_khien-agent");

/// A host with an agent that has joined.
struct Host {
    dir: tempfile::TempDir,
    agent: AgentId,
}

/// A running agent; it is killed with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// Ends the agent's standard input, which tells it to stop.
    async fn stop(mut self) -> ExitStatus {
        drop(self.0.stdin.take());
        let ended = tokio::task::spawn_blocking(move || self.0.wait().unwrap());
        tokio::time::timeout(DEADLINE, ended).await.expect("the agent stops").unwrap()
    }

    fn kill(mut self) -> ExitStatus {
        self.0.kill().unwrap();
        self.0.wait().unwrap()
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

impl Host {
    fn join(hub: &FakeHub) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("site")).unwrap();
        let token = hub.token(vec![operator_key("thu", &key())]);
        let out = Command::new(PROGRAM)
            .args(["enroll", "--home"])
            .arg(dir.path().join("agent"))
            .env("KHIEN_TOKEN", token)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let agent = said["agent"].as_str().unwrap().parse().unwrap();
        Self { dir, agent }
    }

    async fn run(&self) -> Agent {
        self.run_with_log(Stdio::inherit()).await
    }

    async fn run_with_log(&self, log: Stdio) -> Agent {
        let mut child = Command::new(PROGRAM)
            .args(["run", "--no-network", "--until-stdin-closes", "--home"])
            .arg(self.dir.path().join("agent"))
            .arg("--watch")
            .arg(self.dir.path().join("site"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let agent = Agent(child);
        let mut line = String::new();
        let ready = tokio::task::spawn_blocking(move || out.read_line(&mut line).map(|_| line));
        let line =
            tokio::time::timeout(DEADLINE, ready).await.expect("the agent gets ready").unwrap().unwrap();
        assert_eq!(line, "{\"ready\":true}\n");
        agent
    }

    fn file(&self, content: &[u8]) -> (PathBuf, FileTarget) {
        let path = self.dir.path().canonicalize().unwrap().join("site/a.php");
        fs::write(&path, content).unwrap();
        let target =
            FileTarget { path: Untrusted::new(path.as_os_str().as_bytes()), sha256: Sha256::of(content) };
        (path, target)
    }

    fn orders(&self, verbs: Vec<Verb>) -> Vec<Order> {
        let now = Timestamp::now();
        let step = |verb: &Verb| verb.name().parse().unwrap();
        let mandate = Mandate {
            run: RunId([3; 16]),
            playbook: Sha256([4; 32]),
            orders: verbs
                .into_iter()
                .map(|verb| Allowed { step: step(&verb), agent: self.agent, verb })
                .collect(),
            issued: now,
            expires: time::after(now, MAX_LIFE),
            nonce: Nonce([5; 16]),
        };
        let signed = mandate.sign(&key());
        (0..u32::try_from(mandate.orders.len()).unwrap())
            .map(|index| Order { mandate: signed.clone(), index })
            .collect()
    }
}

fn refusals(reports: &[Report]) -> Vec<Option<OrderId>> {
    reports
        .iter()
        .filter_map(|r| match r {
            Report::Refused { order, .. } => Some(*order),
            _ => None,
        })
        .collect()
}

fn outcomes(reports: &[Report]) -> Vec<&Outcome> {
    reports
        .iter()
        .filter_map(|r| match r {
            Report::Receipt(receipt) => Some(&receipt.outcome),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_joins_reports_and_says_when_it_stops() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);

    let agent = host.run().await;
    hub.until("the start and a heartbeat", |t| !t.beats.is_empty() && !t.reports().is_empty()).await;
    let ended = agent.stop().await;

    assert!(ended.success(), "{ended:?}");
    let reports = hub.told().reports();
    assert!(matches!(reports.first(), Some(Report::Started { died_after: None, .. })), "{reports:?}");
    assert!(matches!(reports.last(), Some(Report::Stopping { .. })), "{reports:?}");
    let health = hub.told().beats[0].health.clone();
    assert!(health.memory > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_twice_is_harmless_and_another_hub_is_refused() {
    let (hub, other) = (FakeHub::start().await, FakeHub::start().await);
    let host = Host::join(&hub);
    let enroll = |token: String| {
        Command::new(PROGRAM)
            .args(["enroll", "--lang", "en", "--home"])
            .arg(host.dir.path().join("agent"))
            .args(["--token", &token])
            .output()
            .unwrap()
    };
    let operators = vec![operator_key("thu", &key())];

    let again = enroll(hub.token(operators.clone()));
    let elsewhere = enroll(other.token(operators));

    assert!(again.status.success());
    assert!(!elsewhere.status.success());
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("enrolled with another hub"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_no_number_is_missing_after_kill_9() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    hub.told().refuses = true;
    for _ in 0..4 {
        let ended = host.run().await.kill();
        assert_eq!(ended.signal(), Some(9));
    }

    hub.told().refuses = false;
    let agent = host.run().await;
    let started =
        |t: &uplink_hub::Told| t.reports().iter().filter(|r| matches!(r, Report::Started { .. })).count();
    hub.until("five starts", |t| started(t) == 5).await;

    let deaths = hub
        .told()
        .reports()
        .iter()
        .filter(|r| matches!(r, Report::Started { died_after: Some(_), .. }))
        .count();
    assert_eq!(deaths, 4);
    assert!(agent.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_hub_puts_off_is_sent_later_in_the_same_session() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    hub.told().puts_off = 1;

    let agent = host.run().await;
    hub.until("the start", |t| !t.reports().is_empty()).await;

    {
        let told = hub.told();
        assert_eq!((told.puts_off, told.hellos), (0, 1));
        assert!(matches!(told.reports()[..], [Report::Started { .. }, ..]));
    }
    assert!(agent.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_carried_out_once_and_a_replay_is_refused() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    let content = vec![b'<'; (2 << 20) + 17];
    let (path, file) = host.file(&content);
    let orders = host.orders(vec![
        Verb::PreserveFile(file.clone()),
        Verb::QuarantineFile(file.clone()),
        Verb::VerifyAbsent(file),
    ]);
    let agent = host.run().await;

    hub.told().orders = orders.clone();
    hub.until("three receipts", |t| outcomes(&t.reports()).len() == 3).await;

    assert!(!path.exists());
    {
        let told = hub.told();
        assert_eq!(told.pieces, 3);
        let mut plain = Vec::new();
        let known = seal::open(&told.evidence[..], &uplink_hub::key(), &mut plain).unwrap();
        assert!(plain == content && known.sha256 == Sha256::of(&content));
        let reports = told.reports();
        assert!(outcomes(&reports).iter().all(|o| matches!(o, Outcome::Done { .. })), "{reports:?}");
    }
    // Two polls later every answer that could still name an order honestly is in.
    let polls = hub.told().polls;
    hub.until("two more polls", |t| t.polls >= polls + 2).await;
    assert!(refusals(&hub.told().reports()).is_empty());

    fs::write(&path, &content).unwrap();
    hub.told().replays = true;
    hub.until("three refusals", |t| refusals(&t.reports()).len() == 3).await;
    let replayed: Vec<_> = orders.iter().map(|o| Some(uplink_hub::id(o))).collect();
    assert_eq!(refusals(&hub.told().reports()), replayed);
    assert!(path.exists());
    assert_eq!(outcomes(&hub.told().reports()).len(), 3);
    assert!(agent.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_for_a_hub_that_has_no_key_is_not_taken_and_it_is_said_why() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    let (path, file) = host.file(b"what nobody may read");
    hub.told().has_no_key = true;
    hub.told().orders = host.orders(vec![Verb::PreserveFile(file)]);

    let agent = host.run().await;
    hub.until("the receipt", |t| !outcomes(&t.reports()).is_empty()).await;

    let reports = hub.told().reports();
    let failed = Outcome::Failed { reason: Reason::NoEvidenceKey };
    assert_eq!(outcomes(&reports), [&failed], "{reports:?}");
    assert!(path.exists() && hub.told().evidence.is_empty());
    assert_eq!(fs::read_dir(host.dir.path().join("agent/evidence")).unwrap().count(), 0);
    assert!(agent.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_survives_kill_9_of_the_agent_and_is_answered_once() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    let (path, file) = host.file(concat!("<?php ev", "al($_POST['x']);").as_bytes());
    // The hub takes no receipt, so the agent dies with the order done and the answer in its spool.
    hub.told().refuses = true;
    hub.told().orders = host.orders(vec![Verb::QuarantineFile(file)]);
    for _ in 0..3 {
        let agent = host.run().await;
        let polls = hub.told().polls;
        hub.until("a poll", |t| t.polls > polls).await;
        agent.kill();
    }

    hub.told().refuses = false;
    let agent = host.run().await;
    hub.until("the receipt", |t| !outcomes(&t.reports()).is_empty()).await;

    assert!(agent.stop().await.success());
    let reports = hub.told().reports();
    assert!(matches!(outcomes(&reports)[..], [Outcome::Done { .. }]), "{reports:?}");
    assert!(refusals(&reports).is_empty(), "{reports:?}");
    assert!(!path.exists());
    assert!(uplink_hub::holds(&host.dir.path().join("agent/quarantine"), "content"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_log_cannot_be_written_works_on() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();

    let agent = host.run_with_log(full.into()).await;

    assert!(agent.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_agent_on_the_same_folder_is_refused() {
    let hub = FakeHub::start().await;
    let host = Host::join(&hub);
    let agent = host.run().await;

    let out = Command::new(PROGRAM)
        .args(["run", "--no-network", "--lang", "en", "--home"])
        .arg(host.dir.path().join("agent"))
        .stdin(Stdio::null())
        .output()
        .unwrap();

    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("Another agent already runs"));
    assert!(agent.stop().await.success());
}
