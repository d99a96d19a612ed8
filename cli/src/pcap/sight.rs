//! What the engine brings of one file, judged where there are rules, and gathered until it is taken.

use khien_core::{
    Sha256, Timestamp,
    policy::Network as Policy,
    traffic::{Ends, Record},
};
use khien_rules::{indicator::network::Network, sieve::Sieve};
use khien_traffic::{
    detect::Finding,
    judge::Judge,
    sink::{Content, Evasion, Job, Named, Sink},
};

use super::rules::Ready;

/// Takes what the engine sees.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Holds it against the lists and the detectors of a pack. None: it is only written down.
    judge: Option<Box<Judge<Network>>>,
    notes: Notes,
}

/// What was seen and is judged by nobody.
#[derive(Debug, Default)]
struct Notes {
    records: Vec<Record>,
    /// Files that were carried.
    contents: Vec<Content>,
}

/// Returns what the policy of a pack says of the network, or what is usual.
pub(super) fn policy(ready: Option<&Ready>) -> Policy {
    let of_pack = |ready: &Ready| ready.loaded.pack.policy.as_ref().map(|policy| policy.network.clone());
    ready.and_then(of_pack).unwrap_or_default()
}

impl Sight {
    pub(super) fn new(ready: Option<&Ready>) -> Self {
        let judge = ready.map(|ready| {
            let pack = &ready.loaded.pack;
            let policy = policy(Some(ready));
            let lists = Network::new(pack, ready.pool.lists(), Timestamp::now());
            // Rules of others run over pieces as over files, what is packed inside included: nothing is known of those.
            let streams = if ready.loaded.is_foreign { Sieve::default() } else { Sieve::of_streams(pack) };
            Box::new(Judge::new(lists.with_streams(streams), &policy))
        });
        Self { judge, notes: Notes::default() }
    }

    fn sink(&mut self) -> &mut dyn Sink {
        match &mut self.judge {
            Some(judge) => judge.as_mut(),
            None => &mut self.notes,
        }
    }

    /// Hears the time of what comes next.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if let Some(judge) = &mut self.judge {
            judge.tick(now);
        }
    }

    /// Takes the digest of a carried file, and writes the record of it.
    pub(super) fn digest(&mut self, content: &Content, sha256: Sha256, at: Timestamp) {
        match &mut self.judge {
            Some(judge) => judge.digest(content, sha256),
            None => self.notes.records.push(content.record(sha256, at)),
        }
    }

    /// Returns the records that were not taken yet.
    pub(super) fn records(&mut self) -> Vec<Record> {
        std::mem::take(match &mut self.judge {
            Some(judge) => &mut judge.records,
            None => &mut self.notes.records,
        })
    }

    /// Returns the carried files that were not taken yet.
    pub(super) fn contents(&mut self) -> Vec<Content> {
        std::mem::take(match &mut self.judge {
            Some(judge) => &mut judge.contents,
            None => &mut self.notes.contents,
        })
    }

    /// Returns the pieces of streams that were not taken yet.
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        self.judge.as_mut().map(|judge| std::mem::take(&mut judge.jobs)).unwrap_or_default()
    }

    /// Returns how many pieces no rule can match, of those that were not counted yet.
    pub(super) fn ruled_out(&mut self) -> u64 {
        self.judge.as_mut().map(|judge| std::mem::take(&mut judge.ruled_out)).unwrap_or_default()
    }

    /// Returns how many entries detectors forgot to make room, of those that were not counted yet.
    pub(super) fn forgotten(&mut self) -> u64 {
        self.judge.as_mut().map(|judge| judge.detectors().take_forgotten()).unwrap_or_default()
    }

    /// Returns the findings that were not taken yet.
    pub(super) fn findings(&mut self) -> Vec<Finding> {
        let Some(judge) = &mut self.judge else { return Vec::new() };
        // Nobody here owns the sockets of a capture.
        judge.opened.clear();
        std::mem::take(&mut judge.findings)
    }
}

impl Sink for Sight {
    fn opened(&mut self, ends: &Ends, at: Timestamp) {
        self.sink().opened(ends, at);
    }

    fn asked(&mut self, ends: &Ends, at: Timestamp) {
        self.sink().asked(ends, at);
    }

    fn named(&mut self, named: Named) {
        self.sink().named(named);
    }

    fn record(&mut self, record: Record) {
        self.sink().record(record);
    }

    fn wants(&mut self, bytes: &[u8]) -> bool {
        self.sink().wants(bytes)
    }

    fn scan(&mut self, job: Job) {
        self.sink().scan(job);
    }

    fn content(&mut self, content: Content) {
        self.sink().content(content);
    }

    fn evaded(&mut self, sign: Evasion) {
        self.sink().evaded(sign);
    }
}

impl Sink for Notes {
    fn wants(&mut self, _: &[u8]) -> bool {
        false
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn content(&mut self, content: Content) {
        self.contents.push(content);
    }
}

#[cfg(test)]
mod tests {
    use khien_traffic::sink::Trick;

    use super::*;

    #[test]
    fn signs_of_evasion_in_a_file_reach_the_detectors() {
        let judge = Judge::new(Network::default(), &Policy::default());
        let mut sight = Sight { judge: Some(Box::new(judge)), ..Sight::default() };
        let [client, server] = ["10.0.0.5", "203.0.113.7"].map(|address| address.parse().unwrap());

        for _ in 0..3 {
            sight.evaded(Evasion {
                trick: Trick::Copy,
                at: Timestamp::UNIX_EPOCH,
                client,
                server,
                flow: None,
            });
        }

        let rules: Vec<_> = sight.findings().into_iter().map(|found| found.rule.to_string()).collect();
        assert_eq!(rules, ["khien.net.evasion"]);
    }
}
