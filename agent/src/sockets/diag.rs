//! Asks the kernel for one socket by its two ends: netlink `sock_diag`, a lookup in the kernel's own table and no list.
//!
//! ```text
//! question: header 16 │ family, protocol, extensions, – │ states 4 │ ports 2+2 BE │ source 16 │ destination 16 │ interface 4 │ cookie 8
//! answer:   header 16 │ family, state, timer, retransmits          │ ports 2+2 BE │ source 16 │ destination 16 │ interface 4 │ cookie 8
//!           │ expires 4 │ queues 4+4 │ user 4 │ inode 4
//! ```

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with, sockopt,
};

use super::{Socket, is_any};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `AF_INET` and `AF_INET6` as one byte.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The length of a question.
const QUESTION: usize = 72;
/// Where an answer ends that is read: behind the inode.
const ANSWER: usize = 88;
/// `TCP_LISTEN`.
const LISTEN: u8 = 10;
/// `TCP_FIN_WAIT1`, `TCP_FIN_WAIT2`, `TCP_TIME_WAIT`, `TCP_CLOSE`, `TCP_LAST_ACK`, `TCP_CLOSING`: what is closed from here. One that is
/// not accepted yet is in none of them, also when its peer closed it.
const CLOSED: [u8; 6] = [4, 5, 6, 7, 9, 11];
/// The kernel answers at once; a socket that is silent for so long is broken.
const PATIENCE: Duration = Duration::from_millis(200);

/// A way to the kernel.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    number: u32,
}

/// What the kernel says of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Names the socket in `/proc/PID/fd`; 0 while no process has it: a connection that was not accepted yet, or one that
    /// its process closed.
    pub(super) inode: u32,
    /// Whether it only waits for connections, so that another process may take this one.
    pub(super) waits: bool,
    /// Whether its process closed it, so that nobody has it any more.
    pub(super) is_over: bool,
}

impl Found {
    /// Takes what the kernel says: the inode, and for TCP the state.
    pub(super) fn new(inode: u32, tcp_state: Option<u8>) -> Self {
        let is_over = inode == 0 && tcp_state.is_some_and(|state| CLOSED.contains(&state));
        Self { inode, waits: tcp_state == Some(LISTEN), is_over }
    }
}

impl Diag {
    /// Opens a way to the kernel.
    ///
    /// # Errors
    /// When there is none, or the kernel knows no sockets of TCP or UDP by it: it answers then as if there were none.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let mut it = Self { socket, number: 0 };
        let any = (Ipv4Addr::UNSPECIFIED, 0);
        let (tcp, udp) = (TcpListener::bind(any)?, UdpSocket::bind(any)?);
        for (is_tcp, port) in [(true, tcp.local_addr()?.port()), (false, udp.local_addr()?.port())] {
            it.find(&probe(is_tcp, port))?.ok_or(io::ErrorKind::Unsupported)?;
        }
        Ok(it)
    }

    /// Looks a socket up.
    pub(super) fn find(&mut self, wanted: &Socket) -> io::Result<Option<Found>> {
        // For UDP the kernel takes the two ends the other way round, and did not always.
        let turned = [wanted.is_tcp, !wanted.is_tcp];
        for local_is_source in turned.into_iter().take(if wanted.is_tcp { 1 } else { 2 }) {
            if let Some(found) = self.ask(wanted, local_is_source)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn ask(&mut self, wanted: &Socket, local_is_source: bool) -> io::Result<Option<Found>> {
        self.number = self.number.wrapping_add(1);
        let question = question(wanted, local_is_source, self.number);
        sendto(&self.socket, &question, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 1_024];
        loop {
            let (length, _) = recv(&self.socket, &mut answer[..], RecvFlags::empty())?;
            let Some(answer) = answer.get(..length) else { return Ok(None) };
            // An answer to a question that was given up on.
            if number(answer) == Some(self.number) {
                return read(answer, wanted);
            }
        }
    }
}

/// Names a socket of our own that takes whatever comes to a port.
fn probe(is_tcp: bool, port: u16) -> Socket {
    let [local, remote] = [port, 1].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Socket { is_tcp, local, remote }
}

fn question(wanted: &Socket, local_is_source: bool, number: u32) -> [u8; QUESTION] {
    let (source, destination) = match local_is_source {
        true => (wanted.local, wanted.remote),
        false => (wanted.remote, wanted.local),
    };
    let family = if wanted.local.is_ipv4() { INET } else { INET6 };
    let protocol = if wanted.is_tcp { TCP } else { UDP };
    let mut out = Vec::with_capacity(QUESTION);
    out.extend((QUESTION as u32).to_ne_bytes());
    out.extend(BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST.to_ne_bytes());
    out.extend(number.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend([family, protocol, 0, 0]);
    out.extend(u32::MAX.to_ne_bytes());
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out.extend(bytes(source.ip()));
    out.extend(bytes(destination.ip()));
    out.extend(0u32.to_ne_bytes());
    out.extend([0xff; 8]);
    out.try_into().unwrap_or([0; QUESTION])
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn number(answer: &[u8]) -> Option<u32> {
    word(answer, 8)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads an answer. A socket that is another one than was asked for is none: for UDP that is found out here.
fn read(answer: &[u8], wanted: &Socket) -> io::Result<Option<Found>> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let kind = u16::from_ne_bytes(answer.get(4..6).and_then(|b| b.try_into().ok()).ok_or_else(cut)?);
    if kind == ERROR {
        let error = word(answer, 16).ok_or_else(cut)?.cast_signed();
        return match error.checked_neg() {
            Some(libc::ENOENT) => Ok(None),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Err(io::ErrorKind::InvalidData.into()),
        };
    }
    let answer = answer.get(..ANSWER).filter(|_| kind == BY_FAMILY).ok_or_else(cut)?;
    let (Some(inode), Some(local), Some(remote)) =
        (word(answer, 84), end(answer, 20, 24), end(answer, 22, 40))
    else {
        return Err(cut());
    };
    let found = Found::new(inode, wanted.is_tcp.then_some(answer[17]));
    Ok((fits(local, wanted.local) && fits(remote, wanted.remote)).then_some(found))
}

fn end(answer: &[u8], port: usize, address: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(answer.get(port..port + 2)?.try_into().ok()?);
    let bytes: [u8; 16] = answer.get(address..address + 16)?.try_into().ok()?;
    let address = match answer.get(16)? {
        &INET => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        _ => Ipv6Addr::from(bytes).to_canonical(),
    };
    Some(SocketAddr::new(address, port))
}

/// Tells whether an end of a socket is the one that was asked for, or one that takes any.
pub(super) fn fits(found: SocketAddr, wanted: SocketAddr) -> bool {
    (found.port() == wanted.port() || found.port() == 0) && (found.ip() == wanted.ip() || is_any(found.ip()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted() -> Socket {
        Socket {
            is_tcp: true,
            local: "192.0.2.1:5000".parse().unwrap(),
            remote: "198.51.100.2:443".parse().unwrap(),
        }
    }

    fn answer(local: &str, remote: &str, state: u8, inode: u32) -> Vec<u8> {
        let socket = Socket { local: local.parse().unwrap(), remote: remote.parse().unwrap(), ..wanted() };
        let asked = question(&socket, true, 7);
        let mut out = [&asked[..16], &[asked[16], state, 0, 0], &asked[24..72]].concat();
        out.extend([0; 16]);
        out.extend(inode.to_ne_bytes());
        out
    }

    #[test]
    fn a_question_is_laid_out_as_the_kernel_reads_it() {
        let asked = question(&wanted(), true, 7);

        assert_eq!(asked[16..20], [2, 6, 0, 0]);
        assert_eq!(asked[24..28], [0x13, 0x88, 0x01, 0xbb]);
        assert_eq!(asked[28..32], [192, 0, 2, 1]);
        assert_eq!(asked[44..48], [198, 51, 100, 2]);
        assert_eq!(question(&wanted(), false, 7)[24..28], [0x01, 0xbb, 0x13, 0x88]);
    }

    #[test]
    fn an_answer_about_another_socket_is_none() {
        let said =
            |local: &str, remote: &str, state| read(&answer(local, remote, state, 9), &wanted()).unwrap();

        assert_eq!(said("192.0.2.1:5000", "198.51.100.2:443", 1), Some(Found::new(9, Some(1))));
        assert_eq!(said("0.0.0.0:5000", "0.0.0.0:0", LISTEN), Some(Found::new(9, Some(LISTEN))));
        assert_eq!(said("198.51.100.2:443", "192.0.2.1:5000", 1), None);
        assert_eq!(said("192.0.2.9:5000", "198.51.100.2:443", 1), None);
    }

    #[test]
    fn a_way_is_tried_with_sockets_that_are_surely_there() {
        let mut diag = Diag::open().unwrap();
        let (tcp, udp) = (TcpListener::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("0.0.0.0:0").unwrap());
        let ports = [(true, tcp.local_addr().unwrap().port()), (false, udp.local_addr().unwrap().port())];

        for (is_tcp, port) in ports {
            assert!(diag.find(&probe(is_tcp, port)).unwrap().is_some(), "{is_tcp}");
        }
        drop((tcp, udp));
        assert_eq!(diag.find(&probe(true, ports[0].1)).unwrap(), None);
    }

    #[test]
    fn a_connection_that_its_process_closed_is_over_and_one_that_nobody_took_yet_is_not() {
        let [established, time_wait, close_wait] = [1, 6, 8].map(Some);

        assert!(Found::new(0, time_wait).is_over);
        for open in [Found::new(0, established), Found::new(0, close_wait), Found::new(9, time_wait)] {
            assert!(!open.is_over && !open.waits, "{open:?}");
        }
        assert!(!Found::new(0, None).is_over, "states of UDP say nothing");
        assert!(Found::new(9, Some(LISTEN)).waits);
    }

    proptest! {
        #[test]
        fn any_answer_is_taken(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0u16..24) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(4..6) {
                place.copy_from_slice(&kind.to_ne_bytes());
            }
            let _ = (number(&bytes), read(&bytes, &wanted()));
        }
    }
}
