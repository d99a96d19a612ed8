//! What the client asked for and the server did not answer yet: RFC 2920 lets a client go on without waiting.

use std::collections::VecDeque;

/// Commands that wait for their answer; nobody sends so many at once.
const MAX_WAITING: usize = 1_024;

/// What a command asks for, as far as its answer decides how the next bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Data,
    /// So many bytes of the letter, and whether they are the last.
    Chunk(u64, bool),
    Auth,
    Tls,
    /// Its answer decides nothing.
    Other,
}

/// What an answer says to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    Refused,
    /// It cannot be the answer to this command.
    Unclear,
}

impl Asked {
    /// Tells what a code says to this command.
    pub(super) fn answer(self, code: [u8; 3]) -> Answer {
        let is_refused = matches!(code[0], b'4' | b'5');
        match (self, &code) {
            (Self::Data, b"354") | (Self::Auth, b"334" | b"235") | (Self::Tls, b"220") => Answer::Taken,
            // Of a chunk only who does not know the command leaves the bytes to be commands.
            (Self::Chunk(..), b"500" | b"502") => Answer::Refused,
            (Self::Chunk(..) | Self::Other, _) => Answer::Taken,
            _ if is_refused => Answer::Refused,
            _ => Answer::Unclear,
        }
    }
}

/// Commands in their order. Without the greeting, or in the middle of a session, the order may be off by some; a client that waits
/// for its answers, and each 354, set it right.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    commands: VecDeque<Asked>,
    /// Whether something was answered already: what comes before may be the greeting.
    has_greeted: bool,
}

impl Waiting {
    /// Adds a command. Returns false, and forgets all, if there are too many.
    pub(super) fn push(&mut self, asked: Asked) -> bool {
        let fits = self.commands.len() < MAX_WAITING;
        if !fits {
            self.commands.clear();
        }
        self.commands.push_back(asked);
        fits
    }

    /// Returns the command that a code answers.
    pub(super) fn answered(&mut self, code: [u8; 3]) -> Option<Asked> {
        let is_first = !std::mem::replace(&mut self.has_greeted, true);
        if is_first && &code == b"220" && self.commands.front() != Some(&Asked::Tls) {
            return None;
        }
        // This answers DATA and nothing else.
        if &code == b"354"
            && let Some(at) = self.commands.iter().position(|asked| *asked == Asked::Data)
        {
            self.commands.drain(..at);
        }
        self.commands.pop_front()
    }

    /// Forgets all: answers were lost.
    pub(super) fn clear(&mut self) {
        self.commands.clear();
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.commands.capacity() * size_of::<Asked>()
    }
}
