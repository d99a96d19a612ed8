//! An agent that is not heard is an alert; one that said it stops is not.

use std::time::Instant;

use khien_core::{
    Timestamp,
    api::{Agents, Alerts},
    asset::{Health, Presence},
    protocol::{Heartbeat, HeartbeatReply, Report},
};
use reqwest::Method;

use crate::common::{SOON, Team};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_falls_silent_is_an_alert_and_one_that_stops_is_not() {
    let team = Team::start();
    let (dies, stops) = (team.agent("web-1").await, team.agent("web-2").await);
    team.speak(&stops).report(1, 1, &[Report::Stopping { at: Timestamp::now() }]).await;
    let (thu, begun) = (team.operator(), Instant::now());

    let mut after = 0;
    let alert = loop {
        let path = format!("/v1/changes?after={after}");
        let changes: Alerts = thu.good(Method::GET, &path, &()).await;
        after = changes.revision;
        if let Some(alert) = changes.alerts.first() {
            break alert.clone();
        }
        assert!(begun.elapsed() < SOON, "no alert");
    };

    assert_eq!(alert.rule.as_str(), "khien.agent.silent");
    assert_eq!(alert.agent, dies.id);
    let presence = async |id| {
        let agents: Agents = thu.good(Method::GET, "/v1/agents", &()).await;
        agents.agents.iter().find(|a| a.id == id).unwrap().presence
    };
    assert_eq!(presence(dies.id).await, Presence::Silent);
    assert_eq!(presence(stops.id).await, Presence::Stopped);

    let beat = Heartbeat { health: Health::default() };
    let _: HeartbeatReply = team.speak(&dies).good(Method::POST, "/v1/agent/heartbeat", &beat).await;
    assert_eq!(presence(dies.id).await, Presence::Online);
    assert_eq!(team.alerts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_died_and_came_back_is_an_alert() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let now = Timestamp::now();

    client.report(1, 1, &[Report::Started { at: now, died_after: None }]).await;
    assert!(team.alerts().await.is_empty());
    client.report(1, 2, &[Report::Started { at: now, died_after: Some(now) }]).await;

    assert_eq!(team.alerts().await[0].rule.as_str(), "khien.agent.silent");
}
