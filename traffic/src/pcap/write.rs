//! Writes packets as pcapng, which Wireshark and its kin read.
//!
//! ```text
//! section header (who wrote it, why) · interface · interface · … · packet · packet · …
//! ```
//! Times are told to the nanosecond. Nothing is held back: what was written can be read even if the rest never comes.

use std::io::{self, Write};

use super::{MAX_BLOCK, MAX_NAME};
use crate::decode::{Frame, Link};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Major and minor.
const VERSION: [u16; 2] = [1, 0];
/// The length of the section is not said: it goes to the end of the file.
const NO_LENGTH: u64 = u64::MAX;

const END: u16 = 0;
const COMMENT: u16 = 1;
const HARDWARE: u16 = 2;
const SYSTEM: u16 = 3;
const PROGRAM: u16 = 4;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
/// Ten to the minus ninth.
const NANOS: u8 = 9;

/// The most bytes of a text about the file.
const MAX_TEXT: usize = 4 << 10;
/// Bytes of the two addresses before an Ethernet frame's type.
const ADDRESSES: usize = 12;
const TAG: u16 = 0x8100;

/// What a file says of itself; what is empty is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The machine on which it was captured.
    pub hardware: &'a str,
    /// Its system.
    pub system: &'a str,
    /// The program that captured.
    pub program: &'a str,
    /// Why.
    pub comment: &'a str,
}

/// Writes one file.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    interfaces: usize,
    /// The block that is being made.
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// As the output's.
    pub fn new(out: W, about: &About<'_>) -> io::Result<Self> {
        let mut it = Self { out, interfaces: 0, block: Vec::new() };
        it.begin(SECTION);
        it.number(BYTE_ORDER);
        it.block.extend(VERSION.map(u16::to_le_bytes).as_flattened());
        it.block.extend(NO_LENGTH.to_le_bytes());
        it.texts(&[
            (COMMENT, about.comment),
            (HARDWARE, about.hardware),
            (SYSTEM, about.system),
            (PROGRAM, about.program),
        ]);
        it.end()?;
        Ok(it)
    }

    /// Describes an interface, and returns its number: a frame names it by that.
    ///
    /// # Errors
    /// As the output's.
    pub fn interface(&mut self, name: &[u8], link: Link) -> io::Result<usize> {
        self.begin(INTERFACE);
        self.block.extend(number(link).to_le_bytes());
        // Reserved, and no limit for what is kept of a packet.
        self.block.extend([0; 6]);
        self.option(NAME, &name[..name.len().min(MAX_NAME)]);
        self.option(RESOLUTION, &[NANOS]);
        self.option(END, &[]);
        self.end()?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet. A VLAN that the kernel took out of an Ethernet header is put back.
    ///
    /// # Errors
    /// As the output's, or that its interface was not described.
    pub fn packet(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        if frame.interface >= self.interfaces {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "packet of an interface that was not described",
            ));
        }
        let is_tagged = frame.link == Link::Ethernet && frame.bytes.len() >= ADDRESSES;
        let tag = frame.vlan.filter(|_| is_tagged).map(|id| [TAG.to_be_bytes(), id.to_be_bytes()]);
        let tag = tag.as_ref().map_or(&[][..], |tag| tag.as_flattened());
        let bytes = &frame.bytes[..frame.bytes.len().min(MAX_BLOCK / 2)];
        let (before, after) = bytes.split_at(if tag.is_empty() { 0 } else { ADDRESSES });
        let kept = bytes.len() + tag.len();
        let nanos = u64::try_from(frame.at.as_nanosecond()).unwrap_or(0);
        self.begin(PACKET);
        self.number(frame.interface as u32);
        self.number((nanos >> 32) as u32);
        self.number(nanos as u32);
        self.number(kept as u32);
        self.number(frame.length.saturating_add(tag.len() as u32).max(kept as u32));
        for part in [before, tag, after] {
            self.block.extend(part);
        }
        self.pad();
        self.end()
    }

    /// Hands the output back, which may have to be flushed.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.number(kind);
        // Its length, once that is known.
        self.number(0);
    }

    fn number(&mut self, number: u32) {
        self.block.extend(number.to_le_bytes());
    }

    fn texts(&mut self, texts: &[(u16, &str)]) {
        let said = texts.iter().filter(|(_, text)| !text.is_empty());
        let mut any = false;
        for (code, text) in said {
            any = true;
            self.option(*code, &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)]);
        }
        if any {
            self.option(END, &[]);
        }
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.block.extend(value);
        self.pad();
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() + 4) as u32;
        self.block[4..8].copy_from_slice(&length.to_le_bytes());
        self.number(length);
        self.out.write_all(&self.block)
    }
}

/// The number of a link type, as files name it.
fn number(link: Link) -> u16 {
    match link {
        Link::Null => 0,
        Link::Ethernet => 1,
        Link::Ip => 101,
        Link::Sll => 113,
        Link::Sll2 => 276,
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;

    use super::*;
    use crate::pcap::read::{End, Reader};

    fn frame(interface: usize, at: &str, bytes: &'static [u8]) -> Frame<'static> {
        let at: Timestamp = at.parse().unwrap();
        Frame { interface, link: Link::Ethernet, at, vlan: None, bytes, length: 1500 }
    }

    fn written(frames: &[Frame<'_>]) -> Vec<u8> {
        let about =
            About { hardware: "srv-1", program: "khien-agent", comment: "sở-y-tế", ..About::default() };
        let mut writer = Writer::new(Vec::new(), &about).unwrap();
        assert_eq!(writer.interface(b"eth0", Link::Ethernet).unwrap(), 0);
        assert_eq!(writer.interface(b"tun0", Link::Ip).unwrap(), 1);
        frames.iter().for_each(|frame| writer.packet(frame).unwrap());
        writer.into_inner()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let first = frame(0, "2026-11-23T07:00:00.123456789Z", b"an Ethernet frame");
        let second = Frame { link: Link::Ip, ..frame(1, "2026-11-23T07:00:01Z", b"E") };

        let file = written(&[first, second]);

        let mut reader = Reader::new(file.as_slice()).unwrap();
        for wanted in [first, second] {
            assert_eq!(format!("{:?}", reader.next_frame().unwrap()), format!("{wanted:?}"));
        }
        assert!(reader.next_frame().is_none());
        assert!(matches!(reader.end(), Some(End::Whole)));
        let names: Vec<_> = reader.interfaces().iter().map(|i| i.name.clone().unwrap()).collect();
        assert_eq!(names, ["eth0".into(), "tun0".into()]);
        assert_eq!((reader.counts().packets, reader.counts().shortened), (2, 2));
    }

    #[test]
    fn a_vlan_that_the_kernel_took_out_is_put_back() {
        let frame = Frame { vlan: Some(20), ..frame(0, "2026-11-23T07:00:00Z", b"addresses...\x08\x00IP") };

        let file = written(&[frame]);

        let mut reader = Reader::new(file.as_slice()).unwrap();
        let read = reader.next_frame().unwrap();
        assert_eq!(read.bytes, b"addresses...\x81\x00\x00\x14\x08\x00IP");
        assert_eq!((read.vlan, read.length), (None, 1504));
    }

    #[test]
    fn a_packet_needs_its_interface() {
        let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();

        assert!(writer.packet(&frame(0, "2026-11-23T07:00:00Z", b"x")).is_err());
    }
}
