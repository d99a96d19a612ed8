//! Writes a report's files: for their owner only, and never over another file.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use khien_core::text::trouble;

use crate::{config::write_new, told::Told};

/// The most drafts of one report in one folder.
const MAX_DRAFTS: u32 = 999;

/// The folder in which the files are written.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Takes a folder, made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| Told::path(trouble::CANNOT_MAKE, path))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes `name.ending`, or `name-2.ending` and so on where that is taken, and returns the path.
    pub(super) fn write(&self, name: &str, ending: &str, bytes: &[u8]) -> Result<PathBuf> {
        for n in 1..=MAX_DRAFTS {
            let suffix = if n == 1 { String::new() } else { format!("-{n}") };
            let path = self.0.join(format!("{name}{suffix}.{ending}"));
            match write_new(&path, bytes) {
                Ok(()) => return Ok(path),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).with_context(|| Told::path(trouble::CANNOT_WRITE, &path)),
            }
        }
        Err(Told::new(trouble::TOO_MANY_DRAFTS, &[&self.0.display(), &MAX_DRAFTS, &name]).into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_draft_never_overwrites_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();

        let first = folder.write("SC-2026-0001-x", "docx", b"1").unwrap();
        let second = folder.write("SC-2026-0001-x", "docx", b"2").unwrap();

        assert_eq!(std::fs::read(&first).unwrap(), b"1");
        assert!(second.ends_with("SC-2026-0001-x-2.docx"), "{}", second.display());
        assert_eq!(std::fs::metadata(second).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
