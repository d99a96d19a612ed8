//! A sensor against the real kernel, behind whom nobody takes what it reads.

use std::net::UdpSocket;

use khien_core::asset::{Coverage, Wire};
use khien_traffic::decode::Link;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    capture::{batch, ring::tests::in_namespace},
    health::Meter,
    story::Stories,
};

/// Packets of 60 kB: more than ring and queue hold, and few enough for what the kernel holds before them.
const SENT: u64 = 500;
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn what_is_lost_while_nobody_takes_it_is_counted_and_told_at_the_end_in_either_way() {
    for (way, sight, backend) in
        [(Way::Ring, Sight::Full, "af_packet"), (Way::Plain, Sight::Reduced, "packet_socket")]
    {
        in_namespace(move || {
            let (stop, shutdown) = watch::channel(false);
            let (reports, mut told) = mpsc::channel(8);
            let meter = Arc::<Meter>::default();
            let (mut inlets, batches) = batch::lanes(1);
            let mut taken = Vec::new();
            while let Some(batch) = inlets[0].borrow(0, Link::Ethernet, Duration::ZERO) {
                taken.push(batch);
            }
            let sensor = Sensor {
                place: 0,
                lane: 0,
                line: line(way),
                inlet: inlets.remove(0),
                marks: Arc::default(),
                links: links(reports, Arc::clone(&meter), shutdown),
            };
            sensor.start().blocking_recv().unwrap();
            let Coverage { sight: seen, backend: by, .. } = meter.health(0).coverage.remove(0);
            assert_eq!((seen, by.as_str()), (sight, backend));

            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..SENT {
                socket.send_to(&[b'x'; 60_000], socket.local_addr().unwrap()).unwrap();
            }
            // A busy machine's kernel drops what comes while the thread does not run; the thread has to see some, too.
            let of = |w: &Wire| (w.queue > 0).then(|| w.lost());
            let lost = until(|| meter.health(0).wires.first().and_then(of));
            stop.send(true).unwrap();

            let Some(Report::Blind { scope, cause, lost: told, .. }) = told.blocking_recv() else {
                panic!("nothing is told of {lost} lost packets")
            };
            let Reason::PacketsLost { kernel, queue, .. } = cause else { panic!("{cause:?}") };
            assert_eq!((scope, told), ("lo".into(), Some(kernel + queue)));
            assert!(queue > 0 && kernel + queue >= lost && kernel + queue <= SENT, "{kernel} {queue} {lost}");
            drop((batches, taken));
        });
    }
}

#[test]
fn one_thread_that_has_no_ring_is_enough_to_say_that_less_is_seen() {
    let (meter, line) = (Arc::<Meter>::default(), line(Way::Auto));
    let (_stop, shutdown) = watch::channel(false);
    let thread = |lane| Sensor {
        place: 0,
        lane,
        line: line.clone(),
        inlet: batch::lanes(1).0.remove(0),
        marks: Arc::default(),
        links: links(mpsc::channel(1).0, Arc::clone(&meter), shutdown.clone()),
    };
    let sight = || meter.health(0).coverage[0].sight;
    let (first, second) = (thread(0), thread(1));

    first.sees(None);
    assert_eq!(sight(), Sight::Full);
    second.sees(Some(Reason::PacketRingOff));
    assert_eq!(sight(), Sight::Reduced);
    first.sees(None);
    assert_eq!(sight(), Sight::Reduced, "the other one still has none");
    second.sees(None);
    assert_eq!(sight(), Sight::Full);
    first.is_blind(Reason::InterfaceDown);
    second.sees(None);
    assert_eq!(sight(), Sight::Blind, "the first one speaks for all");
}

fn line(way: Way) -> Line {
    Line {
        interface: "lo".to_owned(),
        is_promiscuous: false,
        cut: Arc::default(),
        group: None,
        way,
        less: Arc::default(),
        tally: Arc::default(),
        is_given_up: Arc::default(),
    }
}

fn links(reports: mpsc::Sender<Report>, meter: Arc<Meter>, shutdown: watch::Receiver<bool>) -> Links {
    Links {
        lists: watch::channel(Arc::default()).1,
        policy: watch::channel(None).1,
        pack: Arc::default(),
        reports,
        meter,
        records: None,
        packets: None,
        stories: Stories::default(),
        home: None,
        shutdown,
    }
}

fn until<T>(seen: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(Instant::now() < deadline, "nothing is seen");
        thread::yield_now();
    }
}
