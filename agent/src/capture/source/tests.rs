//! Which way is taken, on a kernel that is made to refuse what others do not have.

use std::{collections::BTreeMap, net::UdpSocket};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::*;
use crate::capture::{filter::Cut, ring::tests::in_namespace};

/// A call, and the option of packet sockets for which it is refused.
type Lacks = (libc::c_long, libc::c_int);

const NO_RING: Lacks = (libc::SYS_setsockopt, libc::PACKET_RX_RING);
const NO_LENGTHS: Lacks = (libc::SYS_setsockopt, libc::PACKET_AUXDATA);
const NO_COUNTS: Lacks = (libc::SYS_getsockopt, libc::PACKET_STATISTICS);

#[test]
fn where_there_is_a_ring_it_is_taken_unless_a_plain_socket_is_wanted() {
    in_namespace(|| {
        assert!(matches!(open(Way::Auto).unwrap(), (Source::Ring(_), None)));
        assert!(matches!(open(Way::Ring).unwrap(), (Source::Ring(_), None)));
        assert!(matches!(open(Way::Plain).unwrap(), (Source::Plain(_), Some(Reason::PacketRingOff))));
    });
}

#[test]
fn where_the_kernel_makes_no_ring_a_plain_socket_is_opened_and_says_why() {
    in_namespace(|| {
        lack(&[NO_RING]);

        let (source, less) = open(Way::Auto).unwrap();

        let Some(Reason::NoPacketRing { error }) = less else { panic!("{less:?}") };
        assert_eq!(error, io::Error::from_raw_os_error(libc::ENOPROTOOPT).into());
        assert_eq!(lengths(source, 100), [142]);
        assert_eq!(open(Way::Ring).unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
    });
}

#[test]
fn where_losses_cannot_be_told_that_is_said() {
    in_namespace(|| {
        lack(&[NO_RING, NO_COUNTS]);

        let (source, less) = open(Way::Auto).unwrap();

        let Some(Reason::LossesUnknown { because }) = less else { panic!("{less:?}") };
        assert!(matches!(*because, Reason::NoPacketRing { .. }), "{because:?}");
        assert_eq!(source.counted().unwrap(), Counted::default());
    });
}

#[test]
fn where_lengths_are_not_told_what_is_trusted_comes_whole() {
    in_namespace(|| {
        lack(&[NO_RING, NO_LENGTHS]);
        let cut = Cut { own: Vec::new(), trusted: vec!["127.0.0.0/8".parse().unwrap()] };

        let (source, _) = Source::open(&Wanted::all_of("lo", &cut)).unwrap();

        assert_eq!(lengths(source, 1_000), [1_042]);
    });
}

#[test]
fn an_interface_that_is_not_there_is_no_matter_of_the_way() {
    in_namespace(|| {
        let cut = Cut::default();
        for way in [Way::Auto, Way::Ring, Way::Plain] {
            let wanted = Wanted { way, ..Wanted::all_of("nosuch0", &cut) };
            assert_eq!(Source::open(&wanted).unwrap_err().raw_os_error(), Some(libc::ENODEV), "{way:?}");
        }
    });
}

#[test]
fn a_way_is_one_of_three_words() {
    assert_eq!(["auto", "ring", "plain"].map(str::parse), [Ok(Way::Auto), Ok(Way::Ring), Ok(Way::Plain)]);
    let refused = "Ring".parse::<Way>().unwrap_err();
    assert_eq!(refused.to_string(), "`Ring` is no way to read packets, expected auto, ring or plain");
}

fn open(way: Way) -> io::Result<(Source, Option<Reason>)> {
    Source::open(&Wanted { way, ..Wanted::all_of("lo", &Cut::default()) })
}

/// Sends a datagram and returns how long the frames are that come in until it came.
fn lengths(mut source: Source, payload: usize) -> Vec<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&vec![b'x'; payload], socket.local_addr().unwrap()).unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        source.wait(Duration::from_secs(10)).unwrap();
        assert!(source.is_ready(), "nothing came");
        source.read(|frame| seen.extend((!frame.is_outgoing).then_some(frame.bytes.len())));
    }
    seen
}

/// Makes the kernel of this thread one that does not know some options of packet sockets.
fn lack(calls: &[Lacks]) {
    let equals = |argument, value: libc::c_int| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap()
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, option) in calls {
        let rule = SeccompRule::new(vec![equals(1, libc::SOL_PACKET), equals(2, *option)]).unwrap();
        rules.entry(*call).or_default().push(rule);
    }
    let unknown = SeccompAction::Errno(libc::ENOPROTOOPT.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}
