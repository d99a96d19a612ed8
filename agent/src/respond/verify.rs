//! Looks, and changes nothing.

use khien_core::{Sha256, order::FileTarget, reason::Reason};

use super::{copy, place::Place};

/// Looks whether the file is gone from its path. Other content there is another file, and no failure; what cannot be
/// looked at is one.
pub(super) fn absent(file: &FileTarget) -> Result<(), Reason> {
    match content(file)? {
        Some(hash) if hash == file.sha256 => Err(Reason::FileStillThere),
        _ => Ok(()),
    }
}

/// Looks whether the file is at its path with its content.
pub(super) fn present(file: &FileTarget) -> Result<(), Reason> {
    match content(file)? {
        Some(hash) if hash == file.sha256 => Ok(()),
        Some(_) => Err(Reason::OtherContent),
        None => Err(Reason::FileNotThere),
    }
}

fn content(file: &FileTarget) -> Result<Option<Sha256>, Reason> {
    let Some(place) = Place::find(file.path.raw())? else { return Ok(None) };
    let Some((mut opened, _)) = place.open()? else { return Ok(None) };
    copy::hash(&mut opened).map(Some)
}
