//! Beacons and first conversations.

use super::*;

/// A call for orders.
const CALL: Carried<'_> =
    Carried { sent: 640, got: 420, application: Application::Tls, name: Some("cdn.c2.example"), ..ANSWERED };

/// Calls `count` times, each so many milliseconds after the one before, give or take.
fn calls(trace: &mut Trace, count: i64, [period, jitter]: [i64; 2], call: Carried<'_>) {
    let (mut at, mut chance) = (0, Chance(7));
    for _ in 0..count {
        trace.flow(at, "10.0.0.5", "203.0.113.7:443", call);
        at += period + i64::try_from(chance.below(u64::try_from(jitter).unwrap() + 1)).unwrap();
    }
}

#[test]
fn an_implant_that_asks_each_minute_is_told_after_half_an_hour() {
    let mut trace = Trace::usual();

    calls(&mut trace, 31, [60_000, 0], CALL);
    assert_eq!(trace.rules(), [""; 0], "not yet");
    let mut trace = Trace::usual();
    calls(&mut trace, 33, [60_000, 0], CALL);

    let subject = trace.only();
    let Pattern::Beacon { times, period_ms, jitter_percent, bytes, score, .. } = subject.what else {
        panic!()
    };
    assert_eq!([times, period_ms, jitter_percent, bytes, score], [32, 60_000, 0, 640, 100]);
    assert_eq!(subject.name, Some("cdn.c2.example".into()));
    assert_eq!(subject.flows.len(), 1);
}

#[test]
fn implants_that_stray_as_usual_are_told() {
    // Sleep and jitter of frameworks in use, in milliseconds.
    for (name, period) in [
        ("60 s and up to 30 more", [60_000, 30_000]),
        ("10 s, 23 % to each side", [7_700, 4_600]),
        ("60 s, up to a half less", [30_000, 30_000]),
        ("5 s", [5_000, 200]),
        ("20 min", [1_200_000, 60_000]),
    ] {
        let mut trace = Trace::usual();
        calls(&mut trace, 1_800_000 / period[0] + 70, period, CALL);
        assert!(!trace.found.is_empty(), "{name}");
        assert!(trace.rules().iter().all(|rule| *rule == "khien.net.beacon"), "{name}");
    }
}

#[test]
fn another_name_with_each_call_hides_no_implant() {
    for below in [".c2.example", ""] {
        let (mut trace, mut chance) = (Trace::usual(), Chance(3));
        for n in 0..40 {
            // Below one domain, or another domain each time at one address.
            let name = match below {
                "" => format!("www.{}.example", chance.text(12, b"0123456789abcdef")),
                below => format!("{}{below}", chance.text(12, b"0123456789abcdef")),
            };
            let server = if below.is_empty() {
                "203.0.113.7:443".to_owned()
            } else {
                format!("203.0.113.{}:443", n + 7)
            };
            trace.flow(n * MINUTE, "10.0.0.5", &server, Carried { name: Some(&name), ..CALL });
        }
        assert_eq!(trace.rules(), ["khien.net.beacon"], "{below}");
    }
}

#[test]
fn lost_calls_and_calls_of_several_connections_do_not_hide_it() {
    let mut trace = Trace::usual();

    for n in (0..60).filter(|n| n % 9 != 4) {
        trace.flow(n * MINUTE, "10.0.0.5", "203.0.113.7:443", CALL);
        trace.flow(n * MINUTE + 40, "10.0.0.5", "203.0.113.7:443", CALL);
    }

    assert_eq!(trace.rules(), ["khien.net.beacon"]);
}

#[test]
fn people_and_programs_at_work_are_no_beacons() {
    let mut trace = Trace::usual();
    let (mut at, mut chance) = (0, Chance(11));
    let page = Carried { name: Some("news.example"), ..CALL };
    for _ in 0..4_000 {
        // Pauses as long as chance makes them, which is how people click: mostly short, sometimes long.
        let pause = [300, 2_000, 9_000, 40_000, 300_000][chance.below(5) as usize] + chance.below(5_000);
        at += i64::try_from(pause).unwrap();
        trace.flow(at, "10.0.0.5", "203.0.113.7:443", Carried { sent: 300 + chance.below(4_000), ..page });
    }
    for n in 0..3_000 {
        // A program that works through a list, ten times a second.
        trace.flow(n * 100, "10.0.0.6", "203.0.113.8:443", Carried { name: Some("api.example"), ..CALL });
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn what_is_regular_by_its_nature_is_no_beacon() {
    let policy = r#"{"known": ["update.vendor.example", "198.51.100.0/24"]}"#;
    let mut trace = Trace::new(policy);

    trace.resolve(0, "eu.update.vendor.example", "203.0.113.9");
    for n in 0..500 {
        let at = n * MINUTE;
        let bare = Carried { name: None, ..CALL };
        // Clock, name server, log server; a health check within home; known places by name and by address.
        trace.flow(at, "10.0.0.5", "udp 203.0.113.123:123", Carried { sent: 48, got: 48, ..bare });
        trace.flow(at, "10.0.0.5", "udp 203.0.113.53:53", Carried { name: Some("a.example"), ..bare });
        trace.flow(at, "10.0.0.5", "udp 203.0.113.14:514", Carried { got: 0, ..bare });
        trace.flow(at, "10.0.0.5", "10.0.0.9:8080", bare);
        trace.flow(
            at,
            "10.0.0.5",
            "203.0.113.9:443",
            Carried { name: Some("eu.update.vendor.example"), ..CALL },
        );
        trace.flow(at, "10.0.0.5", "198.51.100.9:443", bare);
        // A visitor's monitor that calls our portal.
        trace.flow(at, "203.0.113.200", "10.0.0.80:443", CALL);
    }
    for n in 0..60 {
        // Package lists, twice a day.
        trace.flow(
            n * 12 * HOUR,
            "10.0.0.5",
            "203.0.113.10:80",
            Carried { name: Some("deb.example"), ..CALL },
        );
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn an_update_service_is_known_to_who_asks_a_public_resolver_and_not_by_any_other() {
    let calls = |resolver: &str| {
        let mut trace = Trace::new(r#"{"known": ["update.vendor.example"]}"#);
        for n in 0..60 {
            if n % 20 == 0 {
                trace.resolve_at(n * MINUTE, resolver, ("eu.update.vendor.example", "203.0.113.9"));
            }
            let name = Some("eu.update.vendor.example");
            trace.flow(n * MINUTE, "10.0.0.5", "203.0.113.9:443", Carried { name, ..CALL });
        }
        trace.rules().len()
    };

    for public in
        ["8.8.8.8", "1.1.1.1", "9.9.9.9", "203.113.131.1", "[2001:4860:4860::8888]", "[2620:fe::fe]"]
    {
        assert_eq!(calls(&format!("udp {public}:53")), 0, "{public}");
    }
    // Whoever hides behind a known name may have a resolver, too.
    for other in ["udp 203.0.113.53:53", "udp 8.8.8.8:5353", "udp [2001:db8::53]:53"] {
        assert_eq!(calls(other), 1, "{other}");
    }
}

#[test]
fn calls_to_a_public_resolver_are_judged_as_any_others() {
    for resolver in ["1.1.1.1:443", "[2606:4700:4700::1111]:443"] {
        let mut trace = Trace::usual();

        (0..60).for_each(|n| trace.flow(n * MINUTE, "10.0.0.5", resolver, CALL));

        assert_eq!(trace.rules(), ["khien.net.beacon"], "{resolver}");
    }
}

const PORTAL: &str = r#"{"zones": [{"name": "portal", "networks": ["10.0.0.0/24"], "first_seen": true}], "known": ["cdn.example"]}"#;

#[test]
fn who_alone_sends_makes_no_first_conversation_and_wipes_nothing_that_was_learnt() {
    let mut trace = Trace::new(PORTAL);
    let one_sided = [Carried { sent: 0, ..ANSWERED }, Carried { got: 0, ..ANSWERED }];
    trace.flow(0, "10.0.0.5", "203.0.113.1:443", ANSWERED);
    for (n, carried) in (1..600).flat_map(|n| one_sided.map(|carried| (n, carried))) {
        trace.flow(8 * DAY, "10.0.0.5", &format!("198.51.{}.{}:443", n / 250, n % 250), carried);
    }
    assert_eq!(trace.rules(), [""; 0]);
    assert_eq!(trace.detectors.firsts.places.iter().count(), 1);

    // A SYN that was answered is enough of the server.
    let ends = Ends { saw_syn: true, ..trace.ends("10.0.0.5", "203.0.113.9:443") };
    let last = moment(8 * DAY);
    trace.told(8 * DAY, ends.clone(), Carried { got: 0, ..ANSWERED });
    assert_eq!(trace.rules(), [""; 0], "it was not answered");
    let volume = |payload| Volume { packets: 2, bytes: 300, payload, missing: 0 };
    let flow = Flow {
        first: last,
        last,
        ended: FlowEnd::Closed,
        application: Application::Unknown,
        name: None,
        to_server: volume(9),
        to_client: volume(0),
        answered: true,
        process: None,
    };
    let record = Record { at: last, ends, what: What::Flow(Box::new(flow)) };
    trace.detectors.see(&record, &mut trace.found);
    assert_eq!(trace.rules().len(), 1);
}

#[test]
fn a_server_that_speaks_to_a_new_place_after_the_time_of_learning_is_told_once() {
    let mut trace = Trace::new(PORTAL);
    let to = |name| Carried { application: Application::Tls, name: Some(name), ..ANSWERED };

    trace.flow(0, "10.0.0.5", "203.0.113.1:443", to("a.partner.example"));
    trace.flow(6 * DAY, "10.0.0.5", "203.0.113.2:443", to("late.example"));
    trace.flow(8 * DAY, "10.0.0.6", "203.0.113.3:443", to("B.Partner.example"));
    trace.resolve(8 * DAY, "x.cdn.example", "203.0.113.4");
    trace.flow(8 * DAY, "10.0.0.6", "203.0.113.4:443", to("x.cdn.example"));
    trace.flow(8 * DAY, "10.0.9.6", "203.0.113.5:443", to("desk.example"));
    trace.flow(8 * DAY, "10.0.0.6", "udp 203.0.113.5:123", ANSWERED);
    trace.flow(8 * DAY, "10.0.0.6", "203.0.113.6:443", REFUSED);
    trace.flow(8 * DAY, "10.0.0.6", "10.9.9.9:443", ANSWERED);
    assert_eq!(trace.rules(), [""; 0]);
    trace.flow(8 * DAY, "10.0.0.6", "203.0.113.7:443", to("c2.example"));
    trace.flow(9 * DAY, "10.0.0.7", "203.0.113.8:443", to("c2.example"));

    let subject = trace.only();
    assert_eq!(subject.name, Some("c2.example".into()));
    assert_eq!(subject.what, Pattern::FirstSeen { zone: "portal".to_owned().try_into().unwrap(), known: 3 });
}
