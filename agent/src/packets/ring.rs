//! A ring of frames in one piece of memory: the newest take the place of the oldest. Pure.

use std::{collections::VecDeque, ops::Range};

use khien_traffic::decode::Link;

use super::Facts;

/// Bytes of the two addresses before the type of an Ethernet frame.
const ADDRESSES: usize = 12;
/// The type of a VLAN tag (802.1Q).
const TAG: [u8; 2] = [0x81, 0x00];
/// The bytes of a tag.
const TAG_LENGTH: usize = 4;

/// Frames are taken to be so long on average: of shorter ones fewer bytes are kept, since for each there is an [`Entry`].
const USUAL: usize = 512;

#[derive(Debug)]
struct Entry {
    facts: Facts,
    place: usize,
    length: usize,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Vec<u8>,
    entries: VecDeque<Entry>,
    /// The most entries that there may be: room for more is not taken.
    most: usize,
    head: usize,
    /// How many frames made room: the number of the oldest that is there.
    first: u64,
}

impl Ring {
    /// Makes one that takes so many bytes with all that belongs to it. Untouched memory costs nothing.
    pub(super) fn new(bytes: usize) -> Self {
        let most = bytes / (USUAL + size_of::<Entry>());
        Self::of(bytes - most * size_of::<Entry>(), most)
    }

    /// Makes one of so many bytes for at most so many frames.
    fn of(bytes: usize, most: usize) -> Self {
        Self { memory: vec![0; bytes], entries: VecDeque::with_capacity(most), most, head: 0, first: 0 }
    }

    /// Keeps a frame. A VLAN tag that the kernel took out is put back. One that is larger than the ring is not kept.
    pub(super) fn put(&mut self, facts: Facts, bytes: &[u8], vlan: Option<u16>) {
        let tag = vlan.filter(|_| facts.link == Link::Ethernet && bytes.len() >= ADDRESSES);
        let length = bytes.len() + tag.map_or(0, |_| TAG_LENGTH);
        if length == 0 || length > self.memory.len() || self.most == 0 {
            return;
        }
        if self.entries.len() >= self.most {
            self.drop_oldest();
        }
        let place = self.room(length);
        let into = &mut self.memory[place..place + length];
        match tag {
            None => into.copy_from_slice(bytes),
            Some(id) => {
                let (before, after) = bytes.split_at(ADDRESSES);
                into[..ADDRESSES].copy_from_slice(before);
                into[ADDRESSES..ADDRESSES + 2].copy_from_slice(&TAG);
                into[ADDRESSES + 2..ADDRESSES + TAG_LENGTH].copy_from_slice(&id.to_be_bytes());
                into[ADDRESSES + TAG_LENGTH..].copy_from_slice(after);
            }
        }
        let added = u32::try_from(length - bytes.len()).unwrap_or(0);
        let facts = Facts { length: facts.length.saturating_add(added), ..facts };
        self.entries.push_back(Entry { facts, place, length });
        self.head = place + length;
    }

    /// Makes room in one piece and returns where it is.
    fn room(&mut self, length: usize) -> usize {
        let mut place = self.head;
        if place + length > self.memory.len() {
            // What lies between here and the end is the oldest.
            while self.entries.front().is_some_and(|oldest| oldest.place >= place) {
                self.drop_oldest();
            }
            place = 0;
        }
        let is_taken = |oldest: &Entry| (place..place + length).contains(&oldest.place);
        while self.entries.front().is_some_and(is_taken) {
            self.drop_oldest();
        }
        place
    }

    fn drop_oldest(&mut self) {
        if self.entries.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Returns the numbers of the frames that are there. Each frame has the next one, for ever: so may whoever goes through them
    /// rest, and go on where they were.
    pub(super) fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.entries.len() as u64
    }

    /// Returns a frame by its number, unless it made room.
    pub(super) fn get(&self, number: u64) -> Option<(&Facts, &[u8])> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(place)?;
        Some((&entry.facts, &self.memory[entry.place..entry.place + entry.length]))
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = (&Facts, &[u8])> {
        self.numbers().filter_map(|number| self.get(number))
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn facts(number: u32) -> Facts {
        Facts { interface: 0, link: Link::Ethernet, at: Timestamp::UNIX_EPOCH, length: number }
    }

    #[test]
    fn a_tag_that_was_taken_out_is_put_back_behind_the_addresses() {
        let mut ring = Ring::of(1_000, 10);

        ring.put(facts(14), b"aaaaaabbbbbb\x08\x00", Some(20));

        let (facts, bytes) = ring.iter().next().unwrap();
        assert_eq!(bytes, b"aaaaaabbbbbb\x81\x00\x00\x14\x08\x00");
        assert_eq!(facts.length, 18);
    }

    #[test]
    fn many_small_frames_take_no_more_memory_than_the_ring_may() {
        let mut ring = Ring::new(1 << 20);

        (0..100_000).for_each(|number| ring.put(facts(number), &[7; 60], None));

        let taken = ring.memory.len() + ring.entries.capacity() * size_of::<Entry>();
        assert!(taken <= 1 << 20 && ring.entries.len() > 1_000, "{taken}");
        assert_eq!(ring.iter().last().unwrap().0.length, 99_999);
    }

    proptest! {
        /// The model: the newest frames, whole and in order, of which there are as many as surely fit.
        #[test]
        fn the_newest_frames_are_kept_whole_and_in_order(sizes in proptest::collection::vec(0usize..70, 0..200)) {
            let mut ring = Ring::of(200, 1_000);
            let mut all = Vec::new();
            for (number, size) in (0u32..).zip(sizes) {
                let bytes = vec![number.to_le_bytes()[0]; size];
                ring.put(facts(number), &bytes, None);
                if size > 0 {
                    all.push((number, bytes));
                }
            }

            prop_assert_eq!(ring.numbers().end, all.len() as u64);
            let kept: Vec<_> = ring.iter().map(|(facts, bytes)| (facts.length, bytes.to_vec())).collect();

            prop_assert_eq!(&kept[..], &all[all.len() - kept.len()..]);
            // The end of the ring that is left unused and the one frame that gives way are below 70 bytes each.
            let bytes: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert!(kept.len() == all.len() || bytes >= 200 - 2 * 70, "{} bytes", bytes);
        }
    }
}
