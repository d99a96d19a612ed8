use super::*;

fn scan(trace: &mut Trace, from: i64, every: i64, count: i64) {
    for n in 0..count {
        trace.flow(from + n * every, "10.0.0.5", &format!("10.0.1.{}:445", n + 1), REFUSED);
    }
}

#[test]
fn a_worm_that_tries_its_neighbours_is_told_once_an_hour_with_its_numbers() {
    let mut trace = Trace::usual();

    scan(&mut trace, 0, SECOND, 29);
    assert_eq!(trace.rules(), [""; 0]);
    scan(&mut trace, 29 * SECOND, 100, 200);

    let subject = trace.only();
    assert_eq!(subject.what, Pattern::HorizontalScan { servers: 30, unanswered_percent: 100, seconds: 60 });
    assert_eq!((subject.service, subject.server), (Some("445/tcp".parse().unwrap()), None));
    assert_eq!(subject.flows.len(), 4);
    let servers: std::collections::HashSet<_> = subject.flows.iter().map(|f| f.server).collect();
    assert_eq!(servers.len(), 4, "each flow is another example");
    scan(&mut trace, 2 * HOUR, SECOND, 40);
    assert_eq!(trace.rules(), ["khien.net.scan_horizontal"; 2]);
}

#[test]
fn a_scan_in_which_some_answer_is_one_and_work_with_many_servers_is_none() {
    let of = |answered: i64| {
        let mut trace = Trace::usual();
        for n in 0..60 {
            let carried = if n % 10 < answered { ANSWERED } else { REFUSED };
            trace.flow(n * 500, "10.0.0.5", &format!("10.0.1.{}:22", n + 1), carried);
        }
        trace.rules().len()
    };

    assert_eq!(of(3), 1);
    assert_eq!(of(5), 0, "half of them answered");
    assert_eq!(of(10), 0, "an administrator's tool");
}

#[test]
fn everyday_work_is_no_scan() {
    let mut trace = Trace::new(r#"{"trusted": ["10.0.0.200"]}"#);

    // A browser when the way out is down, and a mail server with an old queue.
    for n in 0..110 {
        trace.flow(n * 400, "10.0.0.5", &format!("198.51.100.{}:443", n + 1), REFUSED);
        trace.flow(n * 400, "10.0.0.25", &format!("198.51.100.{}:25", n + 1), REFUSED);
    }
    for n in 0..200 {
        // A resolver and a clock when the way out is down; a vulnerability scanner; a slow poll of dead hosts.
        trace.flow(n * 100, "10.0.0.53", &format!("udp 198.51.100.{}:53", n + 1), REFUSED);
        trace.flow(n * 100, "10.0.0.53", &format!("udp 198.51.100.{}:123", n + 1), REFUSED);
        trace.flow(n * 100, "10.0.0.200", &format!("10.0.1.{}:445", n + 1), REFUSED);
        trace.flow(n * 5 * SECOND, "10.0.0.6", &format!("10.0.1.{}:161", n + 1), REFUSED);
        // One direction of a busy client, seen at a mirror that shows no answers.
        let half = Carried { got: 0, ended: FlowEnd::Idle, ..ANSWERED };
        trace.flow(n * 100, "10.0.0.7", &format!("10.0.2.{}:8443", n + 1), half);
        // Noise of the Internet.
        trace.flow(n * 100, "203.0.113.99", &format!("10.0.1.{}:23", n + 1), REFUSED);
        trace.flow(n * 100, "203.0.113.99", &format!("10.0.1.1:{}", n + 1), REFUSED);
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn scans_from_outside_are_told_where_policy_asks_for_it() {
    let mut trace = Trace::new(r#"{"vertical_scan": {"from_outside": true}}"#);
    for n in 0..200 {
        trace.flow(n * 100, "203.0.113.99", &format!("10.0.1.1:{}", n + 1), REFUSED);
    }

    assert_eq!(trace.only().what, Pattern::VerticalScan { ports: 30, unanswered_percent: 100, seconds: 60 });
}

#[test]
fn many_ports_of_one_host_are_a_scan_unless_they_answer_or_are_its_own_replies() {
    let mut trace = Trace::usual();
    for n in 0..100 {
        // Transfers of passive FTP, and replies of a web server to one client, of which the questions were not seen.
        trace.flow(n * 100, "10.0.0.6", &format!("10.0.0.21:{}", 50_000 + n), ANSWERED);
        trace.flow(n * 100, "10.0.0.80:443", &format!("10.0.0.6:{}", 40_000 + n), REFUSED);
    }
    assert_eq!(trace.rules(), [""; 0]);

    for n in 0..100 {
        let carried = if n % 20 == 0 { ANSWERED } else { REFUSED };
        trace.flow(n * 100, "10.0.0.5", &format!("10.0.0.9:{}", n + 1), carried);
    }

    let subject = trace.only();
    assert_eq!(subject.what, Pattern::VerticalScan { ports: 30, unanswered_percent: 96, seconds: 60 });
    assert_eq!((subject.server, subject.service), (Some("10.0.0.9".parse().unwrap()), None));
}

#[test]
fn a_busy_client_does_not_grow_and_does_not_hide_a_scan_after_its_work() {
    let mut trace = Trace::usual();
    trace.flow(0, "10.0.0.5", "10.99.0.1:22", REFUSED);
    for n in 0..20_000 {
        let server = format!("10.{}.{}.{}:22", 100 + n / 60_000, n / 250 % 250, n % 250 + 1);
        trace.flow(n, "10.0.0.5", &server, ANSWERED);
    }
    assert_eq!(trace.rules(), [""; 0]);

    for n in 0..60 {
        trace.flow(2 * MINUTE + n * 100, "10.0.0.5", &format!("10.0.1.{}:22", n + 1), REFUSED);
    }

    assert_eq!(trace.rules(), ["khien.net.scan_horizontal"]);
}

#[test]
fn a_poll_of_many_of_which_few_are_dead_is_no_scan() {
    let mut trace = Trace::usual();

    for n in 0..2_000 {
        let carried = if n % 25 == 7 { REFUSED } else { ANSWERED };
        let server = format!("10.0.{}.{}:22", n % 450 / 200 + 1, n % 450 % 200 + 1);
        trace.flow(n * 130, "10.0.0.5", &server, carried);
    }

    assert_eq!(trace.rules(), [""; 0]);
}
