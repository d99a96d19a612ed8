//! Takes a copy of a file as evidence: the bytes that the order names and no others, held until the hub has them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use khien_core::{
    OrderId, Timestamp,
    evidence::MAX_EVIDENCE,
    order::{FileTarget, Preserved},
    reason::{OsError, Reason},
};

use super::{Leave, Responder, copy, place::Place};

/// What the name of an unfinished copy ends with.
const PART: &str = "part";

/// A copy of a file, whole, on its way to the hub.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    /// What was taken.
    pub(crate) preserved: Preserved,
}

impl Responder {
    /// Takes the copy, or finds the one that was taken before the agent was cut off. Blocks on the disk.
    pub(crate) fn stage(&self, order: OrderId, target: &FileTarget, leave: Leave) -> Result<Staged, Reason> {
        self.keeps_out(target)?;
        let place = self.evidence.join(order.to_string());
        if let Some(staged) = self.staged(&place, target)? {
            return Ok(staged);
        }
        if leave == Leave::Look {
            return Err(Reason::ExpiredBefore);
        }
        self.copy_out(&place, target)?;
        self.staged(&place, target)?.ok_or(Reason::CopyGone)
    }

    /// Lets go of the copy that was taken for an order, whole or not. Blocks on the disk.
    pub(crate) fn let_go(&self, order: OrderId) {
        let place = self.evidence.join(order.to_string());
        for name in [place.with_extension(PART), place] {
            match fs::remove_file(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%order, %error, "a copy of evidence is left behind");
                }
                _ => {}
            }
        }
    }

    /// Copies the file to a place where it is whole or not at all.
    fn copy_out(&self, place: &Path, target: &FileTarget) -> Result<(), Reason> {
        let found = Place::find(target.path.raw())?.map(|found| found.open()).transpose()?.flatten();
        let Some((mut opened, stat)) = found else { return Err(Reason::FileNotThere) };
        if stat.st_size.unsigned_abs() > MAX_EVIDENCE {
            return Err(Reason::FileTooLarge { limit: MAX_EVIDENCE });
        }
        let part = place.with_extension(PART);
        let dir = File::open(&self.evidence).map_err(cannot)?;
        copy::leaves_room(&dir, stat.st_size.unsigned_abs())?;
        let copied = copy_whole(&mut opened, &part, target)
            .and_then(|()| fs::rename(&part, place).and_then(|()| dir.sync_all()).map_err(cannot));
        copied.inspect_err(|_| {
            // What is left is overwritten by the next attempt at the latest.
            let _ = fs::remove_file(&part);
        })
    }

    fn staged(&self, place: &Path, target: &FileTarget) -> Result<Option<Staged>, Reason> {
        let cannot = |error| Reason::CannotReadCopy { error };
        let mut file = match File::open(place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(error.into())),
        };
        let (sha256, size) = copy::hashed(&mut file, &mut io::sink(), MAX_EVIDENCE)
            .map_err(|e| copy::failed(&e, MAX_EVIDENCE, cannot))?;
        if sha256 != target.sha256 {
            return Ok(None);
        }
        let taken = file.metadata().and_then(|m| m.modified()).ok();
        let at = taken.and_then(|t| Timestamp::try_from(t).ok()).unwrap_or_else(Timestamp::now);
        let preserved = Preserved { sha256, size, path: target.path.clone(), at };
        Ok(Some(Staged { file, preserved }))
    }
}

impl Staged {
    /// Reads up to `max` bytes at an offset.
    pub(crate) fn read(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let left = self.preserved.size.saturating_sub(offset);
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(max).min(max)];
        self.file.read_exact_at(&mut chunk, offset)?;
        Ok(chunk)
    }
}

/// Removes all copies: none belongs to an order that is still to be answered.
pub(super) fn sweep(evidence: &Path) -> io::Result<()> {
    for entry in fs::read_dir(evidence)? {
        if let Err(error) = fs::remove_file(entry?.path()) {
            tracing::warn!(%error, "a copy of evidence is left behind");
        }
    }
    Ok(())
}

fn cannot(error: io::Error) -> Reason {
    copy::failed(&error, MAX_EVIDENCE, |error: OsError| Reason::CannotCopy { error })
}

fn copy_whole(opened: &mut File, part: &Path, target: &FileTarget) -> Result<(), Reason> {
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(part).map_err(cannot)?;
    let (hash, _) = copy::hashed(opened, &mut out, MAX_EVIDENCE).map_err(cannot)?;
    if hash != target.sha256 {
        return Err(Reason::OtherContent);
    }
    out.sync_all().map_err(cannot)
}
