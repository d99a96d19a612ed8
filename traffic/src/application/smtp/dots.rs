//! The content behind DATA (RFC 5321 §4.5.2): lines lose a leading dot, a lone dot ends it.
//!
//! Only a dot before CR LF ends a letter. A dot before a bare line feed, which some servers take for the end and others not
//! (SMTP smuggling), is told, and ends it once the server answers.

/// Takes the dots out.
#[derive(Debug)]
pub(super) struct Dots {
    /// What of a line that begins with a dot came so far.
    held: Held,
    /// Whether the last line was a dot before a bare line feed.
    is_lone: bool,
    /// How many such lines there were.
    pub(super) odd: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Within a line.
    Within,
    /// At its beginning.
    Nothing,
    Dot,
    DotReturn,
}

impl Dots {
    /// Begins at the beginning of a line.
    pub(super) fn new() -> Self {
        Self { held: Held::Nothing, is_lone: false, odd: 0 }
    }

    /// Takes bytes and brings content; returns how many were used, and whether the content is complete.
    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match (self.held, byte) {
                (Held::Within | Held::Nothing, b) if self.held == Held::Within || *b != b'.' => {
                    at += self.line(&bytes[at..], sink);
                    continue;
                }
                (Held::Nothing | Held::Within, _) => self.held = Held::Dot,
                (Held::Dot, b'\r') => self.held = Held::DotReturn,
                (Held::Dot, b'\n') => {
                    (self.is_lone, self.held) = (true, Held::Nothing);
                    self.odd = self.odd.saturating_add(1);
                    sink(b"\n");
                }
                (Held::Dot, _) => {
                    self.held = Held::Within;
                    continue;
                }
                (Held::DotReturn, b'\n') => return (at + 1, true),
                (Held::DotReturn, _) => {
                    self.held = Held::Within;
                    sink(b"\r");
                    continue;
                }
            }
            at += 1;
        }
        (at, false)
    }

    /// Tells whether a server may have taken the last line for the end.
    pub(super) fn may_have_ended(&self) -> bool {
        self.is_lone && self.held == Held::Nothing
    }

    /// Hears that bytes are missing, perhaps the end among them.
    pub(super) fn lose(&mut self) {
        (self.held, self.is_lone) = (Held::Nothing, true);
    }

    fn line(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
        let end = memchr::memchr(b'\n', bytes).map(|at| at + 1);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        self.held = if end.is_some() { Held::Nothing } else { Held::Within };
        self.is_lone = false;
        sink(line);
        line.len()
    }
}
