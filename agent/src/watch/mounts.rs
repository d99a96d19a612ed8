//! The mounts that this thread sees, from `/proc/thread-self/mountinfo`.

use std::{
    collections::HashSet,
    ffi::OsString,
    io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use khien_scan::filesystem::{Answers, answers};

/// File systems without files that anyone stored.
const WITHOUT_CONTENT: [&str; 18] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// A place where a file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The kernel's number of this mount: one that is made again at the same place has another.
    pub(super) id: u64,
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
}

impl Mount {
    fn has_content(&self) -> bool {
        !WITHOUT_CONTENT.contains(&self.kind.as_str())
    }

    /// Tells whether its files come from another host, or from a program that may not answer.
    pub(super) fn is_remote(&self) -> bool {
        answers(&self.kind) == Answers::Remote
    }
}

/// Returns the mounts that have content, in the order in which they were made.
pub(super) fn read() -> io::Result<Vec<Mount>> {
    Ok(all()?.into_iter().filter(Mount::has_content).collect())
}

/// Returns the mounts whose files come from elsewhere.
pub(crate) fn remote() -> Vec<Mount> {
    all().unwrap_or_default().into_iter().filter(Mount::is_remote).collect()
}

/// Returns the places that hold no files, so that no walk goes there.
pub(super) fn barren() -> HashSet<PathBuf> {
    let mounts = all().unwrap_or_default();
    mounts.into_iter().filter(|m| !m.has_content()).map(|m| m.point).collect()
}

/// Tells whether a path lies where files are stored. Where that cannot be told, it does.
pub(super) fn has_content(path: &Path) -> bool {
    of(&all().unwrap_or_default(), path).is_none_or(Mount::has_content)
}

fn all() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/thread-self/mountinfo")?))
}

/// Returns the mount on which a path lies.
pub(super) fn of<'m>(mounts: &'m [Mount], path: &Path) -> Option<&'m Mount> {
    // Of two at one point the later covers the earlier.
    mounts.iter().filter(|m| path.starts_with(&m.point)).max_by_key(|m| m.point.components().count())
}

/// Returns the mounts below a path.
pub(super) fn below<'m>(mounts: &'m [Mount], path: &Path) -> impl Iterator<Item = &'m Mount> {
    mounts.iter().filter(move |m| m.point.starts_with(path) && m.point != path)
}

fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(line).collect()
}

/// `id parent device root POINT options… - KIND source options`
fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ');
    let id = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let point = words.nth(3)?;
    let kind = words.skip_while(|w| *w != b"-").nth(1)?;
    Some(Mount {
        id,
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Space, tab, line feed and backslash are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /srv/my\\040web rw - xfs /dev/vdb rw
";

    #[test]
    fn points_are_read_and_file_systems_without_content_are_known() {
        let mounts: Vec<_> = parse(TEXT).into_iter().filter(Mount::has_content).collect();

        let points: Vec<_> = mounts.iter().map(|m| m.point.to_str().unwrap()).collect();
        assert_eq!(points, ["/", "/srv/my web"]);
    }

    #[test]
    fn what_lies_on_another_host_or_is_served_by_a_program_is_known() {
        let remote = |kind: &str| Mount { id: 1, point: "/srv".into(), kind: kind.to_owned() }.is_remote();

        for kind in ["nfs4", "cifs", "ceph", "fuse", "fuse.sshfs", "fuse.s3fs"] {
            assert!(remote(kind), "{kind}");
        }
        for kind in ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuseblk", "fuse.mergerfs"] {
            assert!(!remote(kind), "{kind}");
        }
    }

    #[test]
    fn a_path_lies_on_the_deepest_mount_above_it() {
        let mounts = parse(TEXT);

        assert_eq!(of(&mounts, Path::new("/srv/my web/a")).unwrap().kind, "xfs");
        assert_eq!(of(&mounts, Path::new("/srv/my websites")).unwrap().kind, "ext4");
        assert_eq!(below(&mounts, Path::new("/srv")).count(), 1);
    }
}
