//! On which lists an entry stands: two bytes, however many they are.

use std::collections::HashMap;

/// Lists on which the same entries stand. The first places are those of the lists themselves: most entries stand on one.
#[derive(Debug, Default)]
pub(super) struct Groups {
    sets: Vec<Box<[u16]>>,
    places: HashMap<Box<[u16]>, u16>,
}

impl Groups {
    /// Begins with a group for each list.
    pub(super) fn new(sets: u16) -> Self {
        Self { sets: (0..sets).map(|set| Box::from([set])).collect(), places: HashMap::new() }
    }

    /// Returns the group of an entry that stands on these lists, the best first. When there are more different groups
    /// than numbers for them, the best list alone stands for the rest.
    pub(super) fn of(&mut self, sets: impl Iterator<Item = u16>) -> u16 {
        let sets: Box<[u16]> = sets.collect();
        let best = sets.first().copied().unwrap_or_default();
        if sets.len() < 2 {
            return best;
        }
        if let Some(place) = self.places.get(&sets) {
            return *place;
        }
        let Ok(place) = u16::try_from(self.sets.len()) else { return best };
        self.sets.push(sets.clone());
        self.places.insert(sets, place);
        place
    }

    /// Returns the lists of a group, the best first.
    pub(super) fn sets(&self, group: u16) -> &[u16] {
        self.sets.get(usize::from(group)).map_or(&[], |sets| sets)
    }

    /// Gives back what only building takes.
    pub(super) fn finish(&mut self) {
        self.places = HashMap::new();
        self.sets.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_list_is_its_own_group_and_the_same_lists_are_one() {
        let mut groups = Groups::new(3);

        assert_eq!(groups.of([2].into_iter()), 2);
        let both = groups.of([0, 2].into_iter());
        assert_eq!(groups.of([0, 2].into_iter()), both);
        assert_eq!((groups.sets(both), groups.sets(1), groups.sets(99)), (&[0, 2][..], &[1][..], &[][..]));
    }

    #[test]
    fn when_no_number_is_left_the_best_list_stands_for_all() {
        let mut groups = Groups::new(400);
        let pairs = || (0..400).flat_map(|a| (a + 1..400).map(move |b| [a, b]));
        assert!(pairs().count() > usize::from(u16::MAX));

        let last = pairs().map(|pair| (pair, groups.of(pair.into_iter()))).last();

        assert_eq!(last, Some(([398, 399], 398)));
    }
}
