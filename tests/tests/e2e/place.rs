//! Where a program runs: this machine's network, or a namespace of its own that vanishes with its holder.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Returns the path of a program of ours, built beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = place(name);
    assert!(path.exists(), "{} is not built; tests/run builds it", path.display());
    path
}

/// Tells whether a program of ours is there. One takes long to build and is left out of most builds.
pub(crate) fn is_built(name: &str) -> bool {
    place(name).exists()
}

fn place(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().with_file_name(name)
}

/// Copies a program to where it is to be run. Another process writes it: a file that this one has open to write cannot be
/// run as long as a program that another test starts at that moment holds it open too.
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let done = Command::new("cp").arg("-L").arg(from.as_ref()).arg(to.as_ref()).status().unwrap();
    assert!(done.success(), "cannot copy {}", from.as_ref().display());
}

/// Prints why a test cannot run here; `tests/run` counts these lines.
#[allow(clippy::print_stdout, reason = "`tests/run` reads it")]
pub(crate) fn cannot_run(why: &str) {
    println!("cannot run here: {}: {why}", std::thread::current().name().unwrap_or("test"));
}

/// Tells whether this is root, who may make namespaces and watch with fanotify.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A network namespace, held by a process that ends when this value or this whole test does.
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// Makes one with loopback up.
    pub(crate) fn new() -> Self {
        // `cat` ends at the end of its input, so a killed test leaves nothing behind.
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 3];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        Self { holder }
    }

    /// Returns a command that runs in here.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    /// Runs a closure with this thread in here; the thread ends afterwards.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let path = self.path();
        std::thread::spawn(move || {
            let namespace = std::fs::File::open(path).unwrap();
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind).unwrap();
            what()
        })
    }

    /// Joins this one and another by a cable: `name` here, `other_name` there, one IPv4 and one IPv6 address each.
    pub(crate) fn cable(&self, other: &Self, name: &str, other_name: &str) {
        let pid = other.holder.id().to_string();
        self.ip(&["link", "add", name, "type", "veth", "peer", "name", other_name, "netns", &pid]);
        self.address(name, "10.77.0.1/24", "fd77::1/64");
        other.address(other_name, "10.77.0.2/24", "fd77::2/64");
    }

    fn address(&self, name: &str, v4: &str, v6: &str) {
        self.ip(&["addr", "add", v4, "dev", name]);
        self.ip(&["addr", "add", v6, "dev", name, "nodad"]);
        self.ip(&["link", "set", name, "up"]);
    }

    /// Runs `ip` in here.
    pub(crate) fn ip(&self, args: &[&str]) {
        let out = self.command("ip").args(args).output().unwrap();
        assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}
