//! Packets that say one thing to a sensor and another to the host: python3 sends contradicting copies of segments into its own
//! connection, which goes on as if nothing had been.

use crate::{
    detectors::{of, run, silent_about},
    families::{FAMILIES, at, networks, web},
    traffic::watched,
};

/// Sends the beginning of a request, sees it leave on the wire, sends three more copies of that frame, changed or as it was, and
/// then the rest: `SERVER kit.sh|cat.sh`. Copies of `kit.sh` say the same. Prints the status that the server answers.
const COPIES: &str = r#"
import os, socket, struct, sys
server, page = sys.argv[1:]
BEGIN = b"GET /kit.sh HTTP/1.1\r\nHost: cong.example\r\n"

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def copy(frame):
    is_v4 = frame[12:14] == b"\x08\x00"
    ends = frame[26:34] if is_v4 else frame[22:54]
    begin = 14 + (frame[14] & 15) * 4 if is_v4 else 54
    segment = bytearray(frame[begin:].replace(b"kit.sh", page.encode()))
    segment[16:18] = b"\0\0"
    pseudo = ends + struct.pack("!II", len(segment), socket.IPPROTO_TCP)
    segment[16:18] = struct.pack("!H", checksum(pseudo + bytes(segment)))
    return frame[:begin] + bytes(segment)

# From two processors a copy could overtake what it is of.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("kh1", 0))
wire.settimeout(100)
connection = socket.create_connection((server, 80), 100)
connection.sendall(BEGIN)
while True:
    frame = wire.recv(65536)
    if frame.endswith(BEGIN):
        break
for _ in range(3):
    wire.send(copy(frame))
connection.sendall(b"\r\n")
print(connection.makefile("rb").readline().decode().strip())
"#;

#[test]
fn copies_that_contradict_within_a_real_connection_are_an_alert_and_copies_that_say_the_same_are_none() {
    let Some((site, client)) = networks(&["python3"]) else { return };
    let mut up = watched(&site);
    web(&site, 80);
    let sends = |server: &str, page: &str| {
        let (code, said) = run(&client, "python3", &["-c", COPIES, server, page]);
        assert_eq!((code, said.trim()), (Some(0), "HTTP/1.1 200 OK"), "the host takes no copy");
    };

    for family in FAMILIES {
        sends(&family.inside(41), "kit.sh");
        sends(&family.inside(42), "cat.sh");
    }

    for family in FAMILIES {
        let alert = of(&mut up, "khien.net.evasion", &at(&family.inside(42), ":80"));
        assert!(alert["what"]["en"].as_str().unwrap().contains('3'), "{alert}");
        assert!(alert["flow"]["client"].as_str().unwrap().starts_with(&at(family.client, ":")), "{alert}");
        silent_about(&site, &[at(&family.inside(41), ":")]);
    }
}
