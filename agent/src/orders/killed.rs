//! `kill -9` before every system call of an order, and what the next life of the agent makes of it.
//!
//! ```text
//!   for n = 1, 2, … until the work ends by itself:
//!     a fork works as the agent does, and is killed before its n-th call
//!     a fork starts as the agent does: it takes up what it finds and is given the same orders again
//!     a fork is given them a third time, and does nothing
//! ```
//! The forks come from a process that this test starts for itself, in which nothing else runs.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use ed25519_dalek::SigningKey;
use khien_core::{
    Nonce, RunId, Sha256, Untrusted,
    mandate::{MAX_LIFE, Mandate},
    order::FileTarget,
    signature::operator_key,
    time,
};
use rustix::fs::XattrFlags;
use tokio::sync::watch;

use super::*;
use crate::{
    respond::{opened, taking},
    spool::Lane,
};

mod trace;

use trace::End;

const ME: AgentId = AgentId([1; 32]);
const SHELL: &[u8] = concat!("<?php ev", "al($_POST['x']);").as_bytes();
/// Set in the process that forks.
const CHOSEN: &str = "KHIEN_TEST_KILLED";
/// More calls than any of the sequences makes; a bound for a test that never ends.
const TOO_MANY: usize = 5_000;

#[test]
fn a_file_is_taken_away_once_wherever_the_agent_is_killed() {
    in_a_process_of_its_own(|| {
        let verbs: [fn(FileTarget) -> Verb; 2] = [Verb::QuarantineFile, Verb::VerifyAbsent];
        for_each_call(|n| {
            let host = Host::new();
            let orders = host.orders(1, &verbs);
            let end = trace::killed_before(n, || host.life(&orders));
            host.has_a_whole_copy();

            host.again(&orders);
            host.is_quarantined();
            let before = host.quarantine();
            host.again(&orders);
            assert_eq!(host.quarantine(), before, "what is done is not touched again");
            host.again(&host.orders(2, &[Verb::RestoreFile, Verb::VerifyPresent]));
            host.is_in_place();
            end
        });
    });
}

#[test]
fn a_file_is_put_back_once_wherever_the_agent_is_killed() {
    in_a_process_of_its_own(|| {
        let verbs: [fn(FileTarget) -> Verb; 2] = [Verb::RestoreFile, Verb::VerifyPresent];
        for_each_call(|n| {
            let host = Host::new();
            host.again(&host.orders(1, &[Verb::QuarantineFile]));
            let orders = host.orders(2, &verbs);
            let end = trace::killed_before(n, || host.life(&orders));
            host.has_a_whole_copy();

            host.again(&orders);
            host.is_in_place();
            let before = host.identity();
            host.again(&orders);
            assert_eq!(host.identity(), before, "what is done is not touched again");
            end
        });
    });
}

#[test]
fn evidence_is_whole_or_absent_wherever_the_agent_is_killed() {
    in_a_process_of_its_own(|| {
        for_each_call(|n| {
            let host = Host::new();
            let order = OrderId([9; 16]);
            let work = || {
                trace::from_here();
                let staged = host.responder.stage(&taking(order, Leave::Act), &host.target()).unwrap();
                assert_eq!(opened(&staged), SHELL);
            };
            let end = trace::killed_before(n, work);
            let copy = host.responder.evidence.join(order.to_string());
            let found = host.responder.stage(&taking(order, Leave::Look), &host.target());
            assert_eq!(
                found.ok().map(|staged| opened(&staged) == SHELL),
                copy.exists().then_some(true),
                "half a copy"
            );

            assert_eq!(trace::forked(work), End::Done);
            assert_eq!(names(&host.responder.evidence), [order.to_string()]);
            let let_go = trace::killed_before(n, || {
                trace::from_here();
                host.responder.let_go(order);
            });
            assert_ne!(let_go, End::Failed);
            host.responder.sweep().unwrap();
            assert!(names(&host.responder.evidence).is_empty());
            host.is_in_place();
            end
        });
    });
}

/// Starts this test again, alone in its process, and does the work there.
fn in_a_process_of_its_own(work: impl FnOnce()) {
    let thread = std::thread::current();
    let test = thread.name().unwrap();
    if std::env::var(CHOSEN).is_ok() {
        // Its forks have the same parent's death to die of.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        return work();
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture", "--test-threads=2"]).env(CHOSEN, test);
    let out = again.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    said.lines().filter(|l| l.starts_with("cannot run here: ")).for_each(|l| println!("{l}"));
    said.lines().filter(|l| l.contains("calls")).for_each(|l| println!("{l}"));
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
}

/// Does something for each call until the work ends by itself.
fn for_each_call(mut killed_before: impl FnMut(usize) -> End) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    for n in 1..TOO_MANY {
        match killed_before(n) {
            End::Killed => {}
            End::Done => return println!("{name}: killed before each of {} calls", n - 1),
            End::Untraceable => return println!("cannot run here: {name}: no process may be followed"),
            End::Failed => panic!("the work failed when it was to be killed before call {n}"),
        }
    }
    panic!("the work never ended by itself");
}

/// A host with one bad file that has all that a file can have here.
struct Host {
    _dir: tempfile::TempDir,
    root: PathBuf,
    responder: Responder,
    was: Facts,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    content: Vec<u8>,
    owner: (u32, u32),
    mode: u32,
    modified: (i64, i64),
    attributes: Vec<(&'static std::ffi::CStr, Option<Vec<u8>>)>,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let root = dir.path().canonicalize().unwrap();
        let home = root.join("agent");
        let (quarantine, evidence) = (home.join("quarantine"), home.join("evidence"));
        for folder in [&quarantine, &evidence, &root.join("site")] {
            fs::create_dir_all(folder).unwrap();
        }
        let file = root.join("site/a.php");
        dress(&file);
        let was = Facts::of(&file);
        Self { _dir: dir, root, responder: Responder { quarantine, evidence, home }, was }
    }

    fn file(&self) -> PathBuf {
        self.root.join("site/a.php")
    }

    fn target(&self) -> FileTarget {
        let path = Untrusted::new(self.file().as_os_str().as_encoded_bytes());
        FileTarget { path, sha256: Sha256::of(SHELL) }
    }

    fn orders(&self, nonce: u8, verbs: &[fn(FileTarget) -> Verb]) -> Vec<Order> {
        let allowed = verbs.iter().map(|verb| Allowed {
            step: "step".parse().unwrap(),
            agent: ME,
            verb: verb(self.target()),
        });
        let issued = Timestamp::now();
        let mandate = Mandate {
            run: RunId([3; 16]),
            playbook: Sha256([4; 32]),
            orders: allowed.collect(),
            issued,
            expires: time::after(issued, MAX_LIFE),
            nonce: Nonce([nonce; 16]),
        };
        let signed = mandate.sign(&key());
        (0..).zip(verbs).map(|(index, _)| Order { mandate: signed.clone(), index }).collect()
    }

    /// Lives as the agent does: takes up what it finds, then what the hub repeats, and dies.
    fn life(&self, orders: &[Order]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let spool = self.spool();
            trace::from_here();
            let operators = vec![operator_key("thu", &key())];
            let line = watch::channel(None).1;
            let desk = Desk::new(ME, operators, spool.clone(), self.responder.clone(), line);
            let (out, inbox) = mpsc::channel(orders.len());
            let poll = spool.begin_poll().await.unwrap();
            for order in orders {
                out.send(Asked { order: order.clone(), poll }).await.unwrap();
            }
            drop(out);
            desk.run(inbox).await.unwrap();
        });
    }

    fn spool(&self) -> Spool {
        Spool::open(&self.root.join("spool.db"), 1 << 20, Arc::default()).unwrap().spool
    }

    /// Lives once more, unharmed, and then finds each order answered once, as done.
    fn again(&self, orders: &[Order]) {
        let end = trace::forked(|| {
            self.life(orders);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let batch = runtime.block_on(self.spool().next_batch(Lane::Urgent, 10_000, usize::MAX)).unwrap();
            let reports: Vec<Report> =
                batch.unwrap().records.iter().map(|r| serde_json::from_str(&r.body).unwrap()).collect();
            for order in orders {
                let id = mandate::claimed_id(order).unwrap();
                let is_done = |r: &Report| matches!(r, Report::Receipt(r) if r.order == id && r.outcome == Outcome::Done { evidence: None });
                let answers = reports.iter().filter(|r| is_done(r)).count();
                assert_eq!(answers, 1, "{reports:?}");
            }
            assert!(reports.iter().all(|r| matches!(r, Report::Receipt(_))), "{reports:?}");
        });
        assert_eq!(end, End::Done);
    }

    /// Whenever it died, the content is whole in its place or in quarantine.
    fn has_a_whole_copy(&self) {
        let in_place = self.file().exists() && Facts::of(&self.file()) == self.was;
        let rooms = names(&self.responder.quarantine);
        let whole = |room: &&String| {
            let room = self.responder.quarantine.join(room);
            room.join("traits.json").exists()
                && fs::read(room.join("content")).is_ok_and(|content| content == SHELL)
        };
        let kept = rooms.iter().filter(|r| !r.contains('.')).find(whole);
        assert!(in_place || kept.is_some(), "{rooms:?}");
        assert!(in_place || !self.file().exists(), "half a file is in its place");
    }

    fn is_quarantined(&self) {
        assert!(names(&self.root.join("site")).is_empty());
        let rooms = names(&self.responder.quarantine);
        assert!(matches!(&rooms[..], [room] if !room.contains('.')), "{rooms:?}");
    }

    fn is_in_place(&self) {
        assert_eq!(names(&self.root.join("site")), ["a.php"]);
        assert!(names(&self.responder.quarantine).is_empty());
        assert_eq!(Facts::of(&self.file()), self.was);
    }

    /// Names everything in quarantine with what changes when it is touched.
    fn quarantine(&self) -> Vec<(String, u64, i64, i64)> {
        let room = self.responder.quarantine.join(&names(&self.responder.quarantine)[0]);
        let mut found: Vec<_> = names(&room)
            .into_iter()
            .map(|name| {
                let meta = fs::metadata(room.join(&name)).unwrap();
                (name, meta.ino(), meta.ctime(), meta.ctime_nsec())
            })
            .collect();
        found.sort();
        found
    }

    fn identity(&self) -> (u64, i64, i64) {
        let meta = fs::metadata(self.file()).unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    }
}

impl Facts {
    fn of(file: &Path) -> Self {
        let meta = fs::metadata(file).unwrap();
        let attributes = [c"user.origin", c"system.posix_acl_access"].map(|name| {
            let mut value = [0; 256];
            (name, rustix::fs::getxattr(file, name, &mut value[..]).ok().map(|n| value[..n].to_vec()))
        });
        Self {
            content: fs::read(file).unwrap(),
            owner: (meta.uid(), meta.gid()),
            mode: meta.mode(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            attributes: attributes.to_vec(),
        }
    }
}

/// Makes the file with owner, mode, times, an attribute and an access list, as far as they can be had here.
fn dress(file: &Path) {
    fs::write(file, SHELL).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(file, Some(33), Some(44)).unwrap();
    }
    let list = crate::respond::access_list();
    for (name, value) in [(c"user.origin", &b"upload\0form"[..]), (c"system.posix_acl_access", &list)] {
        // Facts say whether it took.
        let _ = rustix::fs::setxattr(file, name, value, XattrFlags::empty());
    }
    fs::set_permissions(file, fs::Permissions::from_mode(0o2650)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    let times = fs::FileTimes::new().set_accessed(old).set_modified(old);
    File::open(file).unwrap().set_times(times).unwrap();
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}
