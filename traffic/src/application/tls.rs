//! TLS as far as it is open: the name and the protocols that the client asks for, what the server agrees to, and up to
//! TLS 1.2 its certificate.
//!
//! ```text
//! bytes of a direction ─► Messages: records joined, messages cut out ─► ClientHello | ServerHello | leaf ─► Said
//! ```

mod hello;
mod messages;
#[cfg(test)]
pub(crate) mod sample;
mod sealed;
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
pub use sealed::Sealed;
use sealed::Walk;

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

/// A direction that is read until nothing in it is of interest but whether it goes on in records.
#[derive(Debug)]
enum Side {
    Open(Box<Messages>),
    Over(Walk),
}

impl Default for Side {
    fn default() -> Self {
        Self::Open(Box::default())
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
        *self.side(direction) = Side::Over(Walk::LOST);
        self.tell_if_over(out);
    }

    fn end(&mut self, _: Timestamp, out: &mut Vec<Said>) {
        self.client.close();
        self.server.close();
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

    fn sealed(&mut self) -> Option<Sealed> {
        let (Side::Over(client), Side::Over(server)) = (&self.client, &self.server) else { return None };
        self.is_done().then(|| Sealed::new([*client, *server]))
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
        self.client.close();
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
                    self.server.close();
                }
            }
            Step::Message(Message::Certificate(leaf)) if is_open => {
                self.leaf = Some(Box::new(certificate::leaf(&leaf)));
                self.server.close();
            }
            // After a HelloRetryRequest, the server may say that it changes its cipher long before it does.
            Step::Encrypted if self.agreed.is_some_and(|agreed| agreed.is_retry) => {}
            // A failure, an abbreviated handshake, or no certificate at all: nothing more is open.
            Step::Message(Message::ServerDone) | Step::Failed | Step::Encrypted => self.server.close(),
            Step::Message(_) => {}
            Step::Not => {
                self.server.close();
                self.is_plain = true;
            }
        }
    }

    fn tell_if_over(&mut self, out: &mut Vec<Said>) {
        let is_over = matches!((&self.client, &self.server), (Side::Over(_), Side::Over(_)));
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
    /// Reads no more messages.
    fn close(&mut self) {
        if let Self::Open(messages) = self {
            *self = Self::Over(messages.walk());
        }
    }

    fn next(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        match self {
            Self::Open(messages) => messages.next(bytes),
            Self::Over(walk) => (!walk.take(std::mem::take(bytes))).then_some(Step::Not),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Open(messages) => size_of::<Messages>() + messages.held(),
            Self::Over(_) => 0,
        }
    }
}
