//! What is kept of every flow: small, whatever it carries.

use std::net::SocketAddr;

use khien_core::{
    Timestamp, Untrusted,
    event::{Application, Direction, Transport},
    traffic::{Ends, Flow, FlowEnd, Volume},
};

use super::{
    key::{From, Key},
    segment::opposite,
    stream::Stream,
    talk::Talk,
    timestamp,
};
use crate::decode::{Around, Segment};

/// One flow. What it says is read in [`Talk`], while that is of use.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// Never used twice.
    pub(super) number: u64,
    /// Which end opened it.
    pub(super) client: From,
    /// The first and the last packet, by the clock of the capture, in nanoseconds.
    pub(super) first: i64,
    pub(super) last: i64,
    /// The last packet, by the engine's time, which never goes back.
    pub(super) seen: i64,
    /// When it was told last that it goes on.
    pub(super) told: i64,
    /// To the server, and to the client.
    pub(super) sides: [Side; 2],
    pub(super) around: Option<Box<Around>>,
    pub(super) talk: Option<Box<Talk>>,
    pub(super) name: Option<Box<Untrusted>>,
    pub(super) application: Application,
    pub(super) saw_syn: bool,
    pub(super) was_answered: bool,
    /// Whether the client sent something behind its SYN: it was let in, if only its side can be seen.
    pub(super) went_on: bool,
    pub(super) was_reset: bool,
    /// The client was seen to send: who only sends to it may have made it the client.
    pub(super) has_asked: bool,
    /// Nothing more of what it carries is looked at: it is over, encrypted or of no interest.
    pub(super) is_deaf: bool,
    /// What was counted of it already.
    pub(super) counted: Counted,
}

/// One direction of a flow.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) stream: Stream,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// How many hops its packets may still go, from the first that was seen; 0 before that.
    pub(super) hops: u8,
}

/// What was counted of a flow.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Memory beside its slot.
    pub(super) held: usize,
    /// Bytes that never came by.
    pub(super) missing: u64,
}

/// How long a flow may be quiet depends on what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A TCP connection that is over.
    Ended,
    /// A TCP connection of which one side was seen: nobody has answered, or anybody made it up.
    Opening,
    /// ICMP.
    Message,
    /// UDP.
    Datagram,
    /// A TCP connection.
    Open,
}

impl Entry {
    /// Begins with the first packet that was seen of it.
    pub(super) fn new(key: Key, number: u64, client: From, at: i64) -> Self {
        Self {
            key,
            number,
            client,
            first: at,
            last: at,
            seen: at,
            told: at,
            sides: Default::default(),
            around: None,
            talk: None,
            name: None,
            application: Application::Unknown,
            saw_syn: false,
            was_answered: false,
            went_on: false,
            was_reset: false,
            has_asked: false,
            is_deaf: false,
            counted: Counted::default(),
        }
    }

    /// Returns which way a packet goes.
    pub(super) fn direction(&self, from: From) -> Direction {
        match from == self.client {
            true => Direction::ToServer,
            false => Direction::ToClient,
        }
    }

    /// Returns one direction.
    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }

    /// Tells what it is.
    pub(super) fn class(&self) -> Class {
        match self.key.transport() {
            Transport::Tcp if self.has_ended() => Class::Ended,
            Transport::Tcp if self.is_mutual() && !self.was_reset => Class::Open,
            Transport::Tcp => Class::Opening,
            Transport::Udp => Class::Datagram,
            Transport::Icmp => Class::Message,
        }
    }

    /// Tells whether it is a TCP connection that is over. One that a reset alone ended is not while something can still be read of it:
    /// the reset may not have reached the host.
    pub(super) fn has_ended(&self) -> bool {
        let can_be_read = self.talk.is_some() && !self.is_sealed();
        self.was_reset && (!can_be_read || !self.is_mutual()) || self.is_closed()
    }

    /// Tells whether it is encrypted, as far as that can be told, and watched.
    pub(super) fn is_sealed(&self) -> bool {
        self.talk.as_ref().is_some_and(|talk| talk.is_sealed())
    }

    /// Returns how many bytes on the wire it has taken so far.
    pub(super) fn wire_bytes(&self) -> u64 {
        self.sides.iter().map(|side| side.bytes).fold(0, u64::saturating_add)
    }

    /// Tells whether both ends were seen to send, so that one alone did not make it up.
    pub(super) fn is_mutual(&self) -> bool {
        self.was_answered && self.sides.iter().all(|side| side.packets > 0)
    }

    /// Tells whether both ends said that they have no more to say.
    pub(super) fn is_closed(&self) -> bool {
        self.sides.iter().all(|side| side.stream.is_whole())
    }

    /// Tells whether a segment opens a new connection between the same ports.
    pub(super) fn is_replaced_by(&mut self, from: From, segment: &Segment<'_>) -> bool {
        let (direction, first) = (self.direction(from), segment.seq.wrapping_add(1));
        if !segment.flags.syn || segment.flags.rst || !self.side(direction).stream.is_other(first) {
            return false;
        }
        if !self.is_mutual() || self.is_closed() {
            let is_empty = self.sides.iter().all(|side| side.stream.length() == 0);
            // What came before any SYN may be forged, to have the two ends taken one for the other.
            return is_empty || self.has_ended() || segment.flags.ack || !self.saw_syn;
        }
        // Both ends know this connection: a SYN amid it may be forged, and its host goes on (RFC 5961, section 4). The answer to
        // it is what begins another one.
        match segment.flags.ack {
            true => self.side(opposite(direction)).stream.was_proposed(segment.ack),
            false => {
                self.side(direction).stream.propose(first);
                false
            }
        }
    }

    /// Counts a packet.
    pub(super) fn count(&mut self, direction: Direction, packets: u64, bytes: u64) {
        let side = self.side(direction);
        side.packets = side.packets.saturating_add(packets);
        side.bytes = side.bytes.saturating_add(bytes);
    }

    /// Notes how many hops a packet may still go, and tells whether that changed since the first one of its sender.
    pub(super) fn hops_changed(&mut self, direction: Direction, hops: u8) -> bool {
        let side = self.side(direction);
        if side.hops == 0 {
            side.hops = hops;
        }
        side.hops != hops
    }

    /// Returns how much memory it holds beside its slot, roughly.
    pub(super) fn held(&self) -> usize {
        let streams: usize = self.sides.iter().map(|side| side.stream.held()).sum();
        streams + self.talk.as_ref().map_or(0, |talk| talk.held())
    }

    /// Tells whether bytes wait behind a hole.
    pub(super) fn has_hole(&self) -> bool {
        self.sides.iter().any(|side| side.stream.has_hole())
    }

    /// Returns how many of its bytes never came by.
    pub(super) fn missing(&self) -> u64 {
        self.sides.iter().map(|side| side.stream.missing()).fold(0, u64::saturating_add)
    }

    /// Returns the end that was opened.
    pub(super) fn server(&self) -> SocketAddr {
        let other = match self.client {
            From::Low => From::High,
            From::High => From::Low,
        };
        self.key.end(other, false)
    }

    /// Says which flow it is.
    pub(super) fn ends(&self, interface: &Untrusted) -> Ends {
        let other = match self.client {
            From::Low => From::High,
            From::High => From::Low,
        };
        Ends {
            flow: self.number,
            interface: interface.clone(),
            vlan: self.around.as_ref().map_or_else(Vec::new, |around| around.tags.ids().to_vec()),
            tunnel: self.around.as_ref().and_then(|around| around.tunnel.clone()),
            transport: self.key.transport(),
            client: self.key.end(self.client, true),
            server: self.key.end(other, false),
            saw_syn: self.saw_syn,
        }
    }

    /// Says what it was so far.
    pub(super) fn flow(&self, ended: FlowEnd) -> Flow {
        let volume = |side: &Side| Volume {
            packets: side.packets,
            bytes: side.bytes,
            payload: side.stream.length() - side.stream.missing(),
            missing: side.stream.missing(),
        };
        Flow {
            first: timestamp(self.first),
            last: timestamp(self.last),
            ended,
            application: self.application,
            name: self.name.as_deref().cloned(),
            to_server: volume(&self.sides[0]),
            to_client: volume(&self.sides[1]),
            answered: self.was_answered || self.went_on && self.sides[1].packets == 0,
            process: None,
        }
    }

    /// Says why it is told at its end, if it did not end before.
    pub(super) fn end(&self, otherwise: FlowEnd) -> FlowEnd {
        match (self.is_closed(), self.was_reset) {
            _ if self.key.transport() != Transport::Tcp => otherwise,
            (true, _) => FlowEnd::Closed,
            (false, true) => FlowEnd::Reset,
            (false, false) => otherwise,
        }
    }

    /// Returns the moment of its last packet.
    pub(super) fn last(&self) -> Timestamp {
        timestamp(self.last)
    }
}
