//! Cyber observables of an alert: files, addresses, names, traffic.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    alert::Alert,
    event::{Application, FlowFacts, Transport},
    evidence::Evidence,
    untrusted::escape,
};
use serde_json::{Map, Value, json};

use super::{TLP_AMBER, id};

/// The longest domain name.
const MAX_DOMAIN: usize = 253;
/// The longest URL that is exported.
const MAX_URL: usize = 2_048;

/// Returns the observables of an alert, those that others refer to first.
pub(super) fn of_alert(alert: &Alert) -> Vec<Value> {
    let mut all = Vec::new();
    if let (Some(path), Some(hash)) = (&alert.path, alert.sha256) {
        all.extend(file(path, hash, alert.file.as_ref().map(|f| f.size)));
    }
    // The one that is meant comes last.
    for flow in alert.flows.iter().chain(&alert.flow) {
        all.extend(traffic(flow, alert.first_seen));
    }
    let mut known = BTreeSet::new();
    all.retain(|o| known.insert(o["id"].to_string()));
    all
}

/// Returns the observables of a piece of evidence.
pub(super) fn of_evidence(evidence: &Evidence) -> Vec<Value> {
    file(&evidence.path, evidence.sha256, Some(evidence.size))
}

/// Makes an observable; `more` does not count for its id.
fn object(kind: &str, contributing: Value, more: Value) -> Value {
    let contributing = map(contributing);
    let mut own = contributing.clone();
    own.extend(map(more));
    own.insert("type".into(), kind.into());
    own.insert("spec_version".into(), "2.1".into());
    own.insert("id".into(), id::observable(kind, &contributing).into());
    own.insert("object_marking_refs".into(), json!([TLP_AMBER]));
    Value::Object(own)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A file and its folder, names in the safe written form.
fn file(path: &Untrusted, hash: Sha256, size: Option<u64>) -> Vec<Value> {
    let raw = path.raw();
    let at = raw.iter().rposition(|b| *b == b'/');
    let (folder, name) = match at {
        Some(0) => (Some(&raw[..1]), &raw[1..]),
        Some(at) => (Some(&raw[..at]), &raw[at + 1..]),
        None => (None, raw),
    };
    let folder = folder.map(|f| object("directory", json!({ "path": escape(f) }), json!({})));
    let mut own = json!({ "hashes": { "SHA-256": hash.to_string() } });
    if !name.is_empty() {
        own["name"] = escape(name).into();
    }
    if let Some(folder) = &folder {
        own["parent_directory_ref"] = folder["id"].clone();
    }
    let more = size.map_or(json!({}), |s| json!({ "size": s }));
    folder.into_iter().chain([object("file", own, more)]).collect()
}

fn address(ip: IpAddr) -> Value {
    let kind = if ip.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    object(kind, json!({ "value": ip.to_string() }), json!({}))
}

fn traffic(flow: &FlowFacts, start: Timestamp) -> Vec<Value> {
    let (client, server) = (address(flow.client.ip()), address(flow.server.ip()));
    let own = json!({
        "start": micros(start),
        "src_ref": client["id"],
        "dst_ref": server["id"],
        "src_port": flow.client.port(),
        "dst_port": flow.server.port(),
        "protocols": protocols(flow),
    });
    let name = domain(flow).map(|d| object("domain-name", json!({ "value": d }), json!({})));
    let url = url(flow).map(|u| object("url", json!({ "value": u }), json!({})));
    let traffic = object("network-traffic", own, json!({}));
    let same = client["id"] == server["id"];
    let addresses = [Some(client), (!same).then_some(server)];
    addresses.into_iter().flatten().chain(name).chain(url).chain([traffic]).collect()
}

/// Writes a moment without trailing zeros, the form in which it counts for the id.
fn micros(at: Timestamp) -> String {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at).to_string()
}

fn protocols(flow: &FlowFacts) -> Vec<&'static str> {
    let network = if flow.client.is_ipv4() { "ipv4" } else { "ipv6" };
    let transport = match (flow.transport, flow.client.is_ipv4()) {
        (Transport::Tcp, _) => "tcp",
        (Transport::Udp, _) => "udp",
        (Transport::Icmp, true) => "icmp",
        (Transport::Icmp, false) => "icmp6",
    };
    let application = (flow.application != Application::Unknown).then(|| flow.application.as_str());
    [network, transport].into_iter().chain(application).collect()
}

/// Returns the name that was asked for, in lower case, if it has the form of a domain name.
pub(super) fn domain(flow: &FlowFacts) -> Option<String> {
    let name = std::str::from_utf8(flow.name.as_ref()?.raw()).ok()?;
    let name = name.split(':').next()?.trim_end_matches('.').to_ascii_lowercase();
    let label = |l: &str| {
        !l.is_empty() && l.len() < 64 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let last_is_word = name.rsplit('.').next()?.bytes().any(|b| b.is_ascii_alphabetic());
    let fits = name.len() <= MAX_DOMAIN && name.contains('.') && last_is_word;
    (fits && name.split('.').all(label)).then_some(name)
}

/// Returns the URL if it is whole and has no character that a URL may not have.
fn url(flow: &FlowFacts) -> Option<String> {
    let url = std::str::from_utf8(flow.url.as_ref()?.raw()).ok()?;
    let whole = url.starts_with("http://") || url.starts_with("https://");
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b));
    (whole && plain && url.len() <= MAX_URL).then(|| url.to_owned())
}

/// Returns the public side of a flow if the other side is not public.
pub(super) fn stranger(flow: &FlowFacts) -> Option<IpAddr> {
    let (client, server) = (flow.client.ip(), flow.server.ip());
    match (is_public(client), is_public(server)) {
        (true, false) => Some(client),
        (false, true) => Some(server),
        _ => None,
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let carrier_nat = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation();
            !(special || carrier_nat || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0)
        }
        IpAddr::V6(v6) => is_global_unicast(v6),
    }
}

/// 2000::/3 without the documentation prefix.
fn is_global_unicast(v6: Ipv6Addr) -> bool {
    let [first, second, ..] = v6.segments();
    first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0x0db8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(client: &str, server: &str, name: &str) -> FlowFacts {
        FlowFacts {
            transport: Transport::Tcp,
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            direction: khien_core::event::Direction::ToServer,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            application: Application::Http,
            name: Some(name.into()),
            url: None,
            listed: None,
            process: None,
        }
    }

    #[test]
    fn only_what_has_the_form_of_a_domain_becomes_one() {
        let domain_of = |name| domain(&flow("10.0.0.1:1", "10.0.0.2:80", name));

        assert_eq!(domain_of("C2.Evil.Example.:8080").as_deref(), Some("c2.evil.example"));
        for hostile in ["x' OR 'a", "10.0.0.1", "localhost", "a..b", "đ.vn", "a\u{202e}b.vn", ""] {
            assert_eq!(domain_of(hostile), None, "{hostile}");
        }
    }

    #[test]
    fn the_stranger_is_the_only_public_side() {
        let of = |c, s| stranger(&flow(c, s, "")).map(|ip| ip.to_string());

        assert_eq!(of("10.1.1.1:4", "8.8.8.8:53").as_deref(), Some("8.8.8.8"));
        assert_eq!(of("[2a00::1]:4", "[fd00::1]:80").as_deref(), Some("2a00::1"));
        assert_eq!(of("10.1.1.1:4", "10.1.1.2:53"), None);
        assert_eq!(of("8.8.4.4:4", "8.8.8.8:53"), None);
        assert_eq!(of("127.0.0.1:4", "100.64.0.1:53"), None);
    }

    #[test]
    fn a_file_in_the_root_folder_has_that_folder() {
        let objects = file(&"/shell.php".into(), Sha256::of(b"x"), None);

        assert_eq!(objects[0]["path"], "/");
        assert_eq!(objects[1]["name"], "shell.php");
        assert_eq!(objects[1]["parent_directory_ref"], objects[0]["id"]);
    }
}
