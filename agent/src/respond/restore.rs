//! Puts a quarantined file back where it was: content, owner, mode, times and extended attributes.
//!
//! The file is made whole without a name and then gets its name in one step that fails if anything else bears it.

use std::{fs::File, os::fd::AsRawFd};

use khien_core::order::FileTarget;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{EXPIRED, Failure, Leave, Responder, copy, place::Place, quarantine::Room, traits::Traits};

impl Responder {
    pub(super) fn restore_file(&self, file: &FileTarget, leave: Leave) -> Result<(), Failure> {
        let room = Room::of(self, file);
        let kept = room.read(file)?;
        let place = Place::find(file.path.raw())?;
        if let Some(there) = place.as_ref().map(|p| traits_at(p, file)).transpose()?.flatten() {
            return found_there(file, &there, kept.as_ref(), &room);
        }
        match (kept, place, leave) {
            (None, _, _) => Err(Failure::new("the file is not in quarantine")),
            (_, None, _) => Err(Failure::new("the folder of the file is gone")),
            (_, _, Leave::Look) => Err(Failure::new(EXPIRED)),
            (Some(kept), Some(place), Leave::Act) => {
                put_back(&kept, &place, &room)?;
                room.clear()
            }
        }
    }
}

/// A file is at the path already: either this order was cut off after its last step that counts, or it is a stranger.
fn found_there(file: &FileTarget, there: &Traits, kept: Option<&Traits>, room: &Room) -> Result<(), Failure> {
    match kept {
        Some(kept) if kept.fit(there) => room.clear(),
        None if there.sha256 == file.sha256 => Ok(()),
        _ => Err(Failure::new("another file is at the path")),
    }
}

fn put_back(kept: &Traits, place: &Place, room: &Room) -> Result<(), Failure> {
    copy::leaves_room(&place.dir, kept.size)?;
    let mut content = room.content()?;
    match rustix::fs::openat(&place.dir, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, owner_only())
    {
        Ok(fd) => {
            let file = fill(File::from(fd), kept, &mut content)?;
            give_name(&file, place)
        }
        Err(Errno::NOTSUP | Errno::ISDIR | Errno::INVAL) => put_back_by_rename(kept, place, &mut content),
        Err(error) => Err(Failure::errno("cannot write to the folder", error)),
    }?;
    // The file is back in any case; whether that survives a power cut is told by the step that verifies.
    let _ = rustix::fs::fsync(&place.dir);
    Ok(())
}

/// Writes content and traits and returns the file when they are on disk.
fn fill(mut file: File, kept: &Traits, content: &mut File) -> Result<File, Failure> {
    let (hash, _) = copy::hashed(content, &mut file, copy::MAX_FILE)
        .map_err(|e| Failure::io("cannot write the file", &e))?;
    if hash != kept.sha256 {
        return Err(Failure::new("the quarantine is damaged"));
    }
    kept.give(&file)?;
    file.sync_all().map_err(|e| Failure::io("cannot write the file", &e))?;
    Ok(file)
}

fn give_name(file: &File, place: &Place) -> Result<(), Failure> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open, &place.dir, &place.name[..], AtFlags::SYMLINK_FOLLOW).map_err(no_name)
}

/// For file systems without nameless files: under a name of its own first, then renamed.
fn put_back_by_rename(kept: &Traits, place: &Place, content: &mut File) -> Result<(), Failure> {
    let part = format!(".khien-{}.part", kept.sha256.short());
    let old = rustix::fs::unlinkat(&place.dir, &part, AtFlags::empty());
    if let Err(error) = old.or_else(|e| if e == Errno::NOENT { Ok(()) } else { Err(e) }) {
        return Err(Failure::errno("cannot write to the folder", error));
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&place.dir, &part, flags, owner_only())
        .map_err(|e| Failure::errno("cannot write to the folder", e))?;
    let named = fill(File::from(fd), kept, content).and_then(|_| {
        rustix::fs::renameat_with(&place.dir, &part, &place.dir, &place.name[..], RenameFlags::NOREPLACE)
            .map_err(no_name)
    });
    named.inspect_err(|_| {
        // What is left is unlinked before the next attempt at the latest.
        let _ = rustix::fs::unlinkat(&place.dir, &part, AtFlags::empty());
    })
}

fn no_name(error: Errno) -> Failure {
    match error {
        Errno::EXIST => Failure::new("another file is at the path"),
        other => Failure::errno("cannot put the file in its place", other),
    }
}

fn owner_only() -> Mode {
    Mode::from_raw_mode(0o600)
}

/// Reads what is at the place: `None` if nothing is.
fn traits_at(place: &Place, file: &FileTarget) -> Result<Option<Traits>, Failure> {
    if place.look()?.is_none() {
        return Ok(None);
    }
    let Some((mut opened, stat)) = place.open()? else { return Ok(None) };
    let (hash, _) = copy::hashed(&mut opened, &mut std::io::sink(), copy::MAX_FILE)
        .map_err(|e| Failure::io("cannot read the file", &e))?;
    Traits::of(&opened, &stat, &file.path, hash).map(Some)
}
