//! Which process stands behind a record that names none itself: that of its flow, where the record of the flow was found too.

use std::{collections::HashMap, net::SocketAddr};

use khien_core::{
    event::{Process, Transport},
    traffic::{Ends, Flow, Record, What},
};

/// What tells a flow of one agent from others. Its number alone does not: it begins anew with the agent.
type Key = (u64, Transport, SocketAddr, SocketAddr);

/// The flows that one agent found, and that have a process.
#[derive(Debug, Default)]
pub(super) struct Owners<'r>(HashMap<Key, Vec<&'r Flow>>);

impl<'r> Owners<'r> {
    /// Takes the flows out of what one agent found.
    pub(super) fn new(records: &'r [Record]) -> Self {
        let mut all = Self::default();
        for record in records {
            if let What::Flow(flow) = &record.what
                && flow.process.is_some()
            {
                all.0.entry(key(&record.ends)).or_default().push(flow);
            }
        }
        all
    }

    /// Returns the process behind a record; of a flow its own.
    pub(super) fn of(&self, record: &'r Record) -> Option<&'r Process> {
        if let What::Flow(flow) = &record.what {
            return flow.process.as_deref();
        }
        // One that began later is another flow, of which the agent gave the same number after it was started anew.
        let flows = self.0.get(&key(&record.ends))?.iter().filter(|flow| flow.first <= record.at);
        flows.max_by_key(|flow| flow.first)?.process.as_deref()
    }
}

fn key(ends: &Ends) -> Key {
    (ends.flow, ends.transport, ends.client, ends.server)
}
