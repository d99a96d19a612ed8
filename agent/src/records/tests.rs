use std::{path::Path, time::Instant};

use khien_core::{
    Sha256,
    event::{Direction, Transport},
    order::{GapCause, MOST_FOUND, RecordGap, Sought},
    time::{self, SignedDuration},
    traffic::{Ends, File, Ja4, Tls, What},
};

use super::{block::Block, segment::Segment, *};

mod policy;
mod room;

/// When all searches of these tests are, but those that ask for now.
const LATER: Timestamp = Timestamp::constant(1_770_000_000, 0);
const MANY: Limits = Limits { days: 90, bytes: 256 << 20 };

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + second).unwrap()
}

fn record(second: i64, what: What) -> Record {
    let ends = Ends {
        flow: second.unsigned_abs(),
        interface: "eth0".into(),
        vlan: Vec::new(),
        tunnel: None,
        transport: Transport::Tcp,
        client: "192.0.2.1:5000".parse().unwrap(),
        server: "203.0.113.7:443".parse().unwrap(),
        saw_syn: false,
    };
    Record { at: at(second), ends, what }
}

pub(super) fn tls(second: i64, sni: &str) -> Record {
    let ja4 = Ja4::new(b"t13d3112h2_e8f1e7e78f70_b26ce05bbdd6");
    let certificate = Some(Sha256([second.to_le_bytes()[0]; 32]));
    record(second, What::Tls(Box::new(Tls { sni: Some(sni.into()), ja4, certificate, ..Tls::default() })))
}

pub(super) fn query(sought: Sought, since: i64, until: i64) -> RecordQuery {
    RecordQuery::new(sought, (at(since), at(until)), 10).unwrap()
}

pub(super) fn domain(name: &str) -> Sought {
    Sought::Domain(name.into())
}

fn keeper(store: Store, inbox: Arc<Inbox<Ask>>, meter: Arc<Meter>, bounds: Bounds) -> Keeper {
    Keeper { store, inbox, meter, unnoted: None, bounds, there: 0, told: Instant::now() }
}

fn store(dir: &Path, limits: Limits) -> Store {
    Store::open(dir.to_owned(), limits, at(0)).unwrap()
}

impl Store {
    fn put(&mut self, records: &[Record], now: Timestamp) {
        let mut block = Block::default();
        records.iter().for_each(|record| block.add(record).unwrap());
        self.add(&[block], now).unwrap();
    }

    fn search(&self, query: &RecordQuery) -> RecordsFound {
        self.shelf(0, LATER).unwrap().search(query)
    }

    /// Ends as the agent does when it is told to.
    fn end(self, now: Timestamp) {
        self.rest(now).unwrap();
    }
}

#[test]
fn what_is_kept_is_found_by_each_of_its_keys_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let sha256 = Some(Sha256([9; 32]));
    let file =
        File { direction: Direction::ToClient, name: None, content_type: None, size: 1, whole: true, sha256 };
    let all = [tls(1, "a.evil.example"), tls(2, "b.example"), record(3, What::File(Box::new(file)))];
    store(dir.path(), MANY).put(&all, at(3));

    let store = store(dir.path(), MANY);
    let found = |sought: Sought| store.search(&query(sought, 0, 10)).records;

    assert_eq!(found(domain("evil.example")), [all[0].clone()]);
    assert_eq!(found(domain("example")), [all[1].clone(), all[0].clone()], "the newest first");
    assert_eq!(found(Sought::Certificate(Sha256([2; 32]))), [all[1].clone()]);
    assert_eq!(found(Sought::Sha256(Sha256([9; 32]))), [all[2].clone()]);
    assert_eq!(found(Sought::Address("203.0.113.0/24".parse().unwrap())).len(), 3);
    let ja4 = Ja4::new(b"t13d3112h2_e8f1e7e78f70_b26ce05bbdd6").unwrap();
    assert_eq!(found(Sought::Ja4(ja4)).len(), 2);
    assert_eq!(found(domain("good.example")), []);
}

#[test]
fn only_the_time_that_was_asked_for_is_answered_and_since_when_there_are_records_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    store.put(&(0..100).map(|s| tls(s, "a.example")).collect::<Vec<_>>(), at(100));

    let some = store.search(&query(domain("a.example"), 40, 42));
    let early = store.search(&query(domain("a.example"), -50, 3));

    assert_eq!(some.records.iter().map(|r| r.at).collect::<Vec<_>>(), [at(42), at(41), at(40)]);
    assert!(some.is_whole(at(40)) && !some.cut);
    assert_eq!((early.records.len(), early.kept_since), (4, Some(at(0))));
    assert!(!early.is_whole(at(-50)), "nothing is known of the time before the first record");
    let all = store.search(&query(domain("a.example"), 0, 100));
    assert_eq!((all.records.len(), all.more, all.records[0].at), (10, true, at(99)));
}

#[test]
fn a_damaged_segment_is_set_aside_told_and_the_others_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = store(dir.path(), MANY);
    for day in 0..3 {
        first.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }
    first.end(at(2 * 86_400));
    let middle = dir.path().join("00000001.records");
    std::fs::write(&middle, "this is no database, and long enough to be seen as none".repeat(40)).unwrap();

    let store = Store::open(dir.path().to_owned(), MANY, at(2 * 86_400)).unwrap();
    let found = store.search(&query(domain("a.example"), 0, 10 * 86_400));

    assert_eq!((found.records.len(), found.unread), (2, 1));
    assert!(!found.is_whole(at(0)) && dir.path().join("00000001.records.damaged").exists());
    store.end(at(2 * 86_400));
    let again = Store::open(dir.path().to_owned(), MANY, at(2 * 86_400)).unwrap();
    assert_eq!(
        again.search(&query(domain("a.example"), 0, 10 * 86_400)).unread,
        1,
        "after the next start, too"
    );
}

#[test]
fn what_only_cannot_be_opened_now_is_not_taken_for_damaged() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), MANY).put(&[tls(1, "a.example")], at(1));
    let file = dir.path().join("00000000.records");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 1_000).unwrap();

    let newer = Store::open(dir.path().to_owned(), MANY, at(2));

    assert!(matches!(newer, Err(RecordsError::Newer(1_000))), "{newer:?}");
    assert!(file.exists());
}

#[test]
fn a_segment_is_opened_without_a_write() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), MANY).put(&[tls(1, "a.example")], at(1));
    let file = dir.path().join("00000000.records");
    let writes = rusqlite::Connection::open(&file).unwrap();
    writes.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();

    let opened = Segment::open(&file).unwrap();

    assert!(opened.span().is_some() && began.elapsed() < Duration::from_secs(4), "it waited to write");
}

#[test]
fn what_was_lost_is_told_for_its_time_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = store(dir.path(), MANY);
    first.put(&[tls(1, "a.example"), tls(9_000, "a.example")], at(9_000));
    first.note_lost(7, (at(4_000), at(4_000))).unwrap();
    first.note_lost(2, (at(4_001), at(4_001))).unwrap();
    first.end(at(9_000));

    let store = Store::open(dir.path().to_owned(), MANY, at(9_000)).unwrap();
    let lost = |since, until| store.search(&query(domain("a.example"), since, until)).lost;

    assert_eq!((lost(3_000, 5_000), lost(3_000, 3_999), lost(100, 200), lost(5_000, 9_000)), (9, 9, 0, 0));
}

#[test]
fn one_record_of_a_wrong_clock_does_not_claim_years() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    let boot = Record { at: Timestamp::UNIX_EPOCH, ..tls(0, "a.example") };
    store.put(&[boot, tls(5, "a.example")], at(5));

    let found = store.search(&query(domain("a.example"), -1_000, 10));

    assert!(!found.is_whole(at(-1_000)) && found.kept_since == Some(at(5)), "{:?}", found.kept_since);
}

#[test]
fn an_answer_is_never_longer_than_a_report_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    let long = "x".repeat(2_000);
    let records: Vec<_> = (0..200).map(|s| tls(s, &format!("{long}.example"))).collect();
    store.put(&records, at(200));

    let most = RecordQuery::new(domain("example"), (at(0), at(300)), MOST_FOUND).unwrap();
    let found = store.search(&most);

    let bytes = serde_json::to_string(&found).unwrap().len();
    assert!(found.more && bytes < khien_core::protocol::MAX_RECORD * 3 / 4, "{bytes}");
}

#[test]
fn records_that_are_large_hide_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    let inbox = super::inbox::Inbox::<()>::default();
    let answers = vec![khien_core::Untrusted::new(vec![0xff; 1_024]); 16];
    let large = |second| {
        let dns = khien_core::traffic::Dns {
            id: 1,
            answer: true,
            query: "a.test".into(),
            query_type: 16,
            code: Some(0),
            answers: answers.clone(),
        };
        record(second, What::Dns(Box::new(dns)))
    };
    let mut all: Vec<_> = (0..256).map(large).collect();
    all.push(tls(256, "c2.example"));

    for records in all.chunks(32) {
        inbox.put(records);
        store.add(&inbox.take(Duration::ZERO).blocks, at(300)).unwrap();
    }

    assert_eq!(store.search(&query(domain("c2.example"), 0, 300)).records, [tls(256, "c2.example")]);
    let found = store.search(&query(domain("a.test"), 100, 100));
    assert_eq!((found.records, found.unread), (vec![large(100)], 0));
}

#[test]
fn a_segment_of_an_older_form_is_set_aside_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("00000000.records");
    let older = rusqlite::Connection::open(&file).unwrap();
    older
        .execute_batch("CREATE TABLE block (id INTEGER PRIMARY KEY, body BLOB); PRAGMA user_version = 1")
        .unwrap();
    drop(older);

    let store = store(dir.path(), MANY);

    assert_eq!(store.search(&query(domain("a.example"), 0, 10)).unread, 1);
    assert!(dir.path().join("00000000.records.damaged").exists() && !file.exists());
}

#[test]
fn an_agent_that_died_over_records_is_told_for_that_time_and_one_that_ended_is_not() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), MANY).put(&[tls(100, "a.example")], at(100));

    let again = Store::open(dir.path().to_owned(), MANY, at(500)).unwrap();
    let died = gap((98, 500), GapCause::Died, None);
    assert_eq!(
        [(99, 99), (300, 300)].map(|time| gaps(&again, time)),
        [vec![died.clone()], vec![died.clone()]]
    );
    assert_eq!(gaps(&again, (501, 600)), []);
    let found = again.search(&query(domain("a.example"), 100, 600));
    assert!(!found.is_whole(at(100)) && found.unread == 0, "{found:?}");
    again.end(at(700));
    let third = Store::open(dir.path().to_owned(), MANY, at(900)).unwrap();
    assert_eq!(gaps(&third, (0, 1_000)), [died, gap((700, 900), GapCause::Stopped, None)]);
}

fn gap((since, until): (i64, i64), why: GapCause, scope: Option<&str>) -> RecordGap {
    RecordGap { since: at(since), until: at(until), why, scope: scope.map(Into::into) }
}

fn gaps(store: &Store, (since, until): (i64, i64)) -> Vec<RecordGap> {
    store.search(&query(domain("a.example"), since, until)).gaps
}

#[test]
fn a_search_says_from_when_to_when_there_are_records_and_when_no_agent_ran() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = store(dir.path(), MANY);
    first.put(&[tls(10, "a.example"), tls(100, "a.example")], at(100));
    first.end(at(200));
    let mut again = Store::open(dir.path().to_owned(), MANY, at(5_000)).unwrap();
    again.put(&[tls(5_100, "a.example")], at(5_100));

    let found = again.search(&query(domain("a.example"), 10, 6_000));

    assert_eq!((found.kept_since, found.kept_until), (Some(at(10)), Some(at(6_000))));
    assert_eq!(found.gaps, [gap((200, 5_000), GapCause::Stopped, None)]);
    assert!(!found.is_whole(at(10)), "nobody knows what went by while no agent ran");
    let after = again.search(&query(domain("a.example"), 5_001, 6_000));
    assert!(after.is_whole(at(5_001)), "{after:?}");
    // Weeks without an agent do not make the records look as if they were of a wrong clock.
    again.end(at(6_000));
    let third = Store::open(dir.path().to_owned(), MANY, at(30 * 86_400)).unwrap();
    assert_eq!(third.search(&query(domain("a.example"), 10, 31 * 86_400)).kept_since, Some(at(10)));
}

#[test]
fn a_time_in_which_nothing_was_seen_is_a_gap_also_while_it_goes_on_and_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = store(dir.path(), MANY);
    first.put(&[tls(1, "a.example")], at(1));
    let mut sight = |scope: &str, sees, second| first.sight(scope.to_owned(), sees, at(second)).unwrap();
    sight("eth0", true, 2);
    sight("eth0", false, 10);
    sight("eth0", false, 15);
    sight("lo", false, 20);
    sight("eth0", true, 30);

    let (eth0, lo) =
        (gap((10, 30), GapCause::Blind, Some("eth0")), |until| gap((20, until), GapCause::Blind, Some("lo")));
    let later = LATER.as_second() - 1_760_000_000;
    assert_eq!(gaps(&first, (0, 100)), [eth0.clone(), lo(later)]);
    // Another segment begins, and then the agent dies.
    first.put(&[tls(90_000, "a.example")], at(90_000));
    drop(first);
    let again = Store::open(dir.path().to_owned(), MANY, at(90_500)).unwrap();

    let died = gap((89_998, 90_500), GapCause::Died, None);
    let rest = gap((90_000, 90_500), GapCause::Blind, Some("lo"));
    assert_eq!(gaps(&again, (0, 91_000)), [eth0, lo(90_000), died, rest]);
    assert_eq!(gaps(&again, (90_501, 91_000)), []);
}

#[test]
fn records_of_before_gaps_were_noted_are_read_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), MANY).put(&[tls(1, "a.example")], at(1));
    let file = rusqlite::Connection::open(dir.path().join("00000000.records")).unwrap();
    file.execute_batch("DROP TABLE gap").unwrap();

    let mut again = Store::open(dir.path().to_owned(), MANY, at(10)).unwrap();
    assert_eq!(gaps(&again, (2, 5)), [gap((-1, 10), GapCause::Died, None)]);
    again.sight("eth0".to_owned(), false, at(20)).unwrap();
    again.sight("eth0".to_owned(), true, at(25)).unwrap();

    assert_eq!(gaps(&again, (11, 50)), [gap((20, 25), GapCause::Blind, Some("eth0"))]);
}

fn blocks(dir: &Path) -> i64 {
    let db = rusqlite::Connection::open(dir.join("00000000.records")).unwrap();
    db.query_row("SELECT count(*) FROM block", [], |r| r.get(0)).unwrap()
}

#[test]
fn small_blocks_are_put_together_and_nothing_of_them_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    for second in (0..300).step_by(3) {
        store.put(&[0, 1, 2].map(|n| tls(second + n, "a.example")), at(second));
    }

    assert_eq!(blocks(dir.path()), 3 + 100 % 32);
    let most = RecordQuery::new(domain("a.example"), (at(0), at(300)), MOST_FOUND).unwrap();
    let found = store.search(&most).records;
    assert_eq!(found, (0..300).rev().map(|second| tls(second, "a.example")).collect::<Vec<_>>());
}

#[test]
fn small_blocks_that_cannot_be_read_keep_nothing_that_comes_from_being_added() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    (0..31).for_each(|second| store.put(&[tls(second, "a.example")], at(second)));
    let db = rusqlite::Connection::open(dir.path().join("00000000.records")).unwrap();
    assert_eq!(db.execute("DELETE FROM block WHERE id = 7", []).unwrap(), 1);

    (31..100).for_each(|second| store.put(&[tls(second, "a.example")], at(second)));

    let most = RecordQuery::new(domain("a.example"), (at(0), at(100)), MOST_FOUND).unwrap();
    assert_eq!(store.search(&most).records.len(), 99, "the others of them are there, too");
    assert_eq!(blocks(dir.path()), 31 + 2 + 68 % 32, "and later ones are put together again");
}

#[test]
fn only_blocks_that_may_have_what_is_sought_are_read_and_a_damaged_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    store.put(&[tls(1, "a.example")], at(1));
    store.put(&[tls(2, "b.test")], at(2));
    let damage = |sql: &str| {
        let db = rusqlite::Connection::open(dir.path().join("00000000.records")).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1);
    };
    let ends = |name: &str| {
        let found = store.search(&query(domain(name), 0, 10));
        (found.records.len(), found.unread)
    };

    damage("UPDATE block SET body = zeroblob(50) WHERE id = 1");
    assert_eq!([ends("example"), ends("b.test")], [(0, 1), (1, 0)]);

    damage("UPDATE block SET filter = zeroblob(9) WHERE id = 2");
    assert_eq!(ends("b.test"), (1, 0), "a damaged filter keeps nothing back");
}

#[test]
fn records_are_searched_while_more_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    store.put(&[tls(1, "a.example")], at(1));
    let shelf = store.shelf(3, LATER).unwrap();
    store.put(&[tls(2, "a.example")], at(2));

    let found = shelf.search(&query(domain("a.example"), 0, 10));

    assert_eq!((found.records.len(), found.lost, found.unread), (2, 3, 0));
}

#[tokio::test]
async fn a_thread_that_ends_by_itself_is_stated_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (meter, inbox) = (Arc::new(Meter::default()), Arc::<Inbox<Ask>>::default());
    let records = Records(Arc::new(Handle(Arc::clone(&inbox))));
    let keeper = keeper(store(dir.path(), MANY), inbox, Arc::clone(&meter), MANY.into());

    // As a panic does.
    drop(keeper);

    let stated = meter.health(0).coverage;
    assert_eq!(
        stated.iter().map(|c| (c.sight, c.reason.clone())).collect::<Vec<_>>(),
        [(Sight::Blind, Some(Reason::RecordsNotKept))]
    );
    assert_eq!(records.search(query(domain("a.example"), 0, 1)).await, Err(Reason::AgentStops));
    let ends = Arc::new(Meter::default());
    let records = Records::open(dir.path().to_owned(), MANY, Arc::clone(&ends)).unwrap();
    records.flush().await;
    drop(records);
    assert_eq!(ends.health(0).coverage, []);
}

#[test]
fn a_segment_is_closed_without_waiting_for_who_searches_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    store.put(&[tls(0, "a.example")], at(0));
    let searches = rusqlite::Connection::open(dir.path().join("00000000.records")).unwrap();
    searches.execute_batch("BEGIN; SELECT count(*) FROM block").unwrap();
    store.put(&[tls(1, "a.example")], at(1));
    let began = Instant::now();

    // The next day: the segment before is closed.
    store.put(&[tls(2 * 86_400, "a.example")], at(2 * 86_400));

    assert!(dir.path().join("00000001.records").exists());
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for who searches");
    searches.execute_batch("COMMIT").unwrap();
    assert_eq!(store.search(&query(domain("a.example"), 0, 10)).records.len(), 2);
}

#[test]
fn what_was_seen_is_on_the_disk_soon_without_being_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().to_owned(), MANY, Arc::default()).unwrap();
    let began = Instant::now();

    records.keep([&tls(1, "a.example")]);

    while blocks(dir.path()) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_was_just_seen_is_found_by_the_next_search() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path().to_owned(), MANY, Arc::default()).unwrap();
    let now = Timestamp::now();
    let seen = Record { at: now, ..tls(0, "c2.evil.example") };
    records.keep([&seen]);

    let since = time::after(now, SignedDuration::from_mins(-1));
    let query = RecordQuery::new(domain("evil.example"), (since, now), 10).unwrap();
    let found = records.search(query).await.unwrap();

    assert_eq!((found.records, found.lost), (vec![seen], 0));
}
