//! Quarantine between file systems: read-only ones, full ones, other ones.

use std::process::Command;

use super::*;

/// A file system in memory, mounted over a folder; it goes with this value.
struct Disk(PathBuf);

impl Disk {
    /// None, and a line that says so, where nothing may be mounted.
    fn over(folder: &Path, options: &str) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "khien-test"]).arg(folder).status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        let test = std::thread::current();
        println!("cannot run here: {}: mounting needs root", test.name().unwrap_or("test"));
        None
    }

    fn make_read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_file_on_a_read_only_file_system_stays_and_its_copy_goes() {
    let host = Host::new();
    let Some(disk) = Disk::over(&host.site(), "size=1m") else { return };
    let file = host.drop_shell();
    disk.make_read_only();

    let got = host.quarantine(&file);

    let Reason::CannotTakeAway { error } = reason(got) else { panic!("expected that it cannot be taken") };
    assert_eq!(error.errno, rustix::io::Errno::ROFS.raw_os_error());
    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_quarantine_without_room_takes_nothing() {
    let host = Host::new();
    let Some(_disk) = Disk::over(&host.responder.quarantine, "size=1m") else { return };
    let file = host.drop_shell();

    let got = host.quarantine(&file);

    assert_eq!(reason(got), Reason::NoSpareSpace);
    host.present(&file).unwrap();
    assert_eq!(host.rooms(), 0);
}

#[test]
fn a_quarantine_on_another_file_system_takes_the_file_and_gives_it_back() {
    let host = Host::new();
    let Some(_disk) = Disk::over(&host.responder.quarantine, "size=128m") else { return };
    let file = host.drop_shell();

    host.quarantine(&file).unwrap();

    host.absent(&file).unwrap();
    host.restore(&file).unwrap();
    host.present(&file).unwrap();
}
