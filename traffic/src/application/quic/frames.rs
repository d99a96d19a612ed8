//! The frames of Initial packets, RFC 9000 §19, and the handshake's bytes put together out of them.

use std::collections::BTreeMap;

use super::packet::number_of;
use crate::application::{
    reader::Reader,
    tls::{ClientHello, MAX_HELLO},
};

const PADDING: u8 = 0;
const PING: u8 = 1;
const ACK: u8 = 2;
const ACK_ECN: u8 = 3;
const CRYPTO: u8 = 6;

const CLIENT_HELLO: u8 = 1;
const MESSAGE_HEADER: usize = 4;
/// The most parts that are kept. A browser makes about twenty of a hello.
const MAX_PARTS: usize = 256;

/// The bytes of a handshake, in parts that come in any order.
#[derive(Debug, Default)]
pub struct Crypto {
    /// By where they begin.
    parts: BTreeMap<usize, Vec<u8>>,
    /// How many bytes there are in all parts.
    held: usize,
}

impl Crypto {
    /// Takes the frames of one packet, as far as they are of a kind that belongs there.
    pub fn take(&mut self, frames: &[u8]) {
        let mut rest = Reader(frames);
        while self.take_frame(&mut rest).is_some() {}
    }

    /// Reads the ClientHello, once all of it is there.
    pub fn hello(&self) -> Option<ClientHello> {
        let joined = self.joined();
        let mut rest = Reader(&joined);
        let kind = rest.u8()?;
        let length = rest.u24()?;
        let body = rest.take(length)?;
        ClientHello::parse(body).filter(|_| kind == CLIENT_HELLO)
    }

    /// Tells whether what is there is no beginning of a ClientHello, or is too much.
    pub fn is_odd(&self) -> bool {
        let is_other =
            self.parts.get(&0).and_then(|part| part.first()).is_some_and(|kind| *kind != CLIENT_HELLO);
        is_other || self.parts.len() >= MAX_PARTS || self.held > MAX_HELLO
    }

    /// Returns how many bytes it holds.
    pub fn held(&self) -> usize {
        self.held + self.parts.len() * size_of::<(usize, Vec<u8>)>()
    }

    fn take_frame(&mut self, rest: &mut Reader<'_>) -> Option<()> {
        match rest.u8()? {
            PADDING | PING => {}
            kind @ (ACK | ACK_ECN) => pass_ack(rest, kind == ACK_ECN)?,
            CRYPTO => {
                let (at, length) = (number_of(rest)?, number_of(rest)?);
                let bytes = rest.take(length)?;
                self.add(at, bytes);
            }
            _ => return None,
        }
        Some(())
    }

    /// Of parts that begin at the same place, the longer one stays: the other was sent before, or is a lie.
    fn add(&mut self, at: usize, bytes: &[u8]) {
        let known = self.parts.get(&at).map_or(0, Vec::len);
        let is_in_reach = at.saturating_add(bytes.len()) <= MESSAGE_HEADER + MAX_HELLO;
        if bytes.len() > known && is_in_reach && !self.is_odd() {
            self.held += bytes.len() - known;
            self.parts.insert(at, bytes.to_vec());
        }
    }

    /// Joins the parts up to the first hole. Where two cover the same bytes, those of the part that begins earlier count.
    fn joined(&self) -> Vec<u8> {
        let mut joined = Vec::new();
        for (at, bytes) in &self.parts {
            let Some(known) = joined.len().checked_sub(*at) else { break };
            joined.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        joined
    }
}

/// Passes over an ACK: the largest number, the delay, and ranges. Each takes bytes, so that a count that lies ends soon.
fn pass_ack(rest: &mut Reader<'_>, has_ecn: bool) -> Option<()> {
    number_of(rest)?;
    number_of(rest)?;
    let ranges = number_of(rest)?;
    number_of(rest)?;
    for _ in 0..ranges {
        number_of(rest)?;
        number_of(rest)?;
    }
    for _ in 0..if has_ecn { 3 } else { 0 } {
        number_of(rest)?;
    }
    Some(())
}
