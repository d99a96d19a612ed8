//! A packet socket on one interface, as the ring and the plain socket both begin.

use std::io;

use khien_traffic::decode::Link;

use super::{
    filter::Cut,
    ring::Wanted,
    socket::{Interface, Socket},
};

/// A packet socket, and the interface to which it is bound when all is ready.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) socket: Socket,
    /// How frames of the interface begin.
    pub(super) link: Link,
    /// Whether outgoing frames come in again.
    pub(super) is_loopback: bool,
    interface: Interface,
}

impl Tap {
    /// Opens a socket that receives nothing yet, for an interface that is up.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW, else whatever the kernel says of the interface.
    pub(super) fn open(wanted: &Wanted<'_>) -> io::Result<Self> {
        let socket = Socket::open()?;
        let interface = socket.find(wanted.interface)?;
        let is_loopback = interface.kind == libc::ARPHRD_LOOPBACK;
        let has_header = is_loopback || interface.kind == libc::ARPHRD_ETHER;
        let link = if has_header { Link::Ethernet } else { Link::Ip };
        if is_loopback {
            // Each packet of loopback is seen going out and coming in.
            socket.ignore_outgoing();
        }
        Ok(Self { socket, link, is_loopback, interface })
    }

    /// Has the kernel hold back what is not wanted. To be called before [`bind`](Self::bind), so that no packet slips by.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not take.
    pub(super) fn cut(&self, cut: &Cut) -> io::Result<()> {
        let program = cut.program(self.link);
        if program.is_empty() { Ok(()) } else { self.socket.attach(&program) }
    }

    /// Receives from now on, shared with others of its group if it has one.
    ///
    /// # Errors
    /// Whatever the kernel says of the interface.
    pub(super) fn bind(&self, wanted: &Wanted<'_>) -> io::Result<()> {
        self.socket.bind(self.interface)?;
        if wanted.is_promiscuous {
            self.socket.hear_all(self.interface)?;
        }
        wanted.group.map_or(Ok(()), |group| group.join(&self.socket))
    }
}
