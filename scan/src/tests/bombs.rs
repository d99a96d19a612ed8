//! Rules that cost more than they may.

use std::sync::atomic::Ordering;

use khien_core::bundle::Source;

use super::*;

/// Strings of which each is searched for in 255 forms.
const STRINGS: usize = 100_000;
/// Strings of one source: a source has a limit of its own.
const EACH: usize = 5_000;

#[test]
fn rules_that_take_all_memory_to_compile_are_refused_and_the_last_good_ones_stay() {
    let (pool, mut bomb) = (Tested::new(), marked_pack(2));
    for n in 0..STRINGS / EACH {
        let strings = (0..EACH).map(|at| format!("$s{at} = \"{n} khien {at}\" xor "));
        let text = format!(
            "private rule bomb{n} {{ strings: {} condition: any of them }}",
            strings.collect::<String>()
        );
        bomb.sources.push(Source { name: format!("{n}.yar"), text });
    }

    let refused = pool.runtime.block_on(pool.pool.load(Arc::new(bomb)));
    let scan = pool.scan(MARK);

    assert!(matches!(refused, Err(Reason::WorkerDied | Reason::PackTooSlow { .. })), "{refused:?}");
    assert_eq!((scan.scanned.outcome, scan.pack), (ScanOutcome::Matched, 1));
    let scanning = pool.pool.scanning();
    assert_eq!(scanning.load(Ordering::Acquire), 1, "and it is said so");
    pool.runtime.block_on(pool.pool.load(Arc::new(marked_pack(3)))).unwrap();
    assert_eq!(scanning.load(Ordering::Acquire), 3);
}
