//! When it is told that a sensor saw less than came by, or that somebody sends packets past it.

use serde::{Deserialize, Serialize};

use crate::policy::Within;

/// What is lost is counted always; from here on it is an alert as well. What was not scanned is told however little it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    /// One packet in so many. No sensor sees all of a burst, and nobody acts on less than one in a thousand.
    pub one_in: Within<10, 1_000_000, 1_000>,
    /// More packets than these, whatever their share.
    pub packets: Within<1, 10_000_000, 1_000>,
    /// For how many seconds losses are gathered before they are told as one interval.
    pub seconds: Within<5, 3_600, 10>,
}

/// Packets between two hosts say one thing to a sensor and another to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evasion {
    /// Whether it is looked for.
    pub on: bool,
    /// Copies of TCP segments, and pieces of IP packets, that say something else than the first. Systems that work send none: three
    /// leave room for one broken device.
    pub times: Within<1, 10_000, 3>,
    /// Resets that their receiver would not obey. Load balancers and hosts that crashed send a few.
    pub resets: Within<1, 10_000, 20>,
    /// Within so many seconds.
    pub seconds: Within<10, 86_400, 300>,
}

impl Default for Evasion {
    fn default() -> Self {
        let (times, resets, seconds) = Default::default();
        Self { on: true, times, resets, seconds }
    }
}
