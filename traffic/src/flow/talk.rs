//! What a flow says, while that is of use: the follower of its application, and the bytes that are to be scanned.
//!
//! ```text
//! piece ─► not sure yet ──► follower ─► Said ─► records, names, files, bodies ─► windows ─► Job
//!                └────────► raw ───────────────────────────────────────────────►┘
//! ```
//! Much larger than an [`Entry`](super::entry::Entry), so it is made when a flow first carries bytes and dropped as soon as
//! nothing more can be read.

use std::borrow::Cow;

use khien_core::{
    event::{Application, Direction},
    traffic::What,
};

use super::{
    key::Seed,
    scene::Scene,
    stream::Piece,
    unsure::{Sure, Unsure},
    window::Window,
};
use crate::application::{Follow, Wants, quic::Initials, tls::Sealed};

mod heard;
mod side;

use side::{About, Side};

/// How often a stream whose beginning was not seen is looked at anew, at turns of the talk.
const MAX_TRIES: u8 = 8;
/// Urgent bytes of each direction that are left out.
const MAX_URGENT: usize = 16;
/// How much of a flow is looked at behind its handshake, in bytes on the wire: what an agent's capture takes whole of it.
const WATCHED: u64 = 1 << 20;
/// What a server says that takes no other client than one of HTTP, of SMTP or of FTP, whatever was sent to it before.
const SERVER_WORDS: [&[u8]; 3] = [b"HTTP/1.", b"220 ", b"220-"];
/// How a client of SMTP begins, also where it talked rubbish before.
const CLIENT_WORDS: [&[u8]; 2] = [b"EHLO ", b"HELO "];

/// What a flow says.
#[derive(Debug)]
pub(super) struct Talk {
    reader: Reader,
    sides: [Side; 2],
    talking: Option<Direction>,
    /// Counts exchanges, for protocols in which they can be told.
    exchanges: u64,
    /// How much of what the follower found odd was counted.
    odd: u64,
    /// How often it was tried to tell the application from the middle of the stream.
    tries: u8,
    /// Which clocks run.
    pub(super) armed: [bool; 2],
}

#[derive(Debug)]
enum Reader {
    /// It is not clear yet what it is.
    Unsure(Unsure),
    /// It is followed, and says itself what is to be scanned.
    Follower(Box<dyn Follow>),
    /// The beginning of a QUIC handshake is put together.
    Quic(Box<Initials>),
    /// It is encrypted, as far as that can be told, and watched up to so many bytes on the wire.
    Sealed(Sealed, u64),
    /// It is scanned as it is.
    Raw,
    /// There is nothing more to read.
    Done,
}

impl Talk {
    /// Begins with the first bytes of a TCP connection.
    pub(super) fn of_stream() -> Self {
        Self::new(Reader::Unsure(Unsure::default()))
    }

    /// Begins with the first datagram of what may be QUIC.
    pub(super) fn of_quic() -> Self {
        Self::new(Reader::Quic(Box::default()))
    }

    fn new(reader: Reader) -> Self {
        Self {
            reader,
            sides: Default::default(),
            talking: None,
            exchanges: 0,
            odd: 0,
            tries: 0,
            armed: [false; 2],
        }
    }

    /// Takes bytes of a stream that are in order.
    pub(super) fn deliver(&mut self, direction: Direction, piece: &Piece<'_>, scene: &mut Scene<'_>) {
        if piece.lost > 0 {
            self.lose(direction, piece, scene);
        }
        let bytes = self.without_urgent(direction, piece);
        if self.talking != Some(direction) {
            self.turn(direction, &bytes, scene);
        }
        let was_followed = matches!(self.reader, Reader::Follower(_) | Reader::Sealed(..));
        self.read(direction, &bytes, scene);
        self.say(scene);
        if was_followed && self.is_raw() {
            self.scan_rest(scene);
            for side in BOTH {
                self.side(side).window.restart(scene.entry.side(side).stream.length());
            }
            self.side(direction).window.restart(piece.offset);
        }
        if self.is_raw() && scene.wants.bodies {
            self.push(direction, &bytes, scene);
        }
    }

    /// Takes bytes that came before: those that fall into a hole that was given up are scanned apart, with what is held of the
    /// bytes around them.
    pub(super) fn late(&mut self, direction: Direction, at: u64, bytes: &[u8], scene: &mut Scene<'_>) {
        let end = at.saturating_add(bytes.len() as u64);
        while let Some(found) = self.side(direction).fill(at..end) {
            if !scene.wants.bodies {
                continue;
            }
            let [before, behind] = match self.is_raw() {
                true => self.side(direction).around(&found),
                false => Default::default(),
            };
            let part = &bytes[(found.start - at) as usize..(found.end - at) as usize];
            let ([_, late], about) = self.windows(direction);
            let is_next = late.end() == found.start;
            if !is_next {
                about.scan(late.all(), scene);
                late.restart(found.start - before.len() as u64);
            }
            let before = if is_next { &[] } else { &before[..] };
            for part in [before, part, &behind] {
                late.push(part, &mut |cut| about.scan(Some(cut), scene));
            }
        }
    }

    /// Tells whether bytes are scanned as they are.
    fn is_raw(&self) -> bool {
        matches!(self.reader, Reader::Raw | Reader::Unsure(_))
    }

    /// Notes where an urgent byte stands.
    pub(super) fn leave_out(&mut self, direction: Direction, at: u64) {
        let urgent = &mut self.side(direction).urgent;
        if urgent.len() < MAX_URGENT {
            urgent.push(at);
        }
    }

    /// Returns the bytes of a piece as their reader gets them.
    fn without_urgent<'p>(&mut self, direction: Direction, piece: &'p Piece<'_>) -> Cow<'p, [u8]> {
        let urgent = &mut self.side(direction).urgent;
        if urgent.is_empty() {
            return Cow::Borrowed(&piece.bytes);
        }
        let bytes = (piece.offset..).zip(piece.bytes.iter());
        let kept = bytes.filter(|(at, _)| !urgent.contains(at)).map(|(_, byte)| *byte).collect();
        let end = piece.offset + piece.bytes.len() as u64;
        urgent.retain(|at| *at >= end);
        Cow::Owned(kept)
    }

    /// Takes a datagram that may begin a QUIC handshake.
    pub(super) fn initial(&mut self, payload: &[u8], scene: &mut Scene<'_>) {
        let Reader::Quic(initials) = &mut self.reader else { return };
        let hello = initials.take(payload, (&mut *scene.quic, scene.at.as_second()));
        let odd = initials.odd();
        scene.counts.odd += odd.saturating_sub(std::mem::replace(&mut self.odd, odd));
        if initials.is_done() {
            self.reader = Reader::Done;
        }
        if let Some(tls) = hello {
            scene.entry.application = Application::Quic;
            self.ask(tls.sni.clone(), None, scene);
            scene.record(What::Tls(Box::new(tls)));
        }
    }

    /// Remembers bytes that are handed on now.
    pub(super) fn remember(&mut self, direction: Direction, piece: &Piece<'_>, scene: &Scene<'_>) {
        self.side(direction).history.add(scene.seed, piece.offset, &piece.bytes);
    }

    /// Tells whether a late copy says something else than what was handed on.
    pub(super) fn differs(&self, direction: Direction, seed: Seed, offset: u64, bytes: &[u8]) -> bool {
        self.sides[direction as usize].history.differs(seed, offset, bytes)
    }

    /// Tells whether nothing more can be read.
    pub(super) fn is_over(&self, wants: Wants) -> bool {
        match &self.reader {
            Reader::Done => true,
            Reader::Raw => !wants.bodies,
            Reader::Unsure(_) | Reader::Follower(_) | Reader::Quic(_) | Reader::Sealed(..) => false,
        }
    }

    /// Tells whether what follows is encrypted, as far as that can be told.
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self.reader, Reader::Sealed(..))
    }

    /// Returns how much memory it takes, roughly.
    pub(super) fn held(&self) -> usize {
        let reader = match &self.reader {
            Reader::Unsure(unsure) => unsure.held(),
            Reader::Follower(follower) => follower.held(),
            Reader::Quic(initials) => size_of::<Initials>() + initials.held(),
            Reader::Raw | Reader::Done | Reader::Sealed(..) => 0,
        };
        let windows: usize = self.sides.iter().map(Side::held).sum();
        size_of::<Self>() + reader + windows
    }

    /// Tells whether bytes wait to be scanned.
    pub(super) fn is_fresh(&self) -> bool {
        self.sides.iter().any(|side| side.window.is_fresh() || side.late.is_fresh())
    }

    /// Scans what waited for more.
    pub(super) fn quiet(&mut self, scene: &mut Scene<'_>) {
        for direction in BOTH {
            let (windows, about) = self.windows(direction);
            windows.into_iter().for_each(|window| about.scan(window.tail(), scene));
        }
    }

    /// Scans what is worth it, at a place that a peer can make come often.
    pub(super) fn pause(&mut self, scene: &mut Scene<'_>) {
        for direction in BOTH {
            let ([window, _], about) = self.windows(direction);
            about.scan(window.pause(), scene);
        }
    }

    /// Gives up on holes that were already there the last time.
    pub(super) fn pass_old_holes(&mut self, scene: &mut Scene<'_>) {
        for direction in BOTH {
            let stream = &mut scene.entry.side(direction).stream;
            let at = Some(stream.length());
            if stream.has_hole() && self.side(direction).mark == at {
                self.pass_hole(direction, scene);
            } else {
                self.side(direction).mark = at;
            }
        }
    }

    /// Scans one direction to its end.
    fn scan_all(&mut self, direction: Direction, scene: &mut Scene<'_>) {
        let (windows, about) = self.windows(direction);
        windows.into_iter().for_each(|window| about.scan(window.all(), scene));
    }

    /// Scans everything that is left.
    fn scan_rest(&mut self, scene: &mut Scene<'_>) {
        BOTH.into_iter().for_each(|direction| self.scan_all(direction, scene));
    }

    /// Gives out everything that is left.
    pub(super) fn finish(&mut self, scene: &mut Scene<'_>) {
        for direction in BOTH {
            while scene.entry.side(direction).stream.has_hole() {
                self.pass_hole(direction, scene);
            }
        }
        if let Reader::Follower(follower) = &mut self.reader {
            follower.end(scene.at, scene.said);
        }
        self.say(scene);
        self.scan_rest(scene);
    }

    fn pass_hole(&mut self, direction: Direction, scene: &mut Scene<'_>) {
        for piece in scene.entry.side(direction).stream.pass_hole() {
            self.deliver(direction, &piece, scene);
        }
    }

    fn lose(&mut self, direction: Direction, piece: &Piece<'_>, scene: &mut Scene<'_>) {
        match &mut self.reader {
            Reader::Follower(follower) => follower.lost(direction, piece.lost, scene.said),
            Reader::Unsure(unsure) => *unsure = Unsure::default(),
            Reader::Sealed(sealed, _) => sealed.lost(direction),
            Reader::Quic(_) | Reader::Raw | Reader::Done => {}
        }
        self.say(scene);
        self.scan_all(direction, scene);
        let (is_raw, hole) = (self.is_raw(), piece.offset.saturating_sub(piece.lost));
        let side = self.side(direction);
        if is_raw {
            side.keep_before(hole);
        }
        side.window.restart(piece.offset);
        side.pass(hole..piece.offset);
    }

    /// The other end begins to talk: what the first said is complete for now.
    fn turn(&mut self, direction: Direction, bytes: &[u8], scene: &mut Scene<'_>) {
        if let Some(before) = self.talking.replace(direction) {
            let ([window, _], about) = self.windows(before);
            about.scan(window.pause(), scene);
        }
        let has_begin = scene.entry.sides.iter().all(|side| side.stream.has_begin());
        let may_be_other =
            scene.entry.application == Application::Unknown && (!has_begin || scene.entry.missing() > 0);
        if matches!(self.reader, Reader::Raw)
            && (may_be_other || says_what_it_is(direction, bytes))
            && self.tries < MAX_TRIES
        {
            self.tries += 1;
            // Who follows from here gets only what comes from here.
            self.scan_rest(scene);
            self.reader = Reader::Unsure(Unsure::default());
        }
    }

    fn read(&mut self, direction: Direction, bytes: &[u8], scene: &mut Scene<'_>) {
        match &mut self.reader {
            Reader::Unsure(unsure) => {
                let server = scene.entry.server().port();
                match unsure.take(direction, bytes, (server, scene.wants)) {
                    Sure::NotYet => {}
                    Sure::Never => self.reader = Reader::Raw,
                    Sure::Known(application, follower) => self.known(application, follower, scene),
                }
            }
            Reader::Follower(follower) => {
                follower.take(direction, bytes, scene.at, scene.said);
                let odd = follower.odd();
                scene.counts.odd += odd.saturating_sub(std::mem::replace(&mut self.odd, odd));
                if let Some(sealed) = follower.sealed().filter(|_| scene.wants.bodies) {
                    self.reader = Reader::Sealed(sealed, scene.entry.wire_bytes().saturating_add(WATCHED));
                } else if follower.is_done() {
                    self.reader = Reader::Done;
                } else if follower.is_other() {
                    follower.end(scene.at, scene.said);
                    self.other(direction, bytes, scene);
                }
            }
            Reader::Sealed(sealed, until) => {
                if !sealed.take(direction, bytes) {
                    self.other(direction, bytes, scene);
                } else if sealed.is_lost() || scene.entry.wire_bytes() >= *until {
                    self.reader = Reader::Done;
                }
            }
            Reader::Quic(_) | Reader::Raw | Reader::Done => {}
        }
    }

    /// It turned out to be something else than what it was taken for.
    fn other(&mut self, direction: Direction, bytes: &[u8], scene: &mut Scene<'_>) {
        self.reader = Reader::Raw;
        scene.entry.application = Application::Unknown;
        if says_what_it_is(direction, bytes) && self.tries < MAX_TRIES {
            self.tries += 1;
            self.reader = Reader::Unsure(Unsure::default());
            self.read(direction, bytes, scene);
        }
    }

    /// It is clear now what it is: the follower gets what was kept, in the order in which it came.
    fn known(&mut self, application: Application, follower: Option<Box<dyn Follow>>, scene: &mut Scene<'_>) {
        scene.entry.application = application;
        let kept = match std::mem::replace(&mut self.reader, Reader::Raw) {
            Reader::Unsure(unsure) => unsure.kept(),
            _ => Vec::new(),
        };
        let Some(follower) = follower else {
            if is_opaque(application) {
                self.reader = Reader::Done;
            }
            return;
        };
        self.reader = Reader::Follower(follower);
        for (direction, bytes) in kept {
            self.read(direction, &bytes, scene);
        }
        if !matches!(self.reader, Reader::Raw) {
            // What the follower says is scanned in place of the raw bytes.
            self.sides.iter_mut().for_each(|side| side.window.restart(0));
        }
    }

    fn push(&mut self, direction: Direction, bytes: &[u8], scene: &mut Scene<'_>) {
        let ([window, _], about) = self.windows(direction);
        window.push(bytes, &mut |cut| about.scan(Some(cut), scene));
    }

    /// Returns the windows of one direction, that of late bytes last, and what is said of what is cut out of them.
    fn windows(&mut self, direction: Direction) -> ([&mut Window; 2], About<'_>) {
        let Side { window, late, exchange, asked, .. } = &mut self.sides[direction as usize];
        ([window, late], About { direction, exchange: *exchange, asked: asked.as_ref() })
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }
}

/// Tells whether one side says what the connection carries, whatever was taken for it before.
fn says_what_it_is(direction: Direction, bytes: &[u8]) -> bool {
    let begins = |words: &[&[u8]]| {
        words.iter().any(|word| word.iter().zip(bytes).all(|(a, b)| a.eq_ignore_ascii_case(b)))
    };
    !bytes.is_empty()
        && match direction {
            Direction::ToServer => begins(&CLIENT_WORDS),
            Direction::ToClient => begins(&SERVER_WORDS),
        }
}

const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// Tells whether an application's bytes are encrypted from early on.
fn is_opaque(application: Application) -> bool {
    matches!(application, Application::Ssh | Application::Tls | Application::Quic | Application::Rdp)
}
