//! Detect in traffic: real HTTP, DNS and TLS over a cable between two namespaces, IPv4 and IPv6.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
};

use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::{
    harness::{Site, Up, web_shell},
    place::{Namespace, cannot_run, is_root},
};

/// A name of the base pack's list.
pub(crate) const LISTED: &str = "c2.khien-test.example";
const SERVERS: [&str; 2] = ["10.77.0.1", "fd77::1"];

/// The watched server's site and the client's network, joined by a cable.
pub(crate) fn cabled() -> Option<(Site, Namespace)> {
    if !is_root() {
        cannot_run("network namespaces need root");
        return None;
    }
    let (site, client) = (Site::in_namespace(), Namespace::new());
    site.network.as_ref().unwrap().cable(&client, "kh0", "kh1");
    Some((site, client))
}

/// Starts the programs with the cable watched.
pub(crate) fn watched(site: &Site) -> Up<'_> {
    site.up(&["--watch", site.web.to_str().unwrap(), "--interface", "kh0"])
}

pub(crate) fn flow_alert(
    up: &mut Up<'_>,
    what: &str,
    server: SocketAddr,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    let server = server.to_string();
    up.alert(what, |a| a["flow"]["server"] == server.as_str() && fits(a))
}

/// Serves one HTTP exchange on the site's side; returns where.
fn http_server(site: &Site, ip: IpAddr, answer: String) -> SocketAddr {
    let network = site.network.as_ref().unwrap();
    let listener = network.run(move || TcpListener::bind((ip, 0)).unwrap()).join().unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !request.ends_with(b"\r\n--end--") {
            match stream.read(&mut chunk).unwrap() {
                0 => break,
                n => request.extend_from_slice(&chunk[..n]),
            }
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

/// Posts a body from the client's side in pieces, each a segment of its own, and reads the answer.
fn post(client: &Namespace, server: SocketAddr, pieces: Vec<String>) -> SocketAddr {
    let body = format!("{}\r\n--end--", pieces.concat());
    let cut = pieces.first().map_or(0, String::len);
    client
        .run(move || {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.set_nodelay(true).unwrap();
            let head = format!(
                "POST /upload.php HTTP/1.1\r\nHost: cong.tinh.example\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            for piece in [head.as_str(), &body[..cut], &body[cut..]] {
                stream.write_all(piece.as_bytes()).unwrap();
            }
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            stream.local_addr().unwrap()
        })
        .join()
        .unwrap()
}

#[test]
fn a_payload_in_an_http_request_split_over_segments_is_an_alert() {
    let Some((site, client)) = cabled() else { return };
    let mut up = watched(&site);
    for ip in SERVERS {
        let server = http_server(&site, ip.parse().unwrap(), "ok".to_owned());
        let shell = web_shell(ip);
        // The cut goes through the middle of what the rule looks for.
        let (left, right) = shell.split_at(shell.find("REQUEST").unwrap() + 3);

        let from = post(&client, server, vec![left.to_owned(), right.to_owned()]);

        let alert = flow_alert(&mut up, &format!("request over {ip}"), server, |a| {
            a["flow"]["application"] == "http"
        });
        let flow = &alert["flow"];
        assert_eq!(flow["transport"], "tcp");
        assert_eq!(flow["client"], from.to_string());
        assert_eq!(flow["direction"], "to_server");
        assert_eq!(flow["interface"], "kh0");
        assert_eq!(flow["name"], "cong.tinh.example");
        assert!(flow["url"].as_str().unwrap().ends_with("/upload.php"), "{flow}");
        assert!(alert["rule"].as_str().unwrap().starts_with("webshell.php"), "{alert}");
        assert!(alert["path"].is_null());
    }
}

#[test]
fn an_agent_without_a_packet_ring_finds_the_same_and_says_that_it_sees_less() {
    let Some((site, client)) = cabled() else { return };
    site.capture.set("plain").unwrap();
    let mut up = watched(&site);
    let ip = SERVERS[0];
    let server = http_server(&site, ip.parse().unwrap(), "ok".to_owned());
    let shell = web_shell(ip);
    let (left, right) = shell.split_at(shell.find("REQUEST").unwrap() + 3);

    post(&client, server, vec![left.to_owned(), right.to_owned()]);

    let alert = flow_alert(&mut up, "request read from a plain socket", server, |_| true);
    assert!(alert["rule"].as_str().unwrap().starts_with("webshell.php"), "{alert}");
    let cable = |a: &Value| {
        let all = a[0]["coverage"].as_array()?;
        all.iter().find(|c| c["scope"] == "kh0" && c["backend"] == "packet_socket").cloned()
    };
    let agents = site.until(&["agent", "list"], "the plain socket", |a| cable(a).is_some());
    let cable = cable(&agents).unwrap();
    assert_eq!(
        (&cable["sight"], &cable["reason"]["code"]),
        (&"reduced".into(), &"packet_ring_off".into()),
        "{cable}"
    );
    let (code, shown, err) = site.cli(&["agent", "show", agents[0]["host"].as_str().unwrap()]);
    assert!(
        code == 0 && shown.contains("kh0 (packet_socket, Reduced: the packet ring is switched off"),
        "{shown}{err}"
    );
}

#[test]
fn a_payload_in_an_http_response_is_an_alert() {
    let Some((site, client)) = cabled() else { return };
    let mut up = watched(&site);
    for ip in SERVERS {
        let server = http_server(&site, ip.parse().unwrap(), web_shell(ip));

        post(&client, server, vec!["q=1".to_owned()]);

        let alert = flow_alert(&mut up, &format!("response over {ip}"), server, |a| {
            a["flow"]["direction"] == "to_client"
        });
        assert_eq!(alert["flow"]["name"], "cong.tinh.example", "{alert}");
    }
}

#[test]
fn a_dns_query_for_a_listed_name_is_an_alert() {
    let Some((site, client)) = cabled() else { return };
    let mut up = watched(&site);
    for ip in SERVERS {
        let ip: IpAddr = ip.parse().unwrap();
        let server = SocketAddr::new(ip, 53);
        let network = site.network.as_ref().unwrap();
        let resolver = network.run(move || UdpSocket::bind(server).unwrap()).join().unwrap();

        let from = client.run(move || ask(server, LISTED)).join().unwrap();

        let mut query = [0; 512];
        resolver.recv(&mut query).unwrap();
        let alert = flow_alert(&mut up, &format!("query over {ip}"), server, |_| true);
        let flow = &alert["flow"];
        assert_eq!((&flow["application"], &flow["transport"]), (&"dns".into(), &"udp".into()), "{alert}");
        assert_eq!(flow["name"], LISTED);
        assert_eq!(flow["client"], from.to_string());
        assert_eq!(flow["direction"], "to_server");
    }
}

/// Sends a standard query for an A record (RFC 1035 §4) and returns from where.
fn ask(server: SocketAddr, name: &str) -> SocketAddr {
    let mut query = vec![0x4b, 0x68, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(server).unwrap();
    socket.send(&query).unwrap();
    socket.local_addr().unwrap()
}

#[test]
fn a_tls_client_hello_to_a_listed_name_is_an_alert() {
    let Some((site, client)) = cabled() else { return };
    let mut up = watched(&site);
    for ip in SERVERS {
        let ip: IpAddr = ip.parse().unwrap();
        let network = site.network.as_ref().unwrap();
        let listener = network.run(move || TcpListener::bind((ip, 0)).unwrap()).join().unwrap();
        let server = listener.local_addr().unwrap();

        client.run(move || greet(server, &format!("www.{LISTED}"))).join().unwrap();

        let mut hello = [0; 5];
        listener.accept().unwrap().0.read_exact(&mut hello).unwrap();
        let alert = flow_alert(&mut up, &format!("handshake over {ip}"), server, |_| true);
        assert_eq!(alert["flow"]["application"], "tls", "{alert}");
        assert_eq!(alert["flow"]["name"], format!("www.{LISTED}"));
    }
}

/// Begins a handshake of a real TLS client; nobody answers.
fn greet(server: SocketAddr, name: &str) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    while tls.wants_write() {
        tls.write_tls(&mut stream).unwrap();
    }
}
