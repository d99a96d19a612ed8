//! Reads records: any bytes are taken, and what cannot be is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    event::{Application, Direction},
    traffic::{Dns, Ends, File, Flow, Http, Ja4, Record, Tls, Volume, What},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IntoDeserializer, value},
};

use super::{FLOW_ENDS, KINDS, Kind, TRANSPORTS, bit};

/// Reads what a [`Writer`](super::Writer) wrote.
#[derive(Debug)]
pub(in crate::records) struct Reader<'a> {
    rest: &'a [u8],
    at: i128,
    interface: Untrusted,
}

impl<'a> Reader<'a> {
    /// Begins with the first record.
    pub(in crate::records) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0, interface: Untrusted::default() }
    }

    /// Reads all records; nothing if any of them cannot be one.
    pub(in crate::records) fn all(mut self) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        while !self.rest.is_empty() {
            records.push(self.record()?);
        }
        Some(records)
    }

    fn record(&mut self) -> Option<Record> {
        let at = self.time(self.at)?;
        self.at = at.as_nanosecond();
        let ends = self.ends()?;
        let what = match KINDS.get(usize::from(self.byte()?))? {
            Kind::Flow => What::Flow(Box::new(self.flow()?)),
            Kind::Dns => What::Dns(Box::new(self.dns()?)),
            Kind::Tls => What::Tls(Box::new(self.tls()?)),
            Kind::Http => What::Http(Box::new(self.http()?)),
            Kind::Smtp => What::Smtp(self.json()??),
            Kind::File => What::File(Box::new(self.file()?)),
        };
        Some(Record { at, ends, what })
    }

    fn ends(&mut self) -> Option<Ends> {
        let bits = self.byte()?;
        let has = |bit: u8| bits & bit != 0;
        let flow = self.number()?;
        let (client, server) = (self.end(has(bit::CLIENT_V6))?, self.end(has(bit::SERVER_V6))?);
        let vlan = if has(bit::VLAN) { self.vlan()? } else { Vec::new() };
        let tunnel = if has(bit::TUNNEL) { self.json()? } else { None };
        if has(bit::INTERFACE) {
            self.interface = self.text()??;
        }
        Some(Ends {
            flow,
            interface: self.interface.clone(),
            vlan,
            tunnel,
            transport: *TRANSPORTS.get(usize::from(bits >> bit::TRANSPORT))?,
            client,
            server,
            saw_syn: has(bit::SAW_SYN),
        })
    }

    fn end(&mut self, is_v6: bool) -> Option<SocketAddr> {
        let ip: IpAddr = match is_v6 {
            false => Ipv4Addr::from(self.array::<4>()?).into(),
            true => Ipv6Addr::from(self.array::<16>()?).into(),
        };
        Some(SocketAddr::new(ip, u16::from_le_bytes(self.array()?)))
    }

    fn vlan(&mut self) -> Option<Vec<u16>> {
        (0..self.number()?).map(|_| self.small()).collect()
    }

    fn flow(&mut self) -> Option<Flow> {
        let (first, last) = (self.time(self.at)?, self.time(self.at)?);
        let bits = self.byte()?;
        let word = std::str::from_utf8(self.some()??).ok()?;
        let application = Application::deserialize(IntoDeserializer::<value::Error>::into_deserializer(word));
        Some(Flow {
            first,
            last,
            ended: *FLOW_ENDS.get(usize::from(bits >> 1))?,
            application: application.ok()?,
            name: self.text()?,
            to_server: self.volume()?,
            to_client: self.volume()?,
            answered: bits & 1 == 1,
            process: self.json()?,
        })
    }

    fn volume(&mut self) -> Option<Volume> {
        let (packets, bytes) = (self.number()?, self.number()?);
        Some(Volume { packets, bytes, payload: self.number()?, missing: self.number()? })
    }

    fn dns(&mut self) -> Option<Dns> {
        Some(Dns {
            id: self.small()?,
            answer: self.byte()? == 1,
            query: self.text()??,
            query_type: self.small()?,
            code: self.optional()?,
            answers: self.list()?,
        })
    }

    fn tls(&mut self) -> Option<Tls> {
        Some(Tls {
            quic: self.byte()? == 1,
            sni: self.text()?,
            alpn: self.list()?,
            version: self.small()?,
            cipher: self.optional()?,
            ja4: self.parsed(Ja4::new)?,
            subject: self.text()?,
            issuer: self.text()?,
            certificate: self.parsed(digest)?,
        })
    }

    fn http(&mut self) -> Option<Http> {
        let [method, host, uri, user_agent, content_type] =
            [self.text()?, self.text()?, self.text()?, self.text()?, self.text()?];
        let status = self.optional()?;
        let (request_bytes, response_bytes) = (self.number()?, self.number()?);
        Some(Http { method, host, uri, user_agent, status, content_type, request_bytes, response_bytes })
    }

    fn file(&mut self) -> Option<File> {
        let bits = self.byte()?;
        Some(File {
            direction: if bits & 2 == 0 { Direction::ToServer } else { Direction::ToClient },
            name: self.text()?,
            content_type: self.text()?,
            size: self.number()?,
            whole: bits & 1 == 1,
            sha256: self.parsed(digest)?,
        })
    }

    fn time(&mut self, from: i128) -> Option<Timestamp> {
        let wide = self.wide()?;
        let distance = (wide >> 1).cast_signed() ^ -(wide & 1).cast_signed();
        Timestamp::from_nanosecond(from.checked_add(distance)?).ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.small()
    }

    fn small<T: TryFrom<u128>>(&mut self) -> Option<T> {
        T::try_from(self.wide()?).ok()
    }

    fn wide(&mut self) -> Option<u128> {
        let mut number = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn optional<T: TryFrom<u128>>(&mut self) -> Option<Option<T>> {
        match self.wide()? {
            0 => Some(None),
            number => T::try_from(number - 1).ok().map(Some),
        }
    }

    /// Reads bytes that may be none.
    fn some(&mut self) -> Option<Option<&'a [u8]>> {
        match self.optional::<usize>()? {
            None => Some(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    fn text(&mut self) -> Option<Option<Untrusted>> {
        Some(self.some()?.map(Untrusted::new))
    }

    fn list(&mut self) -> Option<Vec<Untrusted>> {
        (0..self.number()?).map(|_| self.text()?).collect()
    }

    fn parsed<T>(&mut self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
        match self.some()? {
            None => Some(None),
            Some(bytes) => parse(bytes).map(Some),
        }
    }

    fn json<T: DeserializeOwned>(&mut self) -> Option<Option<T>> {
        self.parsed(|text| serde_json::from_slice(text).ok())
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

fn digest(bytes: &[u8]) -> Option<Sha256> {
    bytes.try_into().ok().map(Sha256)
}
