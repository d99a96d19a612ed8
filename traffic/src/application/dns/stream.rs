//! DNS over TCP, RFC 7766: messages behind their lengths, many on one connection, both ways.

use khien_core::{Timestamp, event::Direction, traffic::Dns};

use crate::application::{Follow, Said};

const LENGTH: usize = 2;
/// The most bytes of a message that are kept. The question stands in its first 271 bytes, the answers that are told behind
/// it; a zone transfer sends messages of 64 KiB.
const MAX_KEPT: usize = 8 << 10;

/// Follows DNS over TCP.
#[derive(Debug, Default)]
pub struct Stream {
    to_server: Side,
    to_client: Side,
    /// Whether bytes were lost, so that what is no message may be the middle of one.
    has_lost: bool,
    /// Whether it goes to the port of DNS: what is no message is passed over there, as resolvers do, and what comes next is read.
    /// Elsewhere a good question may be the beginning of anything.
    is_sure: bool,
    is_other: bool,
    odd: u64,
}

/// One direction: the message that is coming in, from its length on.
#[derive(Debug, Default)]
struct Side {
    kept: Vec<u8>,
    /// How many bytes of the message came by that are not kept.
    passed: usize,
}

/// What bytes came to.
enum Took {
    Part,
    Message(Box<Dns>),
    /// It is whole, and no message: its bytes, as far as they are kept.
    Other(Vec<u8>),
}

impl Follow for Stream {
    fn take(&mut self, direction: Direction, bytes: &[u8], _: Timestamp, out: &mut Vec<Said>) {
        let side = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match side.take(&mut rest) {
                Took::Message(dns) => say(*dns, out),
                Took::Other(bytes) if self.is_sure => {
                    self.odd += 1;
                    out.push(Said::Body { direction, offset: 0, bytes });
                }
                Took::Other(_) => self.is_other |= !self.has_lost,
                Took::Part => {}
            }
        }
    }

    fn lost(&mut self, direction: Direction, _: u64, out: &mut Vec<Said>) {
        self.has_lost = true;
        // Whoever writes a message begins a segment with it: what comes next is taken for a beginning.
        if let Some(dns) = self.side(direction).finish() {
            say(dns, out);
        }
    }

    fn end(&mut self, _: Timestamp, out: &mut Vec<Said>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let side = self.side(direction);
            let kept = side.kept.clone();
            match side.finish() {
                Some(dns) => say(dns, out),
                // It began like a message, and may be anything.
                None if self.is_sure && kept.len() > LENGTH => {
                    out.push(Said::Body { direction, offset: 0, bytes: kept });
                }
                None => {}
            }
        }
    }

    fn held(&self) -> usize {
        self.to_server.kept.capacity() + self.to_client.kept.capacity()
    }

    fn is_done(&self) -> bool {
        false
    }

    fn is_other(&self) -> bool {
        self.is_other
    }

    fn odd(&self) -> u64 {
        self.odd
    }
}

impl Stream {
    /// Begins a connection to the port of DNS, or to another.
    #[must_use]
    pub fn new(is_sure: bool) -> Self {
        Self { is_sure, ..Self::default() }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Side {
    /// Takes bytes up to the end of a message.
    fn take(&mut self, bytes: &mut &[u8]) -> Took {
        let part = &bytes[..bytes.len().min(self.missing())];
        *bytes = &bytes[part.len()..];
        let room = (LENGTH + MAX_KEPT).saturating_sub(self.kept.len()).min(part.len());
        self.kept.extend_from_slice(&part[..room]);
        self.passed += part.len() - room;
        match self.missing() {
            0 => {
                let kept = self.kept.clone();
                self.finish().map_or(Took::Other(kept), |dns| Took::Message(Box::new(dns)))
            }
            _ => Took::Part,
        }
    }

    /// Returns how many bytes are missing to the end of the length, or of the message.
    fn missing(&self) -> usize {
        let whole = match self.kept[..] {
            [high, low, ..] => LENGTH + usize::from(u16::from_be_bytes([high, low])),
            _ => LENGTH,
        };
        whole.saturating_sub(self.kept.len() + self.passed)
    }

    /// Reads what there is of the message and begins anew.
    fn finish(&mut self) -> Option<Dns> {
        self.passed = 0;
        let kept = std::mem::take(&mut self.kept);
        super::message(kept.get(LENGTH..)?)
    }
}

/// Each question is an exchange of its own: what is found of one does not hide what is found of the next.
fn say(dns: Dns, out: &mut Vec<Said>) {
    if !dns.answer {
        out.push(Said::Exchange);
        out.push(Said::Asked { name: Some(dns.query.clone()), url: None });
    }
    out.push(Said::Dns(Box::new(dns)));
}
