//! The head of an HTTP/1 message, line by line as it comes (RFC 9112 §2 to §6).
//!
//! Reads what the most lenient server would read, since a sensor that refuses what a server takes is blind there: bare line
//! feeds, folded lines, blanks before the colon, any number of fields. Nothing is kept but the fields of interest and the
//! line that is not complete, so a flood of headers costs no memory and hides nothing.

use khien_core::event::Direction;
use memchr::memmem;

use crate::application::body::Coding;

/// Bytes of a line that are looked at; nginx refuses longer ones, Apache those above half of it.
pub(super) const MAX_LINE: usize = 16 << 10;
/// The longest head. No server that is known takes more: Apache, as the most patient, 100 fields of 8,190 bytes.
pub(super) const MAX_HEAD: usize = 1 << 20;
/// The longest method; the longest that is registered has 17 letters.
const MAX_METHOD: usize = 32;
/// The most bytes of a target, a name of a program, a disposition that are kept.
const MAX_VALUE: usize = 2048;
/// What requests to web servers begin with where nothing else tells that a stream is HTTP.
pub(super) const METHODS: [&[u8]; 22] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
    b"PROPFIND ",
    b"PROPPATCH ",
    b"MKCOL ",
    b"COPY ",
    b"MOVE ",
    b"LOCK ",
    b"UNLOCK ",
    b"SEARCH ",
    b"REPORT ",
    b"DEBUG ",
    b"TRACK ",
    b"RPC_IN_DATA ",
    b"RPC_OUT_DATA ",
];

/// What the head says.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) start: Option<Start>,
    pub(super) host: Option<Vec<u8>>,
    pub(super) user_agent: Option<Vec<u8>>,
    pub(super) content_type: Option<Vec<u8>>,
    pub(super) disposition: Option<Vec<u8>>,
    pub(super) length: Option<u64>,
    pub(super) is_chunked: bool,
    /// What was applied to the content, the first first.
    content_codings: Vec<Coding>,
    /// What was applied to that for the way.
    transfer_codings: Vec<Coding>,
    /// Whether two readers may take it in two ways.
    is_odd: bool,
    /// Whether the body is packed in a way that is not undone here: br, zstd.
    is_packed: bool,
    /// The line that is not complete, or whose continuation may follow.
    line: Vec<u8>,
    size: usize,
}

/// The first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request { method: Vec<u8>, target: Vec<u8> },
    Answer { status: u16 },
}

/// How far the head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Whole,
    /// This is no HTTP.
    Not,
}

impl Head {
    /// Takes bytes of one direction; returns how many were used.
    pub(super) fn take(&mut self, direction: Direction, bytes: &[u8]) -> (usize, Progress) {
        let mut used = 0;
        while let [first, ..] = bytes[used..] {
            if self.line.last() == Some(&b'\n') && !is_blank(first) {
                let line = std::mem::take(&mut self.line);
                self.field(&line);
            }
            let rest = &bytes[used..];
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.map_or(rest.len(), |at| at + 1)];
            used += line.len();
            self.size = self.size.saturating_add(line.len());
            let progress = match end {
                None => self.hold(line),
                Some(_) => self.line(direction, line, bytes.get(used)),
            };
            if progress != Progress::More {
                return (used, progress);
            }
        }
        (used, Progress::More)
    }

    /// Returns what was applied to the body, the first first.
    pub(super) fn codings(&self) -> Vec<Coding> {
        [&self.content_codings[..], &self.transfer_codings].concat()
    }

    /// Tells whether the body stays packed, whatever is undone.
    pub(super) fn is_packed(&self) -> bool {
        self.is_packed
    }

    /// Tells whether two servers may read it in two ways.
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd || self.is_chunked && self.length.is_some()
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.line.capacity()
    }

    /// Takes a line, or the end of one. It waits where what comes `next` may continue it.
    fn line(&mut self, direction: Direction, line: &[u8], next: Option<&u8>) -> Progress {
        let may_go_on = self.start.is_some() && !is_end(line) && next.is_none_or(|b| is_blank(*b));
        if self.line.is_empty() && !may_go_on {
            return self.read(direction, line);
        }
        let progress = self.hold(line);
        if progress == Progress::More && (self.start.is_none() || is_end(&self.line)) {
            let line = std::mem::take(&mut self.line);
            return self.read(direction, &line);
        }
        progress
    }

    fn hold(&mut self, bytes: &[u8]) -> Progress {
        let room = MAX_LINE - self.line.len().min(MAX_LINE);
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room && bytes.ends_with(b"\n") && !self.line.ends_with(b"\n") {
            self.line.push(b'\n');
        }
        if self.size > MAX_HEAD { Progress::Not } else { Progress::More }
    }

    fn read(&mut self, direction: Direction, line: &[u8]) -> Progress {
        if self.start.is_none() {
            self.start = start(direction, line);
            return if self.start.is_some() { Progress::More } else { Progress::Not };
        }
        if is_end(line) {
            return Progress::Whole;
        }
        self.field(line);
        if self.size > MAX_HEAD { Progress::Not } else { Progress::More }
    }

    fn field(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(MAX_LINE)];
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let name = trim(&line[..colon]);
        // By their lengths first: most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let host = value(&line[colon + 1..]);
                self.is_odd |= self.host.as_ref().is_some_and(|h| *h != host);
                self.host.get_or_insert(host);
            }
            10 if name.eq_ignore_ascii_case(b"user-agent") => keep(&mut self.user_agent, &line[colon + 1..]),
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                keep(&mut self.content_type, &line[colon + 1..]);
            }
            19 if name.eq_ignore_ascii_case(b"content-disposition") => {
                keep(&mut self.disposition, &line[colon + 1..]);
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.is_odd |= name.len() != colon;
                self.content_length(&value(&line[colon + 1..]));
            }
            16 if name.eq_ignore_ascii_case(b"content-encoding") => {
                self.content_encoding(&value(&line[colon + 1..]));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.is_odd |= name.len() != colon;
                self.transfer_encoding(&value(&line[colon + 1..]));
            }
            _ => {}
        }
    }

    /// Of lengths that differ the first counts.
    fn content_length(&mut self, value: &[u8]) {
        for word in value.split(|b| *b == b',').map(trim) {
            let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(word).ok().filter(|_| is_number).and_then(|w| w.parse().ok());
            self.is_odd |= length.is_none() || self.length.is_some() && self.length != length;
            self.length = self.length.or(length);
        }
    }

    fn content_encoding(&mut self, value: &[u8]) {
        for word in words(value) {
            match coding(&word) {
                Some(coding) => self.is_odd |= !add(&mut self.content_codings, coding),
                None if word == b"identity" => {}
                // What lies below that stays packed.
                None => {
                    self.content_codings.clear();
                    self.is_packed = true;
                }
            }
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) {
        for word in words(value) {
            // Chunks are the last that is applied.
            self.is_odd |= self.is_chunked;
            match coding(&word) {
                Some(coding) => self.is_odd |= !add(&mut self.transfer_codings, coding),
                None if word == b"chunked" => self.is_chunked = true,
                None => self.is_odd = true,
            }
        }
    }
}

/// The most codings that are told of one kind; the unpacker undoes fewer.
const MAX_CODINGS: usize = 8;

fn add(codings: &mut Vec<Coding>, coding: Coding) -> bool {
    let has_room = codings.len() < MAX_CODINGS;
    codings.extend(Some(coding).filter(|_| has_room));
    has_room
}

fn coding(word: &[u8]) -> Option<Coding> {
    match word {
        b"gzip" | b"x-gzip" => Some(Coding::Gzip),
        b"deflate" => Some(Coding::Deflate),
        _ => None,
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    value.split(|b| *b == b',').map(|w| trim(w).to_ascii_lowercase()).filter(|w| !w.is_empty())
}

/// Keeps the first of fields that are there twice.
fn keep(kept: &mut Option<Vec<u8>>, text: &[u8]) {
    if kept.is_none() {
        *kept = Some(value(text));
    }
}

/// Returns a value without blanks around it, its lines joined.
fn value(text: &[u8]) -> Vec<u8> {
    let text = trim(text);
    let mut value = text[..text.len().min(MAX_VALUE)].to_vec();
    if memchr::memchr(b'\n', &value).is_some() {
        value.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
    }
    value
}

/// Cuts blanks and control characters off both ends: servers differ in what they take for a blank.
fn trim(text: &[u8]) -> &[u8] {
    let is_text = |b: &u8| *b > b' ';
    let from = text.iter().position(is_text).unwrap_or(text.len());
    let to = text.iter().rposition(is_text).map_or(from, |at| at + 1);
    &text[from..to]
}

/// Tells whether a line that begins so continues the one before it.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_end(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn start(direction: Direction, line: &[u8]) -> Option<Start> {
    let line = trim(&line[..line.len().min(MAX_LINE)]);
    match direction {
        Direction::ToServer => request(line),
        Direction::ToClient => answer(line),
    }
}

/// Tells whether a line is the first of a request.
pub(super) fn is_request(line: &[u8]) -> bool {
    start(Direction::ToServer, line).is_some()
}

fn request(line: &[u8]) -> Option<Start> {
    let end = line.iter().position(|b| is_blank(*b))?;
    let (method, rest) = (&line[..end], trim(&line[end..]));
    if method.len() > MAX_METHOD || !method.iter().all(|b| is_token(*b)) {
        return None;
    }
    let version = rest.iter().rposition(|b| is_blank(*b)).map_or(0, |at| at + 1);
    let target = match rest[version..].strip_prefix(b"HTTP/") {
        Some(number) if number.starts_with(b"1.") || number == b"0.9" => trim(&rest[..version]),
        Some(_) => return None,
        // HTTP/0.9 has no version; then at least the method must be known.
        None if METHODS.iter().any(|m| m[..m.len() - 1] == *method) => rest,
        None => return None,
    };
    let target = target[..target.len().min(MAX_VALUE)].to_vec();
    (!target.is_empty()).then(|| Start::Request { method: method.to_vec(), target })
}

fn answer(line: &[u8]) -> Option<Start> {
    let rest = trim(line.strip_prefix(b"HTTP/1.")?.get(1..)?);
    let digits = rest.get(..3).filter(|d| d.iter().all(u8::is_ascii_digit))?;
    if rest.get(3).is_some_and(|b| !is_blank(*b)) {
        return None;
    }
    let status = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    Some(Start::Answer { status })
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Finds where in a line a message begins, after something that was not understood.
pub(super) fn find_start(direction: Direction, line: &[u8]) -> Option<usize> {
    let at = match direction {
        Direction::ToClient => memmem::find(line, b"HTTP/1.")?,
        Direction::ToServer => {
            memmem::rfind(line, b" HTTP/1.")?;
            METHODS.iter().filter_map(|m| memmem::rfind(line, m)).min()?
        }
    };
    let is_versioned = direction == Direction::ToClient || memmem::find(&line[at..], b" HTTP/1.").is_some();
    (is_versioned && start(direction, &line[at..]).is_some()).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> (Head, usize, Progress) {
        let mut head = Head::default();
        let (used, progress) = head.take(Direction::ToServer, text);
        (head, used, progress)
    }

    #[test]
    fn what_lenient_servers_take_is_read() {
        let text = b"POST  /a b\tHTTP/1.1\nHOST :  web.example \r\nContent-Length:\r\n\t5\nTransfer-Encoding:\x0bchunked\n\nbody";

        let (head, used, progress) = read(text);

        assert_eq!((used, progress), (text.len() - 4, Progress::Whole));
        let (method, target) = (b"POST".to_vec(), b"/a b".to_vec());
        assert_eq!(head.start, Some(Start::Request { method, target }));
        assert_eq!((head.host.as_deref(), head.length), (Some(&b"web.example"[..]), Some(5)));
        assert!(head.is_chunked && head.is_odd());
    }

    #[test]
    fn lengths_that_differ_or_are_no_numbers_are_odd_and_the_first_number_counts() {
        for (lengths, length, is_odd) in [
            ("5", Some(5), false),
            ("5, 5", Some(5), false),
            ("5\r\nContent-Length: 6", Some(5), true),
            ("+5", None, true),
            ("0x5, 7", Some(7), true),
            ("99999999999999999999999", None, true),
        ] {
            let (head, ..) = read(format!("GET / HTTP/1.1\r\nContent-Length: {lengths}\r\n\r\n").as_bytes());
            assert_eq!((head.length, head.is_odd()), (length, is_odd), "{lengths}");
        }
    }

    #[test]
    fn codings_are_told_as_far_as_they_can_be_undone() {
        for (codings, undone) in [
            ("gzip", vec![Coding::Gzip]),
            ("X-GZIP , deflate", vec![Coding::Gzip, Coding::Deflate]),
            ("gzip, br", vec![]),
            ("br, gzip", vec![Coding::Gzip]),
            ("identity", vec![]),
        ] {
            let (head, ..) =
                read(format!("GET / HTTP/1.1\r\nContent-Encoding: {codings}\r\n\r\n").as_bytes());
            assert_eq!(head.codings(), undone, "{codings}");
        }
    }

    #[test]
    fn a_message_is_found_behind_what_is_none() {
        assert_eq!(find_start(Direction::ToClient, b"restHTTP/1.1 200 OK\r\n"), Some(4));
        assert_eq!(find_start(Direction::ToServer, b"restPOST /x HTTP/1.1\r\n"), Some(4));
        // A line of an access log is no answer.
        assert_eq!(find_start(Direction::ToClient, b"\"GET / HTTP/1.1\" 200 5\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_segmentation_gives_the_same(
            text in "[ -~]{0,9}(GET /x HTTP/1.1\r\n)(Host: a\r?\n|[ \t]b\n|Content-Length: 5\r\n|:\n){0,6}\r?\n?", at: prop::sample::Index
        ) {
            let text = text.as_bytes();
            let (whole, used, progress) = read(text);
            let (first, second) = text.split_at(at.index(text.len() + 1));
            let (mut head, mut got, mut how) = read(first);
            if how == Progress::More {
                let (more, now) = head.take(Direction::ToServer, second);
                (got, how) = (got + more, now);
            }
            prop_assert_eq!((got, how), (used, progress));
            if how == Progress::Whole {
                prop_assert_eq!((head.host, head.length), (whole.host, whole.length));
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            for direction in [Direction::ToServer, Direction::ToClient] {
                Head::default().take(direction, &bytes);
                find_start(direction, &bytes);
                find_start(direction, &[b"GET HTTP/1. HTTP/1.", &bytes[..]].concat());
            }
        }
    }
}
