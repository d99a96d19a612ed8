//! What a UDP datagram does to its flow: DNS and the beginning of QUIC are read.

use khien_core::{
    event::{Application, Direction},
    traffic::{Dns, What},
};

use super::{key::From, scene::Scene, talk::Talk};
use crate::{
    application::{dns, quic},
    decode::Datagram,
    sink::Named,
};

/// DNS, mDNS (RFC 6762) and LLMNR (RFC 4795).
const DNS_PORTS: [u16; 3] = [53, 5353, 5355];
const QUIC_PORT: u16 = 443;
/// Ports below are servers'.
const FIRST_FREE_PORT: u16 = 1024;
/// What begins a connection of QUIC is never shorter, RFC 9000 §14.1.
const LEAST_INITIAL: usize = 1_200;

/// Tells whether servers answer from a port.
pub(crate) fn is_server(port: u16) -> bool {
    port < FIRST_FREE_PORT || DNS_PORTS.contains(&port)
}

/// Returns who is the client: who sent the first datagram, unless only that one has a server's port and says what may be an answer.
/// Who scans from such a port (`nmap -g 53`) answers nothing.
pub(super) fn client(from: From, datagram: &Datagram<'_>) -> From {
    let (source, payload) = (datagram.source.port(), datagram.payload);
    let is_answer = is_server(source)
        && !is_server(datagram.destination.port())
        && match DNS_PORTS.contains(&source) {
            true => dns::is_answer(payload),
            false => !payload.is_empty(),
        };
    match (from, is_answer) {
        (from, false) => from,
        (From::Low, true) => From::High,
        (From::High, true) => From::Low,
    }
}

/// Takes a datagram of a flow.
pub(super) fn handle(scene: &mut Scene<'_>, direction: Direction, datagram: &Datagram<'_>) {
    let entry = &mut *scene.entry;
    entry.side(direction).stream.count(datagram.payload.len());
    entry.was_answered |= direction == Direction::ToClient;
    if datagram.payload.is_empty() {
        return;
    }
    let ports = [datagram.source.port(), datagram.destination.port()];
    if ports.iter().any(|port| DNS_PORTS.contains(port)) {
        if let Some(dns) = dns::message(datagram.payload) {
            told(scene, dns);
        }
    } else if direction == Direction::ToServer && datagram.destination.port() == QUIC_PORT && !entry.is_deaf {
        initial(scene, datagram.payload);
    }
}

/// Tells a message; a name that nobody was seen to ask for is told with its answer.
fn told(scene: &mut Scene<'_>, dns: Dns) {
    scene.entry.application = Application::Dns;
    let is_known = scene.entry.name.as_deref() == Some(&dns.query);
    let is_told = dns.query.raw().is_empty() || dns.answer && is_known;
    if !is_told {
        scene.entry.name = Some(Box::new(dns.query.clone()));
        let facts = scene.facts(Direction::ToServer, None);
        // Question and answer share their number; 0 would mean that they cannot be told apart.
        let origin = scene.origin(u64::from(dns.id) + 1);
        scene.sink.named(Named { origin, facts });
    }
    scene.record(What::Dns(Box::new(dns)));
}

/// Most of what a connection sends is no beginning of one, and says nothing of what comes.
fn initial(scene: &mut Scene<'_>, payload: &[u8]) {
    if payload.len() < LEAST_INITIAL || !quic::is_initial(payload) {
        return;
    }
    let mut talk = scene.entry.talk.take().unwrap_or_else(|| Box::new(Talk::of_quic()));
    talk.initial(payload, scene);
    match talk.is_over(scene.wants) {
        true => scene.entry.is_deaf = true,
        false => scene.entry.talk = Some(talk),
    }
}
