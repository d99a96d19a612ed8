//! The part of a stream that is scanned together, and when.
//!
//! ```text
//!  0          16K        64K                  256K (slides, 4 KiB stay)
//!  ├──────────┤          │                     │
//!  ├─────────────────────┤                     │             whole: the window from its start
//!  ├───────────────────────────────────────────┤
//!                                    ├──fresh──┤             tail: what is new and 4 KiB before it
//! ```
//! Whole scans come at sizes that grow fourfold, and once the window slides when it is full, so each byte of a message is
//! scanned about once however it is cut. A tail scan comes when bytes have waited a moment: it makes an alert quick. Rules
//! whose strings lie farther apart than a window never match.
//!
//! A cut borrows the window's bytes: who takes it may not want them, and then nothing is copied.

/// The longest part that is scanned together.
pub(super) const MAX_WINDOW: usize = 256 << 10;
/// What stays when the window slides; the longest match that is sure to be found across the edge.
pub(super) const OVERLAP: usize = 4 << 10;
/// New bytes that are scanned at once.
const FIRST_SCAN: usize = 16 << 10;
/// So many times as long is the window at the next whole scan.
const GROWTH: usize = 4;

/// Bytes to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut<'w> {
    /// Where they begin in the stream.
    pub(super) offset: u64,
    /// The bytes.
    pub(super) bytes: &'w [u8],
}

/// The bytes of one direction that are still of interest.
#[derive(Debug, Default)]
pub(super) struct Window {
    offset: u64,
    bytes: Vec<u8>,
    /// How many bytes at the end no scan has seen.
    fresh: usize,
    /// How many bytes from the start the last whole scan saw.
    whole: usize,
    /// Whether earlier bytes are gone.
    has_slid: bool,
}

impl Window {
    /// Adds bytes and hands out what is to be scanned now.
    pub(super) fn push(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(Cut<'_>)) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(MAX_WINDOW - self.bytes.len()));
            self.bytes.extend_from_slice(now);
            self.fresh += now.len();
            bytes = later;
            if self.bytes.len() >= self.next_whole() {
                self.all().into_iter().for_each(&mut *take);
            }
            if self.bytes.len() == MAX_WINDOW {
                self.slide();
            }
        }
    }

    /// Returns how long the window is when it is scanned whole the next time.
    fn next_whole(&self) -> usize {
        if self.has_slid { MAX_WINDOW } else { (self.whole * GROWTH).clamp(FIRST_SCAN, MAX_WINDOW) }
    }

    /// Returns what no scan has seen with what stands right before it.
    pub(super) fn tail(&mut self) -> Option<Cut<'_>> {
        if self.fresh == 0 {
            return None;
        }
        let from = (self.bytes.len() - self.fresh).saturating_sub(OVERLAP);
        if from == 0 {
            return self.all();
        }
        self.fresh = 0;
        Some(Cut { offset: self.offset + from as u64, bytes: &self.bytes[from..] })
    }

    /// Returns the whole window if no whole scan has seen all of it.
    pub(super) fn all(&mut self) -> Option<Cut<'_>> {
        if self.whole == self.bytes.len() {
            return None;
        }
        self.whole = self.bytes.len();
        self.fresh = 0;
        Some(Cut { offset: self.offset, bytes: &self.bytes })
    }

    /// Returns the whole window if enough came since the last whole scan to make it worth while, else the tail. For
    /// places that a peer can make come often: once a stream is long, little waits until it is quiet.
    pub(super) fn pause(&mut self) -> Option<Cut<'_>> {
        if self.end() > FIRST_SCAN as u64 && self.fresh < OVERLAP {
            return None;
        }
        match self.bytes.len() - self.whole > self.whole / 4 {
            true => self.all(),
            false => self.tail(),
        }
    }

    /// Forgets everything; the next byte is at `offset`.
    pub(super) fn restart(&mut self, offset: u64) {
        *self = Self { offset, ..Self::default() };
    }

    /// Returns the last bytes that are held, no more than stay when it slides.
    pub(super) fn last(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(OVERLAP)..]
    }

    /// Returns the bytes from a place on, if they are held, no more than stay when it slides.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.offset).and_then(|from| usize::try_from(from).ok());
        let held = from.and_then(|from| self.bytes.get(from..)).unwrap_or_default();
        &held[..held.len().min(OVERLAP)]
    }

    /// Returns where the next byte stands in the stream.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// Tells whether some bytes were not scanned yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh > 0
    }

    /// Returns how many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    fn slide(&mut self) {
        let gone = self.bytes.len() - OVERLAP;
        self.bytes = self.bytes.split_off(gone);
        self.has_slid = true;
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
    fn each_byte_of_a_message_is_scanned_about_once_however_it_is_cut() {
        for (length, most) in [(MAX_WINDOW, MAX_WINDOW * 4 / 3), (16 * MAX_WINDOW, 17 * MAX_WINDOW)] {
            let (mut window, mut scanned) = (Window::default(), 0);

            (0..length / 1024)
                .for_each(|_| window.push(&[b'x'; 1024], &mut |cut| scanned += cut.bytes.len()));

            assert!((length..=most).contains(&scanned), "{scanned} of {length}");
        }
    }

    #[test]
    fn a_tail_carries_what_stands_before_it() {
        let mut window = Window::default();
        window.push(&[b'a'; 8000], &mut |_| ());
        window.tail();
        window.push(b"new", &mut |_| ());

        let cut = window.tail().unwrap();
        assert_eq!((cut.offset, cut.bytes.len()), (8000 - OVERLAP as u64, OVERLAP + 3));
        assert_eq!(window.tail(), None);
        assert_eq!(window.all().map(|c| c.bytes.len()), Some(8003));
        assert_eq!(window.all(), None);
    }

    #[test]
    fn turns_of_a_long_talk_are_not_scanned_one_by_one() {
        let mut window = Window::default();

        let mut scanned = 0;
        for _ in 0..10_000 {
            window.push(&[b'x'; 50], &mut |cut| scanned += cut.bytes.len());
            scanned += window.pause().map_or(0, |cut| cut.bytes.len());
        }

        assert!(scanned < 10_000 * OVERLAP / 4, "{scanned}");
        window.push(b"last", &mut |_| ());
        assert!(window.is_fresh() && window.tail().is_some_and(|cut| cut.bytes.ends_with(b"last")));
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
            let place = |cut: Cut<'_>| (cut.offset, cut.bytes.len());
            for (i, size) in sizes.iter().enumerate() {
                window.push(&vec![b'x'; *size], &mut |cut| cuts.push(place(cut)));
                if quiet >> (i % 16) & 1 == 1 {
                    cuts.extend(window.tail().map(place));
                }
            }
            cuts.extend(window.all().map(place));
            let end = (mark + OVERLAP).min(total) as u64;
            prop_assert!(cuts.iter().any(|(from, length)| *from <= mark as u64 && from + *length as u64 >= end));
            prop_assert!(cuts.iter().all(|(_, length)| *length <= MAX_WINDOW));
        }
    }
}
