//! The kernel's packet ring (TPACKET_V3): packets come in blocks of shared memory, without a call for each.

#![allow(unsafe_code, reason = "a ring shared with the kernel")]

use std::{
    io,
    mem::size_of,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use khien_traffic::decode::Link;

use super::{
    filter::{Cut, OWN, TRUSTED},
    socket::{Counted, Socket},
    source::Way,
    tap::Tap,
};

/// One block; the largest frame that the kernel can build fits in.
pub(super) const BLOCK: usize = 1 << 20;
/// Memory of the whole ring: 8 MiB for each.
const BLOCKS: usize = 8;
/// Only the smallest unit of the kernel's own checks; frames have any length in version 3.
const FRAME: usize = 2048;
/// How long the kernel waits for a block to fill, in milliseconds: part of the time from packet to alert.
const RETIRE_MS: u32 = 20;
/// Where `sockaddr_ll` stands behind a frame's header: the header's size, rounded up to 16.
const ADDRESS: usize = size_of::<libc::tpacket3_hdr>().next_multiple_of(16);
/// The number of a VLAN among the bits of a tag.
const VLAN_ID: u32 = 0x0fff;

/// What to open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// On which interface.
    pub(super) interface: &'a str,
    /// Whether packets for others are wanted, too.
    pub(super) is_promiscuous: bool,
    /// What is not wanted.
    pub(super) cut: &'a Cut,
    /// With whom packets are shared, if with anybody.
    pub(super) group: Option<&'a Group>,
    /// How packets are to be read.
    pub(super) way: Way,
}

/// Why there is no ring.
#[derive(Debug)]
pub(super) enum Refused {
    /// The interface cannot be read, in this way or another.
    Interface(io::Error),
    /// The kernel makes no ring.
    Ring(io::Error),
}

/// Rings on one interface that share its packets. The first one that opens makes the group.
#[derive(Debug, Default)]
pub(super) struct Group(Mutex<Option<u16>>);

/// One frame in the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Its bytes, without the outer VLAN tag, which the kernel takes out.
    pub(super) bytes: &'a [u8],
    /// How long it was on the wire, without that tag.
    pub(super) length: u32,
    /// When it came, since 1970.
    pub(super) seconds: u32,
    /// The rest of that, in nanoseconds.
    pub(super) nanos: u32,
    /// The VLAN of the tag that was taken out.
    pub(super) vlan: Option<u16>,
    /// Whether this host sent it.
    pub(super) is_outgoing: bool,
}

/// An open ring on one interface.
#[derive(Debug)]
pub(super) struct Ring {
    tap: Tap,
    memory: *mut u8,
    block: usize,
}

impl<'a> Wanted<'a> {
    /// Wants all that an interface sees for this host.
    #[cfg(test)]
    pub(super) fn all_of(interface: &'a str, cut: &'a Cut) -> Self {
        Self { interface, is_promiscuous: false, cut, group: None, way: Way::Auto }
    }
}

impl Frame<'_> {
    /// Tells whether the kernel's filter held it back and only its length came up.
    pub(super) fn is_cut(&self) -> bool {
        let held = self.bytes.len();
        (held as u64) < u64::from(self.length) && (held == OWN as usize || held == TRUSTED as usize)
    }
}

impl Group {
    /// Joins, or makes the group if nobody did.
    pub(super) fn join(&self, socket: &Socket) -> io::Result<()> {
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *group = Some(socket.share(*group)?);
        Ok(())
    }
}

impl Ring {
    /// Opens a ring on an interface that is up.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW, else whatever the kernel says of the interface, or of the ring.
    pub(super) fn open(wanted: &Wanted<'_>) -> Result<Self, Refused> {
        let tap = Tap::open(wanted)?;
        tap.socket.make_ring(&shape()).map_err(Refused::Ring)?;
        let memory = tap.socket.map(BLOCKS * BLOCK).map_err(Refused::Ring)?;
        let ring = Self { tap, memory, block: 0 };
        ring.tap.cut(wanted.cut)?;
        ring.tap.bind(wanted)?;
        Ok(ring)
    }

    /// Tells how its frames begin.
    pub(super) fn link(&self) -> Link {
        self.tap.link
    }

    /// Tells whether outgoing frames come in again.
    pub(super) fn is_loopback(&self) -> bool {
        self.tap.is_loopback
    }

    /// Waits until a block is full or its time is over.
    ///
    /// # Errors
    /// `NetworkDown` when the interface went down or away.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        self.tap.socket.wait(limit)
    }

    /// Tells whether a block is there to be read.
    pub(super) fn is_ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Hands over the frames of the next block and gives it back to the kernel; `false` if none is ready.
    pub(super) fn read(&mut self, mut handle: impl FnMut(Frame<'_>)) -> bool {
        if !self.is_ready() {
            return false;
        }
        // SAFETY: `block` is below BLOCKS, so this stays inside the mapping of BLOCKS * BLOCK bytes. The block is ours
        // until its status is cleared: the kernel does not write to it, and nobody else has it.
        let bytes = unsafe { std::slice::from_raw_parts(self.memory.add(self.block * BLOCK), BLOCK) };
        frames(bytes, &mut handle);
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.block = (self.block + 1) % BLOCKS;
        true
    }

    /// Returns what the kernel counted since the last call.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        self.tap.socket.counted()
    }

    /// Returns the word by which kernel and program hand the next block to each other.
    fn status(&self) -> &AtomicU32 {
        // SAFETY: `block` is below BLOCKS, so this stays inside the mapping of BLOCKS * BLOCK bytes.
        let block = unsafe { self.memory.add(self.block * BLOCK) };
        // SAFETY: a mapped block begins with a `tpacket_block_desc`, aligned to a page; no reference is made.
        let status = unsafe { &raw mut (*block.cast::<libc::tpacket_block_desc>()).hdr.bh1.block_status };
        // SAFETY: the word is aligned, lives as long as the mapping, and the kernel too only changes it as a whole.
        unsafe { AtomicU32::from_ptr(status) }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Interface(error)
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Interface(error) | Refused::Ring(error) => error,
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, of that length, and no slice of it outlives `read`.
        unsafe { libc::munmap(self.memory.cast(), BLOCKS * BLOCK) };
    }
}

/// Walks over the frames of a block. Every place that the kernel names is checked against the block.
fn frames(block: &[u8], handle: &mut impl FnMut(Frame<'_>)) {
    let Some(head) = field::<libc::tpacket_block_desc>(block, 0) else { return };
    // SAFETY: `bh1` is the only member of the union.
    let head = unsafe { head.hdr.bh1 };
    let mut at = head.offset_to_first_pkt as usize;
    for _ in 0..head.num_pkts {
        let Some(header) = field::<libc::tpacket3_hdr>(block, at) else { return };
        let Some(address) = field::<libc::sockaddr_ll>(block, at + ADDRESS) else { return };
        let from = at + usize::from(header.tp_mac);
        let Some(bytes) = block.get(from..from.saturating_add(header.tp_snaplen as usize)) else { return };
        let has_tag = header.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
        handle(Frame {
            bytes,
            length: header.tp_len.max(header.tp_snaplen),
            seconds: header.tp_sec,
            nanos: header.tp_nsec,
            vlan: has_tag.then_some((header.hv1.tp_vlan_tci & VLAN_ID) as u16),
            is_outgoing: address.sll_pkttype == libc::PACKET_OUTGOING,
        });
        if header.tp_next_offset == 0 {
            return;
        }
        at += header.tp_next_offset as usize;
    }
}

/// Copies a kernel structure out of a block.
fn field<T: Copy>(block: &[u8], at: usize) -> Option<T> {
    let bytes = block.get(at..at.checked_add(size_of::<T>())?)?;
    // SAFETY: the slice is as long as T; T is one of libc's structures of plain integers, valid for any bytes; the read
    // needs no alignment.
    Some(unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
}

fn shape() -> libc::tpacket_req3 {
    libc::tpacket_req3 {
        tp_block_size: BLOCK as u32,
        tp_block_nr: BLOCKS as u32,
        tp_frame_size: FRAME as u32,
        tp_frame_nr: (BLOCKS * BLOCK / FRAME) as u32,
        tp_retire_blk_tov: RETIRE_MS,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    }
}

#[cfg(test)]
pub(super) mod tests;
