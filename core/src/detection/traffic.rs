//! What traffic did that a detector judges by how it goes and not by what it carries.
//!
//! A pattern is a code with the numbers that made it; [`TrafficSubject::words`] says it in both languages. How bad each is
//! stands with its rule in [`text::builtin`](crate::text::builtin): it is the team's to say, never the agent's.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Untrusted,
    event::{Application, FlowFacts},
    net::Service,
    policy::GroupName,
    text::{Words, traffic},
};

/// The most flows that stand as examples.
pub const MAX_FLOWS: usize = 4;

/// Something that traffic did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficSubject {
    /// What it did.
    pub what: Pattern,
    /// Who did it: the side that opened the conversations.
    pub client: IpAddr,
    /// With whom, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// Which service, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The name that was asked for, the URL, or the domain below which names were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Untrusted>,
    /// Some of the flows, at most [`MAX_FLOWS`], the newest first.
    #[serde(deserialize_with = "some")]
    pub flows: Vec<FlowFacts>,
}

/// What traffic did, with the numbers that made it a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pattern", rename_all = "snake_case")]
pub enum Pattern {
    /// One client tried one port of many servers.
    HorizontalScan {
        /// Servers.
        servers: u64,
        /// Of these gave no answer, in percent.
        unanswered_percent: u64,
        /// Within so many seconds.
        seconds: u64,
    },
    /// One client tried many ports of one server.
    VerticalScan {
        /// Ports.
        ports: u64,
        /// Of these gave no answer, in percent.
        unanswered_percent: u64,
        /// Within so many seconds.
        seconds: u64,
    },
    /// One client logged in to one service again and again, to no end.
    BruteForce {
        /// Attempts.
        attempts: u64,
        /// Within so many seconds.
        seconds: u64,
        /// What the service speaks.
        application: Application,
    },
    /// A host calls the same place outside at regular times.
    Beacon {
        /// Calls.
        times: u64,
        /// The usual interval, in milliseconds.
        period_ms: u64,
        /// How far intervals stray from it, in percent of it.
        jitter_percent: u64,
        /// What a call usually sends, in bytes.
        bytes: u64,
        /// From the first call to the last, in seconds.
        seconds: u64,
        /// How much like a machine, of 100.
        score: u64,
    },
    /// A host sent much more than usual to one server outside.
    Exfiltration {
        /// Bytes in the hour so far.
        bytes: u64,
        /// What the host sends outside at this hour of the day, in bytes; nothing while that is not known yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usual: Option<u64>,
    },
    /// A host asked for many long names below one domain.
    DnsTunnel {
        /// Different names.
        names: u64,
        /// Characters before the domain, on average.
        length: u64,
        /// How many bits each of their characters carries, times ten.
        entropy_tenths: u64,
        /// Characters before the domain in all: what was carried.
        bytes: u64,
        /// Questions of types that can carry much, such as TXT and NULL, in percent.
        odd_types_percent: u64,
        /// Within so many seconds.
        seconds: u64,
    },
    /// A host of a zone spoke to somebody outside for the first time.
    FirstSeen {
        /// The zone.
        zone: GroupName,
        /// How many places the zone knows.
        known: u64,
    },
    /// A host of a zone spoke to somebody to whom its zone may not speak.
    NotAllowed {
        /// The zone.
        zone: GroupName,
    },
    /// A host of one zone used a file share, a remote desktop or the like of another zone.
    EastWest {
        /// The client's zone.
        from: GroupName,
        /// The server's zone.
        to: GroupName,
    },
    /// Packets between two hosts say one thing to a sensor and another to the host.
    Evasion {
        /// TCP segments that contradict an earlier copy of the same bytes.
        copies: u64,
        /// Pieces of IP packets that contradict others, or that no honest sender makes.
        pieces: u64,
        /// Resets that their receiver would not obey.
        resets: u64,
        /// Within so many seconds.
        seconds: u64,
    },
    /// The same between more pairs of hosts than are told each by itself. The finding names the last of them.
    EvasionSpread {
        /// How many more pairs so far.
        pairs: u64,
        /// Within so many seconds.
        seconds: u64,
    },
    /// What a newer agent knows and this program does not.
    #[serde(other)]
    Other,
}

impl TrafficSubject {
    /// Says what was done, by whom, to whom, and with which numbers.
    #[must_use]
    pub fn words(&self) -> Words {
        traffic::words(self)
    }

    /// Tells whether the hosts and the service are all there is to it, so that who calls it harmless once has said all there is
    /// to say. A scan or an upload that comes again may be another one.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self.what {
            Pattern::Beacon { .. }
            | Pattern::FirstSeen { .. }
            | Pattern::NotAllowed { .. }
            | Pattern::EastWest { .. } => true,
            Pattern::HorizontalScan { .. }
            | Pattern::VerticalScan { .. }
            | Pattern::BruteForce { .. }
            | Pattern::Exfiltration { .. }
            | Pattern::DnsTunnel { .. }
            | Pattern::Evasion { .. }
            | Pattern::EvasionSpread { .. }
            | Pattern::Other => false,
        }
    }

    /// Returns what of it makes it one alert with others of the same rule: a place that has a name may change its address, and of
    /// what is spread over many hosts each finding names others.
    pub(super) fn key(&self) -> String {
        let Self { what, client, server, service, name, .. } = self;
        if matches!(what, Pattern::EvasionSpread { .. }) {
            return "traffic\0spread".to_owned();
        }
        let server = server.filter(|_| name.is_none());
        let service = service.map(|s| s.to_string());
        format!("traffic\0{client}\0{server:?}\0{service:?}\0{name:?}")
    }
}

/// Reads no more flows than there may be.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<FlowFacts>, D::Error> {
    let mut all = Vec::<FlowFacts>::deserialize(from)?;
    all.truncate(MAX_FLOWS);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AgentId,
        detection::{Subject, builtin, merge_key},
    };

    fn beacon(server: &str, name: Option<&str>) -> TrafficSubject {
        TrafficSubject {
            what: Pattern::Beacon {
                times: 20,
                period_ms: 60_000,
                jitter_percent: 4,
                bytes: 310,
                seconds: 1_140,
                score: 97,
            },
            client: "10.0.0.5".parse().unwrap(),
            server: Some(server.parse().unwrap()),
            service: Some("443/tcp".parse().unwrap()),
            name: name.map(Into::into),
            flows: Vec::new(),
        }
    }

    fn key(subject: TrafficSubject) -> crate::Sha256 {
        merge_key(AgentId([7; 32]), &builtin::NET_BEACON.parse().unwrap(), &Subject::Traffic(subject))
    }

    #[test]
    fn it_comes_back_from_json() {
        let subject = Subject::Traffic(beacon("203.0.113.9", Some("c2.example")));

        let json = serde_json::to_string(&subject).unwrap();

        assert!(
            json.starts_with(r#"{"kind":"traffic","what":{"pattern":"beacon","times":20,"period_ms":60000,"#),
            "{json}"
        );
        assert!(json.contains(r#""service":"443/tcp","name":"c2.example""#), "{json}");
        assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
    }

    #[test]
    fn what_a_newer_agent_calls_it_is_still_a_finding() {
        let json = r#"{"kind":"traffic","what":{"pattern":"moonlight","beams":7},"client":"10.0.0.5","flows":[],"newer":1}"#;

        let Subject::Traffic(subject) = serde_json::from_str(json).unwrap() else { panic!() };

        assert_eq!(subject.what, Pattern::Other);
        assert!(subject.words().en.contains("10.0.0.5"), "{}", subject.words().en);
    }

    #[test]
    fn a_place_with_a_name_is_one_alert_wherever_it_is() {
        let named = |server| key(beacon(server, Some("c2.example")));
        let bare = |server| key(beacon(server, None));

        assert_eq!(named("203.0.113.9"), named("203.0.113.10"));
        assert_ne!(bare("203.0.113.9"), bare("203.0.113.10"));
        assert_ne!(named("203.0.113.9"), bare("203.0.113.9"));
    }

    #[test]
    fn what_is_spread_over_many_hosts_is_one_alert_whomever_it_names() {
        let spread = |client: &str, pairs| TrafficSubject {
            what: Pattern::EvasionSpread { pairs, seconds: 60 },
            client: client.parse().unwrap(),
            ..beacon("203.0.113.9", None)
        };

        assert_eq!(key(spread("10.0.0.5", 1)), key(spread("10.0.0.6", 2)));
        assert_ne!(key(spread("10.0.0.5", 1)), key(beacon("203.0.113.9", None)));
    }

    #[test]
    fn no_agent_brings_more_flows_than_there_may_be() {
        let flow = r#"{"transport":"tcp","client":"10.0.0.5:1","server":"10.0.0.6:2","direction":"to_server","interface":"eth0","application":"unknown","name":null,"url":null}"#;
        let flows = [flow; 9].join(",");
        let json = format!(
            r#"{{"what":{{"pattern":"not_allowed","zone":"camera"}},"client":"10.0.0.5","flows":[{flows}]}}"#
        );

        let subject: TrafficSubject = serde_json::from_str(&json).unwrap();

        assert_eq!(subject.flows.len(), MAX_FLOWS);
    }
}
