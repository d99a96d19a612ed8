//! What one agent may send: the rest is refused for a while, nothing is lost, and the team hears of it once.

use axum::http::StatusCode;

use super::served::Served;
use crate::{
    limits::Limits,
    quota::{Rate, Rates},
};

const FLOOD: &str = "khien.agent.flood";
const NEVER: f64 = 0.001;

fn limits(rates: Rates) -> Limits {
    Limits { rates, ..Limits::default() }
}

#[tokio::test]
async fn records_over_the_share_wait_at_the_agent_and_the_team_hears_of_it_once() {
    let few = Rate { burst: 10.0, per_second: NEVER };
    let served = Served::start(limits(Rates { records: few, ..Rates::default() })).await;
    let (captured, other) = (served.agent().await, served.agent().await);
    let client = served.client(Some(&captured));

    assert_eq!(client.sends(1, 8).await.status, StatusCode::OK);
    for _ in 0..3 {
        let refused = client.sends(9, 8).await;
        assert_eq!((refused.status, refused.again), (StatusCode::TOO_MANY_REQUESTS, Some(300)));
    }

    assert_eq!(served.client(Some(&other)).sends(1, 8).await.status, StatusCode::OK);
    assert_eq!(client.beats().await.status, StatusCode::OK);
    let alerts = served.alerts().await;
    assert_eq!(alerts.iter().filter(|(rule, _)| rule == FLOOD).collect::<Vec<_>>(), [&(FLOOD.to_owned(), 1)]);
    assert_eq!(alerts.len(), 8 + 8 + 1);
    // What was refused left no trace: the lane goes on where it ended.
    let next = client.sends(9, 2).await;
    assert_eq!((next.status, &next.body["seq"]), (StatusCode::OK, &10.into()));
}

#[tokio::test]
async fn new_alerts_over_the_share_are_kept_as_records_and_counted_in_one() {
    let two = Rate { burst: 2.0, per_second: NEVER };
    let served = Served::start(limits(Rates { alerts: two, ..Rates::default() })).await;
    let client = served.client(Some(&served.agent().await));

    let taken = client.sends(1, 50).await;

    assert_eq!((taken.status, &taken.body["seq"]), (StatusCode::OK, &50.into()));
    let alerts = served.alerts().await;
    let failed = ("khien.scan.failed".to_owned(), 1);
    assert_eq!(alerts, [(FLOOD.to_owned(), 48), failed.clone(), failed]);
    let next = client.sends(51, 1).await;
    assert_eq!(next.body["seq"], 51);
}

#[tokio::test]
async fn requests_over_the_share_are_refused_before_their_body_is_read() {
    let three = Rate { burst: 3.0, per_second: NEVER };
    let served = Served::start(limits(Rates { requests: three, ..Rates::default() })).await;
    let client = served.client(Some(&served.agent().await));

    for _ in 0..3 {
        assert_eq!(client.beats().await.status, StatusCode::OK);
    }
    // The body never ends, the answer comes all the same.
    let refused = client.begins(1).answered().await;

    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.again.is_some());
}

#[tokio::test]
async fn a_burst_of_five_thousand_alerts_is_taken_whole() {
    let served = Served::start(Limits::default()).await;
    let client = served.client(Some(&served.agent().await));

    for first in (1..5_000).step_by(1_000) {
        assert_eq!(client.sends(first, 1_000).await.status, StatusCode::OK);
    }

    let read = served.hub.store.read(|tx| Ok(tx.changes(0, 10_000)?)).await.unwrap();
    assert_eq!(read.len(), 5_000);
}
