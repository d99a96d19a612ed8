//! Agent ⇄ hub: JSON in zstd over HTTP/2 and TLS 1.3. Every limit is checked before anything is allocated.
//!
//! An event is named (agent, epoch, seq). The agent's spool has two lanes, each an epoch of its own with numbers from
//! 1 without gaps, so alerts can go before bulk. The hub acknowledges a lane up to a number after its commit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AgentId, Nonce, OrderId, SealKey, Sha256, Timestamp, Untrusted,
    asset::{Health, HostFacts},
    detection::Detection,
    event::{ScanOutcome, Unseen},
    order::{Order, Receipt},
    problem::Cause,
    reason::Reason,
    signature::OperatorKey,
};

/// The largest compressed body in bytes, either way, but for packs and evidence.
pub const MAX_BODY: usize = 1 << 20;
/// The largest body after decompression, in bytes.
pub const MAX_INFLATED: usize = 8 << 20;
/// The most records in one batch.
pub const MAX_RECORDS: usize = 2_000;
/// The largest record in bytes of JSON.
pub const MAX_RECORD: usize = 256 << 10;
/// How long the hub holds an order poll open, in seconds.
pub const POLL_SECONDS: u64 = 25;
/// How often an agent reports its health, in seconds.
pub const HEARTBEAT_SECONDS: u64 = 4;
/// After how long without a word the hub calls an agent silent, in seconds.
pub const SILENT_AFTER_SECONDS: u64 = 15;
/// The name in the hub's certificate. The address may change, this does not.
pub const HUB_NAME: &str = "khien-hub.internal";
/// The largest piece of an evidence upload, in bytes.
pub const EVIDENCE_CHUNK: usize = 1 << 20;

/// What an operator hands to a sysadmin, as one line of base64: all that an agent must know to join and whom to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// `host:port` of the hub.
    pub hub: String,
    /// The hub's CA certificate, PEM.
    pub ca: String,
    /// The keys whose mandates and packs the agent obeys. They come from the operator, not from the hub.
    pub operators: Vec<OperatorKey>,
    /// Proves once that an operator invited this agent: 32 random bytes, hex.
    pub secret: String,
}

/// `POST /v1/enroll`, without a client certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enroll {
    /// The token's secret.
    pub secret: String,
    /// A certificate signing request, PEM; only its key is used.
    pub csr: String,
    /// The host.
    pub host: HostFacts,
}

/// The answer to [`Enroll`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// The agent's identity.
    pub agent: AgentId,
    /// Its certificate, PEM.
    pub certificate: String,
}

/// `POST /v1/agent/hello`, first on each connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// Random per start of the agent.
    pub boot: Nonce,
    /// The host.
    pub host: HostFacts,
    /// The lanes and the next number of each.
    pub lanes: Vec<Mark>,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// What the hub has of each lane that was named.
    pub acks: Vec<Mark>,
    /// The hub's clock.
    pub now: Timestamp,
    /// The version of the pack the hub offers; 0 is none.
    pub pack: u64,
    /// The key to which evidence is sealed; a hub from before has none, and gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_key: Option<SealKey>,
}

/// A place in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The lane: random, chosen when the lane was made.
    pub epoch: Nonce,
    /// In [`Hello`] the next number, in answers the last one that is stored for good (0 is none).
    pub seq: u64,
}

/// `POST /v1/agent/batch`: records of one lane, numbers rising by one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch {
    /// The lane.
    pub epoch: Nonce,
    /// The records.
    pub records: Vec<Record>,
}

/// One record as it stands in the spool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the lane.
    pub seq: u64,
    /// SHA-256 of `body`.
    pub hash: Sha256,
    /// A [`Report`] as JSON text, so that the hash is over exact bytes.
    pub body: String,
}

/// What an agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "most reports are detections")]
pub enum Report {
    /// A rule or an indicator matched.
    Detection(Box<Detection>),
    /// A file could not be scanned to its end.
    NotScanned {
        /// The file.
        path: Untrusted,
        /// Why.
        outcome: ScanOutcome,
        /// When.
        at: Timestamp,
        /// What inside it was not looked into, and why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unseen: Vec<Unseen>,
    },
    /// A sensor lost events.
    Blind {
        /// What it watched: a folder or an interface.
        scope: Untrusted,
        /// Why.
        cause: Reason,
        /// From when.
        from: Timestamp,
        /// Until when; everything there at this time was looked at again.
        until: Timestamp,
        /// How many events were lost, where that is known.
        lost: Option<u64>,
    },
    /// The spool was full and lost records of its bulk lane.
    Dropped {
        /// How many.
        count: u64,
        /// The first, by the agent's clock.
        from: Timestamp,
        /// The last.
        until: Timestamp,
    },
    /// An order was carried out or failed.
    Receipt(Receipt),
    /// An order was refused.
    Refused {
        /// The order, if the mandate could be read.
        order: Option<OrderId>,
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// A pack was refused; the last good one stays.
    PackRefused {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// The agent started.
    Started {
        /// When.
        at: Timestamp,
        /// When it last said it was alive if it then ended without saying that it stops.
        died_after: Option<Timestamp>,
    },
    /// The agent stops because it was told to.
    Stopping {
        /// When.
        at: Timestamp,
    },
}

impl Report {
    /// Tells whether it goes in the urgent lane.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Self::NotScanned { .. } | Self::Dropped { .. })
    }
}

/// The answer to [`Batch`]: stored for good up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The lane and its last stored number.
    #[serde(flatten)]
    pub mark: Mark,
}

/// `POST /v1/agent/heartbeat`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// How it is.
    pub health: Health,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// The version of the pack the hub offers; 0 is none.
    pub pack: u64,
}

/// The answer to `GET /v1/agent/orders`, which waits up to [`POLL_SECONDS`] for one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// Orders without a receipt.
    pub orders: Vec<Order>,
}

/// An error answer of the hub, to agents and operators alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was tried and on what, then what is allowed; lower case, English. For logs, and for readers that do not
    /// know the code.
    pub error: String,
    /// The stable code of the [`Cause`].
    #[serde(default)]
    pub code: String,
    /// The arguments of the [`Cause`].
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub args: Value,
}

impl Problem {
    /// Returns the cause, or nothing if it is one of a newer hub.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        let mut written = serde_json::Map::new();
        written.insert("code".to_owned(), self.code.as_str().into());
        if !self.args.is_null() {
            written.insert("args".to_owned(), self.args.clone());
        }
        serde_json::from_value(Value::Object(written)).ok()
    }
}

impl From<&Cause> for Problem {
    fn from(cause: &Cause) -> Self {
        let written = serde_json::to_value(cause).unwrap_or_default();
        let code = written.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
        let args = written.get("args").cloned().unwrap_or_default();
        Self { error: cause.to_string(), code, args }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertId, IncidentId};

    #[test]
    fn a_problem_comes_back_as_its_cause() {
        let incident = IncidentId { year: 2026, number: 3 };
        for cause in [Cause::NoPack, Cause::AlertTaken { alert: AlertId(7), incident }] {
            let sent = serde_json::to_string(&Problem::from(&cause)).unwrap();

            let read: Problem = serde_json::from_str(&sent).unwrap();

            assert_eq!(read.cause(), Some(cause), "{sent}");
        }
    }

    #[test]
    fn a_hub_from_before_evidence_was_sealed_still_welcomes() {
        let old = r#"{"acks":[],"now":"2026-11-22T03:00:00Z","pack":3}"#;

        let read: Welcome = serde_json::from_str(old).unwrap();

        assert_eq!((read.pack, read.evidence_key), (3, None));
    }

    #[test]
    fn a_code_of_a_newer_hub_leaves_the_english_text() {
        let sent = r#"{"error":"moon is full","code":"full_moon","args":{"moons":2}}"#;

        let read: Problem = serde_json::from_str(sent).unwrap();

        assert_eq!((read.cause(), read.error.as_str()), (None, "moon is full"));
    }
}
