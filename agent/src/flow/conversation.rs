//! One TCP connection: two streams, what they carry, and the turns the two ends take.

use std::net::SocketAddr;

use khien_core::{
    Untrusted,
    event::{Application, Direction, FlowFacts, Transport},
};

use super::{
    DNS_PORT, Effect, FlowId, Job, MAX_NAME, MAX_URL, Origin,
    stream::{Piece, Stream},
    window::{Cut, Window},
};
use crate::decode::{Segment, dns, http, tls};

/// The most bytes of a message that are looked at to tell what it is.
const MAX_HEAD: usize = http::MAX_HEAD;
/// A beginning of a message is told from a lucky byte by at least so many bytes.
const SURE: usize = 16;
/// What a conversation without content takes in memory, roughly.
const EMPTY: usize = 1024;

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Conversation {
    id: FlowId,
    interface: Untrusted,
    client: SocketAddr,
    server: SocketAddr,
    to_server: Side,
    to_client: Side,
    talking: Option<Direction>,
    /// Counts requests, for protocols in which they can be told.
    exchange: u64,
    /// The client's message from its beginning, while it is not clear yet what it is.
    head: Option<Vec<u8>>,
    /// How many questions of `head` were passed on, for DNS.
    asked: usize,
    application: Application,
    name: Option<Untrusted>,
    url: Option<Untrusted>,
    /// Encrypted: there is nothing to scan.
    is_opaque: bool,
    was_reset: bool,
    missing: u64,
}

#[derive(Debug, Default)]
struct Side {
    stream: Stream,
    window: Window,
    exchange: u64,
    /// How long the stream was when a hole was last looked for.
    mark: Option<u64>,
}

impl Conversation {
    /// Begins with the first segment that was seen. The client is who sends the SYN; without one, the end with the
    /// higher port.
    pub(super) fn new(id: FlowId, interface: Untrusted, segment: &Segment<'_>) -> Self {
        let (from, to) = (segment.source, segment.destination);
        let is_from_client = match (segment.flags.syn, segment.flags.ack) {
            (true, is_answer) => !is_answer,
            (false, _) => from.port() >= to.port(),
        };
        let (client, server) = if is_from_client { (from, to) } else { (to, from) };
        Self {
            id,
            interface,
            client,
            server,
            to_server: Side::default(),
            to_client: Side::default(),
            talking: None,
            exchange: 0,
            head: None,
            asked: 0,
            application: Application::Unknown,
            name: None,
            url: None,
            is_opaque: false,
            was_reset: false,
            missing: 0,
        }
    }

    /// Takes a segment of this connection.
    pub(super) fn handle(&mut self, segment: &Segment<'_>, out: &mut Vec<Effect>) {
        let direction = self.direction(segment);
        let flags = segment.flags;
        let first = segment.seq.wrapping_add(u32::from(flags.syn));
        if flags.rst {
            if self.side(direction).stream.is_near(segment.seq) {
                self.was_reset = true;
                self.scan_rest(out);
            }
            return;
        }
        if flags.syn {
            self.side(direction).stream.begin(first);
        }
        if flags.syn && flags.ack {
            self.side(opposite(direction)).stream.begin(segment.ack);
        }
        if segment.payload.is_empty() && !flags.fin {
            return;
        }
        let pieces = self.side(direction).stream.take(first, segment.payload, flags.fin);
        self.deliver_all(direction, pieces, out);
        if self.side(direction).stream.is_whole() {
            self.scan_all(direction, out);
        }
    }

    /// Tells whether a segment opens a new connection between the same ports.
    pub(super) fn is_replaced_by(&self, segment: &Segment<'_>) -> bool {
        let side = match self.direction(segment) {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        let is_empty = self.to_server.stream.length() == 0 && self.to_client.stream.length() == 0;
        // A lone SYN in the middle of a living connection may be forged; the answer to it is not.
        segment.flags.syn
            && side.stream.is_other(segment.seq.wrapping_add(1))
            && (is_empty || self.has_ended() || segment.flags.ack)
    }

    /// Returns its name.
    pub(super) fn id(&self) -> FlowId {
        self.id
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        let side = |s: &Side| s.stream.held() + s.window.held();
        EMPTY + side(&self.to_server) + side(&self.to_client) + self.head.as_ref().map_or(0, Vec::len)
    }

    /// Tells whether bytes wait to be scanned.
    pub(super) fn is_fresh(&self) -> bool {
        self.to_server.window.is_fresh() || self.to_client.window.is_fresh()
    }

    /// Tells whether bytes wait behind a hole.
    pub(super) fn has_hole(&self) -> bool {
        self.to_server.stream.has_hole() || self.to_client.stream.has_hole()
    }

    /// Tells whether it is over.
    pub(super) fn has_ended(&self) -> bool {
        self.was_reset || self.to_server.stream.is_whole() && self.to_client.stream.is_whole()
    }

    /// Returns how many bytes never came by, since the last call.
    pub(super) fn take_missing(&mut self) -> u64 {
        std::mem::take(&mut self.missing)
    }

    /// Scans what waited for more.
    pub(super) fn quiet(&mut self, out: &mut Vec<Effect>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let cut = self.side(direction).window.tail();
            self.scan(direction, cut, out);
        }
    }

    /// Gives up on holes that were already there the last time.
    pub(super) fn pass_old_holes(&mut self, out: &mut Vec<Effect>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let side = self.side(direction);
            let at = Some(side.stream.length());
            if side.stream.has_hole() && side.mark == at {
                let pieces = side.stream.pass_hole();
                self.deliver_all(direction, pieces, out);
            } else {
                side.mark = at;
            }
        }
    }

    /// Gives out everything that is left.
    pub(super) fn finish(&mut self, out: &mut Vec<Effect>) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            while self.side(direction).stream.has_hole() {
                let pieces = self.side(direction).stream.pass_hole();
                self.deliver_all(direction, pieces, out);
            }
        }
        self.scan_rest(out);
    }

    fn deliver_all(&mut self, direction: Direction, pieces: Vec<Piece>, out: &mut Vec<Effect>) {
        for piece in pieces {
            self.deliver(direction, &piece, out);
        }
    }

    fn deliver(&mut self, direction: Direction, piece: &Piece, out: &mut Vec<Effect>) {
        if piece.lost > 0 {
            self.missing += piece.lost;
            self.scan_all(direction, out);
            self.side(direction).window.restart(piece.offset);
            self.head = self.head.take().filter(|_| direction == Direction::ToClient);
        }
        if self.talking != Some(direction) {
            self.turn(direction, piece, out);
        }
        match direction {
            Direction::ToServer => self.recognise_request(&piece.bytes, out),
            Direction::ToClient => self.recognise_answer(&piece.bytes),
        }
        if !self.is_opaque {
            let cuts = self.side(direction).window.push(&piece.bytes);
            for cut in cuts {
                self.scan(direction, Some(cut), out);
            }
        }
    }

    /// The other end begins to talk: what the first said is complete for now.
    fn turn(&mut self, direction: Direction, piece: &Piece, out: &mut Vec<Effect>) {
        let is_first = direction == Direction::ToServer && piece.offset == 0;
        if let Some(before) = self.talking.replace(direction) {
            let cut = self.side(before).window.pause();
            self.scan(before, cut, out);
        }
        if direction == Direction::ToServer && (is_first || self.is_request(&piece.bytes)) {
            self.scan_rest(out);
            self.exchange += 1;
            self.head = Some(Vec::new());
            (self.name, self.url, self.asked) = (None, None, 0);
        }
        let exchange = self.exchange;
        let side = self.side(direction);
        if side.exchange != exchange {
            side.exchange = exchange;
            side.window.restart(piece.offset);
        }
    }

    fn is_request(&self, bytes: &[u8]) -> bool {
        let is_http = http::begins(bytes) && (self.application == Application::Http || bytes.len() >= SURE);
        !self.is_opaque && (is_http || self.server.port() == DNS_PORT)
    }

    fn recognise_answer(&mut self, bytes: &[u8]) {
        if self.application == Application::Unknown && http::begins_answer(bytes) {
            self.application = Application::Http;
        }
    }

    /// Collects the beginning of the client's message until it is clear what it is.
    fn recognise_request(&mut self, bytes: &[u8], out: &mut Vec<Effect>) {
        let Some(mut head) = self.head.take() else { return };
        let known = head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD - known)]);
        let needs_more = if self.server.port() == DNS_PORT {
            self.recognise_dns(&head, out)
        } else if tls::begins(&head) {
            self.recognise_tls(&head, out)
        } else {
            self.recognise_http(&head, known, out)
        };
        self.head = Some(head).filter(|h| needs_more && h.len() < MAX_HEAD);
    }

    fn recognise_dns(&mut self, head: &[u8], out: &mut Vec<Effect>) -> bool {
        self.application = Application::Dns;
        let questions = dns::questions(head);
        for question in questions.iter().skip(self.asked) {
            self.name = Some(Untrusted::cut(&question.name, MAX_NAME));
            self.named(out);
        }
        self.asked = questions.len();
        true
    }

    fn recognise_tls(&mut self, head: &[u8], out: &mut Vec<Effect>) -> bool {
        match tls::client_hello(head) {
            tls::Hello::Partial => return true,
            tls::Hello::Not => {}
            tls::Hello::Whole(name) => {
                self.application = Application::Tls;
                self.is_opaque = true;
                self.name = name.map(|n| Untrusted::cut(&n, MAX_NAME));
                self.to_server.window.restart(0);
                self.to_client.window.restart(0);
                self.named(out);
            }
        }
        false
    }

    fn recognise_http(&mut self, head: &[u8], known: usize, out: &mut Vec<Effect>) -> bool {
        if !http::begins(head) {
            return false;
        }
        self.application = Application::Http;
        // Reading is tried once, at the blank line, so that a head in tiny segments costs no more than one in one.
        let fresh = &head[known.saturating_sub(3)..];
        let is_complete = fresh.windows(3).any(|w| w == b"\n\r\n") || fresh.windows(2).any(|w| w == b"\n\n");
        if !is_complete && head.len() < MAX_HEAD {
            return true;
        }
        if let http::Head::Whole(asked) = http::request(head, &self.server.to_string()) {
            self.name = asked.host.map(|h| Untrusted::cut(&h, MAX_NAME));
            self.url = Some(Untrusted::cut(&asked.url, MAX_URL));
            self.named(out);
        }
        false
    }

    fn named(&self, out: &mut Vec<Effect>) {
        if self.name.is_some() {
            out.push(Effect::Named(
                Origin::Exchange(self.id, self.exchange),
                self.facts(Direction::ToServer),
            ));
        }
    }

    fn scan_rest(&mut self, out: &mut Vec<Effect>) {
        self.scan_all(Direction::ToServer, out);
        self.scan_all(Direction::ToClient, out);
    }

    fn scan_all(&mut self, direction: Direction, out: &mut Vec<Effect>) {
        let cut = self.side(direction).window.all();
        self.scan(direction, cut, out);
    }

    fn scan(&mut self, direction: Direction, cut: Option<Cut>, out: &mut Vec<Effect>) {
        let Some(Cut { offset, bytes }) = cut else { return };
        let origin = Origin::Exchange(self.id, self.side(direction).exchange);
        out.push(Effect::Scan(Job { origin, facts: self.facts(direction), offset, bytes }));
    }

    fn facts(&self, direction: Direction) -> FlowFacts {
        FlowFacts {
            transport: Transport::Tcp,
            client: self.client,
            server: self.server,
            direction,
            interface: self.interface.clone(),
            application: self.application,
            name: self.name.clone(),
            url: self.url.clone(),
        }
    }

    fn direction(&self, segment: &Segment<'_>) -> Direction {
        match segment.source == self.client {
            true => Direction::ToServer,
            false => Direction::ToClient,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}
