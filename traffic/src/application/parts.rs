//! The parts of a form or a letter (RFC 2046 §5.1, 7578), line by line as they come.
//!
//! A letter is also said for scanning, as one text with its attachments decoded in their places; a form is not, since the
//! body in which it stands is.

use khien_core::{Untrusted, event::Direction, traffic::MAX_LISTED};

use super::{
    Said, Wants,
    body::Piece,
    file::Gather,
    mime::Headers,
    transfer::{Decoder, Encoding},
};

/// Longer lines hold neither headers nor boundaries; RFC 5322 allows 998 bytes.
const MAX_LINE: usize = 4 << 10;
/// The longest boundary; RFC 2046 allows 70 bytes.
const MAX_BOUNDARY: usize = 256;
/// Headers of one part that are looked at.
const MAX_HEADERS: usize = 64 << 10;
/// Multiparts in multiparts, and letters in letters.
const MAX_NESTED: usize = 16;
/// The most parts that are looked at as files. PHP takes 20 in a form; what comes after is scanned with the body only.
const MAX_PARTS: u32 = 1024;
/// The longest subject or name that is kept; RFC 5322 allows 998 bytes a line.
const MAX_TEXT: usize = 998;

/// Walks through parts.
#[derive(Debug)]
pub(super) struct Parts {
    direction: Direction,
    is_letter: bool,
    has_files: bool,
    /// The letter as it is scanned.
    view: Piece,
    /// Of the multiparts that are open, the outermost first.
    boundaries: Vec<Vec<u8>>,
    state: State,
    /// The line that is not complete.
    line: Vec<u8>,
    /// Whether the beginning of this line was passed on already.
    is_long: bool,
    /// Letters in letters.
    nested: usize,
    count: u32,
    /// What came of a form before its first boundary: all of it, if its server reads another one.
    before: Option<Gather>,
    found: Found,
}

/// What a letter is about.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its own subject, not that of a letter in it.
    pub(super) subject: Option<Untrusted>,
    /// The names of its attachments.
    pub(super) names: Vec<Untrusted>,
    /// What was passed over by a bound.
    pub(super) odd: u64,
}

#[derive(Debug)]
enum State {
    Headers(Box<Fields>),
    /// Before the first part or behind the last.
    Between,
    Leaf(Leaf),
}

#[derive(Debug, Default)]
struct Fields {
    read: Headers,
    /// The field that the next line may continue.
    field: Vec<u8>,
    bytes: usize,
}

#[derive(Debug)]
struct Leaf {
    decoder: Decoder,
    file: Option<Gather>,
    /// The end of the last line, which belongs to the boundary if one follows.
    ending: &'static [u8],
}

impl Parts {
    /// Begins before the first part of a form.
    pub(super) fn form(direction: Direction, boundary: Vec<u8>) -> Self {
        let mut form = Self::new(direction, Wants { bodies: false, files: true });
        form.open(boundary);
        form.before = Some(Gather::new(direction, None, Some(b"multipart/form-data")));
        form
    }

    /// Begins with the headers of a letter.
    pub(super) fn letter(direction: Direction, wants: Wants) -> Self {
        Self { is_letter: true, state: State::Headers(Box::default()), ..Self::new(direction, wants) }
    }

    fn new(direction: Direction, wants: Wants) -> Self {
        Self {
            direction,
            is_letter: false,
            has_files: wants.files,
            view: Piece::new(direction, wants.bodies),
            boundaries: Vec::new(),
            state: State::Between,
            line: Vec::new(),
            is_long: false,
            nested: 0,
            count: 0,
            before: None,
            found: Found::default(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Said>) {
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            match end {
                Some(_) if self.is_long => {
                    self.flow(part);
                    self.is_long = false;
                }
                Some(_) if self.line.is_empty() => self.line(part, out),
                _ if self.is_long => self.flow(part),
                _ => self.hold(part, out),
            }
            bytes = rest;
        }
    }

    /// Says what was gathered for scanning so far.
    pub(super) fn flush(&mut self, out: &mut Vec<Said>) {
        self.view.flush(out);
    }

    /// Hears that bytes are missing, or that nothing of use follows.
    pub(super) fn cut(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.flow(&line);
        }
        self.is_long = true;
        self.before.iter_mut().for_each(Gather::cut);
        if let State::Leaf(Leaf { file: Some(file), .. }) = &mut self.state {
            file.cut();
        }
    }

    /// Says what is left: nothing more comes.
    pub(super) fn end(&mut self, out: &mut Vec<Said>) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line, out);
        }
        let is_open = !self.boundaries.is_empty();
        if let State::Leaf(leaf) = &mut self.state {
            leaf.push(leaf.ending, &mut self.view);
            if let Some(file) = leaf.file.as_mut().filter(|_| is_open) {
                file.cut();
            }
        }
        if let State::Headers(_) = &self.state {
            self.headers_ended();
        }
        self.leave(out);
        if let Some(before) = self.before.take().filter(|before| before.held() > 0) {
            self.found.odd += 1;
            before.say(out);
        }
        self.view.flush(out);
    }

    /// Returns what was found in it.
    pub(super) fn found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        let boundaries: usize = self.boundaries.iter().map(Vec::capacity).sum();
        let state = match &self.state {
            State::Headers(fields) => size_of::<Fields>() + fields.field.capacity(),
            State::Between => 0,
            State::Leaf(leaf) => leaf.file.as_ref().map_or(0, Gather::held),
        };
        let before = self.before.as_ref().map_or(0, Gather::held);
        size_of::<Self>() + self.line.capacity() + boundaries + state + before
    }

    /// Holds a part of a line, up to where it is too long to mean anything. It may end here.
    fn hold(&mut self, part: &[u8], out: &mut Vec<Said>) {
        let (now, later) = part.split_at(part.len().min(MAX_LINE - self.line.len()));
        self.line.extend_from_slice(now);
        let is_complete = later.is_empty() && now.ends_with(b"\n");
        if !is_complete && self.line.len() < MAX_LINE {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        self.line(&line, out);
        if !is_complete {
            if !later.is_empty() {
                self.flow(later);
            }
            self.is_long = !later.ends_with(b"\n");
        }
        line.clear();
        self.line = line;
    }

    /// Takes a line from its beginning.
    fn line(&mut self, line: &[u8], out: &mut Vec<Said>) {
        if let Some((level, is_last)) = self.boundary(line) {
            self.before = None;
            self.leave(out);
            self.view.push(line);
            self.boundaries.truncate(level + usize::from(!is_last));
            if !is_last {
                self.state = State::Headers(Box::default());
            }
            return;
        }
        match &mut self.state {
            State::Headers(_) if line.trim_ascii().is_empty() => {
                self.view.push(line);
                self.headers_ended();
            }
            State::Headers(fields) => {
                self.view.push(line);
                fields.line(line);
            }
            _ => self.flow(line),
        }
    }

    /// Takes bytes that are no boundary and no header.
    fn flow(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Leaf(leaf) => leaf.flow(bytes, &mut self.view),
            _ => {
                self.before.iter_mut().for_each(|before| before.push(bytes));
                self.view.push(bytes);
            }
        }
    }

    /// Tells which multipart a line parts, and whether it ends it.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--").filter(|_| line.len() < MAX_LINE)?.trim_ascii_end();
        let mut levels = self.boundaries.iter().enumerate().rev();
        levels.find_map(|(level, boundary)| match line.strip_prefix(&boundary[..])? {
            b"" => Some((level, false)),
            b"--" => Some((level, true)),
            _ => None,
        })
    }

    fn open(&mut self, boundary: Vec<u8>) -> bool {
        let fits = (1..=MAX_BOUNDARY).contains(&boundary.len()) && self.boundaries.len() < MAX_NESTED;
        self.found.odd += u64::from(!fits);
        if fits {
            self.boundaries.push(boundary);
        }
        fits
    }

    fn headers_ended(&mut self) {
        let State::Headers(fields) = std::mem::replace(&mut self.state, State::Between) else { return };
        let mut headers = fields.read();
        if self.is_letter && self.count == 0 && self.boundaries.is_empty() && self.nested == 0 {
            self.found.subject = headers.subject.as_ref().map(|s| Untrusted::cut(s, MAX_TEXT));
        }
        if let Some(boundary) = headers.boundary.take()
            && self.open(boundary)
        {
            return;
        }
        if self.is_letter && headers.is_letter() && self.nested < MAX_NESTED {
            self.nested += 1;
            self.state = State::Headers(Box::default());
            return;
        }
        self.count = self.count.saturating_add(1);
        self.state = State::Leaf(self.leaf(&headers));
    }

    fn leaf(&mut self, headers: &Headers) -> Leaf {
        let name = headers.file_name();
        if let Some(name) = name
            && self.is_letter
            && self.found.names.len() < MAX_LISTED
        {
            self.found.names.push(Untrusted::cut(name, MAX_TEXT));
        }
        let is_file =
            if self.is_letter { name.is_some() || !headers.is_text() } else { headers.name.is_some() };
        let is_counted = self.count <= MAX_PARTS;
        self.found.odd += u64::from(is_file && !is_counted);
        let file = (is_file && is_counted && self.has_files)
            .then(|| Gather::new(self.direction, name, headers.kind.as_deref()));
        // Web servers take the parts of forms as they are, whatever their headers say.
        let encoding = headers.encoding.filter(|_| self.is_letter).unwrap_or(Encoding::Plain);
        Leaf { decoder: Decoder::new(encoding), file, ending: b"" }
    }

    fn leave(&mut self, out: &mut Vec<Said>) {
        if let State::Leaf(Leaf { file: Some(file), .. }) = std::mem::replace(&mut self.state, State::Between)
        {
            file.say(out);
        }
    }
}

impl Fields {
    fn line(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(MAX_LINE)];
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes > MAX_HEADERS {
            return;
        }
        match line[0] {
            b' ' | b'\t' => self.field.push(b' '),
            _ => {
                self.read.field(&self.field);
                self.field.clear();
            }
        }
        self.field.extend_from_slice(line.trim_ascii());
    }

    fn read(mut self) -> Headers {
        self.read.field(&self.field);
        self.read
    }
}

impl Leaf {
    /// Takes content; the end of a line waits until it is clear that no boundary follows.
    fn flow(&mut self, bytes: &[u8], view: &mut Piece) {
        if self.ending == b"\r" && bytes == b"\n" {
            self.ending = b"\r\n";
            return;
        }
        self.push(self.ending, view);
        let (content, ending): (_, &'static [u8]) = match bytes {
            [content @ .., b'\r', b'\n'] => (content, b"\r\n"),
            [content @ .., b'\n'] => (content, b"\n"),
            [content @ .., b'\r'] => (content, b"\r"),
            content => (content, b""),
        };
        self.push(content, view);
        self.ending = ending;
    }

    fn push(&mut self, bytes: &[u8], view: &mut Piece) {
        let decoded;
        let content = match &mut self.decoder {
            Decoder::Plain => bytes,
            decoder => {
                let mut out = Vec::new();
                decoder.push(bytes, &mut out);
                decoded = out;
                &decoded[..]
            }
        };
        view.push(content);
        if let Some(file) = &mut self.file {
            file.push(content);
        }
    }
}

#[cfg(test)]
mod tests;
