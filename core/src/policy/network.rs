//! What is home, who may speak to whom, and from where on traffic looks like an attack.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{GroupName, Within};
use crate::net::{Cidr, Service};
pub use place::{NoPlace, Place};
pub use records::Records;
pub use resolvers::PUBLIC_RESOLVERS;
pub use sight::{Evasion, Loss};

mod place;
mod records;
mod resolvers;
mod sight;

/// The most networks of one list: what a person can name and keep apart.
pub const MAX_NETWORKS: usize = 256;
/// The most zones.
pub const MAX_ZONES: usize = 64;
/// The most peers of one zone, or exceptions of one detector.
pub const MAX_PEERS: usize = 256;
/// The most places that are known to be called often.
pub const MAX_KNOWN: usize = 1_024;

/// What belongs to whom on the wire, and what each detector takes for an attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The networks that are the agencies' own; everything else is outside.
    #[serde(deserialize_with = "few_networks")]
    pub home: Vec<Cidr>,
    /// Hosts whose work is to scan and to try log-ins: vulnerability scanners, monitoring. Scans and brute force of theirs are
    /// no findings.
    #[serde(deserialize_with = "few_networks")]
    pub trusted: Vec<Cidr>,
    /// Places outside that hosts call at regular times, or to which they send much: updates, antivirus, backups.
    #[serde(deserialize_with = "few_known")]
    pub known: Vec<Place>,
    /// Resolvers outside whose answers are believed about where known names are, as are those of home. Nothing else that
    /// goes there is known by that.
    #[serde(deserialize_with = "few_networks")]
    pub resolvers: Vec<Cidr>,
    /// Named parts of home.
    #[serde(deserialize_with = "zones")]
    pub zones: Vec<Zone>,
    /// How long the same finding about the same hosts is not repeated, in minutes. An hour: a finding that goes on shows that
    /// it does, and a scan of days is dozens of findings and not thousands.
    pub hold_minutes: Within<1, 1_440, 60>,
    /// After how many seconds without an answer it is clear that nobody answers who opens a TCP connection. A minute: a client
    /// that nobody answers tries again after 1, 3, 7, 15 and 31 seconds, and that is one connection.
    pub unanswered_seconds: Within<2, 300, 60>,
    /// One client, many servers, one port.
    pub horizontal_scan: HorizontalScan,
    /// One client, one server, many ports.
    pub vertical_scan: VerticalScan,
    /// Many log-ins that lead to nothing.
    pub brute_force: BruteForce,
    /// Calls at regular times.
    pub beacon: Beacon,
    /// Much sent to one server outside.
    pub exfiltration: Exfiltration,
    /// Data in the names that are asked for.
    pub dns_tunnel: DnsTunnel,
    /// A server that speaks to somebody outside for the first time.
    pub first_seen: FirstSeen,
    /// File shares and remote desktops across zones.
    pub east_west: EastWest,
    /// Packets that are sent past a sensor.
    pub evasion: Evasion,
    /// What a sensor did not see.
    pub loss: Loss,
    /// What is kept of what was noted.
    pub records: Records,
}

/// A named part of home: a VLAN of cameras, an agency, the servers of a portal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: GroupName,
    /// What belongs to it.
    #[serde(deserialize_with = "few_networks")]
    pub networks: Vec<Cidr>,
    /// To whom alone its hosts may open conversations; to nobody, if it is empty, and to anybody if it is not there.
    #[serde(default, deserialize_with = "some_peers", skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Peer>>,
    /// Whether it is told when one of its hosts speaks to somebody outside for the first time. For servers, whose peers are few.
    #[serde(default)]
    pub first_seen: bool,
}

impl Zone {
    /// Tells whether an address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|n| n.contains(address))
    }
}

/// Somebody to whom one may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Where.
    pub to: Cidr,
    /// What; anything if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

/// An exception between two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// From where.
    pub from: Cidr,
    /// To where.
    pub to: Cidr,
    /// What; anything if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

/// One client tries one port of many servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HorizontalScan {
    /// Whether it is looked for.
    pub on: bool,
    /// Servers. An administrator's tool reaches a dozen hosts in a minute; worms and scanners reach hundreds.
    pub servers: Within<5, 1_000, 30>,
    /// Within so many seconds.
    pub seconds: Within<5, 3_600, 60>,
    /// The share that gave no answer, in percent. Who knows his servers is answered by nearly all, who guesses by few.
    pub unanswered_percent: Within<1, 100, 60>,
    /// Whether scans by hosts outside are told too. They never cease, and there is nothing to do about them.
    pub from_outside: bool,
}

/// One client tries many ports of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerticalScan {
    /// Whether it is looked for.
    pub on: bool,
    /// Ports. The smallest scans in use try a hundred; nobody has business with 30 ports that mostly are closed.
    pub ports: Within<5, 1_000, 30>,
    /// Within so many seconds.
    pub seconds: Within<5, 3_600, 60>,
    /// The share that gave no answer, in percent.
    pub unanswered_percent: Within<1, 100, 60>,
    /// Whether scans by hosts outside are told too.
    pub from_outside: bool,
}

/// One client begins many short conversations with one service that asks for a password, or is turned away by one URL again and
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BruteForce {
    /// Whether it is looked for.
    pub on: bool,
    /// Attempts. A person gives up after ten; with three to six passwords each, 30 are a hundred guesses.
    pub attempts: Within<5, 10_000, 30>,
    /// Within so many seconds. Slower guessing than one in ten seconds is what locks of accounts are for.
    pub seconds: Within<10, 86_400, 300>,
}

/// A host calls the same place outside at regular times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beacon {
    /// Whether it is looked for.
    pub on: bool,
    /// Calls. With fewer than 20 intervals chance is regular too often.
    pub times: Within<8, 64, 20>,
    /// For at least so many seconds. Half an hour: what is regular for less is a page that reloads itself, or a person.
    pub seconds: Within<10, 86_400, 1_800>,
    /// How far intervals stray from the usual one, in percent of it (median absolute deviation). Implants stray by 0 to 50 percent
    /// at random, which is up to 17 here; people stray by more than 60.
    pub jitter_percent: Within<0, 100, 20>,
    /// The least score of 100, made of how regular the intervals, and how alike the sizes are.
    pub score: Within<1, 100, 75>,
}

/// A host sends much more than it usually does to one server outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exfiltration {
    /// Whether it is looked for.
    pub on: bool,
    /// Megabytes to one server in an hour, at least. Less than half a gigabyte is a letter with a film in it.
    pub megabytes: Within<1, 1_000_000, 512>,
    /// How many times what the host usually sends outside at that hour of the day.
    pub times_usual: Within<2, 100, 5>,
}

/// A host asks for many long names below one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsTunnel {
    /// Whether it is looked for.
    pub on: bool,
    /// Different names. A tunnel asks for this many in seconds when it carries, in minutes when it idles.
    pub names: Within<10, 10_000, 100>,
    /// Within so many seconds.
    pub seconds: Within<10, 3_600, 600>,
    /// Characters before the domain, on average. Look-ups of antivirus and block lists carry a digest, 26 to 40; tunnels fill
    /// what a name can hold.
    pub length: Within<16, 200, 52>,
}

/// A server speaks to somebody outside for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstSeen {
    /// Whether it is looked for, in the zones that ask for it.
    pub on: bool,
    /// Days in which the zone's peers are learnt and nothing is told. A week holds every weekly task.
    pub learn_days: Within<0, 90, 7>,
}

/// A file share or remote desktop is used from one zone to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EastWest {
    /// Whether it is looked for. It needs two zones or more.
    pub on: bool,
    /// Services that have no business between agencies: by these worms and intruders move on.
    #[serde(deserialize_with = "few_services")]
    pub services: Vec<Service>,
    /// Who may all the same.
    #[serde(deserialize_with = "few_passages")]
    pub allow: Vec<Passage>,
}

macro_rules! on_as_usual {
    ($($name:ident { $($field:ident),+ }),+ $(,)?) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self { on: true, $($field: Default::default()),+ }
            }
        }
    )+};
}
on_as_usual!(
    HorizontalScan { servers, seconds, unanswered_percent, from_outside },
    VerticalScan { ports, seconds, unanswered_percent, from_outside },
    BruteForce { attempts, seconds },
    Beacon { times, seconds, jitter_percent, score },
    Exfiltration { megabytes, times_usual },
    DnsTunnel { names, seconds, length },
    FirstSeen { learn_days },
);

/// SMB, SMB over NetBIOS, RDP, RPC of Windows, WinRM: how worms and intruders go from host to host.
const LATERAL: [u16; 6] = [445, 139, 3389, 135, 5985, 5986];
/// RFC 1918, 6598, 4193, and the link itself.
const USUAL_HOME: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

impl Default for EastWest {
    fn default() -> Self {
        let service = |port| Service { port, transport: crate::event::Transport::Tcp };
        Self { on: true, services: LATERAL.map(service).to_vec(), allow: Vec::new() }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            home: networks(&USUAL_HOME),
            trusted: Vec::new(),
            known: Vec::new(),
            resolvers: networks(&PUBLIC_RESOLVERS),
            zones: Vec::new(),
            hold_minutes: Within::default(),
            unanswered_seconds: Within::default(),
            horizontal_scan: HorizontalScan::default(),
            vertical_scan: VerticalScan::default(),
            brute_force: BruteForce::default(),
            beacon: Beacon::default(),
            exfiltration: Exfiltration::default(),
            dns_tunnel: DnsTunnel::default(),
            first_seen: FirstSeen::default(),
            east_west: EastWest::default(),
            evasion: Evasion::default(),
            loss: Loss::default(),
            records: Records::default(),
        }
    }
}

fn networks(all: &[&str]) -> Vec<Cidr> {
    all.iter().filter_map(|network| network.parse().ok()).collect()
}

impl Network {
    /// Tells whether an address is the agencies' own. What no host has alone, such as a multicast address, never leaves and counts
    /// as home.
    #[must_use]
    pub fn is_home(&self, address: IpAddr) -> bool {
        is_shared(address)
            || self.home.iter().any(|n| n.contains(address))
            || self.zones.iter().any(|z| z.contains(address))
    }

    /// Tells whether a host may scan and try log-ins.
    #[must_use]
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|n| n.contains(address))
    }

    /// Tells whether a place outside is known to be called often, by its address or its name.
    #[must_use]
    pub fn is_known(&self, address: IpAddr, name: Option<&[u8]>) -> bool {
        let is_there = |place: &Place| matches!(place, Place::Network(network) if network.contains(address));
        self.known.iter().any(is_there) || name.is_some_and(|name| self.is_known_name(name))
    }

    /// Tells whether a name is known to be asked for often.
    #[must_use]
    pub fn is_known_name(&self, name: &[u8]) -> bool {
        let is_it = |place: &Place| matches!(place, Place::Name(known) if is_below(known.as_bytes(), name));
        self.known.iter().any(is_it)
    }

    /// Tells whether it is believed what a resolver says of where known names are.
    #[must_use]
    pub fn is_resolver(&self, address: IpAddr) -> bool {
        self.is_home(address)
            || self.is_trusted(address)
            || self.is_known(address, None)
            || self.resolvers.iter().any(|n| n.contains(address))
    }

    /// Returns the first zone to which an address belongs.
    #[must_use]
    pub fn zone_of(&self, address: IpAddr) -> Option<&Zone> {
        self.zones.iter().find(|z| z.contains(address))
    }
}

/// Tells whether an address is no single host's: multicast, broadcast, or none at all.
#[must_use]
pub fn is_shared(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
    }
}

/// Tells whether a name is a known one or below it.
fn is_below(known: &[u8], name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let Some(at) = name.len().checked_sub(known.len()) else { return false };
    name[at..].eq_ignore_ascii_case(known) && (at == 0 || name[at - 1] == b'.')
}

fn few_networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cidr>, D::Error> {
    few(Vec::deserialize(from)?, MAX_NETWORKS, "networks")
}

fn few_known<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Place>, D::Error> {
    few(Vec::deserialize(from)?, MAX_KNOWN, "known places")
}

fn some_peers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Peer>>, D::Error> {
    few(Vec::deserialize(from)?, MAX_PEERS, "peers").map(Some)
}

fn few_services<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Service>, D::Error> {
    few(Vec::deserialize(from)?, MAX_PEERS, "services")
}

fn few_passages<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Passage>, D::Error> {
    few(Vec::deserialize(from)?, MAX_PEERS, "exceptions")
}

fn few<T, E: de::Error>(list: Vec<T>, most: usize, of: &str) -> Result<Vec<T>, E> {
    match list.len() <= most {
        true => Ok(list),
        false => Err(E::custom(format!("at most {most} {of} are allowed in one list"))),
    }
}

/// Reads zones, each name once, as many as there may be.
fn zones<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Zone>, D::Error> {
    let zones: Vec<Zone> = few(Vec::deserialize(from)?, MAX_ZONES, "zones")?;
    let twice = zones.iter().enumerate().find(|(i, z)| zones[..*i].iter().any(|other| other.name == z.name));
    match twice {
        Some((_, zone)) => Err(de::Error::custom(format!("the zone `{}` is there twice", zone.name))),
        None => Ok(zones),
    }
}

#[cfg(test)]
mod tests;
