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

use khien_core::order::FileTarget;
use rustix::fs::{AtFlags, Stat};

use super::{
    EXPIRED, Failure, Leave, Responder, copy,
    place::{Identity, Place},
    room,
    traits::Traits,
};

/// The largest written form of a file's traits: every attribute at its limit is far beyond what file systems keep.
const MAX_TRAITS: u64 = 4 << 20;

/// A room in quarantine.
#[derive(Debug, Clone)]
pub(super) struct Room(PathBuf);

impl Responder {
    pub(super) fn quarantine_file(&self, file: &FileTarget, leave: Leave) -> Result<(), Failure> {
        let kept = Room::of(self, file).read(file)?;
        let found = match Place::find(file.path.raw())? {
            Some(place) => place.open()?.map(|(opened, stat)| (place, opened, stat)),
            None => None,
        };
        match (found, leave) {
            (None, _) if kept.is_some() => Ok(()),
            (None, _) => Err(Failure::new("the file is not there")),
            (Some(_), Leave::Look) => Err(Failure::new(EXPIRED)),
            (Some((place, opened, stat)), Leave::Act) => {
                self.keep(file, opened, &stat)?;
                take_away(&place, &stat).inspect_err(|_| {
                    // The file stays where it was, so its copy goes. If even that fails it is a spare copy.
                    let _ = Room::of(self, file).clear();
                })
            }
        }
    }

    /// Copies content and traits into the room; when this returns both are on disk and are what the order named.
    fn keep(&self, file: &FileTarget, mut opened: File, stat: &Stat) -> Result<(), Failure> {
        if stat.st_nlink != 1 {
            return Err(Failure::new(format!("the file has {} names, expected one", stat.st_nlink)));
        }
        let target = Room::of(self, file);
        let part = target.part();
        let kept = part.fill(&mut opened, file, stat).and_then(|()| target.take(&part));
        kept.inspect_err(|_| {
            // What is left is cleared before the next attempt at the latest.
            let _ = part.clear();
        })
    }
}

/// Takes the name away from the file that was copied, and only from that one as it was.
fn take_away(place: &Place, stat: &Stat) -> Result<(), Failure> {
    match place.look()? {
        Some(now) if Identity::of(&now) == Identity::of(stat) => (),
        _ => return Err(Failure::new("the file changed while it was copied")),
    }
    rustix::fs::unlinkat(&place.dir, &place.name[..], AtFlags::empty())
        .map_err(|e| Failure::errno("cannot take the file away", e))?;
    // The name is gone in any case; whether that survives a power cut is told by the step that verifies.
    let _ = rustix::fs::fsync(&place.dir);
    Ok(())
}

impl Room {
    /// Returns the room of a file, which need not exist.
    pub(super) fn of(responder: &Responder, file: &FileTarget) -> Self {
        Self(responder.quarantine.join(room(file)))
    }

    fn part(&self) -> Self {
        Self(self.0.with_extension("part"))
    }

    /// Reads what is known of the file in the room; `None` if the room is empty.
    pub(super) fn read(&self, file: &FileTarget) -> Result<Option<Traits>, Failure> {
        use std::io::Read;
        let opened = match File::open(self.0.join("traits.json")) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("cannot read the quarantine", &error)),
        };
        let mut text = Vec::new();
        opened
            .take(MAX_TRAITS)
            .read_to_end(&mut text)
            .map_err(|e| Failure::io("cannot read the quarantine", &e))?;
        let traits: Traits =
            serde_json::from_slice(&text).map_err(|_| Failure::new("the quarantine is damaged"))?;
        match traits.path == file.path && traits.sha256 == file.sha256 {
            true => Ok(Some(traits)),
            false => Err(Failure::new("the quarantine is damaged")),
        }
    }

    /// Opens the content in the room.
    pub(super) fn content(&self) -> Result<File, Failure> {
        File::open(self.0.join("content")).map_err(|e| Failure::io("cannot read the quarantine", &e))
    }

    /// Empties the room, first of what makes it whole.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(Failure::io("cannot clear the quarantine", &error)),
        };
        fs::remove_file(self.0.join("traits.json")).or_else(gone)?;
        fs::remove_file(self.0.join("content")).or_else(gone)?;
        fs::remove_dir(&self.0).or_else(gone)
    }

    fn fill(&self, opened: &mut File, file: &FileTarget, stat: &Stat) -> Result<(), Failure> {
        let cannot = |e: &io::Error| Failure::io("cannot copy the file into quarantine", e);
        self.clear()?;
        fs::DirBuilder::new().mode(0o700).create(&self.0).map_err(|e| cannot(&e))?;
        let dir = File::open(&self.0).map_err(|e| cannot(&e))?;
        copy::leaves_room(&dir, stat.st_size.unsigned_abs())?;
        let mut content = new_file(&self.0.join("content")).map_err(|e| cannot(&e))?;
        let (hash, _) = copy::hashed(opened, &mut content, copy::MAX_FILE).map_err(|e| cannot(&e))?;
        if hash != file.sha256 {
            return Err(Failure::new("the file has other content than the order names"));
        }
        content.sync_all().map_err(|e| cannot(&e))?;
        let traits = Traits::of(opened, stat, &file.path, hash)?;
        let text = serde_json::to_vec_pretty(&traits).map_err(|e| Failure::new(e.to_string()))?;
        let mut sidecar = new_file(&self.0.join("traits.json")).map_err(|e| cannot(&e))?;
        sidecar.write_all(&text).and_then(|()| sidecar.sync_all()).map_err(|e| cannot(&e))?;
        dir.sync_all().map_err(|e| cannot(&e))
    }

    /// Becomes what `part` is, whole, also if the room was taken by an earlier copy of the same file.
    fn take(&self, part: &Self) -> Result<(), Failure> {
        let cannot = |e: &io::Error| Failure::io("cannot copy the file into quarantine", e);
        self.clear()?;
        fs::rename(&part.0, &self.0).map_err(|e| cannot(&e))?;
        let parent = self.0.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(|e| cannot(&e))
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
