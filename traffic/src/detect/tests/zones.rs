use super::*;

const CAMERAS: &str = r#"{"zones": [{"name": "camera", "networks": ["10.20.0.0/16", "fd00:20::/64"], "only": [
    {"to": "10.20.0.10", "service": "554/tcp"},
    {"to": "10.0.0.1", "service": "123/udp"},
    {"to": "10.0.0.2"}]}]}"#;

#[test]
fn a_camera_that_speaks_to_anybody_but_its_peers_is_told_at_once() {
    for server in [
        "203.0.113.7:443",
        "10.20.0.10:22",
        "10.0.0.1:123",
        "10.20.3.4:23",
        "udp 203.0.113.1:123",
        "[2001:db8::1]:443",
    ] {
        let mut trace = Trace::new(CAMERAS);
        trace.open(0, if server.contains('[') { "fd00:20::7" } else { "10.20.1.7" }, server);
        let subject = trace.only();
        assert_eq!(subject.what, Pattern::NotAllowed { zone: "camera".to_owned().try_into().unwrap() });
        assert_eq!(trace.found[0].at, moment(0), "{server}");
    }
}

#[test]
fn its_peers_and_what_any_host_needs_are_allowed() {
    let mut trace = Trace::new(CAMERAS);

    for server in [
        "10.20.0.10:554",
        "udp 10.0.0.1:123",
        "10.0.0.2:9999",
        "udp 239.255.255.250:3702",
        "udp 224.0.0.251:5353",
        "udp 255.255.255.255:67",
        "udp 10.20.0.1:67",
    ] {
        trace.open(0, "10.20.1.7", server);
    }
    // Who looks at cameras, others, and a recorder that was connected before the sensor began.
    trace.open(0, "10.0.0.2", "10.20.1.7:80");
    trace.open(0, "10.0.0.5", "203.0.113.7:443");
    trace.open(0, "10.20.1.7:554", "10.20.0.99:50123");

    assert_eq!(trace.rules(), [""; 0]);
    trace.open(0, "10.20.1.7:554", "203.0.113.7:50123");
    assert_eq!(trace.rules().len(), 1, "a camera that somebody outside looks at");
}

#[test]
fn answers_and_errors_of_icmp_are_no_conversations() {
    let mut trace = Trace::new(CAMERAS);
    let mut icmp = |kind: u16| {
        let ends =
            Ends { transport: Transport::Icmp, ..trace.ends(&format!("10.20.1.7:{kind}"), "203.0.113.7:0") };
        trace.detectors.opened(&ends, moment(0), &mut trace.found);
        trace.found.len()
    };

    assert_eq!([icmp(0), icmp(3), icmp(11), icmp(8)], [0, 0, 0, 1]);
}

const AGENCIES: &str = r#"{"zones": [
    {"name": "health", "networks": ["10.1.0.0/16"]}, {"name": "justice", "networks": ["10.2.0.0/16"]}],
    "east_west": {"allow": [{"from": "10.1.0.5", "to": "10.2.0.0/16", "service": "3389/tcp"}]}}"#;

#[test]
fn file_shares_and_remote_desktops_across_agencies_are_told_unless_allowed() {
    for (client, server, count) in [
        ("10.1.0.9", "10.2.0.7:445", 1),
        ("10.1.0.9", "10.2.0.7:3389", 1),
        ("10.1.0.5", "10.2.0.7:3389", 0),
        ("10.1.0.5", "10.2.0.7:445", 1),
        ("10.1.0.9", "10.1.0.7:445", 0),
        ("10.1.0.9", "10.2.0.7:443", 0),
        ("10.3.0.9", "10.2.0.7:445", 0),
        ("203.0.113.9", "10.2.0.7:445", 0),
        ("10.1.0.9:445", "10.2.0.7:50123", 0),
    ] {
        let mut trace = Trace::new(AGENCIES);
        trace.open(0, client, server);
        assert_eq!(trace.rules().len(), count, "{client} {server}");
    }
}

#[test]
fn smb_on_another_port_is_told_by_what_it_carries_and_none_twice() {
    let mut trace = Trace::new(AGENCIES);
    let smb = Carried { application: Application::Smb, ..ANSWERED };

    trace.open(0, "10.1.0.9", "10.2.0.7:4455");
    trace.flow(0, "10.1.0.9", "10.2.0.7:4455", smb);
    trace.open(0, "10.1.0.9", "10.2.0.8:445");
    trace.flow(0, "10.1.0.9", "10.2.0.8:445", smb);

    assert_eq!(trace.rules(), ["khien.net.east_west"; 2]);
}

#[test]
fn a_low_port_of_the_client_hides_nothing_once_its_syn_was_seen() {
    let policy = r#"{"zones": [{"name": "health", "networks": ["10.1.0.0/16"]},
        {"name": "justice", "networks": ["10.2.0.0/16"], "only": []}]}"#;
    for (saw_syn, count) in [(false, 0), (true, 1)] {
        let mut trace = Trace::new(policy);
        let ends = Ends { saw_syn, ..trace.ends("10.2.0.9:2000", "10.1.0.7:40443") };
        trace.detectors.opened(&ends, moment(0), &mut trace.found);
        assert_eq!(trace.rules().len(), count);
    }
}
