//! The folder of one installation (`--home`) and the connection file in it.
//!
//! ```text
//! H/               0700
//!   khien.toml     where the hub is and with which files to speak to it
//!   lock           held by the one `khien up` that runs
//!   organization.toml   who we are, for reports
//!   operator/      key.pem (0600), cert.pem
//!   hub/  agent/   of the two programs
//!   log/           hub.log, agent.log
//! ```

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use khien_core::{Lang, signature::OperatorKey, text::trouble};
use serde::{Deserialize, Serialize};

use crate::told::Told;

/// The largest connection file; it has five short lines.
const MAX_CONFIG: u64 = 64 << 10;

/// The folder of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Takes the folder that was asked for, or the user's own.
    pub(crate) fn new(asked: Option<PathBuf>) -> Result<Self> {
        let path = match asked {
            Some(path) => path,
            None => default_home()?,
        };
        Ok(Self(std::path::absolute(&path).with_context(|| Told::path(trouble::CANNOT_BE_HOME, &path))?))
    }

    /// Returns the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns a path in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the folder and the ones in it, for the owner only.
    pub(crate) fn create(&self) -> Result<()> {
        for dir in
            [self.0.clone(), self.join("operator"), self.join("hub"), self.join("agent"), self.join("log")]
        {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| Told::path(trouble::CANNOT_MAKE, &dir))?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
                .with_context(|| Told::path(trouble::CANNOT_CLOSE, &dir))?;
        }
        Ok(())
    }
}

fn default_home() -> Result<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home =
        || std::env::var_os("HOME").filter(|v| !v.is_empty()).map(|h| PathBuf::from(h).join(".local/share"));
    match data.filter(|d| d.is_absolute()).or_else(home) {
        Some(base) => Ok(base.join("khien")),
        None => Err(Told::new(trouble::NO_HOME, &[]).into()),
    }
}

/// `H/khien.toml`: how to reach the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// `HOST:PORT` of the hub.
    pub(crate) hub: String,
    /// The hub's CA certificate, PEM.
    pub(crate) ca: PathBuf,
    /// The operator's key, PEM.
    pub(crate) key: PathBuf,
    /// The operator's certificate, PEM.
    pub(crate) cert: PathBuf,
    /// The operator's name at the hub.
    pub(crate) operator: String,
    /// Other operators whose packs this one uses, too. They come from the operator and not from the hub, as those in an agent's
    /// token do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trusted: Vec<OperatorKey>,
}

/// There is no connection file yet.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.shown(Lang::En))]
pub(crate) struct NotSetUp {
    path: PathBuf,
}

impl NotSetUp {
    /// Says it in a language.
    pub(crate) fn shown(&self, lang: Lang) -> String {
        trouble::NOT_SET_UP.with(lang, &[&self.path.display()])
    }
}

impl Config {
    /// Returns the keys whose signatures count here: one's own, and those of who is trusted.
    pub(crate) fn operators(&self, own: OperatorKey) -> Vec<OperatorKey> {
        std::iter::once(own).chain(self.trusted.iter().cloned()).collect()
    }

    /// Reads the connection file; relative paths in it count from the home.
    pub(crate) fn load(home: &Home) -> Result<Self> {
        let path = home.join("khien.toml");
        let size = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(NotSetUp { path }.into()),
            Err(e) => return Err(e).with_context(|| Told::path(trouble::CANNOT_READ, &path)),
        };
        if size > MAX_CONFIG {
            return Err(Told::new(trouble::FILE_TOO_LARGE, &[&path.display(), &size, &MAX_CONFIG]).into());
        }
        let text = fs::read_to_string(&path).with_context(|| Told::path(trouble::CANNOT_READ, &path))?;
        let config: Self = toml::from_str(&text).with_context(|| Told::path(trouble::CANNOT_USE, &path))?;
        Ok(Self {
            ca: home.path().join(config.ca),
            key: home.path().join(config.key),
            cert: home.path().join(config.cert),
            ..config
        })
    }

    /// Returns the settings of a hub that `khien up` runs in the same home.
    pub(crate) fn local(hub: String, operator: String) -> Self {
        Self {
            hub,
            ca: "hub/ca.pem".into(),
            key: "operator/key.pem".into(),
            cert: "operator/cert.pem".into(),
            operator,
            trusted: Vec::new(),
        }
    }

    /// Writes the connection file whole or not at all.
    pub(crate) fn save(&self, home: &Home) -> Result<()> {
        let text = toml::to_string(self).context("connection settings have no TOML form")?;
        write_private(&home.join("khien.toml"), text.as_bytes())
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = write_new(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Nothing more can be done about a leftover; the first error is the one that counts.
        fs::remove_file(&new).ok();
    }
    written.with_context(|| Told::path(trouble::CANNOT_WRITE, path))
}

/// Writes a file of mode 0600 that must not exist yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use khien_core::{
        bundle,
        signature::{Purpose, Signed, operator_key},
    };

    use super::*;

    #[test]
    fn settings_come_back_with_whole_paths() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().to_owned())).unwrap();

        Config::local("127.0.0.1:7443".to_owned(), "thu".to_owned()).save(&home).unwrap();
        let back = Config::load(&home).unwrap();

        assert_eq!(back.ca, dir.path().join("hub/ca.pem"));
        assert_eq!(back.operator, "thu");
        let mode = fs::metadata(home.join("khien.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pack_is_good_whoever_of_the_trusted_operators_signed_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().to_owned())).unwrap();
        let [own, lan, other] = [1, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        Config::local("127.0.0.1:7443".to_owned(), "thu".to_owned()).save(&home).unwrap();
        let file = home.join("khien.toml");
        let table = toml::to_string(&operator_key("lan", &lan)).unwrap();
        let text = fs::read_to_string(&file).unwrap() + "[[trusted]]\n" + &table;
        fs::write(&file, text).unwrap();

        let trusted = Config::load(&home).unwrap().operators(operator_key("thu", &own));

        let pack = serde_json::to_string(&khien_rules::base_pack(khien_core::Timestamp::UNIX_EPOCH)).unwrap();
        let opens = |key| bundle::open(&Signed::new(pack.clone(), Purpose::Pack, key), &trusted).is_ok();
        assert_eq!([&own, &lan, &other].map(opens), [true, true, false]);
    }

    #[test]
    fn a_home_is_closed_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().join("a/b"))).unwrap();

        home.create().unwrap();

        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.join("log")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_empty_home_is_told_apart_from_a_broken_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().to_owned())).unwrap();
        assert!(Config::load(&home).unwrap_err().is::<NotSetUp>());

        fs::write(home.join("khien.toml"), "hub = 3").unwrap();
        assert!(!Config::load(&home).unwrap_err().is::<NotSetUp>());
    }
}
