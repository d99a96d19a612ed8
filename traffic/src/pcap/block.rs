//! The blocks of a pcapng file that say where a packet was seen, when, and what it was.
//!
//! `pcap-parser` reads them. It is given one whole block at a time, whose two lengths agree: so it never asks for more, and
//! what it refuses is damaged.

use std::ops::Range;

use khien_core::Untrusted;
use pcap_parser::{
    OptionCode, parse_enhancedpacketblock_be, parse_enhancedpacketblock_le,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_sectionheaderblock,
    parse_simplepacketblock_be, parse_simplepacketblock_le,
};

use super::{MAX_NAME, clock::Clock};

/// Begins a section; the same in both byte orders.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// A packet as it was written before 2009. `pcap-parser` does not know it.
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// Bytes of a block's type and length.
pub(super) const HEAD: usize = 8;
/// The same and the length again.
pub(super) const LEAST: usize = 12;
/// The bytes by which a section says its byte order.
const BYTE_ORDER: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// The byte order of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    /// Finds it in the first bytes of a section's header.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let magic: [u8; 4] = head.get(HEAD..HEAD + 4)?.try_into().ok()?;
        match magic {
            BYTE_ORDER => Some(Self::Big),
            [0x4d, 0x3c, 0x2b, 0x1a] => Some(Self::Little),
            _ => None,
        }
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(four),
            Self::Little => u32::from_le_bytes(four),
        })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(two),
            Self::Little => u16::from_le_bytes(two),
        })
    }

    fn i64(self, bytes: &[u8]) -> Option<i64> {
        let eight = bytes.get(..8)?.try_into().ok()?;
        Some(match self {
            Self::Big => i64::from_be_bytes(eight),
            Self::Little => i64::from_le_bytes(eight),
        })
    }
}

/// An interface as a file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, where one was given.
    pub name: Option<Untrusted>,
    /// Its link type, as its number.
    pub link: u32,
    /// The most bytes that were kept of a packet; 0 is all.
    pub(super) snap: u32,
    /// None: its times mean nothing.
    pub(super) clock: Option<Clock>,
}

impl Interface {
    /// One of which nothing can be told.
    pub(super) const UNKNOWN: Self = Self { name: None, link: u32::MAX, snap: 0, clock: None };
}

/// A packet, by where it stands in its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// By its number in the section.
    pub(super) interface: u32,
    /// As its interface counts; none for what has no time of its own.
    pub(super) count: Option<u64>,
    pub(super) bytes: Range<usize>,
    pub(super) length: u32,
}

/// What a block is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Section,
    Interface(Interface),
    Packet(Packet),
    /// Nothing that is needed here.
    Other,
}

/// Reads a whole block whose lengths agree. None: it is damaged.
pub(super) fn read(order: Order, block: &[u8]) -> Option<Block> {
    match order.u32(block, 0)? {
        SECTION => parse_sectionheaderblock(block).ok().map(|_| Block::Section),
        INTERFACE => interface(order, block).map(Block::Interface),
        OLD_PACKET => old_packet(order, block).map(Block::Packet),
        SIMPLE_PACKET => simple_packet(order, block).map(Block::Packet),
        PACKET => packet(order, block).map(Block::Packet),
        _ => Some(Block::Other),
    }
}

/// Tells whether packets lean on a block of this type.
pub(super) fn is_head(kind: u32) -> bool {
    matches!(kind, SECTION | INTERFACE)
}

/// Tells whether a block of this type is a packet.
pub(super) fn is_packet(kind: u32) -> bool {
    matches!(kind, OLD_PACKET | SIMPLE_PACKET | PACKET)
}

fn interface(order: Order, block: &[u8]) -> Option<Interface> {
    let parsed = match order {
        Order::Big => parse_interfacedescriptionblock_be(block),
        Order::Little => parse_interfacedescriptionblock_le(block),
    };
    let (_, said) = parsed.ok()?;
    let option = |code: OptionCode| {
        let found =
            said.options.iter().take_while(|o| o.code != OptionCode::EndOfOpt).find(|o| o.code == code);
        found.and_then(|o| o.as_bytes().ok())
    };
    // The parser reads this one in little endian always.
    let offset = option(OptionCode::IfTsoffset).and_then(|bytes| order.i64(bytes)).unwrap_or(0);
    let resolution = option(OptionCode::IfTsresol).and_then(|bytes| bytes.first().copied());
    Some(Interface {
        name: option(OptionCode::IfName).map(|name| Untrusted::cut(name, MAX_NAME)),
        link: said.linktype.0.cast_unsigned(),
        snap: said.snaplen,
        clock: Clock::new(resolution.unwrap_or(6), offset),
    })
}

fn packet(order: Order, block: &[u8]) -> Option<Packet> {
    let parsed = match order {
        Order::Big => parse_enhancedpacketblock_be(block),
        Order::Little => parse_enhancedpacketblock_le(block),
    };
    let (_, said) = parsed.ok()?;
    let count = u64::from(said.ts_high) << 32 | u64::from(said.ts_low);
    let bytes = 28..28 + usize::try_from(said.caplen).ok()?;
    Some(Packet { interface: said.if_id, count: Some(count), bytes, length: said.origlen })
}

/// How much was kept is not said; whoever knows the interface cuts it there.
fn simple_packet(order: Order, block: &[u8]) -> Option<Packet> {
    let parsed = match order {
        Order::Big => parse_simplepacketblock_be(block),
        Order::Little => parse_simplepacketblock_le(block),
    };
    let (_, said) = parsed.ok()?;
    let kept = said.data.len().min(usize::try_from(said.origlen).ok()?);
    Some(Packet { interface: 0, count: None, bytes: 12..12 + kept, length: said.origlen })
}

/// `interface:16 drops:16 time:64 kept:32 length:32 bytes…`
fn old_packet(order: Order, block: &[u8]) -> Option<Packet> {
    let kept = usize::try_from(order.u32(block, 20)?).ok()?;
    let bytes = 28..28usize.checked_add(kept)?;
    if bytes.end > block.len().checked_sub(4)? {
        return None;
    }
    Some(Packet {
        interface: order.u16(block, 8)?.into(),
        count: Some(u64::from(order.u32(block, 12)?) << 32 | u64::from(order.u32(block, 16)?)),
        bytes,
        length: order.u32(block, 24)?,
    })
}
