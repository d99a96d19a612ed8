//! Writes records.

use std::net::{IpAddr, SocketAddr};

use khien_core::{
    Timestamp, Untrusted,
    event::Direction,
    traffic::{Dns, Ends, File, Flow, Http, Record, Tls, Volume, What},
};
use serde::Serialize;

use super::{FLOW_ENDS, Kind, TRANSPORTS, bit};

/// Writes records one behind the other.
#[derive(Debug, Default)]
pub(in crate::records) struct Writer {
    out: Vec<u8>,
    /// The time of the record before, in nanoseconds since 1970.
    at: i128,
    /// The interface of the record before; none before the first.
    interface: Option<Untrusted>,
}

impl Writer {
    /// Returns what was written.
    pub(in crate::records) fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Writes a record, or nothing of it.
    ///
    /// # Errors
    /// When a part of it has no JSON form.
    pub(in crate::records) fn put(&mut self, record: &Record) -> Result<(), serde_json::Error> {
        let before = self.out.len();
        let put = self.record(record);
        if put.is_err() {
            self.out.truncate(before);
            self.interface = None;
        }
        put
    }

    fn record(&mut self, Record { at, ends, what }: &Record) -> Result<(), serde_json::Error> {
        let begun = self.at;
        self.time(*at, begun);
        self.ends(ends)?;
        let at = at.as_nanosecond();
        match what {
            What::Flow(flow) => self.flow(flow, at)?,
            What::Dns(dns) => self.dns(dns),
            What::Tls(tls) => self.tls(tls),
            What::Http(http) => self.http(http),
            What::Smtp(smtp) => {
                self.out.push(Kind::Smtp as u8);
                self.json(Some(smtp))?;
            }
            What::File(file) => self.file(file),
        }
        self.at = at;
        Ok(())
    }

    fn ends(&mut self, ends: &Ends) -> Result<(), serde_json::Error> {
        let Ends { flow, interface, vlan, tunnel, transport, client, server, saw_syn } = ends;
        let is_other = self.interface.as_ref() != Some(interface);
        let bits = [
            (*saw_syn, bit::SAW_SYN),
            (!vlan.is_empty(), bit::VLAN),
            (tunnel.is_some(), bit::TUNNEL),
            (client.is_ipv6(), bit::CLIENT_V6),
            (server.is_ipv6(), bit::SERVER_V6),
            (is_other, bit::INTERFACE),
        ];
        let transport = place(&TRANSPORTS, transport) << bit::TRANSPORT;
        self.out.push(bits.iter().fold(transport, |all, (is, bit)| if *is { all | bit } else { all }));
        self.number(*flow);
        self.end(*client);
        self.end(*server);
        if !vlan.is_empty() {
            self.number(vlan.len() as u64);
            vlan.iter().for_each(|id| self.number(u64::from(*id)));
        }
        if tunnel.is_some() {
            self.json(tunnel.as_ref())?;
        }
        if is_other {
            self.text(Some(interface));
            self.interface = Some(interface.clone());
        }
        Ok(())
    }

    fn end(&mut self, end: SocketAddr) {
        match end.ip() {
            IpAddr::V4(ip) => self.out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => self.out.extend_from_slice(&ip.octets()),
        }
        self.out.extend_from_slice(&end.port().to_le_bytes());
    }

    fn flow(&mut self, flow: &Flow, at: i128) -> Result<(), serde_json::Error> {
        let Flow { first, last, ended, application, name, to_server, to_client, answered, process } = flow;
        self.out.push(Kind::Flow as u8);
        self.time(*first, at);
        self.time(*last, at);
        self.out.push(place(&FLOW_ENDS, ended) << 1 | u8::from(*answered));
        self.some(Some(application.as_str().as_bytes()));
        self.text(name.as_ref());
        for Volume { packets, bytes, payload, missing } in [to_server, to_client] {
            [packets, bytes, payload, missing].into_iter().for_each(|n| self.number(*n));
        }
        self.json(process.as_ref())
    }

    fn dns(&mut self, Dns { id, answer, query, query_type, code, answers }: &Dns) {
        self.out.push(Kind::Dns as u8);
        self.number(u64::from(*id));
        self.out.push(u8::from(*answer));
        self.text(Some(query));
        self.number(u64::from(*query_type));
        self.optional(code.map(u64::from));
        self.list(answers);
    }

    fn tls(&mut self, tls: &Tls) {
        let Tls { quic, sni, alpn, version, cipher, ja4, subject, issuer, certificate } = tls;
        self.out.push(Kind::Tls as u8);
        self.out.push(u8::from(*quic));
        self.text(sni.as_ref());
        self.list(alpn);
        self.number(u64::from(*version));
        self.optional(cipher.map(u64::from));
        self.some(ja4.as_ref().map(|ja4| ja4.as_str().as_bytes()));
        self.text(subject.as_ref());
        self.text(issuer.as_ref());
        self.some(certificate.as_ref().map(|digest| &digest.0[..]));
    }

    fn http(&mut self, http: &Http) {
        let Http { method, host, uri, user_agent, status, content_type, request_bytes, response_bytes } =
            http;
        self.out.push(Kind::Http as u8);
        [method, host, uri, user_agent, content_type].into_iter().for_each(|text| self.text(text.as_ref()));
        self.optional(status.map(u64::from));
        self.number(*request_bytes);
        self.number(*response_bytes);
    }

    fn file(&mut self, File { direction, name, content_type, size, whole, sha256 }: &File) {
        self.out.push(Kind::File as u8);
        self.out.push(u8::from(*direction == Direction::ToClient) << 1 | u8::from(*whole));
        self.text(name.as_ref());
        self.text(content_type.as_ref());
        self.number(*size);
        self.some(sha256.as_ref().map(|digest| &digest.0[..]));
    }

    fn time(&mut self, at: Timestamp, from: i128) {
        let distance = at.as_nanosecond() - from;
        self.wide((distance << 1 ^ distance >> 127).cast_unsigned());
    }

    fn number(&mut self, number: u64) {
        self.wide(number.into());
    }

    fn wide(&mut self, mut number: u128) {
        while number >= 0x80 {
            // The seven lowest bits are meant.
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn optional(&mut self, number: Option<u64>) {
        self.wide(number.map_or(0, |number| u128::from(number) + 1));
    }

    fn some(&mut self, bytes: Option<&[u8]>) {
        self.optional(bytes.map(|bytes| bytes.len() as u64));
        self.out.extend_from_slice(bytes.unwrap_or_default());
    }

    fn text(&mut self, text: Option<&Untrusted>) {
        self.some(text.map(Untrusted::raw));
    }

    fn list(&mut self, texts: &[Untrusted]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(Some(text)));
    }

    fn json<T: Serialize>(&mut self, what: Option<&T>) -> Result<(), serde_json::Error> {
        let text = what.map(serde_json::to_vec).transpose()?;
        self.some(text.as_deref());
        Ok(())
    }
}

/// Returns where a word stands in its table, which has them all.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|each| each == one).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}
