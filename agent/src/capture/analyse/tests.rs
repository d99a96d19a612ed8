//! The whole way from real packets to reports, in a network of its own, with a scanner that looks for one mark.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::atomic::AtomicU64,
    thread,
};

use khien_core::{
    asset::{Coverage, Sight},
    bundle::{DomainIndicator, Pack},
    event::{Application, EXCERPT_SIDE},
};
use khien_rules::scan::Hit;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    capture::{
        ring::tests::{in_namespace, switch_loopback},
        start,
    },
    decode::sample::{client_hello, dns_query},
    health::Meter,
};

const MARK: &[u8] = b"khien-test-mark";
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

            let found = [rig.detection().await, rig.detection().await];

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

#[test]
fn a_label_that_no_name_can_have_does_not_hide_a_listed_name() {
    let domains = Domains::new(&pack());

    for (name, is_listed) in [
        (&b"\xff\x00.c2.evil.example"[..], true),
        (b"two words.C2.EVIL.example.", true),
        (b"evil.example", false),
        (b"", false),
    ] {
        assert_eq!(listed(&domains, &Untrusted::new(name)).is_some(), is_listed, "{name:?}");
    }
}

/// A running capture of loopback.
struct Rig {
    reports: mpsc::Receiver<Report>,
    meter: Arc<Meter>,
    stop: watch::Sender<bool>,
    task: Option<tokio::task::JoinHandle<()>>,
    hub: Option<TcpListener>,
}

impl Rig {
    async fn start(with_hub: bool) -> Self {
        let hub = with_hub.then(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let (sender, reports) = mpsc::channel(64);
        let (stop, shutdown) = watch::channel(false);
        let meter = Arc::new(Meter::default());
        let links = Links {
            domains: watch::channel(Arc::new(Domains::new(&pack()))).1,
            pack: Arc::new(AtomicU64::new(7)),
            reports: sender,
            meter: meter.clone(),
            shutdown,
        };
        let config = NetConfig {
            interfaces: vec!["lo".to_owned()],
            hub: hub.iter().map(|h| h.local_addr().unwrap()).collect(),
        };
        let task = start(config, Arc::new(MarkScanner), links).await;
        Self { reports, meter, stop, task: Some(task), hub }
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

fn pack() -> Pack {
    let domain = DomainIndicator { domain: "c2.evil.example".to_owned(), rule: "test.list".parse().unwrap() };
    Pack {
        version: 7,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: vec![domain],
        sets: Vec::new(),
        policy: None,
    }
}

fn in_runtime<F: Future<Output = ()>>(test: impl FnOnce(Rig) -> F + Send + 'static) {
    in_runtime_with(false, test);
}

/// Runs a test on one thread with a network and a runtime of its own; threads that it starts share the network.
fn in_runtime_with<F: Future<Output = ()>>(with_hub: bool, test: impl FnOnce(Rig) -> F + Send + 'static) {
    in_namespace(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Rig::start(with_hub).await).await });
    });
}
