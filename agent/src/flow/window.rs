//! The part of a stream that is scanned together, and when.
//!
//! ```text
//!  0          16K        32K                   64K   …   256K (slides, 4 KiB stay)
//!  ├──────────┤          │                     │         │
//!  ├─────────────────────┤                     │         │   whole: the window from its start
//!  ├───────────────────────────────────────────┤         │
//!                                    ├──fresh──┤             tail: what is new and 4 KiB before it
//! ```
//! Whole scans come at doubling sizes, so a message is scanned about twice however it is cut. A tail scan comes when
//! bytes have waited a moment: it makes an alert quick. Rules whose strings lie farther apart than a window never match.

/// The longest part that is scanned together.
pub(crate) const MAX_WINDOW: usize = 256 << 10;
/// What stays when the window slides; the longest match that is sure to be found across the edge.
pub(crate) const OVERLAP: usize = 4 << 10;
/// New bytes that are scanned at once.
const FIRST_SCAN: usize = 16 << 10;

/// Bytes to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Where they begin in the stream.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The bytes of one direction that are still of interest.
#[derive(Debug, Default)]
pub(crate) struct Window {
    offset: u64,
    bytes: Vec<u8>,
    /// How many bytes at the end no scan has seen.
    fresh: usize,
    /// How many bytes from the start the last whole scan saw.
    whole: usize,
}

impl Window {
    /// Adds bytes and returns what is to be scanned now.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Vec<Cut> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(MAX_WINDOW - self.bytes.len()));
            self.bytes.extend_from_slice(now);
            self.fresh += now.len();
            bytes = later;
            if self.bytes.len() >= (self.whole * 2).clamp(FIRST_SCAN, MAX_WINDOW) {
                out.extend(self.all());
            }
            if self.bytes.len() == MAX_WINDOW {
                self.slide();
            }
        }
        out
    }

    /// Returns what no scan has seen with what stands right before it.
    pub(crate) fn tail(&mut self) -> Option<Cut> {
        if self.fresh == 0 {
            return None;
        }
        let from = (self.bytes.len() - self.fresh).saturating_sub(OVERLAP);
        if from == 0 {
            return self.all();
        }
        self.fresh = 0;
        Some(Cut { offset: self.offset + from as u64, bytes: self.bytes[from..].to_vec() })
    }

    /// Returns the whole window if no whole scan has seen all of it.
    pub(crate) fn all(&mut self) -> Option<Cut> {
        if self.whole == self.bytes.len() {
            return None;
        }
        self.whole = self.bytes.len();
        self.fresh = 0;
        Some(Cut { offset: self.offset, bytes: self.bytes.clone() })
    }

    /// Returns the whole window if enough came since the last whole scan to make it worth while, else the tail. For
    /// places that a peer can make come often.
    pub(crate) fn pause(&mut self) -> Option<Cut> {
        match self.bytes.len() - self.whole > self.whole / 4 {
            true => self.all(),
            false => self.tail(),
        }
    }

    /// Forgets everything; the next byte is at `offset`.
    pub(crate) fn restart(&mut self, offset: u64) {
        *self = Self { offset, ..Self::default() };
    }

    /// Tells whether some bytes were not scanned yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh > 0
    }

    /// Returns how many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    fn slide(&mut self) {
        let gone = self.bytes.len() - OVERLAP;
        self.bytes = self.bytes.split_off(gone);
        self.offset += gone as u64;
        self.whole = OVERLAP;
        self.fresh = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_scanned_about_twice_however_it_is_cut() {
        let mut window = Window::default();

        let scanned: usize =
            (0..MAX_WINDOW / 1024).flat_map(|_| window.push(&[b'x'; 1024])).map(|c| c.bytes.len()).sum();

        assert!(scanned <= 2 * MAX_WINDOW, "{scanned}");
    }

    #[test]
    fn a_tail_carries_what_stands_before_it() {
        let mut window = Window::default();
        window.push(&[b'a'; 8000]);
        window.tail();
        window.push(b"new");

        let cut = window.tail().unwrap();
        assert_eq!((cut.offset, cut.bytes.len()), (8000 - OVERLAP as u64, OVERLAP + 3));
        assert_eq!(window.tail(), None);
        assert_eq!(window.all().map(|c| c.bytes.len()), Some(8003));
        assert_eq!(window.all(), None);
    }

    proptest! {
        #[test]
        fn every_stretch_up_to_the_overlap_is_in_some_scan(
            sizes in prop::collection::vec(1usize..70_000, 1..14), quiet: u16, at: prop::sample::Index
        ) {
            let total: usize = sizes.iter().sum();
            let mark = at.index(total);
            let mut window = Window::default();
            let mut cuts = Vec::new();
            for (i, size) in sizes.iter().enumerate() {
                cuts.extend(window.push(&vec![b'x'; *size]));
                if quiet >> (i % 16) & 1 == 1 {
                    cuts.extend(window.tail());
                }
            }
            cuts.extend(window.all());
            let end = (mark + OVERLAP).min(total) as u64;
            let covers = |c: &Cut| c.offset <= mark as u64 && c.offset + c.bytes.len() as u64 >= end;
            prop_assert!(cuts.iter().any(covers));
            prop_assert!(cuts.iter().all(|c| c.bytes.len() <= MAX_WINDOW));
        }
    }
}
