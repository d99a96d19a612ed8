//! Reads files of packets, one packet at a time.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Cursor, Read},
    ops::Range,
};

use flate2::read::MultiGzDecoder;
use khien_core::{Timestamp, Untrusted};
use pcap_parser::{
    LegacyPcapBlock, PcapError, PcapHeader, nom, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

pub use super::block::Interface;
use super::{
    MAX_BLOCK, MAX_INTERFACES,
    block::{self, Block, Order, Packet},
    clock::Clock,
    input::Input,
};
use crate::decode::{Frame, Link};

/// Bytes of a pcap file's header.
const HEADER: usize = 24;
/// Begins a file that gzip packed.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The part of a pcap file's link type that is one; above stands the length of checksums.
const LINK_PART: i32 = 0x03ff_ffff;
/// Link types that are not known here and are counted by themselves.
const MAX_LINKS: usize = 16;

/// A file, unpacked if it is packed.
#[derive(Debug)]
pub enum Plain<R> {
    /// As it is.
    As(io::Chain<Cursor<Vec<u8>>, R>),
    /// Packed by gzip.
    Gzip(Box<MultiGzDecoder<io::Chain<Cursor<Vec<u8>>, R>>>),
}

/// Looks whether a file is packed, by its first bytes.
///
/// # Errors
/// It cannot be read.
pub fn plain<R: Read>(mut source: R) -> io::Result<Plain<R>> {
    let mut first = Vec::new();
    source.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
    let is_packed = first == GZIP;
    let whole = Cursor::new(first).chain(source);
    Ok(if is_packed { Plain::Gzip(Box::new(MultiGzDecoder::new(whole))) } else { Plain::As(whole) })
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::As(file) => file.read(buffer),
            Self::Gzip(file) => file.read(buffer),
        }
    }
}

/// Why a file is none of packets.
#[derive(Debug)]
pub enum NotPackets {
    /// It is empty.
    Empty,
    /// It begins as neither pcap nor pcapng does, or ends in its header.
    Other,
    /// It cannot be read.
    Unreadable(io::Error),
}

/// How far a file could be used.
#[derive(Debug)]
pub enum End {
    /// To its end.
    Whole,
    /// It ends in the middle of a packet.
    Cut,
    /// What comes after this many bytes makes no sense, and where it would again cannot be told.
    Damaged(u64),
    /// It could not be read on.
    Unreadable(io::Error),
}

/// What was seen of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets, with those that follow.
    pub packets: u64,
    /// Their bytes as they were on the wire.
    pub bytes: u64,
    /// Packets of which the capture kept only a part.
    pub shortened: u64,
    /// Packets that could not be read: a block that contradicts itself, an interface that was not described, no time.
    pub damaged: u64,
    /// Packets larger than [`MAX_BLOCK`].
    pub too_large: u64,
    /// Packets of link types that are not known here, by the number of the type; the last number stands for all others.
    pub other_links: BTreeMap<u32, u64>,
}

/// A file of packets.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    /// All of the file, and where those of the section begin.
    interfaces: Vec<Interface>,
    first: usize,
    counts: Counts,
    /// The last time that was seen: what has none of its own is as old.
    last: Timestamp,
    /// Bytes at the front that were handed out.
    held: usize,
    next: Option<Found>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Pcap { frames: Frames, clock: Clock },
    Pcapng(Order),
}

type Parsed<'a> = nom::IResult<&'a [u8], LegacyPcapBlock<'a>, PcapError<&'a [u8]>>;
type Frames = fn(&[u8]) -> Parsed<'_>;

/// A packet that stands in the buffer.
#[derive(Debug)]
struct Found {
    interface: usize,
    at: Timestamp,
    link: Link,
    bytes: Range<usize>,
    length: u32,
}

impl<R: Read> Reader<R> {
    /// Reads up to the first packet, so that the interfaces of which the file's head tells are known.
    ///
    /// # Errors
    /// [`NotPackets`].
    pub fn new(source: R) -> Result<Self, NotPackets> {
        let mut input = Input::new(source);
        let has_head = input.has(HEADER);
        let opened = opened(input.bytes()).filter(|_| has_head);
        let Some((format, interface)) = opened else {
            return Err(match input.take_error() {
                Some(e) => NotPackets::Unreadable(e),
                None if input.bytes().is_empty() => NotPackets::Empty,
                None => NotPackets::Other,
            });
        };
        input.pass(if interface.is_some() { HEADER } else { 0 });
        let mut it = Self {
            input,
            format,
            interfaces: interface.into_iter().collect(),
            first: 0,
            counts: Counts::default(),
            last: Timestamp::UNIX_EPOCH,
            held: 0,
            next: None,
            end: None,
        };
        it.next = it.find();
        Ok(it)
    }

    /// Returns the next packet. None: there is no more, and [`end`](Self::end) says why.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let found = match self.next.take() {
            Some(found) => found,
            None => self.find()?,
        };
        let Found { interface, at, link, bytes, length } = found;
        let bytes = self.input.bytes().get(bytes)?;
        Some(Frame { interface, link, at, vlan: None, bytes, length })
    }

    /// Finds the next packet, so that the interfaces that are described before it are known. Returns whether there is one.
    pub fn look_ahead(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.find();
        }
        self.next.is_some()
    }

    /// Returns the interfaces that were described so far.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Returns what was seen so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns how many bytes were used, unpacked.
    pub fn position(&self) -> u64 {
        self.input.passed()
    }

    /// Returns how far the file could be used, once there is no more of it.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn find(&mut self) -> Option<Found> {
        self.input.pass(std::mem::take(&mut self.held));
        while self.end.is_none() {
            let found = match self.format {
                Format::Pcap { frames, clock } => self.record(frames, clock),
                Format::Pcapng(order) => self.block(order),
            };
            if found.is_some() {
                return found;
            }
            self.input.pass(std::mem::take(&mut self.held));
        }
        None
    }

    /// Reads the next record of a pcap file.
    fn record(&mut self, frames: Frames, clock: Clock) -> Option<Found> {
        let (held, read) = loop {
            let bytes = self.input.bytes();
            let wanted = match frames(bytes) {
                Ok((rest, said)) => {
                    let held = bytes.len() - rest.len();
                    let part = u64::from(said.ts_usec);
                    break (held, (said.ts_sec, part, held - said.data.len()..held, said.origlen));
                }
                Err(nom::Err::Incomplete(nom::Needed::Size(more))) => bytes.len().saturating_add(more.get()),
                Err(_) => usize::MAX,
            };
            // Nobody keeps so much of a packet: from here on what is read as lengths is something else.
            if wanted > MAX_BLOCK {
                return self.stop(End::Damaged(self.input.passed()));
            }
            if !self.input.has(wanted) {
                return self.cut();
            }
        };
        let (seconds, part, bytes, length) = read;
        if bytes.len() > MAX_BLOCK {
            return self.stop(End::Damaged(self.input.passed()));
        }
        self.held = held;
        self.found(0, clock.of(seconds.into(), part), bytes, length)
    }

    /// Reads the next block of a pcapng file.
    fn block(&mut self, order: Order) -> Option<Found> {
        if !self.input.has(block::LEAST) {
            return self.cut();
        }
        let head = self.input.bytes();
        let (order, kind) = match order.u32(head, 0) {
            // Each section has a byte order of its own.
            Some(block::SECTION) => (Order::of(head), block::SECTION),
            kind => (Some(order), kind.unwrap_or_default()),
        };
        let length = order.and_then(|order| order.u32(head, 4)).map_or(0, |length| length as usize);
        let Some(order) = order.filter(|_| length >= block::LEAST && length.is_multiple_of(4)) else {
            return self.stop(End::Damaged(self.input.passed()));
        };
        if length > MAX_BLOCK {
            return self.pass_over(kind, length);
        }
        if !self.input.has(length) {
            return self.cut();
        }
        let whole = &self.input.bytes()[..length];
        if order.u32(whole, length - 4) != Some(length as u32) {
            return self.stop(End::Damaged(self.input.passed()));
        }
        self.held = length;
        match block::read(order, whole) {
            Some(Block::Section) => {
                self.format = Format::Pcapng(order);
                self.first = self.interfaces.len();
            }
            Some(Block::Interface(interface)) => self.describe(interface),
            Some(Block::Packet(packet)) => return self.packet(packet),
            Some(Block::Other) => {}
            // Packets of a section whose head cannot be read would be given to interfaces of another one.
            None if kind == block::SECTION => return self.stop(End::Damaged(self.input.passed())),
            None if block::is_packet(kind) => self.counts.damaged += 1,
            // Its number is taken all the same.
            None => self.describe(Interface::UNKNOWN),
        }
        None
    }

    fn pass_over(&mut self, kind: u32, length: usize) -> Option<Found> {
        if block::is_head(kind) {
            return self.stop(End::Damaged(self.input.passed()));
        }
        if !self.input.pass_over(length as u64) {
            return self.cut();
        }
        self.counts.too_large += u64::from(block::is_packet(kind));
        None
    }

    /// Packets of an interface for which there is no room are told as damaged.
    fn describe(&mut self, interface: Interface) {
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
        }
    }

    fn packet(&mut self, packet: Packet) -> Option<Found> {
        let place = self.first.saturating_add(packet.interface as usize);
        let Some(interface) = self.interfaces.get(place) else {
            self.counts.damaged += 1;
            return None;
        };
        let at = match packet.count {
            Some(count) => interface.clock.and_then(|clock| clock.at(count)),
            None => Some(self.last),
        };
        let Range { start, mut end } = packet.bytes;
        if packet.count.is_none() && interface.snap > 0 {
            end = end.min(start.saturating_add(interface.snap as usize));
        }
        self.found(place, at, start..end, packet.length)
    }

    /// Counts a packet whose interface is known.
    fn found(
        &mut self,
        interface: usize,
        at: Option<Timestamp>,
        bytes: Range<usize>,
        length: u32,
    ) -> Option<Found> {
        let kind = self.interfaces.get(interface)?.link;
        let Some(at) = at else {
            self.counts.damaged += 1;
            return None;
        };
        let kept = self.input.bytes().get(bytes.clone())?;
        let length = length.max(u32::try_from(kept.len()).unwrap_or(u32::MAX));
        self.counts.packets += 1;
        self.counts.bytes = self.counts.bytes.saturating_add(length.into());
        self.counts.shortened += u64::from(kept.len() < length as usize);
        self.last = at;
        let Some(link) = Link::from_code(kind) else {
            self.counts.count_link(kind);
            return None;
        };
        Some(Found { interface, at, link, bytes, length })
    }

    fn cut(&mut self) -> Option<Found> {
        let end = match self.input.take_error() {
            Some(e) => End::Unreadable(e),
            None if self.input.bytes().is_empty() => End::Whole,
            None => End::Cut,
        };
        self.stop(end)
    }

    fn stop(&mut self, end: End) -> Option<Found> {
        self.end = Some(end);
        None
    }
}

impl Counts {
    fn count_link(&mut self, kind: u32) {
        let has_room = self.other_links.len() < MAX_LINKS || self.other_links.contains_key(&kind);
        *self.other_links.entry(if has_room { kind } else { u32::MAX }).or_default() += 1;
    }

    /// Returns how many packets were handed out.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.packets.saturating_sub(self.other_links.values().sum())
    }
}

/// Reads how a file begins: its format and, if that says so here, its one interface.
fn opened(head: &[u8]) -> Option<(Format, Option<Interface>)> {
    if Order::Little.u32(head, 0) == Some(block::SECTION) {
        return Order::of(head).map(|order| (Format::Pcapng(order), None));
    }
    let (_, header) = parse_pcap_header(head).ok()?;
    let clock = if header.is_nanosecond_precision() { Clock::NANOS } else { Clock::MICROS };
    let link = (header.network.0 & LINK_PART).cast_unsigned();
    let interface = Interface { name: None, link, snap: header.snaplen, clock: Some(clock) };
    Some((Format::Pcap { frames: frames(&header), clock }, Some(interface)))
}

fn frames(header: &PcapHeader) -> Frames {
    match (header.is_bigendian(), header.is_modified_format()) {
        (true, _) => parse_pcap_frame_be,
        (false, true) => parse_pcap_frame_modified,
        (false, false) => parse_pcap_frame,
    }
}

/// Returns the names of interfaces as the file tells them, by their place; empty where it tells none, and for those that may
/// be described later.
#[must_use]
pub fn names(interfaces: &[Interface]) -> Vec<Untrusted> {
    let own = interfaces.iter().map(|interface| interface.name.clone().unwrap_or_default());
    own.chain(std::iter::repeat(Untrusted::none())).take(MAX_INTERFACES).collect()
}

impl fmt::Display for NotPackets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("file is empty"),
            Self::Other => f.write_str("file is neither pcap nor pcapng"),
            Self::Unreadable(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for NotPackets {}

#[cfg(test)]
mod tests;
