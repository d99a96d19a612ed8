//! Which processes are Khiên's own: they hold the rules, and each would match.
//!
//! A name says nothing, anybody can give it to a program. One is Khiên's own if it runs the very file that this program
//! is, or the agent or hub that was installed beside it, and belongs to root or to whoever scans: nobody else can have put
//! anything into it. Of a worker, who is nobody, that holds for the process that started it.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// What is installed beside this program.
const BESIDE: [&str; 2] = ["khien-agent", "khien-hub"];
/// Whom a worker is when root started it.
const NOBODY: u32 = 65_534;
/// Others than the owner may write.
const WRITABLE: u32 = 0o022;

/// A file, by its file system and inode.
type Place = (u32, u32, u64);

/// Khiên's programs on this host.
#[derive(Debug)]
pub(super) struct Own {
    programs: HashSet<Place>,
    /// Where they are.
    paths: HashSet<PathBuf>,
    /// Who scans.
    user: u32,
}

/// Whose a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whose {
    /// The real, effective, saved and file system user.
    users: [u32; 4],
    parent: u32,
}

impl Own {
    /// Looks where they are.
    pub(super) fn here() -> Self {
        let mut own = Self {
            programs: HashSet::new(),
            paths: HashSet::new(),
            user: rustix::process::getuid().as_raw(),
        };
        let Some(path) = program(std::process::id()) else { return own };
        own.programs.extend(place(Path::new("/proc/self/exe")));
        for beside in beside(&path) {
            own.programs.extend(place(&beside));
            own.paths.insert(beside);
        }
        own.paths.insert(path);
        own
    }

    /// Tells whether a process is one of them.
    pub(super) fn has(&self, pid: u32) -> bool {
        pid == std::process::id()
            || whose(pid).is_some_and(|whose| match whose.users {
                [NOBODY, NOBODY, NOBODY, NOBODY] => self.runs(pid) && self.started(whose.parent),
                _ => self.runs(pid) && self.trusts(whose),
            })
    }

    fn started(&self, pid: u32) -> bool {
        self.runs(pid) && whose(pid).is_some_and(|whose| self.trusts(whose))
    }

    fn trusts(&self, whose: Whose) -> bool {
        whose.users.iter().all(|user| *user == 0 || *user == self.user)
    }

    /// Whose program lies elsewhere is not asked for its inode: it may lie where nobody answers.
    fn runs(&self, pid: u32) -> bool {
        program(pid).is_some_and(|path| self.paths.contains(&path))
            && place(Path::new(&format!("/proc/{pid}/exe")))
                .is_some_and(|place| self.programs.contains(&place))
    }
}

/// Returns what is installed beside a program by whoever installed that: nobody else can write there.
fn beside(program: &Path) -> Vec<PathBuf> {
    let owner = fs::metadata("/proc/self/exe").map(|found| found.uid());
    let is_safe = |path: &Path| {
        let found = fs::symlink_metadata(path).ok().filter(|found| !found.is_symlink());
        found.is_some_and(|found| {
            let is_theirs = found.uid() == 0 || owner.as_ref().is_ok_and(|owner| *owner == found.uid());
            is_theirs && found.mode() & WRITABLE == 0
        })
    };
    let Some(folder) = program.parent().filter(|folder| is_safe(folder)) else { return Vec::new() };
    BESIDE.iter().map(|name| folder.join(name)).filter(|path| is_safe(path)).collect()
}

fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// What is known of the inode is enough: nobody is asked for news of it.
fn place(path: &Path) -> Option<Place> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}

/// `NAME:\tVALUE…` a line; the kernel escapes the name of the process.
fn whose(pid: u32) -> Option<Whose> {
    let text = fs::read(format!("/proc/{pid}/status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let numbers = |name: &str| {
        let values = text.lines().find_map(|line| line.strip_prefix(name))?;
        values.split_ascii_whitespace().map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()
    };
    let parent = numbers("PPid:")?.first().copied()?;
    Some(Whose { users: numbers("Uid:")?.try_into().ok()?, parent })
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Child, Command},
    };

    use super::*;

    /// A process that ends with its test.
    struct Running(Child);

    impl Running {
        fn start(program: &Path, user: Option<u32>) -> Self {
            let mut command = Command::new(program);
            command.arg("600");
            if let Some(user) = user {
                command.uid(user);
            }
            Self(command.spawn().unwrap())
        }

        fn pid(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A host on which these files are Khiên's.
    fn with(programs: &[&Path]) -> Own {
        Own {
            programs: programs.iter().filter_map(|path| place(path)).collect(),
            paths: programs.iter().map(|path| path.to_path_buf()).collect(),
            user: rustix::process::getuid().as_raw(),
        }
    }

    fn copied(to: &Path) {
        // Written by another process: what this one holds open to write cannot be run while a child of another test has it.
        assert!(Command::new("cp").arg("/bin/sleep").arg(to).status().unwrap().success());
    }

    #[test]
    fn a_program_that_only_has_the_name_is_scanned() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [ours, theirs] =
            [&ours, &theirs].map(|dir| dir.path().canonicalize().unwrap().join("khien-agent"));
        copied(&ours);
        copied(&theirs);
        let own = with(&[&ours]);
        let (agent, fake) = (Running::start(&ours, None), Running::start(&theirs, None));

        assert!(own.has(agent.pid()) && own.has(std::process::id()));
        assert!(!own.has(fake.pid()) && !own.has(1));

        // In the very place of ours it is another file all the same.
        fs::rename(&theirs, &ours).unwrap();
        let swapped = Running::start(&ours, None);
        assert!(!own.has(swapped.pid()));
    }

    #[test]
    fn a_process_of_another_user_is_scanned_whatever_it_runs() {
        if !rustix::process::geteuid().is_root() {
            println!("cannot run here: a_process_of_another_user: only root starts one");
            return;
        }
        let own = with(&[&Path::new("/bin/sleep").canonicalize().unwrap()]);
        let (mine, others, nobodys) = (
            Running::start(Path::new("/bin/sleep"), None),
            Running::start(Path::new("/bin/sleep"), Some(12_345)),
            Running::start(Path::new("/bin/sleep"), Some(NOBODY)),
        );

        assert!(own.has(mine.pid()) && !own.has(others.pid()));
        assert!(!own.has(nobodys.pid()), "whoever started it runs something else");
    }

    #[test]
    fn what_lies_beside_is_trusted_only_where_nobody_else_can_write() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (agent, hub) = (dir.join("khien-agent"), dir.join("khien-hub"));
        fs::write(&agent, "").unwrap();
        fs::write(&hub, "").unwrap();
        [(&dir, 0o755), (&agent, 0o755), (&hub, 0o775)].iter().for_each(|(path, bits)| mode(path, *bits));

        assert_eq!(beside(&dir.join("khien")), std::slice::from_ref(&agent));

        mode(&dir, 0o777);
        assert_eq!(beside(&dir.join("khien")), [] as [PathBuf; 0]);
    }

    #[test]
    fn whose_a_process_is_is_read_from_the_kernel() {
        let me = whose(std::process::id()).unwrap();

        assert_eq!(me.users[0], rustix::process::getuid().as_raw());
        assert_eq!(me.parent, std::os::unix::process::parent_id());
        assert_eq!(whose(u32::MAX), None);
    }
}
