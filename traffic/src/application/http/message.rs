//! The messages of one direction: head, body, head, body, and what is none of these.

use khien_core::event::Direction;

use super::{
    exchange::{Exchanges, Framing},
    head::{self, Head, MAX_LINE, Progress},
};
use crate::application::{
    Said, Wants,
    body::{Chunked, Chunks, Piece, Unpacker, up_to},
    file::Gather,
    mime,
    parts::Parts,
};

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Side {
    direction: Direction,
    wants: Wants,
    state: State,
    piece: Piece,
}

#[derive(Debug)]
enum State {
    /// The next byte begins a message.
    Between,
    Head(Box<Head>),
    Body(Box<Body>),
    /// What comes is no HTTP, until a line looks like the first of a message again. Holds the line that is not complete.
    Seek(Vec<u8>),
    /// What comes is no HTTP any more.
    Raw,
}

#[derive(Debug)]
struct Body {
    framing: Framed,
    unpacker: Option<Unpacker>,
    file: Option<Carries>,
    /// Bytes so far, without chunks, before unpacking.
    sent: u64,
}

#[derive(Debug)]
enum Framed {
    Length(u64),
    Chunked(Chunks),
    Close,
}

/// What of a body is a file.
#[derive(Debug)]
enum Carries {
    All(Gather),
    Parts(Box<Parts>),
}

impl Side {
    pub(super) fn new(direction: Direction, wants: Wants) -> Self {
        Self { direction, wants, state: State::Between, piece: Piece::new(direction, wants.bodies) }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, mut bytes: &[u8], exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        self.piece.expect(bytes.len());
        while !bytes.is_empty() {
            let used = match &self.state {
                State::Between => self.between(bytes, exchanges, out),
                State::Head(_) => self.head(bytes, exchanges, out),
                State::Body(_) => self.body(bytes, exchanges, out),
                State::Seek(_) => self.seek(bytes, exchanges, out),
                State::Raw => {
                    self.piece.push(bytes);
                    bytes.len()
                }
            };
            bytes = &bytes[used..];
        }
        self.piece.flush(out);
    }

    /// Passes over bytes that never came by: within a body as far as its length is known, else up to the next message.
    pub(super) fn lost(&mut self, bytes: u64, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        let mut ends = false;
        if let State::Body(body) = &mut self.state
            && body.lost(bytes)
        {
            ends = matches!(body.framing, Framed::Length(0));
            // What follows is not joined to what came before.
            self.piece.restart(out);
        } else {
            self.give_up(exchanges, out);
            exchanges.lost(self.direction);
        }
        if ends {
            self.finish(exchanges, out);
        }
    }

    /// Says what is left.
    pub(super) fn end(&mut self, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        match &self.state {
            State::Body(body) if matches!(body.framing, Framed::Close) => self.finish(exchanges, out),
            _ => self.give_up(exchanges, out),
        }
    }

    /// States that no HTTP follows.
    pub(super) fn leave(&mut self, out: &mut Vec<Said>) {
        self.state = State::Raw;
        self.piece.restart(out);
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Between | State::Raw => 0,
            State::Head(head) => size_of::<Head>() + head.held(),
            State::Body(body) => body.held(),
            State::Seek(line) => line.capacity(),
        }
    }

    fn between(&mut self, bytes: &[u8], exchanges: &mut Exchanges, out: &mut Vec<Said>) -> usize {
        let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        self.piece.push(&bytes[..blank]);
        if blank < bytes.len() {
            self.begin(exchanges, out);
        }
        blank
    }

    fn begin(&mut self, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        self.piece.restart(out);
        exchanges.begun(self.direction, out);
        self.state = State::Head(Box::default());
    }

    fn head(&mut self, bytes: &[u8], exchanges: &mut Exchanges, out: &mut Vec<Said>) -> usize {
        let State::Head(head) = &mut self.state else { return 0 };
        let (used, progress) = head.take(self.direction, bytes);
        self.piece.push(&bytes[..used]);
        match progress {
            Progress::More => {}
            Progress::Not => {
                exchanges.odd += 1;
                self.give_up(exchanges, out);
            }
            Progress::Whole => {
                let head = std::mem::take(&mut **head);
                self.headed(&head, exchanges, out);
            }
        }
        used
    }

    fn headed(&mut self, head: &Head, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        let framing = match self.direction {
            Direction::ToServer => exchanges.asked(head, out),
            Direction::ToClient => exchanges.answered(head),
        };
        let framing = match framing {
            Framing::Length(length) => Framed::Length(length),
            Framing::Chunked => Framed::Chunked(Chunks::default()),
            Framing::Close => Framed::Close,
            Framing::Tunnel => {
                exchanges.finished(self.direction, 0, out);
                exchanges.is_tunnel = true;
                return self.leave(out);
            }
        };
        let is_empty = matches!(framing, Framed::Length(0));
        let file = if self.wants.files && !is_empty { self.carries(head, exchanges) } else { None };
        let is_read = self.wants.bodies || file.is_some();
        let unpacker = if is_read && !is_empty { Unpacker::new(&head.codings()) } else { None };
        self.state = State::Body(Box::new(Body { framing, unpacker, file, sent: 0 }));
        if is_empty {
            self.finish(exchanges, out);
        }
    }

    /// Tells what of the body is a file: all of it, but for forms, of which it is those parts that have a file's name.
    fn carries(&self, head: &Head, exchanges: &mut Exchanges) -> Option<Carries> {
        let content_type = head.content_type.as_deref();
        if let Some(boundary) = content_type.and_then(|t| mime::boundary(t, b"multipart/form-data")) {
            return Some(Carries::Parts(Box::new(Parts::form(self.direction, boundary))));
        }
        if content_type.is_some_and(|t| mime::word(t) == b"application/x-www-form-urlencoded") {
            return None;
        }
        let given = head.disposition.as_deref().and_then(mime::file_name);
        let name = given.as_deref().or_else(|| match &head.start {
            Some(head::Start::Request { target, .. }) => last_segment(target),
            _ => last_segment(exchanges.target()?),
        });
        let mut file = Gather::new(self.direction, name, content_type);
        if head.is_packed() || matches!(head.start, Some(head::Start::Answer { status: 206 })) {
            file.cut();
        }
        Some(Carries::All(file))
    }

    fn body(&mut self, bytes: &[u8], exchanges: &mut Exchanges, out: &mut Vec<Said>) -> usize {
        let State::Body(body) = &mut self.state else { return 0 };
        let (used, chunk) = body.framing.next(bytes);
        let mut is_over = false;
        match chunk {
            Chunked::Data(data) => {
                body.content(data, exchanges, &mut self.piece, out);
                is_over = matches!(body.framing, Framed::Length(0));
            }
            Chunked::Broken => {
                exchanges.odd += 1;
                self.give_up(exchanges, out);
            }
            Chunked::End => {
                exchanges.odd += u64::from(body.framing.has_extension());
                is_over = true;
            }
            Chunked::More => {}
        }
        if is_over {
            self.finish(exchanges, out);
        }
        used
    }

    /// The message is complete.
    fn finish(&mut self, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        if let State::Body(body) = std::mem::replace(&mut self.state, State::Between) {
            self.piece.flush(out);
            let sent = body.sent;
            exchanges.odd += body.say(out);
            exchanges.finished(self.direction, sent, out);
        }
    }

    /// The message is as complete as it gets, and where the next begins is not known.
    fn give_up(&mut self, exchanges: &mut Exchanges, out: &mut Vec<Said>) {
        self.piece.restart(out);
        match std::mem::replace(&mut self.state, State::Seek(Vec::new())) {
            State::Head(head) if head.start.is_some() => {
                match self.direction {
                    Direction::ToServer => exchanges.asked(&head, out),
                    Direction::ToClient => exchanges.answered(&head),
                };
                exchanges.finished(self.direction, 0, out);
            }
            State::Body(mut body) => {
                body.cut();
                let sent = body.sent;
                exchanges.odd += body.say(out);
                exchanges.finished(self.direction, sent, out);
            }
            State::Raw => self.state = State::Raw,
            State::Between | State::Head(_) | State::Seek(_) => {}
        }
    }

    /// Looks at each line whether a message begins in it.
    fn seek(&mut self, bytes: &[u8], exchanges: &mut Exchanges, out: &mut Vec<Said>) -> usize {
        let State::Seek(held) = &mut self.state else { return 0 };
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        self.piece.push(part);
        let is_alone = held.is_empty() && end.is_some();
        if !is_alone {
            held.extend_from_slice(&part[..part.len().min(MAX_LINE - held.len())]);
        }
        if end.is_none() {
            return part.len();
        }
        let line = std::mem::take(held);
        let line = if is_alone { part } else { &line[..] };
        if let Some(at) = head::find_start(self.direction, line) {
            self.begin(exchanges, out);
            self.head(&line[at..], exchanges, out);
        }
        part.len()
    }
}

impl Body {
    fn content(&mut self, data: &[u8], exchanges: &mut Exchanges, piece: &mut Piece, out: &mut Vec<Said>) {
        self.sent = self.sent.saturating_add(data.len() as u64);
        let file = &mut self.file;
        let Some(unpacker) = &mut self.unpacker else {
            piece.push(data);
            return carry(file, data, out);
        };
        if unpacker.is_bomb() {
            return piece.push(data);
        }
        let was_blind = unpacker.is_blind() && self.sent > data.len() as u64;
        unpacker.push(data, &mut exchanges.budget, &mut |block| {
            piece.push(block);
            carry(file, block, out);
        });
        if unpacker.is_blind() && !was_blind {
            exchanges.odd += 1;
            self.cut();
        }
    }

    /// Passes over bytes that are missing, if it is sure that they belong to the body.
    fn lost(&mut self, bytes: u64) -> bool {
        let is_within = match &mut self.framing {
            Framed::Length(left) => left.checked_sub(bytes).map(|now| *left = now).is_some(),
            Framed::Chunked(chunks) => chunks.skip(bytes),
            Framed::Close => true,
        };
        if is_within {
            self.sent = self.sent.saturating_add(bytes);
            self.cut();
            self.unpacker.iter_mut().for_each(Unpacker::lose);
        }
        is_within
    }

    fn cut(&mut self) {
        match &mut self.file {
            Some(Carries::All(file)) => file.cut(),
            Some(Carries::Parts(parts)) => parts.cut(),
            None => {}
        }
    }

    /// Says its files; returns what was odd in a form.
    fn say(self, out: &mut Vec<Said>) -> u64 {
        match self.file {
            Some(Carries::All(file)) => file.say(out),
            Some(Carries::Parts(mut parts)) => {
                parts.end(out);
                return parts.found().odd;
            }
            None => {}
        }
        0
    }

    fn held(&self) -> usize {
        let file = match &self.file {
            Some(Carries::All(file)) => file.held(),
            Some(Carries::Parts(parts)) => parts.held(),
            None => 0,
        };
        size_of::<Self>() + file + self.unpacker.as_ref().map_or(0, Unpacker::held)
    }
}

impl Framed {
    fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Chunked<'a>) {
        let data = match self {
            Self::Length(left) => &bytes[..up_to(*left, bytes.len())],
            Self::Chunked(chunks) => return chunks.next(bytes),
            Self::Close => bytes,
        };
        if let Self::Length(left) = self {
            *left -= data.len() as u64;
        }
        (data.len(), Chunked::Data(data))
    }
}

impl Framed {
    fn has_extension(&self) -> bool {
        matches!(self, Self::Chunked(chunks) if chunks.has_extension())
    }
}

fn carry(file: &mut Option<Carries>, bytes: &[u8], out: &mut Vec<Said>) {
    match file {
        Some(Carries::All(file)) => file.push(bytes),
        Some(Carries::Parts(parts)) => parts.push(bytes, out),
        None => {}
    }
}

/// Returns the last segment of a target's path, without the query.
fn last_segment(target: &[u8]) -> Option<&[u8]> {
    let path = target.split(|b| matches!(b, b'?' | b'#')).next()?;
    let path = path
        .strip_prefix(b"http://")
        .map_or(path, |rest| rest.splitn(2, |b| *b == b'/').nth(1).unwrap_or(b""));
    path.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty())
}
