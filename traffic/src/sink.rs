//! Where what was seen goes.

use std::net::IpAddr;

use khien_core::{
    Sha256, Timestamp, Untrusted,
    event::{Direction, FlowFacts},
    traffic::{Ends, File, Record, What},
};

/// Takes what the engine sees, as it sees it. Must not wait.
pub trait Sink {
    /// Takes a flow that just began: its first packet was seen.
    fn opened(&mut self, ends: &Ends, at: Timestamp) {
        let _ = (ends, at);
    }

    /// Takes a flow whose client was seen to send: at once where that opened it, and never where the other end alone sends, which
    /// may have made a client of whom it likes.
    fn asked(&mut self, ends: &Ends, at: Timestamp) {
        let _ = (ends, at);
    }

    /// Takes a name or a URL the moment it is asked for, before the answer.
    fn named(&mut self, named: Named) {
        let _ = named;
    }

    /// Takes a record that is complete.
    fn record(&mut self, record: Record) {
        let _ = record;
    }

    /// Tells whether these bytes of a stream, which would be one [`Job`], are to be scanned: asked before they are copied.
    fn wants(&mut self, bytes: &[u8]) -> bool {
        let _ = bytes;
        true
    }

    /// Takes bytes of a stream that are to be scanned with the rules for streams.
    fn scan(&mut self, job: Job) {
        let _ = job;
    }

    /// Takes a file that was carried, to be hashed and scanned with all rules.
    fn content(&mut self, content: Content) {
        let _ = content;
    }

    /// Takes a sign that somebody sends packets past this sensor.
    fn evaded(&mut self, sign: Evasion) {
        let _ = sign;
    }
}

/// A sign that packets say one thing to a sensor and another to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evasion {
    /// How.
    pub trick: Trick,
    /// When, by the clock of the capture.
    pub at: Timestamp,
    /// Who opened the flow, or is said to have sent the piece.
    pub client: IpAddr,
    /// The other end.
    pub server: IpAddr,
    /// The flow, where it is known.
    pub flow: Option<Box<FlowFacts>>,
}

/// What is done to a sensor that sees other packets than the host, or takes them otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// A TCP segment contradicts an earlier copy of the same bytes.
    Copy,
    /// A piece of an IP packet contradicts another, or overlaps it where no honest sender's does.
    Piece,
    /// A reset that its receiver would not obey.
    Reset,
}

/// Tells exchanges of flows apart: what is found in one exchange is one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The flow's number.
    pub flow: u64,
    /// A request and its answer; 0 where they cannot be told apart.
    pub exchange: u64,
}

/// A name or a URL that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Where.
    pub origin: Origin,
    /// The flow as it is known now, with the name and the URL.
    pub facts: FlowFacts,
}

/// Bytes to scan, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What a hit is counted for.
    pub origin: Origin,
    /// The flow as it is known now.
    pub facts: FlowFacts,
    /// Where the bytes begin in the stream, or in the unpacked body.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A file that was carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where.
    pub origin: Origin,
    /// The flow as it is known now.
    pub facts: FlowFacts,
    /// Which flow, for the record of kind `file` that is written once the digest is known.
    pub ends: Ends,
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

impl Content {
    /// Returns the record of it, once its digest is known.
    #[must_use]
    pub fn record(&self, sha256: Sha256, at: Timestamp) -> Record {
        let file = File {
            direction: self.direction,
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            size: self.size,
            whole: self.whole,
            sha256: Some(sha256),
        };
        Record { at, ends: self.ends.clone(), what: What::File(Box::new(file)) }
    }
}
