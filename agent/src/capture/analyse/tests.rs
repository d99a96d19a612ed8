//! The whole way from real packets to reports, in a network of its own, with a scanner that looks for one mark.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::atomic::AtomicU64,
    thread,
};

use khien_core::{
    bundle::{DomainIndicator, NetworkLists, Pack},
    event::{Application, Did, EXCERPT_SIDE},
    reason::Reason,
};
use khien_rules::{indicator::network::Network, scan::Hit};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    capture::{
        NetConfig,
        ring::tests::{in_namespace, switch_loopback},
        start,
    },
    health::Meter,
    story::Stories,
};
use made::job_of;

mod evasion;
mod fall;
pub(in crate::capture) mod made;
mod owners;
mod plain;
mod roam;
mod unkept;

const MARK: &[u8] = b"khien-test-mark";
/// A frame that ends with this makes the thread that looks fail; only in tests.
pub(in crate::capture) const POISON: &[u8] = b"khien-test-poison";
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn http_on_the_wire_is_reported_once_each_way_with_its_url() {
    in_runtime(|mut rig| async move {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = serve_once(address, b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nkhien-test-mark");
            let client = thread::spawn(move || {
                let mut stream = TcpStream::connect(server).unwrap();
                stream.set_nodelay(true).unwrap();
                let request =
                    b"POST /up HTTP/1.1\r\nHost: web.example\r\nContent-Length: 15\r\n\r\nkhien-test-mark";
                // Small writes without delay are small segments: the mark is split over some of them.
                request.chunks(11).for_each(|part| stream.write_all(part).unwrap());
                stream.read_to_end(&mut Vec::new()).unwrap();
                stream.local_addr().unwrap()
            });

            let mut found = [rig.detection().await, rig.detection().await];
            // Both are scanned at the same time.
            found.sort_by_key(|found| found.flow.direction as u8);

            let client = client.join().unwrap();
            for (flow, direction) in found.iter().zip([Direction::ToServer, Direction::ToClient]) {
                let facts = &flow.flow;
                assert_eq!((facts.client, facts.server, facts.direction), (client, server, direction));
                assert_eq!(facts.url, Some(Untrusted::from("http://web.example/up")));
                assert_eq!(
                    (facts.application, &facts.interface),
                    (Application::Http, &Untrusted::from("lo"))
                );
                assert!(flow.excerpts[0].matched.raw() == MARK && flow.excerpts[0].offset > 20);
            }
        }
        rig.stop().await;
    });
}

#[test]
fn listed_names_in_dns_tls_and_http_are_reported() {
    in_runtime(|mut rig| async move {
        for address in ["127.0.0.1", "::1"] {
            let Ok(resolver) = UdpSocket::bind((address, 53)) else {
                panic!("port 53 of an empty network is free")
            };
            let asker = UdpSocket::bind((address, 0)).unwrap();
            asker.send_to(&dns_query("a.C2.evil.example"), resolver.local_addr().unwrap()).unwrap();
            let found = rig.detection().await.flow;
            assert_eq!(found.name, Some(Untrusted::from("a.C2.evil.example")));
            assert_eq!((found.application, found.client), (Application::Dns, asker.local_addr().unwrap()));

            let server = serve_once(&format!("{}:0", bracketed(address)), b"");
            TcpStream::connect(server).unwrap().write_all(&client_hello("c2.evil.example")).unwrap();
            let found = rig.detection().await.flow;
            assert_eq!((found.application, found.server), (Application::Tls, server));

            let server = serve_once(&format!("{}:0", bracketed(address)), b"");
            TcpStream::connect(server)
                .unwrap()
                .write_all(b"GET / HTTP/1.1\r\nHost: c2.evil.example\r\n\r\n")
                .unwrap();
            let found = rig.detection().await.flow;
            assert_eq!(
                (found.application, found.name),
                (Application::Http, Some(Untrusted::from("c2.evil.example")))
            );
        }
        rig.stop().await;
    });
}

#[test]
fn the_process_that_opened_a_flow_is_named_and_its_story_tells_that_it_connected() {
    in_runtime(|mut rig| async move {
        let server = serve_once("127.0.0.1:0", b"");
        let mut stream = TcpStream::connect(server).unwrap();
        stream.write_all(&client_hello("c2.evil.example")).unwrap();

        let flow = rig.detection().await;

        assert_eq!(flow.flow.process.as_ref().unwrap().pid, std::process::id());
        let (rule, at) = ("test.list".parse().unwrap(), Timestamp::now());
        let found = Detection { rule, at, pack: 7, subject: Subject::Flow(flow) };
        let mut report = Report::Detection(Box::new(found));
        rig.stories.tell(&mut report);
        let Report::Detection(told) = report else { unreachable!("it is one") };
        let Subject::Flow(FlowSubject { flow, .. }) = told.subject else { unreachable!("it is one") };
        let name = Some("c2.evil.example".into());
        assert_eq!(flow.process.unwrap().acts[0].did, Did::connected(server, name.as_ref()));
        rig.stop().await;
    });
}

#[test]
fn an_interface_that_was_down_is_blind_and_comes_back() {
    in_runtime(|mut rig| async move {
        assert_eq!(rig.coverage().sight, Sight::Full);

        switch_loopback(false);
        rig.wait_for(|c| c.sight == Sight::Blind).await;
        switch_loopback(true);
        rig.wait_for(|c| c.sight == Sight::Full).await;

        let Report::Blind { scope, .. } = rig.report().await else { panic!() };
        assert_eq!(scope, Untrusted::from("lo"));
        rig.stop().await;
    });
}

#[test]
fn the_agents_own_connection_is_not_looked_at() {
    in_runtime_with(true, |mut rig| async move {
        let own = rig.hub.take().unwrap();
        let hub = own.local_addr().unwrap();
        let quiet = thread::spawn(move || TcpStream::connect(hub).unwrap().write_all(MARK).unwrap());
        own.accept().unwrap().0.read_to_end(&mut Vec::new()).unwrap();
        quiet.join().unwrap();
        let server = serve_once("127.0.0.1:0", b"");
        TcpStream::connect(server).unwrap().write_all(MARK).unwrap();

        assert_eq!(rig.detection().await.flow.server, server);

        rig.stop().await;
        assert!(rig.reports.try_recv().is_err());
    });
}

#[tokio::test]
async fn a_scan_that_panics_gives_its_room_back_and_is_counted_as_failed() {
    let (tally, waiting) = (Arc::<Tally>::default(), Arc::<Waiting>::default());
    let (reports, _told) = mpsc::channel(4);
    let links = links(reports, Arc::default(), watch::channel(false).1);
    let scopes = [("lo".to_owned(), Arc::clone(&tally))];
    let mut analyst = Analyst::new(scopes, (Arc::clone(&waiting), None), Arc::new(Panics), links);
    assert!(waiting.room(false).enter(MARK.len()));

    analyst.take(Seen { jobs: vec![job_of(1)], ..Seen::default() }).await;
    let ended = analyst.scans.join_next().await.unwrap().unwrap();
    analyst.scanned(ended).await;

    assert_eq!(tally.wire("lo", false).failed, 1);
    assert!(waiting.is_empty());
}

#[tokio::test]
async fn what_waits_for_a_scan_when_the_agent_stops_is_told_as_not_scanned() {
    let (stop, shutdown) = watch::channel(false);
    let (reports, mut told) = mpsc::channel(16);
    let tally = Arc::<Tally>::default();
    let scopes = [("lo".to_owned(), Arc::clone(&tally))];
    let links = links(reports, Arc::default(), shutdown);
    let analyst = Analyst::new(scopes, (Arc::default(), None), Arc::new(Never), links);
    let (out, outlet) = mpsc::channel(4);
    let jobs = |count| Seen { jobs: (0..count).map(|_| job_of(1)).collect(), ..Seen::default() };
    out.send(jobs(MAX_SCANS + 6)).await.unwrap();
    let task = tokio::spawn(analyst.run(outlet, thread::spawn(|| ())));
    while out.capacity() < out.max_capacity() {
        tokio::task::yield_now().await;
    }

    // Some are scanned, some wait, and some are still on their way.
    stop.send(true).unwrap();
    out.send(jobs(3)).await.unwrap();
    drop(out);
    task.await.unwrap();

    let all = MAX_SCANS as u64 + 9;
    let Some(Report::Blind { scope, cause, lost, .. }) = told.recv().await else { panic!("not told") };
    let expected = Reason::PacketsLost { kernel: 0, queue: 0, busy: 0, failed: all, evicted: 0, unowned: 0 };
    assert_eq!((scope, cause, lost), ("lo".into(), expected, Some(all)));
    assert_eq!((tally.wire("lo", false).failed, told.recv().await), (all, None));
}

#[tokio::test]
async fn what_is_lost_of_no_interface_counts_for_the_first() {
    let tallies = [Arc::<Tally>::default(), Arc::default()];
    let scopes = ["eth1", "eth0"].map(str::to_owned).into_iter().zip(tallies.clone());
    let links = links(mpsc::channel(4).0, Arc::default(), watch::channel(false).1);
    let mut analyst = Analyst::new(scopes, (Arc::default(), None), Arc::new(MarkScanner), links);

    let lost = vec![(Untrusted::default(), Cause::Busy, 2), ("eth0".into(), Cause::Busy, 3)];
    analyst.take(Seen { lost, ..Seen::default() }).await;

    assert_eq!(tallies.map(|tally| tally.wire("", false).busy), [2, 3]);
}

#[tokio::test]
async fn a_scan_that_goes_on_when_the_agent_stops_is_waited_for_and_none_is_begun() {
    let (stop, shutdown) = watch::channel(false);
    let (reports, mut told) = mpsc::channel(16);
    let tally = Arc::<Tally>::default();
    let scopes = [("lo".to_owned(), Arc::clone(&tally))];
    let links = links(reports, Arc::default(), shutdown);
    let mut analyst = Analyst::new(scopes, (Arc::default(), None), Arc::new(MarkScanner), links);
    let (out, outlet) = mpsc::channel(4);

    analyst.take(Seen { jobs: vec![job_of(1)], ..Seen::default() }).await;
    stop.send(true).unwrap();
    out.send(Seen { jobs: vec![job_of(1), job_of(1)], ..Seen::default() }).await.unwrap();
    drop(out);
    analyst.last(outlet).await;

    assert!(matches!(told.recv().await, Some(Report::Detection(_))));
    assert!(matches!(told.recv().await, Some(Report::Blind { lost: Some(2), .. })));
    assert_eq!((tally.wire("lo", false).failed, told.recv().await), (2, None));
}

/// Never comes to an end.
struct Never;

impl StreamScanner for Never {
    async fn scan(&self, _: Vec<u8>) -> Scanned {
        std::future::pending().await
    }

    async fn scan_file(&self, _: Vec<u8>, _: Untrusted) -> (Option<Sha256>, Scanned) {
        std::future::pending().await
    }
}

/// Fails as no scanner should.
struct Panics;

impl StreamScanner for Panics {
    async fn scan(&self, _: Vec<u8>) -> Scanned {
        panic!("on purpose")
    }

    async fn scan_file(&self, _: Vec<u8>, _: Untrusted) -> (Option<Sha256>, Scanned) {
        panic!("on purpose")
    }
}

fn links(reports: mpsc::Sender<Report>, meter: Arc<Meter>, shutdown: watch::Receiver<bool>) -> Links {
    Links {
        lists: watch::channel(Arc::new(Network::of(&pack(), Timestamp::now()))).1,
        policy: watch::channel(None).1,
        pack: Arc::new(AtomicU64::new(7)),
        reports,
        meter,
        records: None,
        packets: None,
        stories: Stories::default(),
        home: None,
        shutdown,
    }
}

/// A running capture of loopback.
struct Rig {
    reports: mpsc::Receiver<Report>,
    meter: Arc<Meter>,
    stories: Stories,
    stop: watch::Sender<bool>,
    task: Option<tokio::task::JoinHandle<()>>,
    hub: Option<TcpListener>,
}

impl Rig {
    async fn start(with_hub: bool) -> Self {
        let hub = with_hub.then(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let config = NetConfig {
            interfaces: vec!["lo".to_owned()],
            hub: hub.iter().map(|h| h.local_addr().unwrap()).collect(),
            ..NetConfig::default()
        };
        Self { hub, ..Self::of(config).await }
    }

    /// Starts what a configuration says.
    async fn of(config: NetConfig) -> Self {
        let (sender, reports) = mpsc::channel(64);
        let (stop, shutdown) = watch::channel(false);
        let meter = Arc::new(Meter::default());
        let links = links(sender, meter.clone(), shutdown);
        let stories = links.stories.clone();
        let task = start(config, Arc::new(MarkScanner), links).await.unwrap();
        Self { reports, meter, stories, stop, task: Some(task), hub: None }
    }

    async fn report(&mut self) -> Report {
        tokio::time::timeout(LIMIT, self.reports.recv()).await.expect("a report in time").unwrap()
    }

    async fn detection(&mut self) -> FlowSubject {
        let Report::Detection(found) = self.report().await else { panic!("another report") };
        let Detection { pack: 7, subject: Subject::Flow(flow), .. } = *found else { panic!("{found:?}") };
        flow
    }

    fn coverage(&self) -> Coverage {
        self.meter.health(0).coverage[0].clone()
    }

    async fn wait_for(&self, holds: impl Fn(&Coverage) -> bool) {
        let done = async {
            while !holds(&self.coverage()) {
                self.meter.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, done).await.unwrap_or_else(|_| panic!("{:?}", self.coverage()));
    }

    async fn stop(&mut self) {
        self.stop.send(true).unwrap();
        let task = self.task.take().unwrap();
        tokio::time::timeout(LIMIT, task).await.expect("it stops in time").unwrap();
    }
}

/// Finds the mark.
struct MarkScanner;

impl StreamScanner for MarkScanner {
    async fn scan_file(&self, bytes: Vec<u8>, _: Untrusted) -> (Option<Sha256>, Scanned) {
        (Some(Sha256::of(&bytes)), self.scan(bytes).await)
    }

    async fn scan(&self, bytes: Vec<u8>) -> Scanned {
        let Some(at) = bytes.windows(MARK.len()).position(|w| w == MARK) else {
            return Scanned { outcome: ScanOutcome::Clean, hits: Vec::new() };
        };
        let excerpt = Excerpt {
            offset: at as u64,
            before: Untrusted::cut(&bytes[..at], EXCERPT_SIDE),
            matched: Untrusted::new(MARK),
            after: Untrusted::default(),
        };
        let hit =
            Hit { rule: "test.mark".parse().unwrap(), excerpts: vec![excerpt], inside: Default::default() };
        Scanned { outcome: ScanOutcome::Matched, hits: vec![hit] }
    }
}

/// Accepts one connection, reads what comes at first, answers and closes.
fn serve_once(address: &str, answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let here = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 512];
        while !request.ends_with(MARK) {
            match stream.read(&mut part).unwrap() {
                0 => break,
                n => request.extend_from_slice(&part[..n]),
            }
        }
        stream.write_all(answer).unwrap();
    });
    here
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// A DNS query for an address.
pub(in crate::capture) fn dns_query(name: &str) -> Vec<u8> {
    let mut out = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    out
}

/// A TLS record with a ClientHello for a name.
fn client_hello(name: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &sized(name.as_bytes())].concat();
    let sni = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let grease = [0x0a, 0x0a, 0, 1, 0];
    let extensions = sized(&[&grease[..], &sni].concat());
    let body = [&[3, 3][..], &[9; 32], &[0], &sized(&[0x13, 0x01]), &[1, 0], &extensions].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

pub(in crate::capture) fn pack() -> Pack {
    let domain = DomainIndicator { domain: "c2.evil.example".to_owned(), rule: "test.list".parse().unwrap() };
    Pack {
        version: 7,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: vec![domain],
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    }
}

fn in_runtime<F: Future<Output = ()>>(test: impl FnOnce(Rig) -> F + Send + 'static) {
    in_runtime_with(false, test);
}

/// Runs a test on one thread with a network and a runtime of its own; threads that it starts share the network.
fn in_runtime_with<F: Future<Output = ()>>(with_hub: bool, test: impl FnOnce(Rig) -> F + Send + 'static) {
    in_namespace(move || running(async { test(Rig::start(with_hub).await).await }));
}

/// Runs a test on this thread alone.
fn running(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}
