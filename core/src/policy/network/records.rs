//! How long, and on how much of a disk, agents keep what they noted of the network.

use serde::{Deserialize, Serialize};

use crate::policy::Within;

/// What is kept of records; a sysadmin's own bounds hold where they are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Records {
    /// For so many days, if there is room. Intruders are often found weeks after they came.
    pub days: Within<1, 3_660, 90>,
    /// The most mebibytes on an agent's disk.
    pub mib: Within<1, 65_536, 256>,
}

impl Records {
    /// Returns the most bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.mib.get()) << 20
    }
}
