//! Names that lead elsewhere: symbolic links out of the watched folders, and files that have several names.
//!
//! A link that leads to a regular file outside is a file like any other: what it leads to is scanned under the name of
//! the link. A link that leads to a folder outside is not followed, since its tree may be all of the host; it is said
//! that it is not looked at. So there is nothing to go round in.

use std::{
    collections::BTreeMap,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    real::{Real, real},
    sink::Sink,
};
use crate::scan::recent::Recent;

/// Files with several names of which one is remembered.
const ALIASES: usize = 16_384;
/// Links to folders that are remembered; of more only the number is told.
const OUTWARD: usize = 64;

/// What is known of such names.
#[derive(Debug)]
pub(super) struct Links {
    /// By device and inode: a name in a watched folder.
    aliases: Mutex<Recent<(u64, u64), PathBuf>>,
    /// Links to folders outside, and the folders.
    outward: Mutex<BTreeMap<PathBuf, PathBuf>>,
}

/// Where a symbolic link leads.
#[derive(Debug)]
pub(super) enum Leads {
    /// To a regular file outside.
    File(Metadata),
    /// To a folder outside, or onto a mount that is left out.
    Folder(PathBuf),
    /// To nothing, to what is watched under its own name, or to what has no content.
    Nowhere,
}

impl Default for Links {
    fn default() -> Self {
        Self { aliases: Mutex::new(Recent::new(ALIASES)), outward: Mutex::default() }
    }
}

impl Links {
    /// Remembers the name of a file that has others too.
    pub(super) fn alias(&self, path: &Path, meta: &Metadata) {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (meta.dev(), meta.ino());
        if aliases.get(&key).is_none_or(|known| known != path && !is_there(known, key)) {
            aliases.put(key, path.to_owned());
        }
    }

    /// Returns the name in a watched folder of a file that was changed under another name.
    pub(super) fn alias_of(&self, device: u64, inode: u64) -> Option<PathBuf> {
        let aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        aliases.get(&(device, inode)).filter(|path| is_there(path, (device, inode))).cloned()
    }

    /// Tells whether any name is remembered.
    pub(super) fn has_aliases(&self) -> bool {
        !self.aliases.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Remembers a link to a folder outside.
    pub(super) fn leads_out(&self, link: PathBuf, folder: PathBuf) {
        let mut outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner);
        if outward.len() < OUTWARD || outward.contains_key(&link) {
            outward.insert(link, folder);
        }
    }

    /// Returns the links that still lead to folders outside, and forgets the others.
    pub(super) fn outward(&self, sink: &Sink) -> Vec<(PathBuf, PathBuf)> {
        let known: Vec<PathBuf> =
            self.outward.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        let mut living = BTreeMap::new();
        for link in known.into_iter().filter(|link| sink.watches(link)) {
            if let Leads::Folder(folder) = leads(&link, sink) {
                living.insert(link, folder);
            }
        }
        let mut outward = self.outward.lock().unwrap_or_else(PoisonError::into_inner);
        outward.retain(|link, _| living.contains_key(link));
        living.into_iter().collect()
    }
}

/// Tells whether a path leads to this file.
fn is_there(path: &Path, key: (u64, u64)) -> bool {
    path.metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == key)
}

/// Tells where a symbolic link leads in the end.
pub(super) fn leads(link: &Path, sink: &Sink) -> Leads {
    let place = || -> io::Result<Leads> {
        if !link.symlink_metadata()?.is_symlink() {
            return Ok(Leads::Nowhere);
        }
        let path = match real(link, &sink.left_out())? {
            Real::LeftOut(mount) => return Ok(Leads::Folder(mount)),
            Real::At(path) if sink.watches(&path) || sink.excludes(&path) => return Ok(Leads::Nowhere),
            Real::At(path) => path,
        };
        let meta = path.symlink_metadata()?;
        let folder = meta.is_dir().then_some(Leads::Folder(path));
        Ok(if meta.is_file() { Leads::File(meta) } else { folder.unwrap_or(Leads::Nowhere) })
    };
    place().unwrap_or(Leads::Nowhere)
}
