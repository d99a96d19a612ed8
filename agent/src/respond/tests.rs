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
    reason::Reason,
};
use rustix::fs::XattrFlags;

use super::{Leave, Responder};

mod disks;
mod made;
mod sealed;

pub(crate) use sealed::{opened, taking};

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

    fn quarantine(&self, file: &FileTarget) -> Result<(), Reason> {
        self.responder.carry_out(&Verb::QuarantineFile(file.clone()), Leave::Act)
    }

    fn restore(&self, file: &FileTarget) -> Result<(), Reason> {
        self.responder.carry_out(&Verb::RestoreFile(file.clone()), Leave::Act)
    }

    fn absent(&self, file: &FileTarget) -> Result<(), Reason> {
        self.responder.carry_out(&Verb::VerifyAbsent(file.clone()), Leave::Act)
    }

    fn present(&self, file: &FileTarget) -> Result<(), Reason> {
        self.responder.carry_out(&Verb::VerifyPresent(file.clone()), Leave::Act)
    }

    fn rooms(&self) -> usize {
        fs::read_dir(&self.responder.quarantine).unwrap().count()
    }
}

fn target(path: &Path) -> FileTarget {
    FileTarget { path: Untrusted::new(path.as_os_str().as_bytes()), sha256: Sha256::of(SHELL) }
}

fn reason(got: Result<(), Reason>) -> Reason {
    got.unwrap_err()
}

/// Returns an access list as the kernel keeps it: user::rw-, user:33:r--, group::r--, mask::r--, other::---.
pub(crate) fn access_list() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, u32::MAX), (2, 4, 33), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        list.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    list
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
    let acl = access_list();
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
fn an_access_list_that_the_folder_hands_down_does_not_stay_on_it() {
    let host = Host::new();
    let file = host.drop_shell();
    let list = access_list();
    if rustix::fs::setxattr(host.site(), c"system.posix_acl_default", &list, XattrFlags::empty()).is_err() {
        println!(
            "cannot run here: an_access_list_that_the_folder_hands_down_does_not_stay_on_it: no access lists"
        );
        return;
    }

    host.quarantine(&file).unwrap();
    host.restore(&file).unwrap();

    let mut value = [0; 256];
    let got = rustix::fs::getxattr(host.file(), c"system.posix_acl_access", &mut value[..]);
    assert_eq!(got, Err(rustix::io::Errno::NODATA));
}

#[test]
fn an_earlier_copy_stays_when_the_file_cannot_be_taken_again() {
    let host = Host::new();
    let file = host.drop_shell();
    host.quarantine(&file).unwrap();
    host.drop_shell();
    let aside = host.responder.quarantine.join(format!("{}.aside", super::room(&file)));
    let found = super::place::Place::find(file.path.raw()).unwrap().unwrap();
    let (opened, stat) = found.open().unwrap().unwrap();
    fs::write(host.file(), b"the new page").unwrap();

    let taken = super::aside::Aside::of(&host.responder, &file).unwrap().take(&found, &opened, &stat);

    assert_eq!(taken, Err(Reason::ChangedWhileCopied));
    assert_eq!(fs::read(host.file()).unwrap(), b"the new page");
    assert!(!aside.exists());
    assert_eq!(reason(host.quarantine(&file)), Reason::OtherContent);
    assert_eq!(host.rooms(), 1, "it is the last copy of the earlier file");
}

#[test]
fn what_a_cut_off_order_moved_aside_goes_or_comes_back() {
    let host = Host::new();
    let file = host.drop_shell();
    let aside = host.responder.quarantine.join(format!("{}.aside", super::room(&file)));

    // Before there was a copy: it comes back and is taken properly.
    fs::rename(host.file(), &aside).unwrap();
    host.quarantine(&file).unwrap();
    assert!(!aside.exists() && !host.file().exists());

    // The copy stands: it goes.
    fs::write(&aside, SHELL).unwrap();
    host.quarantine(&file).unwrap();
    assert!(!aside.exists() && !host.file().exists());

    // A stranger was hit: it comes back.
    fs::write(&aside, b"a stranger").unwrap();
    assert_eq!(reason(host.quarantine(&file)), Reason::OtherContent);
    assert_eq!(fs::read(host.file()).unwrap(), b"a stranger");
    assert_eq!(host.rooms(), 1);
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

    assert_eq!(reason(host.quarantine(&file)), Reason::ManyNames { names: 2 });

    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_file_with_other_content_stays() {
    let host = Host::new();
    let file = host.drop_shell();
    fs::write(host.file(), b"<?php echo 'Xin chao';").unwrap();

    assert_eq!(reason(host.quarantine(&file)), Reason::OtherContent);

    assert!(host.file().exists());
    assert_eq!(host.rooms(), 0);
    host.absent(&file).unwrap();
    assert_eq!(reason(host.present(&file)), Reason::OtherContent);
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
            let (Reason::CannotOpenFolder { error } | Reason::CannotOpenFile { error }) = reason(got) else {
                panic!("{}", path.display())
            };
            assert_eq!(error.errno, rustix::io::Errno::LOOP.raw_os_error(), "{}", path.display());
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
        assert_eq!(reason(got), Reason::NotRegularFile);
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
    let Reason::CannotTakeAway { error } = reason(got) else { panic!("expected that it cannot be taken") };
    assert_eq!(error.errno, rustix::io::Errno::PERM.raw_os_error());
    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_file_is_not_put_over_another_one() {
    let host = Host::new();
    let file = host.drop_shell();
    host.quarantine(&file).unwrap();
    fs::write(host.file(), b"the new page").unwrap();

    assert_eq!(reason(host.restore(&file)), Reason::AnotherFileThere);

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

    assert_eq!(reason(host.restore(&file)), Reason::QuarantineDamaged);

    assert!(!host.file().exists());
}

#[test]
fn the_agents_own_folder_is_out_of_reach() {
    let host = Host::new();
    let own = host.responder.home.join("agent.key");
    fs::write(&own, SHELL).unwrap();

    assert_eq!(reason(host.quarantine(&target(&own))), Reason::OwnFolder);
    assert!(host.responder.stage(&taking(OrderId([1; 16]), Leave::Act), &target(&own)).is_err());
}

#[test]
fn an_order_past_its_time_is_only_looked_at() {
    let host = Host::new();
    let file = host.drop_shell();
    let look = |verb: &Verb| host.responder.carry_out(verb, Leave::Look);
    let (take, put) = (Verb::QuarantineFile(file.clone()), Verb::RestoreFile(file.clone()));

    assert_eq!(reason(look(&take)), Reason::ExpiredBefore);
    host.quarantine(&file).unwrap();
    assert_eq!(look(&take), Ok(()));
    assert_eq!(reason(look(&put)), Reason::ExpiredBefore);
    host.restore(&file).unwrap();
    assert_eq!(look(&put), Ok(()));
}

#[test]
fn evidence_with_other_content_is_not_taken() {
    let host = Host::new();
    let file = host.drop_shell();
    fs::write(host.file(), b"other").unwrap();

    assert!(host.responder.stage(&taking(OrderId([1; 16]), Leave::Act), &file).is_err());

    assert_eq!(fs::read_dir(&host.responder.evidence).unwrap().count(), 0);
}
