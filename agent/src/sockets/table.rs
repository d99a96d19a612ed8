//! Reads the kernel's lists of sockets: `/proc/PID/net/{tcp,tcp6,udp,udp6}`. For other namespaces, and where `sock_diag` is
//! not to be had.

use std::{
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use super::{
    Socket,
    diag::{Found, fits},
};

/// More of one list is not read: some fifty thousand sockets.
const MAX_LIST: u64 = 8 << 20;

/// The sockets of one namespace.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(Socket, Found)>,
}

impl Table {
    /// Reads the lists below a folder such as `/proc/7/net`.
    pub(super) fn read(net: &Path) -> Self {
        let mut rows = Vec::new();
        for (name, is_tcp) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)] {
            let mut text = String::new();
            // A list that is not there has no sockets; one that is cut in a line has that line not.
            let read = File::open(net.join(name)).map(|file| file.take(MAX_LIST).read_to_string(&mut text));
            if matches!(read, Ok(Ok(_))) {
                rows.extend(text.lines().skip(1).filter_map(|line| row(line, is_tcp)));
            }
        }
        Self { rows }
    }

    /// Looks a socket up: that very one, else one that takes any.
    pub(super) fn find(&self, wanted: &Socket) -> Option<Found> {
        let exact = |(socket, _): &&(Socket, Found)| socket == wanted;
        let fitting = |(socket, _): &&(Socket, Found)| {
            socket.is_tcp == wanted.is_tcp
                && fits(socket.local, wanted.local)
                && socket.local.port() == wanted.local.port()
                && fits(socket.remote, wanted.remote)
        };
        let found = self.rows.iter().find(exact).or_else(|| self.rows.iter().find(fitting));
        found.map(|(_, found)| *found)
    }
}

/// Reads one line: `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 12345 …`.
fn row(line: &str, is_tcp: bool) -> Option<(Socket, Found)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let inode: u32 = words.nth(5)?.parse().ok()?;
    Some((Socket { is_tcp, local, remote }, Found::new(inode, is_tcp.then_some(state))))
}

/// Reads `0100007F:1F90`: words of four bytes as this host has them in memory, and the port.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words: Vec<[u8; 4]> = [0, 8, 16, 24].into_iter().map_while(word).collect();
            Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TCP: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 19 1 0 100 0 0 10 0
   1: 010200C0:1388 026433C6:01BB 01 00000000:00000000 02:000014D6 00000000    33        0 20 3 0
   2: nonsense
";
    const TCP6: &str = "  sl  local_address
   0: 0000000000000000FFFF0000010200C0:1389 0000000000000000FFFF0000026433C6:01BB 01 00000000:00000000 02:000014D6 00000000    33        0 21 3 0
";

    fn table() -> Table {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tcp"), TCP).unwrap();
        std::fs::write(dir.path().join("tcp6"), TCP6).unwrap();
        Table::read(dir.path())
    }

    fn find(local: &str, remote: &str) -> Option<Found> {
        let socket = Socket { is_tcp: true, local: local.parse().unwrap(), remote: remote.parse().unwrap() };
        table().find(&socket)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_very_socket_is_found_before_one_that_takes_any() {
        let found = |inode, state| Some(Found::new(inode, Some(state)));

        assert_eq!(find("192.0.2.1:5000", "198.51.100.2:443"), found(20, 1));
        assert_eq!(find("192.0.2.1:5001", "198.51.100.2:443"), found(21, 1), "IPv4 within IPv6");
        assert_eq!(find("192.0.2.1:8080", "203.0.113.9:40000"), found(19, 10));
        assert_eq!(find("192.0.2.1:5000", "203.0.113.9:40000"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_taken(line in ".{0,200}") {
            let _ = row(&line, true);
        }
    }
}
