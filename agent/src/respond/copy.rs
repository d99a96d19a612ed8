//! Copies bytes and hashes them on the way.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
};

use khien_core::Sha256;
use sha2::Digest;

use super::Failure;

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
            return Err(io::Error::other(format!("larger than {max} bytes")));
        }
        hasher.update(&chunk[..n]);
        to.write_all(&chunk[..n])?;
    }
}

/// Refuses to fill the host's disk.
pub(super) fn leaves_room(dir: impl AsFd, size: u64) -> Result<(), Failure> {
    let free =
        rustix::fs::fstatvfs(dir).map_err(|e| Failure::errno("cannot see how much space is free", e))?;
    match free.f_bavail.saturating_mul(free.f_frsize) >= size.saturating_add(SPARE) {
        true => Ok(()),
        false => Err(Failure::new("no space left that the host can spare")),
    }
}
