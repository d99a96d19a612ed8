//! Reads of `/proc`, each bounded, and what they mean.

use std::{
    fs::File,
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    sync::LazyLock,
};

use khien_core::{Timestamp, Untrusted, time::SignedDuration};

use super::asker::Asker;

/// The longest command line that is kept.
const MAX_COMMAND: u64 = 512;
/// More of `/proc/PID/status` is not read.
const MAX_STATUS: u64 = 8 << 10;
/// More of `/proc/PID/stat` is not read: some fifty numbers and a name of 64 bytes at most.
const MAX_STAT: u64 = 2 << 10;
/// More of `/proc/PID/comm` is not read: a name has 63 bytes at most.
const MAX_NAME: usize = 64;
/// More of `/proc/PID/cgroup` is not read: a line for each hierarchy.
const MAX_CGROUP: u64 = 8 << 10;
/// The longest name of a container that is kept.
const MAX_CONTAINER: usize = 128;
/// Ticks of `/proc` in a second (`USER_HZ`), the same on every architecture on which the agent runs.
const TICKS: u64 = 100;
/// How the names of control groups of containers begin, and what runs the container.
const RUNTIMES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
    ("lxc.payload.", "lxc"),
    ("machine-", "machine"),
    ("nspawn-", "machine"),
];
/// Names of control groups below which each group is a container.
const PARENTS: [(&str, &str); 4] =
    [("docker", "docker"), ("lxc", "lxc"), ("libpod_parent", "podman"), ("containerd", "containerd")];

/// By what a process is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// When it was started, in ticks since the host was.
    pub(super) start: u64,
    /// The first bytes of its program's name: another program has another.
    name: Vec<u8>,
    pub(super) parent: u32,
    /// Its effective user.
    user: u32,
}

impl Life {
    /// Tells whether it is the same process, though it may run another program by now.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.start == other.start
    }
}

/// The name of a process, and where it can be read again: it is that of no other process, also when the id is another's.
#[derive(Debug)]
pub(super) struct Name {
    file: File,
    name: Vec<u8>,
}

impl Name {
    /// Opens and reads it.
    pub(super) fn open(pid: u32) -> Option<Self> {
        let file = File::open(format!("/proc/{pid}/comm")).ok()?;
        let name = name_in(&file)?;
        Some(Self { file, name })
    }

    /// Tells whether the process is there and runs a program of this name.
    pub(super) fn is_still(&self) -> bool {
        name_in(&self.file).is_some_and(|name| name == self.name)
    }
}

fn name_in(file: &File) -> Option<Vec<u8>> {
    let mut name = vec![0; MAX_NAME];
    let length = file.read_at(&mut name, 0).ok()?;
    name.truncate(length);
    Some(name)
}

/// Returns by what a process is known again.
pub(super) fn life(pid: u32) -> Option<Life> {
    let mut text = Vec::with_capacity(512);
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let user = file.metadata().ok()?.uid();
    file.take(MAX_STAT).read_to_end(&mut text).ok()?;
    parse(&text, user)
}

/// `pid (NAME) state PARENT … START …`; a name may hold blanks and brackets.
fn parse(text: &[u8], user: u32) -> Option<Life> {
    let open = text.iter().position(|b| *b == b'(')?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let name = text.get(open + 1..close)?.to_owned();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut words = rest.split_ascii_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    let start = words.nth(17)?.parse().ok()?;
    Some(Life { start, name, parent, user })
}

/// Returns the path of a process's program.
pub(super) fn program(pid: u32) -> Option<Untrusted> {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(Untrusted::new(exe.as_os_str().as_bytes()))
}

/// Returns its command line, arguments separated by spaces. They are read from its memory, which it may hold.
pub(super) fn command(pid: u32) -> Option<Untrusted> {
    static ASKER: LazyLock<Asker> = LazyLock::new(Asker::default);
    let mut arguments = ASKER.ask(move || head(pid, "cmdline", MAX_COMMAND))?;
    while arguments.last() == Some(&0) {
        arguments.pop();
    }
    arguments.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    (!arguments.is_empty()).then(|| Untrusted::new(arguments))
}

/// Returns its real user.
pub(super) fn real_user(pid: u32) -> Option<u32> {
    let status = head(pid, "status", MAX_STATUS)?;
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

/// Returns the container in which it runs.
pub(super) fn container(pid: u32) -> Option<Untrusted> {
    container_in(&head(pid, "cgroup", MAX_CGROUP)?)
}

/// `hierarchy:controllers:/group/in/group`. The innermost container counts.
fn container_in(groups: &[u8]) -> Option<Untrusted> {
    groups.split(|b| *b == b'\n').find_map(|line| {
        let path = line.splitn(3, |b| *b == b':').nth(2)?;
        let names: Vec<&str> =
            path.split(|b| *b == b'/').map(|name| std::str::from_utf8(name).unwrap_or("")).collect();
        let at = |n: usize| named(names[n], n.checked_sub(1).map(|above| names[above]));
        let text = (0..names.len()).rev().find_map(at).or_else(|| kubernetes(&names))?;
        Some(Untrusted::cut(text.as_bytes(), MAX_CONTAINER))
    })
}

/// `docker-4f6c….scope`, or `4f6c…` below `docker`.
fn named(name: &str, above: Option<&str>) -> Option<String> {
    let short = name.strip_suffix(".scope").or_else(|| name.strip_suffix(".service")).unwrap_or(name);
    let by_prefix =
        RUNTIMES.iter().find_map(|(prefix, runtime)| Some((*runtime, short.strip_prefix(prefix)?)));
    let by_parent =
        PARENTS.iter().find(|(parent, _)| Some(*parent) == above).map(|(_, runtime)| (*runtime, short));
    let (runtime, id) = by_prefix.or(by_parent).filter(|(_, id)| !id.is_empty())?;
    Some(format!("{runtime}:{id}"))
}

/// A pod without a word on what runs it: `/kubepods/besteffort/pod8a…/4f6c…`.
fn kubernetes(names: &[&str]) -> Option<String> {
    let is_pod = names.iter().any(|name| name.starts_with("kubepods"));
    let id =
        names.last().filter(|id| is_pod && id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(format!("kubernetes:{id}"))
}

/// What is the agent's own, to compare with.
#[derive(Debug)]
pub(super) struct Own {
    mounts: Option<std::path::PathBuf>,
}

/// When the host was started. Read once: the clock and the time since then are never read at the same moment, and a process
/// is known by its start, to the nanosecond, by all who ask.
static BOOT: LazyLock<Option<Timestamp>> = LazyLock::new(boot);

impl Own {
    pub(super) fn read() -> Self {
        Self { mounts: mounts("thread-self") }
    }

    /// Returns when a process was started, by the host's clock.
    pub(super) fn started(&self, life: &Life) -> Option<Timestamp> {
        let millis = i64::try_from(life.start.checked_mul(1_000)? / TICKS).ok()?;
        BOOT.as_ref()?.checked_add(SignedDuration::from_millis(millis)).ok()
    }

    /// Tells whether a process sees other mounts than the agent. Where that cannot be asked, it is taken not to.
    pub(super) fn has_other_mounts(&self, pid: u32) -> bool {
        match (&self.mounts, mounts(&pid.to_string())) {
            (Some(own), Some(its)) => *own != its,
            _ => false,
        }
    }
}

fn mounts(process: &str) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok()
}

/// `12345.67 …`: seconds since the host was started.
fn boot() -> Option<Timestamp> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    let up = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::now().checked_sub(up).ok()
}

fn head(pid: u32, name: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_looks_like_numbers_does_not_mislead() {
        let text = b"42 (a) S 7 (b) R 900 42 42 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 123456 999 0";

        let life = parse(text, 33).unwrap();

        assert_eq!((life.name.as_slice(), life.parent, life.start), (&b"a) S 7 (b"[..], 900, 123_456));
    }

    #[test]
    fn containers_are_known_by_their_control_groups() {
        let of = |path: &str| container_in(format!("0::{path}\n").as_bytes()).map(|c| c.to_string());
        let id = "4f6c0a1b2c3d";

        for (path, wanted) in [
            (format!("/system.slice/docker-{id}.scope"), format!("docker:{id}")),
            (format!("/docker/{id}"), format!("docker:{id}")),
            (format!("/docker/{id}/system.slice/cron.service"), format!("docker:{id}")),
            (format!("/kubepods.slice/pod1.slice/cri-containerd-{id}.scope"), format!("containerd:{id}")),
            (format!("/kubepods/besteffort/pod8a/{id}"), format!("kubernetes:{id}")),
            (format!("/machine.slice/libpod-{id}.scope/container"), format!("podman:{id}")),
            ("/lxc.payload.web1/system.slice/nginx.service".to_owned(), "lxc:web1".to_owned()),
            ("/lxc/web1".to_owned(), "lxc:web1".to_owned()),
        ] {
            assert_eq!(of(&path), Some(wanted), "{path}");
        }
        assert_eq!(of("/system.slice/docker.service"), None);
        assert_eq!(of("/user.slice/user-0.slice/session-1.scope"), None);
        assert_eq!(of("/"), None);
    }

    #[test]
    fn the_older_form_with_a_line_for_each_hierarchy_is_read_too() {
        let groups = b"12:pids:/user.slice\n11:memory:/docker/4f6c0a1b2c3d\n1:name=systemd:/\n";

        assert_eq!(container_in(groups).unwrap().to_string(), "docker:4f6c0a1b2c3d");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            parse(&bytes, 0);
            container_in(&bytes);
        }
    }
}
