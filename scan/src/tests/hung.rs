//! Files on a file system that stops answering.

use super::{asleep::Asleep, *};

#[test]
fn a_file_that_is_never_read_to_its_end_times_out_and_others_are_scanned() {
    let Some(asleep) = Asleep::mount() else { return };
    let pool = Tested::with(Limits { time: Duration::from_secs(3), ..limits() });
    let (worker, file) = (pool.worker(), File::open(asleep.at("reads")).unwrap());

    let hung = pool.runtime.block_on(pool.pool.scan_file(file, &Untrusted::default()));
    let next = pool.scan(MARK);

    assert_eq!(hung.scanned.outcome, ScanOutcome::Timeout);
    assert_eq!(next.scanned.outcome, ScanOutcome::Matched);
    // It was killed and is there all the same.
    assert_eq!(state_of(worker), Some('D'));
    drop(asleep);
    wait_until("the killed worker is gone", || is_dead(worker));
}
