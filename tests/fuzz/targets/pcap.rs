//! Files of packets: read as far as they go, and what was read written and read again.

use std::hash::{DefaultHasher, Hash, Hasher};

use khien_traffic::{
    decode::Frame,
    pcap::{
        read::{Reader, plain},
        write::{About, Writer},
    },
};

/// The most packets of one input that are written again.
const MOST: usize = 64;

pub(super) const WORDS: &[&[u8]] = &[
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0",
    b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x71",
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
    b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c",
    b"\x01\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0",
    b"\x09\0\x01\0\x09\0\0\0",
    b"\x0e\0\x08\0",
    b"\x06\0\0\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x04\0\0\0abcd\x24\0\0\0",
    b"\x03\0\0\0\x14\0\0\0\x04\0\0\0abcd\x14\0\0\0",
    b"\x02\0\0\0",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
];

/// Reads one, twice over: once as it came and once as what was read of it is written.
pub(super) fn read(bytes: &[u8], _: bool) -> u64 {
    let mut digest = DefaultHasher::new();
    let Ok(mut reader) = plain(bytes).map_err(drop).and_then(|file| Reader::new(file).map_err(drop)) else {
        return 0;
    };
    let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = reader.next_frame() {
        (frame.interface, frame.at, frame.bytes, frame.length).hash(&mut digest);
        assert!(frame.bytes.len() <= frame.length as usize);
        // Other times have no place in a file.
        if seen.len() < MOST && u64::try_from(frame.at.as_nanosecond()).is_ok() {
            let interface = writer.interface(b"", frame.link).unwrap();
            writer.packet(&Frame { interface, ..frame }).unwrap();
            seen.push((frame.at, frame.bytes.to_vec(), frame.length));
        }
    }
    assert!(reader.end().is_some());
    assert!(reader.counts().looked_at() <= reader.counts().packets);
    format!("{:?} {:?}", reader.counts(), reader.interfaces()).hash(&mut digest);
    let written = writer.into_inner();
    let mut again = Reader::new(written.as_slice()).unwrap();
    for wanted in &seen {
        let frame = again.next_frame().unwrap();
        assert_eq!((frame.at, frame.bytes.to_vec(), frame.length), *wanted);
    }
    assert!(again.next_frame().is_none());
    digest.finish()
}
