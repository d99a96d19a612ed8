//! Counts the memory that one input takes, and ends what takes too much.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Nothing is given out beyond this: whoever does not ask first dies of it, as in a scan worker.
const MOST: usize = 1 << 30;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTED: Counted = Counted;

/// Begins to look for the peak and returns what is held now.
pub(crate) fn begin() -> usize {
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    live
}

/// Returns the most that was held since [`begin`].
pub(crate) fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// The system's allocator, counted. What libraries in C take by themselves is not seen.
struct Counted;

// SAFETY: all is done by the system's allocator; that it gives nothing is allowed at any time.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules.
        take(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the rules.
        take(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the rules.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the rules.
        let new = take(size, || unsafe { System.realloc(at, layout, size) });
        if !new.is_null() {
            LIVE.fetch_sub(layout.size(), Relaxed);
        }
        new
    }
}

fn take(size: usize, from_system: impl FnOnce() -> *mut u8) -> *mut u8 {
    let live = LIVE.fetch_add(size, Relaxed).saturating_add(size);
    let taken = if live > MOST { ptr::null_mut() } else { from_system() };
    match taken.is_null() {
        true => {
            LIVE.fetch_sub(size, Relaxed);
        }
        false => {
            PEAK.fetch_max(live, Relaxed);
        }
    }
    taken
}
