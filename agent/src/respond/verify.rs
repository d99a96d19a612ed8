//! Looks, and changes nothing.

use khien_core::{Sha256, order::FileTarget};

use super::{Failure, copy, place::Place};

/// Looks whether the file is gone from its path. Other content there is another file, and no failure; what cannot be
/// looked at is one.
pub(super) fn absent(file: &FileTarget) -> Result<(), Failure> {
    match content(file)? {
        Some(hash) if hash == file.sha256 => Err(Failure::new("the file is still there")),
        _ => Ok(()),
    }
}

/// Looks whether the file is at its path with its content.
pub(super) fn present(file: &FileTarget) -> Result<(), Failure> {
    match content(file)? {
        Some(hash) if hash == file.sha256 => Ok(()),
        Some(_) => Err(Failure::new("the file has other content")),
        None => Err(Failure::new("the file is not there")),
    }
}

fn content(file: &FileTarget) -> Result<Option<Sha256>, Failure> {
    let Some(place) = Place::find(file.path.raw())? else { return Ok(None) };
    let Some((mut opened, _)) = place.open()? else { return Ok(None) };
    let (hash, _) = copy::hashed(&mut opened, &mut std::io::sink(), copy::MAX_FILE)
        .map_err(|e| Failure::io("cannot read the file", &e))?;
    Ok(Some(hash))
}
