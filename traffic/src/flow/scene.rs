//! What a flow needs at hand while it is looked at, and the words in which it is told.

use khien_core::{
    Timestamp, Untrusted,
    event::{Direction, FlowFacts},
    traffic::{FlowEnd, Record, What},
};

use super::{Counts, entry::Entry, key::Seed};
use crate::{
    application::{Said, Wants, quic::Budget},
    sink::{Evasion, Origin, Sink, Trick},
};

/// A flow, where what it says goes, and the time.
pub(super) struct Scene<'a> {
    pub(super) entry: &'a mut Entry,
    pub(super) interface: &'a Untrusted,
    pub(super) sink: &'a mut dyn Sink,
    /// What a follower says; empty between two calls, kept for its memory.
    pub(super) said: &'a mut Vec<Said>,
    pub(super) at: Timestamp,
    pub(super) wants: Wants,
    pub(super) seed: Seed,
    pub(super) counts: &'a mut Counts,
    pub(super) quic: &'a mut Budget,
}

impl Scene<'_> {
    /// Tells a record.
    pub(super) fn record(&mut self, what: What) {
        let ends = self.entry.ends(self.interface);
        self.sink.record(Record { at: self.at, ends, what });
    }

    /// Tells the flow as a whole.
    pub(super) fn flow(&mut self, ended: FlowEnd) {
        let flow = self.entry.flow(ended);
        let (at, ends) = (self.entry.last(), self.entry.ends(self.interface));
        self.sink.record(Record { at, ends, what: What::Flow(Box::new(flow)) });
    }

    /// Tells a sign that somebody sends packets past this sensor. What came out of a tunnel is none: anybody can send packets that
    /// look like one, with any ends inside.
    pub(super) fn evaded(&mut self, trick: Trick, direction: Direction) {
        if self.entry.ends(self.interface).tunnel.is_some() {
            return;
        }
        let flow = self.facts(direction, None);
        let (client, server) = (flow.client.ip(), flow.server.ip());
        self.sink.evaded(Evasion { trick, at: self.at, client, server, flow: Some(Box::new(flow)) });
    }

    /// Names an exchange of the flow.
    pub(super) fn origin(&self, exchange: u64) -> Origin {
        Origin { flow: self.entry.number, exchange }
    }

    /// Says what is known of the flow now.
    pub(super) fn facts(&self, direction: Direction, url: Option<&Untrusted>) -> FlowFacts {
        let ends = self.entry.ends(self.interface);
        FlowFacts {
            transport: ends.transport,
            client: ends.client,
            server: ends.server,
            direction,
            interface: ends.interface,
            vlan: ends.vlan,
            tunnel: ends.tunnel.map(Box::new),
            application: self.entry.application,
            name: self.entry.name.as_deref().cloned(),
            url: url.cloned(),
            listed: None,
            process: None,
        }
    }
}
