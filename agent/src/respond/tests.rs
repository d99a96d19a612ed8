//! On real files in a real folder; what needs root is done when the tests run as root.

use std::{
    ffi::CString,
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use khien_core::{
    OrderId, Sha256, Untrusted,
    order::{FileTarget, Verb},
};
use rustix::fs::XattrFlags;

use super::{Failure, Leave, Responder};

const SHELL: &[u8] = concat!("<?php ev", "al($_POST['x']);").as_bytes();

struct Host {
    dir: tempfile::TempDir,
    responder: Responder,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("agent");
        let responder =
            Responder { quarantine: home.join("quarantine"), evidence: home.join("evidence"), home };
        for place in [&responder.quarantine, &responder.evidence] {
            fs::create_dir_all(place).unwrap();
        }
        let host = Self { dir, responder };
        fs::create_dir_all(host.site()).unwrap();
        host
    }

    fn site(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("site/uploads")
    }

    fn file(&self) -> PathBuf {
        self.site().join("a.php")
    }

    fn drop_shell(&self) -> FileTarget {
        fs::write(self.file(), SHELL).unwrap();
        self.target()
    }

    fn target(&self) -> FileTarget {
        target(&self.file())
    }

    fn quarantine(&self, file: &FileTarget) -> Result<(), Failure> {
        self.responder.carry_out(&Verb::QuarantineFile(file.clone()), Leave::Act)
    }

    fn restore(&self, file: &FileTarget) -> Result<(), Failure> {
        self.responder.carry_out(&Verb::RestoreFile(file.clone()), Leave::Act)
    }

    fn absent(&self, file: &FileTarget) -> Result<(), Failure> {
        self.responder.carry_out(&Verb::VerifyAbsent(file.clone()), Leave::Act)
    }

    fn present(&self, file: &FileTarget) -> Result<(), Failure> {
        self.responder.carry_out(&Verb::VerifyPresent(file.clone()), Leave::Act)
    }

    fn rooms(&self) -> usize {
        fs::read_dir(&self.responder.quarantine).unwrap().count()
    }
}

fn target(path: &Path) -> FileTarget {
    FileTarget { path: Untrusted::new(path.as_os_str().as_bytes()), sha256: Sha256::of(SHELL) }
}

fn reason(got: Result<(), Failure>) -> String {
    got.unwrap_err().to_string()
}

#[test]
fn a_quarantined_file_comes_back_whole() {
    let host = Host::new();
    let file = host.drop_shell();
    let open = File::open(host.file()).unwrap();
    let can_xattr =
        rustix::fs::fsetxattr(&open, c"user.origin", b"upload\0form", XattrFlags::empty()).is_ok();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(host.file(), Some(33), Some(44)).unwrap();
    }
    fs::set_permissions(host.file(), fs::Permissions::from_mode(0o2641)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    open.set_times(fs::FileTimes::new().set_accessed(old).set_modified(old)).unwrap();
    let before = fs::metadata(host.file()).unwrap();
    drop(open);

    host.quarantine(&file).unwrap();
    host.absent(&file).unwrap();
    assert!(!host.file().exists());
    host.restore(&file).unwrap();
    host.present(&file).unwrap();

    let after = fs::metadata(host.file()).unwrap();
    let traits = |m: &fs::Metadata| (m.uid(), m.gid(), m.mode(), m.mtime(), m.mtime_nsec(), m.size());
    assert_eq!(traits(&after), traits(&before));
    assert_eq!((after.atime(), after.atime_nsec()), (1_600_000_000, 123_456_789));
    assert_eq!(host.rooms(), 0);
    if can_xattr {
        let mut value = [0; 64];
        let n = rustix::fs::getxattr(host.file(), c"user.origin", &mut value[..]).unwrap();
        assert_eq!(&value[..n], b"upload\0form");
    }
}

#[test]
fn an_access_list_comes_back_too() {
    let host = Host::new();
    let file = host.drop_shell();
    // user::rw-, user:33:r--, group::r--, mask::r--, other::---
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 33), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        acl.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
        acl.extend(id.to_le_bytes());
    }
    if rustix::fs::setxattr(host.file(), c"system.posix_acl_access", &acl, XattrFlags::empty()).is_err() {
        println!("cannot run here: an_access_list_comes_back_too: this file system has no access lists");
        return;
    }

    host.quarantine(&file).unwrap();
    host.restore(&file).unwrap();

    let mut value = [0; 256];
    let n = rustix::fs::getxattr(host.file(), c"system.posix_acl_access", &mut value[..]).unwrap();
    assert_eq!(&value[..n], acl);
}

#[test]
fn every_verb_may_be_done_again() {
    let host = Host::new();
    let file = host.drop_shell();

    host.quarantine(&file).unwrap();
    host.quarantine(&file).unwrap();
    host.restore(&file).unwrap();
    host.restore(&file).unwrap();

    host.present(&file).unwrap();
}

#[test]
fn an_order_cut_off_between_copy_and_removal_is_finished() {
    let host = Host::new();
    let file = host.drop_shell();
    host.quarantine(&file).unwrap();
    let room = host.responder.quarantine.join(super::room(&file));
    let kept = tempfile::tempdir().unwrap();
    for name in ["content", "traits.json"] {
        fs::copy(room.join(name), kept.path().join(name)).unwrap();
    }
    host.restore(&file).unwrap();
    fs::create_dir(&room).unwrap();
    for name in ["content", "traits.json"] {
        fs::copy(kept.path().join(name), room.join(name)).unwrap();
    }

    // Both the file and its room are there: as after a cut before the last step of either verb.
    host.restore(&file).unwrap();
    assert_eq!(host.rooms(), 0);
    fs::create_dir(&room).unwrap();
    for name in ["content", "traits.json"] {
        fs::copy(kept.path().join(name), room.join(name)).unwrap();
    }
    host.quarantine(&file).unwrap();

    host.absent(&file).unwrap();
    assert_eq!(host.rooms(), 1);
}

#[test]
fn a_copy_that_was_cut_off_is_begun_anew() {
    let host = Host::new();
    let file = host.drop_shell();
    let part = host.responder.quarantine.join(super::room(&file)).with_extension("part");
    fs::create_dir(&part).unwrap();
    fs::write(part.join("content"), b"half").unwrap();

    host.quarantine(&file).unwrap();

    assert_eq!(host.rooms(), 1);
    host.restore(&file).unwrap();
    host.present(&file).unwrap();
}

#[test]
fn a_file_with_a_second_name_stays() {
    let host = Host::new();
    let file = host.drop_shell();
    fs::hard_link(host.file(), host.site().join("b.php")).unwrap();

    assert_eq!(reason(host.quarantine(&file)), "the file has 2 names, expected one");

    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_file_with_other_content_stays() {
    let host = Host::new();
    let file = host.drop_shell();
    fs::write(host.file(), b"<?php echo 'Xin chao';").unwrap();

    assert_eq!(reason(host.quarantine(&file)), "the file has other content than the order names");

    assert!(host.file().exists());
    assert_eq!(host.rooms(), 0);
    host.absent(&file).unwrap();
    assert_eq!(reason(host.present(&file)), "the file has other content");
}

#[test]
fn no_link_is_followed_anywhere_on_the_path() {
    let host = Host::new();
    host.drop_shell();
    let elsewhere = host.dir.path().canonicalize().unwrap().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(host.site(), elsewhere.join("uploads")).unwrap();
    symlink(host.file(), elsewhere.join("a.php")).unwrap();

    for path in [elsewhere.join("uploads/a.php"), elsewhere.join("a.php")] {
        let file = target(&path);
        for got in [host.quarantine(&file), host.restore(&file), host.absent(&file), host.present(&file)] {
            assert!(reason(got).contains("symbolic link"), "{}", path.display());
        }
    }

    host.present(&host.target()).unwrap();
}

#[test]
fn only_regular_files_are_touched() {
    let host = Host::new();
    let path = CString::new(host.file().as_os_str().as_bytes()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let file = host.target();

    for got in [host.quarantine(&file), host.restore(&file), host.absent(&file)] {
        assert_eq!(reason(got), "not a regular file");
    }
}

#[test]
fn an_immutable_file_stays_and_its_copy_goes() {
    let host = Host::new();
    let file = host.drop_shell();
    let open = File::open(host.file()).unwrap();
    let flags = rustix::fs::ioctl_getflags(&open);
    let Ok(flags) = flags else { return eprintln!("not checked: this file system has no file flags") };
    if rustix::fs::ioctl_setflags(&open, flags | rustix::fs::IFlags::IMMUTABLE).is_err() {
        return eprintln!("not checked: making a file immutable needs root");
    }

    let got = host.quarantine(&file);

    rustix::fs::ioctl_setflags(&open, flags).unwrap();
    assert_eq!(reason(got), "cannot take the file away: not permitted, the file may be immutable");
    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_file_is_not_put_over_another_one() {
    let host = Host::new();
    let file = host.drop_shell();
    host.quarantine(&file).unwrap();
    fs::write(host.file(), b"the new page").unwrap();

    assert_eq!(reason(host.restore(&file)), "another file is at the path");

    assert_eq!(fs::read(host.file()).unwrap(), b"the new page");
    fs::remove_file(host.file()).unwrap();
    host.restore(&file).unwrap();
}

#[test]
fn a_damaged_quarantine_is_not_put_back() {
    let host = Host::new();
    let file = host.drop_shell();
    host.quarantine(&file).unwrap();
    let content = host.responder.quarantine.join(super::room(&file)).join("content");
    fs::write(content, b"<?php system('id');").unwrap();

    assert_eq!(reason(host.restore(&file)), "the quarantine is damaged");

    assert!(!host.file().exists());
}

#[test]
fn the_agents_own_folder_is_out_of_reach() {
    let host = Host::new();
    let own = host.responder.home.join("agent.key");
    fs::write(&own, SHELL).unwrap();

    assert_eq!(reason(host.quarantine(&target(&own))), "the path lies in the agent's own folder");
    assert!(host.responder.stage(OrderId([1; 16]), &target(&own)).is_err());
}

#[test]
fn an_order_past_its_time_is_only_looked_at() {
    let host = Host::new();
    let file = host.drop_shell();
    let look = |verb: &Verb| host.responder.carry_out(verb, Leave::Look);
    let (take, put) = (Verb::QuarantineFile(file.clone()), Verb::RestoreFile(file.clone()));

    assert_eq!(reason(look(&take)), super::EXPIRED);
    host.quarantine(&file).unwrap();
    assert_eq!(look(&take), Ok(()));
    assert_eq!(reason(look(&put)), super::EXPIRED);
    host.restore(&file).unwrap();
    assert_eq!(look(&put), Ok(()));
}

#[test]
fn evidence_is_the_bytes_that_were_named_even_if_the_file_goes() {
    let host = Host::new();
    let file = host.drop_shell();
    let order = OrderId([1; 16]);

    let first = host.responder.stage(order, &file).unwrap();
    fs::remove_file(host.file()).unwrap();
    let again = host.responder.stage(order, &file).unwrap();

    assert_eq!(again.preserved, first.preserved);
    assert_eq!(again.read(0, 5).unwrap(), &SHELL[..5]);
    assert_eq!(again.read(5, 1_000).unwrap(), &SHELL[5..]);
    again.discard();
    assert_eq!(host.responder.stage(order, &file).unwrap_err().to_string(), "the file is not there");
}

#[test]
fn evidence_with_other_content_is_not_taken() {
    let host = Host::new();
    let file = host.drop_shell();
    fs::write(host.file(), b"other").unwrap();

    assert!(host.responder.stage(OrderId([1; 16]), &file).is_err());

    assert_eq!(fs::read_dir(&host.responder.evidence).unwrap().count(), 0);
}

#[test]
fn a_path_that_flips_to_a_link_never_leads_to_the_victim() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let host = Host::new();
    let victim = host.dir.path().canonicalize().unwrap().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("a.php"), SHELL).unwrap();
    let (site, aside, link) =
        (host.site(), host.site().with_extension("aside"), host.site().with_extension("link"));
    symlink(&victim, &link).unwrap();
    let stop = AtomicBool::new(false);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = fs::rename(&site, &aside);
                let _ = fs::rename(&link, &site);
                let _ = fs::rename(&site, &link);
                let _ = fs::rename(&aside, &site);
            }
        });
        for _ in 0..500 {
            let _ = fs::write(host.site().join("a.php"), SHELL);
            fs::write(victim.join("a.php"), SHELL).unwrap();
            let _ = host.quarantine(&host.target());
            assert!(victim.join("a.php").exists());
        }
        stop.store(true, Ordering::Relaxed);
    });
}
