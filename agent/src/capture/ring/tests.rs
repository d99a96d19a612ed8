//! The ring against the real kernel, in a network namespace that dies with its thread.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::decode::{Packet, packet};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn real_packets_of_loopback_are_seen_once() {
    in_namespace(|| {
        for (here, there) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
            let mut ring = Ring::open("lo").unwrap();
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
        let ring = Ring::open("lo").unwrap();
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
        let ring = Ring::open("lo").unwrap();
        switch_loopback(false);

        assert_eq!(ring.wait(LIMIT).unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        assert_eq!(Ring::open("lo").unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        switch_loopback(true);
        assert!(Ring::open("lo").is_ok());
    });
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    in_namespace(|| {
        for name in ["nosuch0", "", "a-name-that-is-far-too-long", "a\0b"] {
            assert!(Ring::open(name).is_err(), "{name:?}");
        }
    });
}

proptest! {
    #[test]
    fn a_block_of_any_bytes_is_walked(words in prop::collection::vec(0u32..600, 0..200)) {
        let block: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        frames(&block, &mut |frame| assert!(frame.bytes.len() <= block.len()));
    }
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
        if let Err(e) = Ring::open("lo") {
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
