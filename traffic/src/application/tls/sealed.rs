//! What follows a handshake, as long as it may be encrypted: records, of which nothing but the headers is read.
//!
//! Two ends may pretend a handshake and then speak in the open. What is no record is told, so that it is scanned. Bytes in the open that
//! are put into records are not told from encrypted ones.

use khien_core::event::Direction;

use super::messages::{RECORD_HEADER, may_begin};

/// Watches the records of both directions.
#[derive(Debug, Default)]
pub struct Sealed {
    sides: [Walk; 2],
}

/// Goes from record to record of one direction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Walk {
    header: [u8; RECORD_HEADER],
    /// How many bytes of the header came.
    filled: u8,
    /// How many bytes of the record are still to come.
    left: u16,
    /// It is not known where the next record begins.
    is_lost: bool,
}

impl Sealed {
    pub(super) fn new(sides: [Walk; 2]) -> Self {
        Self { sides }
    }

    /// Takes the next bytes of one direction, and tells whether they may be encrypted.
    pub fn take(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        self.sides[direction as usize].take(bytes)
    }

    /// Hears that bytes of one direction never came by: where the next record begins is not known any more.
    pub fn lost(&mut self, direction: Direction) {
        self.sides[direction as usize] = Walk::LOST;
    }

    /// Tells whether nothing can be told of what follows.
    pub fn is_lost(&self) -> bool {
        self.sides.iter().all(|side| side.is_lost)
    }
}

impl Walk {
    pub(super) const LOST: Self = Self { header: [0; RECORD_HEADER], filled: 0, left: 0, is_lost: true };

    /// Goes on amid a header, of which these bytes came, or amid a record.
    pub(super) fn new(header: &[u8], left: usize) -> Self {
        let mut walk = Self { left: u16::try_from(left).unwrap_or(u16::MAX), ..Self::default() };
        walk.filled = header.len().min(RECORD_HEADER) as u8;
        walk.header[..walk.filled.into()].copy_from_slice(&header[..walk.filled.into()]);
        walk
    }

    /// Takes the next bytes, and tells whether they are records. After what is none nothing is told.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.is_lost {
            if self.left > 0 {
                let part = bytes.len().min(self.left.into());
                // It is not more than what was left.
                self.left -= part as u16;
                bytes = &bytes[part..];
                continue;
            }
            self.header[usize::from(self.filled)] = bytes[0];
            self.filled += 1;
            bytes = &bytes[1..];
            if !may_begin(&self.header[..self.filled.into()]) {
                *self = Self::LOST;
                return false;
            }
            if usize::from(self.filled) == RECORD_HEADER {
                let [.., high, low] = self.header;
                (self.filled, self.left) = (0, u16::from_be_bytes([high, low]));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::messages::MAX_RECORD, *};

    fn record(kind: u8, length: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        [&[kind, 3, 3, high, low][..], &vec![b'G'; length]].concat()
    }

    /// Takes bytes in parts, and tells whether all may be encrypted.
    fn is_sealed(bytes: &[u8], size: usize) -> bool {
        let mut sealed = Sealed::default();
        bytes.chunks(size).all(|part| sealed.take(Direction::ToClient, part))
    }

    #[test]
    fn records_of_every_kind_are_sealed_and_words_in_the_open_are_not() {
        let records =
            [record(20, 1), record(22, 40), record(23, 0), record(23, MAX_RECORD), record(21, 2)].concat();
        for size in [1, 2, 5, 7, 1460, 70_000] {
            assert!(is_sealed(&records, size), "{size}");
            for open in
                [&b"GET / HTTP/1.1"[..], b"\x17\x04", b"\x17\x03\x03\xff\xff", b"\x19\x03\x03\0\x01x", b"\0"]
            {
                assert!(!is_sealed(&[&records, open].concat(), size), "{open:?}");
            }
        }
    }

    #[test]
    fn behind_a_loss_nothing_is_told_of_that_direction_and_the_other_goes_on() {
        let mut sealed = Sealed::default();
        sealed.lost(Direction::ToServer);

        assert!(sealed.take(Direction::ToServer, b"GET /") && !sealed.is_lost());
        assert!(!sealed.take(Direction::ToClient, b"HTTP/1.1"));
        assert!(sealed.is_lost());
    }

    #[test]
    fn it_goes_on_amid_a_header_and_amid_a_record() {
        assert!(Walk::new(&[23, 3], 0).take(&[3, 0, 1, b'x', 23, 3]));
        assert!(Walk::new(&[], 3).take(&[b'x', b'x', b'x', 23]));
        assert!(!Walk::new(&[], 3).take(b"xxxGET"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_and_cuts_change_nothing(bytes: Vec<u8>, size in 1usize..9) {
            prop_assert_eq!(is_sealed(&bytes, size), is_sealed(&bytes, usize::MAX));
        }
    }
}
