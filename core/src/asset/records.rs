//! How far back an agent's records of the network reach, and how far they will.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What an agent keeps of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordsState {
    /// Since when there are records; none if there are none yet.
    pub since: Option<Timestamp>,
    /// What they take on the disk.
    pub bytes: u64,
    /// The most that they may take, in bytes: the policy's, or the sysadmin's where that is less.
    pub limit: u64,
    /// For how many days they are kept if there is room: the policy's, or the sysadmin's where that is less.
    pub days: u32,
    /// For how many days the policy wants them.
    pub policy_days: u32,
    /// For about how many days the room is enough if as much comes as in the last 24 hours; none while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts_days: Option<u64>,
}

impl RecordsState {
    /// Tells whether they will not reach back as far as the policy wants.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.days < self.policy_days || self.lasts_days.is_some_and(|days| days < self.policy_days.into())
    }
}
