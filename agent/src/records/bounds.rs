//! For how long and up to which size records are kept: the signed policy says it, and who runs the host may say less.

use std::sync::Arc;

use khien_core::policy::{Policy, network};
use tokio::sync::watch;

use super::Limits;

/// Who says it.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// The sysadmin's most days and bytes; all there are where nothing was said.
    pub(super) own: Limits,
    /// The policy of the loaded pack.
    pub(super) policy: watch::Receiver<Option<Arc<Policy>>>,
}

impl Bounds {
    /// Makes them of what the agent was started with.
    pub(super) fn new(
        days: Option<u32>,
        mib: Option<u64>,
        policy: watch::Receiver<Option<Arc<Policy>>>,
    ) -> Self {
        let bytes = mib.map_or(u64::MAX, |mib| mib << 20);
        Self { own: Limits { days: days.unwrap_or(u32::MAX), bytes }, policy }
    }

    /// Returns what holds. As long as no pack is loaded, nothing of the so many bytes that were there at the start makes room
    /// for less than what the sysadmin said: the policy may allow more than is usual.
    pub(super) fn in_force(&self, there: u64) -> Limits {
        match self.policy() {
            Some(policy) => self.within(policy.days.get(), policy.bytes()),
            None => self.within(u32::MAX, network::Records::default().bytes().max(there)),
        }
    }

    /// Returns what holds as it is told, and for how many days the policy wants records; as usual as long as there is no pack.
    pub(super) fn told(&self) -> (Limits, u32) {
        let policy = self.policy().unwrap_or_default();
        (self.within(policy.days.get(), policy.bytes()), policy.days.get())
    }

    fn within(&self, days: u32, bytes: u64) -> Limits {
        Limits { days: days.min(self.own.days), bytes: bytes.min(self.own.bytes) }
    }

    fn policy(&self) -> Option<network::Records> {
        self.policy.borrow().as_ref().map(|policy| policy.network.records)
    }
}

/// What a test says holds whatever the policy is.
#[cfg(test)]
impl From<Limits> for Bounds {
    fn from(own: Limits) -> Self {
        Self { own, policy: watch::channel(None).1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bounds(days: Option<u32>, mib: Option<u64>, policy: &str) -> Bounds {
        let policy =
            Some(policy).filter(|p| !p.is_empty()).map(|p| Arc::new(serde_json::from_str(p).unwrap()));
        Bounds::new(days, mib, watch::channel(policy).1)
    }

    #[test]
    fn the_policy_alone_holds_where_the_sysadmin_said_nothing_and_else_what_is_less() {
        let policy = r#"{"network": {"records": {"days": 365, "mib": 1024}}}"#;
        let of = |days, mib| {
            let Limits { days, bytes } = bounds(days, mib, policy).in_force(0);
            (days, bytes / MIB)
        };

        assert_eq!(of(None, None), (365, 1_024));
        assert_eq!(of(Some(30), Some(2_048)), (30, 1_024));
        assert_eq!(of(Some(400), Some(64)), (365, 64));
        assert_eq!(bounds(Some(30), None, policy).told(), (Limits { days: 30, bytes: 1_024 * MIB }, 365));
    }

    #[test]
    fn before_a_pack_is_loaded_what_is_there_stays_within_the_sysadmins_bounds() {
        let all = bounds(None, None, "").in_force(5_000 * MIB);
        let own = bounds(Some(30), Some(64), "").in_force(5_000 * MIB);

        assert_eq!((all.days, all.bytes), (u32::MAX, 5_000 * MIB));
        assert_eq!((own.days, own.bytes), (30, 64 * MIB));
        assert_eq!(bounds(None, None, "").in_force(0).bytes, 256 * MIB);
        assert_eq!(bounds(None, None, "").told(), (Limits { days: 90, bytes: 256 * MIB }, 90));
    }
}
