//! Which records make room, when, and what is told of it.

use super::*;

#[test]
fn the_oldest_go_first_by_size_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 2 << 20, ..MANY };
    let mut store = store(dir.path(), limits);
    for block in 0..800 {
        let records: Vec<_> = (0..100)
            .map(|n| {
                tls(block * 100 + n, &format!("{}.example", Sha256::of(&(block * 100 + n).to_le_bytes())))
            })
            .collect();
        store.put(&records, at(block * 100 + 100));
        assert!(store.bytes() <= limits.bytes + limits.bytes / 2, "{}", store.bytes());
    }

    let found = store.search(&query(Sought::Address("203.0.113.7".parse().unwrap()), 0, 100_000));

    assert!(found.cut && found.kept_since > Some(at(100)), "{:?}", found.kept_since);
    assert_eq!(found.records[0].at, at(79_999));
}

#[test]
fn the_oldest_go_first_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), Limits { days: 2, ..MANY });
    for day in 0..5 {
        store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }

    let found = store.search(&query(domain("a.example"), 0, 10 * 86_400));

    assert_eq!(found.records.iter().map(|r| r.at).collect::<Vec<_>>(), [4, 3, 2].map(|day| at(day * 86_400)));
    assert!(found.cut);
}

#[test]
fn a_clock_that_leaps_ahead_takes_one_segment_at_the_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    for day in 0..5 {
        store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }
    let glitch = 3_650 * 86_400;
    for second in 0..5 {
        store.put(&[tls(glitch + second, "b.example")], at(glitch + second));
    }

    let found = store.search(&query(domain("a.example"), 0, 10 * 86_400));

    assert_eq!(found.records.len(), 4);
}

#[test]
fn a_flood_takes_the_past_slowly_and_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 2 << 20, ..MANY };
    let mut store = store(dir.path(), limits);
    let made = |second: i64| {
        let name = |n: i64| format!("{}.example", Sha256::of(&(second * 1_000 + n).to_le_bytes()));
        let mut block = Block::default();
        (0..1_000).for_each(|n| block.add(&tls(second, &name(n))).unwrap());
        block
    };

    let kept = (0..120).filter(|second| match store.add(&[made(*second)], at(*second)) {
        Ok(()) => true,
        Err(RecordsError::Full) => false,
        Err(error) => panic!("{error}"),
    });

    let kept = kept.count();
    assert!((20..60).contains(&kept), "{kept}");
    assert!(store.bytes() <= limits.bytes * 5 / 4, "{}", store.bytes());
    let early = RecordQuery::new(Sought::Certificate(Sha256([10; 32])), (at(5), at(15)), 1).unwrap();
    assert_eq!(store.search(&early).records.len(), 1, "what was before the flood is there");
    (0..20).for_each(|n| drop(store.add(&[made(200)], at(100_000 + n * 601))));
    assert_eq!(store.search(&early).records.len(), 0, "in its time it goes");
}

#[test]
fn a_segment_that_somebody_removed_is_not_missed_and_one_that_cannot_be_removed_does_not_hold_up_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), Limits { days: 2, ..MANY });
    for day in 0..3 {
        store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }
    let file = |number: u64| dir.path().join(format!("{number:08}.records"));
    std::fs::remove_file(file(0)).unwrap();

    for day in 3..6 {
        store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }

    assert!(!file(1).exists() && !file(2).exists() && file(3).exists());
}

#[test]
fn segments_that_made_room_while_a_search_waited_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), MANY);
    for day in 0..4 {
        store.put(&[tls(day * 86_400, "a.example")], at(day * 86_400));
    }
    let shelf = store.shelf(0, LATER).unwrap();
    for number in 0..2 {
        crate::records::segment::remove(&dir.path().join(format!("{number:08}.records"))).unwrap();
    }

    let found = shelf.search(&query(domain("a.example"), 0, 10 * 86_400));

    assert_eq!((found.records.len(), found.cut, found.kept_since), (2, true, Some(at(2 * 86_400))));
    let files = std::fs::read_dir(dir.path())
        .unwrap()
        .filter_map(|file| file.unwrap().file_name().into_string().ok());
    assert!(!files.into_iter().any(|name| name.starts_with("00000000")), "no empty one was made");
}
