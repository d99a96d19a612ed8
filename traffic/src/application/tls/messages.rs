//! From the bytes of one direction to handshake messages: records joined, messages cut out of them, RFC 8446 §5.1.
//!
//! A message may be split over records and a record over segments, down to single bytes; a record may carry several messages.
//! Only what is read later is kept.

use super::sealed::Walk;
use crate::application::reader::Reader;

const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const HEARTBEAT: u8 = 24;
const MAJOR: u8 = 3;
pub(super) const RECORD_HEADER: usize = 5;
/// The longest record: 2^14 bytes and what encryption may add up to TLS 1.2.
pub(super) const MAX_RECORD: usize = (16 << 10) + 2048;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_DONE: u8 = 14;
const MESSAGE_HEADER: usize = 4;
/// The longest hello: OpenSSL takes one of 131,396 bytes. An honest one with post-quantum keys has about 2 KiB.
pub const MAX_HELLO: usize = 132 << 10;
/// The longest certificate: OpenSSL takes 100 KiB for a whole chain.
const MAX_LEAF: usize = 100 << 10;
/// The lengths of the chain and of its first certificate.
const CHAIN_HEADER: usize = 6;

const FATAL: u8 = 2;

/// Tells whether a stream may begin with a TLS handshake record.
pub fn begins(stream: &[u8]) -> bool {
    matches!(stream, [HANDSHAKE] | [HANDSHAKE, MAJOR, ..])
}

/// Tells whether the header of a record may begin like this.
pub(super) fn may_begin(header: &[u8]) -> bool {
    match *header {
        [kind, major, _, high, low, ..] => {
            is_kind(kind) && major == MAJOR && usize::from(u16::from_be_bytes([high, low])) <= MAX_RECORD
        }
        [kind, major, ..] => is_kind(kind) && major == MAJOR,
        [kind] => is_kind(kind),
        [] => true,
    }
}

fn is_kind(kind: u8) -> bool {
    (CHANGE_CIPHER..=HEARTBEAT).contains(&kind)
}

/// What came next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A message is whole.
    Message(Message),
    /// The sender gives up.
    Failed,
    /// What follows is encrypted.
    Encrypted,
    /// This is no TLS, or a lie about a length.
    Not,
}

/// A handshake message, as far as it is of interest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    ClientHello(Vec<u8>),
    ServerHello(Vec<u8>),
    /// The first certificate of the chain.
    Certificate(Vec<u8>),
    ServerDone,
    Other,
}

/// Joins the records of one direction.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: [u8; RECORD_HEADER],
    /// How many bytes of the header came.
    filled: usize,
    kind: u8,
    /// How many bytes of the record are still to come.
    left: usize,
    /// Whether the record's first byte is still to come.
    is_fresh: bool,
    /// The message that is coming in, with its header.
    message: Vec<u8>,
    /// How many bytes of a message are to be passed over.
    passing: usize,
}

impl Messages {
    /// Takes bytes up to the next step; `None` when all are taken.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        loop {
            let step = match self.left {
                _ if self.message.len() == self.need() => Some(self.whole()),
                0 => self.begin_record(bytes)?,
                _ if bytes.is_empty() => return None,
                _ => self.take(bytes),
            };
            if step.is_some() {
                return step;
            }
        }
    }

    /// Returns what goes on from here without reading any message.
    pub(super) fn walk(&self) -> Walk {
        Walk::new(&self.header[..self.filled], self.left)
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.message.capacity()
    }

    /// Takes a record's header. `None` while it is not whole.
    fn begin_record(&mut self, bytes: &mut &[u8]) -> Option<Option<Step>> {
        let part = split(bytes, RECORD_HEADER - self.filled);
        self.header[self.filled..][..part.len()].copy_from_slice(part);
        self.filled += part.len();
        if self.filled < RECORD_HEADER {
            return None;
        }
        let [kind, _, _, high, low] = self.header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        (self.filled, self.kind, self.left, self.is_fresh) = (0, kind, length, true);
        Some(match kind {
            _ if !may_begin(&self.header) => Some(Step::Not),
            CHANGE_CIPHER | DATA => Some(Step::Encrypted),
            _ => None,
        })
    }

    /// Takes a part of a record, to the end of a message at most.
    fn take(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        let wanted = match (self.kind, self.passing) {
            (HANDSHAKE, 0) => self.need() - self.message.len(),
            (HANDSHAKE, passing) => passing,
            _ => self.left,
        };
        let part = split(bytes, wanted.min(self.left));
        self.left -= part.len();
        let is_first = std::mem::take(&mut self.is_fresh);
        match (self.kind, self.passing) {
            (HANDSHAKE, 0) => self.message.extend_from_slice(part),
            (HANDSHAKE, _) => self.passing -= part.len(),
            (ALERT, _) if is_first && part.first() == Some(&FATAL) => return Some(Step::Failed),
            _ => {}
        }
        None
    }

    /// Returns how many bytes of the message are to be kept, its header included, as far as that is known yet.
    fn need(&self) -> usize {
        let mut rest = Reader(&self.message);
        let (Some(kind), Some(length)) = (rest.u8(), rest.u24()) else { return MESSAGE_HEADER };
        MESSAGE_HEADER
            + match kind {
                CLIENT_HELLO | SERVER_HELLO if length <= MAX_HELLO => length,
                CERTIFICATE => match (rest.u24(), rest.u24()) {
                    (Some(_), Some(leaf)) if leaf <= MAX_LEAF && CHAIN_HEADER + leaf <= length => {
                        CHAIN_HEADER + leaf
                    }
                    _ => length.min(CHAIN_HEADER),
                },
                _ => 0,
            }
    }

    /// Hands out the message of which there is enough.
    fn whole(&mut self) -> Step {
        let message = std::mem::take(&mut self.message);
        let mut body = Reader(&message);
        let (kind, length) = (body.u8().unwrap_or_default(), body.u24().unwrap_or_default());
        self.passing = (MESSAGE_HEADER + length).saturating_sub(message.len());
        Step::Message(match (kind, body.0) {
            (CLIENT_HELLO | SERVER_HELLO, _) if length > MAX_HELLO => return Step::Not,
            (CLIENT_HELLO, hello) => Message::ClientHello(hello.to_vec()),
            (SERVER_HELLO, hello) => Message::ServerHello(hello.to_vec()),
            (CERTIFICATE, [_, _, _, _, _, _, leaf @ ..]) if !leaf.is_empty() => {
                Message::Certificate(leaf.to_vec())
            }
            (SERVER_DONE, _) => Message::ServerDone,
            _ => Message::Other,
        })
    }
}

/// Takes at most so many bytes off the front.
fn split<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    part
}
