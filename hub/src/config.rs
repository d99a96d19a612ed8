//! The state folder: what lies where, and that nobody else can read it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use khien_core::{EvidenceId, Sha256};
use rustix::fs::{FlockOperation, flock};

/// The state folder.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Makes the folders where they are missing, readable by this user only.
    pub(crate) fn prepare(path: &Path) -> anyhow::Result<Self> {
        let home = Self(path.to_owned());
        for dir in [home.0.clone(), home.evidence(), home.incoming(), home.forms()] {
            private_dir(&dir).with_context(|| format!("make folder {}", dir.display()))?;
        }
        Ok(home)
    }

    /// The CA's certificate: what `khien` pins.
    pub(crate) fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The CA's key.
    pub(crate) fn ca_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// The server's certificate.
    pub(crate) fn tls(&self) -> PathBuf {
        self.0.join("tls.pem")
    }

    /// The server's key.
    pub(crate) fn tls_key(&self) -> PathBuf {
        self.0.join("tls.key")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("hub.sqlite")
    }

    /// The key that opens evidence.
    pub(crate) fn evidence_key(&self) -> PathBuf {
        self.0.join("evidence.key")
    }

    /// Finished evidence, sealed, named by the hash of what it opens to.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.0.join("evidence")
    }

    /// Evidence that is still coming in, sealed, named by its id.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.0.join("incoming")
    }

    /// Where one piece of evidence lies.
    pub(crate) fn evidence_file(&self, sha256: &Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.evidence().join(&name[..2]).join(name)
    }

    /// Where the bytes of one piece of evidence come in.
    pub(crate) fn incoming_file(&self, id: &EvidenceId) -> PathBuf {
        self.incoming().join(id.to_string())
    }

    /// Compiled forms of packs, named by their hash.
    pub(crate) fn forms(&self) -> PathBuf {
        self.0.join("compiled")
    }

    /// Where one of them lies.
    pub(crate) fn form_file(&self, sha256: &Sha256) -> PathBuf {
        self.forms().join(sha256.to_string())
    }

    /// Takes the folder for this process until the file is dropped; there is one hub per home.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let path = self.0.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("another hub runs on {}", self.0.display()))?;
        Ok(file)
    }
}

/// Makes a folder with mode 0700, or takes others' rights off one that is there.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Writes a file whole or not at all, with mode 0600.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let wrote = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_dir(path)
    };
    wrote().with_context(|| format!("write {}", path.display()))
}

/// Makes a rename or a link in a file's folder last.
pub(crate) fn sync_dir(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
