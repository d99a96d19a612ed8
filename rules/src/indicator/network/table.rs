//! Keys and the lists on which they stand: twelve bytes an entry at a million of them.

use super::{
    super::keys::{Key, Keys, MAX_KEYS},
    groups::Groups,
};

/// A sorted table of keys.
#[derive(Debug, Default)]
pub(super) struct Table {
    keys: Keys,
    /// The group of each key, in the order of the keys.
    groups: Box<[u16]>,
}

impl Table {
    /// Takes keys, each with the list on which it stands. Keys beyond [`MAX_KEYS`] are left out.
    pub(super) fn new(mut entries: Vec<(Key, u16)>, groups: &mut Groups) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let mut of = Vec::with_capacity(entries.len());
        for same in entries.chunk_by(|(a, _), (b, _)| a == b).take(MAX_KEYS) {
            of.push(groups.of(same.iter().map(|(_, set)| *set)));
        }
        entries.dedup_by_key(|(key, _)| *key);
        let keys = Keys::new(entries.into_iter().map(|(key, _)| key).collect());
        Self { keys, groups: of.into_boxed_slice() }
    }

    /// Returns the group of a key.
    pub(super) fn group(&self, key: &Key) -> Option<u16> {
        self.groups.get(self.keys.position(key)?).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn memory(&self) -> usize {
        self.keys.memory() + self.groups.len() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::keys::key_of_text, *};

    #[test]
    fn a_key_is_found_with_all_its_lists_and_no_other_is() {
        let mut groups = Groups::new(4);
        let of = |n: u32| key_of_text(&n.to_le_bytes());
        let mut entries: Vec<_> = (0..70_000).map(|n| (of(n), (n % 3) as u16)).collect();
        entries.push((of(5), 3));
        entries.push((of(5), 3));

        let table = Table::new(entries, &mut groups);

        assert_eq!(table.len(), 70_000);
        let sets = |n| table.group(&of(n)).map(|group| groups.sets(group).to_vec());
        assert_eq!((sets(5), sets(6), sets(70_000)), (Some(vec![2, 3]), Some(vec![0]), None));
        assert!((0..70_000).all(|n| sets(n).unwrap()[0] == (n % 3) as u16));
        assert!(table.memory() < 70_000 * 13 + 300_000, "{}", table.memory());
    }
}
