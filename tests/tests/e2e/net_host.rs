//! Who on the watched host is behind a flow, and what else that process did. The other end of the cable is the world.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};

use serde_json::Value;

use crate::{
    harness::{PATIENCE, Site, Up, is_at, web_shell},
    place::Namespace,
    traffic::{LISTED, cabled, flow_alert},
};

/// The world's end of the cable.
pub(crate) const WORLD: &str = "10.77.0.2";
const HOST: &str = "10.77.0.1";

/// A server that keeps each caller until it is told to let go of them.
pub(crate) struct Held {
    pub(crate) address: SocketAddr,
    /// Dropped, the caller is let go.
    _go: Sender<()>,
}

impl Held {
    /// Listens in a network, takes one caller, and answers no byte.
    pub(crate) fn new(network: &Namespace, ip: &'static str) -> Self {
        let listener = network.run(move || TcpListener::bind((ip, 0)).unwrap()).join().unwrap();
        let address = listener.local_addr().unwrap();
        let (go, wait) = mpsc::channel();
        std::thread::spawn(move || hold(&listener, &wait));
        Self { address, _go: go }
    }
}

fn hold(listener: &TcpListener, wait: &Receiver<()>) {
    let (mut stream, _) = listener.accept().unwrap();
    // Ends with the other end of the channel.
    let _ = wait.recv();
    // With something unread a socket does not say goodbye but resets the connection.
    stream.set_nonblocking(true).unwrap();
    while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
}

/// A shell that does what it reads, line by line, itself: redirections and connections are its own.
pub(crate) struct Bash {
    child: Child,
}

impl Bash {
    pub(crate) fn start(site: &Site, before: &[&str]) -> Self {
        let network = site.network.as_ref().unwrap();
        let mut command: Command = network.command("setpriv");
        command.args(before).args(["--pdeathsig", "KILL", "--", "bash"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut it = Self { child };
        // It has become itself when it answers.
        it.child.stdin.as_mut().unwrap().write_all(b"echo ready\n").unwrap();
        let mut line = String::new();
        BufReader::new(it.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        it
    }

    pub(crate) fn run(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Asks a server for a page of a host by this name, and keeps the connection.
    pub(crate) fn ask(&mut self, server: SocketAddr, host: &str) {
        self.connect(server);
        self.run(&format!("printf 'GET /gate HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n' >&3"));
    }

    /// Connects and says nothing.
    fn connect(&mut self, server: SocketAddr) {
        let (ip, port) = (server.ip(), server.port());
        self.run(&format!("exec 3<>/dev/tcp/{ip}/{port}"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bash {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts `khien up` on the site's end of the cable.
pub(crate) fn watched<'a>(site: &'a Site, further: &[&str]) -> Up<'a> {
    site.up(&[&["--watch", site.web.to_str().unwrap(), "--interface", "kh0"], further].concat())
}

fn exe(pid: u32) -> String {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_process_that_asks_for_a_listed_name_is_in_the_alert_with_program_and_user() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &[]);
    let server = Held::new(&world, WORLD);
    let mut bash = Bash::start(&site, &["--reuid=65534", "--regid=65534", "--clear-groups"]);

    bash.ask(server.address, LISTED);

    let alert = flow_alert(&mut up, "a listed host", server.address, |_| true);
    let process = &alert["flow"]["process"];
    assert_eq!(process["pid"], bash.pid(), "{alert}");
    assert_eq!(process["exe"], exe(bash.pid()), "{alert}");
    assert_eq!((&process["uid"], &process["user"]), (&65_534.into(), &"nobody".into()), "{alert}");
    assert_eq!(alert["flow"]["name"], LISTED);
    let (code, shown, _) = site.cli(&["alert", "show", alert["id"].as_str().unwrap()]);
    // By its command line, or by its program where that could not be read in time.
    let (pid, line) = (format!("{} ", bash.pid()), one_line(&shown));
    let process = line.split("Process: ").nth(1).and_then(|rest| rest.strip_prefix(&pid));
    let is_named = |name: &str| {
        ["bash".to_owned(), exe(bash.pid())].iter().any(|n| name.starts_with(&format!("{n} (nobody)")))
    };
    assert!(code == 0 && process.is_some_and(is_named), "{shown}");
}

#[test]
fn the_process_that_was_called_is_in_the_alert_about_what_came_in() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &[]);
    let server = Held::new(site.network.as_ref().unwrap(), HOST);
    let address = server.address;
    let body = web_shell("incoming");

    let caller = world.run(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("POST /up.php HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        // The end of the connection, once the server has let go.
        stream.read(&mut [0; 1]).unwrap_or_default();
    });

    let alert = flow_alert(&mut up, "a web shell that came in", address, |_| true);
    let process = &alert["flow"]["process"];
    assert_eq!(process["pid"], std::process::id(), "the server is a thread of this test: {alert}");
    assert_eq!(process["exe"], exe(std::process::id()));
    drop(server);
    caller.join().unwrap();
}

#[test]
fn a_process_that_wrote_a_web_shell_and_then_connected_out_is_one_story_in_both_languages() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &[]);
    let server = Held::new(&world, WORLD);
    let mut bash = Bash::start(&site, &[]);
    let path = site.web.join("cua-sau.php");

    bash.run(&format!("printf %s '{}' > '{}'", quoted(&web_shell("story")), path.display()));
    let wrote = up.alert("the web shell and who wrote it", |a| is_written(a, &path));
    assert_eq!(wrote["process"]["pid"], bash.pid(), "{wrote}");
    bash.ask(server.address, LISTED);

    let alert = flow_alert(&mut up, "the call home", server.address, |_| true);
    let (bash, server) = (format!("bash({})", bash.pid()), server.address);
    let shows = [
        ("en", format!("{bash} wrote {}, then connected to {server} ({LISTED})", path.display())),
        ("vi", format!("{bash} ghi {}, rồi kết nối tới {server} ({LISTED})", path.display())),
    ];
    is_shown(&site, &alert, shows);
}

#[test]
fn a_process_that_had_connected_out_before_it_wrote_a_web_shell_is_told_so_though_no_list_knows_the_server() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &[]);
    let server = Held::new(&world, WORLD);
    let mut bash = Bash::start(&site, &[]);
    let (pid, address) = (bash.pid(), server.address);
    let told = [
        ("en", format!("bash({pid}) connected to {address}, then wrote ")),
        ("vi", format!("bash({pid}) kết nối tới {address}, rồi ghi ")),
    ];

    // It says nothing, so there is no name that could be known by then or not.
    bash.connect(server.address);
    // Whose connection it is takes the agent a moment: until then files are told without it.
    let begun = Instant::now();
    let alert = (0..).find_map(|n| {
        let path = site.web.join(format!("tai-ve-{n}.php"));
        let shell = quoted(&web_shell(&format!("number {n}")));
        bash.run(&format!("printf %s '{shell}' > '{}'", path.display()));
        let alert = up.alert("a file and who wrote it", |a| is_written(a, &path));
        let (is_told, shown) = shows(&site, &alert, &told[0]);
        assert!(is_told || begun.elapsed() < PATIENCE, "{shown}");
        is_told.then_some(alert)
    });
    is_shown(&site, &alert.unwrap(), told);
}

/// Tells whether an alert is about a file and names who wrote it. The first walk over all files, which does not know that, may come
/// upon it a moment before.
fn is_written(alert: &Value, path: &Path) -> bool {
    is_at(alert, path) && !alert["process"].is_null()
}

/// Asserts that an alert's page has these words, each in its language.
fn is_shown(site: &Site, alert: &Value, told: [(&str, String); 2]) {
    for told in told {
        let (is_told, shown) = shows(site, alert, &told);
        assert!(is_told, "{}\nis not in\n{shown}", told.1);
    }
}

/// Tells whether an alert's page has these words, and returns it.
fn shows(site: &Site, alert: &Value, (lang, told): &(&str, String)) -> (bool, String) {
    let (code, shown, err) = site.cli(&["--lang", lang, "alert", "show", id(alert)]);
    (code == 0 && one_line(&shown).contains(told), shown + &err)
}

pub(crate) fn id(alert: &Value) -> &str {
    alert["id"].as_str().unwrap()
}

/// Puts a text between single quotes of a shell.
fn quoted(text: &str) -> String {
    text.trim_end().replace('\'', r"'\''")
}

/// Undoes the breaking of long values.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
