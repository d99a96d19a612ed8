//! The same whole way where packets come from a plain socket.

use super::*;
use crate::capture::Way;

#[test]
fn from_a_plain_socket_the_same_is_found_and_it_is_said_that_less_is_seen() {
    in_namespace(|| {
        running(async {
            let config =
                NetConfig { interfaces: vec!["lo".to_owned()], way: Way::Plain, ..NetConfig::default() };
            let mut rig = Rig::of(config).await;
            let Coverage { sight, reason, backend, .. } = rig.coverage();
            assert_eq!((sight, reason), (Sight::Reduced, Some(Reason::PacketRingOff)));
            assert_eq!(backend, "packet_socket");

            let server = serve_once("127.0.0.1:0", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let mut stream = TcpStream::connect(server).unwrap();
            stream
                .write_all(
                    b"POST /up HTTP/1.1\r\nHost: web.example\r\nContent-Length: 15\r\n\r\nkhien-test-mark",
                )
                .unwrap();

            let found = rig.detection().await;
            assert_eq!((found.flow.server, &found.flow.interface), (server, &Untrusted::from("lo")));
            assert_eq!(found.flow.url, Some(Untrusted::from("http://web.example/up")));
            rig.stop().await;
        });
    });
}

#[test]
fn a_plain_socket_comes_back_when_the_interface_does() {
    in_namespace(|| {
        running(async {
            let config =
                NetConfig { interfaces: vec!["lo".to_owned()], way: Way::Plain, ..NetConfig::default() };
            let mut rig = Rig::of(config).await;

            switch_loopback(false);
            rig.wait_for(|c| c.sight == Sight::Blind).await;
            switch_loopback(true);
            rig.wait_for(|c| c.sight == Sight::Reduced).await;

            let Report::Blind { scope, .. } = rig.report().await else { panic!() };
            assert_eq!(scope, Untrusted::from("lo"));
            rig.stop().await;
        });
    });
}
