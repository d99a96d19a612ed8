//! Canary files: planted only where the agent was told to, each one known, each one taken away again.
//!
//! Two in each watched folder, one that sorts first and one that sorts last, readable by the agent's user alone. They say
//! what they are. They are scanned as all files are: what is not scanned would be a place to hide in.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use khien_core::{Lang, Sha256, Untrusted, text::agent as words};
use khien_scan::open::Opened;

use crate::{
    args::{self, CanariesCommand},
    config::Home,
};

/// Which canaries were planted, in the agent's folder.
const LIST: &str = "canaries.json";
/// The largest list that is read.
const MAX_LIST: u64 = 1 << 20;
/// Sort first and last in what `readdir`, `ls` and ransomware sort by.
const NAMES: [&str; 2] = ["!0-khien-canary.txt", "~zz-khien-canary.txt"];
/// What is in them.
const CONTENT: &str = "Tệp mồi của Khiên: không ai cần sửa tệp này. Ai sửa, đổi tên hay xóa đều gây cảnh báo.\n\
    Gỡ bằng lệnh: khien-agent canaries remove\n\
    A canary file of Khien: nobody needs to change it. Who changes, renames or removes it raises an alert.\n\
    Remove it with: khien-agent canaries remove\n";

/// Lists the canaries, or takes them away, as the command line says.
pub(crate) fn command(options: &args::Canaries, lang: Lang) -> anyhow::Result<ExitCode> {
    let home = Home::open(&options.home)?;
    match options.command {
        CanariesCommand::List => print(&list(&home)?)?,
        CanariesCommand::Remove => {
            // An agent that runs would take it for an attack.
            let Some(_claim) = home.claim()? else {
                bail!(words::LOCKED.with(lang, &[&home.path().display()]));
            };
            let (removed, left) = remove(&home)?;
            removed.iter().for_each(|path| crate::tell(&words::CANARY_REMOVED.with(lang, &[path])));
            left.iter().for_each(|path| crate::tell(&words::CANARY_LEFT.with(lang, &[path])));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(paths: &[Untrusted]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    paths.iter().try_for_each(|path| writeln!(out, "{path}"))
}

/// The canaries of this start.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    /// Where they are and what is in them.
    pub(crate) known: HashMap<Untrusted, Sha256>,
    /// Those that were changed or removed while no agent ran.
    pub(crate) touched: Vec<Untrusted>,
}

/// Returns the canaries that were planted before and, if the agent is to, plants those that are missing. A file that is
/// there under the name already is left alone and is no canary.
pub(crate) fn prepare(home: &Home, watched: &[PathBuf], plant: bool) -> anyhow::Result<Canaries> {
    let before = list(home)?;
    let (mut there, touched): (Vec<_>, Vec<_>) = before.into_iter().partition(|path| is_ours(place(path)));
    let wanted =
        watched.iter().filter(|dir| plant && dir.is_dir()).flat_map(|dir| NAMES.map(|name| dir.join(name)));
    for place in wanted {
        let name = Untrusted::new(place.as_os_str().as_bytes());
        if let Err(error) = make(&place) {
            tracing::warn!(place = %name, %error, "a canary was not planted");
        } else if !there.contains(&name) && is_ours(&place) {
            there.push(name);
        }
    }
    write(home, &there)?;
    let known = there.into_iter().map(|path| (path, Sha256::of(CONTENT.as_bytes()))).collect();
    Ok(Canaries { known, touched })
}

/// Takes all canaries away, but for files that are no canaries any more. Returns what was removed and what was left.
pub(crate) fn remove(home: &Home) -> anyhow::Result<(Vec<Untrusted>, Vec<Untrusted>)> {
    let (ours, others): (Vec<_>, Vec<_>) = list(home)?.into_iter().partition(|path| is_ours(place(path)));
    for path in &ours {
        fs::remove_file(place(path)).with_context(|| format!("cannot remove {path}"))?;
    }
    write(home, &[])?;
    Ok((ours, others.into_iter().filter(|path| place(path).exists()).collect()))
}

/// Returns the paths of all that were planted.
pub(crate) fn list(home: &Home) -> anyhow::Result<Vec<Untrusted>> {
    let bytes = home.read(LIST, MAX_LIST)?;
    bytes.map_or(Ok(Vec::new()), |b| serde_json::from_slice(&b).context("cannot read canaries.json"))
}

fn write(home: &Home, paths: &[Untrusted]) -> anyhow::Result<()> {
    if paths.is_empty() && !home.join(LIST).exists() {
        return Ok(());
    }
    home.write(LIST, &serde_json::to_vec_pretty(paths)?)
}

fn place(path: &Untrusted) -> &Path {
    Path::new(OsStr::from_bytes(path.raw()))
}

fn make(place: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o400).open(place) {
        Ok(mut file) => file.write_all(CONTENT.as_bytes()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

fn is_ours(place: &Path) -> bool {
    use std::io::Read;
    let Ok(Opened { file, .. }) = Opened::at_or_behind(place) else { return false };
    let mut bytes = Vec::new();
    let read = file.take(CONTENT.len() as u64 + 1).read_to_end(&mut bytes);
    read.is_ok() && bytes == CONTENT.as_bytes() && !place.is_symlink()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn place_of(name: &Path) -> Untrusted {
        Untrusted::new(name.as_os_str().as_bytes())
    }

    #[test]
    fn what_was_planted_is_known_and_taken_away_and_nothing_else_is() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().canonicalize().unwrap();
        let (home, web) = (Home::open(&dir.join("home")).unwrap(), dir.join("web"));
        fs::create_dir(&web).unwrap();
        fs::write(web.join(NAMES[1]), "a person's own file").unwrap();

        for _ in 0..2 {
            prepare(&home, std::slice::from_ref(&web), true).unwrap();
        }

        let first = web.join(NAMES[0]);
        assert_eq!(list(&home).unwrap(), [place_of(&first)]);
        assert_eq!(fs::metadata(&first).unwrap().mode() & 0o777, 0o400);
        let removed = remove(&home).unwrap();
        assert_eq!(removed, (vec![place_of(&first)], vec![]));
        assert_eq!(fs::read_dir(&web).unwrap().count(), 1);
        assert!(prepare(&home, &[web], false).unwrap().known.is_empty());
    }

    #[test]
    fn a_canary_that_was_changed_is_evidence_and_stays() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().canonicalize().unwrap();
        let (home, web) = (Home::open(&dir.join("home")).unwrap(), dir.join("web"));
        fs::create_dir(&web).unwrap();
        prepare(&home, std::slice::from_ref(&web), true).unwrap();
        let first = web.join(NAMES[0]);
        fs::remove_file(&first).unwrap();
        fs::write(&first, "encrypted").unwrap();

        let (removed, left) = remove(&home).unwrap();

        assert_eq!((removed.len(), left), (1, vec![place_of(&first)]));
        assert_eq!(fs::read_to_string(&first).unwrap(), "encrypted");
    }

    #[test]
    fn what_was_touched_while_no_agent_ran_is_told_at_the_next_start_once() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().canonicalize().unwrap();
        let (home, web) = (Home::open(&dir.join("home")).unwrap(), dir.join("web"));
        fs::create_dir(&web).unwrap();
        prepare(&home, std::slice::from_ref(&web), true).unwrap();
        let last = web.join(NAMES[1]);
        fs::remove_file(&last).unwrap();

        let next = prepare(&home, std::slice::from_ref(&web), false).unwrap();
        let after = prepare(&home, &[web], false).unwrap();

        assert_eq!((next.known.len(), next.touched), (1, vec![place_of(&last)]));
        assert!(after.touched.is_empty());
    }
}
