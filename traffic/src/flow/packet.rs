//! The way of a frame to its flow: checksums, pieces and one tunnel.

use khien_core::traffic::Tunnel;
use pnet::packet::ip::IpNextHeaderProtocol;

use super::{Checksums, Engine, Seen, fragments::Place, nanoseconds, sweep::FEW, timestamp};
use crate::{
    decode::{
        Around, Frame, Link, Packet, Skipped,
        checksum::Sum,
        ip::{self, IpPacket},
        link, transport, tunnel,
    },
    sink::{Evasion, Sink, Trick},
};

impl Engine {
    /// Takes a frame.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, sink: &mut dyn Sink) {
        self.counts.frames += 1;
        let at = nanoseconds(frame.at);
        self.now = self.now.max(at);
        if self.now >= self.sweep_at {
            self.sweep(FEW, sink);
        }
        let interface = u16::try_from(frame.interface).ok();
        let Some(interface) = interface.filter(|i| usize::from(*i) < self.interfaces.len()) else {
            self.counts.malformed += 1;
            return;
        };
        let bytes = u64::from(frame.length).max(frame.bytes.len() as u64);
        let mut seen = Seen { at, interface, around: Around::default(), frames: 1, bytes, hops: 0 };
        if let Some(id) = frame.vlan {
            link::tag(&mut seen.around.tags, id);
        }
        self.link(frame.link, frame.bytes, (&mut seen, sink));
    }

    fn link(&mut self, link: Link, bytes: &[u8], (seen, sink): (&mut Seen, &mut dyn Sink)) {
        match link::strip(link, bytes, &mut seen.around.tags).and_then(ip::packet) {
            Ok(ip) => self.ip(&ip, seen, sink),
            Err(why) => self.counts.skip(why),
        }
    }

    fn ip(&mut self, ip: &IpPacket<'_>, seen: &mut Seen, sink: &mut dyn Sink) {
        if self.is_refused(ip.sum) {
            return;
        }
        seen.hops = ip.hops;
        let Some(piece) = ip.piece else { return self.carried(ip, seen, sink) };
        let around = self.seed.around(&seen.around);
        let place = Place { at: (seen.interface, around), now: self.now, frame_bytes: seen.bytes };
        let contradictions = self.fragments.counts.contradictions;
        let whole = self.fragments.take(ip, piece, place);
        if self.fragments.counts.contradictions > contradictions {
            let (at, client, server) = (timestamp(seen.at), ip.source, ip.destination);
            sink.evaded(Evasion { trick: Trick::Piece, at, client, server, flow: None });
        }
        let Some(whole) = whole else { return };
        (seen.frames, seen.bytes) = (whole.frames, whole.frame_bytes);
        match headers(ip, whole.carries, &whole.bytes) {
            Ok((carries, payload)) => {
                let ip = IpPacket { carries, payload, piece: None, ..*ip };
                self.carried(&ip, seen, sink);
            }
            Err(why) => self.counts.skip(why),
        }
    }

    /// Takes what an IP packet carries: a tunnel is opened once.
    fn carried(&mut self, ip: &IpPacket<'_>, seen: &mut Seen, sink: &mut dyn Sink) {
        if self.limits.checksums != Checksums::Ignore && self.is_refused(transport::sum(ip)) {
            return;
        }
        if seen.around.tunnel.is_none()
            && let Some(inside) = tunnel::inside(ip)
        {
            self.counts.tunnelled += 1;
            // Anybody may send what looks like VXLAN: the outside is a flow, too.
            if let Ok(Packet::Udp(outer)) = transport::packet(ip) {
                self.datagram(&outer, seen, sink);
            }
            let (kind, id) = (inside.kind, inside.id);
            seen.around.tunnel = Some(Tunnel { kind, from: ip.source, to: ip.destination, id });
            return self.link(inside.link, inside.bytes, (seen, sink));
        }
        match transport::packet(ip) {
            Ok(Packet::Tcp(segment)) => self.segment(&segment, seen, sink),
            Ok(Packet::Udp(datagram)) => self.datagram(&datagram, seen, sink),
            Ok(Packet::Icmp(message)) => self.message(&message, seen, sink),
            Err(why) => self.counts.skip(why),
        }
    }

    /// Counts a checksum, and tells whether the packet is not followed for it.
    fn is_refused(&mut self, sum: Sum) -> bool {
        match (sum, self.limits.checksums) {
            (_, Checksums::Ignore) | (Sum::Unknown | Sum::Right, _) => false,
            (Sum::Unfinished, Checksums::Judge) => {
                self.counts.unfinished_checksums += 1;
                false
            }
            (Sum::Wrong, _) | (Sum::Unfinished, Checksums::Strict) => {
                self.counts.wrong_checksums += 1;
                true
            }
        }
    }
}

/// Passes the headers at the beginning of a packet that was put together; a piece of a piece is nobody's.
fn headers<'a>(
    ip: &IpPacket<'_>,
    carries: IpNextHeaderProtocol,
    bytes: &'a [u8],
) -> Result<(IpNextHeaderProtocol, &'a [u8]), Skipped> {
    if ip.source.is_ipv4() {
        return Ok((carries, bytes));
    }
    match ip::past_extensions(carries, bytes)? {
        (carries, payload, None) => Ok((carries, payload)),
        (.., Some(_)) => Err(Skipped::Malformed),
    }
}
