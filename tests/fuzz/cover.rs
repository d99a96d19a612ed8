//! What the code under test reached, and what it compared: the other side of LLVM's SanitizerCoverage.
//!
//! `tests/fuzz/instrument` has the compiler put a counter on each edge of our crates and call in here for each
//! comparison. Built without it there are no counters, and nothing calls.
#![allow(unsafe_code, reason = "counters and calls that the compiler puts into the code under test")]

use std::{
    slice,
    sync::atomic::{
        AtomicPtr, AtomicU8, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Comparisons that are remembered.
const PAIRS: usize = 256;
/// Cases of one `match` that are remembered.
const MAX_CASES: usize = 16;

static START: AtomicPtr<AtomicU8> = AtomicPtr::new(std::ptr::null_mut());
static LEN: AtomicUsize = AtomicUsize::new(0);
static COMPARED: [Slot; PAIRS] = [const { Slot::new() }; PAIRS];

/// Edges that were reached, each with how often as a power of two.
pub(crate) struct Reached {
    seen: Vec<u8>,
}

/// Two numbers that the code under test found unequal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) one: u64,
    pub(crate) other: u64,
    /// How many bytes each has.
    pub(crate) width: usize,
}

/// Tells whether the code under test is counted.
pub(crate) fn is_on() -> bool {
    LEN.load(Acquire) > 0
}

/// Returns how many edges there are.
pub(crate) fn edges() -> usize {
    LEN.load(Acquire)
}

impl Reached {
    pub(crate) fn new() -> Self {
        Self { seen: vec![0; edges()] }
    }

    /// Takes what was counted since the last time, and tells how much of it is new.
    pub(crate) fn take(&mut self) -> usize {
        let mut new = 0;
        drain(|at, count| {
            let bit = class(count);
            if self.seen[at] & bit == 0 {
                self.seen[at] |= bit;
                new += 1;
            }
        });
        new
    }

    /// Returns how many edges were reached.
    pub(crate) fn edges(&self) -> usize {
        self.seen.iter().filter(|bits| **bits > 0).count()
    }
}

/// Returns the edges that were reached since the last time.
pub(crate) fn reached() -> Vec<usize> {
    let mut edges = Vec::new();
    drain(|at, _| edges.push(at));
    edges
}

/// How often, as one bit: 1, 2, 3, 4, 8, 16, 32, 128 times and more.
fn class(count: u8) -> u8 {
    match count {
        0 | 1 => 1,
        2 => 2,
        3 => 4,
        4..8 => 8,
        8..16 => 16,
        16..32 => 32,
        32..128 => 64,
        128.. => 128,
    }
}

/// Hands over each counter that is not zero and sets it to zero.
fn drain(mut each: impl FnMut(usize, u8)) {
    let counters = counters();
    // SAFETY: eight atomic bytes may be read and written as one atomic number, and every bit pattern is one.
    let (head, middle, tail) = unsafe { counters.align_to::<AtomicU64>() };
    let mut of_bytes = |from: usize, bytes: &[AtomicU8]| {
        for (at, counter) in bytes.iter().enumerate() {
            let count = counter.load(Relaxed);
            if count > 0 {
                counter.store(0, Relaxed);
                each(from + at, count);
            }
        }
    };
    of_bytes(0, head);
    for (at, eight) in middle.iter().enumerate() {
        if eight.load(Relaxed) > 0 {
            let from = head.len() + at * 8;
            of_bytes(from, &counters[from..from + 8]);
        }
    }
    of_bytes(counters.len() - tail.len(), tail);
}

fn counters() -> &'static [AtomicU8] {
    let (start, len) = (START.load(Acquire), LEN.load(Acquire));
    if len == 0 {
        return &[];
    }
    // SAFETY: `start` and `len` are those of a section of this program, which lives as long as it does. The code under
    // test writes it on the thread that reads it here, and never while it is read.
    unsafe { slice::from_raw_parts(start, len) }
}

/// Returns one of the comparisons remembered last, if there is one at this place.
pub(crate) fn compared(at: usize) -> Option<Pair> {
    let slot = &COMPARED[at % PAIRS];
    let width = slot.width.load(Relaxed);
    (width > 0).then(|| Pair { one: slot.one.load(Relaxed), other: slot.other.load(Relaxed), width })
}

struct Slot {
    one: AtomicU64,
    other: AtomicU64,
    width: AtomicUsize,
}

impl Slot {
    const fn new() -> Self {
        Self { one: AtomicU64::new(0), other: AtomicU64::new(0), width: AtomicUsize::new(0) }
    }
}

/// Remembers a comparison, at a place that depends on it: a loop must not push out all others.
fn note(one: u64, other: u64, width: usize) {
    if one == other {
        return;
    }
    let mixed = (one ^ other.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let slot = &COMPARED[(mixed >> 56) as usize];
    slot.one.store(one, Relaxed);
    slot.other.store(other, Relaxed);
    slot.width.store(width, Relaxed);
}

/// Called before `main` with the section of counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut AtomicU8, stop: *mut AtomicU8) {
    let len = (stop as usize).saturating_sub(start as usize);
    if len > LEN.load(Acquire) {
        START.store(start, Release);
        LEN.store(len, Release);
    }
}

/// A single byte is soon guessed, and every loop over bytes compares them.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_cmp1(_: u8, _: u8) {}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_const_cmp1(_: u8, _: u8) {}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_cmp2(one: u16, other: u16) {
    note(one.into(), other.into(), 2);
}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_const_cmp2(one: u16, other: u16) {
    note(one.into(), other.into(), 2);
}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_cmp4(one: u32, other: u32) {
    note(one.into(), other.into(), 4);
}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_const_cmp4(one: u32, other: u32) {
    note(one.into(), other.into(), 4);
}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_cmp8(one: u64, other: u64) {
    note(one, other, 8);
}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_const_cmp8(one: u64, other: u64) {
    note(one, other, 8);
}

/// Called for a `match` over numbers: how many cases, of how many bits, then the cases.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_switch(value: u64, cases: *const u64) {
    // SAFETY: the compiler hands over the address of at least these two numbers, and of as many more as the first says.
    let (bits, cases) = unsafe {
        let (count, bits) = (*cases, *cases.add(1));
        (bits, slice::from_raw_parts(cases.add(2), usize::try_from(count).unwrap_or(0)))
    };
    if bits > 8 {
        cases.iter().take(MAX_CASES).for_each(|case| note(value, *case, (bits / 8) as usize));
    }
}
