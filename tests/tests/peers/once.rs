//! The same packets without what TCP sent a second time.
//!
//! On a busy machine the kernel sends segments again that were only late. `tshark` takes one that comes soon for one that was
//! overtaken, counts its bytes twice, and gives the message up in which it stands. So it gets each byte once; khien gets the file
//! as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::{
    place::captured,
    rewrite::rewritten,
    seen::{Row, seen},
};

/// Returns what was captured, with each byte of TCP once.
pub(crate) fn captured_once() -> Option<&'static Path> {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let file = captured()?;
    Some(MADE.get_or_init(|| once(file, "peers-once.pcapng")))
}

/// Writes a file once more, without segments of which every byte was sent before.
pub(crate) fn once(file: &Path, name: &str) -> PathBuf {
    let mut streams: BTreeMap<_, Sent> = BTreeMap::new();
    let mut again = BTreeSet::new();
    for row in seen(file, "tcp.len > 0", &["frame.number", "tcp.stream", "tcp.seq", "tcp.len"]) {
        let sent = streams.entry((row.one("tcp.stream"), row.from())).or_default();
        if sent.take(&segment(&row)) == 0 {
            again.insert(row.one("frame.number").parse::<usize>().unwrap());
        }
    }
    let mut number = 0;
    rewritten(file, name, |packet, write| {
        number += 1;
        if !again.contains(&number) {
            write(packet);
        }
    })
}

/// Returns where the bytes of a segment stand in their stream.
pub(crate) fn segment(row: &Row) -> Range<u64> {
    let [start, length] = ["tcp.seq", "tcp.len"].map(|field| row.one(field).parse::<u64>().unwrap());
    start..start + length
}

/// What one side sent: places of a stream, each once.
#[derive(Debug, Default)]
pub(crate) struct Sent(Vec<Range<u64>>);

impl Sent {
    /// Takes a segment, and returns how many of its bytes are new.
    pub(crate) fn take(&mut self, new: &Range<u64>) -> u64 {
        let mut whole = new.clone();
        let mut known = 0;
        self.0.retain(|held| {
            let apart = held.end < new.start || new.end < held.start;
            if !apart {
                known += held.end.min(new.end) - held.start.max(new.start);
                whole = whole.start.min(held.start)..whole.end.max(held.end);
            }
            apart
        });
        self.0.push(whole);
        new.end - new.start - known
    }
}

#[test]
fn bytes_that_were_sent_before_are_not_new() {
    let mut sent = Sent::default();

    let new = [10..20, 30..40, 15..35, 10..40, 40..41, 0..50].map(|segment| sent.take(&segment));

    assert_eq!(new, [10, 10, 10, 0, 1, 19]);
}
