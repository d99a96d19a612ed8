//! One write by io_uring, without any write call: the smallest ring there is.
#![allow(unsafe_code, reason = "the kernel interface of io_uring")]

use std::{
    fs::OpenOptions,
    io,
    os::fd::AsRawFd,
    path::Path,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

/// `struct io_uring_params`: 40 bytes, then the offsets of the two rings, 40 bytes each.
#[repr(C)]
#[derive(Default)]
struct Params {
    entries: [u32; 2],
    other: [u32; 8],
    submission: [u32; 10],
    completion: [u32; 10],
}

const RING: libc::off_t = 0;
const ENTRIES: libc::off_t = 0x1000_0000;
const OP_WRITE: u8 = 23;
const ENTER_GETEVENTS: u32 = 1;
const ROOM: usize = 4_096;

/// Writes to the start of a file. Where the kernel has no io_uring, says so and writes as any program.
pub(super) fn write(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let mut params = Params::default();
    // SAFETY: the structure has the kernel's layout and outlives the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, &raw mut params) };
    let Ok(ring) = i32::try_from(ring).map_err(|_| ()).and_then(|r| if r < 0 { Err(()) } else { Ok(r) })
    else {
        println!("cannot run here: io_uring: {}", io::Error::last_os_error());
        return std::fs::write(path, bytes).unwrap();
    };
    let map = |offset| {
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a fresh mapping of the ring.
        let at = unsafe { libc::mmap(ptr::null_mut(), ROOM, access, shared, ring, offset) };
        assert_ne!(at, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        at.cast::<u8>()
    };
    let (submission, entry) = (map(RING), map(ENTRIES));
    let mut wanted = [0u8; 64];
    wanted[0] = OP_WRITE;
    wanted[4..8].copy_from_slice(&file.as_raw_fd().to_ne_bytes());
    wanted[16..24].copy_from_slice(&(bytes.as_ptr() as u64).to_ne_bytes());
    wanted[24..28].copy_from_slice(&u32::try_from(bytes.len()).unwrap().to_ne_bytes());
    // SAFETY: the entry, the index and the tail lie in the mappings, where the kernel said; nobody else uses them.
    unsafe {
        ptr::copy_nonoverlapping(wanted.as_ptr(), entry, wanted.len());
        let array = submission.add(params.submission[6] as usize).cast::<u32>();
        array.write(0);
        let tail = AtomicU32::from_ptr(submission.add(params.submission[1] as usize).cast::<u32>());
        tail.store(1, Ordering::Release);
    }
    // SAFETY: no pointers but the ring's own; one is handed in and waited for.
    let done =
        unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, 1, 1, ENTER_GETEVENTS, ptr::null::<u8>(), 0) };
    assert_eq!(done, 1, "{}", io::Error::last_os_error());
}
