//! An ordered scan of files.

use std::{
    io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use khien_core::{
    Timestamp, Untrusted,
    event::{FileEvent, ScanOutcome},
    order::{Missed, ScanEnd, ScanTarget},
    reason::{Reason, quoted},
};
use tokio::sync::oneshot;

use super::{
    super::{
        mounts::{self, Mount},
        real::{Real, real},
        walk::{Found, Met, Pick, walk},
        walker::scope,
    },
    Scanning,
    going::OneScan,
};
use crate::scan::{
    clean::Stamp,
    files::{Calm, Ended, Link, Looked},
};

impl Scanning {
    /// Returns the mounts that the policy leaves out: a server that does not answer would hold the scan.
    fn left_out(&self) -> Vec<Mount> {
        let wanted = self.policy.borrow().as_ref().is_some_and(|policy| policy.network_mounts);
        if wanted { Vec::new() } else { mounts::remote() }
    }

    /// Returns what is to be walked. A link that is named is followed, and from there on none is.
    fn root(&self, path: &Untrusted, remote: &[Mount]) -> Result<PathBuf, Reason> {
        let (named, points) = (named(path), points(remote));
        let path = match real(&named, &points).map_err(not_looked)? {
            Real::At(path) => path,
            Real::LeftOut(point) => {
                let kind = remote.iter().find(|mount| mount.point == point).map(|mount| quoted(&mount.kind));
                return Err(Reason::NetworkMount { kind: kind.unwrap_or_default(), others: 0 });
            }
        };
        if path.starts_with(&self.home) {
            return Err(Reason::OwnFolder);
        }
        if self.excluded.iter().any(|folder| path.starts_with(folder)) {
            return Err(Reason::FolderExcluded);
        }
        // To read what a kernel makes up can be an act. Some of its links lead elsewhere than they say: into a container.
        match mounts::has_content(&path) && is_same(&named, &path).map_err(not_looked)? {
            true => Ok(path),
            false => Err(Reason::NoStoredFiles),
        }
    }
}

impl OneScan<'_> {
    /// Scans a file, or what is below a folder.
    pub(super) fn files(&mut self, target: &ScanTarget) -> Result<(), Reason> {
        let remote = self.with.left_out();
        let root = self.with.root(target.path(), &remote)?;
        self.state();
        let meta = root.symlink_metadata().map_err(|e| Reason::CannotLook { error: e.into() })?;
        if meta.is_dir() {
            self.below(&root, &remote, target);
            return Ok(());
        }
        if !meta.is_file() {
            return Err(Reason::NotRegularFile);
        }
        // It is the only one: nothing is left to be broken off.
        let _ = self.look(&Found { path: root, meta }, target);
        Ok(())
    }

    fn below(&mut self, root: &Path, remote: &[Mount], target: &ScanTarget) {
        let (home, remote) = (self.with.home.clone(), points(remote));
        // What lies elsewhere, or on a mount that is left out, is not even asked for: it may not answer.
        let is_asked = |folder: &Path| {
            folder.starts_with(root)
                && !folder.starts_with(&home)
                && !remote.iter().any(|point| folder.starts_with(point))
        };
        let is_there = |folder: &&PathBuf| is_asked(folder) && folder.symlink_metadata().is_ok();
        let mut left_out = remote.clone();
        left_out.extend(self.with.excluded.iter().filter(is_there).cloned());
        left_out.retain(|place| place.starts_with(root));
        for place in &left_out {
            self.totals().miss(Missed::file(&scope(place), ScanOutcome::SkippedByPolicy));
        }
        let is_left_out =
            |p: &Path| p.starts_with(&home) || left_out.iter().any(|place| p.starts_with(place));
        let walked = walk(root, Pick::All, is_left_out, |met| match met {
            Met::File(found) => self.look(&found, target),
            Met::Other => self.go_on(),
        });
        if let Some(folder) = &walked.first_unread {
            self.totals().miss(Missed::file(&scope(folder), ScanOutcome::Unreadable));
        }
        self.totals().unread += walked.unread + left_out.len() as u64;
        if walked.cut {
            let _ = self.end(ScanEnd::Cut);
        }
    }

    /// Looks at one file, and has it scanned if it is not known as it is.
    fn look(&mut self, found: &Found, target: &ScanTarget) -> ControlFlow<()> {
        if found.meta.is_symlink() {
            self.totals().links += 1;
            return self.go_on();
        }
        if self.totals().looked() >= target.most() {
            return self.end(ScanEnd::Bound);
        }
        if self.is_known(found, target) {
            self.totals().known += 1;
        } else {
            self.scan(&found.path)?;
        }
        self.go_on()
    }

    /// What is too large is remembered too, but is not clean.
    fn is_known(&self, found: &Found, target: &ScanTarget) -> bool {
        let pack = self.with.pack.load(Ordering::Relaxed);
        !target.again()
            && found.meta.len() <= self.with.largest
            && self.with.clean.knows(&Stamp::from(&found.meta), pack)
    }

    /// Has a file scanned when nothing else waits. What was listed was a file: a link in its place is not followed.
    fn scan(&mut self, path: &Path) -> ControlFlow<()> {
        let (done, is_done) = oneshot::channel();
        let named = scope(path);
        let event = FileEvent { path: named.clone(), at: Timestamp::now(), process: None };
        let calm = self.with.calm.clone();
        let asked = async move {
            calm.send(Calm { event, link: Link::Elsewhere, done }).await.ok()?;
            is_done.await.ok()
        };
        let Ended { looked, took, .. } = match self.wait(asked) {
            Ok(Some(answer)) => answer,
            Ok(None) if self.is_stopped() => return ControlFlow::Break(()),
            // The task that looked at it failed.
            Ok(None) => {
                Ended { looked: Looked::Scanned(ScanOutcome::Crashed), took: Duration::ZERO, content: None }
            }
            Err(why) => return self.end(why),
        };
        self.owes(took);
        match looked {
            Looked::Gone => self.totals().gone += 1,
            Looked::Scanned(outcome) => self.count(outcome, || Missed::file(&named, outcome)),
            Looked::Partly => {
                self.totals().partly += 1;
                self.totals().count(ScanOutcome::Matched);
            }
        }
        ControlFlow::Continue(())
    }
}

fn points(mounts: &[Mount]) -> Vec<PathBuf> {
    mounts.iter().map(|mount| mount.point.clone()).collect()
}

fn not_looked(e: io::Error) -> Reason {
    match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Reason::FileNotThere,
        _ => Reason::CannotLook { error: e.into() },
    }
}

/// Tells whether two paths lead to the same file or folder.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

pub(super) fn named(path: &Untrusted) -> PathBuf {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    PathBuf::from(OsStr::from_bytes(path.raw()))
}
