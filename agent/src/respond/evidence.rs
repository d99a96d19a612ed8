//! Takes a copy of a file as evidence: the bytes that the order names and no others, held until the hub has them.
//!
//! The copy is sealed to the hub's key while it is written: its plaintext is never on this disk, and nothing here opens it again.
//! So what the hub must be told of the plaintext stands behind the sealed bytes, until the copy goes:
//! ```text
//!  sealed evidence (core::seal) │ SHA-256 of the plaintext, 32 B │ its size, 8 B, big-endian
//! ```

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use khien_core::{
    OrderId, SealKey, Sha256, Timestamp, Untrusted,
    evidence::{MAX_EVIDENCE, MAX_SEALED},
    order::{FileTarget, Preserved},
    reason::{OsError, Reason},
    seal::{self, HEAD, Plain, SEED, SealError, Sealer},
};

use super::{Leave, Responder, copy, place::Place};
use crate::config;

/// What the name of an unfinished copy ends with.
const PART: &str = "part";
/// What stands behind the sealed bytes, in bytes.
const NOTE: usize = 40;

/// How a copy is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking {
    /// For which order.
    pub(crate) order: OrderId,
    /// The hub's key.
    pub(crate) key: SealKey,
    /// Whether it may be taken still.
    pub(crate) leave: Leave,
}

/// A copy of a file, whole and sealed, on its way to the hub.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    /// How many bytes go to the hub.
    pub(crate) sealed: u64,
    /// What was taken.
    pub(crate) preserved: Preserved,
}

/// What is to be in a copy.
struct Wanted<'a> {
    name: &'a Untrusted,
    /// None where nobody can know it before.
    sha256: Option<Sha256>,
}

impl Responder {
    /// Takes the copy, or finds the one that was taken before the agent was cut off. Blocks on the disk.
    pub(crate) fn stage(&self, taking: &Taking, target: &FileTarget) -> Result<Staged, Reason> {
        self.keeps_out(target)?;
        let wanted = Wanted { name: &target.path, sha256: Some(target.sha256) };
        self.staged_or(taking, &wanted, || {
            let found = Place::find(target.path.raw())?.map(|found| found.open()).transpose()?.flatten();
            let Some((mut opened, stat)) = found else { return Err(Reason::FileNotThere) };
            let size = stat.st_size.unsigned_abs();
            if size > MAX_EVIDENCE {
                return Err(Reason::FileTooLarge { limit: MAX_EVIDENCE });
            }
            self.seal_out(taking, &wanted, size, |out| io::copy(&mut opened, out).map(|_| ()).map_err(cannot))
        })
    }

    /// Has a file made that is evidence under a name, or finds the one that was made before the agent was cut off. `make` returns
    /// how much it put in; of nothing there is no evidence. Blocks on the disk.
    pub(crate) fn stage_made(
        &self,
        taking: &Taking,
        name: &Untrusted,
        make: impl FnOnce(&mut dyn Write) -> io::Result<usize>,
    ) -> Result<Staged, Reason> {
        let wanted = Wanted { name, sha256: None };
        self.staged_or(taking, &wanted, || {
            self.seal_out(taking, &wanted, MAX_EVIDENCE, |out| match make(out).map_err(cannot)? {
                0 => Err(Reason::NoSuchPackets),
                _ => Ok(()),
            })
        })
    }

    /// Finds the copy that stands for an order, or has it taken if that may still be done.
    fn staged_or(
        &self,
        taking: &Taking,
        wanted: &Wanted<'_>,
        take: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<Staged, Reason> {
        let place = self.evidence.join(taking.order.to_string());
        if let Some(staged) = staged(&place, wanted, taking.key)? {
            return Ok(staged);
        }
        if taking.leave == Leave::Look {
            return Err(Reason::ExpiredBefore);
        }
        take()?;
        staged(&place, wanted, taking.key)?.ok_or(Reason::CopyGone)
    }

    /// Seals what is written into the place of an order's copy, where it is whole or not at all.
    fn seal_out(
        &self,
        taking: &Taking,
        wanted: &Wanted<'_>,
        most: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let place = self.evidence.join(taking.order.to_string());
        let part = place.with_extension(PART);
        let dir = File::open(&self.evidence).map_err(cannot)?;
        copy::leaves_room(&dir, seal::sealed_size(most) + NOTE as u64)?;
        let sealed = sealed_into(&part, taking.key, wanted, write)
            .and_then(|()| fs::rename(&part, &place).and_then(|()| dir.sync_all()).map_err(cannot));
        sealed.inspect_err(|_| {
            // What is left is removed by the next attempt at the latest.
            let _ = fs::remove_file(&part);
        })
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
}

/// Writes a copy and its note, and has both on the disk.
fn sealed_into(
    part: &Path,
    key: SealKey,
    wanted: &Wanted<'_>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut seed = [0; SEED];
    getrandom::fill(&mut seed).map_err(|_| cannot(io::Error::other("no random bytes")))?;
    let file = config::anew(part).map_err(cannot)?;
    let mut sealer = Sealer::new(file, &key, &seed).map_err(|error| match error {
        SealError::Io(error) => cannot(error),
        _ => Reason::NoEvidenceKey,
    })?;
    let mut out = BufWriter::with_capacity(seal::CHUNK, Bounded { out: &mut sealer, left: MAX_EVIDENCE });
    write(&mut out)?;
    out.flush().map_err(cannot)?;
    drop(out);
    let (mut file, plain) = sealer.finish().map_err(cannot)?;
    if wanted.sha256.is_some_and(|wanted| wanted != plain.sha256) {
        return Err(Reason::OtherContent);
    }
    file.write_all(&note(plain)).and_then(|()| file.sync_all()).map_err(cannot)
}

/// Takes so many bytes and no more, whatever a file says of its size.
struct Bounded<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.left = self.left.checked_sub(n as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn note(plain: Plain) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    note[..32].copy_from_slice(&plain.sha256.0);
    note[32..].copy_from_slice(&plain.size.to_be_bytes());
    note
}

/// Opens what was taken before, if it is what is wanted, whole and sealed to this key.
fn staged(place: &Path, wanted: &Wanted<'_>, key: SealKey) -> Result<Option<Staged>, Reason> {
    let cannot = |error: io::Error| Reason::CannotReadCopy { error: error.into() };
    let Some(file) = config::existing(place).map_err(cannot)? else { return Ok(None) };
    let Some((Plain { sha256, size }, sealed)) = noted(&file, key).map_err(cannot)? else { return Ok(None) };
    if wanted.sha256.is_some_and(|wanted| sha256 != wanted) {
        return Ok(None);
    }
    let taken = file.metadata().and_then(|m| m.modified()).ok();
    let at = taken.and_then(|t| Timestamp::try_from(t).ok()).unwrap_or_else(Timestamp::now);
    let preserved = Preserved { sha256, size, path: wanted.name.clone(), at };
    Ok(Some(Staged { file, sealed, preserved }))
}

/// Reads what stands behind sealed bytes, if they begin as sealed to this key and are as many as it says.
fn noted(file: &File, key: SealKey) -> io::Result<Option<(Plain, u64)>> {
    let length = file.metadata()?.len();
    let sealed = length.checked_sub(NOTE as u64).filter(|n| (HEAD as u64..=MAX_SEALED).contains(n));
    let Some(sealed) = sealed else { return Ok(None) };
    let (mut head, mut sha256, mut size) = ([0; HEAD], [0; 32], [0; 8]);
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut sha256, sealed)?;
    file.read_exact_at(&mut size, sealed + 32)?;
    let plain = Plain { sha256: Sha256(sha256), size: u64::from_be_bytes(size) };
    let fits =
        seal::sealed_to(&head).is_ok_and(|to| to == key.id()) && seal::sealed_size(plain.size) == sealed;
    Ok(fits.then_some((plain, sealed)))
}

impl Staged {
    /// Reads up to `max` sealed bytes at an offset.
    pub(crate) fn read(&self, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        let left = self.sealed.saturating_sub(offset);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_beyond_its_bound_is_refused_as_too_large() {
        let mut out = Bounded { out: Vec::new(), left: 5 };

        out.write_all(b"12345").unwrap();
        let error = out.write_all(b"6").unwrap_err();

        assert_eq!(cannot(error), Reason::FileTooLarge { limit: MAX_EVIDENCE });
    }
}
