//! What is sent before the real thing, so that a sensor looks away.

use khien_core::event::Application;

use super::wire::*;
use crate::decode::{
    self, Link,
    sample::{Frame as Sample, dns_query, tcp_with, udp},
};

/// A beginning of QUIC for `www.example`, in one datagram.
const INITIAL: &[u8] = include_bytes!("../application/samples/quic.v1");

#[test]
fn neither_a_short_datagram_nor_rubbish_hides_the_beginning_of_quic() {
    let mut altered = INITIAL.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    for (decoys, odd) in [
        (vec![], 0),
        (vec![b"x".to_vec()], 0),
        (vec![[&[0x40][..], &[7; 1_300]].concat()], 0),
        (vec![altered.clone(); 40], 0),
        (vec![INITIAL[..600].to_vec(); 40], 0),
    ] {
        let mut wire = Wire::new(("192.0.2.1:40000", "198.51.100.2:443"));
        decoys.iter().for_each(|decoy| wire.send(true, &udp(decoy)));
        wire.send(true, &udp(INITIAL));

        assert_eq!(wire.names(), [("www.example".to_owned(), Application::Quic)], "{} decoys", decoys.len());
        assert_eq!(wire.engine.take_counts().odd, odd);
    }
}

#[test]
fn more_than_is_looked_at_is_odd() {
    let mut altered = INITIAL.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    let mut wire = Wire::new(("192.0.2.1:40000", "198.51.100.2:443"));
    (0..400).for_each(|_| wire.send(true, &udp(&altered)));

    assert_eq!(wire.engine.take_counts().odd, 1);
}

#[test]
fn a_message_that_is_none_does_not_end_dns_on_its_port() {
    let framed =
        |message: &[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    let mut wire = Wire::new(("192.0.2.1:40000", "198.51.100.2:53"));
    wire.open();
    wire.say(&framed(&dns_query("a.example")));
    wire.say(&framed(&[&[0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], MARK].concat()));
    wire.say(&framed(&dns_query("c2.evil.example")));
    wire.close();
    wire.finish();

    assert_eq!(
        wire.names().iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(),
        ["a.example", "c2.evil.example"]
    );
    assert_eq!((wire.hits().len(), wire.engine.take_counts().odd), (1, 1));
}

#[test]
fn a_tag_that_says_a_priority_alone_splits_no_flow() {
    let mut wire = Wire::new(ENDS[0]);
    for (is_client, flags, vlan) in
        [(true, SYN, Some(0xe000)), (false, SYN | ACK, None), (true, ACK, Some(0))]
    {
        let bytes = wire.frame(is_client, &tcp_with(flags, 1000, 1001, b""));
        let (at, length) = (wire.at(), 60);
        let frame = decode::Frame { interface: 0, link: Link::Ethernet, at, vlan, bytes: &bytes, length };
        wire.engine.take(&frame, &mut wire.told);
    }

    assert_eq!((wire.engine.flows(), wire.told.opened.len()), (1, 1));
    assert_eq!(wire.told.opened[0].vlan, [0u16; 0]);
}

#[test]
fn a_datagram_that_its_host_drops_opens_no_tunnel() {
    let inner = Sample::new("10.0.0.1:40000", "10.0.0.2:7000").summed().bytes(&tcp_with(SYN, 1000, 0, b""));
    let outside = udp(&[&[8, 0, 0, 0, 0, 1, 2, 0][..], &inner].concat());
    for is_right in [true, false] {
        let mut wire = Wire::new(("192.0.2.1:50000", "192.0.2.2:4789"));
        let mut bytes = wire.frame(true, &outside);
        bytes[40] ^= if is_right { 0 } else { 0x55 };
        wire.put(&bytes);

        let counts = wire.engine.take_counts();
        assert_eq!(wire.told.opened.len(), if is_right { 2 } else { 0 });
        assert_eq!((counts.tunnelled, counts.wrong_checksums), if is_right { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn a_zero_that_keeps_a_connection_alive_is_no_contradiction() {
    for (byte, back, conflicts) in [(b"\0", 1, 0), (b"x", 1, 1), (b"\0", 2, 1)] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(b"a short line");
        let next = wire.next;
        wire.send(true, &tcp_with(ACK, next[0] - back, next[1], byte));
        wire.answer(b"and its answer");

        assert_eq!(wire.engine.take_counts().conflicts, conflicts, "{byte:?} {back}");
    }
}
