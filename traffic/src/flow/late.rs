//! Segments that come after their hole was passed over.

use khien_core::event::Direction;

use super::{wire::*, *};
use crate::decode::sample::tcp;

/// What the client says is found once.
fn is_found(wire: &mut Wire) {
    wire.wait(QUIET / MILLISECOND);
    wire.finish();
    let hits = wire.hits();
    assert_eq!((hits.len(), hits[0].direction), (1, Direction::ToServer));
}

#[test]
fn a_segment_that_comes_late_is_scanned() {
    for parts in [1, 4] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.send(true, &tcp(1001 + MARK.len() as u32, b"what comes behind"));
        for _ in 0..3 {
            wire.wait(1100);
        }
        assert_eq!(wire.engine.take_counts().missing, MARK.len() as u64);
        for (n, part) in MARK.chunks(MARK.len().div_ceil(parts)).enumerate() {
            let at = n * MARK.len().div_ceil(parts);
            wire.send(true, &tcp(1001 + u32::try_from(at).unwrap(), part));
        }
        // A second copy is none.
        wire.send(true, &tcp(1001, MARK));

        is_found(&mut wire);
        let missing = wire.told.flows()[0].to_server.missing;
        assert_eq!(missing, MARK.len() as u64, "it was scanned apart from what stands around it");
    }
}

#[test]
fn a_match_across_what_comes_late_and_what_stands_around_it_is_found() {
    // Where the hole lies in the mark, and how it is filled.
    for (hole, parts) in [(0..7, 1), (5..9, 1), (5..15, 3), (9..MARK.len(), 1)] {
        for (before, behind) in [(0, 0), (30_000, 30_000), (300_000, 100_000)] {
            let mut wire = Wire::new(ENDS[0]);
            wire.open();
            (0..before / 1_000).for_each(|_| wire.say(&[b'a'; 1_000]));
            wire.say(&MARK[..hole.start]);
            let at = wire.next[0];
            wire.next[0] += u32::try_from(hole.len()).unwrap();
            wire.say(&[&MARK[hole.end..], b"."].concat());
            (0..behind / 1_000).for_each(|_| wire.say(&[b'z'; 1_000]));
            for _ in 0..3 {
                wire.wait(1100);
            }
            assert_eq!(wire.hits().len(), 0);
            let missed = &MARK[hole.clone()];
            for (n, part) in missed.chunks(missed.len().div_ceil(parts)).enumerate() {
                let at = at + u32::try_from(n * missed.len().div_ceil(parts)).unwrap();
                wire.send(true, &tcp(at, part));
            }

            is_found(&mut wire);
        }
    }
}
