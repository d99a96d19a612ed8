//! SMTP: the envelope, the letter and its attachments (RFC 5321, 3030, 3207).
//!
//! Led by what the client sends, since that is where the letters are; of the answers only those are needed that tell whether
//! DATA, BDAT, STARTTLS and AUTH were taken; what comes before such an answer is held until it is clear how to read it. Commands and answers are said for scanning as they are, but for credentials, which are
//! never kept; a letter is said as one, its attachments decoded in their places.

use khien_core::{
    Timestamp, Untrusted,
    event::Direction,
    traffic::{self, MAX_LISTED},
};

use super::{
    Follow, Said, Wants,
    body::{Piece, up_to},
    parts::Parts,
    tls::{Handshake, Sealed},
};
use asked::{Answer, Asked, Waiting};
use dots::Dots;

mod asked;
mod dots;
#[cfg(test)]
mod tests;

/// The longest line of a command that is read; RFC 5321 allows 512 bytes, extensions some more.
const MAX_COMMAND: usize = 4 << 10;
/// The longest address and name: RFC 5321 §4.5.3.1.
const MAX_ADDRESS: usize = 64 + 1 + 255;
/// The most bytes of a client that does not wait that are held for an answer; beyond them it is taken for granted.
const MAX_HELD: usize = 32 << 10;
/// The commands that servers know. What else stands behind AUTH may be a secret.
const VERBS: [&[u8]; 17] = [
    b"AUTH",
    b"BDAT",
    b"DATA",
    b"EHLO",
    b"ETRN",
    b"EXPN",
    b"HELO",
    b"HELP",
    b"LHLO",
    b"MAIL",
    b"NOOP",
    b"QUIT",
    b"RCPT",
    b"RSET",
    b"STARTTLS",
    b"TURN",
    b"VRFY",
];
/// The first byte of a TLS record with a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Follows one session.
#[derive(Debug)]
pub struct Session {
    wants: Wants,
    phase: Phase,
    /// The client's line that is not complete.
    line: Vec<u8>,
    /// The server's.
    reply: Vec<u8>,
    commands: Piece,
    replies: Piece,
    waiting: Waiting,
    /// What the client sent behind a command whose answer decides how that is read.
    held: Vec<u8>,
    /// Whether nothing is held for answers until one comes.
    is_unanswered: bool,
    /// Whether lines that are no commands may be credentials.
    may_be_secret: bool,
    /// When the client or the server spoke last.
    at: Timestamp,
    letter: Option<Box<Parts>>,
    mail: traffic::Smtp,
    has_told: bool,
    odd: u64,
}

#[derive(Debug)]
enum Phase {
    Commands,
    /// The answer decides what comes next.
    Asked(Asked),
    Data(Dots),
    /// So many bytes of the letter follow, and whether they are the last.
    Chunk(u64, bool),
    /// The server asked for credentials: the next line is one.
    Secret,
    /// STARTTLS was agreed to.
    Tls,
    /// TLS has begun.
    Dark(Box<Handshake>),
}

impl Session {
    /// Begins before the greeting, or later.
    #[must_use]
    pub fn new(wants: Wants) -> Self {
        Self {
            wants,
            phase: Phase::Commands,
            line: Vec::new(),
            reply: Vec::new(),
            commands: Piece::new(Direction::ToServer, wants.bodies),
            replies: Piece::new(Direction::ToClient, wants.bodies),
            waiting: Waiting::default(),
            held: Vec::new(),
            is_unanswered: false,
            may_be_secret: false,
            at: Timestamp::UNIX_EPOCH,
            letter: None,
            mail: traffic::Smtp::default(),
            has_told: false,
            odd: 0,
        }
    }

    fn sent(&mut self, mut bytes: &[u8], at: Timestamp, out: &mut Vec<Said>) {
        while !bytes.is_empty() {
            let used = match &mut self.phase {
                Phase::Dark(handshake) => {
                    handshake.take(Direction::ToServer, bytes, at, out);
                    self.commands.push(bytes);
                    bytes.len()
                }
                Phase::Tls if self.line.is_empty() && bytes[0] == TLS_HANDSHAKE => {
                    self.mail.tls = true;
                    self.tell(out);
                    self.phase = Phase::Dark(Box::default());
                    0
                }
                // Who does not wait for the answer may still not get what it asked for.
                Phase::Asked(_) if !self.is_unanswered && self.held.len() + bytes.len() <= MAX_HELD => {
                    self.held.extend_from_slice(bytes);
                    bytes.len()
                }
                Phase::Asked(_) => {
                    self.suppose(out);
                    0
                }
                Phase::Data(_) => self.data(bytes, out),
                Phase::Chunk(left, is_last) => {
                    let (left, is_last) = (*left, *is_last);
                    self.chunk(&bytes[..up_to(left, bytes.len())], left, is_last, out)
                }
                Phase::Commands | Phase::Secret | Phase::Tls => self.take_line(bytes, out),
            };
            bytes = &bytes[used..];
        }
        self.commands.flush(out);
        self.letter.iter_mut().for_each(|letter| letter.flush(out));
    }

    fn take_line(&mut self, bytes: &[u8], out: &mut Vec<Said>) -> usize {
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        self.line.extend_from_slice(&part[..part.len().min(MAX_COMMAND - self.line.len())]);
        if end.is_some() {
            let mut line = std::mem::take(&mut self.line);
            self.command(&line, out);
            line.clear();
            self.line = line;
        }
        part.len()
    }

    fn command(&mut self, line: &[u8], out: &mut Vec<Said>) {
        let text = line.trim_ascii();
        let end = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
        let (verb, rest) = (text[..end].to_ascii_uppercase(), text[end..].trim_ascii());
        let is_secret = matches!(self.phase, Phase::Secret);
        self.phase = Phase::Commands;
        if is_secret {
            return self.ask(Asked::Auth);
        }
        self.may_be_secret &= !VERBS.contains(&&verb[..]);
        match &verb[..] {
            b"AUTH" => self.commands.push(b"AUTH\r\n"),
            _ if self.may_be_secret => {}
            _ => self.commands.push(line),
        }
        let asked = match &verb[..] {
            b"AUTH" => Asked::Auth,
            b"DATA" => Asked::Data,
            b"STARTTLS" => Asked::Tls,
            b"BDAT" => self.chunk_of(rest),
            _ => Asked::Other,
        };
        match &verb[..] {
            b"AUTH" => self.may_be_secret = true,
            b"HELO" | b"EHLO" | b"LHLO" => self.mail.helo = Some(Untrusted::cut(rest, MAX_ADDRESS)),
            b"MAIL" => {
                out.push(Said::Exchange);
                self.reset();
                self.mail.from = Some(address(rest));
            }
            b"RCPT" if self.mail.to.len() < MAX_LISTED => self.mail.to.push(address(rest)),
            b"RSET" => self.reset(),
            _ => {}
        }
        self.ask(asked);
    }

    /// Waits for the answer to a command.
    fn ask(&mut self, asked: Asked) {
        self.odd += u64::from(!self.waiting.push(asked));
        if asked != Asked::Other {
            self.phase = Phase::Asked(asked);
        }
    }

    /// Goes on as if the server had taken what it was asked for: no answer is to be had. What was held is read.
    fn suppose(&mut self, out: &mut Vec<Said>) {
        let Phase::Asked(asked) = self.phase else { return };
        self.is_unanswered = true;
        match asked {
            // What follows may be credentials, or the next commands.
            Asked::Auth => self.phase = Phase::Commands,
            asked => self.taken(asked, out),
        }
        self.read_held(out);
    }

    /// The server took what it was asked for.
    fn taken(&mut self, asked: Asked, out: &mut Vec<Said>) {
        match asked {
            Asked::Data => {
                self.begin_letter(out);
                self.phase = Phase::Data(Dots::new());
            }
            Asked::Chunk(size, is_last) => {
                self.begin_letter(out);
                self.chunk(b"", size, is_last, out);
            }
            Asked::Auth => self.phase = Phase::Secret,
            Asked::Tls => self.phase = Phase::Tls,
            Asked::Other => self.phase = Phase::Commands,
        }
    }

    fn read_held(&mut self, out: &mut Vec<Said>) {
        let held = std::mem::take(&mut self.held);
        let at = self.at;
        self.sent(&held, at, out);
    }

    fn reset(&mut self) {
        self.mail = traffic::Smtp { helo: self.mail.helo.take(), ..traffic::Smtp::default() };
        self.letter = None;
    }

    fn begin_letter(&mut self, out: &mut Vec<Said>) {
        self.commands.restart(out);
        let wants = self.wants;
        self.letter.get_or_insert_with(|| Box::new(Parts::letter(Direction::ToServer, wants)));
    }

    fn data(&mut self, bytes: &[u8], out: &mut Vec<Said>) -> usize {
        let Phase::Data(dots) = &mut self.phase else { return 0 };
        let letter = &mut self.letter;
        let before = dots.odd;
        let (used, is_complete) =
            dots.push(bytes, &mut |content| letter.iter_mut().for_each(|l| l.push(content, out)));
        self.odd += dots.odd - before;
        if is_complete {
            self.odd += u64::from(!self.waiting.push(Asked::Other));
            self.end_letter(out);
        }
        used
    }

    fn chunk_of(&mut self, arguments: &[u8]) -> Asked {
        let mut words = arguments.split(|b| *b == b' ').filter(|w| !w.is_empty());
        let size = words.next().and_then(|w| std::str::from_utf8(w).ok()?.parse().ok());
        let Some(size) = size else {
            self.odd += 1;
            return Asked::Other;
        };
        Asked::Chunk(size, words.next().is_some_and(|w| w.eq_ignore_ascii_case(b"last")))
    }

    fn chunk(&mut self, bytes: &[u8], left: u64, is_last: bool, out: &mut Vec<Said>) -> usize {
        self.letter.iter_mut().for_each(|letter| letter.push(bytes, out));
        let left = left - bytes.len() as u64;
        match (left, is_last) {
            (0, true) => self.end_letter(out),
            (0, false) => {
                self.letter.iter_mut().for_each(|letter| letter.flush(out));
                self.phase = Phase::Commands;
            }
            _ => self.phase = Phase::Chunk(left, is_last),
        }
        bytes.len()
    }

    fn end_letter(&mut self, out: &mut Vec<Said>) {
        self.phase = Phase::Commands;
        let Some(mut letter) = self.letter.take() else { return };
        letter.end(out);
        let found = letter.found();
        self.odd = self.odd.saturating_add(found.odd);
        (self.mail.subject, self.mail.attachments) = (found.subject, found.names);
        self.tell(out);
        self.reset();
    }

    fn tell(&mut self, out: &mut Vec<Said>) {
        self.has_told = true;
        self.commands.flush(out);
        out.push(Said::Smtp(Box::new(self.mail.clone())));
    }

    fn replied(&mut self, mut bytes: &[u8], at: Timestamp, out: &mut Vec<Said>) {
        self.replies.push(bytes);
        if let Phase::Dark(handshake) = &mut self.phase {
            handshake.take(Direction::ToClient, bytes, at, out);
            return self.replies.flush(out);
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.hold_reply(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let reply = std::mem::take(&mut self.reply);
            if let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = &reply[..]
                && rest.first() != Some(&b'-')
            {
                self.reply([*a, *b, *c], out);
            }
        }
        self.hold_reply(bytes);
        self.replies.flush(out);
    }

    /// Of an answer the code is enough, and whether more of it comes.
    fn hold_reply(&mut self, bytes: &[u8]) {
        let room = 4 - self.reply.len().min(4);
        self.reply.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn reply(&mut self, code: [u8; 3], out: &mut Vec<Said>) {
        self.is_unanswered = false;
        let answered = self.waiting.answered(code);
        match (&self.phase, answered) {
            (Phase::Asked(asked), Some(of)) if *asked == of => self.decide(of, code, out),
            // What was taken for granted is refused: nobody can say how what came since is to be read.
            (Phase::Data(_) | Phase::Chunk(..), Some(of)) if of.answer(code) == Answer::Refused => {
                self.odd += 1;
                self.letter.iter_mut().for_each(|letter| letter.cut());
                self.end_letter(out);
            }
            (Phase::Data(dots), None) if code[0] != b'3' && dots.may_have_ended() => self.end_letter(out),
            _ => {}
        }
    }

    /// The answer decides how what was held is read.
    fn decide(&mut self, asked: Asked, code: [u8; 3], out: &mut Vec<Said>) {
        match asked.answer(code) {
            Answer::Taken if &code == b"235" => {
                self.may_be_secret = false;
                self.phase = Phase::Commands;
            }
            Answer::Taken => self.taken(asked, out),
            Answer::Refused => self.phase = Phase::Commands,
            Answer::Unclear => return self.suppose(out),
        }
        self.read_held(out);
    }
}

impl Follow for Session {
    fn take(&mut self, direction: Direction, bytes: &[u8], at: Timestamp, out: &mut Vec<Said>) {
        self.at = at;
        match direction {
            Direction::ToServer => self.sent(bytes, at, out),
            Direction::ToClient => self.replied(bytes, at, out),
        }
    }

    fn lost(&mut self, direction: Direction, bytes: u64, out: &mut Vec<Said>) {
        if let Phase::Dark(handshake) = &mut self.phase {
            handshake.lost(direction, bytes, out);
        }
        self.suppose(out);
        if direction == Direction::ToClient {
            self.reply.clear();
            self.waiting.clear();
            return self.replies.restart(out);
        }
        self.line.clear();
        self.commands.restart(out);
        self.letter.iter_mut().for_each(|letter| letter.cut());
        match &mut self.phase {
            Phase::Data(dots) => dots.lose(),
            Phase::Chunk(left, _) => match left.checked_sub(bytes).filter(|left| *left > 0) {
                Some(now) => *left = now,
                None => self.end_letter(out),
            },
            _ => {}
        }
    }

    fn end(&mut self, at: Timestamp, out: &mut Vec<Said>) {
        self.suppose(out);
        if let Phase::Dark(handshake) = &mut self.phase {
            return handshake.end(at, out);
        }
        if self.letter.is_some() {
            self.letter.iter_mut().for_each(|letter| letter.cut());
            self.end_letter(out);
        }
        let is_news = self.mail.from.is_some() || !self.has_told && self.mail.helo.is_some();
        if is_news {
            self.tell(out);
        }
    }

    fn held(&self) -> usize {
        let addresses: usize = self.mail.to.iter().map(|a| a.raw().len()).sum();
        let letter = self.letter.as_ref().map_or(0, |letter| letter.held());
        let handshake = if let Phase::Dark(handshake) = &self.phase { handshake.held() } else { 0 };
        self.line.capacity() + self.held.capacity() + self.waiting.held() + addresses + letter + handshake
    }

    fn is_done(&self) -> bool {
        matches!(&self.phase, Phase::Dark(handshake) if handshake.is_done())
    }

    fn sealed(&mut self) -> Option<Sealed> {
        let Phase::Dark(handshake) = &mut self.phase else { return None };
        handshake.sealed()
    }

    fn odd(&self) -> u64 {
        self.odd
    }
}

/// Reads `FROM:<a@b.example> SIZE=5`.
fn address(text: &[u8]) -> Untrusted {
    let text = memchr::memchr(b':', text).map_or(text, |colon| &text[colon + 1..]).trim_ascii();
    let inner = text.strip_prefix(b"<").and_then(|t| Some(&t[..memchr::memchr(b'>', t)?]));
    let word = inner.or_else(|| text.split(|b| *b == b' ').next()).unwrap_or(text);
    Untrusted::cut(word, MAX_ADDRESS)
}
