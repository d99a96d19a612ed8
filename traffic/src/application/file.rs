//! A file while it is carried.

use khien_core::{Untrusted, event::Direction};

use super::{Carried, Said};

/// The largest file that is kept whole; of larger ones the beginning.
pub(super) const MAX_FILE: usize = 8 << 20;
/// Less is no file: the shortest web shells are longer.
const MIN_FILE: u64 = 16;
/// The longest name that is kept: that of a file system.
const MAX_NAME: usize = 255;
/// The longest type that is kept.
pub(super) const MAX_TYPE: usize = 255;

/// Gathers a file.
#[derive(Debug)]
pub(super) struct Gather {
    carried: Box<Carried>,
}

impl Gather {
    /// Begins one.
    pub(super) fn new(direction: Direction, name: Option<&[u8]>, content_type: Option<&[u8]>) -> Self {
        let kept = |text: Option<&[u8]>, max| text.filter(|t| !t.is_empty()).map(|t| Untrusted::cut(t, max));
        Self {
            carried: Box::new(Carried {
                direction,
                name: kept(name, MAX_NAME),
                content_type: kept(content_type, MAX_TYPE),
                bytes: Vec::new(),
                size: 0,
                whole: true,
            }),
        }
    }

    /// Adds bytes, as far as there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = &mut self.carried.bytes;
        let room = MAX_FILE - kept.len();
        let some = &bytes[..bytes.len().min(room)];
        if kept.capacity() - kept.len() < some.len() {
            // Never more than the cap, which doubling would pass.
            let wanted = (kept.capacity() * 2).clamp(kept.len() + some.len(), MAX_FILE);
            kept.reserve_exact(wanted - kept.len());
        }
        kept.extend_from_slice(some);
        self.carried.whole &= bytes.len() <= room;
        self.carried.size = self.carried.size.saturating_add(bytes.len() as u64);
    }

    /// States that something of it is missing.
    pub(super) fn cut(&mut self) {
        self.carried.whole = false;
    }

    /// Returns how many bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.carried.bytes.capacity()
    }

    /// Says it, if it is one.
    pub(super) fn say(self, out: &mut Vec<Said>) {
        if self.carried.size >= MIN_FILE {
            out.push(Said::File(self.carried));
        }
    }
}
