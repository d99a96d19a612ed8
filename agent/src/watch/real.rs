//! Where a path really leads, found without a look into places that are left out: a server that does not answer holds
//! whoever asks it, even for the inode of its root.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Links on one way; path_resolution(7) has the same limit.
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Real {
    /// To this name, of which no part is a link.
    At(PathBuf),
    /// Onto this place, which is left out.
    LeftOut(PathBuf),
}

/// Follows an absolute path to its end.
///
/// # Errors
/// As path_resolution(7) has them: something on the way is missing, closed or no folder, or there are too many links.
pub(crate) fn real(path: &Path, left_out: &[PathBuf]) -> io::Result<Real> {
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut ahead: VecDeque<OsString> = names(path).collect();
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        if let Some(place) = left_out.iter().find(|place| at.starts_with(place)) {
            return Ok(Real::LeftOut(place.clone()));
        }
        let meta = fs::symlink_metadata(&at)?;
        if meta.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(rustix::io::Errno::LOOP.into());
            }
            let to = fs::read_link(&at)?;
            if to.is_absolute() {
                at = PathBuf::from("/");
            } else {
                at.pop();
            }
            names(&to).rev().for_each(|name| ahead.push_front(name));
        } else if !meta.is_dir() && !ahead.is_empty() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
    }
    Ok(Real::At(at))
}

/// Returns the names of a path, `..` among them.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_name).map(|part| part.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree with a file, links to it and to each other.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        fs::create_dir_all(at.join("a/b")).unwrap();
        fs::create_dir(at.join("away")).unwrap();
        fs::write(at.join("a/b/file"), "x").unwrap();
        fs::write(at.join("away/file"), "x").unwrap();
        symlink("a/b", at.join("relative")).unwrap();
        symlink(at.join("relative/../b/file"), at.join("absolute")).unwrap();
        symlink("round", at.join("round")).unwrap();
        symlink("away/file", at.join("out")).unwrap();
        symlink("../away", at.join("a/up")).unwrap();
        symlink("missing", at.join("broken")).unwrap();
        (tree, at)
    }

    #[test]
    fn a_path_leads_where_the_kernel_says_or_nowhere_as_it_says() {
        let (_tree, at) = tree();
        let names = [
            "a/b/file",
            "relative/file",
            "absolute",
            "a/up/file",
            "a/up/../a/b",
            "out",
            "round",
            "broken",
            "absolute/below",
            "missing",
            "relative/missing",
            "",
        ];
        for name in names {
            let path = at.join(name);
            let (ours, kernels) = (real(&path, &[]), path.canonicalize());
            match (&ours, &kernels) {
                (Ok(Real::At(ours)), Ok(kernels)) => assert_eq!(ours, kernels, "{name}"),
                (Err(ours), Err(kernels)) => assert_eq!(ours.kind(), kernels.kind(), "{name}"),
                _ => panic!("{name}: {ours:?}, and the kernel says {kernels:?}"),
            }
        }
    }

    #[test]
    fn a_way_ends_before_a_place_that_is_left_out() {
        let (_tree, at) = tree();
        let away = [at.join("away")];
        let left_out = |name: &str| real(&at.join(name), &away).unwrap() == Real::LeftOut(away[0].clone());

        assert!(left_out("out") && left_out("a/up/file") && left_out("away") && left_out("away/missing"));
        assert!(!left_out("absolute") && !left_out("a/b/file"));
    }
}
