//! A packet socket (AF_PACKET) and what can be asked of it. Needs CAP_NET_RAW. Receives only: nothing is ever sent.

#![allow(unsafe_code, reason = "calls of the packet socket that nobody wraps")]

use std::{
    ffi::CString,
    io,
    mem::{self, size_of},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

use super::filter::Instruction;

/// How packets are shared: by a hash of the flow that is the same for both directions; what finds a ring full goes to the
/// next one; fragments of IPv4 are put together first, else those without ports would go to another ring.
const SHARING: u32 =
    libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_ROLLOVER | libc::PACKET_FANOUT_FLAG_DEFRAG;

/// What the kernel counted since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Packets that came, those that were dropped among them.
    pub(super) packets: u64,
    /// Packets that found the ring full.
    pub(super) drops: u64,
}

/// What kind of interface it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interface {
    index: libc::c_int,
    /// Its hardware type, `ARPHRD_…`.
    pub(super) kind: u16,
}

/// A packet socket that is bound to nothing yet.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens one that receives nothing until it is bound, so that no packet of another interface gets in.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: takes no pointers; the result is checked.
        let fd = checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: `fd` was just opened and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Finds an interface that is up.
    ///
    /// # Errors
    /// `ENODEV` without it, `ENETDOWN` if it is down.
    pub(super) fn find(&self, interface: &str) -> io::Result<Interface> {
        let mut ask = named(interface)?;
        let name = CString::new(interface)?;
        // SAFETY: `name` ends with a zero byte and lives through the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `ask` is a whole ifreq with a zero-ended name; the kernel fills in the flags.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut ask) })?;
        // SAFETY: the call that filled the union filled this member.
        let flags = libc::c_int::from(unsafe { ask.ifr_ifru.ifru_flags });
        if flags & libc::IFF_UP == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENETDOWN));
        }
        // SAFETY: as above; the kernel fills in the hardware address, whose family is the type.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut ask) })?;
        // SAFETY: the call that filled the union filled this member.
        let kind = unsafe { ask.ifr_ifru.ifru_hwaddr.sa_family };
        Ok(Interface { index: index.cast_signed(), kind })
    }

    /// Makes a ring of this shape behind the socket, version 3.
    ///
    /// # Errors
    /// `ENOMEM` without room for it.
    pub(super) fn make_ring(&self, shape: &libc::tpacket_req3) -> io::Result<()> {
        let version = libc::tpacket_versions::TPACKET_V3 as libc::c_int;
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, shape)
    }

    /// Maps the ring.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn map(&self, length: usize) -> io::Result<*mut u8> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice; the result is checked.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, self.0.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(memory.cast())
    }

    /// Lets so many bytes wait, as many as are allowed: beyond `net.core.rmem_max` only with CAP_NET_ADMIN.
    pub(super) fn widen(&self, bytes: libc::c_int) {
        if self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes).is_err() {
            let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes);
        }
    }

    /// Has each packet come with its time. Where that is not to be had, it has that of its reading.
    pub(super) fn tell_times(&self) {
        let _ = self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32);
    }

    /// Has each packet come with its length on the wire and the tag that was taken out; `false` where that is not to be had.
    pub(super) fn tell_lengths(&self) -> bool {
        self.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32).is_ok()
    }

    /// Leaves out what this host sends. Older kernels do not know it; each frame tells, too.
    pub(super) fn ignore_outgoing(&self) {
        let _ = self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32);
    }

    /// Has the kernel run a program over each packet, which says how many bytes of it come up.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not take.
    pub(super) fn attach(&self, program: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> =
            program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.yes, jf: i.no, k: i.k }).collect();
        let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // The kernel copies the program before the call returns.
        let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Receives what the interface has seen, from now on.
    ///
    /// # Errors
    /// Whatever the kernel says of the interface.
    pub(super) fn bind(&self, interface: Interface) -> io::Result<()> {
        // SAFETY: the type is made of integers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface.index;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `address` is a whole sockaddr_ll of the length that is given.
        checked(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(())
    }

    /// Has the interface take packets for others, too, for as long as the socket is open.
    ///
    /// # Errors
    /// Whatever the kernel says of the interface.
    pub(super) fn hear_all(&self, interface: Interface) -> io::Result<()> {
        let member = libc::packet_mreq {
            mr_ifindex: interface.index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &member)
    }

    /// Shares the packets of a bound socket's interface with others of the same group, flow by flow. Returns the group,
    /// a new one if none is given.
    ///
    /// # Errors
    /// `EINVAL` if the group is another's.
    pub(super) fn share(&self, group: Option<u16>) -> io::Result<u16> {
        let asked = match group {
            Some(group) => u32::from(group) | SHARING << 16,
            // The kernel chooses a number that nobody uses.
            None => (SHARING | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16,
        };
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &asked)?;
        let mut got: u32 = 0;
        self.get(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut got)?;
        Ok((got & 0xffff) as u16)
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// `NetworkDown` when the interface went down or away.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `poll` is one valid pollfd for the length of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, millis) };
        match checked(ready) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
            _ if poll.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => Err(self.error()),
            _ => Ok(()),
        }
    }

    /// Tells whether there is something to read.
    pub(super) fn is_ready(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `poll` is one valid pollfd for the length of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        ready > 0 && poll.revents & libc::POLLIN != 0
    }

    /// Returns what the kernel counted since the last call.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        // SAFETY: the type is made of integers, for which zero is a value.
        let mut stats: libc::tpacket_stats_v3 = unsafe { mem::zeroed() };
        self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats)?;
        Ok(Counted { packets: stats.tp_packets.into(), drops: stats.tp_drops.into() })
    }

    /// Returns the error that waits at the socket.
    fn error(&self) -> io::Error {
        let mut code: libc::c_int = 0;
        match self.get(libc::SOL_SOCKET, libc::SO_ERROR, &mut code) {
            Ok(()) if code != 0 => io::Error::from_raw_os_error(code),
            Ok(()) => io::Error::from_raw_os_error(libc::ENETDOWN),
            Err(e) => e,
        }
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` is as long as it is said to be and lives through the call, and so does what it points to.
        let done = unsafe {
            libc::setsockopt(self.0.as_raw_fd(), level, option, ptr::from_ref(value).cast(), length)
        };
        checked(done).map(drop)
    }

    fn get<T>(&self, level: libc::c_int, option: libc::c_int, value: &mut T) -> io::Result<()> {
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`; T is made of integers.
        let done = unsafe {
            libc::getsockopt(self.0.as_raw_fd(), level, option, ptr::from_mut(value).cast(), &raw mut length)
        };
        checked(done).map(drop)
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Returns a question about an interface.
///
/// # Errors
/// `InvalidInput` for what cannot be a name.
pub(super) fn named(interface: &str) -> io::Result<libc::ifreq> {
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

/// Returns the error of the system for a result below zero.
///
/// # Errors
/// The last one of this thread.
pub(super) fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
