//! An attacker swaps names while the file is taken, thousands of times. Whatever the order finds, nothing but the file
//! that was named is taken or copied, and a file that is gone was kept.

use std::{
    fs::{self, File},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use khien_core::{OrderId, Sha256, Untrusted, order::FileTarget, reason::Reason};
use rustix::fs::{CWD, RenameFlags};

use super::{Leave, Responder, opened, taking};

const SHELL: &[u8] = concat!("<?php ev", "al($_POST['x']);").as_bytes();
const OTHER: &[u8] = b"a page that nobody named";
/// How often the file is taken in each race.
const ROUNDS: usize = 3_000;
/// And in that for the folder above it.
const FOLDER_ROUNDS: usize = 20_000;
const ORDER: OrderId = OrderId([1; 16]);

/// A host on which every sync is free, where there is one, so that thousands of rounds take seconds.
struct Host {
    _dir: tempfile::TempDir,
    root: PathBuf,
    responder: Responder,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let root = dir.path().canonicalize().unwrap();
        let home = root.join("agent");
        let (quarantine, evidence) = (home.join("quarantine"), home.join("evidence"));
        for folder in [&quarantine, &evidence, &root.join("site"), &root.join("victim")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(root.join("victim/a.php"), SHELL).unwrap();
        Self { _dir: dir, root, responder: Responder { quarantine, evidence, home } }
    }

    fn target(&self) -> FileTarget {
        let path = self.root.join("site/a.php");
        FileTarget { path: Untrusted::new(path.as_os_str().as_encoded_bytes()), sha256: Sha256::of(SHELL) }
    }

    /// Takes the file and a copy of it again and again while two names are swapped all the time.
    fn race(&self, swapped: [PathBuf; 2], rounds: usize, check: impl Fn(Result<(), Reason>)) {
        let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let swapped = exchange(&swapped[0], &swapped[1]);
                    swaps.fetch_add(usize::from(swapped), Ordering::Relaxed);
                }
            });
            let _stop = StopOnDrop(&stop);
            for _ in 0..rounds {
                self.copies_only_what_was_named();
                check(self.responder.quarantine_file(&self.target(), Leave::Act));
                assert_eq!(fs::read(self.root.join("victim/a.php")).unwrap(), SHELL);
                assert_eq!(fs::metadata(self.root.join("victim/a.php")).unwrap().nlink(), 1);
            }
        });
        assert!(swaps.into_inner() > rounds, "the names were swapped in every round");
    }

    fn copies_only_what_was_named(&self) {
        if let Ok(staged) = self.responder.stage(&taking(ORDER, Leave::Act), &self.target()) {
            assert_eq!(opened(&staged), SHELL);
        }
        self.responder.let_go(ORDER);
        assert_eq!(fs::read_dir(&self.responder.evidence).unwrap().count(), 0);
    }

    /// Empties the quarantine and tells whether the file was in it, whole.
    fn was_kept(&self) -> bool {
        let room = super::quarantine::Room::of(&self.responder, &self.target());
        let kept = room.read(&self.target()).unwrap().is_some();
        if kept {
            let content = self.responder.quarantine.join(super::room(&self.target())).join("content");
            assert_eq!(fs::read(content).unwrap(), SHELL);
        }
        room.clear().unwrap();
        assert_eq!(fs::read_dir(&self.responder.quarantine).unwrap().count(), 0, "nothing else is left");
        kept
    }
}

/// Ends the other thread also when a check fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn exchange(one: &Path, other: &Path) -> bool {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

fn can_exchange(host: &Host) -> bool {
    let names = ["one", "other"].map(|n| host.root.join(n));
    names.iter().for_each(|n| fs::write(n, "").unwrap());
    let can = exchange(&names[0], &names[1]);
    if !can {
        let test = std::thread::current();
        println!("cannot run here: {}: names cannot be exchanged", test.name().unwrap_or("test"));
    }
    can
}

#[test]
fn a_folder_that_flips_to_a_link_never_leads_to_the_victim() {
    let host = Host::new();
    if !can_exchange(&host) {
        return;
    }
    let (site, link) = (host.root.join("site"), host.root.join("link"));
    symlink(host.root.join("victim"), &link).unwrap();
    let folder = File::open(&site).unwrap();
    let real = PathBuf::from(format!("/proc/self/fd/{}/a.php", folder.as_raw_fd()));
    fs::write(&real, SHELL).unwrap();

    host.race([site, link], FOLDER_ROUNDS, |got| {
        assert_eq!(real.exists(), got.is_err(), "{got:?}");
        assert_eq!(host.was_kept(), got.is_ok(), "{got:?}");
        fs::write(&real, SHELL).unwrap();
    });
}

#[test]
fn a_file_that_flips_to_a_link_is_taken_itself_or_not_at_all() {
    let host = Host::new();
    if !can_exchange(&host) {
        return;
    }
    let names = ["a.php", "b.php"].map(|n| host.root.join("site").join(n));
    fs::write(&names[0], SHELL).unwrap();
    symlink(host.root.join("victim/a.php"), &names[1]).unwrap();

    host.race(names.clone(), ROUNDS, |got| {
        let kinds = names.each_ref().map(|n| fs::symlink_metadata(n).ok().map(|m| m.is_symlink()));
        let links = kinds.iter().filter(|k| **k == Some(true)).count();
        assert!(links == 1 || swapping(&names), "the link stays: {kinds:?} {got:?}");
        put_again(&host, &names, got);
    });
}

#[test]
fn a_file_that_flips_to_another_is_taken_itself_or_not_at_all() {
    let host = Host::new();
    if !can_exchange(&host) {
        return;
    }
    let names = ["a.php", "index.php"].map(|n| host.root.join("site").join(n));
    fs::write(&names[0], SHELL).unwrap();
    fs::write(&names[1], OTHER).unwrap();
    let other = fs::metadata(&names[1]).unwrap().ino();

    host.race(names.clone(), ROUNDS, |got| {
        let inodes: Vec<_> = fs::read_dir(host.root.join("site")).unwrap().flatten().collect();
        assert_eq!(inodes.len(), if got.is_ok() { 1 } else { 2 }, "{got:?}");
        put_again(&host, &names, got);
        let found = || names.iter().any(|n| fs::metadata(n).is_ok_and(|m| m.ino() == other));
        assert!((0..100).any(|_| found()), "the page that nobody named stays");
    });
}

/// Tells whether both names are there, so that they may be swapped between two looks.
fn swapping(names: &[PathBuf; 2]) -> bool {
    names.iter().all(|n| fs::symlink_metadata(n).is_ok())
}

/// Checks that a file that was taken was kept and that one that was not is there, and puts it back under the free name.
fn put_again(host: &Host, names: &[PathBuf; 2], got: Result<(), Reason>) {
    assert_eq!(host.was_kept(), got.is_ok(), "{got:?}");
    assert_eq!(swapping(names), got.is_err(), "{got:?}");
    if got.is_ok() {
        let free = names.iter().find(|n| fs::symlink_metadata(n).is_err()).unwrap();
        let new = host.root.join("new");
        fs::write(&new, SHELL).unwrap();
        fs::rename(&new, free).unwrap();
    }
}
