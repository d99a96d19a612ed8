use proptest::prelude::*;

use super::*;

#[test]
fn each_application_is_told_by_content_on_any_port() {
    use Application::{Dns, Ftp, Http, Rdp, Smb, Smtp, Ssh, Telnet, Tls, Vmware, XRoad};
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let query = b"\0\x1c\0\x07\x01\0\0\x01\0\0\0\0\0\0\x02c2\x07example\0\0\x01\0\x01";
    for (client, server, application) in [
        (&b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"[..], &b""[..], Http),
        (b"SECRET /x HTTP/1.1\r\n\r\n", b"", Http),
        (b"", b"HTTP/1.1 200 OK\r\n", Http),
        (b"rest of an upload", b"HTTP/1.1 200 OK\r\n", Http),
        (hello, b"", Tls),
        (b"", b"\x16\x03\x03\x00\x7a\x02", Tls),
        (query, b"", Dns),
        (b"EHLO x\r\n", b"220 hello\r\n", Smtp),
        (b"", b"220 mail.example ESMTP Postfix\r\n", Smtp),
        (b"mail from:<a@b>\r\n", b"", Smtp),
        (b"USER x\r\n", b"220 hello\r\n", Ftp),
        (b"", b"220-ProFTPD\r\n", Ftp),
        (b"SSH-2.0-Go\r\n", b"SSH-2.0-OpenSSH_9.9\r\n", Ssh),
        (b"\0\0\0\x45\xffSMBr", b"", Smb),
        (b"\0\0\0\xe8\xfeSMB@\0", b"", Smb),
        (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", b"\x03\0\0\x0b\x06\xd0", Rdp),
        (b"\x03\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=a\r\n", b"\x03\0\0\x0b\x06\xd0", Rdp),
        (b"", b"\xff\xfd\x18\xff\xfd\x20login: ", Telnet),
        (b"", b"220 VMware Authentication Daemon Version 1.10: SSL Required\r\n", Vmware),
        (b"POST /sdk HTTP/1.1\r\n\r\n<RetrieveServiceContent xmlns=\"urn:vim25\">", b"", Vmware),
        (b"GET /r1/VN/GOV HTTP/1.1\r\nX-Road-Client: VN/GOV/1/app\r\n\r\n", b"", XRoad),
    ] {
        assert_eq!(told(client, server, 40_000), Some(application), "{}", client.escape_ascii());
    }
}

#[test]
fn a_port_alone_makes_nothing() {
    for port in [21, 22, 23, 25, 53, 80, 139, 443, 445, 902, 3389, 5500, 5577] {
        assert_eq!(told(b"hello, this is nothing known\r\n", b"nor is this\r\n", port), None, "{port}");
        assert!(matches!(recognise(b"", b"", port, Wants::ALL), Recognised::More), "{port}");
    }
}

#[test]
fn a_port_settles_what_content_leaves_open() {
    for (client, server, port, application) in [
        (&b""[..], &b"220 hello\r\n"[..], 25, Some(Application::Smtp)),
        (b"", b"220 hello\r\n", 21, Some(Application::Ftp)),
        (b"QUIT\r\n", b"220 hello\r\n", 40_000, None),
        (b"", b"\xff\xfd\x18", 23, Some(Application::Telnet)),
        (b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", b"\x03\0\0\x0b\x06\xd0", 3389, Some(Application::Rdp)),
        // The same request goes to a controller of a plant.
        (
            b"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc0\x01\x0a\xc1\x02\x01\0\xc2\x02\x01\x02",
            b"\x03\0\0\x16",
            102,
            None,
        ),
    ] {
        assert_eq!(told(client, server, port), application, "{port}");
    }
}

#[test]
fn tls_of_services_of_which_nothing_else_is_seen_is_named_by_the_port() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (port, application) in [
        (443, Application::Tls),
        (5500, Application::XRoad),
        (5577, Application::XRoad),
        (902, Application::Vmware),
        (5480, Application::Vmware),
    ] {
        let Recognised::Known(got, follower) = recognise(hello, b"", port, Wants::ALL) else {
            panic!("{port}")
        };
        assert!(got == application && follower.is_some(), "{port}");
    }
}

#[test]
fn what_is_recognised_is_so_however_few_bytes_come_at_a_time() {
    for (client, server, application) in [
        (&b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"[..], &b""[..], Application::Http),
        (b"\x16\x03\x01\x02\x00\x01", b"", Application::Tls),
        (b"", b"220-x\r\n220 ftp\r\n", Application::Ftp),
        (b"SSH-2.0", b"SSH-2.0", Application::Ssh),
        (b"\0\0\0\xe8\xfeSMB", b"", Application::Smb),
        (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", b"\x03\0\0\x0b\x06\xd0", Application::Rdp),
        (b"", b"\xff\xfd\x18\xff\xfd\x20", Application::Telnet),
    ] {
        let longest = client.len().max(server.len());
        for length in 0..longest {
            let (client, server) = (&client[..length.min(client.len())], &server[..length.min(server.len())]);
            let how = recognise(client, server, 40_000, Wants::ALL);
            let fits =
                matches!(how, Recognised::More) || matches!(how, Recognised::Known(a, _) if a == application);
            assert!(fits, "{} {} {how:?}", client.escape_ascii(), server.escape_ascii());
        }
        assert_eq!(told(client, server, 40_000), Some(application));
    }
}

#[test]
fn a_target_that_is_longer_than_what_is_looked_at_hides_no_http() {
    let long = [b"GET /".to_vec(), vec![b'x'; 4000]].concat();

    assert_eq!(told(&long, b"", 80), Some(Application::Http));
}

#[test]
fn what_is_nothing_known_is_not_waited_for_once_both_have_spoken() {
    assert!(matches!(recognise(b"hello", b"", 1, Wants::ALL), Recognised::More));
    assert!(matches!(recognise(b"hello", b"you", 1, Wants::ALL), Recognised::Unknown));
    assert!(matches!(recognise(&[b'x'; SURE], b"", 1, Wants::ALL), Recognised::More), "the server will tell");
}

#[test]
fn one_side_alone_makes_nothing_opaque() {
    let rdp = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0";
    for (client, server, waits) in [
        (&b"SSH-2.0-Go\r\n"[..], &b""[..], true),
        (b"", b"SSH-2.0-x\r\n", true),
        (b"SSH-2.0-Go\r\n", b"SS", true),
        (b"SSH-2.0-Go\r\n", b"-ERR unknown command\r\n", false),
        (b"GET\r\n", b"SSH-2.0-x\r\n", false),
        (rdp, b"", true),
        (rdp, b"\x03\0", true),
        (rdp, b"-ERR unknown command\r\n", false),
    ] {
        let how = recognise(client, server, 3389, Wants::ALL);
        assert_eq!(matches!(how, Recognised::More), waits, "{} {how:?}", client.escape_ascii());
        assert!(!matches!(how, Recognised::Known(..)), "{} {how:?}", client.escape_ascii());
    }
}

#[test]
fn neither_empty_lines_nor_an_unknown_method_hide_http() {
    let long = [b"XGET /?".to_vec(), vec![b'a'; SURE]].concat();
    let behind =
        [b"\r\n\nGET /x HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'a'; SURE], b"\r\n\r\n".to_vec()];
    for client in [&long[..], &behind.concat(), b"SSH-GET /shell.php HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_eq!(told(client, b"", 80), Some(Application::Http), "{}", client.escape_ascii());
    }
    assert_eq!(told(b"SSH-GET /shell.php HTTP/1.1\r\n", b"", 80), None);
}

proptest! {
    #[test]
    fn any_bytes_are_taken(client: Vec<u8>, server: Vec<u8>, port: u16, head in 0usize..8) {
        let heads: [&[u8]; 8] = [b"", b"GET ", b"\x16\x03", b"\0\x20\0\0\0\0\0\x01", b"220 ", b"\xff\xfb", b"\x03\0\0\x20", b"\0\0"];
        let client = [heads[head], &client[..]].concat();
        for port in [port, 53, 3389] {
            let _ = recognise(&client, &server, port, Wants::ALL);
            let _ = recognise(&server, &client, port, Wants::ALL);
            let _ = recognise(b"", &client, port, Wants::ALL);
        }
    }
}

fn told(client: &[u8], server: &[u8], port: u16) -> Option<Application> {
    match recognise(client, server, port, Wants::ALL) {
        Recognised::Known(application, _) => Some(application),
        Recognised::More | Recognised::Unknown => None,
    }
}
