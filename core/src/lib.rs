//! What Khiên talks about: hosts, events, alerts, incidents, orders, and the words for them.
//!
//! Pure: nothing here reads a file, opens a socket, asks for the time or rolls dice. Callers pass all of that in.

pub mod alert;
pub mod api;
pub mod asset;
pub mod bundle;
pub mod capture;
pub mod conduct;
pub mod detection;
pub mod event;
pub mod evidence;
pub mod id;
pub mod incident;
pub mod mandate;
pub mod net;
pub mod order;
pub mod policy;
pub mod problem;
pub mod protocol;
pub mod reason;
pub mod run;
pub mod seal;
pub mod severity;
pub mod signature;
pub mod text;
pub mod time;
pub mod traffic;
pub mod triage;
pub mod untrusted;

pub use id::{
    AgentId, AlertId, EvidenceId, IncidentId, Nonce, OrderId, RuleId, RunId, SealKey, SealKeyId, Sha256,
    StepId,
};
pub use severity::Severity;
pub use text::Lang;
pub use time::Timestamp;
pub use untrusted::Untrusted;
