//! HTTP/1: exchanges with their bodies, in both directions (RFC 9110, 9112).
//!
//! ```text
//! to server ─► Side: head ─ body ─ head ─ body …  ─┐
//!                                                  ├─► Exchanges: Exchange, Asked, … Http
//! to client ─► Side: head ─ body ─ head ─ body …  ─┘
//!                          └─► chunks off ─► unpacked ─► Body, File
//! ```
//! All bytes are said for scanning, so the raw ones need not be: each message as one, its head first and then its body
//! without chunks and compression, so that a rule whose strings lie in both still matches. What is no HTTP (garbage, what
//! follows CONNECT or an upgrade) is said as it is; a TLS handshake there is read.
//!
//! Where two servers may read a message in two ways (RFC 9112 §11.2), one way is followed and the message counted as odd:
//! chunks win over a length, the first of lengths that differ counts, one that is no number does not count, a transfer
//! coding that is unknown is passed over. A line feed ends a line, also alone; a folded line continues the one before it.

use khien_core::{Timestamp, event::Direction};

use super::{
    Follow, Said, Wants,
    tls::{Handshake, Sealed},
};
use exchange::Exchanges;
use message::Side;

mod exchange;
mod head;
mod message;
#[cfg(test)]
mod tests;

/// Follows the exchanges of one connection.
#[derive(Debug)]
pub struct Http {
    requests: Side,
    answers: Side,
    exchanges: Exchanges,
    /// Behind CONNECT or an upgrade: what comes may be TLS.
    tunnel: Option<Box<Handshake>>,
}

impl Http {
    /// Begins with the first byte of a connection, or in its middle.
    #[must_use]
    pub fn new(wants: Wants) -> Self {
        Self {
            requests: Side::new(Direction::ToServer, wants),
            answers: Side::new(Direction::ToClient, wants),
            exchanges: Exchanges::default(),
            tunnel: None,
        }
    }

    fn side(&mut self, direction: Direction) -> (&mut Side, &mut Exchanges) {
        match direction {
            Direction::ToServer => (&mut self.requests, &mut self.exchanges),
            Direction::ToClient => (&mut self.answers, &mut self.exchanges),
        }
    }
}

impl Follow for Http {
    fn take(&mut self, direction: Direction, bytes: &[u8], at: Timestamp, out: &mut Vec<Said>) {
        let (side, exchanges) = self.side(direction);
        side.take(bytes, exchanges, out);
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.take(direction, bytes, at, out);
        } else if self.exchanges.is_tunnel {
            self.tunnel = Some(Box::default());
            self.requests.leave(out);
        }
    }

    fn lost(&mut self, direction: Direction, bytes: u64, out: &mut Vec<Said>) {
        let (side, exchanges) = self.side(direction);
        side.lost(bytes, exchanges, out);
        self.tunnel.iter_mut().for_each(|tunnel| tunnel.lost(direction, bytes, out));
    }

    fn end(&mut self, at: Timestamp, out: &mut Vec<Said>) {
        self.tunnel.iter_mut().for_each(|tunnel| tunnel.end(at, out));
        self.requests.end(&mut self.exchanges, out);
        self.answers.end(&mut self.exchanges, out);
        self.exchanges.end(out);
    }

    fn held(&self) -> usize {
        let tunnel = self.tunnel.as_ref().map_or(0, |tunnel| tunnel.held());
        self.requests.held() + self.answers.held() + self.exchanges.held() + tunnel
    }

    fn is_done(&self) -> bool {
        self.tunnel.as_ref().is_some_and(|tunnel| tunnel.is_done())
    }

    fn sealed(&mut self) -> Option<Sealed> {
        self.tunnel.as_mut()?.sealed()
    }

    fn odd(&self) -> u64 {
        self.exchanges.odd
    }
}

/// Tells whether bytes begin like a request, as far as they go.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let fits = |method: &&[u8]| method.iter().zip(bytes).all(|(m, b)| m == b);
    !bytes.is_empty() && head::METHODS.iter().any(fits)
}

/// Tells whether a line is the first of a request.
pub(super) fn is_request(line: &[u8]) -> bool {
    head::is_request(line)
}

/// Cuts the port and the user off an authority; an IPv6 address keeps its brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or(authority);
    let from = host.iter().position(|b| *b == b']').unwrap_or(0);
    match host[from..].iter().position(|b| *b == b':') {
        Some(colon) => &host[..from + colon],
        None => host,
    }
}
