//! The plain socket against the real kernel, in a network namespace that dies with its thread.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::capture::{
    filter::{Cut, TRUSTED},
    ring::tests::{in_namespace, ip, make_pair, send, switch_loopback},
};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn real_packets_of_loopback_are_read_once() {
    in_namespace(|| {
        for here in ["127.0.0.1:0", "[::1]:0"] {
            let mut plain = open("lo").unwrap();
            let (from, to) = (UdpSocket::bind(here).unwrap(), UdpSocket::bind(here).unwrap());
            for length in [1, 1_400, 60_000] {
                from.send_to(&vec![b'x'; length], to.local_addr().unwrap()).unwrap();
            }

            let headers = if here.starts_with('[') { 62 } else { 42 };
            let seen = gathered(&mut plain, 3, |f| (f.bytes.len(), f.length));

            let whole = |payload: u32| ((payload + headers) as usize, payload + headers);
            assert_eq!(seen, [whole(1), whole(1_400), whole(60_000)]);
            let counted = plain.counted().unwrap();
            assert!(counted.packets >= 3 && counted.drops == 0, "{counted:?}");
        }
    });
}

#[test]
fn every_packet_is_either_read_or_counted_as_dropped() {
    in_namespace(|| {
        let mut plain = open("lo").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..500 {
            socket.send_to(&[b'x'; 60_000], socket.local_addr().unwrap()).unwrap();
        }

        let mut read = 0;
        let mut counted = plain.counted().unwrap();
        let deadline = Instant::now() + LIMIT;
        // What the kernel still has in its hands is neither yet.
        while read + counted.drops < 500 && Instant::now() < deadline {
            while plain.read(|frame| read += u64::from(!frame.is_outgoing)) {}
            let more = plain.counted().unwrap();
            counted.packets += more.packets;
            counted.drops += more.drops;
        }

        assert!(counted.drops > 0 && read > 0, "{counted:?}, {read} read");
        assert_eq!(read + counted.drops, counted.packets);
    });
}

#[test]
fn a_packet_comes_with_its_time_its_length_and_the_tag_that_the_kernel_took_out() {
    in_namespace(|| {
        if !make_pair() {
            return;
        }
        let mut plain = open("pair1").unwrap();
        let tagged = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[0x81, 0, 0x60, 20, 8, 0], &[0x45; 46]].concat();
        let untagged = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 0], &[0x45; 50]].concat();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for frame in [&tagged, &untagged] {
            send("pair0", frame);
        }

        let seen = gathered(&mut plain, 2, |f| {
            let at = Duration::new(f.seconds.into(), f.nanos);
            assert!(at + Duration::from_secs(1) > before && at < before + LIMIT, "{at:?} {before:?}");
            (f.vlan, f.length, f.bytes.len())
        });

        assert_eq!(seen, [(Some(20), 60, 60), (None, 64, 64)]);
    });
}

#[test]
fn of_what_is_trusted_only_the_length_comes_up() {
    in_namespace(|| {
        let (trusted, other) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let trust = trusted.local_addr().unwrap().to_string().parse().unwrap();
        let cut = Cut { own: Vec::new(), trusted: vec![trust] };
        let mut plain = Plain::open(&Wanted::all_of("lo", &cut)).unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        for to in [&trusted, &other] {
            from.send_to(&[b'x'; 1000], to.local_addr().unwrap()).unwrap();
        }

        let seen = gathered(&mut plain, 2, |f| (f.is_cut(), f.bytes.len(), f.length));

        assert_eq!(seen, [(true, TRUSTED as usize, 1042), (false, 1042, 1042)]);
    });
}

#[test]
fn an_interface_that_goes_down_is_noticed_and_what_came_before_is_read() {
    in_namespace(|| {
        let mut plain = open("lo").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"last", socket.local_addr().unwrap()).unwrap();
        switch_loopback(false);

        let mut read = 0;
        let deadline = Instant::now() + LIMIT;
        let error = loop {
            assert!(Instant::now() < deadline, "nothing is noticed, {read} read");
            match plain.wait(Duration::from_millis(50)) {
                Err(error) => break error,
                Ok(()) => plain.read(|frame| read += u32::from(!frame.is_outgoing)),
            };
        };
        plain.read(|frame| read += u32::from(!frame.is_outgoing));

        assert_eq!((error.raw_os_error(), read), (Some(libc::ENETDOWN), 1));
        assert_eq!(open("lo").unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        switch_loopback(true);
        assert!(open("lo").is_ok());
    });
}

#[test]
fn it_takes_packets_for_others_only_if_that_is_wanted() {
    in_namespace(|| {
        if !make_pair() {
            return;
        }
        let (cut, state) = (Cut::default(), || ip("-details link show pair1").unwrap());
        let quiet = open("pair1").unwrap();
        assert!(state().contains("promiscuity 0"), "{}", state());

        let all = Plain::open(&Wanted { is_promiscuous: true, ..Wanted::all_of("pair1", &cut) }).unwrap();
        assert!(state().contains("promiscuity 1"), "{}", state());
        drop((quiet, all));
        assert!(state().contains("promiscuity 0"), "{}", state());
    });
}

#[test]
fn what_is_known_of_a_packet_is_read_out_of_control_messages() {
    let message = |level: i32, kind: i32, data: &[u8]| {
        let length = size_of::<libc::cmsghdr>() + data.len();
        let mut out = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data].concat();
        out.resize(length.next_multiple_of(ALIGN), 0);
        out
    };
    let time = [7usize.to_ne_bytes(), 9usize.to_ne_bytes()].concat();
    let mut aux =
        [(libc::TP_STATUS_VLAN_VALID | 1).to_ne_bytes(), 1_500u32.to_ne_bytes(), [0; 4], [0; 4]].concat();
    aux.extend(0x6014u16.to_ne_bytes());
    aux.extend(0x8100u16.to_ne_bytes());
    let all = [
        message(99, 99, b"odd"),
        message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time),
        message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &aux),
    ]
    .concat();

    let known = Known::read(&all);

    assert_eq!(known, Known { at: Some(Duration::new(7, 9)), length: Some(1_500), vlan: Some(20) });
    aux[..4].copy_from_slice(&1u32.to_ne_bytes());
    assert_eq!(Known::read(&message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &aux)).vlan, None);
}

proptest! {
    #[test]
    fn any_control_messages_are_read(words in prop::collection::vec(0u32..300, 0..40)) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let known = Known::read(&bytes);
        prop_assert!(known.vlan.is_none_or(|vlan| vlan <= VLAN_ID));
    }
}

fn open(interface: &str) -> io::Result<Plain> {
    Plain::open(&Wanted::all_of(interface, &Cut::default()))
}

/// Reads so many packets, each packet of loopback once.
fn gathered<T>(plain: &mut Plain, count: usize, what: impl Fn(Frame<'_>) -> T) -> Vec<T> {
    let mut seen = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while seen.len() < count {
        assert!(Instant::now() < deadline, "saw only {} of {count}", seen.len());
        plain.wait(Duration::from_millis(30)).unwrap();
        while plain.read(|frame| seen.extend((!frame.is_outgoing).then(|| what(frame)))) {}
    }
    seen
}
