//! What was acknowledged is there after `kill -9`, once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use khien_core::{
    Nonce,
    asset::HostFacts,
    protocol::{Ack, Hello, Mark, Welcome},
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Team};

/// Agents that send at the same time.
const AGENTS: u8 = 4;
/// Records in one batch.
const BATCH: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_hub_is_killed_in_a_storm() {
    let mut team = Team::start();
    let mut agents = Vec::new();
    for n in 0..AGENTS {
        agents.push((team.agent(&format!("web-{n}")).await, Arc::new(AtomicU64::new(0))));
    }

    for round in 1..=3 {
        storm(&mut team, &agents, round * 10 * BATCH).await;
        team.run();
        check(&team, &agents).await;
    }
}

/// Sends from every agent at once and kills the hub as soon as each has some acknowledged.
async fn storm(team: &mut Team, agents: &[(common::Agent, Arc<AtomicU64>)], enough: u64) {
    let mut senders = Vec::new();
    for (agent, acked) in agents {
        let (client, acked) = (team.speak(agent), Arc::clone(acked));
        senders.push(tokio::spawn(async move {
            loop {
                let from = acked.load(Ordering::SeqCst) + 1;
                let found: Vec<_> =
                    (from..from + BATCH).map(|n| common::found(&format!("/srv/{n}.php"), b"a")).collect();
                let batch = common::batch(1, from, &found);
                let body = zstd::bulk::compress(&serde_json::to_vec(&batch).unwrap(), 3).unwrap();
                match client.raw(Method::POST, "/v1/agent/batch", body).await {
                    Ok((StatusCode::OK, answer)) => {
                        let ack: Ack = serde_json::from_slice(&answer).unwrap();
                        acked.store(ack.mark.seq, Ordering::SeqCst);
                    }
                    _ => return,
                }
            }
        }));
    }
    while agents.iter().any(|(_, acked)| acked.load(Ordering::SeqCst) < enough) {
        assert!(!senders.iter().any(tokio::task::JoinHandle::is_finished), "a sender gave up early");
        tokio::task::yield_now().await;
    }
    team.kill();
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Asks for what is stored of each lane, and counts the alerts.
async fn check(team: &Team, agents: &[(common::Agent, Arc<AtomicU64>)]) {
    let mut stored = 0;
    for (agent, acked) in agents {
        let next = Mark { epoch: Nonce([1; 16]), seq: acked.load(Ordering::SeqCst) + 1 };
        let host = HostFacts { host: "web".into(), os: "Debian".into(), version: "0.1.0".to_owned() };
        let hello = Hello { boot: Nonce([2; 16]), host, lanes: vec![next] };
        let welcome: Welcome = team.speak(agent).good(Method::POST, "/v1/agent/hello", &hello).await;
        let mark = welcome.acks[0];
        assert!(mark.seq >= acked.load(Ordering::SeqCst), "acknowledged records are lost");
        acked.store(mark.seq, Ordering::SeqCst);
        stored += mark.seq;
    }
    let found: khien_core::api::Alerts =
        team.operator().good(Method::GET, "/v1/alerts?limit=10000", &()).await;
    let found: Vec<_> = found.alerts.into_iter().filter(|a| a.path.is_some()).collect();
    assert_eq!(found.len() as u64, stored);
    assert!(found.iter().all(|a| a.count == 1));
}
