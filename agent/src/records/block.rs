//! A block of records: their [written form](super::form), compressed together, and a [filter](super::filter) of what is in it.

use khien_core::{Timestamp, traffic::Record};

use super::{
    RecordsError, filter,
    form::{Reader, Writer},
    keys::Keys,
};

/// Records of one block, at the most, and their bytes before they are compressed: enough to compress well, few enough to be read
/// through for one of them.
const MOST: usize = 4_096;
const BYTES: usize = 512 << 10;
/// The most bytes of a block that is unpacked. One goes over [`BYTES`] by its last record.
const MAX_UNPACKED: usize = 16 << 20;
/// How hard it is compressed: as fast as it goes.
const LEVEL: i32 = 1;

/// From when until when there are records.
pub(super) type Span = (Timestamp, Timestamp);

/// A block that is filled.
#[derive(Debug, Default)]
pub(super) struct Block {
    writer: Writer,
    keys: Keys,
    span: Option<Span>,
    many: usize,
}

/// A block as it is kept.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) span: Span,
    pub(super) filter: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Block {
    /// Puts a record in.
    ///
    /// # Errors
    /// When it has no written form; the others stay.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), RecordsError> {
        self.writer.put(record)?;
        self.keys.add(record);
        self.span = Some(joined(self.span, (record.at, record.at)));
        self.many += 1;
        Ok(())
    }

    /// Returns how many records are in it.
    pub(super) fn many(&self) -> usize {
        self.many
    }

    /// Tells whether it has as many as it may.
    pub(super) fn is_full(&self) -> bool {
        self.many >= MOST || self.writer.bytes().len() >= BYTES
    }

    /// Packs it; an empty one is none.
    ///
    /// # Errors
    /// When there is no memory to compress it.
    pub(super) fn pack(&self) -> Result<Option<Packed>, RecordsError> {
        let Some(span) = self.span else { return Ok(None) };
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        // A bit that turned on the disk must not become another name.
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        let body = compressor.compress(self.writer.bytes())?;
        Ok(Some(Packed { span, filter: filter::of(&self.keys), body }))
    }
}

/// Unpacks the records of a body, as they were put in; nothing if it is damaged.
pub(super) fn unpack(body: &[u8]) -> Option<Vec<Record>> {
    let bytes = zstd::bulk::Decompressor::upper_bound(body).filter(|bytes| *bytes <= MAX_UNPACKED)?;
    let records = Reader::new(&zstd::bulk::decompress(body, bytes).ok()?).all()?;
    // An empty block is never written.
    (!records.is_empty()).then_some(records)
}

/// Returns the time in which two times lie, of which the first may be none yet.
pub(super) fn joined(span: Option<Span>, (first, last): Span) -> Span {
    span.map_or((first, last), |(from, until)| (from.min(first), until.max(last)))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::tls, *};

    fn filled(many: i64) -> Block {
        let mut block = Block::default();
        (0..many).for_each(|second| block.add(&tls(second, "a.example")).unwrap());
        block
    }

    #[test]
    fn records_come_out_as_they_went_in_and_a_turned_bit_is_seen() {
        let Packed { body, span, .. } = filled(100).pack().unwrap().unwrap();

        let all: Vec<_> = (0..100).map(|second| tls(second, "a.example")).collect();
        assert_eq!(unpack(&body).unwrap(), all);
        assert_eq!(span, (all[0].at, all[99].at));
        for place in 0..body.len() {
            let mut damaged = body.clone();
            damaged[place] ^= 4;
            // A bit of the frame's head may change how it is read, and not what.
            assert!(unpack(&damaged).is_none_or(|read| read == all), "{place}");
        }
    }

    #[test]
    fn a_block_is_full_by_its_records_or_by_their_bytes() {
        assert!(!filled(MOST as i64 - 1).is_full() && filled(MOST as i64).is_full());
        let mut block = Block::default();
        let long = "x".repeat(64 << 10);
        (0..8).for_each(|second| block.add(&tls(second, &long)).unwrap());

        assert!(block.is_full());
        assert_eq!(unpack(&block.pack().unwrap().unwrap().body).unwrap().len(), 8);
    }

    #[test]
    fn what_claims_to_be_larger_than_a_block_is_none() {
        let bytes = zstd::bulk::compress(&vec![0; MAX_UNPACKED + 1], LEVEL).unwrap();

        assert_eq!(unpack(&bytes), None);
        assert_eq!(unpack(b""), None);
    }
}
