//! Files that khien writes, read by others.

use std::{fs, path::Path, process::Command};

use khien_traffic::{
    decode::{Frame, Link},
    pcap::{
        read::{Reader, plain},
        write::{About, Writer},
    },
};

use crate::{
    place::{cannot_run, captured, is_there},
    seen::seen,
};

#[test]
fn what_is_written_is_read_by_tshark_packet_for_packet() {
    let Some(file) = captured() else { return };
    let again = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-again.pcapng");
    let mut reader = Reader::new(plain(fs::File::open(file).unwrap()).unwrap()).unwrap();
    let about = About { hardware: "srv-1", program: "khien", comment: "sở y tế", ..About::default() };
    let mut writer = Writer::new(Vec::new(), &about).unwrap();
    let interface = writer.interface(b"kt0", Link::Ethernet).unwrap();
    while let Some(frame) = reader.next_frame() {
        writer.packet(&Frame { interface, ..frame }).unwrap();
    }
    fs::write(&again, writer.into_inner()).unwrap();

    let packets = |file: &Path| {
        let fields =
            ["frame.time_epoch", "frame.len", "frame.cap_len", "eth.src", "tcp.seq_raw", "udp.length"];
        let rows = seen(file, "frame", &fields);
        rows.into_iter().map(|row| fields.map(|field| row.one(field))).collect::<Vec<_>>()
    };
    let (first, second) = (packets(file), packets(&again));
    assert!(first.len() > 1_000);
    assert!(first == second, "{:?}", first.iter().zip(&second).find(|(a, b)| a != b));
}

#[test]
fn capinfos_reads_what_a_written_file_says_of_itself() {
    if !is_there("capinfos") {
        return cannot_run("capinfos is not installed");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-about.pcapng");
    let about = About { hardware: "srv-1", system: "Debian", program: "khien-agent", comment: "A-7" };
    let mut writer = Writer::new(Vec::new(), &about).unwrap();
    let interface = writer.interface(b"eth0", Link::Ethernet).unwrap();
    let at = "2026-11-23T07:00:00.123456789Z".parse().unwrap();
    let frame = Frame { interface, link: Link::Ethernet, at, vlan: Some(20), bytes: &[8; 60], length: 1_500 };
    writer.packet(&frame).unwrap();
    fs::write(&file, writer.into_inner()).unwrap();

    let done = Command::new("capinfos").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);

    for wanted in
        ["srv-1", "Debian", "khien-agent", "A-7", "eth0", "nanoseconds", "123456789", "Number of packets = 1"]
    {
        assert!(said.contains(wanted), "no {wanted} in {said}");
    }
}
