//! Why the hub does not carry out a request: a stable code with arguments, never a sentence.
//!
//! The words for people are in [`text::problem`](crate::text::problem), both languages. On the wire it is
//! `{"code": "alert_is_closed", "args": {"alert": "A-7"}}`, part of a [`Problem`](crate::protocol::Problem).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AlertId, IncidentId, OrderId, RunId, Sha256, StepId, Untrusted, alert::Status,
    incident::IncidentStatus, reason::Reason, run::RunState,
};

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", content = "args", rename_all = "snake_case")]
pub enum Cause {
    // The request itself.
    /// The body is larger than allowed.
    BodyTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// The body is larger than allowed once inflated.
    InflatedTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// The body did not come in time.
    BodyTooSlow {
        /// The time, in seconds.
        seconds: u64,
    },
    /// The body was cut.
    BodyCut {
        /// What the line said.
        error: Untrusted,
    },
    /// The body is not zstd.
    BodyNotZstd {
        /// What the decoder said.
        error: Untrusted,
    },
    /// The body cannot be read.
    BodyUnreadable {
        /// What the parser said.
        error: Untrusted,
    },
    /// The query or an id in the path cannot be read.
    AddressUnreadable {
        /// What the parser said.
        error: Untrusted,
    },
    /// There is no such path.
    NoPath,
    /// Only enrolled agents may ask this.
    AgentsOnly,
    /// Only operators may ask this.
    OperatorsOnly,
    /// More requests came than are answered.
    Busy {
        /// When to try again, in seconds.
        seconds: u64,
    },
    /// So many uploads, captures and exports of the caller go on.
    OwnTransfers {
        /// The most at once.
        limit: u64,
    },
    /// So many uploads, captures and exports of all operators go on.
    AllTransfers {
        /// The most at once.
        limit: u64,
    },
    /// A limit of the hub is reached.
    Limit {
        /// What is limited: a stable word.
        what: Untrusted,
        /// The most.
        limit: u64,
    },
    /// The hub failed; its log says why.
    HubFailed,
    /// The hub's disk is full.
    HubDiskFull,

    // What agents send.
    /// A batch has too many records.
    TooManyRecords {
        /// The most.
        limit: u64,
    },
    /// A record is too large.
    RecordTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// Records are not numbered one after the other.
    RecordsNotInOrder,
    /// The batch does not begin where the lane ends.
    Gap {
        /// The last number that is stored.
        seq: u64,
    },
    /// An agent names too many lanes.
    TooManyLanes {
        /// The most.
        limit: u64,
    },
    /// There is no such agent.
    NoAgent {
        /// Which.
        agent: AgentId,
    },

    // Joining.
    /// The name of an agency is empty, too long or hides something.
    BadAgency {
        /// The most, in bytes.
        limit: u64,
    },
    /// A token lives too short or too long.
    BadHours {
        /// The most, in hours.
        limit: u64,
        /// What was asked for.
        hours: u64,
    },
    /// The token is unknown, used or expired.
    TokenRefused,
    /// The certificate signing request is too large.
    CsrTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// The certificate signing request cannot be read.
    CsrUnreadable,
    /// The key is neither Ed25519 nor P-256.
    CsrKeyKind,

    // Alerts.
    /// There is no such alert.
    NoAlert {
        /// Which.
        alert: AlertId,
    },
    /// The alert is closed already.
    AlertIsClosed {
        /// Which.
        alert: AlertId,
    },
    /// The alert has another status than this needs.
    AlertStatus {
        /// Which.
        alert: AlertId,
        /// The status it has.
        is: Status,
        /// The status this needs.
        needs: Status,
    },
    /// A false positive has no reason.
    FalsePositiveNeedsReason,
    /// A reason is too long.
    ReasonTooLong {
        /// The most, in bytes.
        limit: u64,
    },
    /// A reason is missing or too long.
    ReasonNeeded {
        /// The most, in bytes.
        limit: u64,
    },

    // Incidents.
    /// There is no such incident.
    NoIncident {
        /// Which.
        incident: IncidentId,
    },
    /// An incident is opened from no alert or from too many.
    BadAlertCount {
        /// The most.
        limit: u64,
    },
    /// The alert belongs to an incident already.
    AlertTaken {
        /// The alert.
        alert: AlertId,
        /// The incident.
        incident: IncidentId,
    },
    /// The title is too long or hides something.
    BadTitle {
        /// The most, in characters.
        limit: u64,
    },
    /// The note is empty or too long.
    BadNote {
        /// The most, in bytes.
        limit: u64,
    },
    /// The incident is closed.
    IncidentIsClosed {
        /// Which.
        incident: IncidentId,
    },
    /// The incident has that status already.
    IncidentStatus {
        /// Which.
        incident: IncidentId,
        /// The status it has.
        is: IncidentStatus,
    },
    /// A run of the incident still works or waits.
    RunUnfinished {
        /// The incident.
        incident: IncidentId,
        /// The run.
        run: RunId,
    },

    // Files of packets.
    /// The file of packets was taken in for another incident.
    CaptureTaken {
        /// The file.
        sha256: Sha256,
        /// The incident.
        incident: IncidentId,
    },
    /// No file of packets shows such a finding, or the hub's pack has no such rule.
    CaptureFinding {
        /// The rule.
        rule: Untrusted,
        /// The version of the hub's pack.
        pack: u64,
    },

    // Runs.
    /// There is no such run.
    NoRun {
        /// Which.
        run: RunId,
    },
    /// The run's id names another run.
    RunIdTaken {
        /// Which.
        run: RunId,
    },
    /// The playbook is not in the hub's library.
    NoPlaybook {
        /// Which.
        playbook: Untrusted,
    },
    /// The hub has another text of the playbook.
    PlaybookDiffers {
        /// Which.
        playbook: Untrusted,
    },
    /// The playbook has changed since the run began.
    PlaybookChanged {
        /// Which.
        playbook: Untrusted,
        /// The run.
        run: RunId,
    },
    /// A run has no target or too many.
    BadTargetCount {
        /// The most.
        limit: u64,
    },
    /// A run names a file twice.
    TargetTwice,
    /// The file is in no alert of the incident.
    NotInIncident {
        /// The file.
        path: Untrusted,
        /// The incident.
        incident: IncidentId,
    },
    /// The run does not wait for that step.
    StepDoesNotWait {
        /// The run.
        run: RunId,
        /// The step.
        step: StepId,
    },
    /// The run has nothing that can be undone now.
    NothingToUndo {
        /// The run.
        run: RunId,
        /// How it stands.
        is: RunState,
    },

    /// There is no such ordered scan.
    NoScan {
        /// Which.
        order: OrderId,
    },
    /// There is no such order outside of playbooks.
    NoOrder {
        /// Which.
        order: OrderId,
    },

    // What is signed.
    /// The mandate is refused.
    MandateRefused {
        /// Why.
        reason: Reason,
    },
    /// The one who sent the mandate did not sign it.
    MandateNotBySender,
    /// The mandate is for another run or another playbook.
    MandateForOther,
    /// The mandate does not allow exactly the orders of this part of the playbook.
    MandateOrders,
    /// The mandate was used before.
    MandateUsed,
    /// The pack is refused.
    PackRefused {
        /// Why.
        reason: Reason,
    },
    /// The pack's version is no number from 1.
    BadPackVersion,
    /// The pack is not newer than the current one.
    PackNotNewer {
        /// The version that came.
        offered: u64,
        /// The current version.
        current: u64,
    },
    /// The hub has no pack.
    NoPack,

    // Evidence.
    /// The evidence is too large.
    EvidenceTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// Evidence for the order is just being received.
    EvidenceBusy {
        /// The order.
        order: OrderId,
    },
    /// The order does not ask this agent for evidence.
    EvidenceNotAsked {
        /// The order.
        order: OrderId,
    },
    /// This is not the content that was ordered.
    EvidenceOtherContent,
    /// The bytes do not have the hash that was ordered.
    EvidenceOtherHash,
    /// The bytes are not sealed to the hub's key.
    EvidenceNotSealed {
        /// What is wrong with them.
        error: Untrusted,
    },
    /// The evidence as the hub keeps it cannot be opened, or is other bytes than its name says.
    EvidenceUnreadable {
        /// The bytes.
        sha256: Sha256,
        /// What is wrong with them.
        error: Untrusted,
    },
    /// The name of evidence is empty or too long.
    BadEvidenceName {
        /// The most, in bytes.
        limit: u64,
    },
    /// The piece does not go on where the upload ends.
    EvidenceGap {
        /// What the hub has, in bytes.
        have: u64,
        /// The whole, in bytes.
        size: u64,
    },
    /// The bytes of a compiled form are others than its name says.
    FormOtherHash,
    /// There is no such compiled form of the rules.
    NoForm {
        /// The bytes.
        sha256: Sha256,
    },
    /// There is no such evidence of the incident.
    NoEvidence {
        /// The bytes.
        sha256: Sha256,
        /// The incident.
        incident: IncidentId,
    },
}

impl Cause {
    /// Takes another program's words as an argument, cut and escaped.
    #[must_use]
    pub fn quoted(error: &impl fmt::Display) -> Untrusted {
        crate::reason::quoted(&error.to_string())
    }
}

/// In English, for logs and scripts.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().en)
    }
}
