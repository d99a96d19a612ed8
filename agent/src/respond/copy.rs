//! Copies bytes and hashes them on the way.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
};

use khien_core::{
    Sha256,
    reason::{OsError, Reason},
};
use sha2::Digest;

use super::os;

/// The largest file that is taken into quarantine, or hashed to look at it.
pub(super) const MAX_FILE: u64 = 1 << 30;
/// Free bytes that are left to the host when a file is copied.
const SPARE: u64 = 64 << 20;
const CHUNK: usize = 128 << 10;

/// Reads to the end, at most `max` bytes, passing everything on, and returns hash and length.
pub(super) fn hashed(from: &mut File, to: &mut dyn Write, max: u64) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => return Ok((Sha256(hasher.finalize().into()), length)),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += n as u64;
        if length > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        hasher.update(&chunk[..n]);
        to.write_all(&chunk[..n])?;
    }
}

/// Says why copying failed: the file is longer than `max` bytes, or else what `why` makes of it.
pub(super) fn failed(error: &io::Error, max: u64, why: fn(OsError) -> Reason) -> Reason {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::FileTooLarge, None) => Reason::FileTooLarge { limit: max },
        _ => why(error.into()),
    }
}

/// Hashes a file that is only looked at.
pub(super) fn hash(file: &mut File) -> Result<Sha256, Reason> {
    match hashed(file, &mut io::sink(), MAX_FILE) {
        Ok((hash, _)) => Ok(hash),
        Err(error) => Err(failed(&error, MAX_FILE, |error| Reason::CannotRead { error })),
    }
}

/// Refuses to fill the host's disk.
pub(super) fn leaves_room(dir: impl AsFd, size: u64) -> Result<(), Reason> {
    let free = rustix::fs::fstatvfs(dir).map_err(|e| Reason::CannotSeeSpace { error: os(e) })?;
    match free.f_bavail.saturating_mul(free.f_frsize) >= size.saturating_add(SPARE) {
        true => Ok(()),
        false => Err(Reason::NoSpareSpace),
    }
}
