//! The kinds of file systems, and who answers for their files: one table for all who must not wait for another host.
//!
//! ```text
//! watch, integrity   leave out what is remote, unless the policy wants it
//! memory of others   reads only what is local: anybody may mount one where only his own processes see it
//! ```

use self::Answers::{Local, Remote, Unknown};

/// Who answers for the files of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// The kernel of this host, by itself.
    Local,
    /// Another host, or a program that may ask one: who looks at a file waits until they answer, maybe for ever.
    Remote,
    /// Nobody knows: a kind that is not in the table, or a program that should only show what lies on this host.
    Unknown,
}

/// Every kind that was judged, by its name in `mountinfo`.
const KINDS: [(&str, Answers); 48] = [
    ("9p", Remote),
    ("afs", Remote),
    ("bcachefs", Local),
    ("beegfs", Remote),
    ("btrfs", Local),
    ("ceph", Remote),
    ("cifs", Remote),
    ("coda", Remote),
    ("devtmpfs", Local),
    ("erofs", Local),
    ("exfat", Local),
    ("ext2", Local),
    ("ext3", Local),
    ("ext4", Local),
    ("f2fs", Local),
    ("fuse.bindfs", Unknown),
    ("fuse.fuse-overlayfs", Unknown),
    ("fuse.lxcfs", Unknown),
    ("fuse.mergerfs", Unknown),
    ("fuse.ntfs-3g", Unknown),
    ("fuse.squashfuse", Unknown),
    ("fuse.unionfs", Unknown),
    ("fuseblk", Unknown),
    ("gfs2", Remote),
    ("glusterfs", Remote),
    ("gpfs", Remote),
    ("hugetlbfs", Local),
    ("iso9660", Local),
    ("jfs", Local),
    ("lustre", Remote),
    ("ncpfs", Remote),
    ("nfs", Remote),
    ("nfs4", Remote),
    ("nilfs2", Local),
    ("ntfs3", Local),
    ("ocfs2", Remote),
    ("orangefs", Remote),
    ("overlay", Local),
    ("ramfs", Local),
    ("reiserfs", Local),
    ("smb3", Remote),
    ("smbfs", Remote),
    ("squashfs", Local),
    ("tmpfs", Local),
    ("udf", Local),
    ("vfat", Local),
    ("xfs", Local),
    ("zfs", Local),
];

/// Tells who answers for the files of a file system of this kind.
#[must_use]
pub fn answers(kind: &str) -> Answers {
    let known = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, answers)| *answers);
    let is_of_a_program = || kind == "fuse" || kind.starts_with("fuse.");
    known.unwrap_or_else(|| if is_of_a_program() { Remote } else { Unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_by_itself_what_may_not_and_what_nobody_knows_are_told_apart() {
        for kind in ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs"] {
            assert_eq!(answers(kind), Local, "{kind}");
        }
        for kind in ["nfs4", "cifs", "ceph", "fuse", "fuse.sshfs", "fuse.s3fs", "fuse."] {
            assert_eq!(answers(kind), Remote, "{kind}");
        }
        for kind in ["fuseblk", "fuse.mergerfs", "made-up", "", "NFS"] {
            assert_eq!(answers(kind), Unknown, "{kind}");
        }
    }

    #[test]
    fn each_kind_is_judged_once_and_the_table_is_in_order() {
        assert!(KINDS.windows(2).all(|two| two[0].0 < two[1].0));
    }
}
