//! Whose address it is: this host's own, or that of a container in a network namespace of its own. Of each such namespace
//! one process stands for it, and its tables are read through that process.
//!
//! A socket that takes any address would fit flows of other hosts that pass by. So it is asked first whether the address
//! is one of the namespace at all.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs::{self, File},
    io::Read,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Socket, diag::Found, table::Table};

/// More namespaces are not looked into: each has tables to read.
const MOST: usize = 64;
/// How long the list of namespaces and all addresses are good.
const LIST_FOR: Duration = Duration::from_secs(5);
/// How long a table is good. What is younger is found when it is asked for the second time again.
const TABLE_FOR: Duration = Duration::from_millis(200);
/// And so many times as long as it took to read it: the kernel goes through the sockets of all namespaces for each.
const REST: u32 = 10;
/// More of a list of addresses is not read: a container has few.
const MAX_LIST: u64 = 1 << 20;

/// Our own addresses.
#[derive(Debug, Default)]
pub(super) struct Own {
    read: Option<Instant>,
    addresses: HashSet<IpAddr>,
}

impl Own {
    /// Tells whether an address is one of this host's own.
    pub(super) fn has(&mut self, address: IpAddr) -> bool {
        if self.read.is_none_or(|at| at.elapsed() > LIST_FOR) {
            self.read = Some(Instant::now());
            let all = pnet::datalink::interfaces().into_iter().flat_map(|interface| interface.ips);
            self.addresses = all.map(|network| network.ip()).collect();
        }
        address.is_loopback() || self.addresses.contains(&address)
    }
}

/// Other namespaces than our own.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    listed: Option<Instant>,
    all: Vec<Space>,
}

#[derive(Debug)]
struct Space {
    net: PathBuf,
    addresses: HashSet<IpAddr>,
    table: Table,
    /// Until when the table is good; none if it was not read yet.
    fresh_until: Option<Instant>,
}

impl Spaces {
    /// Looks for a socket in those that have its address.
    pub(super) fn find(&mut self, wanted: &Socket) -> Option<Found> {
        self.list();
        let mut theirs = self.all.iter_mut().filter(|space| space.addresses.contains(&wanted.local.ip()));
        theirs.find_map(|space| space.find(wanted))
    }

    /// Tells whether one of them has an address.
    pub(super) fn has(&mut self, address: IpAddr) -> bool {
        self.list();
        self.all.iter().any(|space| space.addresses.contains(&address))
    }

    fn list(&mut self) {
        if self.listed.is_some_and(|at| at.elapsed() <= LIST_FOR) {
            return;
        }
        self.listed = Some(Instant::now());
        let nets = stand_ins().into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}/net")));
        self.all = nets.map(Space::new).collect();
    }
}

impl Space {
    fn new(net: PathBuf) -> Self {
        Self { addresses: addresses(&net), net, table: Table::default(), fresh_until: None }
    }

    fn find(&mut self, wanted: &Socket) -> Option<Found> {
        let began = Instant::now();
        if self.fresh_until.is_none_or(|until| until < began) {
            self.table = Table::read(&self.net);
            self.fresh_until = Some(Instant::now() + TABLE_FOR.max(began.elapsed() * REST));
        }
        self.table.find(wanted)
    }
}

/// Returns one process of each namespace but our own.
fn stand_ins() -> Vec<u32> {
    let own = space("self");
    let mut found: HashMap<OsString, u32> = HashMap::new();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    for pid in names.filter_map(|name| name.to_str()?.parse::<u32>().ok()) {
        let Some(space) = space(&pid.to_string()).filter(|space| Some(space) != own.as_ref()) else {
            continue;
        };
        if found.len() < MOST || found.contains_key(&space) {
            found.entry(space).or_insert(pid);
        }
    }
    found.into_values().collect()
}

fn space(pid: &str) -> Option<OsString> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok().map(PathBuf::into_os_string)
}

/// Reads the addresses of a namespace. Those of its loopback are not told: every namespace has the same.
fn addresses(net: &Path) -> HashSet<IpAddr> {
    let (routes, interfaces) = (text(&net.join("fib_trie")), text(&net.join("if_inet6")));
    let of_ipv4 = of_routes(&routes).into_iter();
    of_ipv4.chain(of_interfaces(&interfaces)).filter(|address| !address.is_loopback()).collect()
}

fn text(file: &Path) -> String {
    let mut text = String::new();
    let read = File::open(file).map(|file| file.take(MAX_LIST).read_to_string(&mut text));
    if matches!(read, Ok(Ok(_))) { text } else { String::new() }
}

/// Reads `fib_trie`: a line `|-- 10.88.0.2`, then one for each route, `/32 host LOCAL` for an own address.
fn of_routes(text: &str) -> Vec<IpAddr> {
    let (mut last, mut found): (Option<IpAddr>, Vec<IpAddr>) = (None, Vec::new());
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("|-- ") {
            Some(address) => last = address.parse().ok(),
            None if line == "/32 host LOCAL" => found.extend(last),
            None => {}
        }
    }
    found
}

/// Reads `if_inet6`: 32 hex digits and more words on each line.
fn of_interfaces(text: &str) -> impl Iterator<Item = IpAddr> {
    let address = |line: &str| u128::from_str_radix(line.get(..32)?, 16).ok();
    text.lines().filter_map(address).map(|bits| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.88.0.0
        /16 link UNICAST
     |-- 10.88.0.2
        /32 host LOCAL
     |-- 10.88.255.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
";
    const INTERFACES: &str = "00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
";

    #[test]
    fn the_addresses_of_a_container_are_read_but_for_its_loopback() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("fib_trie"), ROUTES).unwrap();
        fs::write(dir.path().join("if_inet6"), INTERFACES).unwrap();

        let found = addresses(dir.path());

        assert_eq!(found, ["10.88.0.2", "2001:db8::7"].map(|a| a.parse().unwrap()).into());
    }

    #[test]
    fn only_the_namespace_that_has_the_address_is_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let space = |address: &str| Space {
            addresses: [address.parse().unwrap()].into(),
            ..Space::new(dir.path().to_owned())
        };
        let all = vec![space("10.88.0.2"), space("10.88.0.3")];
        let mut spaces = Spaces { listed: Some(Instant::now()), all };
        let [local, remote] = ["10.88.0.3:5000", "192.0.2.1:53"].map(|end| end.parse().unwrap());

        spaces.find(&Socket { is_tcp: false, local, remote });

        let read = spaces.all.iter().map(|space| space.fresh_until.is_some()).collect::<Vec<_>>();
        assert_eq!(read, [false, true]);
    }

    #[test]
    fn no_address_of_another_host_is_our_own() {
        let mut own = Own::default();

        assert!(own.has("127.0.0.1".parse().unwrap()) && own.has("::1".parse().unwrap()));
        assert!(!own.has("198.51.100.2".parse().unwrap()));
    }
}
