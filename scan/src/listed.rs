//! Asks the pack's lists of digests and file names about each scanned file.
//!
//! A worker makes the digests that the lists ask for, in the one pass that it makes anyway. The lists themselves stay
//! with the agent, in one copy: they are signed, and what is looked up are a few bytes of fixed length and a name.

use khien_core::{
    Timestamp, Untrusted,
    bundle::{IndicatorSet, NetworkLists, Pack, SetKind},
    event::ScanOutcome,
};
use khien_rules::{
    indicator::{
        digest::Wanted,
        files::{Facts, FileSets},
    },
    scan::Hit,
};

use super::wire::ScanReply;

/// Returns a pack as a worker needs it: of the lists of files only the kinds.
pub(super) fn without_entries(pack: &Pack) -> Pack {
    let kind = |set: &IndicatorSet| IndicatorSet {
        rule: set.rule.clone(),
        kind: set.kind,
        source: String::new(),
        confidence: set.confidence,
        expires: set.expires,
        entries: 0,
        body: String::new(),
        globs: Vec::new(),
    };
    Pack {
        version: pack.version,
        created: pack.created,
        rules: pack.rules.clone(),
        sources: pack.sources.clone(),
        domains: pack.domains.clone(),
        sets: pack.sets.iter().map(kind).collect(),
        network: NetworkLists::default(),
        policy: None,
    }
}

/// Returns the digests that a pack's lists ask for. SHA-256 names every file that is listed, whatever is listed of it.
pub(super) fn wanted(pack: &Pack) -> Wanted {
    let asks = |kind| pack.sets.iter().any(|set| set.kind == kind);
    Wanted { sha256: !pack.sets.is_empty(), sha1: asks(SetKind::Sha1), md5: asks(SetKind::Md5) }
}

/// Adds the lists on which a file stands to what the rules found. A file that was not read to its end has no digests
/// and stays what it was.
pub(super) fn asked(mut reply: ScanReply, path: &Untrusted, sets: &FileSets, now: Timestamp) -> ScanReply {
    if reply.sha256.is_none() || sets.is_empty() {
        return reply;
    }
    let facts = Facts { path: path.raw(), digests: &reply.digests };
    for listed in sets.matches(&facts, now) {
        reply.scanned.hits.push(Hit { rule: listed.rule, inside: Default::default(), excerpts: Vec::new() });
    }
    if !reply.scanned.hits.is_empty() && reply.scanned.outcome == ScanOutcome::Clean {
        reply.scanned.outcome = ScanOutcome::Matched;
    }
    reply
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64_NOPAD;
    use khien_core::Sha256;
    use khien_rules::{
        indicator::{
            digest::Digests,
            keys::{Keys, key},
        },
        scan::Scanned,
    };

    use super::*;

    #[test]
    fn a_listed_file_is_a_hit_however_its_scan_ended_but_only_if_it_was_read() {
        let sets = FileSets::new(&pack());
        let path = Untrusted::new(b"/srv/evil");

        for (before, after) in
            [(ScanOutcome::Clean, ScanOutcome::Matched), (ScanOutcome::Timeout, ScanOutcome::Timeout)]
        {
            let reply = asked(reply(before, Some(Sha256::of(b"evil"))), &path, &sets, Timestamp::UNIX_EPOCH);
            assert_eq!((reply.scanned.outcome, reply.scanned.hits.len()), (after, 1));
        }
        let unread = asked(reply(ScanOutcome::TooLarge, None), &path, &sets, Timestamp::UNIX_EPOCH);
        assert_eq!((unread.scanned.outcome, unread.scanned.hits.len()), (ScanOutcome::TooLarge, 0));
    }

    #[test]
    fn a_worker_gets_no_entries_and_knows_what_to_digest() {
        let lean = without_entries(&pack());

        assert!(lean.sets[0].body.is_empty());
        assert_eq!(wanted(&lean), Wanted { sha256: true, sha1: false, md5: false });
        assert_eq!(wanted(&Pack { sets: Vec::new(), ..lean }), Wanted::default());
    }

    fn reply(outcome: ScanOutcome, sha256: Option<Sha256>) -> ScanReply {
        let scanned = Scanned { outcome, hits: Vec::new() };
        let digests = Digests { sha256, ..Digests::default() };
        ScanReply { number: 1, scanned, unseen: Vec::new(), sha256, digests, size: 4, now: None }
    }

    fn pack() -> Pack {
        let keys = Keys::new(key(&Sha256::of(b"evil").0).into_iter().collect());
        let set = IndicatorSet {
            rule: "list.test".parse().unwrap(),
            kind: SetKind::Sha256,
            source: "test".to_owned(),
            confidence: 100,
            expires: None,
            entries: 1,
            body: BASE64_NOPAD.encode(&keys.body().unwrap()),
            globs: Vec::new(),
        };
        Pack {
            version: 1,
            created: Timestamp::UNIX_EPOCH,
            rules: Vec::new(),
            sources: Vec::new(),
            domains: Vec::new(),
            sets: vec![set],
            network: NetworkLists::default(),
            policy: None,
        }
    }
}
