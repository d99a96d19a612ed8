//! Workers that come, go, die and rest.

use super::{
    compiled::{compiled, unchanged},
    *,
};

#[test]
fn a_worker_that_does_not_answer_is_killed_and_the_next_scan_works() {
    let pool = Tested::with(Limits { time: Duration::from_secs(3), ..limits() });
    pool.signal(Signal::STOP);

    let stuck = pool.scan(MARK);
    let next = pool.scan(MARK);

    assert_eq!(stuck.scanned.outcome, ScanOutcome::Timeout);
    assert_eq!(next.scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn while_others_need_the_processors_a_scan_has_three_times_as_long() {
    let pool = Tested::new();
    let millis = || pool.pool.request(pool.pool.asked(0)).millis;
    let usual = millis();

    pool.pool.others_need_processors(true);
    assert_eq!(millis(), usual * 3);

    pool.pool.others_need_processors(false);
    assert_eq!(millis(), usual);
}

#[test]
fn a_worker_killed_over_a_file_is_a_crash_and_the_next_scan_works() {
    let pool = Tested::new();
    // Within its time the job is usually handed over; a worker that dies before has nothing to do with it.
    let mut time = Duration::from_millis(50);
    let killed = || {
        let worker = pool.worker();
        // Stopped, the worker does not do the job.
        pool.signal(Signal::STOP);
        let path = Untrusted::default();
        let scan = pool.pool.scan_file(file_of(MARK), &path);
        let outcome = pool.runtime.block_on(async {
            tokio::pin!(scan);
            let early = tokio::time::timeout(time, &mut scan).await;
            assert!(early.is_err(), "a stopped worker answered: {early:?}");
            pool.signal(Signal::KILL);
            scan.await.scanned.outcome
        });
        time *= 2;

        assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched, "the next scan works");
        assert_ne!(pool.worker(), worker);
        outcome == ScanOutcome::Crashed
    };

    wait_until("a job was handed over before its worker died", killed);
}

#[test]
fn a_worker_killed_between_two_files_is_no_files_fault() {
    let pool = Tested::new();
    let worker = pool.worker();
    pool.signal(Signal::KILL);
    wait_until("the worker is dead", || is_dead(worker));

    assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_new_pack_takes_over_and_the_old_workers_end() {
    let pool = Tested::new();
    let old = pool.worker();

    pool.runtime.block_on(pool.pool.load(Arc::new(marked_pack(2)))).unwrap();

    assert_eq!(pool.scan(MARK).pack, 2);
    wait_until("the old worker is gone", || state_of(old).is_none());
}

#[test]
fn a_worker_ends_with_its_pool() {
    let pool = Tested::new();
    let worker = pool.worker();

    drop(pool);

    wait_until("the worker is gone", || state_of(worker).is_none());
}

#[test]
fn a_second_worker_stands_only_while_the_first_is_busy() {
    let pool = Tested::with(Limits { workers: 2, ..limits() });
    (0..3).for_each(|_| assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched));
    assert_eq!(pool.pool.pids().len(), 1);
    // Stopped, the first worker keeps its job.
    pool.signal(Signal::STOP);

    let (stuck, other) = pool.runtime.block_on(async {
        let path = Untrusted::default();
        let scan = |bytes: &[u8]| pool.pool.scan_file(file_of(bytes), &path);
        tokio::join!(scan(b"nothing"), async {
            let other = scan(MARK).await;
            let pids = pool.pool.pids();
            pool.signal(Signal::CONT);
            (other, pids.len())
        })
    });

    assert_eq!(stuck.scanned.outcome, ScanOutcome::Clean);
    assert_eq!((other.0.scanned.outcome, other.1), (ScanOutcome::Matched, 2));
}

#[test]
fn while_the_host_is_short_of_memory_one_worker_must_do() {
    let pool = Tested::with(Limits { workers: 2, ..limits() });
    let has_further =
        || pool.pool.current.borrow().as_ref().unwrap().first.there.lock().unwrap().contains(&true);
    let two_at_once = || {
        // Stopped, the first worker takes long over the first file, and has no time for the second.
        pool.signal(Signal::STOP);
        let (path, file) = (Untrusted::default(), || file_of(MARK));
        let (one, other, ()) = pool.runtime.block_on(async {
            let scan = || pool.pool.scan_file(file(), &path);
            tokio::join!(scan(), scan(), async {
                tokio::time::sleep(slot::LATE * 10).await;
                pool.signal(Signal::CONT);
            })
        });
        assert_eq!([one, other].map(|scan| scan.scanned.outcome), [ScanOutcome::Matched; 2]);
    };

    pool.pool.save_memory(true);
    two_at_once();
    assert!(!has_further());

    pool.pool.save_memory(false);
    wait_until("a further worker is there", || {
        two_at_once();
        has_further()
    });

    pool.pool.save_memory(true);
    wait_until("the further worker is gone", || {
        two_at_once();
        !has_further()
    });
}

#[test]
fn a_worker_without_work_rests_where_another_is_ready_in_milliseconds_and_the_next_file_is_scanned() {
    let pool = Tested::resting_after(Duration::ZERO);
    let pack = marked_pack(2);
    let form = compiled(&pack, unchanged);
    pool.runtime.block_on(pool.pool.load_with(Arc::new(pack), Some(form))).unwrap();

    for _ in 0..3 {
        wait_until("no worker is left", || pool.pool.pids().is_empty());
        assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
    }
    assert_eq!(pool.told.coverage.lock().unwrap().last().unwrap().backend, "sandbox");
}

#[test]
fn a_worker_that_had_to_compile_its_rules_stays() {
    let pool = Tested::resting_after(Duration::ZERO);
    let worker = pool.worker();

    for _ in 0..5 {
        assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
        assert_eq!(pool.pool.pids(), [worker]);
    }
}
