//! Tries inside the sandbox what a hijacked worker would try. Nothing here does harm where it goes through.
#![allow(unsafe_code, reason = "tries what the sandbox must refuse")]

use std::{
    fs::File,
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    ptr, thread,
};

use super::wire::Attempt;

/// Bytes that are mapped.
const PAGE: usize = 4_096;

/// Tries it and returns how the kernel refused; none if it went through. Mostly it does not return: the kernel kills.
pub(super) fn attempt(what: Attempt, parent: u32, file: Option<OwnedFd>) -> Option<String> {
    let (private, read_write) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
    let done = match what {
        Attempt::OpenFile => File::open("/etc/passwd").map(drop),
        Attempt::CreateFile => File::create("/tmp/khien-probe").map(drop),
        Attempt::OpenSocket => UdpSocket::bind("127.0.0.1:0").map(drop),
        Attempt::StartProgram => Command::new("/bin/true").spawn().map(drop),
        Attempt::StartThread => thread::Builder::new().spawn(|| {}).map(drop),
        Attempt::KillParent => signal(parent),
        Attempt::MapCode => map(libc::PROT_READ | libc::PROT_EXEC, private, None).map(drop),
        Attempt::MakeCode => map(read_write, private, None).and_then(make_code),
        Attempt::MapFile => map(libc::PROT_READ, libc::MAP_PRIVATE, file).map(drop),
        Attempt::ShareMemory => map(read_write, libc::MAP_SHARED | libc::MAP_ANONYMOUS, None).map(drop),
        Attempt::GrowDown => map(read_write, private | libc::MAP_GROWSDOWN, None).map(drop),
        Attempt::ReachMemory => take_memory(),
    };
    done.err().map(|e| e.to_string())
}

/// Signal 0 asks for the permission only.
fn signal(parent: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    match unsafe { libc::kill(parent.cast_signed(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Maps a page of a file or of nothing at an address of the kernel's choice, and leaves it there.
fn map(access: libc::c_int, kind: libc::c_int, file: Option<OwnedFd>) -> io::Result<*mut libc::c_void> {
    let file = file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: a new mapping, which nothing uses.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, kind, file, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page) }
}

/// Turns memory that was written to into code.
fn make_code(page: *mut libc::c_void) -> io::Result<()> {
    // SAFETY: a page that was just mapped and that nothing uses.
    match unsafe { libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_EXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks for more memory than the limit, without touching it.
fn take_memory() -> io::Result<()> {
    let mut bytes: Vec<u8> = Vec::new();
    bytes.try_reserve_exact(2 << 30).map_err(io::Error::other)?;
    std::hint::black_box(&bytes);
    Ok(())
}
