//! Rules between zones: who may speak to nobody but his peers, and who uses file shares and remote desktops of others.
//!
//! Nothing is remembered here: each flow is judged by itself, the moment it begins.

use khien_core::{
    detection::{Pattern, TrafficSubject},
    event::{Application, FlowFacts, Transport},
    net::Service,
    policy::{
        Network,
        network::{Zone, is_shared},
    },
    traffic::{Ends, Flow},
};

use super::seen::{facts, facts_of, is_backward, service};

/// DHCP, by which a host gets its address: without it there would be no zone.
const ADDRESSING: [u16; 2] = [67, 547];
/// The types of ICMP by which a host asks another one, IPv4 and IPv6; all others are answers and errors.
const ECHO: [u16; 2] = [8, 128];

/// Judges a flow that begins by the peers of its client's zone. What goes to all at once, such as a search for neighbours, and
/// DHCP do not count.
pub(super) fn not_allowed(policy: &Network, ends: &Ends) -> Option<TrafficSubject> {
    let zone = policy.zone_of(ends.client.ip())?;
    let only = zone.only.as_ref()?;
    let (server, service) = (ends.server.ip(), service(ends));
    let is_asking = ends.transport != Transport::Icmp || ECHO.contains(&ends.client.port());
    if is_shared(server) || !is_asking {
        return None;
    }
    let is_home = policy.is_home(server);
    let is_addressing = ends.transport == Transport::Udp && ADDRESSING.contains(&ends.server.port());
    // A peer that asked before the sensor ran may look as if it was asked.
    if is_home && (is_addressing || is_backward(ends)) {
        return None;
    }
    let may = only.iter().any(|p| p.to.contains(server) && p.service.is_none_or(|s| service == Some(s)));
    (!may).then(|| subject(ends, Pattern::NotAllowed { zone: zone.name.clone() }, opening(ends)))
}

/// Judges a flow that begins by its port.
pub(super) fn east_west(policy: &Network, ends: &Ends) -> Option<TrafficSubject> {
    let (from, to) = crossing(policy, ends)?;
    let is_listed = policy.east_west.services.contains(&service(ends)?);
    let what = || Pattern::EastWest { from: from.name.clone(), to: to.name.clone() };
    is_listed.then(|| subject(ends, what(), opening(ends)))
}

/// Judges a flow that was told by what it carried, whatever its port.
pub(super) fn east_west_told(policy: &Network, ends: &Ends, flow: &Flow) -> Option<TrafficSubject> {
    let (from, to) = crossing(policy, ends)?;
    let is_listed = policy.east_west.services.contains(&service(ends)?);
    let carries = matches!(flow.application, Application::Smb | Application::Rdp);
    let what = || Pattern::EastWest { from: from.name.clone(), to: to.name.clone() };
    (carries && !is_listed).then(|| subject(ends, what(), facts_of(ends, flow)))
}

/// Returns the two zones between which a flow goes, unless it is allowed.
fn crossing<'p>(policy: &'p Network, ends: &Ends) -> Option<(&'p Zone, &'p Zone)> {
    let (client, server) = (ends.client.ip(), ends.server.ip());
    let (from, to) = (policy.zone_of(client)?, policy.zone_of(server)?);
    let service = service(ends);
    let allow = &policy.east_west.allow;
    let may = allow.iter().any(|p| {
        p.from.contains(client) && p.to.contains(server) && p.service.is_none_or(|s| service == Some(s))
    });
    (from.name != to.name && !may && !is_backward(ends)).then_some((from, to))
}

fn opening(ends: &Ends) -> FlowFacts {
    facts(ends, Application::Unknown, None)
}

fn subject(ends: &Ends, what: Pattern, flow: FlowFacts) -> TrafficSubject {
    let service: Option<Service> = service(ends);
    let (client, server) = (ends.client.ip(), Some(ends.server.ip()));
    TrafficSubject { what, client, server, service, name: None, flows: vec![flow] }
}
