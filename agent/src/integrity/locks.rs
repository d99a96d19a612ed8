//! Who holds a lock on a file, as `/proc/locks` says: by the device of the file system and the inode.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::fs::{AtFlags, CWD, StatxFlags, major, minor, statx};

/// The most that is read of a list of the kernel's, in bytes.
const MAX_TEXT: u64 = 4 << 20;

/// A file as the kernel names it in its list of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    /// Major and minor number of the file system. On btrfs they are not those that the inode tells.
    device: (u32, u32),
    inode: u64,
}

/// Tells whether somebody holds a lock on a file.
pub(super) fn is_held(file: &Path) -> bool {
    let (Some(file), Some(locks)) = (Named::of(file), text("/proc/locks")) else { return false };
    locks.lines().any(|line| named(line) == Some(file))
}

impl Named {
    fn of(file: &Path) -> Option<Self> {
        let Ok(found) = statx(CWD, file, AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID) else {
            // Before Linux 4.11, and under some container filters.
            let found = fs::metadata(file).ok()?;
            return Some(Self { device: (major(found.dev()), minor(found.dev())), inode: found.ino() });
        };
        let tells_mount = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        let mounts = text("/proc/self/mountinfo").filter(|_| tells_mount);
        let device = mounts.and_then(|mounts| device_of(&mounts, found.stx_mnt_id));
        Some(Self {
            device: device.unwrap_or((found.stx_dev_major, found.stx_dev_minor)),
            inode: found.stx_ino,
        })
    }
}

/// `36 25 0:31 /@ / rw,relatime - btrfs /dev/vda2 rw`
fn device_of(mounts: &str, id: u64) -> Option<(u32, u32)> {
    let line = mounts.lines().find(|line| line.split(' ').next().is_some_and(|n| n.parse() == Ok(id)))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `1: POSIX  ADVISORY  WRITE 812 fe:01:1311 0 EOF`, the device in hexadecimal.
fn named(line: &str) -> Option<Named> {
    let place = line.split_whitespace().find(|word| word.matches(':').count() == 2)?;
    let mut numbers = place.split(':');
    let mut hex = || u32::from_str_radix(numbers.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some(Named { device, inode: numbers.next()?.parse().ok()? })
}

fn text(list: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(list).ok()?.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_known_by_file_system_and_inode() {
        let file = Named { device: (0xfe, 1), inode: 1311 };

        assert_eq!(named("1: POSIX  ADVISORY  WRITE 812 fe:01:1311 0 EOF"), Some(file));
        assert_ne!(named("1: POSIX  ADVISORY  WRITE 812 fe:02:1311 0 EOF"), Some(file), "another disk");
        assert_ne!(named("1: POSIX  ADVISORY  WRITE 1311 fe:01:13 0 EOF"), Some(file));
        for broken in ["", "1: POSIX", "1: POSIX zz:01:1311", "1: POSIX fe:01:x", "::", "a:b:c"] {
            assert_eq!(named(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_device_is_that_of_the_mount() {
        let mounts =
            "22 1 254:0 / / rw - ext4 /dev/vda rw\n36 22 0:31 /@var /var rw - btrfs /dev/vdb rw\nx\n";

        assert_eq!(device_of(mounts, 36), Some((0, 31)));
        assert_eq!(device_of(mounts, 22), Some((254, 0)));
        assert_eq!(device_of(mounts, 7), None);
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let (held, free) = (dir.path().join("held"), dir.path().join("free"));
        let file = File::create(&held).unwrap();
        File::create(&free).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();

        assert!(is_held(&held) && !is_held(&free));
        drop(file);
        assert!(!is_held(&held));
    }
}
