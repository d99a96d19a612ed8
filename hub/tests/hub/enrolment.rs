//! Who may join and who may ask what.

use futures_util::future::join_all;
use khien_core::{api::Agents, asset::Presence};
use rcgen::{KeyPair, PKCS_ED25519};
use reqwest::{Method, StatusCode};

use crate::common::{self, Team};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_used_many_times_at_once_makes_one_agent() {
    let team = Team::start();
    let secret = team.token("Sở Y tế").await;
    let use_it = async || {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        team.stranger().ask(Method::POST, "/v1/enroll", &common::enroll(&secret, &key, "web-1")).await.0
    };

    let answers = join_all((0..100).map(|_| use_it())).await;

    assert_eq!(answers.iter().filter(|s| **s == StatusCode::OK).count(), 1);
    assert_eq!(answers.iter().filter(|s| **s == StatusCode::FORBIDDEN).count(), 99);
    let agents: Agents = team.operator().good(Method::GET, "/v1/agents", &()).await;
    assert_eq!(agents.agents.len(), 1);
    assert_eq!(agents.agents[0].agency, "Sở Y tế");
    assert_eq!(agents.agents[0].presence, Presence::Online);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_admitted_key_only_joining_is_open() {
    let team = Team::start();
    let stranger = team.stranger();

    for path in ["/v1/alerts", "/v1/agents", "/v1/changes", "/v1/agent/orders", "/v1/agent/pack"] {
        stranger.bad(StatusCode::FORBIDDEN, Method::GET, path, &()).await;
    }
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let forged = "00".repeat(32);
    stranger
        .bad(StatusCode::FORBIDDEN, Method::POST, "/v1/enroll", &common::enroll(&forged, &key, "x"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_operators_are_kept_apart() {
    let team = Team::start();
    let agent = team.agent("web-1").await;

    team.speak(&agent).bad(StatusCode::FORBIDDEN, Method::GET, "/v1/alerts", &()).await;
    team.operator().bad(StatusCode::FORBIDDEN, Method::GET, "/v1/agent/orders", &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_gets_no_connection() {
    let (team, other) = (Team::start(), Team::start());
    let agent = other.agent("web-1").await;

    let answer = team.speak(&agent).raw(Method::GET, "/v1/agent/orders", vec![]).await;

    assert!(answer.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_hub_per_home() {
    let mut team = Team::start();

    let second = common::hub()
        .args(["run", "--listen", "127.0.0.1:0", "--home"])
        .arg(team.home.path().join("hub"))
        .output()
        .unwrap();

    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another hub runs"));
    assert!(team.stop());
}

#[test]
fn an_operator_needs_an_ed25519_key_and_a_name_of_their_own() {
    let team = Team::start();
    let add = |key: &KeyPair| {
        let csr = team.home.path().join("new.csr");
        std::fs::write(&csr, common::request(key)).unwrap();
        let mut add = common::hub();
        add.args(["operator", "add", "--name", "thu", "--home"]).arg(team.home.path().join("hub"));
        add.arg("--csr").arg(csr).output().unwrap().status.success()
    };

    assert!(!add(&KeyPair::generate().unwrap()));
    assert!(!add(&KeyPair::generate_for(&PKCS_ED25519).unwrap()));
}
