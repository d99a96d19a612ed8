//! The kernel's filter of a ring: what of each packet is worth copying at all. Classic BPF, put together here.
//!
//! Of the agent's own packets and of trusted ones only the first bytes come up, so that each is still counted, with its
//! length, for next to nothing. What is too short for its own headers is dropped. Pure: makes a program, the ring attaches it.
//!
//! ```text
//! ethernet:  type? ─ 0800 ─► v4 at 14      raw IP:  first half byte? ─ 4 ─► v4 at 0
//!                  ─ 86dd ─► v6 at 14                               ─ 6 ─► v6 at 0
//!                  ─ tag  ─► type? ─ 0800 ─► v4 at 18 …
//! v4, v6:    one test after the other: fits? ─► return how much of it to copy
//! ```

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use khien_traffic::decode::Link;

/// How many bytes come up of a packet of the agent's own. Fewer than any TCP packet has, so that it is known again.
pub(super) const OWN: u32 = 20;
/// How many bytes come up of a trusted packet. Fewer than any TCP or UDP packet has.
pub(super) const TRUSTED: u32 = 24;
/// More than any packet has, BIG TCP among them.
const WHOLE: u32 = 0xffff_ffff;
/// The most ends and networks: each takes up to 36 instructions in each of three places, and the kernel takes 4096.
pub(super) const MAX_TESTS: usize = 32;

const ETHERNET: u32 = 14;
const TAG: u32 = 4;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TAGS: [u32; 2] = [0x8100, 0x88a8];
const TCP: u32 = 6;
const UDP: u32 = 17;
/// The offset of a fragment; only the first one has ports.
const FRAGMENT: u32 = 0x1fff;

// <linux/bpf_common.h>: class, size, mode, operation in one code.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const X_IS_HEADER: u16 = 0xb1;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// One instruction, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    /// What to do.
    pub(super) code: u16,
    /// How many instructions to skip if the test holds.
    pub(super) yes: u8,
    /// How many if not.
    pub(super) no: u8,
    /// The operand.
    pub(super) k: u32,
}

/// A network, and a port of it, whose traffic is not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trusted {
    network: IpAddr,
    bits: u32,
    port: Option<u16>,
}

/// What is not to be looked into.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut {
    /// The hub's ends: TCP to and from them is the agent's own.
    pub(super) own: Vec<SocketAddr>,
    /// Networks that somebody chose to trust.
    pub(super) trusted: Vec<Trusted>,
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy)]
enum End {
    Source,
    Destination,
}

/// One thing to look for in a packet.
#[derive(Debug, Clone, Copy)]
struct Test {
    network: IpAddr,
    bits: u32,
    port: Option<u16>,
    /// How much of a packet comes up that fits.
    keep: u32,
}

impl Cut {
    /// Returns the program for frames that begin with an Ethernet header or else with that of IP; empty if all of every packet is wanted.
    pub(super) fn program(&self, link: Link) -> Vec<Instruction> {
        let tests = self.tests();
        if tests.is_empty() {
            return Vec::new();
        }
        let (v4, v6): (Vec<_>, Vec<_>) = tests.into_iter().partition(|t| t.network.is_ipv4());
        let mut out = Vec::new();
        if link == Link::Ethernet {
            typed(&mut out, ETHERNET - 2, ETHERNET, (&v4, &v6));
            for kind in TAGS {
                let mut inner = vec![];
                typed(&mut inner, ETHERNET - 2 + TAG, ETHERNET + TAG, (&v4, &v6));
                inner.push(give(WHOLE));
                out.push(at(LOAD_HALF, ETHERNET - 2));
                branch(&mut out, kind, inner);
            }
        } else {
            for (version, body) in [(0x40, ip(0, &v4)), (0x60, ip(0, &v6))] {
                out.extend([at(LOAD_BYTE, 0), at(AND, 0xf0)]);
                branch(&mut out, version, body);
            }
        }
        out.push(give(WHOLE));
        out
    }

    fn tests(&self) -> Vec<Test> {
        let own = self.own.iter().map(|end| {
            let network = end.ip().to_canonical();
            Test { network, bits: width(network), port: Some(end.port()), keep: OWN }
        });
        let trusted = self.trusted.iter().map(|t| {
            let Trusted { network, bits, port } = *t;
            Test { network, bits, port, keep: TRUSTED }
        });
        own.chain(trusted).take(MAX_TESTS).collect()
    }
}

impl FromStr for Trusted {
    type Err = NoTrusted;

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `192.0.2.7:443`, `2001:db8::/32`, `[2001:db8::7]:443`.
    fn from_str(text: &str) -> Result<Self, NoTrusted> {
        let wrong = || NoTrusted(text.to_owned());
        if let Ok(end) = text.parse::<SocketAddr>() {
            return Ok(Self { network: end.ip(), bits: width(end.ip()), port: Some(end.port()) });
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let network: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = bits.map_or(Ok(width(network)), |b| b.parse().map_err(|_| wrong()))?;
        // A network of no bits is everybody: that is no trust but no sensor.
        if bits == 0 || bits > width(network) {
            return Err(wrong());
        }
        Ok(Self { network, bits, port: None })
    }
}

/// What is no network that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address, network (192.0.2.0/24) or end (192.0.2.7:443)")]
pub(crate) struct NoTrusted(String);

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.network, port).fmt(f),
            None => write!(f, "{}/{}", self.network, self.bits),
        }
    }
}

/// Looks at the type that stands at `kind` and goes on with the packet at `base`; falls through if it is another one.
fn typed(out: &mut Vec<Instruction>, kind: u32, base: u32, (v4, v6): (&[Test], &[Test])) {
    for (value, body) in [(IPV4, ip(base, v4)), (IPV6, ip(base, v6))] {
        out.push(at(LOAD_HALF, kind));
        branch(out, value, body);
    }
}

/// Goes into `body`, which always returns, if the accumulator is `value`.
fn branch(out: &mut Vec<Instruction>, value: u32, body: Vec<Instruction>) {
    // The jump over the body may be longer than a test can jump.
    out.push(Instruction { code: IF_EQUAL, yes: 1, no: 0, k: value });
    out.push(at(JUMP, u32::try_from(body.len()).unwrap_or(0)));
    out.extend(body);
}

/// Looks at an IP packet of one version; always returns.
fn ip(base: u32, tests: &[Test]) -> Vec<Instruction> {
    let mut out = Vec::new();
    let Some(is_v6) = tests.first().map(|t| t.network.is_ipv6()) else { return vec![give(WHOLE)] };
    if !is_v6 {
        out.extend([
            at(LOAD_HALF, base + 6),
            Instruction { code: IF_ANY_SET, yes: 0, no: 1, k: FRAGMENT },
            give(WHOLE),
        ]);
    }
    for test in tests {
        for end in [End::Source, End::Destination] {
            out.extend(one(base, is_v6, test, end));
        }
    }
    out.push(give(WHOLE));
    out
}

/// Looks whether one end of a packet fits; falls through if not.
fn one(base: u32, is_v6: bool, test: &Test, end: End) -> Vec<Instruction> {
    let words = match test.network {
        IpAddr::V4(a) => vec![u32::from(a)],
        IpAddr::V6(a) => a.octets().chunks(4).map(word).collect(),
    };
    let (first, side) = match (is_v6, end) {
        (false, End::Source) => (12, 0),
        (false, End::Destination) => (16, 2),
        (true, End::Source) => (8, 0),
        (true, End::Destination) => (24, 2),
    };
    let mut steps = Vec::new();
    for (place, value) in (0u32..).zip(words) {
        let mask = mask(test.bits.saturating_sub(place * 32).min(32));
        if mask != 0 {
            steps.push((vec![at(LOAD_WORD, base + first + place * 4), at(AND, mask)], value & mask));
        }
    }
    if let Some(port) = test.port {
        let load = match is_v6 {
            false => vec![at(X_IS_HEADER, base), at(LOAD_HALF_AT_X, base + side)],
            true => vec![at(LOAD_HALF, base + 40 + side)],
        };
        steps.push((load, port.into()));
    }
    let protocol = at(LOAD_BYTE, base + if is_v6 { 6 } else { 9 });
    linked(steps, protocol, if test.keep == OWN { [TCP, TCP] } else { [TCP, UDP] }, test.keep)
}

/// Makes tests in a row into instructions: all must hold, then the protocol must be one of two.
fn linked(
    tests: Vec<(Vec<Instruction>, u32)>,
    protocol: Instruction,
    one_of: [u32; 2],
    keep: u32,
) -> Vec<Instruction> {
    let mut out = vec![
        protocol,
        Instruction { code: IF_EQUAL, yes: 1, no: 0, k: one_of[0] },
        Instruction { code: IF_EQUAL, yes: 0, no: 1, k: one_of[1] },
        give(keep),
    ];
    for (load, value) in tests.into_iter().rev() {
        // At most 18 instructions in a row, so a short jump reaches the end.
        let over = u8::try_from(out.len()).unwrap_or(0);
        let mut step = load;
        step.push(Instruction { code: IF_EQUAL, yes: 0, no: over, k: value });
        step.extend(out);
        out = step;
    }
    out
}

fn at(code: u16, k: u32) -> Instruction {
    Instruction { code, yes: 0, no: 0, k }
}

fn give(bytes: u32) -> Instruction {
    at(RETURN, bytes)
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests;
