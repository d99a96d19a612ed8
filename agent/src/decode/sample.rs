//! Frames, made by hand for tests.

use std::net::{IpAddr, SocketAddr};

/// A frame without its payload.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    source: SocketAddr,
    destination: SocketAddr,
    tags: Vec<u16>,
    extensions: Vec<(u8, Vec<u8>)>,
}

/// What a frame carries: protocol number and the header behind the ports, with the payload.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    protocol: u8,
    rest: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(source: &str, destination: &str) -> Self {
        Self {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            tags: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// Adds VLAN tags, outermost first.
    pub(crate) fn tags(mut self, kinds: &[u16]) -> Self {
        self.tags.extend_from_slice(kinds);
        self
    }

    /// Adds an IPv6 extension header; `rest` is what stands behind "next" and, for most, the length.
    pub(crate) fn extension(mut self, kind: u8, rest: &[u8]) -> Self {
        self.extensions.push((kind, rest.to_vec()));
        self
    }

    pub(crate) fn bytes(&self, carried: &Carried) -> Vec<u8> {
        let ports = [self.source.port().to_be_bytes(), self.destination.port().to_be_bytes()].concat();
        let mut body = [&ports[..], &carried.rest].concat();
        let mut out = vec![2; 12];
        for kind in &self.tags {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 7]);
        }
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = u16::try_from(body.len() + 20).unwrap().to_be_bytes();
                out.extend_from_slice(&[
                    8,
                    0,
                    0x45,
                    0,
                    length[0],
                    length[1],
                    0,
                    1,
                    0,
                    0,
                    64,
                    carried.protocol,
                    0,
                    0,
                ]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut next = carried.protocol;
                for (kind, rest) in self.extensions.iter().rev() {
                    let length = u8::try_from((rest.len() + 2) / 8 - 1).unwrap();
                    body = [&[next, length][..], rest, &body].concat();
                    next = *kind;
                }
                let length = u16::try_from(body.len()).unwrap().to_be_bytes();
                out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, length[0], length[1], next, 64]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
            }
            _ => panic!("addresses of two families"),
        }
        out.extend_from_slice(&body);
        out
    }
}

/// A TCP segment with ACK set.
pub(crate) fn tcp(seq: u32, payload: &[u8]) -> Carried {
    tcp_with(0x10, seq, 1, payload)
}

/// A TCP segment with the given flags.
pub(crate) fn tcp_with(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Carried {
    let mut rest = [seq.to_be_bytes(), ack.to_be_bytes()].concat();
    rest.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    rest.extend_from_slice(payload);
    Carried { protocol: 6, rest }
}

/// A UDP datagram.
pub(crate) fn udp(payload: &[u8]) -> Carried {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    Carried { protocol: 17, rest: [&length[..], &[0, 0], payload].concat() }
}

/// A DNS query for an address.
pub(crate) fn dns_query(name: &str) -> Vec<u8> {
    let mut out = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    out
}

/// A TLS record with a ClientHello for a name.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &sized(name.as_bytes())].concat();
    let sni = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let grease = [0x0a, 0x0a, 0, 1, 0];
    let extensions = sized(&[&grease[..], &sni].concat());
    let body = [&[3, 3][..], &[9; 32], &[0], &sized(&[0x13, 0x01]), &[1, 0], &extensions].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}
