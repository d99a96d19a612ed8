//! The ring against the real kernel, in a network namespace that dies with its thread.

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::capture::socket::{checked, named};
use khien_traffic::decode::{Packet, packet};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn real_packets_of_loopback_are_seen_once() {
    in_namespace(|| {
        for (here, there) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
            let mut ring = open("lo").unwrap();
            let (from, to) = (UdpSocket::bind(here).unwrap(), UdpSocket::bind(there).unwrap());
            let expected = (from.local_addr().unwrap(), to.local_addr().unwrap());
            for text in ["one", "two", "end"] {
                from.send_to(text.as_bytes(), to.local_addr().unwrap()).unwrap();
            }

            let mut seen = Vec::new();
            let deadline = Instant::now() + LIMIT;
            while !seen.iter().any(|s| s == b"end") {
                assert!(Instant::now() < deadline, "saw only {seen:?}");
                ring.wait(Duration::from_millis(50)).unwrap();
                while ring.read(|frame| seen.extend(payload(frame, expected))) {}
            }

            assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), b"end".to_vec()]);
            let counted = ring.counted().unwrap();
            assert!(counted.packets >= 3 && counted.drops == 0, "{counted:?}");
        }
    });
}

#[test]
fn packets_that_find_the_ring_full_are_counted() {
    in_namespace(|| {
        let ring = open("lo").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();

        for _ in 0..BLOCKS * BLOCK / 60_000 * 2 {
            socket.send_to(&[b'x'; 60_000], to).unwrap();
        }

        let counted = ring.counted().unwrap();
        assert!(counted.drops > 0, "{counted:?}");
    });
}

#[test]
fn an_interface_that_goes_down_is_noticed() {
    in_namespace(|| {
        let ring = open("lo").unwrap();
        switch_loopback(false);

        assert_eq!(ring.wait(LIMIT).unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        assert_eq!(open("lo").unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        switch_loopback(true);
        assert!(open("lo").is_ok());
    });
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    in_namespace(|| {
        for name in ["nosuch0", "", "a-name-that-is-far-too-long", "a\0b"] {
            assert!(open(name).is_err(), "{name:?}");
        }
    });
}

#[test]
fn of_what_is_trusted_only_the_length_comes_up() {
    in_namespace(|| {
        let trusted = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let trust = trusted.local_addr().unwrap().to_string().parse().unwrap();
        let cut = Cut { own: Vec::new(), trusted: vec![trust] };
        let mut ring = Ring::open(&Wanted::all_of("lo", &cut)).unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        for to in [&trusted, &other] {
            from.send_to(&[b'x'; 1000], to.local_addr().unwrap()).unwrap();
        }

        let seen = gathered(&mut [&mut ring], 2, |f| (f.is_cut(), f.bytes.len(), f.length));

        assert_eq!(seen, [(true, TRUSTED as usize, 1042), (false, 1042, 1042)]);
    });
}

#[test]
fn rings_of_a_group_share_the_packets_of_an_interface() {
    in_namespace(|| {
        let (cut, group) = (Cut::default(), Group::default());
        let open = || Ring::open(&Wanted { group: Some(&group), ..Wanted::all_of("lo", &cut) }).unwrap();
        let (mut one, mut other) = (open(), open());
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            let from = UdpSocket::bind("127.0.0.1:0").unwrap();
            from.send_to(b"x", to.local_addr().unwrap()).unwrap();
        }

        let seen = gathered(&mut [&mut one, &mut other], 200, |f| f.length);

        assert_eq!(seen.len(), 200);
        let shares = [one.counted().unwrap().packets, other.counted().unwrap().packets];
        assert!(shares.iter().all(|share| *share > 20), "{shares:?}");
    });
}

#[test]
fn a_frame_comes_with_its_time_its_length_and_the_tag_that_the_kernel_took_out() {
    in_namespace(|| {
        if !make_pair() {
            return;
        }
        let mut ring = open("pair1").unwrap();
        let tagged = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[0x81, 0, 0x60, 20, 8, 0], &[0x45; 46]].concat();
        let plain = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 0], &[0x45; 50]].concat();
        let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        for frame in [&tagged, &plain] {
            send("pair0", frame);
        }

        let seen = gathered(&mut [&mut ring], 2, |f| {
            let at = Duration::new(f.seconds.into(), f.nanos);
            assert!(at + Duration::from_secs(1) > before && at < before + LIMIT, "{at:?} {before:?}");
            (f.vlan, f.length, f.bytes.len())
        });

        assert_eq!(seen, [(Some(20), 60, 60), (None, 64, 64)]);
    });
}

#[test]
fn an_interface_is_promiscuous_only_if_that_is_wanted_and_as_long_as_it_is_looked_at() {
    in_namespace(|| {
        if !make_pair() {
            return;
        }
        let state = || ip("-details link show pair1").unwrap();
        let (cut, is_promiscuous) = (Cut::default(), true);
        let plain = open("pair1").unwrap();
        assert!(state().contains("promiscuity 0"), "{}", state());

        let ring = Ring::open(&Wanted { is_promiscuous, ..Wanted::all_of("pair1", &cut) }).unwrap();
        assert!(state().contains("promiscuity 1"), "{}", state());

        drop((ring, plain));
        assert!(state().contains("promiscuity 0"), "{}", state());
    });
}

proptest! {
    #[test]
    fn a_block_of_any_bytes_is_walked(words in prop::collection::vec(0u32..600, 0..200)) {
        let block: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        frames(&block, &mut |frame| assert!(frame.bytes.len() <= block.len()));
    }
}

/// Reads so many frames out of rings, each packet of loopback once.
fn gathered<T>(rings: &mut [&mut Ring], count: usize, what: impl Fn(Frame<'_>) -> T) -> Vec<T> {
    let mut seen = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while seen.len() < count {
        assert!(Instant::now() < deadline, "saw only {} of {count}", seen.len());
        for ring in &mut *rings {
            ring.wait(Duration::from_millis(30)).unwrap();
            while ring.read(|frame| seen.extend((!frame.is_outgoing).then(|| what(frame)))) {}
        }
    }
    seen
}

/// Makes two interfaces of which each receives what the other one sends; `false` if the machine has no means for it.
pub(in crate::capture) fn make_pair() -> bool {
    let made = ip("link add pair0 type veth peer name pair1");
    if made.is_none() {
        println!("cannot run here: no pair of interfaces; needs `ip` and veth");
        return false;
    }
    for name in ["pair0", "pair1"] {
        // Without an address neither says hello when it comes up.
        ip(&format!("link set {name} addrgenmode none arp off up")).unwrap();
    }
    // The kernel drops what is sent until it has seen that both ends are up, which it does a moment later.
    let is_ready = |name| {
        ip(&format!("link show {name}")).is_some_and(|s| s.contains("state UP") && !s.contains("qdisc noop "))
    };
    let deadline = Instant::now() + LIMIT;
    while !["pair0", "pair1"].into_iter().all(is_ready) {
        assert!(Instant::now() < deadline, "{:?}", ip("link show pair0"));
    }
    true
}

pub(in crate::capture) fn ip(words: &str) -> Option<String> {
    let done = std::process::Command::new("ip").args(words.split(' ')).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Sends a frame as it is.
pub(in crate::capture) fn send(interface: &str, frame: &[u8]) {
    let all = pnet::datalink::interfaces();
    let interface = all.iter().find(|i| i.name == interface).unwrap();
    let opened = pnet::datalink::channel(interface, pnet::datalink::Config::default()).unwrap();
    let pnet::datalink::Channel::Ethernet(mut sender, _) = opened else { panic!("another channel") };
    sender.send_to(frame, None).unwrap().unwrap();
}

fn open(interface: &str) -> io::Result<Ring> {
    Ok(Ring::open(&Wanted::all_of(interface, &Cut::default()))?)
}

/// Returns what a datagram between two ends carries, unless it is the copy that goes out.
fn payload(frame: Frame<'_>, ends: (SocketAddr, SocketAddr)) -> Option<Vec<u8>> {
    match packet(Link::Ethernet, frame.bytes) {
        Ok(Packet::Udp(d)) if !frame.is_outgoing && (d.source, d.destination) == ends => {
            Some(d.payload.to_vec())
        }
        _ => None,
    }
}

/// Runs a test on a thread of its own with a network of its own, where only loopback is, and up. The network is gone
/// when the thread is. Says why if the machine does not allow it.
pub(in crate::capture) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        // SAFETY: takes no pointers; only this thread leaves the network of the test program.
        if let Err(e) = checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }) {
            println!("cannot run here: no network namespace of its own ({e}); needs root");
            return;
        }
        switch_loopback(true);
        if let Err(e) = open("lo") {
            println!("cannot run here: no packet ring ({e}); needs CAP_NET_RAW");
            return;
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Switches the loopback interface of this thread's network on or off.
pub(in crate::capture) fn switch_loopback(is_up: bool) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut ask = named("lo").unwrap();
    ask.ifr_ifru.ifru_flags = if is_up { (libc::IFF_UP | libc::IFF_RUNNING) as i16 } else { 0 };
    // SAFETY: `ask` is a whole ifreq with a zero-ended name and the flags filled in.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut ask) }).unwrap();
}
