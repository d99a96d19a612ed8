//! Takes a file's name away so that nothing else ever is: it is moved aside in one step, looked at there where nobody
//! else reaches, and then removed or put back.
//!
//! Aside is a name in the agent's own folder, `quarantine/<room>.aside`. Where that lies on another file system the name
//! is removed right after the last look, and whether the right one was hit is told afterwards.

use std::fs::File;

use khien_core::{order::FileTarget, reason::Reason};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat},
    io::Errno,
};

use super::{
    Responder, copy, os,
    place::{Identity, Place},
    room,
};

/// Where one file waits between its move out of its place and its removal.
#[derive(Debug)]
pub(super) struct Aside(Place);

impl Aside {
    /// Returns the spot of a file, which need not exist.
    pub(super) fn of(responder: &Responder, file: &FileTarget) -> Result<Self, Reason> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&responder.quarantine, flags, Mode::empty())
            .map_err(|e| Reason::CannotReadQuarantine { error: os(e) })?;
        Ok(Self(Place { dir, name: format!("{}.aside", room(file)).into_bytes() }))
    }

    /// Goes on where an earlier attempt was cut off after the move: what the room keeps is removed, anything else goes
    /// back.
    pub(super) fn settle(
        &self,
        file: &FileTarget,
        is_kept: bool,
        place: Option<&Place>,
    ) -> Result<(), Reason> {
        let Some(stat) = self.0.look()? else { return Ok(()) };
        match is_kept && self.holds(file, &stat)? {
            true => self.remove(),
            false => self.put_back(place.ok_or(Reason::FolderGone)?),
        }
    }

    /// Removes the file that was copied from its place, and only that one as it was.
    pub(super) fn take(&self, place: &Place, opened: &File, stat: &Stat) -> Result<(), Reason> {
        let copied = Identity::of(stat);
        match place.look()? {
            Some(now) if Identity::of(&now) == copied => {}
            _ => return Err(Reason::ChangedWhileCopied),
        }
        match rename(place, &self.0) {
            Ok(()) => {}
            Err(Errno::XDEV) => return take_at_once(place, opened),
            Err(error) => return Err(Reason::CannotTakeAway { error: os(error) }),
        }
        let hit = self.0.look()?.is_some_and(|now| Identity::of(&now).is_but_for_its_name(copied));
        if !hit {
            self.put_back(place)?;
            return Err(Reason::ChangedWhileCopied);
        }
        place.sync();
        self.remove()
    }

    fn holds(&self, file: &FileTarget, stat: &Stat) -> Result<bool, Reason> {
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Ok(false);
        }
        let Some((mut opened, _)) = self.0.open()? else { return Ok(false) };
        Ok(copy::hash(&mut opened)? == file.sha256)
    }

    fn remove(&self) -> Result<(), Reason> {
        rustix::fs::unlinkat(&self.0.dir, &self.0.name[..], AtFlags::empty())
            .map_err(|e| Reason::CannotTakeAway { error: os(e) })
    }

    /// Gives a name back to what bore it. If another has taken it meanwhile, what is aside stays there and the order
    /// fails until a person has looked.
    fn put_back(&self, place: &Place) -> Result<(), Reason> {
        match rename(&self.0, place) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Reason::AnotherFileThere),
            Err(error) => Err(Reason::CannotPutBack { error: os(error) }),
        }
    }
}

/// Moves without replacing; where the file system cannot promise that, after a look.
fn rename(from: &Place, to: &Place) -> Result<(), Errno> {
    let plain = || match rustix::fs::statat(&to.dir, &to.name[..], AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => rustix::fs::renameat(&from.dir, &from.name[..], &to.dir, &to.name[..]),
        Ok(_) => Err(Errno::EXIST),
        Err(error) => Err(error),
    };
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(&from.dir, &from.name[..], &to.dir, &to.name[..], flags) {
        Err(Errno::INVAL | Errno::NOSYS) => plain(),
        other => other,
    }
}

fn take_at_once(place: &Place, opened: &File) -> Result<(), Reason> {
    rustix::fs::unlinkat(&place.dir, &place.name[..], AtFlags::empty())
        .map_err(|e| Reason::CannotTakeAway { error: os(e) })?;
    place.sync();
    let now = rustix::fs::fstat(opened).map_err(|e| Reason::CannotLook { error: os(e) })?;
    match now.st_nlink {
        0 => Ok(()),
        _ => Err(Reason::ChangedWhileCopied),
    }
}
