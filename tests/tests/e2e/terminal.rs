//! A real terminal: tmux holds it, keys are typed, the screen is read.

use std::{
    process::{Child, Command, Stdio},
    time::Instant,
};

use crate::{
    harness::{PATIENCE, Site},
    place::program,
};

/// A terminal in which a program of ours runs.
pub(crate) struct Terminal {
    server: Child,
    socket: String,
}

impl Terminal {
    /// Opens one of this size and starts `khien up` of a site in it.
    pub(crate) fn up(site: &Site, columns: u32, rows: u32, lang: &str) -> Self {
        let who = if site.unprivileged { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" };
        let line = format!(
            "{who}'{}' --home '{}' --lang {lang} up --watch '{}'",
            program("khien").display(),
            site.home.display(),
            site.web.display(),
        );
        Self::start(site, columns, rows, &line)
    }

    fn start(site: &Site, columns: u32, rows: u32, line: &str) -> Self {
        let socket = site.home.with_file_name("tmux").display().to_string();
        // In the foreground and bound to this thread: a killed test leaves no terminal behind.
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "tmux", "-S", &socket, "-f", "/dev/null", "-D"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("LC_ALL", "C.UTF-8")
            .spawn()
            .unwrap();
        let terminal = Self { server, socket };
        let (x, y) = (columns.to_string(), rows.to_string());
        let begun = Instant::now();
        let new = ["new-session", "-d", "-x", &x, "-y", &y, "-s", "e2e", line];
        while !terminal.tmux(&new).status.success() {
            assert!(begun.elapsed() < PATIENCE, "tmux did not start");
        }
        terminal
    }

    /// Types keys as tmux names them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        let out = self.tmux(&[&["send-keys", "-t", "e2e"], keys].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Types text as it is.
    pub(crate) fn types(&self, text: &str) {
        self.keys(&["-l", text]);
    }

    /// Waits until the screen fits and returns it.
    pub(crate) fn shows(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "{what} is not on the screen:\n{screen}");
        }
    }

    /// Waits until the screen has a text.
    pub(crate) fn has(&self, text: &str) -> String {
        self.shows(text, |s| s.contains(text))
    }

    /// Waits until the program ended and its terminal closed.
    pub(crate) fn closes(&self) {
        let begun = Instant::now();
        while self.tmux(&["has-session", "-t", "e2e"]).status.success() {
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
        }
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-t", "e2e"]).stdout).into_owned()
    }

    fn tmux(&self, args: &[&str]) -> std::process::Output {
        Command::new("tmux").args(["-S", &self.socket]).args(args).env("LC_ALL", "C.UTF-8").output().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
