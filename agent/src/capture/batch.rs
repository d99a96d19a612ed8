//! The bounded way from the capture threads to the one that looks: a block's frames at a time, copied once into buffers
//! that come back. Nothing is allocated for a frame, nobody is woken for one.
//!
//! ```text
//! lane: borrow an empty batch ─► fill it from one block ─► channel ─► look at its frames ─► drop: the buffers return
//! ```
//! A lane that has no batch left leaves its blocks in the ring, which is the longer queue: nothing is lost until that is
//! full, too, and then the kernel counts.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use khien_core::Timestamp;
use khien_traffic::decode::Link;

use super::ring;

/// The most batches that wait or are looked at, of all lanes; each holds at most what a block of the ring holds, 1 MiB.
const MOST: usize = 16;
/// Each lane may have that many, however many lanes there are.
const LEAST: usize = 2;
/// More empty batches than this are given back to the system.
const SPARE: usize = 2;

/// Frames of one interface on their way.
#[derive(Debug)]
pub(super) struct Batch {
    /// On which interface, by its place in the configuration.
    pub(super) interface: usize,
    /// How they begin.
    pub(super) link: Link,
    room: Room,
    lane: Arc<Lane>,
}

/// A frame of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    /// When it came, by the kernel's clock.
    pub(super) at: Timestamp,
    /// The VLAN of the tag that the kernel took out.
    pub(super) vlan: Option<u16>,
    /// Its bytes, as many as were taken.
    pub(super) bytes: &'a [u8],
    /// How long it was on the wire.
    pub(super) length: u32,
}

/// Where a lane puts frames in.
#[derive(Debug)]
pub(super) struct Inlet {
    lane: Arc<Lane>,
    batches: SyncSender<Batch>,
}

/// The buffers of a batch.
#[derive(Debug, Default)]
struct Room {
    bytes: Vec<u8>,
    frames: Vec<Meta>,
}

#[derive(Debug, Clone, Copy)]
struct Meta {
    /// Where its bytes end in the buffer; they begin where those of the one before end.
    end: u32,
    length: u32,
    seconds: u32,
    nanos: u32,
    vlan: Option<u16>,
}

/// What one capture thread may have on its way.
#[derive(Debug)]
struct Lane {
    quota: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    out: usize,
    spare: Vec<Room>,
}

/// Makes the way in for so many lanes, and the one way out.
pub(super) fn lanes(count: usize) -> (Vec<Inlet>, Receiver<Batch>) {
    let quota = (MOST / count.max(1)).max(LEAST);
    // As many as may be out: whoever has a batch finds room.
    let (sender, receiver) = mpsc::sync_channel(quota * count.max(1));
    let inlet = |_| {
        let lane = Lane { quota, state: Mutex::default(), returned: Condvar::new() };
        Inlet { lane: Arc::new(lane), batches: sender.clone() }
    };
    ((0..count).map(inlet).collect(), receiver)
}

impl Inlet {
    /// Borrows an empty batch and waits for one at most so long; none if all of this lane are on their way still.
    pub(super) fn borrow(&self, interface: usize, link: Link, limit: Duration) -> Option<Batch> {
        let state = self.lane.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quota = self.lane.quota;
        let (mut state, _) = self
            .lane
            .returned
            .wait_timeout_while(state, limit, |state| state.out >= quota)
            .unwrap_or_else(PoisonError::into_inner);
        if state.out >= quota {
            return None;
        }
        state.out += 1;
        let room = state.spare.pop().unwrap_or_default();
        drop(state);
        Some(Batch { interface, link, room, lane: Arc::clone(&self.lane) })
    }

    /// Sends a batch on its way; `false` if nobody looks any more. One without frames just returns.
    pub(super) fn send(&self, batch: Batch) -> bool {
        batch.room.frames.is_empty() || self.batches.send(batch).is_ok()
    }
}

impl Batch {
    /// Copies the first bytes of a frame in, as many as are to be kept.
    pub(super) fn push(&mut self, frame: &ring::Frame<'_>, keep: usize) {
        let bytes = frame.bytes.get(..keep).unwrap_or(frame.bytes);
        self.room.bytes.extend_from_slice(bytes);
        let meta = Meta {
            // A block has a mebibyte.
            end: u32::try_from(self.room.bytes.len()).unwrap_or(u32::MAX),
            length: frame.length,
            seconds: frame.seconds,
            nanos: frame.nanos,
            vlan: frame.vlan,
        };
        self.room.frames.push(meta);
    }

    /// Returns its frames in the order in which they came.
    pub(super) fn frames(&self) -> impl Iterator<Item = Taken<'_>> {
        let mut from = 0;
        self.room.frames.iter().map(move |meta| {
            let end = meta.end as usize;
            let bytes = self.room.bytes.get(from..end).unwrap_or_default();
            from = end;
            Taken { at: meta.at(), vlan: meta.vlan, bytes, length: meta.length }
        })
    }
}

impl Meta {
    fn at(&self) -> Timestamp {
        let nanos = i32::try_from(self.nanos).unwrap_or(0);
        Timestamp::new(self.seconds.into(), nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.room);
        room.bytes.clear();
        room.frames.clear();
        let mut state = self.lane.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.out = state.out.saturating_sub(1);
        if state.spare.len() < SPARE {
            state.spare.push(room);
        }
        drop(state);
        self.lane.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8], nanos: u32) -> ring::Frame<'_> {
        let vlan = (nanos == 2).then_some(20);
        let length = bytes.len() as u32;
        ring::Frame { bytes, length, seconds: 1_800_000_000, nanos, vlan, is_outgoing: false }
    }

    fn filled(inlet: &Inlet) -> Batch {
        let mut batch = inlet.borrow(3, Link::Ethernet, Duration::ZERO).unwrap();
        batch.push(&frame(b"first", 1), 5);
        batch.push(&frame(b"second", 2), 2);
        batch.push(&frame(b"", 3), 9);
        batch
    }

    #[test]
    fn frames_come_out_as_they_went_in_with_their_times_tags_and_lengths() {
        let (inlets, outlet) = lanes(1);

        assert!(inlets[0].send(filled(&inlets[0])));

        let batch = outlet.recv().unwrap();
        let got: Vec<_> =
            batch.frames().map(|f| (f.bytes, f.length, f.vlan, f.at.subsec_nanosecond())).collect();
        assert_eq!(batch.interface, 3);
        assert_eq!(got, [(&b"first"[..], 5, None, 1), (b"se", 6, Some(20), 2), (b"", 0, None, 3)]);
    }

    #[test]
    fn a_lane_has_its_share_on_the_way_and_gets_a_batch_when_one_comes_back() {
        let (inlets, outlet) = lanes(4);
        let borrow = |lane: usize| inlets[lane].borrow(0, Link::Ethernet, Duration::ZERO);
        for _ in 0..MOST / 4 {
            assert!(inlets[0].send(filled(&inlets[0])));
        }

        assert!(borrow(0).is_none(), "its share is out");
        assert!(borrow(1).is_some(), "that of another is not");
        drop(outlet.recv().unwrap());

        let again = borrow(0).unwrap();
        assert_eq!(again.frames().count(), 0, "what comes back is empty");
        assert!(again.room.bytes.capacity() > 0, "and keeps its memory");
    }

    #[test]
    fn a_lane_that_waits_is_woken_by_what_comes_back() {
        let (inlets, outlet) = lanes(8);
        while let Some(batch) = inlets[0].borrow(0, Link::Ethernet, Duration::ZERO) {
            let mut batch = batch;
            batch.push(&frame(b"x", 1), 1);
            assert!(inlets[0].send(batch));
        }

        std::thread::scope(|scope| {
            scope.spawn(move || drop(outlet.recv().unwrap()));
            assert!(inlets[0].borrow(0, Link::Ethernet, Duration::from_secs(20)).is_some());
        });
    }

    #[test]
    fn when_nobody_looks_any_more_that_is_told() {
        let (inlets, outlet) = lanes(1);
        drop(outlet);

        assert!(!inlets[0].send(filled(&inlets[0])));
    }
}
