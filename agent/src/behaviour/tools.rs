//! Which programs are the system's own: in a folder for programs, and only root can write to them or put another one in
//! their place. Looks, changes nothing.

use std::{
    ffi::OsStr,
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::{Duration, Instant},
};

use crate::scan::recent::Recent;

/// Folders for programs, and for what interpreters run.
const FOLDERS: [&str; 10] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
];
/// Answers that are remembered.
const REMEMBERED: usize = 256;
/// How long an answer holds.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Others than the owner may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Answers, and remembers them for a while.
#[derive(Debug)]
pub(super) struct Tools(Recent<Vec<u8>, (Instant, bool)>);

impl Default for Tools {
    fn default() -> Self {
        Self(Recent::new(REMEMBERED))
    }
}

impl Tools {
    /// Tells whether the program or script at a path is the system's own.
    pub(super) fn is_the_systems(&mut self, path: &[u8]) -> bool {
        if let Some((at, answer)) = self.0.get(&path.to_vec())
            && at.elapsed() < GOOD_FOR
        {
            return *answer;
        }
        let answer = is_the_systems(Path::new(OsStr::from_bytes(path)));
        self.0.put(path.to_vec(), (Instant::now(), answer));
        answer
    }
}

/// Where a path really leads counts: `/usr/bin/../../tmp/x` and a link do not lie where they say.
fn is_the_systems(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else { return false };
    FOLDERS.iter().any(|folder| real.starts_with(folder))
        && real.is_file()
        && real.ancestors().all(|part| part.symlink_metadata().is_ok_and(|meta| is_roots(&meta)))
}

fn is_roots(meta: &Metadata) -> bool {
    meta.uid() == 0 && meta.mode() & WRITABLE_BY_OTHERS == 0
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn is(path: &Path) -> bool {
        Tools::default().is_the_systems(path.as_os_str().as_bytes())
    }

    #[test]
    fn programs_of_the_system_are_its_own_and_copies_of_them_and_links_out_of_it_are_not() {
        let tree = tempfile::tempdir().unwrap();
        let copy = tree.path().join("env");
        fs::copy("/usr/bin/env", &copy).unwrap();
        let link = tree.path().join("link");
        symlink("/usr/bin/env", &link).unwrap();
        let around = format!("/usr/bin/../..{}", copy.canonicalize().unwrap().display());

        assert!(is(Path::new("/usr/bin/env")));
        assert!(is(&link), "where it leads counts");
        for path in [
            &copy,
            Path::new(&around),
            Path::new("/usr/bin"),
            Path::new("/usr/bin/no-such-tool"),
            Path::new("env"),
        ] {
            assert!(!is(path), "{}", path.display());
        }
    }

    #[test]
    fn what_others_may_write_to_is_not_the_systems() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("tool");
        fs::write(&file, "x").unwrap();
        let with = |mode| {
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            is_roots(&fs::metadata(&file).unwrap())
        };

        assert_eq!(with(0o755), rustix::process::getuid().is_root());
        assert!(!with(0o775));
        assert!(!with(0o757));
    }
}
