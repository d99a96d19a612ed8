//! Tries inside the sandbox what a hijacked worker would try. Nothing here does harm where it goes through.
#![allow(unsafe_code, reason = "tries what the sandbox must refuse")]

use std::{fs::File, io, net::UdpSocket, process::Command, thread};

use super::wire::Attempt;

/// Tries it and returns how the kernel refused; none if it went through. Mostly it does not return: the kernel kills.
pub(super) fn attempt(what: Attempt, parent: u32) -> Option<String> {
    let done = match what {
        Attempt::OpenFile => File::open("/etc/passwd").map(drop),
        Attempt::CreateFile => File::create("/tmp/khien-probe").map(drop),
        Attempt::OpenSocket => UdpSocket::bind("127.0.0.1:0").map(drop),
        Attempt::StartProgram => Command::new("/bin/true").spawn().map(drop),
        Attempt::StartThread => thread::Builder::new().spawn(|| {}).map(drop),
        Attempt::KillParent => signal(parent),
        Attempt::MapCode => map_code(),
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

fn map_code() -> io::Result<()> {
    let (read_exec, private) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice; nothing uses it.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, read_exec, private, -1, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Asks for more memory than the limit, without touching it.
fn take_memory() -> io::Result<()> {
    let mut bytes: Vec<u8> = Vec::new();
    bytes.try_reserve_exact(2 << 30).map_err(io::Error::other)?;
    std::hint::black_box(&bytes);
    Ok(())
}
