//! What detectors ask of a flow.

use khien_core::{
    Timestamp, Untrusted,
    event::{Application, Direction, FlowFacts, Transport},
    net::Service,
    traffic::{Ends, Flow},
};

use crate::flow::is_server;

/// Ports from here on are taken at random by clients of Linux, those of Windows and others begin higher.
const EPHEMERAL: u16 = 32_768;
/// DHCP, DNS, NetBIOS names, NTP, SNMP, syslog, SSDP, mDNS, LLMNR: what hosts say by themselves all day.
const CHATTER: [u16; 12] = [53, 67, 68, 123, 137, 138, 161, 162, 514, 1900, 5353, 5355];

/// Returns a moment in milliseconds.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Returns the service to which a flow goes; ICMP has none.
pub(super) fn service(ends: &Ends) -> Option<Service> {
    (ends.transport != Transport::Icmp).then(|| Service::at(ends.server, ends.transport))
}

/// Tells whether a flow looks as if its two ends were taken one for the other, as they are where the sensor came late or sees one
/// direction only: few open a conversation from a service's port to a port that clients take at random. A SYN settles it; over UDP
/// who sends from a server's port is taken for the client only if what he says is no answer.
pub(super) fn is_backward(ends: &Ends) -> bool {
    let is_likely = ends.client.port() < EPHEMERAL && ends.server.port() >= EPHEMERAL;
    let is_settled = match ends.transport {
        Transport::Tcp => ends.saw_syn,
        Transport::Udp => is_server(ends.client.port()),
        Transport::Icmp => true,
    };
    is_likely && !is_settled
}

/// Tells whether nobody took a conversation. Who sent something over TCP was let in, even if the sensor did not see the answer; but
/// a SYN may carry bytes that nobody took.
pub(super) fn is_unanswered(ends: &Ends, flow: &Flow) -> bool {
    let may_be_let_in = ends.transport == Transport::Tcp && !ends.saw_syn;
    !flow.answered && (!may_be_let_in || flow.to_server.payload == 0)
}

/// Tells whether both ends took part: a client that sent bytes, and a server that let it in or answered. One end alone may make up
/// conversations of whom it likes.
pub(super) fn is_mutual(ends: &Ends, flow: &Flow) -> bool {
    flow.to_server.payload > 0 && (flow.to_client.payload > 0 || ends.saw_syn && flow.answered)
}

/// Tells whether a flow is what hosts say by themselves all day.
pub(super) fn is_chatter(ends: &Ends) -> bool {
    match ends.transport {
        Transport::Icmp => true,
        Transport::Udp => CHATTER.contains(&ends.server.port()),
        Transport::Tcp => ends.server.port() == 53,
    }
}

/// Says what is known of a flow.
pub(super) fn facts(ends: &Ends, application: Application, name: Option<Untrusted>) -> FlowFacts {
    FlowFacts {
        transport: ends.transport,
        client: ends.client,
        server: ends.server,
        direction: Direction::ToServer,
        interface: ends.interface.clone(),
        vlan: ends.vlan.clone(),
        tunnel: ends.tunnel.clone().map(Box::new),
        application,
        name,
        url: None,
        listed: None,
        process: None,
    }
}

/// Says what is known of a flow that was told.
pub(super) fn facts_of(ends: &Ends, flow: &Flow) -> FlowFacts {
    FlowFacts { process: flow.process.clone(), ..facts(ends, flow.application, flow.name.clone()) }
}
