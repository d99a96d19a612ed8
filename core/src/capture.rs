//! A file of packets that an operator looked at for an incident, and what was found in it.
//!
//! `khien pcap scan --incident` looks where the responder is, with the hub's signed pack, and hands over findings; the hub
//! makes alerts of them. What a finding is called and how bad it is never stands here: that is the pack's and the hub's word.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, RuleId, Sha256, Timestamp, Untrusted,
    detection::{Detection, Subject, builtin, merge_key},
};

/// The most findings in one request.
pub const MOST_FINDINGS: usize = 200;
/// The most alerts of one file of packets; the CLI sends the most severe ones and says how many it left out.
pub const MOST_ALERTS: u64 = 1_000;
/// The largest finding, in bytes of JSON.
pub const MAX_FINDING: usize = 128 << 10;
/// The longest name of a file that is kept, in bytes; a Linux path is no longer.
pub const MAX_NAME: usize = 4_096;
/// The longest name of a host that is kept, in bytes; DNS has no longer one.
pub const MAX_HOST: usize = 255;

/// A file of packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Its name, as the operator typed it.
    pub name: Untrusted,
    /// Of all its bytes as they lie on the disk, packed or not.
    pub sha256: Sha256,
}

/// All findings of one thing in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFinding {
    /// The first one; its time is that of the packets, its subject a flow or traffic.
    pub detection: Detection,
    /// The time of the last one.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// The file in which it was found, where that was carried by the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// A file that a flow carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Its name, where one was given; else empty.
    pub name: Untrusted,
    /// Of its bytes, as far as they were seen.
    pub sha256: Sha256,
}

/// What else is to be said of a file once all of it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureEnd {
    /// How many packets were read.
    pub packets: u64,
    /// The time of the first packet; none if there are no packets.
    pub first: Option<Timestamp>,
    /// The time of the last packet.
    pub last: Option<Timestamp>,
    /// Alerts that are more than [`MOST_ALERTS`] or too large, and were not sent.
    pub left_out: u64,
    /// What could not be looked at.
    #[serde(default)]
    pub gaps: Gaps,
    /// The version of the pack against which the file was held; 0 from programs that do not say it.
    #[serde(default)]
    pub pack: u64,
}

/// What of a file could not be looked at: none of it reads as clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gaps {
    /// Whether the file ends, or makes no sense, before its end.
    pub cut: bool,
    /// Packets that are damaged or too large.
    pub damaged: u64,
    /// Packets of which the capture kept a part.
    pub shortened: u64,
    /// Packets of a link type that is not known.
    pub other_links: u64,
    /// Packets with a checksum that a receiver drops; they were not followed.
    pub wrong_checksums: u64,
    /// TCP packets that say something else than an earlier copy of the same bytes: which one the host took is not known.
    pub conflicts: u64,
    /// What two ends may read in two ways, or is meant to exhaust its reader.
    pub odd: u64,
    /// Packets that came in pieces of which some are missing.
    pub pieces_lost: u64,
    /// Bytes of streams that are not in the file.
    pub missing: u64,
    /// Flows that were let go to make room.
    pub evicted: u64,
    /// Pieces of streams or carried files that could not be scanned.
    pub not_scanned: u64,
}

impl Gaps {
    /// Tells whether all was looked at.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the key by which findings in one file are counted as one: as for an agent, and by the carried file's content.
#[must_use]
pub fn finding_key(rule: &RuleId, subject: &Subject, carried: Option<&Sha256>) -> Sha256 {
    let key = merge_key(AgentId::NONE, rule, subject);
    match carried {
        Some(digest) => Sha256::of(&[key.0, digest.0].concat()),
        None => key,
    }
}

impl CaptureFinding {
    /// Returns the key of its alert: the file's content and what was found in it, so that the same file again is no news.
    #[must_use]
    pub fn key(&self, capture: &Sha256) -> Sha256 {
        let carried = self.carried.as_ref().map(|carried| &carried.sha256);
        let finding = finding_key(&self.detection.rule, &self.detection.subject, carried);
        Sha256::of(&[&b"capture\0"[..], &capture.0, &finding.0].concat())
    }

    /// Tells whether a file of packets can show such a thing: a flow or traffic, by a rule of a pack or by a detector of
    /// traffic. No file of packets tells of an agent, its orders or its disk.
    #[must_use]
    pub fn is_of_packets(&self) -> bool {
        let rule = self.detection.rule.as_str();
        let is_ours = rule.starts_with("khien.");
        let is_detector = rule.starts_with("khien.net.") && builtin::ALL.contains(&rule);
        match self.detection.subject {
            Subject::Flow(_) => !is_ours || is_detector,
            Subject::Traffic(_) => is_detector,
            Subject::File(_) | Subject::Conduct(_) | Subject::Process(_) | Subject::Agent(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::{AgentSubject, FlowSubject};

    const FLOW: &str = r#"{"transport":"tcp","client":"10.0.0.5:1","server":"10.0.0.6:2","direction":"to_server","interface":"","application":"http","name":null,"url":null}"#;

    fn found(rule: &str, subject: Subject) -> CaptureFinding {
        let at = "2026-11-23T07:00:00Z".parse().unwrap();
        let detection = Detection { rule: rule.parse().unwrap(), at, pack: 3, subject };
        CaptureFinding { detection, last: at, count: 1, carried: None }
    }

    fn flow() -> Subject {
        Subject::Flow(FlowSubject { flow: serde_json::from_str(FLOW).unwrap(), excerpts: Vec::new() })
    }

    #[test]
    fn the_same_finding_has_one_key_in_one_file_and_another_in_another() {
        let one = found("webshell.php.test", flow());
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let later = CaptureFinding { last: "2026-11-23T09:00:00Z".parse().unwrap(), count: 9, ..one.clone() };
        let carried = Carried { name: "a.php".into(), sha256: a };
        let inside = CaptureFinding { carried: Some(carried), ..one.clone() };

        assert_eq!(one.key(&a), later.key(&a), "how often and until when is no other thing");
        assert_ne!(one.key(&a), one.key(&b));
        assert_ne!(one.key(&a), inside.key(&a));
        assert_ne!(one.key(&a), finding_key(&one.detection.rule, &one.detection.subject, None));
    }

    #[test]
    fn what_packets_cannot_show_is_told() {
        let of_agent = Subject::Agent(AgentSubject { what: "x".into() });

        assert!(found("webshell.php.test", flow()).is_of_packets());
        assert!(found("khien.net.beacon", flow()).is_of_packets());
        for rule in ["khien.agent.silent", "khien.net.moonlight", "khien.integrity.cron"] {
            assert!(!found(rule, flow()).is_of_packets(), "{rule}");
        }
        assert!(!found("webshell.php.test", of_agent).is_of_packets());
    }

    #[test]
    fn a_finding_comes_back_from_json_and_an_older_end_has_no_gaps_and_no_pack() {
        let one = found("webshell.php.test", flow());

        let json = serde_json::to_string(&one).unwrap();
        let end: CaptureEnd =
            serde_json::from_str(r#"{"packets":7,"first":null,"last":null,"left_out":0}"#).unwrap();

        assert_eq!(serde_json::from_str::<CaptureFinding>(&json).unwrap(), one);
        assert_eq!(end.pack, 0);
        assert!(end.gaps.is_none() && !Gaps { missing: 1, ..end.gaps }.is_none());
    }
}
