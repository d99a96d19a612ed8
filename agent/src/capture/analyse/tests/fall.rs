//! Packets that make the thread that looks fail: it goes on, and the agent with it.

use super::*;
use crate::capture::fall::SCOPE;

#[test]
fn a_packet_that_fells_who_looks_is_told_and_what_comes_after_it_is_looked_at() {
    in_runtime(|mut rig| async move {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            poison(address);
            let (cause, lasts) = rig.blind().await;
            let Reason::LookingFailed { text, seconds: 0 } = cause else { panic!("{cause:?}") };
            assert!(text.to_string().contains("fells who looks"), "{text}");
            assert_eq!(lasts, 0);

            let server = serve_once(address, b"");
            TcpStream::connect(server).unwrap().write_all(MARK).unwrap();
            assert_eq!(rig.detection().await.flow.server, server);
        }
        assert_eq!(rig.meter.health(0).coverage.len(), 1, "it does not rest");
        rig.stop().await;
        assert!(rig.reports.try_recv().is_err(), "each is told once");
    });
}

#[test]
fn who_looks_rests_when_it_is_felled_again_and_again_and_is_blind_meanwhile() {
    in_runtime(|mut rig| async move {
        for rest in [0, 0, 60] {
            poison("127.0.0.1:0");
            let (cause, lasts) = rig.blind().await;
            let Reason::LookingFailed { seconds, .. } = cause else { panic!("{cause:?}") };
            assert_eq!((seconds, lasts), (rest, rest));
        }

        let is_rest = |c: &Coverage| c.scope == SCOPE.into() && c.sight == Sight::Blind;
        let stated = async {
            while !rig.meter.health(0).coverage.iter().any(is_rest) {
                rig.meter.changed().await;
            }
        };
        tokio::time::timeout(LIMIT, stated).await.expect("it is stated that nobody looks");
        // The agent stops all the same, and is not waited for.
        rig.stop().await;
    });
}

#[tokio::test]
async fn a_thread_that_ends_by_a_panic_leaves_every_interface_blind_and_the_task_goes_on() {
    let (stop, shutdown) = watch::channel(false);
    let meter = Arc::<Meter>::default();
    let links = links(mpsc::channel(4).0, Arc::clone(&meter), shutdown);
    let scopes = ["eth0", "eth1"].map(|name| (name.to_owned(), Arc::default()));
    let analyst = Analyst::new(scopes, (Arc::default(), None), Arc::new(MarkScanner), links);
    let (out, outlet) = mpsc::channel::<Seen>(1);
    drop(out);

    let task = tokio::spawn(analyst.run(outlet, thread::spawn(|| panic!("on purpose"))));

    let is_blind = |c: &Coverage| c.sight == Sight::Blind && c.reason == Some(Reason::AgentFailed);
    while meter.health(0).coverage.iter().filter(|c| is_blind(c)).count() < 2 {
        tokio::time::timeout(LIMIT, meter.changed()).await.expect("it is stated");
    }
    stop.send(true).unwrap();
    tokio::time::timeout(LIMIT, task).await.expect("it stops in time").expect("it does not panic");
}

/// Sends one such packet to somebody who is there, so that nothing comes back.
fn poison(address: &str) {
    let (to, from) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
    from.send_to(POISON, to.local_addr().unwrap()).unwrap();
}

impl Rig {
    /// Waits until it is told that something was not seen; returns why, and for how many seconds.
    async fn blind(&mut self) -> (Reason, u64) {
        let Report::Blind { scope, cause, from, until, lost: None } = self.report().await else {
            panic!("another report")
        };
        assert_eq!(scope, SCOPE.into());
        (cause, until.duration_since(from).as_secs().unsigned_abs())
    }
}
