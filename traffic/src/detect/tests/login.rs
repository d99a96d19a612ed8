use super::*;

/// A session of SSH that ends after wrong passwords.
const WRONG: Carried<'_> =
    Carried { seconds: 9, sent: 3_100, got: 3_600, application: Application::Ssh, ..ANSWERED };

#[test]
fn guessing_passwords_is_told_with_its_numbers() {
    let mut trace = Trace::usual();

    for n in 0..29 {
        trace.flow(n * 4 * SECOND, "203.0.113.9", "10.0.0.22:22", WRONG);
    }
    assert_eq!(trace.rules(), [""; 0]);
    trace.flow(29 * 4 * SECOND, "203.0.113.9", "10.0.0.22:22", WRONG);

    let subject = trace.only();
    let what = Pattern::BruteForce { attempts: 30, seconds: 116, application: Application::Ssh };
    assert_eq!((&subject.what, subject.service), (&what, Some("22/tcp".parse().unwrap())));
}

#[test]
fn every_service_that_asks_for_a_password_counts_on_any_port() {
    for (server, application, count) in [
        ("10.0.0.9:2222", Application::Ssh, 1),
        ("10.0.0.9:3389", Application::Unknown, 1),
        ("10.0.0.9:445", Application::Smb, 1),
        ("10.0.0.9:21", Application::Ftp, 1),
        ("10.0.0.9:2323", Application::Unknown, 1),
        ("10.0.0.9:443", Application::Tls, 0),
        ("10.0.0.9:3306", Application::Unknown, 0),
        ("udp 10.0.0.9:22", Application::Unknown, 0),
    ] {
        let mut trace = Trace::usual();
        for n in 0..60 {
            trace.flow(n * SECOND, "10.0.0.5", server, Carried { application, sent: 900, got: 900, ..WRONG });
        }
        assert_eq!(trace.rules().len(), count, "{server}");
    }
}

#[test]
fn sessions_in_which_somebody_works_and_slow_ones_are_none() {
    let mut trace = Trace::new(r#"{"trusted": ["10.0.0.200"]}"#);

    for n in 0..200 {
        trace.flow(n * SECOND, "10.0.0.5", "10.0.0.22:22", Carried { got: 40_000, ..WRONG });
        trace.flow(n * SECOND, "10.0.0.6", "10.0.0.22:22", Carried { seconds: 400, ..WRONG });
        trace.flow(n * 15 * SECOND, "10.0.0.7", "10.0.0.22:22", WRONG);
        trace.flow(n * SECOND, "10.0.0.8", "10.0.0.22:22", Carried { ended: FlowEnd::Ongoing, ..WRONG });
        trace.flow(n * SECOND, "10.0.0.9", "10.0.0.22:22", REFUSED);
        trace.flow(n * SECOND, "10.0.0.200", "10.0.0.22:22", WRONG);
        // Letters of an office behind one address.
        trace.flow(
            n * SECOND,
            "10.0.0.10",
            "203.0.113.25:587",
            Carried { sent: 4_000, got: 4_800, ..ANSWERED },
        );
    }

    assert_eq!(trace.rules(), [""; 0]);
}

fn http(trace: &mut Trace, at: i64, client: &str, (uri, status): (&str, u16)) {
    let ends = trace.ends(client, "10.0.0.80:80");
    let http = Http {
        method: Some("POST".into()),
        host: Some("mail.example".into()),
        uri: Some(uri.into()),
        status: Some(status),
        ..Http::default()
    };
    let record = Record { at: moment(at), ends, what: What::Http(Box::new(http)) };
    trace.detectors.see(&record, &mut trace.found);
}

#[test]
fn one_url_that_turns_a_client_away_again_and_again_is_told() {
    let mut trace = Trace::usual();

    for n in 0..30 {
        http(&mut trace, n * SECOND, "10.0.0.5", (&format!("/login?try={n}"), 401));
    }

    let subject = trace.only();
    assert_eq!(subject.name, Some("mail.example/login".into()));
    assert_eq!(
        subject.what,
        Pattern::BruteForce { attempts: 30, seconds: 29, application: Application::Http }
    );
}

#[test]
fn windows_that_is_refused_once_before_each_success_is_none() {
    let mut trace = Trace::usual();

    for n in 0..300 {
        for status in [401, 401, 200] {
            http(&mut trace, n * SECOND, "10.0.0.5", ("/owa/", status));
        }
        http(&mut trace, n * SECOND, "10.0.0.6", (&format!("/missing/{n}"), 403));
        http(&mut trace, n * SECOND, "10.0.0.7", ("/favicon.ico", 404));
    }

    assert_eq!(trace.rules(), [""; 0]);
}
