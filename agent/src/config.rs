//! The agent's folder: where its state lies, who may read it, and that only one agent uses it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use khien_core::signature::OperatorKey;
use khien_scan::open::Opened;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// The largest file of the agent's own state that is read whole, but for packs.
const MAX_STATE: u64 = 1 << 20;
const KEY: &str = "agent.key";
const ENROLMENT: &str = "enrolment.json";

/// The agent's folder, 0700.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

/// What joining a hub left behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Enrolment {
    /// `host:port` of the hub.
    pub(crate) hub: String,
    /// The hub's CA certificate, PEM.
    pub(crate) ca: String,
    /// The agent's certificate, PEM.
    pub(crate) certificate: String,
    /// The keys whose mandates and packs the agent obeys.
    pub(crate) operators: Vec<OperatorKey>,
}

impl Home {
    /// Makes the folder, or takes it as it is if it belongs to this user, and closes it to everybody else.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("cannot open {}", dir.display()))?;
        let found = fs::metadata(&dir)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            bail!("{} belongs to user {}, expected the user who runs the agent", dir.display(), found.uid());
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        Ok(Self(dir))
    }

    /// Returns the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the place of a file or folder in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a folder in it, 0700, and returns its place.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// Claims the folder; the claim ends with the process. `None` if another agent has it.
    pub(crate) fn claim(&self) -> anyhow::Result<Option<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A pipe without a reader is refused at once instead of waited for.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(self.join("lock"))
            .context("cannot open the lock file")?;
        if !file.metadata()?.is_file() {
            bail!("{} is no regular file", self.join("lock").display());
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).context("cannot lock the agent's folder"),
        }
    }

    /// Writes a file, 0600, so that after a crash either the old or the new one is there, whole.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let part = self.join(&format!("{name}.part"));
        let mut file = anew(&part).with_context(|| format!("cannot write {}", part.display()))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, self.join(name))?;
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }

    /// Reads a file of at most `max` bytes; `None` if there is none.
    pub(crate) fn read(&self, name: &str, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let place = self.join(name);
        let found = existing(&place).with_context(|| format!("cannot read {}", place.display()))?;
        let Some(file) = found else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            bail!("{} is larger than {max} bytes", place.display());
        }
        Ok(Some(bytes))
    }

    /// Reads the agent's private key, PEM; `None` before enrolment.
    pub(crate) fn key(&self) -> anyhow::Result<Option<String>> {
        let bytes = self.read(KEY, MAX_STATE)?;
        bytes.map(|b| String::from_utf8(b).context("the agent's key is not text")).transpose()
    }

    /// Stores the agent's private key, PEM.
    pub(crate) fn store_key(&self, pem: &str) -> anyhow::Result<()> {
        self.write(KEY, pem.as_bytes())
    }

    /// Reads what enrolment left; `None` before it.
    pub(crate) fn enrolment(&self) -> anyhow::Result<Option<Enrolment>> {
        let bytes = self.read(ENROLMENT, MAX_STATE)?;
        bytes.map(|b| serde_json::from_slice(&b).context("cannot read enrolment.json")).transpose()
    }

    /// Stores what enrolment gave. From here on the agent is enrolled.
    pub(crate) fn store_enrolment(&self, enrolment: &Enrolment) -> anyhow::Result<()> {
        self.write(ENROLMENT, &serde_json::to_vec_pretty(enrolment)?)
    }
}

/// Opens a file of the agent's own to read it; none if nothing is there. A pipe, a device or a link in its place is
/// refused: to open one could hold the agent up or lead it elsewhere.
pub(crate) fn existing(place: &Path) -> io::Result<Option<File>> {
    if let Ok(opened) = Opened::at(place) {
        return Ok(Some(opened.file));
    }
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if found.is_file() => Err(io::ErrorKind::PermissionDenied.into()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// Makes a file of the agent's own, 0600, in the place of whatever file, pipe or link is there.
pub(crate) fn anew(place: &Path) -> io::Result<File> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)
}

/// Where sites usually lie.
const WEB_ROOTS: [&str; 6] = [
    "/var/www",
    "/srv/www",
    "/srv/http",
    "/usr/share/nginx/html",
    "/opt/lampp/htdocs",
    "/usr/local/apache2/htdocs",
];
/// More homes than this are not searched for `public_html`.
const MAX_HOMES: usize = 1_000;

/// Returns the folders to watch when none is named: the current one and, for root, the usual web roots that exist.
/// A service that starts in `/` does not mean the whole host.
pub(crate) fn default_folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::env::current_dir().into_iter().collect();
    if rustix::process::geteuid().is_root() {
        found.extend(WEB_ROOTS.iter().map(PathBuf::from));
        found.extend(public_folders());
    }
    let whole_host = Path::new("/");
    found.retain(|dir| dir != whole_host && dir.is_dir());
    if found.is_empty() {
        found.extend(std::env::current_dir());
    }
    found
}

fn public_folders() -> impl Iterator<Item = PathBuf> {
    let homes = fs::read_dir("/home").into_iter().flatten().flatten();
    homes.take(MAX_HOMES).map(|home| home.path().join("public_html"))
}

/// Follows links once, so that what is watched and what is reported have one name each, and drops folders that lie
/// in another one. A folder that is missing is kept: it is stated as blind and waited for.
pub(crate) fn settled(folders: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut real = Vec::new();
    for dir in folders {
        match dir.canonicalize() {
            Ok(dir) if dir.is_dir() => real.push(dir),
            Ok(dir) => bail!("cannot watch {}: not a folder", dir.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => real.push(std::path::absolute(dir)?),
            Err(error) => return Err(error).with_context(|| format!("cannot watch {}", dir.display())),
        }
    }
    real.sort();
    real.dedup_by(|later, earlier| later.starts_with(&*earlier));
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_agent_runs_on_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("agent")).unwrap();

        let first = home.claim().unwrap();

        assert!(first.is_some());
        assert!(home.claim().unwrap().is_none());
        drop(first);
        assert!(home.claim().unwrap().is_some());
    }

    #[test]
    fn state_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("agent")).unwrap();

        home.write("x", b"secret").unwrap();

        assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.join("x")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(home.read("x", 6).unwrap().as_deref(), Some(&b"secret"[..]));
        assert!(home.read("x", 5).is_err());
        assert!(home.read("y", 5).unwrap().is_none());
    }

    #[test]
    fn what_is_no_regular_file_holds_nobody_up_and_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("agent")).unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "kept").unwrap();
        for name in ["pipe", "new.part", "lock"] {
            let at = home.join(name);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                at,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o600),
                0,
            )
            .unwrap();
        }
        for name in ["link", "old.part"] {
            std::os::unix::fs::symlink(&target, home.join(name)).unwrap();
        }

        assert!(home.read("pipe", 10).is_err() && home.read("link", 10).is_err());
        assert!(home.claim().is_err());
        home.write("new", b"new").unwrap();
        home.write("old", b"old").unwrap();

        assert_eq!(home.read("new", 10).unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(home.read("old", 10).unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(fs::read_to_string(target).unwrap(), "kept");
    }

    #[test]
    fn a_folder_within_another_is_watched_once() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("site/uploads");
        fs::create_dir_all(&inner).unwrap();

        let got = settled(&[inner, dir.path().join("site"), dir.path().join("site")]).unwrap();

        assert_eq!(got, [dir.path().canonicalize().unwrap().join("site")]);
    }
}
