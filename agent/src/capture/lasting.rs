//! What stays when capture begins anew with other interfaces: what was counted goes on, and no two flows of a run of the agent
//! have one number.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::tally::Tally;

/// Interfaces whose counters are remembered: tunnels may come and go all the year. Those of more begin anew with each beginning.
const MOST: usize = 1_024;

/// What stays.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// By the name of the interface.
    tallies: HashMap<String, Arc<Tally>>,
    /// What ends the threads of those that are watched now.
    given_up: HashMap<String, Arc<AtomicBool>>,
    /// The number of the last flow.
    flows: Arc<AtomicU64>,
}

impl Lasting {
    /// Returns what an interface counts with.
    pub(super) fn tally(&mut self, interface: &str) -> Arc<Tally> {
        if let Some(known) = self.tallies.get(interface) {
            return Arc::clone(known);
        }
        let new = Arc::<Tally>::default();
        if self.tallies.len() < MOST {
            self.tallies.insert(interface.to_owned(), Arc::clone(&new));
        }
        new
    }

    /// Returns what tells the threads of an interface, which begin now, that it is given up.
    pub(super) fn begin(&mut self, interface: &str) -> Arc<AtomicBool> {
        let is_given_up = Arc::<AtomicBool>::default();
        self.given_up.insert(interface.to_owned(), Arc::clone(&is_given_up));
        is_given_up
    }

    /// Ends the threads of an interface: it is not there any more.
    pub(super) fn give_up(&mut self, interface: &str) {
        if let Some(is_given_up) = self.given_up.remove(interface) {
            is_given_up.store(true, Ordering::Relaxed);
        }
    }

    /// Returns what counts flows.
    pub(super) fn flows(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.flows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::loss::Cause;

    #[test]
    fn what_was_counted_of_an_interface_goes_on_and_memory_is_bounded() {
        let mut lasting = Lasting::default();
        lasting.tally("eth0").lost(Cause::Kernel, 3);
        (0..2 * MOST).for_each(|n| drop(lasting.tally(&format!("tun{n}"))));

        lasting.tally("eth0").lost(Cause::Kernel, 4);

        assert_eq!((lasting.tally("eth0").wire("eth0", false).kernel, lasting.tallies.len()), (7, MOST));
    }
}
