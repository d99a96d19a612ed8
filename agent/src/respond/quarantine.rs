//! Takes a file out of its place into a room of its own, so that it can be put back whole.
//!
//! ```text
//! quarantine/<room>.part/{content,traits.json}   being written; worth nothing
//! quarantine/<room>/{content,traits.json}        whole and on disk
//! then the file's name is taken away             this is the one step that counts
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use khien_core::{
    order::FileTarget,
    reason::{OsError, Reason},
};
use rustix::fs::Stat;

use super::{Leave, Responder, aside::Aside, copy, place::Place, room, traits::Traits};
use crate::config;

/// The largest written form of a file's traits: every attribute at its limit is far beyond what file systems keep.
const MAX_TRAITS: u64 = 4 << 20;

/// What the name of an unfinished room ends with.
const PART: &str = "part";

/// A room in quarantine.
#[derive(Debug, Clone)]
pub(super) struct Room(PathBuf);

impl Responder {
    pub(super) fn quarantine_file(&self, file: &FileTarget, leave: Leave) -> Result<(), Reason> {
        let room = Room::of(self, file);
        let kept = room.read(file)?.is_some();
        let place = Place::find(file.path.raw())?;
        let aside = Aside::of(self, file)?;
        aside.settle(file, kept, place.as_ref())?;
        let found = place.as_ref().map(Place::open).transpose()?.flatten();
        match (place, found, leave) {
            (place, None, _) if kept => {
                place.iter().for_each(Place::sync);
                Ok(())
            }
            (None, ..) | (_, None, _) => Err(Reason::FileNotThere),
            (.., Leave::Look) => Err(Reason::ExpiredBefore),
            (Some(place), Some((mut opened, stat)), Leave::Act) => {
                self.keep(file, &mut opened, &stat)?;
                aside.take(&place, &opened, &stat).inspect_err(|_| {
                    // The file stays where it was, so its copy goes; but not one that stood there before, which may be
                    // the last of an earlier file. If it cannot go it is a spare copy.
                    let _ = if kept { Ok(()) } else { room.clear() };
                })
            }
        }
    }

    /// Copies content and traits into the room; when this returns both are on disk and are what the order named.
    fn keep(&self, file: &FileTarget, opened: &mut File, stat: &Stat) -> Result<(), Reason> {
        if stat.st_nlink != 1 {
            #[expect(
                clippy::unnecessary_cast,
                reason = "the type of this field differs between architectures"
            )]
            return Err(Reason::ManyNames { names: stat.st_nlink as u64 });
        }
        let target = Room::of(self, file);
        let part = target.part();
        let kept = part.fill(opened, file, stat).and_then(|()| target.take(&part));
        kept.inspect_err(|_| {
            // What is left is cleared before the next attempt at the latest.
            let _ = part.clear();
        })
    }
}

/// Removes rooms that were not written to their end.
pub(super) fn sweep(quarantine: &Path) -> io::Result<()> {
    for entry in fs::read_dir(quarantine)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == PART) && Room(path).clear().is_err() {
            tracing::warn!("an unfinished room in quarantine is left behind");
        }
    }
    Ok(())
}

fn cannot_read(error: io::Error) -> Reason {
    Reason::CannotReadQuarantine { error: error.into() }
}

fn cannot_copy(error: OsError) -> Reason {
    Reason::CannotQuarantine { error }
}

impl Room {
    /// Returns the room of a file, which need not exist.
    pub(super) fn of(responder: &Responder, file: &FileTarget) -> Self {
        Self(responder.quarantine.join(room(file)))
    }

    fn part(&self) -> Self {
        Self(self.0.with_extension(PART))
    }

    /// Reads what is known of the file in the room; `None` if the room is empty.
    pub(super) fn read(&self, file: &FileTarget) -> Result<Option<Traits>, Reason> {
        use std::io::Read;
        let found = config::existing(&self.0.join("traits.json")).map_err(cannot_read)?;
        let Some(opened) = found else { return Ok(None) };
        let mut text = Vec::new();
        opened.take(MAX_TRAITS).read_to_end(&mut text).map_err(cannot_read)?;
        let traits: Traits = serde_json::from_slice(&text).map_err(|_| Reason::QuarantineDamaged)?;
        match traits.path == file.path && traits.sha256 == file.sha256 {
            true => Ok(Some(traits)),
            false => Err(Reason::QuarantineDamaged),
        }
    }

    /// Opens the content in the room.
    pub(super) fn content(&self) -> Result<File, Reason> {
        let found = config::existing(&self.0.join("content")).map_err(cannot_read)?;
        found.ok_or_else(|| cannot_read(io::ErrorKind::NotFound.into()))
    }

    /// Empties the room, first of what makes it whole.
    pub(super) fn clear(&self) -> Result<(), Reason> {
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(Reason::CannotClearQuarantine { error: error.into() }),
        };
        fs::remove_file(self.0.join("traits.json")).or_else(gone)?;
        fs::remove_file(self.0.join("content")).or_else(gone)?;
        fs::remove_dir(&self.0).or_else(gone)
    }

    fn fill(&self, opened: &mut File, file: &FileTarget, stat: &Stat) -> Result<(), Reason> {
        let cannot = |error: io::Error| copy::failed(&error, copy::MAX_FILE, cannot_copy);
        self.clear()?;
        fs::DirBuilder::new().mode(0o700).create(&self.0).map_err(cannot)?;
        let dir = File::open(&self.0).map_err(cannot)?;
        copy::leaves_room(&dir, stat.st_size.unsigned_abs())?;
        let mut content = new_file(&self.0.join("content")).map_err(cannot)?;
        let (hash, _) = copy::hashed(opened, &mut content, copy::MAX_FILE).map_err(cannot)?;
        if hash != file.sha256 {
            return Err(Reason::OtherContent);
        }
        content.sync_all().map_err(cannot)?;
        let traits = Traits::of(opened, stat, &file.path, hash)?;
        let text = serde_json::to_vec_pretty(&traits).map_err(|e| cannot(e.into()))?;
        let mut sidecar = new_file(&self.0.join("traits.json")).map_err(cannot)?;
        sidecar.write_all(&text).and_then(|()| sidecar.sync_all()).map_err(cannot)?;
        dir.sync_all().map_err(cannot)
    }

    /// Becomes what `part` is, whole, also if the room was taken by an earlier copy of the same file.
    fn take(&self, part: &Self) -> Result<(), Reason> {
        let cannot = |error: io::Error| cannot_copy(error.into());
        self.clear()?;
        fs::rename(&part.0, &self.0).map_err(cannot)?;
        let parent = self.0.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(cannot)
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
