//! The sysadmin's pause: `khien-agent pause` writes until when, `khien-agent resume` takes it back, the running agent
//! looks. It is a wish of the host's own people: no order of the team sets or lifts it, and the team sees it.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use khien_core::{
    Lang, Timestamp,
    text::agent as words,
    time::{self, SignedDuration},
};
use khien_scan::open::Opened;

use crate::{
    args,
    config::{self, Home},
};

/// The longest pause, in minutes.
pub(crate) const LONGEST: i64 = 1_440;
const FILE: &str = "pause";
/// What is longer is no time, in bytes.
const MAX_TEXT: u64 = 64;
/// By how much the clock of the file system may be off that of the agent.
const SLACK: SignedDuration = SignedDuration::from_mins(1);

/// Until when scans wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The end.
    pub(crate) until: Timestamp,
    /// Whether more was wished for than is granted.
    pub(crate) cut: bool,
}

/// Has the scans of files wait for some minutes. What changes meanwhile is scanned afterwards.
pub(crate) fn pause(options: &args::Pause, lang: Lang) -> anyhow::Result<ExitCode> {
    let Some(home) = in_use(&options.home)? else {
        crate::tell(&words::NO_AGENT_RUNS.with(lang, &[&options.home.display()]));
        return Ok(ExitCode::FAILURE);
    };
    let until = time::after(Timestamp::now(), SignedDuration::from_mins(options.minutes.into()));
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

/// Opens an agent's folder if an agent runs on it.
fn in_use(dir: &Path) -> anyhow::Result<Option<Home>> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let home = Home::open(dir)?;
    // Who gets the claim is alone; it is given back at once.
    Ok(home.claim()?.is_none().then_some(home))
}

/// Writes until when scans wait.
pub(crate) fn set(home: &Path, until: Timestamp) -> io::Result<()> {
    let part = home.join("pause.part");
    config::anew(&part)?.write_all(until.to_string().as_bytes())?;
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
pub(crate) fn wish(home: &Path, now: Timestamp) -> Option<Wish> {
    let Opened { file, inode } = Opened::at(&home.join(FILE)).ok()?;
    let mut text = String::new();
    if inode.size > MAX_TEXT || file.take(MAX_TEXT).read_to_string(&mut text).is_err() {
        return None;
    }
    let (seconds, nanos) = inode.changed;
    let written = Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()?;
    granted(text.trim().parse().ok()?, written, now)
}

/// Grants a wish for as long as the command could have asked for, counted from when the file was written: that is the
/// time that nobody can set. A file from the future is none.
fn granted(asked: Timestamp, written: Timestamp, now: Timestamp) -> Option<Wish> {
    let latest = time::after(written, SignedDuration::from_mins(LONGEST));
    let cut = asked > time::after(latest, SLACK);
    let until = if cut { latest } else { asked };
    (until > now && written <= time::after(now, SLACK)).then_some(Wish { until, cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_pause_is_read_back_and_lifted_once() {
        let (_dir, home) = folder();
        let now = Timestamp::now();
        let until = time::after(now, SignedDuration::from_mins(LONGEST));

        set(&home, until).unwrap();

        assert_eq!(wish(&home, now), Some(Wish { until, cut: false }));
        assert_eq!(wish(&home, until), None, "it is over");
        assert!(lift(&home).unwrap());
        assert!(!lift(&home).unwrap());
        assert_eq!(wish(&home, now), None);
    }

    #[test]
    fn a_broken_wish_is_no_pause() {
        let (_dir, home) = folder();
        for broken in ["", "for ever", &"9".repeat(100)] {
            fs::write(home.join(FILE), broken).unwrap();
            assert_eq!(wish(&home, Timestamp::now()), None, "{broken}");
        }
    }

    #[test]
    fn a_wish_for_years_is_granted_for_a_day_from_when_it_was_written_and_told() {
        let (written, asked) = (at("2026-11-01T00:00:00Z"), at("2099-01-01T00:00:00Z"));
        let until = at("2026-11-02T00:00:00Z");

        assert_eq!(granted(asked, written, written), Some(Wish { until, cut: true }));
        assert_eq!(granted(asked, written, until), None, "it does not begin again");
        assert_eq!(granted(until, written, written), Some(Wish { until, cut: false }));
        assert_eq!(granted(asked, at("2090-01-01T00:00:00Z"), written), None, "a file from the future");

        let (_dir, home) = folder();
        set(&home, asked).unwrap();
        let wish = wish(&home, Timestamp::now()).unwrap();
        assert!(
            wish.cut && wish.until < time::after(Timestamp::now(), SignedDuration::from_mins(LONGEST + 1))
        );
    }

    #[test]
    fn a_pipe_or_a_link_in_the_place_of_a_pause_holds_nobody_up() {
        let (_dir, home) = folder();
        let pipe = |name: &str| {
            let at = home.join(name);
            rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        };
        pipe(FILE).unwrap();
        pipe("pause.part").unwrap();
        assert_eq!(wish(&home, Timestamp::now()), None);

        set(&home, time::after(Timestamp::now(), SignedDuration::from_mins(5))).unwrap();

        assert!(wish(&home, Timestamp::now()).is_some());
        fs::rename(home.join(FILE), home.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", home.join(FILE)).unwrap();
        assert_eq!(wish(&home, Timestamp::now()), None);
    }

    #[test]
    fn a_pause_without_an_agent_is_none_and_leaves_nothing() {
        let (_dir, home) = folder();
        let options = |home: &Path| args::Pause { home: home.to_owned(), minutes: 30 };

        for home in [home.clone(), home.join("none")] {
            assert_eq!(pause(&options(&home), Lang::En).unwrap(), ExitCode::FAILURE);
            assert!(!home.join(FILE).exists());
        }
        assert!(!home.join("none").exists());

        let running = Home::open(&home).unwrap().claim().unwrap();
        assert_eq!(pause(&options(&home), Lang::En).unwrap(), ExitCode::SUCCESS);
        assert!(home.join(FILE).exists() && running.is_some());
    }
}
