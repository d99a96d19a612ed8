//! The system calls of fanotify and file handles, for which there is no safe library. Nothing else is in here.
#![allow(unsafe_code, reason = "the kernel interface of fanotify")]

use std::{
    ffi::CString,
    hash::{Hash, Hasher},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::Duration,
};

use super::mask;

/// The largest file handle (`MAX_HANDLE_SZ`).
pub(super) const MAX_HANDLE: usize = 128;

/// A file handle as the kernel lays it out.
#[repr(C)]
#[derive(Debug, Clone)]
pub(super) struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; MAX_HANDLE],
}

impl Handle {
    /// Makes one from its kind and bytes; none if it is longer than any handle.
    pub(super) fn new(kind: i32, bytes: &[u8]) -> Option<Self> {
        let mut data = [0; MAX_HANDLE];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: u32::try_from(bytes.len()).ok()?, kind, data })
    }

    /// What it is made of: the room behind it costs as much again as all else that is done with it.
    fn said(&self) -> (i32, &[u8]) {
        (self.kind, self.data.get(..self.bytes as usize).unwrap_or(&self.data))
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        self.said() == other.said()
    }
}

impl Eq for Handle {}

impl Hash for Handle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.said().hash(state);
    }
}

/// Makes a notification group that names folder, name and process; older kernels know fewer of the flags.
pub(super) fn init() -> io::Result<OwnedFd> {
    let base = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_REPORT_FID
        | libc::FAN_REPORT_DFID_NAME;
    let target = libc::FAN_REPORT_TARGET_FID;
    let mut last = io::Error::from(io::ErrorKind::Unsupported);
    for flags in [base | target | libc::FAN_REPORT_PIDFD, base | libc::FAN_REPORT_PIDFD, base] {
        // SAFETY: no pointers.
        let fd = unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as libc::c_uint) };
        if fd >= 0 {
            // SAFETY: the kernel has just made it for us alone.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        last = io::Error::last_os_error();
        if last.raw_os_error() != Some(libc::EINVAL) {
            break;
        }
    }
    Err(last)
}

/// Marks the whole file system on which a path lies, for all that this kernel can tell.
pub(super) fn mark(group: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    match mark_for(group, path, mask::NEW) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => mark_for(group, path, mask::OLD),
        done => done,
    }
}

fn mark_for(group: BorrowedFd<'_>, path: &Path, mask: u64) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let how = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
    // SAFETY: the path is a C string that outlives the call.
    let done = unsafe { libc::fanotify_mark(group.as_raw_fd(), how, mask, libc::AT_FDCWD, path.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until there is something to read, at most so long.
pub(super) fn wait(group: BorrowedFd<'_>, at_most: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: group.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, and the count says so.
    match unsafe { libc::poll(&mut poll, 1, millis) } {
        -1 => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
            e => Err(e),
        },
        ready => Ok(ready > 0),
    }
}

/// Returns the handle of an open folder.
pub(super) fn handle_of(folder: BorrowedFd<'_>) -> io::Result<Handle> {
    let mut handle = Handle { bytes: MAX_HANDLE as u32, kind: 0, data: [0; MAX_HANDLE] };
    let mut mount: libc::c_int = 0;
    // SAFETY: the handle has the kernel's layout and says how much room it has; the empty name is a C string.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            folder.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    if done == 0 { Ok(handle) } else { Err(io::Error::last_os_error()) }
}

/// Opens what a handle names, as a place only, seen from a mount of its file system.
pub(super) fn open(mount: BorrowedFd<'_>, handle: &Handle) -> io::Result<OwnedFd> {
    let mut handle = handle.clone();
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the handle has the kernel's layout and its length is within its room.
    let fd = unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount.as_raw_fd(), &raw mut handle, flags) }
        as RawFd;
    // SAFETY: a file descriptor that is not negative was just made for us alone.
    if fd >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) } else { Err(io::Error::last_os_error()) }
}

/// Takes over a file descriptor that came in an event; none if the kernel put an error in its place.
pub(super) fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: the kernel made it for this event and nobody else has seen it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Tells whether the process behind a pidfd has not been waited for yet, so that its id is still its own.
pub(super) fn is_there(process: BorrowedFd<'_>) -> bool {
    // SAFETY: signal 0 with no information asks for existence only.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), 0, std::ptr::null::<u8>(), 0)
    };
    done == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}
