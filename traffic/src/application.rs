//! What flows carry: recognised by their first bytes, followed as far as they are open.
//!
//! A follower takes the bytes of both directions in order, each once, and says what they mean. It knows nothing of packets.

use khien_core::{
    Timestamp, Untrusted,
    event::Direction,
    traffic::{Dns, Http, Smtp, Tls},
};

mod body;
pub mod certificate;
pub mod dns;
mod file;
pub mod http;
pub mod ja4;
mod mime;
mod parts;
pub mod quic;
mod reader;
pub mod recognise;
pub mod smtp;
pub mod tls;
mod transfer;

/// What of the content is worth a copy: without readers bodies are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// Whether streams are scanned: [`Said::Body`].
    pub bodies: bool,
    /// Whether files are hashed and scanned: [`Said::File`].
    pub files: bool,
}

impl Wants {
    /// Everything.
    pub const ALL: Self = Self { bodies: true, files: true };
    /// Records alone.
    pub const NOTHING: Self = Self { bodies: false, files: false };
}

/// Follows what one connection carries. Bounded: what it holds is told by [`held`](Self::held).
pub trait Follow: std::fmt::Debug + Send {
    /// Takes the next bytes of one direction and says what is clear now.
    fn take(&mut self, direction: Direction, bytes: &[u8], at: Timestamp, out: &mut Vec<Said>);
    /// Hears that bytes of one direction never came by; what follows is not joined to what came before.
    fn lost(&mut self, direction: Direction, bytes: u64, out: &mut Vec<Said>);
    /// Hears that no more bytes come and says what is left.
    fn end(&mut self, at: Timestamp, out: &mut Vec<Said>);
    /// Returns how many bytes of memory it holds, roughly, beside itself.
    fn held(&self) -> usize;
    /// Tells whether everything that follows is encrypted or of no interest: no more bytes need to be brought.
    fn is_done(&self) -> bool;
    /// Tells whether the bytes turned out to be something else, of which it says nothing: what follows is scanned as it is.
    fn is_other(&self) -> bool {
        false
    }
    /// Returns what watches the rest in its place, once that is encrypted if both ends mean what they said.
    fn sealed(&mut self) -> Option<tls::Sealed> {
        None
    }
    /// Returns how much was odd so far: what two ends may read in two ways, what is meant to exhaust its reader, and what
    /// was passed over by a bound.
    fn odd(&self) -> u64 {
        0
    }
}

/// What a follower says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something begins: what comes now, either way, belongs to another exchange than what came before.
    Exchange,
    /// A request begins: what goes to the server now belongs to another exchange. What comes from there does not yet: clients
    /// ask for the next thing before they have the last one.
    Request,
    /// An answer begins: what comes from the server now belongs to it.
    Answer(Box<Answered>),
    /// A name, and for HTTP a URL, is asked for, in the exchange of what goes to the server.
    Asked {
        /// The name, without port.
        name: Option<Untrusted>,
        /// The whole URL; where no host was named it begins with `/`, and the server's address belongs before it.
        url: Option<Untrusted>,
    },
    /// A DNS message.
    Dns(Box<Dns>),
    /// A handshake is as clear as it gets.
    Tls(Box<Tls>),
    /// An exchange is complete.
    Http(Box<Http>),
    /// A letter is complete, or the session ended or went over to TLS.
    Smtp(Box<Smtp>),
    /// Bytes to scan as a stream in place of the raw ones: a follower that says this brings every byte so, heads and what
    /// it does not understand included. A message reads as one: its head, then its body without chunks and compression; a
    /// letter, then each decoded attachment. `offset` counts within that. Where it is not where the last piece of this
    /// direction ended, something new begins.
    Body {
        /// Which way it goes.
        direction: Direction,
        /// Where the bytes stand in the body.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file that was carried.
    File(Box<Carried>),
}

/// To which request an answer belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many exchanges began after that of the request; nothing if the request was not seen, which makes the answer an
    /// exchange of its own.
    pub back: Option<u64>,
    /// The name that was asked for, as in [`Said::Asked`].
    pub name: Option<Untrusted>,
    /// The URL, as in [`Said::Asked`].
    pub url: Option<Untrusted>,
}

/// A file that was carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Which way it went.
    pub direction: Direction,
    /// Its name, where one was given.
    pub name: Option<Untrusted>,
    /// The type that the sender stated.
    pub content_type: Option<Untrusted>,
    /// Its bytes, unpacked, as far as the caps allow.
    pub bytes: Vec<u8>,
    /// Its size, unpacked, as far as it was seen.
    pub size: u64,
    /// Whether `bytes` is all of it.
    pub whole: bool,
}
