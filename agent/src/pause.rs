//! The sysadmin's pause: `khien-agent pause` writes until when, `khien-agent resume` takes it back, the running agent
//! looks. It is a wish of the host's own people: no order of the team sets or lifts it, and the team sees it.

use std::{fs, io, path::Path, process::ExitCode};

use anyhow::Context;
use khien_core::{Lang, Timestamp, text::agent as words, time};

use crate::{args, config::Home};

const FILE: &str = "pause";
/// What is longer is no time.
const LONGEST: u64 = 64;

/// Has the scans of files wait for some minutes. What changes meanwhile is scanned afterwards.
pub(crate) fn pause(options: &args::Pause, lang: Lang) -> anyhow::Result<ExitCode> {
    let home = Home::open(&options.home)?;
    let until = time::after(Timestamp::now(), time::SignedDuration::from_mins(options.minutes.into()));
    set(home.path(), until).context(words::PAUSE_NOT_WRITTEN.get(lang))?;
    crate::tell(&words::PAUSED.with(lang, &[&time::shown(until)]));
    Ok(ExitCode::SUCCESS)
}

/// Takes a pause back.
pub(crate) fn resume(options: &args::Resume, lang: Lang) -> anyhow::Result<ExitCode> {
    let home = Home::open(&options.home)?;
    let was_paused = lift(home.path()).context(words::PAUSE_NOT_WRITTEN.get(lang))?;
    let said = if was_paused { words::RESUMED } else { words::NOT_PAUSED };
    crate::tell(said.get(lang));
    Ok(ExitCode::SUCCESS)
}

/// Writes until when scans wait.
pub(crate) fn set(home: &Path, until: Timestamp) -> io::Result<()> {
    let part = home.join("pause.part");
    fs::write(&part, until.to_string())?;
    fs::rename(part, home.join(FILE))
}

/// Takes the pause back. Returns whether there was one.
pub(crate) fn lift(home: &Path) -> io::Result<bool> {
    match fs::remove_file(home.join(FILE)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Reads until when scans wait; none if they do not. What cannot be read is no pause: a broken file must not blind.
pub(crate) fn until(home: &Path) -> Option<Timestamp> {
    let path = home.join(FILE);
    let is_time = fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= LONGEST);
    is_time.then(|| fs::read_to_string(path).ok()?.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_back_and_lifted_once() {
        let home = tempfile::tempdir().unwrap();
        let at: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();

        set(home.path(), at).unwrap();

        assert_eq!(until(home.path()), Some(at));
        assert!(lift(home.path()).unwrap());
        assert!(!lift(home.path()).unwrap());
        assert_eq!(until(home.path()), None);
    }

    #[test]
    fn a_broken_wish_is_no_pause() {
        let home = tempfile::tempdir().unwrap();
        for broken in ["", "for ever", &"9".repeat(100)] {
            fs::write(home.path().join(FILE), broken).unwrap();
            assert_eq!(until(home.path()), None, "{broken}");
        }
    }
}
