//! Replays hand-made frames through the engine.

use khien_core::{
    Timestamp, Untrusted,
    event::{Application, Direction, Transport},
    traffic::{FlowEnd, TunnelKind, Volume, What},
};
use proptest::prelude::*;

use super::{wire::*, *};
use crate::decode::{
    self, Link,
    sample::{Frame as Sample, client_hello, dns_query, tcp, tcp_with, udp},
};

mod limits;

/// Long enough for a hole to be seen and given up.
const PATIENCE: i64 = 1100;

#[test]
fn a_match_in_either_direction_is_one_hit_each() {
    for ends in ENDS {
        let mut wire = Wire::new(ends);
        wire.open();
        wire.say(&[b"hello, this is nothing known ", MARK].concat());
        wire.answer(&[b"so is this, and it is longer ", MARK].concat());
        wire.close();

        let hits = wire.hits();

        assert_eq!(hits.len(), 2, "{hits:?}");
        for (facts, direction) in hits.iter().zip([Direction::ToServer, Direction::ToClient]) {
            assert_eq!(facts.direction, direction);
            assert_eq!((facts.client.to_string(), facts.server.to_string()), (ends.0.into(), ends.1.into()));
            assert_eq!(facts.application, Application::Unknown);
            assert_eq!(facts.interface, Untrusted::from("eth0"));
        }
    }
}

#[test]
fn engines_that_share_a_counter_give_no_number_twice() {
    let numbers = Arc::<AtomicU64>::default();

    let given = [0; 2].map(|_| {
        let mut wire = Wire::new(ENDS[0]);
        wire.engine.number_by(Arc::clone(&numbers));
        wire.open();
        wire.told.opened[0].flow
    });

    assert_eq!(given, [1, 2]);
}

#[test]
fn a_match_that_is_split_over_segments_out_of_order_and_tagged_is_one_hit() {
    for ends in ENDS {
        let mut wire = Wire::new(ends);
        wire.tags = vec![0x88a8, 0x8100];
        wire.open();
        let text = [b"hello, this is nothing known ", MARK].concat();
        let parts: Vec<_> = text.chunks(9).enumerate().collect();
        for (i, part) in parts.iter().rev().chain(parts.iter().take(2)) {
            wire.send(true, &tcp(1001 + u32::try_from(i * 9).unwrap(), part));
        }
        wire.wait(QUIET / MILLISECOND);

        let hits = wire.hits();
        assert_eq!((hits.len(), &hits[0].vlan[..]), (1, &[7, 7][..]));
        assert_eq!(wire.told.opened[0].vlan, [7, 7]);
        assert_eq!(wire.engine.take_counts().conflicts, 0);
    }
}

#[test]
fn a_match_on_the_edge_of_every_window_is_found_once() {
    for at in [16 << 10, 32 << 10, 128 << 10, 256 << 10, (256 << 10) + (60 << 10)] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        let mut body = vec![b'.'; at - 10];
        body.extend_from_slice(MARK);
        body.extend_from_slice(&[b'.'; 50_000]);
        for part in body.chunks(1400) {
            wire.answer(part);
        }
        wire.close();

        assert_eq!(wire.hits().len(), 1, "{at}");
        assert_eq!(wire.scanned(false), body);
    }
}

#[test]
fn what_no_rule_can_match_is_held_back_and_what_stands_before_a_match_is_not() {
    for at in [10, 60 << 10, (256 << 10) - 5, 300 << 10, 700 << 10] {
        let mut wire = Wire::new(ENDS[0]);
        wire.told.needed = Some(MARK);
        wire.open();
        wire.say(b"what is said in this direction is of no interest");
        let body = [&vec![b'.'; at][..], MARK, &[b'-'; 300_000]].concat();
        body.chunks(1400).for_each(|part| wire.answer(part));
        wire.close();

        let jobs = &wire.told.jobs;
        assert_eq!(wire.hits().len(), 1, "{at}");
        assert!(!jobs.is_empty() && jobs.len() <= 3, "{at}: {}", jobs.len());
        for job in jobs {
            let from = usize::try_from(job.offset).unwrap();
            assert!(body[from..].starts_with(&job.bytes), "{at}: a piece is not where it says");
        }
    }
}

#[test]
fn a_hit_does_not_wait_for_the_end() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(MARK);
    assert_eq!(wire.hits().len(), 0);

    let due = wire.engine.next_wait().unwrap();
    assert_eq!(due.duration_since(wire.at()).as_millis(), i128::from(QUIET / MILLISECOND));
    wire.wait(QUIET / MILLISECOND);

    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn nothing_is_cut_out_when_nobody_scans() {
    let mut wire = Wire::with(ENDS[0], Limits { scan: false, ..Limits::default() });
    wire.open();
    wire.say(MARK);
    wire.answer(MARK);
    assert_eq!(wire.engine.held(), 0);
    wire.close();
    wire.finish();

    assert!(wire.told.jobs.is_empty());
    assert_eq!(wire.told.flows()[0].to_server.payload, MARK.len() as u64);
}

#[test]
fn a_conversation_is_picked_up_in_its_middle() {
    let mut wire = Wire::new(("198.51.100.2:80", "192.0.2.1:40000"));
    wire.say(MARK);
    wire.wait(QUIET / MILLISECOND);

    let hits = wire.hits();
    assert_eq!(hits.len(), 1);
    assert_eq!((hits[0].server.port(), hits[0].direction), (80, Direction::ToClient));
}

#[test]
fn a_hole_is_passed_after_its_time_and_counted() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.send(true, &tcp(1101, MARK));
    wire.wait(QUIET / MILLISECOND);
    assert_eq!(wire.hits().len(), 0);

    // The hole is noticed, and given up when it is still there the next time.
    wire.wait(PATIENCE);
    wire.wait(PATIENCE);
    wire.wait(PATIENCE);

    assert_eq!(wire.hits().len(), 1);
    assert_eq!(wire.engine.take_counts().missing, 100);
    wire.finish();
    let to_server = wire.told.flows()[0].to_server;
    assert_eq!((to_server.payload, to_server.missing), (MARK.len() as u64, 100));
    assert_eq!(wire.engine.take_counts().missing, 0);
}

#[test]
fn new_connections_between_the_same_ports_are_told_apart() {
    let mut wire = Wire::new(ENDS[0]);
    for first in [1000, 900_000_000] {
        wire.next = [first, first];
        wire.open();
        wire.say(MARK);
        wire.answer(b"ok");
        wire.close();
    }
    wire.finish();

    assert_eq!(wire.hits().len(), 2);
    let flows = wire.told.flows();
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|f| f.ended == FlowEnd::Closed && f.answered));
}

#[test]
fn a_flow_is_told_with_its_volumes_when_it_is_over() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"twelve bytes");
    wire.send(true, &tcp(1001, b"twelve bytes"));
    wire.answer(&[b'x'; 1000]);
    wire.close();
    assert!(wire.told.flows().is_empty());

    wire.wait(Class::Ended.idle() / MILLISECOND);

    let flow = wire.told.flows()[0].clone();
    assert_eq!(flow.to_server, Volume { packets: 4, bytes: 4 * 54 + 24, payload: 12, missing: 0 });
    assert_eq!(flow.to_client, Volume { packets: 3, bytes: 3 * 54 + 1000, payload: 1000, missing: 0 });
    assert_eq!((flow.ended, flow.answered), (FlowEnd::Closed, true));
    assert_eq!((wire.engine.flows(), wire.engine.held()), (0, 0));
}

#[test]
fn a_refused_or_unanswered_connection_says_so() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.send(false, &tcp_with(RST | ACK, 0, 1001, b""));
    wire.wait(Class::Ended.idle() / MILLISECOND);
    assert_eq!((wire.told.flows()[0].ended, wire.told.flows()[0].answered), (FlowEnd::Reset, false));

    let mut wire = Wire::new(ENDS[1]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.wait(Class::Opening.idle() / MILLISECOND);
    assert_eq!((wire.told.flows()[0].ended, wire.told.flows()[0].answered), (FlowEnd::Idle, false));
}

#[test]
fn a_long_flow_is_told_while_it_goes_on() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    for _ in 0..10 {
        wire.wait(60_000);
        wire.say(b"still here");
    }

    let ends: Vec<_> = wire.told.flows().iter().map(|f| (f.ended, f.to_server.payload)).collect();
    assert_eq!(ends, [(FlowEnd::Ongoing, 40), (FlowEnd::Ongoing, 90)]);
}

#[test]
fn questions_of_dns_are_named_once_and_each_message_is_told() {
    let mut wire = Wire::new(("192.0.2.1:5000", "192.0.2.53:53"));
    let question = dns_query("c2.evil.example");
    let mut answer = question.clone();
    answer[2] |= 0x80;
    wire.send(true, &udp(&question));
    wire.send(false, &udp(&answer));
    wire.finish();

    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Dns)]);
    let kinds: Vec<_> = wire.told.records.iter().map(|r| matches!(r.what, What::Dns(_))).collect();
    assert_eq!(kinds, [true, true, false]);
    let flow = wire.told.flows()[0];
    assert_eq!((flow.application, flow.answered), (Application::Dns, true));
    assert_eq!(flow.name, Some(Untrusted::from("c2.evil.example")));
    assert_eq!(flow.to_client.payload, answer.len() as u64);
}

#[test]
fn an_answer_whose_question_was_not_seen_is_named_and_its_sender_is_the_server() {
    let mut wire = Wire::new(("192.0.2.53:53", "192.0.2.1:5000"));
    let mut answer = dns_query("c2.evil.example");
    answer[2] |= 0x80;

    wire.send(true, &udp(&answer));

    assert_eq!(wire.names().len(), 1);
    assert_eq!(wire.told.opened[0].server.port(), 53);
}

#[test]
fn an_echo_and_its_answer_are_one_flow() {
    let mut wire = Wire::new(ENDS[0]);
    for (is_client, kind) in [(true, 8), (false, 0)] {
        let mut frame = wire.frame(is_client, &udp(&[7; 56]));
        frame[23] = 1;
        frame[24..26].fill(0);
        frame[34..36].copy_from_slice(&[kind, 0]);
        wire.put(&frame);
    }
    wire.finish();

    assert_eq!(wire.told.opened.len(), 1);
    let ends = &wire.told.opened[0];
    assert_eq!((ends.transport, ends.client.port(), ends.server.port()), (Transport::Icmp, 8, 0));
    let flow = wire.told.flows()[0];
    assert!(flow.answered);
    assert_eq!((flow.to_server.payload, flow.to_client.payload), (56, 56));
}

#[test]
fn what_runs_in_a_tunnel_is_a_flow_of_its_own_and_a_second_tunnel_stays_shut() {
    let inner = Sample::new("10.0.0.1:40000", "10.0.0.2:7000");
    let syn = inner.bytes(&tcp_with(SYN, 1000, 0, b""));
    let vxlan = |frame: &[u8]| udp(&[&[8, 0, 0, 0, 0, 1, 2, 0][..], frame].concat());
    let outer = ("192.0.2.1:50000", "192.0.2.2:4789");

    let mut wire = Wire::new(outer);
    wire.send(true, &vxlan(&syn));
    let tunnel = wire.told.opened[1].tunnel.clone().unwrap();
    assert_eq!((tunnel.kind, tunnel.id), (TunnelKind::Vxlan, Some(258)));
    assert_eq!((tunnel.from.to_string(), tunnel.to.to_string()), ("192.0.2.1".into(), "192.0.2.2".into()));
    assert_eq!(wire.told.opened[1].client.to_string(), "10.0.0.1:40000");

    // Its outside is a flow, too. The answer comes in a packet of the other end, and outside of the tunnel the same ends are another flow.
    let back = Sample::new("10.0.0.2:7000", "10.0.0.1:40000").bytes(&tcp_with(SYN | ACK, 1, 1001, b""));
    wire.put(&Sample::new("192.0.2.2:50001", "192.0.2.1:4789").bytes(&vxlan(&back)));
    assert_eq!(wire.engine.flows(), 3);
    wire.put(&syn);
    assert_eq!(wire.engine.flows(), 4);

    let mut wire = Wire::new(outer);
    let second = Sample::new("10.0.0.1:50000", "10.0.0.2:4789").bytes(&vxlan(&syn));
    wire.send(true, &vxlan(&second));
    assert_eq!(wire.told.opened[1].server.to_string(), "10.0.0.2:4789");
    assert_eq!(wire.engine.take_counts().tunnelled, 1);
}

#[test]
fn the_tag_that_the_kernel_took_off_stands_first() {
    let mut wire = Wire::new(ENDS[0]);
    wire.tags = vec![0x8100];
    let bytes = wire.frame(true, &tcp_with(SYN, 1000, 0, b""));
    let frame = decode::Frame {
        interface: 0,
        link: Link::Ethernet,
        at: wire.at(),
        vlan: Some(300),
        bytes: &bytes,
        length: 60,
    };

    wire.engine.take(&frame, &mut wire.told);

    assert_eq!(wire.told.opened[0].vlan, [300, 7]);
}

#[test]
fn the_agents_own_way_to_its_hub_is_left_out_and_counted() {
    let mut wire = Wire::new(ENDS[0]);
    wire.engine.leave_out(vec![ENDS[0].1.parse().unwrap()]);

    wire.open();

    assert_eq!((wire.engine.flows(), wire.engine.take_counts().left_out), (0, 2));
}

#[test]
fn frames_that_cannot_be_followed_are_counted_by_their_kind() {
    let mut wire = Wire::new(ENDS[0]);
    let good = wire.frame(true, &tcp_with(SYN, 1, 0, b""));
    let altered = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };

    wire.put(&altered(12, &[8, 6]));
    wire.put(&good[..30]);
    wire.put(&altered(23, &[132, 0, 0]));
    wire.send(true, &tcp(1, b""));
    let nowhere = decode::Frame {
        interface: 9,
        link: Link::Ip,
        at: Timestamp::UNIX_EPOCH,
        vlan: None,
        bytes: &[],
        length: 0,
    };
    wire.engine.take(&nowhere, &mut wire.told);

    let counts = wire.engine.take_counts();
    assert_eq!((counts.frames, counts.not_ip, counts.malformed), (5, 1, 2));
    assert_eq!((counts.other_transport, counts.unclaimed, counts.flows), (1, 1, 0));
    assert_eq!(wire.engine.take_counts(), Counts::default());
}

#[test]
fn counts_add_up() {
    let mut sum = Counts { frames: 1, conflicts: u64::MAX, ..Counts::default() };

    sum.add(&Counts { frames: 2, conflicts: 1, hushed: 3, ..Counts::default() });

    assert_eq!(sum, Counts { frames: 3, conflicts: u64::MAX, hushed: 3, ..Counts::default() });
}

proptest! {
    #[test]
    fn any_segments_are_followed_without_harm(
        segments in prop::collection::vec((any::<bool>(), any::<u8>(), 0u32..5000, 0usize..3000, -100i64..3000, any::<u8>()), 0..80)
    ) {
        let mut wire = Wire::new(ENDS[0]);
        for (is_client, flags, seq, length, wait, fill) in segments {
            wire.send(is_client, &tcp_with(flags & 0x17, seq, seq, &vec![fill; length]));
            wire.wait(wait);
        }
        wire.finish();
        prop_assert_eq!((wire.engine.held(), wire.engine.flows()), (0, 0));
        let counts = wire.engine.take_counts();
        prop_assert_eq!(wire.told.flows().iter().filter(|f| f.ended != FlowEnd::Ongoing).count() as u64, counts.flows);
    }

    #[test]
    fn any_frames_are_taken(frames in prop::collection::vec((any::<Vec<u8>>(), 0u8..8, 0usize..90, any::<u8>()), 0..20)) {
        let mut wire = Wire::new(ENDS[1]);
        let mut good = wire.frame(true, &udp(&client_hello("web.example")));
        for (bytes, link, at, byte) in frames {
            let link = [Link::Ethernet, Link::Ip, Link::Sll, Link::Sll2, Link::Null][usize::from(link) % 5];
            let frame = decode::Frame { interface: 0, link, at: wire.at(), vlan: None, bytes: &bytes, length: 0 };
            wire.engine.take(&frame, &mut wire.told);
            good[at] = byte;
            wire.put(&good);
        }
        wire.finish();
        prop_assert_eq!(wire.engine.held(), 0);
    }
}
