//! Files that a walk listed and that were gone when their turn came. A file that was renamed meanwhile is still in its
//! folder under another name: each such folder is looked at once more, and what has no other name there is told as gone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The most files that are looked for; more of them are told as gone at once.
const MOST: usize = 16_384;

/// Files that are looked for in one folder: their old names, by the number that the folder has for the file.
pub(super) type Missing = BTreeMap<u64, Vec<PathBuf>>;

/// What is looked for, by folder.
#[derive(Debug, Default)]
pub(super) struct Again {
    pub(super) folders: BTreeMap<PathBuf, Missing>,
    files: usize,
}

impl Again {
    /// Takes a file that is gone, and tells whether it is looked for.
    pub(super) fn take(&mut self, path: &Path, number: u64) -> bool {
        let Some(folder) = path.parent().filter(|_| self.files < MOST) else { return false };
        self.files += 1;
        let missing = self.folders.entry(folder.to_owned()).or_default();
        missing.entry(number).or_default().push(path.to_owned());
        true
    }

    /// Tells whether nothing is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_both_looked_for_and_their_number_is_bounded() {
        let mut again = Again::default();

        assert!(again.take(Path::new("/srv/a"), 7) && again.take(Path::new("/srv/b"), 7));
        assert_eq!(again.folders[Path::new("/srv")][&7].len(), 2);

        (2..MOST as u64).for_each(|n| assert!(again.take(Path::new("/srv/c"), n)));
        assert!(!again.take(Path::new("/srv/d"), 1));
    }
}
