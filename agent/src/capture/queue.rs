//! The bounded way from the capture threads to the task that looks: by count and by bytes. What does not fit is shed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use crate::decode::Link;

/// The most frames that wait.
const MAX_FRAMES: usize = 16_384;
/// The most bytes that wait.
const MAX_BYTES: usize = 16 << 20;

/// A frame on its way.
#[derive(Debug)]
pub(super) struct Captured {
    /// On which interface, by its place in the configuration.
    pub(super) interface: usize,
    /// How it begins.
    pub(super) link: Link,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Where frames are put in.
#[derive(Debug, Clone)]
pub(super) struct Inlet {
    frames: mpsc::Sender<Captured>,
    bytes: Arc<AtomicUsize>,
}

/// Where frames come out.
#[derive(Debug)]
pub(super) struct Outlet {
    frames: mpsc::Receiver<Captured>,
    bytes: Arc<AtomicUsize>,
}

/// Makes a queue.
pub(super) fn queue() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(MAX_FRAMES);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Inlet { frames: sender, bytes: bytes.clone() }, Outlet { frames: receiver, bytes })
}

impl Inlet {
    /// Copies a frame in if there is room; never waits.
    pub(super) fn offer(&self, interface: usize, link: Link, frame: &[u8]) -> bool {
        let Ok(room) = self.frames.try_reserve() else { return false };
        if self.bytes.load(Ordering::Relaxed) + frame.len() > MAX_BYTES {
            return false;
        }
        self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        room.send(Captured { interface, link, bytes: frame.to_vec() });
        true
    }
}

impl Outlet {
    /// Waits for frames and moves up to `most` of them into `into`; 0 when every inlet is gone.
    pub(super) async fn take(&mut self, into: &mut Vec<Captured>, most: usize) -> usize {
        let count = self.frames.recv_many(into, most).await;
        let bytes = into.iter().rev().take(count).map(|f| f.bytes.len()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_until_there_is_room() {
        let (inlet, mut outlet) = queue();
        let frame = vec![0; 1 << 20];
        while inlet.offer(0, Link::Ethernet, &frame) {}
        assert_eq!(outlet.bytes.load(Ordering::Relaxed), MAX_BYTES);

        let mut frames = Vec::new();
        assert_eq!(outlet.take(&mut frames, 4).await, 4);

        assert!(inlet.offer(0, Link::Ethernet, &frame));
    }
}
