//! TLS as far as it is open: the name and the protocols that the client asks for, what the server agrees to, and up to
//! TLS 1.2 its certificate.
//!
//! ```text
//! bytes of a direction ─► Messages: records joined, messages cut out ─► ClientHello | ServerHello | leaf ─► Said
//! ```

mod hello;
mod messages;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

use khien_core::{Timestamp, event::Direction, traffic::Tls};

use super::{
    Follow, Said,
    certificate::{self, Leaf},
    ja4::Carrier,
};
pub use hello::ClientHello;
use hello::ServerHello;
pub(super) use hello::{PROTOCOLS, SERVER_NAME};
pub use messages::{MAX_HELLO, begins};
use messages::{Message, Messages, Step};

/// What a client asked for takes in memory, roughly: the record, its name and a few protocols.
const ASKED: usize = size_of::<Tls>() + 256;
/// The same for a certificate's names and digest.
const LEAF: usize = size_of::<Leaf>() + 256;

/// What the beginning of a stream says.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed.
    Partial,
    /// No ClientHello.
    Not,
    /// A ClientHello, with the name if it has one.
    Whole(Option<Vec<u8>>),
}

/// Reads a ClientHello from the beginning of a stream.
pub fn client_hello(mut stream: &[u8]) -> Hello {
    match Messages::default().next(&mut stream) {
        None => Hello::Partial,
        Some(Step::Message(Message::ClientHello(body))) => match ClientHello::parse(&body) {
            Some(hello) => Hello::Whole(hello.sni),
            None => Hello::Not,
        },
        Some(_) => Hello::Not,
    }
}

/// Follows the handshake of one TLS connection.
///
/// Says the name at once, and everything once: when both sides' parts are read as far as they are open, or when no more
/// comes. Done only after that, and never for bytes that turn out to be no TLS: those are not encrypted.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The client, until its hello is read. Only the first counts: one after a HelloRetryRequest has the same name.
    client: Side,
    /// The server, until nothing more is open.
    server: Side,
    asked: Option<Box<Tls>>,
    agreed: Option<ServerHello>,
    leaf: Option<Box<Leaf>>,
    is_told: bool,
    is_plain: bool,
}

/// A direction that is read until nothing in it is of interest.
#[derive(Debug)]
struct Side(Option<Box<Messages>>);

const OVER: Side = Side(None);

impl Default for Side {
    fn default() -> Self {
        Self(Some(Box::default()))
    }
}

impl Follow for Handshake {
    fn take(&mut self, direction: Direction, mut bytes: &[u8], _: Timestamp, out: &mut Vec<Said>) {
        while let Some(step) = self.side(direction).next(&mut bytes) {
            match direction {
                Direction::ToServer => self.hear_client(step, out),
                Direction::ToClient => self.hear_server(step),
            }
        }
        self.tell_if_over(out);
    }

    fn lost(&mut self, direction: Direction, _: u64, out: &mut Vec<Said>) {
        *self.side(direction) = OVER;
        self.tell_if_over(out);
    }

    fn end(&mut self, _: Timestamp, out: &mut Vec<Said>) {
        (self.client, self.server) = (OVER, OVER);
        self.tell_if_over(out);
    }

    fn held(&self) -> usize {
        let boxes = self.asked.iter().len() * ASKED + self.leaf.iter().len() * LEAF;
        self.client.held() + self.server.held() + boxes
    }

    fn is_done(&self) -> bool {
        self.is_told && !self.is_plain
    }

    fn is_other(&self) -> bool {
        self.is_plain
    }
}

impl Handshake {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    fn hear_client(&mut self, step: Step, out: &mut Vec<Said>) {
        self.client = OVER;
        self.is_plain |= step == Step::Not;
        let Step::Message(Message::ClientHello(body)) = step else { return };
        let Some(hello) = ClientHello::parse(&body) else {
            self.is_plain = true;
            return;
        };
        let asked = hello.tls(Carrier::Tcp);
        if let Some(name) = &asked.sni {
            out.push(Said::Asked { name: Some(name.clone()), url: None });
        }
        self.asked = Some(Box::new(asked));
    }

    fn hear_server(&mut self, step: Step) {
        let is_open = self.agreed.is_some_and(|agreed| !agreed.is_encrypted_from_here());
        match step {
            Step::Message(Message::ServerHello(body)) => {
                self.agreed = ServerHello::parse(&body).or(self.agreed);
                if self.agreed.is_some_and(|hello| hello.is_encrypted_from_here() && !hello.is_retry) {
                    self.server = OVER;
                }
            }
            Step::Message(Message::Certificate(leaf)) if is_open => {
                self.leaf = Some(Box::new(certificate::leaf(&leaf)));
                self.server = OVER;
            }
            // After a HelloRetryRequest, the server may say that it changes its cipher long before it does.
            Step::Encrypted if self.agreed.is_some_and(|agreed| agreed.is_retry) => {}
            // A failure, an abbreviated handshake, or no certificate at all: nothing more is open.
            Step::Message(Message::ServerDone) | Step::Failed | Step::Encrypted => self.server = OVER,
            Step::Message(_) => {}
            Step::Not => (self.server, self.is_plain) = (OVER, true),
        }
    }

    fn tell_if_over(&mut self, out: &mut Vec<Said>) {
        let is_over = self.client.0.is_none() && self.server.0.is_none();
        let is_tls = self.asked.is_some() || self.agreed.is_some();
        if !is_over || !is_tls || self.is_told {
            return;
        }
        self.is_told = true;
        let mut tls = self.asked.take().unwrap_or_default();
        if let Some(agreed) = self.agreed {
            (tls.version, tls.cipher) = (agreed.version, Some(agreed.cipher));
        }
        if let Some(leaf) = self.leaf.take() {
            (tls.subject, tls.issuer, tls.certificate) = (leaf.subject, leaf.issuer, Some(leaf.digest));
        }
        out.push(Said::Tls(tls));
    }
}

impl Side {
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        self.0.as_mut()?.next(bytes)
    }

    fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |messages| size_of::<Messages>() + messages.held())
    }
}
