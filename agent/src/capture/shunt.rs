//! Of flows that are encrypted, and large, only headers are taken: nothing can be found in the rest.
//!
//! Who looks marks a flow when its handshake is over; the capture threads count its bytes from then on and copy no
//! payload once there are many. A mark is a slot of a fixed table, by a hash with a key of this process, so that nobody
//! outside can have another flow marked. A SYN takes the mark away: the same ends may begin a conversation that is open.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use khien_traffic::decode::Link;

/// How many flows can be marked; a later one takes the place of an earlier one.
const SLOTS: usize = 1 << 14;
/// So many bytes of a marked flow are taken as they are: the records of a handshake that was cut short are among them.
const AFTER: u64 = 1 << 20;
/// Smaller frames are cheaper to take than to look at.
const WORTH: usize = 256;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;

/// The marks that all threads share.
#[derive(Debug)]
pub(super) struct Marks {
    key: RandomState,
    slots: Box<[AtomicU64]>,
    is_used: AtomicBool,
}

/// What one capture thread counts of marked flows.
#[derive(Debug)]
pub(super) struct Shunt {
    marks: Arc<Marks>,
    /// By slot: which flow, how many bytes since it was marked.
    counted: Vec<(u64, u64)>,
}

/// What the first headers of a frame say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Headers {
    ends: [SocketAddr; 2],
    protocol: u8,
    begins: bool,
    /// Where the payload begins.
    length: usize,
}

impl Default for Marks {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { key: RandomState::new(), slots, is_used: AtomicBool::new(false) }
    }
}

impl Marks {
    /// Marks a flow: what follows is encrypted.
    pub(super) fn mark(&self, is_tcp: bool, client: SocketAddr, server: SocketAddr) {
        let tag = self.tag(if is_tcp { TCP } else { UDP }, [client, server]);
        self.slot(tag).store(tag, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Returns what stands for a flow, in either direction; never 0.
    fn tag(&self, protocol: u8, ends: [SocketAddr; 2]) -> u64 {
        let [a, b] = ends;
        self.key.hash_one((protocol, a.min(b), a.max(b))) | 1
    }

    fn slot(&self, tag: u64) -> &AtomicU64 {
        &self.slots[place(tag)]
    }
}

impl Shunt {
    /// Begins to count.
    pub(super) fn new(marks: Arc<Marks>) -> Self {
        Self { marks, counted: Vec::new() }
    }

    /// Returns how many bytes of a frame are to be taken.
    pub(super) fn keep(&mut self, link: Link, bytes: &[u8], length: u32) -> usize {
        let all = bytes.len();
        if !self.marks.is_used.load(Ordering::Relaxed) {
            return all;
        }
        let Some(headers) = headers(link, bytes) else { return all };
        if all < WORTH && !headers.begins {
            return all;
        }
        let tag = self.marks.tag(headers.protocol, headers.ends);
        let slot = self.marks.slot(tag);
        if slot.load(Ordering::Relaxed) != tag {
            return all;
        }
        if headers.begins {
            slot.store(0, Ordering::Relaxed);
            if let Some(counted) = self.counted.get_mut(place(tag)) {
                *counted = (0, 0);
            }
            return all;
        }
        if self.is_large(tag, length) { headers.length.min(all) } else { all }
    }

    fn is_large(&mut self, tag: u64, length: u32) -> bool {
        if self.counted.is_empty() {
            self.counted = vec![(0, 0); SLOTS];
        }
        let Some((whose, bytes)) = self.counted.get_mut(place(tag)) else { return false };
        if *whose != tag {
            (*whose, *bytes) = (tag, 0);
        }
        *bytes = bytes.saturating_add(length.into());
        *bytes > AFTER
    }
}

fn place(tag: u64) -> usize {
    (tag >> 32) as usize % SLOTS
}

/// Reads the headers of the plainest frames, those without tags, extensions and fragments. Of others all is taken.
fn headers(link: Link, bytes: &[u8]) -> Option<Headers> {
    let at = if link == Link::Ethernet { ETHERNET } else { 0 };
    let ip = bytes.get(at..)?;
    let (protocol, from, to, length): (u8, IpAddr, IpAddr, usize) = match ip.first()? >> 4 {
        4 => {
            let head: &[u8; 20] = ip.first_chunk()?;
            if head[6] & 0x3f != 0 || head[7] != 0 {
                return None;
            }
            let address =
                |at: usize| -> IpAddr { [head[at], head[at + 1], head[at + 2], head[at + 3]].into() };
            (head[9], address(12), address(16), usize::from(head[0] & 0xf) * 4)
        }
        6 => {
            let head: &[u8; 40] = ip.first_chunk()?;
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = head.get(at..at + 16)?.try_into().ok()?;
                Some(octets.into())
            };
            (head[6], address(8)?, address(24)?, 40)
        }
        _ => return None,
    };
    let kind = bytes.get(at.wrapping_sub(2)..at).unwrap_or_default();
    if link == Link::Ethernet && kind != [0x08, 0x00] && kind != [0x86, 0xdd] {
        return None;
    }
    let transport = ip.get(length..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*transport.get(at)?, *transport.get(at + 1)?]));
    let ends = [SocketAddr::new(from, port(0)?), SocketAddr::new(to, port(2)?)];
    let (own, begins) = match protocol {
        TCP => (usize::from(transport.get(12)? >> 4) * 4, transport.get(13)? & SYN != 0),
        UDP => (8, false),
        _ => return None,
    };
    Some(Headers { ends, protocol, begins, length: at + length + own })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: &str = "192.0.2.9:4000";
    const SERVER: &str = "198.51.100.1:443";

    /// A TCP segment in IPv4 in Ethernet.
    fn segment(from: &str, to: &str, flags: u8, payload: usize) -> Vec<u8> {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let (IpAddr::V4(a), IpAddr::V4(b)) = (from.ip(), to.ip()) else { panic!() };
        let mut out = [&[2; 12][..], &[8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, TCP, 0, 0]].concat();
        out.extend_from_slice(&[a.octets(), b.octets()].concat());
        out.extend_from_slice(&[from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.resize(out.len() + payload, 0x17);
        out
    }

    fn shunt() -> Shunt {
        let marks = Arc::new(Marks::default());
        marks.mark(true, CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        Shunt::new(marks)
    }

    fn kept(shunt: &mut Shunt, frame: &[u8]) -> usize {
        shunt.keep(Link::Ethernet, frame, u32::try_from(frame.len()).unwrap())
    }

    #[test]
    fn of_a_large_marked_flow_only_headers_are_taken_both_ways_and_of_others_all() {
        let mut shunt = shunt();
        let (there, back) = (segment(CLIENT, SERVER, 0x10, 60_000), segment(SERVER, CLIENT, 0x10, 1_000));
        let other = segment("192.0.2.9:4001", SERVER, 0x10, 60_000);

        for _ in 0..AFTER / 60_054 {
            assert_eq!(kept(&mut shunt, &there), there.len());
        }

        assert_eq!(kept(&mut shunt, &there), 54);
        assert_eq!(kept(&mut shunt, &back), 54);
        for _ in 0..40 {
            assert_eq!(kept(&mut shunt, &other), other.len());
        }
    }

    #[test]
    fn what_begins_anew_between_the_same_ends_is_taken_whole() {
        let mut shunt = shunt();
        let frame = segment(CLIENT, SERVER, 0x10, 60_000);
        while kept(&mut shunt, &frame) == frame.len() {}

        kept(&mut shunt, &segment(CLIENT, SERVER, SYN, 0));

        for _ in 0..40 {
            assert_eq!(kept(&mut shunt, &frame), frame.len());
        }
    }

    #[test]
    fn what_begins_anew_and_is_marked_again_is_counted_anew() {
        let mut shunt = shunt();
        let frame = segment(CLIENT, SERVER, 0x10, 60_000);
        while kept(&mut shunt, &frame) == frame.len() {}
        kept(&mut shunt, &segment(CLIENT, SERVER, SYN, 0));

        shunt.marks.mark(true, CLIENT.parse().unwrap(), SERVER.parse().unwrap());

        assert_eq!(kept(&mut shunt, &frame), frame.len());
    }

    #[test]
    fn fragments_and_tagged_frames_are_taken_whole() {
        let mut fragment = segment(CLIENT, SERVER, 0x10, 9);
        fragment[20] |= 0x20;
        let mut tagged = segment(CLIENT, SERVER, 0x10, 9);
        tagged[12..14].copy_from_slice(&[0x81, 0x00]);

        assert_eq!(headers(Link::Ethernet, &fragment), None);
        assert_eq!(headers(Link::Ethernet, &tagged), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, first in prop::sample::select(vec![0x45u8, 0x60])) {
            let mut frame = segment(CLIENT, SERVER, 0x10, 0)[..14].to_vec();
            frame.push(first);
            frame.extend(&bytes);
            for (link, frame) in [(Link::Ethernet, &frame), (Link::Ip, &bytes)] {
                let keep = shunt().keep(link, frame, 9);
                prop_assert!(keep <= frame.len());
            }
        }
    }
}
