//! Interfaces that get their default route while the agent runs.

use std::{collections::BTreeSet, sync::Mutex};

use super::{evasion::segment, *};
use crate::capture::{
    Roaming,
    ring::tests::{make_pair, send},
};

/// How soon a frame is sent again.
const AGAIN: Duration = Duration::from_millis(500);

#[test]
fn an_interface_that_gets_the_default_route_later_is_watched_from_then_on() {
    in_namespace(|| {
        if make_pair() {
            running(later());
        }
    });
}

async fn later() {
    let (sender, mut reports) = mpsc::channel(64);
    let (stop, shutdown) = watch::channel(false);
    let meter = Arc::<Meter>::default();
    let routes = Arc::new(Mutex::new(vec!["lo".to_owned()]));
    let look = {
        let routes = Arc::clone(&routes);
        move || routes.lock().unwrap().clone()
    };
    let links = links(sender, Arc::clone(&meter), shutdown);
    let mut roaming = Roaming::new(NetConfig::default(), Arc::new(MarkScanner), links, look);
    roaming.every = Duration::from_millis(20);
    let task = roaming.start().await.unwrap();
    assert_eq!(scopes(&meter), [("default route".to_owned(), Sight::Blind), ("lo".to_owned(), Sight::Full)]);

    routes.lock().unwrap().push("pair1".to_owned());
    let seen = async {
        while scopes(&meter) != [("lo".to_owned(), Sight::Full), ("pair1".to_owned(), Sight::Full)] {
            meter.changed().await;
        }
    };
    tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("{:?}", scopes(&meter)));
    // What goes over it, and over loopback still, is found.
    let request = segment([10, 77, 0, 5], 0x18, 1_001, b"GET / HTTP/1.1\r\nHost: c2.evil.example\r\n\r\n");
    let begun = Instant::now();
    let (mut interfaces, mut away) = (BTreeSet::new(), Vec::new());
    while interfaces.len() < 2 || away.is_empty() {
        assert!(begun.elapsed() < LIMIT, "found only on {interfaces:?}");
        // The kernel may drop a frame when much comes at once, and loopback may not be open again yet.
        send("pair0", &request);
        let server = serve_once("127.0.0.1:0", b"");
        TcpStream::connect(server).unwrap().write_all(&client_hello("c2.evil.example")).unwrap();
        let Ok(report) = tokio::time::timeout(AGAIN, reports.recv()).await else { continue };
        let found = match report {
            Some(Report::Detection(found)) => found,
            Some(Report::Blind { scope, cause: Reason::InterfaceAway, .. }) => {
                away.push(scope.to_string());
                continue;
            }
            _ => continue,
        };
        let Subject::Flow(found) = found.subject else { panic!("{found:?}") };
        interfaces.insert(found.flow.interface.to_string());
    }
    assert_eq!(away, ["lo"], "it was not looked at for a moment");
    stop.send(true).unwrap();
    tokio::time::timeout(LIMIT, task).await.expect("it stops in time").unwrap();
}

fn scopes(meter: &Meter) -> Vec<(String, Sight)> {
    meter.health(0).coverage.iter().map(|c| (c.scope.to_string(), c.sight)).collect()
}
