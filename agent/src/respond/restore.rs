//! Puts a quarantined file back where it was: content, owner, mode, times and extended attributes.
//!
//! The file is made whole without a name and then gets its name in one step that fails if anything else bears it.

use std::{fs::File, os::fd::AsRawFd};

use khien_core::{order::FileTarget, reason::Reason};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{Leave, Responder, aside::Aside, copy, os, place::Place, quarantine::Room, traits::Traits};

impl Responder {
    pub(super) fn restore_file(&self, file: &FileTarget, leave: Leave) -> Result<(), Reason> {
        let room = Room::of(self, file);
        let kept = room.read(file)?;
        let place = Place::find(file.path.raw())?;
        Aside::of(self, file)?.settle(file, kept.is_some(), place.as_ref())?;
        let there = place.as_ref().map(|p| traits_at(p, file)).transpose()?.flatten();
        match (kept, place, there, leave) {
            (kept, Some(place), Some(there), _) => found_there(file, &there, kept.as_ref(), (&place, &room)),
            (None, ..) => Err(Reason::NotInQuarantine),
            (_, None, ..) => Err(Reason::FolderGone),
            (.., Leave::Look) => Err(Reason::ExpiredBefore),
            (Some(kept), Some(place), None, Leave::Act) => {
                put_back(&kept, &place, &room)?;
                room.clear()
            }
        }
    }
}

/// A file is at the path already: either this order was cut off after its last step that counts, or it is a stranger.
fn found_there(
    file: &FileTarget,
    there: &Traits,
    kept: Option<&Traits>,
    (place, room): (&Place, &Room),
) -> Result<(), Reason> {
    let is_back = match kept {
        Some(kept) => kept.fit(there),
        None => there.sha256 == file.sha256,
    };
    if !is_back {
        return Err(Reason::AnotherFileThere);
    }
    place.sync();
    // Also a room that was not cleared to its end.
    room.clear()
}

fn put_back(kept: &Traits, place: &Place, room: &Room) -> Result<(), Reason> {
    copy::leaves_room(&place.dir, kept.size)?;
    let mut content = room.content()?;
    match rustix::fs::openat(&place.dir, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, owner_only())
    {
        Ok(fd) => {
            let file = fill(File::from(fd), kept, &mut content)?;
            give_name(&file, place)
        }
        Err(Errno::NOTSUP | Errno::ISDIR | Errno::INVAL) => put_back_by_rename(kept, place, &mut content),
        Err(error) => Err(Reason::CannotWriteFolder { error: os(error) }),
    }?;
    place.sync();
    Ok(())
}

/// Writes content and traits and returns the file when they are on disk.
fn fill(mut file: File, kept: &Traits, content: &mut File) -> Result<File, Reason> {
    let cannot = |error| Reason::CannotWrite { error };
    let (hash, _) = copy::hashed(content, &mut file, copy::MAX_FILE)
        .map_err(|e| copy::failed(&e, copy::MAX_FILE, cannot))?;
    if hash != kept.sha256 {
        return Err(Reason::QuarantineDamaged);
    }
    kept.give(&file)?;
    file.sync_all().map_err(|e| cannot(e.into()))?;
    Ok(file)
}

fn give_name(file: &File, place: &Place) -> Result<(), Reason> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, open, &place.dir, &place.name[..], AtFlags::SYMLINK_FOLLOW).map_err(no_name)
}

/// For file systems without nameless files: under a name of its own first, then renamed.
fn put_back_by_rename(kept: &Traits, place: &Place, content: &mut File) -> Result<(), Reason> {
    let part = format!(".khien-{}.part", kept.sha256.short());
    let old = rustix::fs::unlinkat(&place.dir, &part, AtFlags::empty());
    if let Err(error) = old.or_else(|e| if e == Errno::NOENT { Ok(()) } else { Err(e) }) {
        return Err(Reason::CannotWriteFolder { error: os(error) });
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&place.dir, &part, flags, owner_only())
        .map_err(|e| Reason::CannotWriteFolder { error: os(e) })?;
    let named = fill(File::from(fd), kept, content).and_then(|_| {
        rustix::fs::renameat_with(&place.dir, &part, &place.dir, &place.name[..], RenameFlags::NOREPLACE)
            .map_err(no_name)
    });
    named.inspect_err(|_| {
        // What is left is unlinked before the next attempt at the latest.
        let _ = rustix::fs::unlinkat(&place.dir, &part, AtFlags::empty());
    })
}

fn no_name(error: Errno) -> Reason {
    match error {
        Errno::EXIST => Reason::AnotherFileThere,
        other => Reason::CannotPutBack { error: os(other) },
    }
}

fn owner_only() -> Mode {
    Mode::from_raw_mode(0o600)
}

/// Reads what is at the place: `None` if nothing is.
fn traits_at(place: &Place, file: &FileTarget) -> Result<Option<Traits>, Reason> {
    if place.look()?.is_none() {
        return Ok(None);
    }
    let Some((mut opened, stat)) = place.open()? else { return Ok(None) };
    let hash = copy::hash(&mut opened)?;
    Traits::of(&opened, &stat, &file.path, hash).map(Some)
}
