//! The key that opens evidence: made once, kept beside the hub's other keys, shown to nobody.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context, ensure};
use khien_core::seal::{self, HEAD, OpenKey, SEED};

use crate::config::{self, Home};

/// Reads the key, or makes it where none is. Where evidence is sealed to one that is gone none is made: what comes in then would
/// be sealed to another key than what is there, and nobody would notice until it cannot be opened any more.
pub(crate) fn load(home: &Home) -> anyhow::Result<OpenKey> {
    let place = home.evidence_key();
    match fs::read_to_string(&place) {
        // The error says nothing of what it read.
        Ok(text) => text.parse().with_context(|| format!("read {}", place.display())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => make(home),
        Err(e) => Err(e).with_context(|| format!("read {}", place.display())),
    }
}

fn make(home: &Home) -> anyhow::Result<OpenKey> {
    let (place, folder) = (home.evidence_key(), home.evidence());
    ensure!(
        !holds_sealed(&folder).with_context(|| format!("look through {}", folder.display()))?,
        "{} is gone, and {} holds evidence that only it opens: bring it back from a backup, or move that folder away",
        place.display(),
        folder.display()
    );
    let mut seed = [0; SEED];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("get random bytes: {e}"))?;
    let key = OpenKey::from_seed(&seed);
    config::write_private(&place, key.to_text().as_bytes())?;
    tracing::info!(key = %key.public().id(), "a key for evidence was made; back it up apart from the evidence");
    Ok(key)
}

/// Tells whether a folder holds anything sealed, one folder deep.
fn holds_sealed(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = match entry.file_type()?.is_dir() {
            true => holds_sealed(&entry.path())?,
            false => is_sealed(&entry.path())?,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_sealed(file: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(file)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(seal::sealed_to(&head).is_ok())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    use khien_core::{Sha256, seal::Sealer};

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::prepare(&dir.path().join("hub")).unwrap();
        (dir, home)
    }

    #[test]
    fn the_key_is_made_once_for_this_user_only() {
        let (_dir, home) = home();

        let made = load(&home).unwrap();
        let again = load(&home).unwrap();

        assert_eq!(made.to_text(), again.to_text());
        let mode = fs::metadata(home.evidence_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn no_second_key_is_made_where_evidence_is_sealed_to_one_that_is_gone() {
        let (_dir, home) = home();
        let place = home.evidence_file(&Sha256::of(b"x"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, b"open evidence of before").unwrap();
        let key = load(&home).unwrap();
        let mut sealer = Sealer::new(Vec::new(), &key.public(), &[1; SEED]).unwrap();
        sealer.write_all(b"x").unwrap();
        fs::write(&place, sealer.finish().unwrap().0).unwrap();
        fs::remove_file(home.evidence_key()).unwrap();

        let error = load(&home).unwrap_err().to_string();

        assert!(error.contains("bring it back from a backup"), "{error}");
        assert!(!home.evidence_key().exists());
    }

    #[test]
    fn what_is_no_key_is_not_taken_for_one_and_not_shown() {
        let (_dir, home) = home();
        fs::write(home.evidence_key(), "khien-evidence-key-1:5ec7e7").unwrap();

        let error = format!("{:#}", load(&home).unwrap_err());

        assert!(error.contains("expected") && !error.contains("5ec7e7"), "{error}");
    }
}
