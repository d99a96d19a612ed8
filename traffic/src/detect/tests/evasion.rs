use super::*;
use crate::sink::{Evasion, Trick};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Shows a trick between a host and 203.0.113.7, on a flow of its own port.
fn shown(trace: &mut Trace, at: i64, client: &str, trick: Trick) {
    let ends = trace.ends(client, "203.0.113.7:80");
    let flow = (trick != Trick::Piece).then(|| Box::new(seen::facts(&ends, Application::Http, None)));
    let (client, server) = (ends.client.ip(), ends.server.ip());
    trace.detectors.evaded(&Evasion { trick, at: moment(at), client, server, flow }, &mut trace.found);
}

#[test]
fn copies_and_pieces_that_contradict_are_told_together_with_their_flows() {
    let mut trace = Trace::usual();

    shown(&mut trace, 0, "10.0.0.5", Trick::Copy);
    shown(&mut trace, 2 * SECOND, "10.0.0.5", Trick::Piece);
    assert_eq!(trace.rules(), [""; 0]);
    shown(&mut trace, 4 * SECOND, "10.0.0.5", Trick::Copy);

    let subject = trace.only();
    assert_eq!(subject.what, Pattern::Evasion { copies: 2, pieces: 1, resets: 0, seconds: 4 });
    assert_eq!((subject.client, subject.server), (ip("10.0.0.5"), Some(ip("203.0.113.7"))));
    assert_eq!(subject.flows.len(), 2);
    assert_eq!(trace.rules(), ["khien.net.evasion"]);
}

#[test]
fn resets_that_nobody_obeys_are_told_when_there_are_many() {
    let mut trace = Trace::usual();

    for n in 0..19 {
        shown(&mut trace, n * SECOND, "10.0.0.5", Trick::Reset);
    }
    assert_eq!(trace.rules(), [""; 0]);
    shown(&mut trace, 19 * SECOND, "10.0.0.5", Trick::Reset);

    assert_eq!(trace.only().what, Pattern::Evasion { copies: 0, pieces: 0, resets: 20, seconds: 19 });
}

#[test]
fn what_is_rare_trusted_or_switched_off_is_silent() {
    let mut rare = Trace::usual();
    for n in 0..100 {
        shown(&mut rare, n * 151 * SECOND, "10.0.0.5", Trick::Copy);
    }
    let mut spread = Trace::usual();
    for n in 0..200 {
        shown(&mut spread, n, &format!("10.0.0.{}", n % 100), Trick::Copy);
    }
    let mut trusted = Trace::new(r#"{"trusted": ["10.0.0.5"]}"#);
    let mut off = Trace::new(r#"{"evasion": {"on": false}}"#);
    for n in 0..100 {
        shown(&mut trusted, n, "10.0.0.5", Trick::Copy);
        shown(&mut off, n, "10.0.0.5", Trick::Copy);
    }

    assert_eq!([rare.rules(), spread.rules(), trusted.rules(), off.rules()], [[""; 0]; 4]);
}

#[test]
fn thresholds_are_the_policys() {
    let mut trace = Trace::new(r#"{"evasion": {"times": 1, "resets": 2, "seconds": 10}}"#);

    shown(&mut trace, 0, "10.0.0.5", Trick::Copy);
    shown(&mut trace, 0, "10.0.0.6", Trick::Reset);
    shown(&mut trace, 11 * SECOND, "10.0.0.6", Trick::Reset);
    assert_eq!(trace.rules().len(), 1);
    shown(&mut trace, 12 * SECOND, "10.0.0.6", Trick::Reset);

    assert_eq!(trace.rules().len(), 2);
}

#[test]
fn forged_sources_do_not_flood_the_team() {
    let mut trace = Trace::usual();

    for n in 0..20_000u32 {
        let client = format!("10.{}.{}.{}", n >> 16, n >> 8 & 0xff, n & 0xff);
        for _ in 0..3 {
            shown(&mut trace, i64::from(n), &client, Trick::Copy);
        }
    }

    // 64 by themselves, and how many more there are each time that doubles: 1, 2, 4, … 16,384.
    assert_eq!(trace.rules().len(), MAX_FORGED as usize + 15);
    assert!(trace.detectors.evasions.take_evicted() > 10_000, "and what made room is counted");
}

/// Has three copies be seen between a host, by its number, and 203.0.113.7.
fn pair(trace: &mut Trace, at: i64, number: i64) {
    (0..3)
        .for_each(|_| shown(trace, at, &format!("10.0.{}.{}", number / 250, number % 250 + 1), Trick::Copy));
}

/// Returns what was told of more pairs than are told each by itself, and of which client last.
fn spread(trace: &Trace) -> Vec<(u64, u64, IpAddr)> {
    let one = |finding: &Finding| match &finding.subject {
        Subject::Traffic(TrafficSubject {
            what: Pattern::EvasionSpread { pairs, seconds }, client, ..
        }) => Some((*pairs, *seconds, *client)),
        _ => None,
    };
    trace.found.iter().filter_map(one).collect()
}

#[test]
fn of_more_pairs_than_are_told_it_is_told_how_many_and_the_last() {
    let mut trace = Trace::usual();
    (0..64).for_each(|n| pair(&mut trace, n * SECOND, n));
    assert_eq!((trace.found.len(), spread(&trace)), (64, Vec::new()));

    // Whom the forged ones are to hide, again and again, and one that was told.
    (0..5).for_each(|_| pair(&mut trace, 100 * SECOND, 900));
    pair(&mut trace, 100 * SECOND, 0);
    assert_eq!(spread(&trace), [(1, 100, ip("10.0.3.151"))]);
    assert_eq!(trace.found[64].rule.as_str(), "khien.net.evasion");
    (1..100).for_each(|n| pair(&mut trace, 200 * SECOND, 900 + n));

    let counts: Vec<_> = spread(&trace).iter().map(|(pairs, ..)| *pairs).collect();
    assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64]);
    // In the next hour each is told by itself again, and more are counted from the beginning.
    (0..66).for_each(|n| pair(&mut trace, 2 * HOUR + n * SECOND, 2_000 + n));
    let counts: Vec<_> = spread(&trace).iter().map(|(pairs, ..)| *pairs).collect();
    assert_eq!((trace.found.len(), counts), (64 + 7 + 64 + 2, vec![1, 2, 4, 8, 16, 32, 64, 1, 2]));
}
