//! Takes a copy of a file as evidence: the bytes that the order names and no others, held until the hub has them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
};

use khien_core::{
    OrderId, Timestamp,
    evidence::MAX_EVIDENCE,
    order::{FileTarget, Preserved},
};

use super::{Failure, Responder, copy, place::Place};

/// A copy of a file, whole, on its way to the hub.
#[derive(Debug)]
pub(crate) struct Staged {
    place: PathBuf,
    file: File,
    /// What was taken.
    pub(crate) preserved: Preserved,
}

impl Responder {
    /// Takes the copy, or finds the one that was taken before the agent was cut off. Blocks on the disk.
    pub(crate) fn stage(&self, order: OrderId, target: &FileTarget) -> Result<Staged, Failure> {
        self.keeps_out(target)?;
        let place = self.evidence.join(order.to_string());
        if let Some(staged) = self.staged(&place, target)? {
            return Ok(staged);
        }
        let Some((mut opened, stat)) = (match Place::find(target.path.raw())? {
            Some(found) => found.open()?,
            None => None,
        }) else {
            return Err(Failure::new("the file is not there"));
        };
        if stat.st_size.unsigned_abs() > MAX_EVIDENCE {
            return Err(Failure::new(format!("the file is larger than {MAX_EVIDENCE} bytes")));
        }
        let part = place.with_extension("part");
        let cannot = |e: &io::Error| Failure::io("cannot copy the file", e);
        let dir = File::open(&self.evidence).map_err(|e| cannot(&e))?;
        copy::leaves_room(&dir, stat.st_size.unsigned_abs())?;
        let copied = copy_whole(&mut opened, &part, target)
            .and_then(|()| fs::rename(&part, &place).and_then(|()| dir.sync_all()).map_err(|e| cannot(&e)));
        if let Err(failure) = copied {
            // What is left is overwritten by the next attempt at the latest.
            let _ = fs::remove_file(&part);
            return Err(failure);
        }
        self.staged(&place, target)?.ok_or_else(|| Failure::new("the copy of the file is gone"))
    }

    fn staged(&self, place: &PathBuf, target: &FileTarget) -> Result<Option<Staged>, Failure> {
        let mut file = match File::open(place) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("cannot read the copy of the file", &error)),
        };
        let (sha256, size) = copy::hashed(&mut file, &mut io::sink(), MAX_EVIDENCE)
            .map_err(|e| Failure::io("cannot read the copy of the file", &e))?;
        if sha256 != target.sha256 {
            return Ok(None);
        }
        let taken = file.metadata().and_then(|m| m.modified()).ok();
        let at = taken.and_then(|t| Timestamp::try_from(t).ok()).unwrap_or_else(Timestamp::now);
        let preserved = Preserved { sha256, size, path: target.path.clone(), at };
        Ok(Some(Staged { place: place.clone(), file, preserved }))
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

    /// Lets go of the copy.
    pub(crate) fn discard(self) {
        if let Err(error) = fs::remove_file(&self.place) {
            tracing::warn!(%error, "a copy of evidence is left behind");
        }
    }
}

fn copy_whole(opened: &mut File, part: &PathBuf, target: &FileTarget) -> Result<(), Failure> {
    let cannot = |e: &io::Error| Failure::io("cannot copy the file", e);
    let mut out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .map_err(|e| cannot(&e))?;
    let (hash, _) = copy::hashed(opened, &mut out, MAX_EVIDENCE).map_err(|e| cannot(&e))?;
    if hash != target.sha256 {
        return Err(Failure::new("the file has other content than the order names"));
    }
    out.sync_all().map_err(|e| cannot(&e))
}
