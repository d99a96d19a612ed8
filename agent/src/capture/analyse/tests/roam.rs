//! Interfaces that get their default route while the agent runs, and go.

use std::{collections::BTreeSet, sync::Mutex};

use khien_core::{
    order::{MOST_FOUND, RecordQuery, Sought},
    traffic::Tls,
};

use super::{evasion::segment, *};
use crate::{
    capture::{
        Roaming,
        interface::There,
        ring::tests::{ip, make_pair, send},
    },
    records::{Limits, Records},
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

/// Capture that follows the interfaces of a test.
struct Follows {
    reports: mpsc::Receiver<Report>,
    meter: Arc<Meter>,
    there: Arc<Mutex<There>>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Follows {
    /// Begins with loopback alone.
    async fn start(records: Option<Records>) -> Self {
        let (sender, reports) = mpsc::channel(64);
        let (stop, shutdown) = watch::channel(false);
        let meter = Arc::<Meter>::default();
        let there = Arc::new(Mutex::new(there(&["lo"])));
        let look = {
            let there = Arc::clone(&there);
            move || there.lock().unwrap().clone()
        };
        let links = Links { records, ..links(sender, Arc::clone(&meter), shutdown) };
        let mut roaming = Roaming::new(NetConfig::default(), Arc::new(MarkScanner), links, look);
        (roaming.every, roaming.gone_for) = (Duration::from_millis(20), Duration::from_millis(100));
        let task = roaming.start().await.unwrap();
        let follows = Self { reports, meter, there, stop, task };
        follows.sees(&[("default route", Sight::Blind), ("lo", Sight::Full)]).await;
        follows
    }

    /// Says that there are these interfaces now, with default routes.
    fn are(&self, names: &[&str]) {
        *self.there.lock().unwrap() = there(names);
    }

    /// Waits until this is stated.
    async fn sees(&self, expected: &[(&str, Sight)]) {
        let is_so = || {
            scopes(&self.meter)
                .iter()
                .map(|(name, sight)| (name.as_str(), *sight))
                .eq(expected.iter().copied())
        };
        let seen = async {
            while !is_so() {
                self.meter.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("{:?}", scopes(&self.meter)));
    }

    /// Returns how many packets came by on loopback.
    fn packets(&self) -> u64 {
        let wires = self.meter.health(0).wires;
        wires.iter().find(|wire| wire.interface == "lo".into()).map_or(0, |wire| wire.packets)
    }

    /// Has connections be made over loopback until more packets than so many are counted, and never fewer.
    async fn counts_more_than(&self, most: u64) -> u64 {
        let begun = Instant::now();
        loop {
            let counted = self.packets();
            assert!(counted >= most && begun.elapsed() < LIMIT, "{counted} of {most}");
            if counted > most {
                return counted;
            }
            let server = serve_once("127.0.0.1:0", b"");
            TcpStream::connect(server).unwrap().write_all(&client_hello("c2.evil.example")).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(LIMIT, self.task).await.expect("it stops in time").unwrap();
    }
}

fn there(names: &[&str]) -> There {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    There { all: Some(names.iter().cloned().collect()), routed: names }
}

#[test]
fn an_interface_that_is_gone_leaves_and_counters_and_numbers_of_flows_go_on() {
    in_namespace(|| {
        if make_pair() {
            running(gone());
        }
    });
}

async fn gone() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { days: 1, bytes: 16 << 20 };
    let records = Records::open(dir.path().to_owned(), limits, Arc::default()).unwrap();
    let mut follows = Follows::start(Some(records.clone())).await;
    let before = follows.counts_more_than(0).await;

    // Nobody is to wait for room for reports.
    let mut reports = std::mem::replace(&mut follows.reports, mpsc::channel(1).1);
    let reader = tokio::spawn(async move { while reports.recv().await.is_some() {} });
    follows.are(&["lo", "pair1"]);
    follows.sees(&[("lo", Sight::Full), ("pair1", Sight::Full)]).await;
    follows.counts_more_than(before).await;
    ip("link del pair0").unwrap();
    follows.are(&["lo"]);
    follows.sees(&[("default route", Sight::Blind), ("lo", Sight::Full)]).await;
    let begun = Instant::now();
    let wires = || follows.meter.health(0).wires.into_iter().map(|wire| wire.interface.to_string());
    // Its thread may say a last word.
    while !wires().eq(["lo"]) {
        assert!(begun.elapsed() < LIMIT, "{:?}", wires().collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    follows.stop().await;
    reader.abort();

    records.flush().await;
    let (since, until) = (Timestamp::UNIX_EPOCH, Timestamp::now());
    let query =
        RecordQuery::new(Sought::Domain("c2.evil.example".into()), (since, until), MOST_FOUND).unwrap();
    let found = records.search(query).await.unwrap().records;
    let flows: BTreeSet<_> = found.iter().map(|record| (record.ends.flow, record.ends.client)).collect();
    let numbers: BTreeSet<_> = flows.iter().map(|(flow, _)| flow).collect();
    assert!(numbers.len() >= 2 && numbers.len() == flows.len(), "{flows:?}");
}

async fn later() {
    let mut follows = Follows::start(None).await;

    follows.are(&["lo", "pair1"]);
    follows.sees(&[("lo", Sight::Full), ("pair1", Sight::Full)]).await;
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
        let Ok(report) = tokio::time::timeout(AGAIN, follows.reports.recv()).await else { continue };
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
    follows.stop().await;
}

#[tokio::test]
async fn of_an_interface_that_is_not_watched_any_more_no_record_is_missing_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Limits { days: 90, bytes: 1 << 30 };
    let records = Records::open(dir.path().to_owned(), bounds, Arc::default()).unwrap();
    let reports = mpsc::channel(1).0;
    let links =
        Links { records: Some(records.clone()), ..links(reports, Arc::default(), watch::channel(false).1) };
    let missing = async || {
        let now = Timestamp::now();
        let query = RecordQuery::new(Sought::Domain("a.example".into()), (now, now), 10).unwrap();
        let gaps = records.search(query).await.unwrap().gaps;
        gaps.into_iter().filter_map(|gap| gap.scope).map(|scope| scope.to_string()).collect::<Vec<_>>()
    };
    let seen = What::Tls(Box::new(Tls { sni: Some("a.example".into()), ..Tls::default() }));
    records.keep([&Record { at: Timestamp::now(), ends: eyes::ends(1, &made::facts()), what: seen }]);

    links.cover(coverage("tun0", Sight::Blind, Some(Reason::InterfaceAway)));
    assert_eq!(missing().await, ["tun0"]);
    links.forget("tun0");

    assert_eq!(missing().await, [""; 0]);
}

fn scopes(meter: &Meter) -> Vec<(String, Sight)> {
    meter.health(0).coverage.iter().map(|c| (c.scope.to_string(), c.sight)).collect()
}
