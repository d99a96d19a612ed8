//! Frames, made by hand for tests.

use std::net::{IpAddr, SocketAddr};

/// A frame without its payload.
#[derive(Debug, Clone)]
pub struct Frame {
    source: SocketAddr,
    destination: SocketAddr,
    tags: Vec<u16>,
    extensions: Vec<(u8, Vec<u8>)>,
    hops: u8,
    is_summed: bool,
}

/// What a frame carries: protocol number and the header behind the ports, with the payload.
#[derive(Debug, Clone)]
pub struct Carried {
    protocol: u8,
    rest: Vec<u8>,
}

impl Frame {
    /// Begins one between two ends.
    pub fn new(source: &str, destination: &str) -> Self {
        Self {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            tags: Vec::new(),
            extensions: Vec::new(),
            hops: 64,
            is_summed: false,
        }
    }

    /// Fills in right checksums.
    pub fn summed(mut self) -> Self {
        self.is_summed = true;
        self
    }

    /// Sets how many hops it may still go.
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Adds VLAN tags, outermost first.
    pub fn tags(mut self, kinds: &[u16]) -> Self {
        self.tags.extend_from_slice(kinds);
        self
    }

    /// Adds an IPv6 extension header; `rest` is what stands behind "next" and, for most, the length.
    pub fn extension(mut self, kind: u8, rest: &[u8]) -> Self {
        self.extensions.push((kind, rest.to_vec()));
        self
    }

    /// Writes it with what it carries.
    pub fn bytes(&self, carried: &Carried) -> Vec<u8> {
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
                let [high, low] = length;
                out.extend_from_slice(&[8, 0, 0x45, 0, high, low, 0, 1, 0, 0, self.hops, carried.protocol]);
                out.extend_from_slice(&[0, 0]);
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
                out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, length[0], length[1], next, self.hops]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
            }
            _ => panic!("addresses of two families"),
        }
        let carried_at = out.len() + body.len() - carried.rest.len() - 4;
        out.extend_from_slice(&body);
        if self.is_summed {
            let ip_at = 14 + 4 * self.tags.len();
            fill_sums(&mut out, ip_at, carried_at, carried.protocol);
        }
        out
    }
}

fn fill_sums(frame: &mut [u8], ip_at: usize, carried_at: usize, protocol: u8) {
    let is_v4 = frame[ip_at] >> 4 == 4;
    let addresses = if is_v4 { ip_at + 12..ip_at + 20 } else { ip_at + 8..ip_at + 40 };
    let around = plain_sum(&frame[addresses]) + u32::from(protocol);
    let length = u32::try_from(frame.len() - carried_at).unwrap();
    let at = carried_at + if protocol == 6 { 16 } else { 6 };
    frame[at..at + 2].fill(0);
    let sum = folded(around + length + plain_sum(&frame[carried_at..]));
    frame[at..at + 2].copy_from_slice(&(!sum).to_be_bytes());
    if is_v4 {
        frame[ip_at + 10..ip_at + 12].fill(0);
        let sum = folded(plain_sum(&frame[ip_at..ip_at + 20]));
        frame[ip_at + 10..ip_at + 12].copy_from_slice(&(!sum).to_be_bytes());
    }
}

fn plain_sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | c.get(1).map_or(0, |b| u32::from(*b))).sum()
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// A TCP segment with ACK set.
pub fn tcp(seq: u32, payload: &[u8]) -> Carried {
    tcp_with(0x10, seq, 1, payload)
}

/// A TCP segment with the given flags.
pub fn tcp_with(flags: u8, seq: u32, ack: u32, payload: &[u8]) -> Carried {
    let mut rest = [seq.to_be_bytes(), ack.to_be_bytes()].concat();
    rest.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    rest.extend_from_slice(payload);
    Carried { protocol: 6, rest }
}

/// A TCP segment with ACK and URG set.
pub fn tcp_urgent(seq: u32, pointer: u16, payload: &[u8]) -> Carried {
    let mut carried = tcp_with(0x30, seq, 1, payload);
    carried.rest[14..16].copy_from_slice(&pointer.to_be_bytes());
    carried
}

/// A UDP datagram.
pub fn udp(payload: &[u8]) -> Carried {
    let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
    Carried { protocol: 17, rest: [&length[..], &[0, 0], payload].concat() }
}

/// A DNS query for an address.
pub fn dns_query(name: &str) -> Vec<u8> {
    let mut out = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    out
}

/// A TLS record with a ClientHello for a name.
pub fn client_hello(name: &str) -> Vec<u8> {
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

/// Cuts the IPv4 packet of a frame into pieces whose payload is `size` bytes, the last what is left.
pub fn pieces(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, body) = frame.split_at(34);
    let count = body.len().div_ceil(size);
    body.chunks(size).enumerate().map(|(i, part)| piece(header, i * size, part, i + 1 < count)).collect()
}

/// Makes one piece of an IPv4 packet; `header` is that of the frame and of IP.
pub fn piece(header: &[u8], offset: usize, part: &[u8], more: bool) -> Vec<u8> {
    let mut out = [&header[..34], part].concat();
    let place = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    out[16..18].copy_from_slice(&u16::try_from(part.len() + 20).unwrap().to_be_bytes());
    out[20..22].copy_from_slice(&place.to_be_bytes());
    out[24..26].fill(0);
    out
}
