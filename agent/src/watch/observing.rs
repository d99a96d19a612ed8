//! What lies outside the watched folders and is told of, but not scanned: see [`Observed`](crate::activity::Observed).
//!
//! fanotify sees all of a file system anyway. notify watches the folder in which a file lies, and an observed folder
//! with all that is below it. What is not there yet is waited for at the nearest folder above it that is.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
};

use khien_core::{
    asset::Sight,
    reason::{Reason, quoted},
};
use tracing::debug;

use super::{
    folder::Folders,
    mounts::{self, Mount},
    real::{Real, real},
};

/// Folders below an observed one that notify watches; each costs the kernel memory.
const MAX_FOLDERS: usize = 8_192;

/// What is observed now.
#[derive(Debug, Default)]
pub(super) struct Observing {
    /// As it was asked for, and where that was found.
    places: BTreeMap<PathBuf, Place>,
    /// The mounts that were marked for it.
    marked: BTreeSet<u64>,
    /// What notify watches for it.
    notified: BTreeSet<(PathBuf, bool)>,
}

/// Where something observed is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The names under which it is told of: its own, and where it leads if it is a link.
    real: Vec<PathBuf>,
    /// What is to be watched for it: a folder that is there.
    folder: PathBuf,
    /// Whether all below that folder is wanted.
    deep: bool,
}

impl Place {
    fn of(asked: &Path, left_out: &[PathBuf]) -> Option<Self> {
        let (above, rest) = nearest(asked, left_out)?;
        let own = above.join(rest);
        let real = match real(&own, left_out) {
            Ok(Real::At(real)) => Some(real),
            Ok(Real::LeftOut(_)) | Err(_) => None,
        };
        let deep = real.as_ref().is_some_and(|real| real.is_dir());
        let leads_to = real.filter(|real| *real != own);
        let folder = match leads_to.as_ref().unwrap_or(&own) {
            place if deep => place.clone(),
            place => nearest(place, left_out)?.0,
        };
        Some(Self { real: [Some(own), leads_to].into_iter().flatten().collect(), folder, deep })
    }
}

/// Returns the nearest folder above a path that is there, as it really is, and what of the path is below it. None if that
/// is on a mount that is left out.
fn nearest(path: &Path, left_out: &[PathBuf]) -> Option<(PathBuf, PathBuf)> {
    let mut above = path.parent();
    while let Some(folder) = above {
        match real(folder, left_out) {
            Ok(Real::At(real)) if real.is_dir() => {
                return Some((real, path.strip_prefix(folder).ok()?.to_owned()));
            }
            Ok(Real::LeftOut(_)) => return None,
            Ok(Real::At(_)) | Err(_) => above = folder.parent(),
        }
    }
    None
}

impl Folders {
    /// Looks where what is observed is now, and watches it.
    pub(super) fn observe(&mut self, mounts: &[Mount]) {
        let left_out = self.sink.left_out();
        let mut wanted = self.sink.observed.wanted();
        wanted.retain(|asked| !left_out.iter().any(|mount| asked.starts_with(mount)));
        if wanted.is_empty() && self.observing.places.is_empty() {
            return;
        }
        let placed = |asked: PathBuf| Place::of(&asked, &left_out).map(|place| (asked, place));
        let places: BTreeMap<PathBuf, Place> = wanted.into_iter().filter_map(placed).collect();
        let real: HashSet<PathBuf> = places.values().flat_map(|place| place.real.iter().cloned()).collect();
        self.sink.observed.really(real);
        for (asked, place) in &places {
            self.see(asked, place, mounts);
        }
        self.observing.places = places;
    }

    fn see(&mut self, asked: &Path, place: &Place, mounts: &[Mount]) {
        let is_as_before = self.observing.places.get(asked) == Some(place);
        let mount = mounts::of(mounts, &place.folder);
        if is_as_before && mount.is_some_and(|m| self.observing.marked.contains(&m.id)) {
            return;
        }
        let marked = match (&mut self.fanotify, mount) {
            (Some(fanotify), Some(mount)) => fanotify.mark(mount).map(|_| mount.id),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        match marked {
            Ok(mount) => drop(self.observing.marked.insert(mount)),
            Err(e) => {
                debug!(%e, "something is observed without fanotify");
                self.see_with_notify(asked, place);
            }
        }
    }

    fn see_with_notify(&mut self, asked: &Path, place: &Place) {
        let key = (place.folder.clone(), place.deep);
        let is_seen = |above: &Path| self.observing.notified.contains(&(above.to_owned(), true));
        if self.observing.notified.contains(&key)
            || self.sink.watches(&place.folder)
            || place.folder.ancestors().any(is_seen)
        {
            return;
        }
        let done = match place.deep {
            true => self.inotify.add_up_to(&place.folder, MAX_FOLDERS),
            false => self.inotify.add_alone(&place.folder).map(|()| true),
        };
        match done {
            Ok(is_all) => {
                self.observing.notified.insert(key);
                if !is_all {
                    let reason = Reason::ObservedBeyondLimit { limit: MAX_FOLDERS as u64 };
                    self.cover(asked, "notify", Sight::Reduced, Some(reason));
                }
            }
            Err(e) => {
                let (error, because) = (quoted(&e.to_string()), Box::new(self.lacking.clone()));
                let reason = Reason::NotifyFailed { error, because };
                self.cover(asked, "none", Sight::Blind, Some(reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_is_not_there_is_waited_for_at_the_nearest_folder_above() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();

        let place = Place::of(&at.join("a/b/keys"), &[]).unwrap();

        assert_eq!(place, Place { real: vec![at.join("a/b/keys")], folder: at, deep: false });
    }

    #[test]
    fn a_link_is_told_of_under_its_own_name_and_where_it_leads() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        fs::create_dir(at.join("usr")).unwrap();
        symlink("usr", at.join("lib")).unwrap();

        let place = Place::of(&at.join("lib"), &[]).unwrap();

        let real = vec![at.join("lib"), at.join("usr")];
        assert_eq!(place, Place { real, folder: at.join("usr"), deep: true });
    }

    #[test]
    fn a_file_is_seen_from_its_folder() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        fs::write(at.join("passwd"), "x").unwrap();

        let place = Place::of(&at.join("passwd"), &[]).unwrap();

        assert_eq!((place.folder, place.deep), (at, false));
    }

    #[test]
    fn a_way_onto_a_mount_that_is_left_out_is_not_gone() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        let far = [at.join("far")];
        fs::create_dir_all(at.join("far/conf")).unwrap();
        symlink("far/conf", at.join("link")).unwrap();

        let place = Place::of(&at.join("link"), &far).unwrap();

        assert_eq!(place, Place { real: vec![at.join("link")], folder: at.clone(), deep: false });
        assert_eq!(Place::of(&at.join("link/file"), &far), None);
        assert_eq!(Place::of(&at.join("far/conf/file"), &far), None);
    }
}
