//! The kernel's packet ring (AF_PACKET, TPACKET_V3): packets come in blocks of shared memory, without a call for each.
//!
//! The only unsafe code of capture. Needs CAP_NET_RAW. Receives only: promiscuous mode stays off, nothing is sent.

#![allow(unsafe_code, reason = "a ring shared with the kernel")]

use std::{
    ffi::CString,
    io,
    mem::{self, size_of},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::decode::Link;

/// One block; the largest frame that the kernel can build fits in.
const BLOCK: usize = 1 << 20;
/// Memory of the whole ring: 8 MiB for each interface.
const BLOCKS: usize = 8;
/// Only the smallest unit of the kernel's own checks; frames have any length in version 3.
const FRAME: usize = 2048;
/// How long the kernel waits for a block to fill, in milliseconds: part of the time from packet to alert.
const RETIRE_MS: u32 = 20;
/// Where `sockaddr_ll` stands behind a frame's header: the header's size, rounded up to 16.
const ADDRESS: usize = size_of::<libc::tpacket3_hdr>().next_multiple_of(16);
/// Not in libc; <linux/if_packet.h>, since 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// One frame in the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Its bytes, without the outer VLAN tag, which the kernel strips.
    pub(super) bytes: &'a [u8],
    /// Whether this host sent it.
    pub(super) is_outgoing: bool,
}

/// What the kernel counted since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Packets that came, those that were dropped among them.
    pub(super) packets: u64,
    /// Packets that found the ring full.
    pub(super) drops: u64,
}

/// An open ring on one interface.
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    memory: *mut u8,
    block: usize,
    link: Link,
    is_loopback: bool,
}

impl Ring {
    /// Opens a ring on an interface that is up.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW, else whatever the kernel says of the interface.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        // Protocol 0: nothing is received until the socket is bound, so no packet of another interface gets in.
        // SAFETY: takes no pointers; the result is checked.
        let fd = checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: `fd` was just opened and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let kind = up_kind(&socket, interface)?;
        let is_loopback = kind == libc::ARPHRD_LOOPBACK;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        set(&socket, libc::PACKET_RX_RING, &request())?;
        if is_loopback {
            // Each packet of loopback is seen going out and coming in. Older kernels: `is_outgoing` tells.
            let _ = set(&socket, PACKET_IGNORE_OUTGOING, &1i32);
        }
        let memory = map(&socket)?;
        let link = if is_loopback || kind == libc::ARPHRD_ETHER { Link::Ethernet } else { Link::Ip };
        let ring = Self { socket, memory, block: 0, link, is_loopback };
        bind(&ring.socket, interface)?;
        Ok(ring)
    }

    /// Tells how its frames begin.
    pub(super) fn link(&self) -> Link {
        self.link
    }

    /// Tells whether outgoing frames come in again.
    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Waits until a block is full or its time is over.
    ///
    /// # Errors
    /// `NetworkDown` when the interface went down or away.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `poll` is one valid pollfd for the length of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        match checked(ready) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ if poll.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => Err(self.error()),
            _ => Ok(()),
        }
    }

    /// Hands over the frames of the next block and gives it back to the kernel; `false` if none is ready.
    pub(super) fn read(&mut self, mut handle: impl FnMut(Frame<'_>)) -> bool {
        // SAFETY: `block` is below BLOCKS, so this stays inside the mapping of BLOCKS * BLOCK bytes.
        let block = unsafe { self.memory.add(self.block * BLOCK) };
        // SAFETY: a mapped block begins with a `tpacket_block_desc`, aligned to a page; no reference is made.
        let status = unsafe { &raw mut (*block.cast::<libc::tpacket_block_desc>()).hdr.bh1.block_status };
        // SAFETY: the word is aligned, lives as long as the mapping, and the kernel too only changes it as a whole.
        let status = unsafe { AtomicU32::from_ptr(status) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the block is ours until its status is cleared: the kernel does not write to it, and nobody else has it.
        let bytes = unsafe { std::slice::from_raw_parts(block, BLOCK) };
        frames(bytes, &mut handle);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.block = (self.block + 1) % BLOCKS;
        true
    }

    /// Returns what the kernel counted since the last call.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        // SAFETY: the type is made of integers, for which zero is a value.
        let mut stats: libc::tpacket_stats_v3 = unsafe { mem::zeroed() };
        get(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats)?;
        Ok(Counted { packets: stats.tp_packets.into(), drops: stats.tp_drops.into() })
    }

    /// Returns the error that waits at the socket.
    fn error(&self) -> io::Error {
        let mut code: libc::c_int = 0;
        match get(&self.socket, libc::SOL_SOCKET, libc::SO_ERROR, &mut code) {
            Ok(()) if code != 0 => io::Error::from_raw_os_error(code),
            Ok(()) => io::Error::from_raw_os_error(libc::ENETDOWN),
            Err(e) => e,
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
        handle(Frame { bytes, is_outgoing: address.sll_pkttype == libc::PACKET_OUTGOING });
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

fn request() -> libc::tpacket_req3 {
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

fn map(socket: &OwnedFd) -> io::Result<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice; the result is checked.
    let memory = unsafe {
        libc::mmap(ptr::null_mut(), BLOCKS * BLOCK, access, libc::MAP_SHARED, socket.as_raw_fd(), 0)
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(memory.cast())
}

fn bind(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let name = CString::new(interface)?;
    // SAFETY: `name` ends with a zero byte and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the type is made of integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a whole sockaddr_ll of the length that is given.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(())
}

/// Returns the hardware type of an interface that is up.
fn up_kind(socket: &OwnedFd, interface: &str) -> io::Result<u16> {
    let mut ask = named(interface)?;
    // SAFETY: `ask` is a whole ifreq with a zero-ended name; the kernel fills in the flags.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut ask) })?;
    // SAFETY: the call that filled the union filled this member.
    let flags = libc::c_int::from(unsafe { ask.ifr_ifru.ifru_flags });
    if flags & libc::IFF_UP == 0 {
        return Err(io::Error::from_raw_os_error(libc::ENETDOWN));
    }
    // SAFETY: as above; the kernel fills in the hardware address, whose family is the type.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut ask) })?;
    // SAFETY: the call that filled the union filled this member.
    Ok(unsafe { ask.ifr_ifru.ifru_hwaddr.sa_family })
}

fn named(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: the type is made of integers and pointers, for which zero is a value.
    let mut ask: libc::ifreq = unsafe { mem::zeroed() };
    if interface.is_empty() || interface.len() >= ask.ifr_name.len() || interface.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of an interface"));
    }
    for (to, from) in ask.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    Ok(ask)
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as it is said to be and lives through the call.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, ptr::from_ref(value).cast(), length)
    };
    checked(done).map(drop)
}

fn get<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`; T is made of integers.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, ptr::from_mut(value).cast(), &raw mut length)
    };
    checked(done).map(drop)
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
pub(super) mod tests;
