//! A file of packets, written once more with its packets in another order, more often or left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use khien_core::Timestamp;
use khien_traffic::{
    decode::{Frame, Link},
    pcap::{
        read::{Reader, plain},
        write::{About, Writer},
    },
};

/// A packet and its time.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    at: Timestamp,
    bytes: Vec<u8>,
}

/// Writes the packets that `each` hands on of those it is given, one after another.
pub(crate) fn rewritten(
    file: &Path,
    name: &str,
    mut each: impl FnMut(Packet, &mut dyn FnMut(Packet)),
) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut reader = Reader::new(plain(fs::File::open(file).unwrap()).unwrap()).unwrap();
    let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
    let interface = writer.interface(b"kt0", Link::Ethernet).unwrap();
    let mut write = |packet: Packet| {
        let (bytes, at) = (&packet.bytes[..], packet.at);
        let length = bytes.len().try_into().unwrap();
        writer.packet(&Frame { interface, link: Link::Ethernet, at, vlan: None, bytes, length }).unwrap();
    };
    while let Some(frame) = reader.next_frame() {
        each(Packet { at: frame.at, bytes: frame.bytes.to_vec() }, &mut write);
    }
    fs::write(&place, writer.into_inner()).unwrap();
    place
}

/// Writes each second of two full segments of one direction before the first.
pub(crate) fn overtaken(file: &Path) -> PathBuf {
    let mut held: Option<Packet> = None;
    let mut turned = 0;
    let place = rewritten(file, "peers-overtaken.pcapng", |packet, write| match held.take() {
        Some(first) if packet.follows(&first) => {
            turned += 1;
            let Packet { at, bytes } = first;
            write(Packet { at, ..packet.clone() });
            write(Packet { bytes, ..packet });
        }
        before => {
            before.into_iter().for_each(&mut *write);
            if packet.is_full() { held = Some(packet) } else { write(packet) }
        }
    });
    assert!(turned > 100, "only {turned} segments were overtaken");
    place
}

/// Writes full segments once more, each behind the one that comes after it.
pub(crate) fn sent_again(file: &Path) -> PathBuf {
    let mut held: Option<Packet> = None;
    let mut count = 0;
    let place = rewritten(file, "peers-again.pcapng", |packet, write| {
        write(packet.clone());
        let before = held.take();
        held = packet.is_full().then(|| packet.clone());
        if let Some(before) = before.filter(|before| packet.follows(before)) {
            count += 1;
            write(Packet { at: packet.at, ..before });
        }
    });
    assert!(count > 100, "only {count} segments were sent again");
    place
}

impl Packet {
    /// Tells whether it is a segment as long as they get.
    fn is_full(&self) -> bool {
        const FULL: usize = 1_200;
        self.bytes.len() >= FULL
    }

    fn follows(&self, first: &Packet) -> bool {
        self.is_full() && self.head() == first.head()
    }

    /// What is the same in all segments of one direction: both hardware addresses, the version of IP, and the ports where they
    /// stand behind its header.
    fn head(&self) -> (&[u8], &[u8]) {
        let ports = if self.bytes[12..14] == [0x86, 0xdd] { 54 } else { 34 };
        (&self.bytes[..15], &self.bytes[ports..ports + 4])
    }
}
