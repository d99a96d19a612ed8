//! Where detectors are fired: the networks of both ends, in both versions of the Internet protocol, and what answers there.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{
    harness::Site,
    place::{Namespace, cannot_run},
    traffic::cabled,
};

/// Where everything is, in one version of the Internet protocol.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// The watched server's address on the cable.
    pub(crate) server: &'static str,
    /// The client's.
    pub(crate) client: &'static str,
    /// How the addresses of a network behind the server begin that is home.
    pub(crate) inside: &'static str,
    /// How those of one begin that is not.
    pub(crate) outside: &'static str,
    /// How those begin that nobody has.
    pub(crate) nobody: &'static str,
    /// How those of two more zones begin: that of cameras, and that of a portal.
    pub(crate) zones: [&'static str; 2],
    /// How long the part of an address is that names one of these networks, and what an address ends with that names all of one.
    pub(crate) length: u8,
    pub(crate) any: &'static str,
}

pub(crate) const FAMILIES: [Family; 2] = [
    Family {
        server: "10.77.0.1",
        client: "10.77.0.2",
        inside: "10.78.0.",
        outside: "203.0.113.",
        nobody: "10.79.0.",
        zones: ["10.77.2.", "10.77.3."],
        length: 24,
        any: "0",
    },
    Family {
        server: "fd77::1",
        client: "fd77::2",
        inside: "fd78::",
        outside: "2001:db8:113::",
        nobody: "fd79::",
        zones: ["fd77:2::", "fd77:3::"],
        length: 64,
        any: "",
    },
];

impl Family {
    /// Names a network whose addresses begin like this.
    pub(crate) fn network(&self, begin: &str) -> String {
        format!("{begin}{}/{}", self.any, self.length)
    }

    /// Names one address for itself.
    pub(crate) fn only(&self, address: &str) -> String {
        format!("{address}/{}", if self.any.is_empty() { 128 } else { 32 })
    }

    pub(crate) fn inside(&self, host: u16) -> String {
        format!("{}{host}", self.inside)
    }

    pub(crate) fn outside(&self, host: u16) -> String {
        format!("{}{host}", self.outside)
    }

    pub(crate) fn nobody(&self, host: u16) -> String {
        format!("{}{host}", self.nobody)
    }

    /// The client's address in the zone of cameras, and the server's.
    pub(crate) fn camera(&self) -> (String, String) {
        (format!("{}2", self.zones[0]), format!("{}1", self.zones[0]))
    }

    /// The client's address in the zone of the portal.
    pub(crate) fn portal(&self) -> String {
        format!("{}2", self.zones[1])
    }
}

/// Writes an address and what follows it as alerts and URLs do.
pub(crate) fn at(address: &str, then: &str) -> String {
    if address.contains(':') { format!("[{address}]{then}") } else { format!("{address}{then}") }
}

/// Writes URLs of some servers.
pub(crate) fn urls(hosts: impl Iterator<Item = String>, then: &str) -> Vec<String> {
    hosts.map(|host| format!("http://{}", at(&host, then))).collect()
}

/// The watched server's site and the client's network, if these programs are here. The server has further networks behind it,
/// one of them outside and one in which nothing is, and the client has hosts of two more zones.
pub(crate) fn networks(programs: &[&str]) -> Option<(Site, Namespace)> {
    for name in programs {
        if Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap().stdout.is_empty()
        {
            cannot_run(&format!("{name} is not installed"));
            return None;
        }
    }
    let (site, client) = cabled()?;
    let server = site.network.as_ref().unwrap();
    for family in FAMILIES {
        // Over IPv6 the newest address would be taken by who names none.
        let further: &[&str] = if family.any.is_empty() { &["nodad", "preferred_lft", "0"] } else { &[] };
        let address = |network: &Namespace, address: String, name: &str| {
            network.ip(&[&["addr", "add", &address, "dev", name], further].concat());
        };
        for zone in family.zones {
            address(server, format!("{zone}1/{}", family.length), "kh0");
            address(&client, format!("{zone}2/{}", family.length), "kh1");
        }
        for network in [family.inside, family.outside] {
            server.ip(&["route", "add", "local", &family.network(network), "dev", "lo"]);
        }
        // What goes there is dropped without a word.
        server.ip(&["route", "add", "blackhole", &family.network(family.nobody)]);
        for network in [family.inside, family.outside, family.nobody] {
            client.ip(&["route", "add", &family.network(network), "via", family.server]);
        }
    }
    Some((site, client))
}

/// Writes networks as a policy does.
pub(crate) fn listed(networks: impl Iterator<Item = String>) -> String {
    networks.map(|network| format!("\"{network}\"")).collect::<Vec<_>>().join(", ")
}

/// Listens at each address of the site's side, of both versions.
pub(crate) fn listen(site: &Site, port: u16) -> TcpListener {
    let network = site.network.as_ref().unwrap();
    network.run(move || TcpListener::bind(("::", port)).unwrap()).join().unwrap()
}

/// Serves pages on the site's side, at each of its addresses; those of administrators ask for a password.
pub(crate) fn web(site: &Site, port: u16) {
    let listener = listen(site, port);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that went away is its own affair.
            answer(stream.unwrap()).ok();
        }
    });
}

pub(crate) fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    while from.read_line(&mut head)? > 2 {
        let line = head.lines().last().unwrap_or_default().to_lowercase();
        length = line.strip_prefix("content-length: ").map_or(length, |n| n.trim().parse().unwrap());
    }
    std::io::copy(&mut from.take(length), &mut std::io::sink())?;
    let status = if head.starts_with("GET /quan-tri") { "401 Unauthorized" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}
