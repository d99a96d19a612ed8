//! What the signed policy says of records holds while the agent runs, and what comes of it is told.

use khien_core::asset::RecordsState;
use tokio::sync::watch;

use super::*;

const MIB: u64 = 1 << 20;

fn policy(days: u32, mib: u32) -> Option<Arc<Policy>> {
    let said = format!(r#"{{"network": {{"records": {{"days": {days}, "mib": {mib}}}}}}}"#);
    Some(Arc::new(serde_json::from_str(&said).unwrap()))
}

/// Fills a store with a record of each of so many days.
fn of_days(dir: &Path, days: i64) {
    let mut store = store(dir, MANY);
    (0..days).for_each(|day| store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400)));
    store.end(at(days * 86_400));
}

#[test]
fn a_new_policy_holds_from_the_next_records_on() {
    let dir = tempfile::tempdir().unwrap();
    let (load, said) = watch::channel(policy(90, 256));
    let bounds = Bounds::new(None, None, said);
    let mut keeper = keeper(store(dir.path(), MANY), Arc::default(), Arc::default(), bounds);
    for day in 0..5 {
        keeper.obey();
        keeper.store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }
    let kept =
        |keeper: &Keeper| keeper.store.search(&query(domain("a.example"), 0, 10 * 86_400)).records.len();
    assert_eq!(kept(&keeper), 5);

    load.send_replace(policy(2, 256));
    keeper.obey();
    keeper.store.put(&[tls(5 * 86_400, "a.example")], at(5 * 86_400));

    assert_eq!(kept(&keeper), 5, "one came and one went: by their age they go one an hour");
}

#[test]
fn where_a_new_policy_gives_less_room_the_oldest_go_at_once_and_nothing_new_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    of_days(dir.path(), 5);
    let (load, said) = watch::channel(policy(90, 256));
    let mut keeper =
        keeper(store(dir.path(), MANY), Arc::default(), Arc::default(), Bounds::new(None, None, said));
    let of = |second: i64, n: i64| {
        let name = format!("{}.example", Sha256::of(&(second * 1_000 + n).to_le_bytes()));
        tls(5 * 86_400 + second, &name)
    };
    for second in 0..40 {
        let many: Vec<_> = (0..1_000).map(|n| of(second, n)).collect();
        keeper.store.put(&many, at(5 * 86_400 + second));
    }
    assert!(keeper.store.bytes() > MIB && keeper.store.since() == Some(at(0)));

    load.send_replace(policy(90, 1));
    keeper.obey();

    assert_eq!(keeper.store.since(), Some(at(5 * 86_400)), "all before what is written now went");
    keeper.store.put(&[tls(5 * 86_400 + 41, "a.example")], at(5 * 86_400 + 41));
}

#[test]
fn nothing_makes_room_before_the_policy_is_known() {
    let dir = tempfile::tempdir().unwrap();
    of_days(dir.path(), 5);
    let there = store::taken(dir.path()).unwrap();
    let later = at(400 * 86_400);

    let unknown = Bounds::new(None, None, watch::channel(None).1);
    let store = Store::open(dir.path().to_owned(), unknown.in_force(there), later).unwrap();
    assert_eq!(store.search(&query(domain("a.example"), 0, 10 * 86_400)).records.len(), 5);
    store.end(later);
    let known = Bounds::new(None, None, watch::channel(policy(90, 256)).1);
    let store = Store::open(dir.path().to_owned(), known.in_force(there), later).unwrap();

    assert_eq!(store.search(&query(domain("a.example"), 0, 10 * 86_400)).records.len(), 4);
}

#[test]
fn how_far_records_reach_and_for_how_long_there_is_room_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let meter = Arc::<Meter>::default();
    let bounds = Bounds::new(None, Some(64), watch::channel(policy(180, 128)).1);
    let mut keeper = keeper(store(dir.path(), MANY), Arc::default(), Arc::clone(&meter), bounds);

    keeper.tell(at(0));
    let RecordsState { since, limit, days, policy_days, lasts_days, .. } = meter.health(0).records.unwrap();
    assert_eq!((since, limit, days, policy_days, lasts_days), (None, 64 * MIB, 180, 180, None));

    let (begun, now) = (at(0), at(6 * 3_600));
    keeper.store.put(&[tls(0, "a.example")], begun);
    keeper.store.put(&[tls(6 * 3_600, "a.example")], now);
    keeper.tell(now);

    let told = meter.health(0).records.unwrap();
    assert_eq!(told.since, Some(begun));
    let daily = keeper.store.daily(now).unwrap();
    assert!(told.bytes > 0 && daily > 0);
    assert_eq!(told.lasts_days, Some(64 * MIB / daily), "{daily} bytes a day");
}
