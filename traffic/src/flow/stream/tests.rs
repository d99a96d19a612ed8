//! Streams, whatever order their segments come in.

use proptest::prelude::*;

use super::*;

#[test]
fn segments_in_any_order_give_the_stream_once() {
    let mut stream = Stream::default();
    stream.begin(u32::MAX - 2);

    let mut got = joined(stream.take(3, b"ghi", true));
    got += &joined(stream.take(0, b"def", false));
    got += &joined(stream.take(u32::MAX - 2, b"abc", false));
    got += &joined(stream.take(0, b"def", false));

    assert_eq!(got, "abcdefghi");
    assert!(stream.is_whole() && !stream.has_hole() && stream.held() == 0);
}

#[test]
fn the_first_copy_of_a_byte_wins() {
    let mut stream = Stream::default();
    stream.begin(0);

    let mut got = joined(stream.take(4, b"GOOD", false));
    got += &joined(stream.take(2, b"--evilevil", false));
    got += &joined(stream.take(0, b"ab", false));
    got += &joined(stream.take(0, b"XXXXXXXXXXXX!", false));

    assert_eq!(got, "ab--GOODevil!");
}

#[test]
fn a_held_copy_that_says_something_else_is_told() {
    let mut stream = Stream::default();
    stream.begin(0);

    assert!(!stream.take(4, b"GOOD", false).differs);
    assert!(!stream.take(2, b"--GO", false).differs);
    assert!(stream.take(3, b"-EVIL", false).differs);
}

#[test]
fn bytes_in_order_are_handed_on_without_a_copy() {
    let mut stream = Stream::default();
    stream.begin(9);
    let payload = *b"abc";

    let taken = stream.take(9, &payload, false);

    assert!(matches!(taken.now, Some(Piece { bytes: Cow::Borrowed(_), .. })) && taken.held.is_empty());
}

#[test]
fn a_stream_that_is_only_counted_holds_nothing_and_counts_late_segments_once() {
    let mut stream = Stream::default();
    stream.begin(0);

    stream.skim(0, 10, false);
    stream.skim(20, 10, false);
    assert_eq!((stream.length(), stream.missing(), stream.held()), (30, 10, 0));
    stream.skim(10, 10, false);
    stream.skim(10, 10, true);
    assert_eq!((stream.length(), stream.missing()), (30, 0));
    assert!(!stream.is_whole());
    stream.skim(25, 5, true);
    assert!(stream.is_whole());
}

#[test]
fn a_stream_longer_than_its_numbers_goes_on() {
    let mut stream = Stream::default();
    stream.begin(u32::MAX - 1_000_000);
    let mut seq = u32::MAX - 1_000_000;
    for _ in 0..5000 {
        stream.skim(seq, 1 << 20, false);
        seq = seq.wrapping_add(1 << 20);
    }

    assert_eq!((stream.length(), stream.missing()), (5000 << 20, 0));
}

#[test]
fn a_stream_is_picked_up_in_its_middle() {
    let mut stream = Stream::default();

    assert_eq!(joined(stream.take(77_000, b"abc", false)), "abc");
    assert_eq!(joined(stream.take(77_003, b"def", false)), "def");
}

#[test]
fn a_hole_is_passed_and_counted_when_the_store_is_full() {
    let mut stream = Stream::default();
    stream.begin(0);
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    let mut seq = 10;

    while pieces.is_empty() {
        pieces =
            all(stream.take(seq, &[b'x'; 1000], false)).into_iter().map(|p| (p.offset, p.lost)).collect();
        seq += 1000;
    }

    assert_eq!((pieces[0], stream.missing()), ((10, 10), 10));
    assert!(seq as usize <= MAX_HELD + 3000);
}

#[test]
fn one_unbelievable_segment_does_not_move_the_stream_but_a_row_of_them_does() {
    let mut stream = Stream::default();
    stream.begin(0);
    let far = 1 << 30;

    assert!(all(stream.take(far, b"evil", false)).is_empty());
    assert_eq!(joined(stream.take(0, b"good", false)), "good");
    assert!(all(stream.take(far, b"abc", false)).is_empty());
    assert!(all(stream.take(far + 3, b"def", false)).is_empty());
    assert_eq!(joined(stream.take(far + 6, b"ghi", false)), "ghi");
}

#[test]
fn a_stream_goes_on_where_its_receiver_stands() {
    let far = 1 << 30;
    let mut stream = Stream::default();
    stream.begin(0);
    stream.acknowledge(0);
    for n in 0..10 {
        let stray = stream.take(far + n, b"x", false);
        assert!(stray.refused && all(stray).is_empty(), "the receiver is not there");
    }
    assert_eq!(joined(stream.take(0, b"good", false)), "good");

    // Now he is.
    stream.acknowledge(far);
    let taken = stream.take(far, b"on", false);
    assert!(taken.jumped && !taken.refused);
    let pieces = all(taken);
    assert_eq!((pieces[0].lost, &*pieces[0].bytes), (u64::from(far) - 4, &b"on"[..]));
    assert_eq!(stream.missing(), u64::from(far) - 4);
}

#[test]
fn without_acknowledgements_a_stream_is_followed_after_a_while() {
    let mut stream = Stream::default();
    stream.begin(0);
    stream.acknowledge(0);
    let far = 1 << 30;

    let taken = (0..STRAYS_DESPITE_ACKS).map(|n| stream.take(far + u32::from(n), b"x", false).jumped);

    assert_eq!(taken.filter(|jumped| *jumped).count(), 1);
}

#[test]
fn bytes_before_a_beginning_that_the_receiver_does_not_know_move_it() {
    let mut stream = Stream::default();
    stream.begin(4 << 20);
    stream.acknowledge(1);

    let taken = stream.take(1, b"real", false);

    assert!(taken.jumped);
    assert_eq!((joined(taken), joined(stream.take(5, b" more", false))), ("real".into(), " more".into()));

    // Those before a beginning that he knows, or that was not seen, are only refused.
    for begin in [true, false] {
        let mut stream = Stream::default();
        if begin {
            stream.begin(4 << 20);
        }
        stream.acknowledge((4 << 20) + 4);
        assert_eq!(joined(stream.take(4 << 20, b"real", false)), "real");
        let taken = stream.take(1, b"before", false);
        assert!(taken.refused && all(taken).is_empty());
        assert!(!stream.take((4 << 20) - 1, b"k", false).refused, "asks whether it is alive");
    }
}

#[test]
fn an_end_holds_once_the_receiver_acknowledged_it() {
    let mut stream = Stream::default();
    stream.begin(0);
    assert!(!stream.take(0, b"abc", true).refused && stream.is_whole());

    let more = stream.take(3, b"def", false);
    assert!(more.refused && joined(more) == "def" && !stream.is_whole());
    assert!(!stream.take(6, b"", true).refused && stream.is_whole());
    stream.acknowledge(7);
    let behind = stream.take(5, b"fgh", true);
    assert!(behind.refused && all(behind).is_empty() && stream.is_whole());
    assert!(!stream.take(3, b"def", true).refused, "a copy");
}

#[test]
fn a_reset_is_obeyed_at_the_next_byte_alone() {
    let mut stream = Stream::default();
    assert!(stream.obeys(77), "nothing is known of it");
    stream.begin(10);
    stream.take(10, b"abc", false);
    assert!(stream.obeys(13) && !stream.obeys(14) && !stream.obeys(12));
    stream.take(20, b"early", false);
    assert!(stream.obeys(25) && !stream.obeys(20));
    stream.acknowledge(18);
    assert!(stream.obeys(18) && !stream.obeys(17));
    let mut over = Stream::default();
    over.begin(0);
    over.take(0, b"a", true);
    assert!(over.obeys(1) && over.obeys(2) && !over.obeys(3));
}

#[test]
fn what_every_flow_has_twice_is_small() {
    assert!(size_of::<Stream>() <= 64, "{}", size_of::<Stream>());
}

proptest! {
    #[test]
    fn any_numbers_are_counted(segments in prop::collection::vec((any::<u32>(), 0usize..70_000, any::<bool>()), 0..60)) {
        let mut stream = Stream::default();
        for (seq, length, last) in segments {
            stream.acknowledge(seq ^ length as u32);
            stream.skim(seq, length, last);
            prop_assert!(stream.missing() <= stream.length());
        }
    }

    #[test]
    fn any_segments_are_taken_within_the_limits(
        segments in prop::collection::vec((any::<u32>(), 0usize..4000, any::<bool>()), 0..60)
    ) {
        let mut stream = Stream::default();
        for (seq, length, last) in segments {
            if length % 3 == 0 {
                stream.acknowledge(seq);
            }
            let seq = if length % 5 == 0 { seq } else { seq % 40_000 };
            stream.take(seq, &vec![b'x'; length], last);
            prop_assert!(stream.missing() <= stream.length());
            let held = stream.held.as_ref();
            prop_assert!(held.is_none_or(|h| h.bytes() <= MAX_HELD && h.count() <= MAX_PIECES));
        }
    }

    #[test]
    fn a_shuffled_stream_comes_out_as_it_was(
        text in prop::collection::vec(any::<u8>(), 1..2000), first: u32, order: Vec<prop::sample::Index>, size in 8usize..90
    ) {
        let mut parts: Vec<(usize, &[u8])> = text.chunks(size).enumerate().map(|(i, c)| (i * size, c)).collect();
        for (i, other) in order.iter().enumerate() {
            let i = i % parts.len();
            let j = other.index(parts.len());
            parts.swap(i, j);
        }
        let mut stream = Stream::default();
        stream.begin(first);
        let mut got = Vec::new();
        for (at, part) in parts {
            let seq = first.wrapping_add(u32::try_from(at).unwrap());
            got.extend(all(stream.take(seq, part, false)).into_iter().flat_map(|p| p.bytes.into_owned()));
        }
        prop_assert_eq!(got, text);
    }
}

fn all(taken: Taken<'_>) -> Vec<Piece<'_>> {
    taken.now.into_iter().chain(taken.held).collect()
}

fn joined(taken: Taken<'_>) -> String {
    all(taken).into_iter().map(|p| String::from_utf8(p.bytes.into_owned()).unwrap()).collect()
}
