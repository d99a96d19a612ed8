//! Whole frames through the engine: `how` byte, then frames of `link, pause, length (2), bytes`.

use std::hash::{DefaultHasher, Hash, Hasher};

use khien_core::{
    Timestamp, Untrusted,
    traffic::{Ends, FlowEnd, Record, What},
};
use khien_traffic::{
    decode::{Frame, Link},
    flow::{Checksums, Engine, Limits},
    sink::{Content, Job, Named, Sink},
};

/// Small, so that room is made all the time.
const FLOWS: usize = 4;
const BYTES: usize = 8 << 10;
/// The most bytes that a scan gets at once.
const MAX_JOB: usize = 256 << 10;
const LINKS: [Link; 5] = [Link::Ethernet, Link::Ip, Link::Sll, Link::Sll2, Link::Null];
/// A pause that ends what is quiet.
const LONG: i64 = 400_000;

pub(super) const WORDS: &[&[u8]] = &[
    b"\x08\x00\x45\x00",
    b"\x86\xdd\x60\x00",
    b"\x81\x00\x00\x07",
    b"\x88\xa8\x00\x07",
    b"\x20\x00\x40\x06",
    b"\x00\x01\x40\x11",
    b"\x2c\x40",
    b"\x11\x00\x00\x01\x00\x00\x00\x07",
    b"\x12\xb5\x00\x32\x00\x00\x08\x00\x00\x00\x00\x00\x07\x00",
    b"\x00\x00\x65\x58",
    b"\x20\x00\x08\x00\x00\x00\x00\x07",
    b"\x50\x02\xff\xff",
    b"\x50\x10\xff\xff",
    b"\x50\x11\xff\xff",
    b"\x50\x04\xff\xff",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03",
    b"220 mail ESMTP\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"SSH-2.0-x\r\n",
    b"\xfeSMB",
];

/// Keeps a digest of what it is told, and what must add up.
#[derive(Default)]
struct Told {
    digest: DefaultHasher,
    opened: u64,
    ended: u64,
}

impl Sink for Told {
    fn opened(&mut self, ends: &Ends, at: Timestamp) {
        self.opened += 1;
        (ends.flow, ends.client, ends.server, at).hash(&mut self.digest);
    }

    fn named(&mut self, named: Named) {
        (named.origin, named.facts.name, named.facts.url).hash(&mut self.digest);
    }

    fn record(&mut self, record: Record) {
        if let What::Flow(flow) = &record.what {
            self.ended += u64::from(flow.ended != FlowEnd::Ongoing);
            assert!(flow.first <= flow.last);
            assert!(flow.to_server.packets + flow.to_client.packets > 0);
        }
        let written = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&written).unwrap(), record);
        written.hash(&mut self.digest);
    }

    fn scan(&mut self, job: Job) {
        assert!(!job.bytes.is_empty() && job.bytes.len() <= MAX_JOB);
        (job.origin, job.offset, job.bytes).hash(&mut self.digest);
    }

    fn content(&mut self, content: Content) {
        assert!(content.bytes.len() as u64 <= content.size);
        (content.origin, content.name, content.bytes).hash(&mut self.digest);
    }
}

/// Takes every frame and ends every flow.
pub(super) fn read(bytes: &[u8], _: bool) -> u64 {
    let Some((how, mut rest)) = bytes.split_first() else { return 0 };
    let checksums = [Checksums::Ignore, Checksums::Judge, Checksums::Strict][usize::from(how >> 1) % 3];
    let limits = Limits {
        flows: FLOWS,
        bytes: BYTES,
        scan: how & 1 == 0,
        files: how & 1 == 0,
        checksums,
        seed: [1, 2],
    };
    let mut engine = Engine::new(vec![Untrusted::from("eth0")], limits);
    let mut told = Told::default();
    let mut now = 0i64;
    while let [link, pause, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (frame, next) = after.split_at(length);
        rest = next;
        now += if *pause == u8::MAX { LONG } else { i64::from(*pause) };
        let at = Timestamp::from_millisecond(now).unwrap();
        let link = LINKS[usize::from(*link) % LINKS.len()];
        engine.take(&Frame { interface: 0, link, at, vlan: None, bytes: frame, length: 0 }, &mut told);
        assert!(engine.flows() <= FLOWS && engine.held() <= BYTES);
    }
    engine.finish(&mut told);
    assert_eq!((engine.flows(), engine.held(), engine.next_wait()), (0, 0, None));
    let counts = engine.take_counts();
    assert_eq!((counts.flows, told.opened), (told.ended, told.ended));
    format!("{counts:?}").hash(&mut told.digest);
    told.digest.finish()
}
