//! A plain packet socket: how packets are read where the kernel has no ring (gVisor, some containers, old kernels), one by
//! one into buffers of the agent, up to [`AT_ONCE`] of them with one call.
//!
//! ```text
//! packet ─► filter ─► the socket's queue ─► recvmmsg: bytes │ sockaddr_ll: did this host send it
//!                        │ full: dropped,                   │ control: time, length on the wire, VLAN tag
//!                        ▼ and counted
//!                PACKET_STATISTICS
//! ```
//! What a kernel does not know of this is done without, and told where it matters. `pnet::datalink` is not used: its socket
//! keeps the usual small queue, tells neither losses nor times, and cuts what is longer than its buffer in silence.

#![allow(unsafe_code, reason = "calls of the packet socket that nobody wraps")]

use std::{
    io,
    mem::{self, size_of},
    os::fd::AsRawFd,
    ptr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use khien_traffic::decode::Link;

use super::{
    ring::{Frame, Wanted},
    socket::{Counted, Socket, checked},
    tap::Tap,
};

/// Packets of one call.
const AT_ONCE: usize = 16;
/// The longest packet: what a card or the kernel puts together is 64 KiB and its headers. Of longer ones (BIG TCP) the beginning is
/// taken, with the length on the wire.
const LONGEST: usize = 66 << 10;
/// A read ends when it has so many bytes: half of what a block of the ring holds, so that a last call still fits.
const ENOUGH: usize = 1 << 19;
/// The most calls of one read.
const MAX_CALLS: usize = 64;
/// Room for control messages: a time and what else is known of a packet take 72 bytes.
const CONTROL: usize = 128;
/// What the queue may hold, in bytes of the kernel's own reckoning; as much as the ring.
const QUEUE: libc::c_int = 8 << 20;
/// Where the next control message begins is a multiple of this.
const ALIGN: usize = size_of::<usize>();
/// The number of a VLAN among the bits of a tag.
const VLAN_ID: u16 = 0x0fff;

/// An open socket on one interface.
#[derive(Debug)]
pub(super) struct Plain {
    tap: Tap,
    slots: Slots,
    tells_losses: bool,
    failed: Option<io::Error>,
}

/// Room for the packets of one call.
struct Slots {
    bytes: Vec<u8>,
    control: Vec<[u8; CONTROL]>,
    from: Vec<libc::sockaddr_ll>,
}

/// What came with one packet.
#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    /// How long it is in the socket, and how much control came with it.
    length: usize,
    control: usize,
}

/// What control messages say of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    at: Option<Duration>,
    length: Option<u32>,
    vlan: Option<u16>,
}

impl Plain {
    /// Opens a socket on an interface that is up.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW, else whatever the kernel says of the interface.
    pub(super) fn open(wanted: &Wanted<'_>) -> io::Result<Self> {
        let tap = Tap::open(wanted)?;
        tap.socket.widen(QUEUE);
        tap.socket.tell_times();
        // Without them a packet that the filter cut would look as if it were that short: it comes whole then.
        if tap.socket.tell_lengths() {
            // A kernel without filters gives all; what is trusted is looked into then, which costs and hides nothing.
            let _ = tap.cut(wanted.cut);
        }
        let tells_losses = tap.socket.counted().is_ok();
        tap.bind(wanted)?;
        Ok(Self { tap, slots: Slots::new(), tells_losses, failed: None })
    }

    /// Tells how its frames begin.
    pub(super) fn link(&self) -> Link {
        self.tap.link
    }

    /// Tells whether outgoing frames come in again.
    pub(super) fn is_loopback(&self) -> bool {
        self.tap.is_loopback
    }

    /// Tells whether the kernel says how many packets it dropped.
    pub(super) fn tells_losses(&self) -> bool {
        self.tells_losses
    }

    /// Waits until there is a packet or its time is over.
    ///
    /// # Errors
    /// `NetworkDown` when the interface went down or away.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.tap.socket.wait(limit),
        }
    }

    /// Tells whether a packet is there to be read.
    pub(super) fn is_ready(&self) -> bool {
        self.failed.is_none() && self.tap.socket.is_ready()
    }

    /// Hands over the packets that are there, as many as a block of the ring would hold; `false` if there are none.
    pub(super) fn read(&mut self, mut handle: impl FnMut(Frame<'_>)) -> bool {
        let (mut any, mut bytes) = (false, 0);
        for _ in 0..MAX_CALLS {
            let arrived = match receive(&self.tap.socket, &mut self.slots) {
                Ok(arrived) => arrived,
                Err(error) => {
                    self.failed = fails(error);
                    break;
                }
            };
            for (slot, one) in arrived.iter().enumerate() {
                let frame = self.slots.frame(slot, *one);
                bytes += frame.bytes.len();
                handle(frame);
            }
            any |= !arrived.is_empty();
            if arrived.len() < AT_ONCE || bytes >= ENOUGH {
                break;
            }
        }
        any
    }

    /// Returns what the kernel counted since the last call; nothing where it does not count.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        if self.tells_losses { self.tap.socket.counted() } else { Ok(Counted::default()) }
    }
}

impl Slots {
    fn new() -> Self {
        // SAFETY: the type is made of integers, for which zero is a value.
        let nobody: libc::sockaddr_ll = unsafe { mem::zeroed() };
        Self {
            // The kernel gives no memory for what no packet was long enough to touch.
            bytes: vec![0; AT_ONCE * LONGEST],
            control: vec![[0; CONTROL]; AT_ONCE],
            from: vec![nobody; AT_ONCE],
        }
    }

    /// Returns what arrived in a slot.
    fn frame(&self, slot: usize, arrived: Arrived) -> Frame<'_> {
        let room = &self.bytes[slot * LONGEST..][..LONGEST];
        let bytes = room.get(..arrived.length).unwrap_or(room);
        let control = &self.control[slot];
        let known = Known::read(control.get(..arrived.control).unwrap_or(control));
        let at = known.at.or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let length = known.length.unwrap_or(0).max(u32::try_from(arrived.length).unwrap_or(u32::MAX));
        Frame {
            bytes,
            length,
            seconds: u32::try_from(at.as_secs()).unwrap_or(u32::MAX),
            nanos: at.subsec_nanos(),
            vlan: known.vlan,
            is_outgoing: self.from[slot].sll_pkttype == libc::PACKET_OUTGOING,
        }
    }
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

impl Known {
    /// Reads control messages: `length, level, type, data`, each padded (cmsg(3)). What is not known is passed over.
    fn read(mut control: &[u8]) -> Self {
        let mut known = Self::default();
        let head = size_of::<libc::cmsghdr>();
        while let Some(length) = word(control) {
            let Some(data) = control.get(head..length) else { break };
            let (Some(level), Some(kind)) = (int(control, head - 8), int(control, head - 4)) else { break };
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => known.at = time(data),
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => known.more(data),
                _ => {}
            }
            control = control.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        }
        known
    }

    /// Reads `struct tpacket_auxdata`: status, length, kept length, two offsets, tag, its type.
    fn more(&mut self, data: &[u8]) {
        let (Some(status), Some(length)) = (int(data, 0), int(data, 4)) else { return };
        self.length = Some(length.cast_unsigned());
        let tag = data.get(16..18).map(|b| u16::from_ne_bytes([b[0], b[1]]) & VLAN_ID);
        self.vlan = tag.filter(|_| status.cast_unsigned() & libc::TP_STATUS_VLAN_VALID != 0);
    }
}

/// Takes the packets that are there, without waiting.
fn receive(socket: &Socket, slots: &mut Slots) -> io::Result<Vec<Arrived>> {
    // SAFETY: the types are made of integers and pointers, for which zero is a value.
    let mut heads: [libc::mmsghdr; AT_ONCE] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut places: [libc::iovec; AT_ONCE] = unsafe { mem::zeroed() };
    let rooms = slots.bytes.chunks_exact_mut(LONGEST).zip(&mut slots.control).zip(&mut slots.from);
    for ((head, place), ((bytes, control), from)) in heads.iter_mut().zip(&mut places).zip(rooms) {
        *place = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // A kernel that does not say it must not leave what it said of another packet.
        from.sll_pkttype = 0;
        head.msg_hdr.msg_name = ptr::from_mut(from).cast();
        head.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        head.msg_hdr.msg_iov = place;
        head.msg_hdr.msg_iovlen = 1;
        head.msg_hdr.msg_control = control.as_mut_ptr().cast();
        head.msg_hdr.msg_controllen = control.len() as _;
    }
    // Truncated packets tell how long they are.
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: AT_ONCE whole headers; each points to a name, one vector and control room of the stated lengths, which live in
    // `slots` and `places` through the call and belong to nobody else.
    let got = checked(unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            heads.as_mut_ptr(),
            AT_ONCE as libc::c_uint,
            flags as _,
            ptr::null_mut(),
        )
    })?;
    let arrived = |head: &libc::mmsghdr| Arrived {
        length: head.msg_len as usize,
        control: head.msg_hdr.msg_controllen as _,
    };
    Ok(heads.iter().take(got.unsigned_abs() as usize).map(arrived).collect())
}

/// Returns the error unless it only says that nothing is there now.
fn fails(error: io::Error) -> Option<io::Error> {
    let is_none = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
    (!is_none).then_some(error)
}

fn word(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|word| usize::from_ne_bytes(*word))
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|int| i32::from_ne_bytes(*int))
}

/// Reads a `timespec` of this processor's words.
fn time(data: &[u8]) -> Option<Duration> {
    let (seconds, nanos) = (word(data)?, word(data.get(ALIGN..)?)?);
    // Later than that, it is no time but noise.
    let nanos = u32::try_from(nanos).ok().filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(u32::try_from(seconds).ok()?.into(), nanos))
}

#[cfg(test)]
mod tests;
