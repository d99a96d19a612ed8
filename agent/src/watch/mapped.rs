//! Watched files that a process has mapped to write to: no event tells of such a write, and the file gets a new time only
//! when the kernel writes it out. So each such file is taken to be written to, once a minute, in a thread that waits for
//! no scan.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{LOOK, pace, process::Who, sink::Sink, walker::stopped};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(60);

/// More of one `/proc/PID/maps` is not read: some hundred thousand mappings.
const MAX_MAPS: u64 = 16 << 20;
/// Files that are told of in one look.
const MOST: usize = 4_096;

/// What the thread works with.
pub(super) struct Mapped {
    pub(super) sink: Arc<Sink>,
    /// The version of the loaded pack; 0 is none: then there is nothing to look for.
    pub(super) pack: Arc<AtomicU64>,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Mapped {
    /// Starts the thread. It ends after shutdown.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("watch-mapped".to_owned()).spawn(move || self.run())
    }

    fn run(self) {
        pace::give_way();
        let (mut who, mut next) = (Who::default(), Instant::now());
        while !stopped(&self.shutdown) {
            if self.pack.load(Ordering::Relaxed) > 0 && Instant::now() >= next {
                look(&self.sink, &mut who);
                next = Instant::now() + EVERY;
            }
            thread::park_timeout(LOOK);
        }
    }
}

/// Takes note of every watched file that is mapped to be written to. Returns how many there are.
fn look(sink: &Sink, who: &mut Who) -> usize {
    let own = std::process::id();
    let mut found = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if pid == own || found.len() >= MOST {
            continue;
        }
        let keep = |path: PathBuf| {
            if sink.watches(&path) {
                found.insert(path, pid);
            }
        };
        // One that has ended, or that may not be asked, has nothing to tell.
        mapped(pid, keep).unwrap_or_default();
    }
    for (path, pid) in &found {
        sink.wrote(path, Some(who.is(*pid, || true)));
    }
    found.len()
}

/// Names the files that a process has mapped to write to.
fn mapped(pid: u32, mut file: impl FnMut(PathBuf)) -> std::io::Result<()> {
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    for line in BufReader::new(maps.take(MAX_MAPS)).split(b'\n') {
        if let Some(path) = written_to(&line?) {
            file(path);
        }
    }
    Ok(())
}

/// `from-to rw-s offset device inode   PATH`: shared, and may be written to.
fn written_to(line: &[u8]) -> Option<PathBuf> {
    let mut words = line.splitn(3, |b| *b == b' ');
    let access = words.nth(1)?;
    let rest = words.next()?;
    let path = &rest[rest.iter().position(|b| *b == b'/')?..];
    let is_device = rest.split(|b| *b == b' ').nth(2) == Some(b"0");
    (access.get(1) == Some(&b'w') && access.get(3) == Some(&b's') && !is_device)
        .then(|| PathBuf::from(OsStr::from_bytes(&unescaped(path))))
}

/// A line feed in a name is written as `\012`.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let is_feed = rest.starts_with(b"\\012");
        out.push(if is_feed { b'\n' } else { *first });
        rest = if is_feed { &rest[4..] } else { after };
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::Write,
        path::Path,
        process::{Child, Command, Stdio},
    };

    use tokio::sync::mpsc;

    use super::*;
    use crate::watch::conformance::acts;

    #[test]
    fn a_file_that_another_process_has_mapped_to_write_to_is_taken_to_be_written() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        fs::write(at.join("f"), vec![0; 4_096]).unwrap();
        let (events, mut told) = mpsc::channel(8);
        let sink = Sink::new(events, Vec::new(), Arc::default());
        sink.watch(vec![at.clone()]);
        let mut holder = holder(&at);

        let found = look(&sink, &mut Who::default());

        assert_eq!(found, 1);
        while told.try_recv().is_err() {
            sink.tell_due();
        }
        holder.stdin.take().unwrap().write_all(b"\n").unwrap();
        holder.wait().unwrap();
        assert_eq!(look(&sink, &mut Who::default()), 0);
    }

    /// Starts a process that keeps the file `f` of a folder mapped until its input ends.
    pub(in crate::watch) fn holder(folder: &Path) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", acts::TEST, "--nocapture"]).env(acts::NAME, "mmap and stay");
        command.env("I", folder).env("O", folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let said = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line == acts::DONE));
        holder
    }

    #[test]
    fn only_what_is_shared_and_may_be_written_to_counts() {
        let path = |access: &str, path: &str| {
            written_to(format!("7f00-7f01 {access} 00000000 fe:00 1234       {path}").as_bytes())
        };

        assert_eq!(path("rw-s", "/srv/my web/a.db"), Some("/srv/my web/a.db".into()));
        assert_eq!(path("rw-s", "/srv/a\\012b"), Some("/srv/a\nb".into()));
        assert_eq!(path("r--s", "/srv/a"), None);
        assert_eq!(path("rw-p", "/srv/a"), None);
        assert_eq!(written_to(b"7f00-7f01 rw-p 00000000 00:00 0    [heap]"), None);
        assert_eq!(written_to(b"7f00-7f01 rw-s 00000000 00:01 0    /dev/zero (deleted)"), None);
        assert_eq!(written_to(b""), None);
    }
}
