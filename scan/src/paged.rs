//! A file of any size as one run of bytes in little memory: what is looked at is read in, what was looked at is let go.
//!
//! ```text
//! addresses  ░░░░░░░░░░█░░░░░░░░████░░░░░░   ░ nothing there: touching it is a fault    █ a window that was read in
//!                      ▲ fault ─► pread of this window ─► on it goes; the window that came first is let go
//! ```
//! So every rule sees the whole file with its true size and places, modules among them, and no match is cut by a border.
//! The engine's own scanner for blocks knows no file size, runs no module, takes the edge of a block for the edge of a
//! word and copies every match; windows that are scanned apart count and place wrongly. Neither was taken.
//!
//! A file is never mapped: whoever cuts it then would kill the scan. What is missing reads as zeros and is told.
#![allow(unsafe_code, reason = "serves faults of an address range of its own")]

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// The largest file that can be seen: addresses set aside, which cost no memory.
pub(super) const MOST: u64 = 4 << 30;
/// Read at a time: a container that is read here and there must not cost much more than what is looked at.
const WINDOW: usize = 1 << 20;
/// Windows in memory at one time.
const HELD: usize = 24;

/// Where the range begins.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// The addresses of the file that is seen; 0 is none.
static SPAN: AtomicUsize = AtomicUsize::new(0);
static FILE: AtomicI32 = AtomicI32::new(-1);
static SIZE: AtomicU64 = AtomicU64::new(0);
/// The windows in memory, each as its number and one; 0 is none.
static WINDOWS: [AtomicUsize; HELD] = [const { AtomicUsize::new(0) }; HELD];
static NEXT: AtomicUsize = AtomicUsize::new(0);
static CUT: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicBool = AtomicBool::new(false);
/// Who served faults before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// The range of addresses. There is one in a process, and one thread uses it.
pub(super) struct Space {
    _one_thread: PhantomData<*const ()>,
}

/// A file that is seen.
pub(super) struct View<'s> {
    bytes: &'s [u8],
    _space: PhantomData<&'s mut Space>,
}

/// How much of a file could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// All of it.
    Whole,
    /// It was cut while it was looked at.
    Cut,
    /// Reading failed.
    Broken,
}

impl Space {
    /// Sets the addresses aside. None if the host does not allow it, or if this was done before.
    pub(super) fn reserve() -> Option<Self> {
        let (none, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        let most = usize::try_from(MOST).ok()?;
        // SAFETY: new addresses of the kernel's choice, which nothing uses.
        let base = unsafe { libc::mmap(ptr::null_mut(), most, none, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        let first = BASE.compare_exchange(0, base.addr(), Relaxed, Relaxed).is_ok();
        first.then_some(Self { _one_thread: PhantomData })
    }

    /// Serves the faults of the range from now on, and hands all others to who served them before. Called when the
    /// engine stands, which serves some itself.
    pub(super) fn serve(&self) -> io::Result<()> {
        // SAFETY: both are plain values; the handler does only what a handler may do and returns where it is served.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            let mut ours: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGSEGV, ptr::null(), &mut before) != 0 {
                return Err(io::Error::last_os_error());
            }
            let _ = BEFORE.set(before);
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            ours.sa_sigaction = on_fault as *const () as usize;
            match libc::sigaction(libc::SIGSEGV, &ours, ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// Shows the first `size` bytes of a file, at most [`MOST`].
    pub(super) fn view<'s>(&'s mut self, file: &'s OwnedFd, size: u64) -> View<'s> {
        let size = size.min(MOST);
        let len = usize::try_from(size).unwrap_or(0);
        FILE.store(file.as_raw_fd(), Relaxed);
        SIZE.store(size, Relaxed);
        CUT.store(false, Relaxed);
        BROKEN.store(false, Relaxed);
        SPAN.store(len, Relaxed);
        // SAFETY: the range holds `len` bytes, and reading any of them gives one: the fault reads it in. A window that
        // is read in a second time may be another if the file was written to. Who reads here only searches, checks
        // every bound, and stands in a sandbox made for the case that this is not enough.
        let bytes =
            unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(BASE.load(Relaxed)), len) };
        View { bytes, _space: PhantomData }
    }
}

impl View<'_> {
    /// Returns the file's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// Tells how much of what was looked at could be read.
    pub(super) fn read(&self) -> Read {
        match (BROKEN.load(Relaxed), CUT.load(Relaxed)) {
            (true, _) => Read::Broken,
            (false, true) => Read::Cut,
            (false, false) => Read::Whole,
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        SPAN.store(0, Relaxed);
        for window in &WINDOWS {
            let_go(window.swap(0, Relaxed));
        }
        FILE.store(-1, Relaxed);
    }
}

/// Runs where the engine touched what is not there. Calls nothing but the system, and takes no lock.
extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a filled `siginfo_t`, which has an address for this signal; `errno` is the thread's own.
    let (at, errno) = unsafe { ((*info).si_addr().addr(), libc::__errno_location()) };
    let place = at.checked_sub(BASE.load(Relaxed)).filter(|place| *place < SPAN.load(Relaxed));
    let Some(place) = place else { return pass_on(signal, info, context) };
    // SAFETY: as above.
    let said = unsafe { *errno };
    if !read_in(place / WINDOW) {
        die(signal);
    }
    // SAFETY: as above.
    unsafe { *errno = said };
}

/// Reads a window in, and lets the one go that came first.
fn read_in(window: usize) -> bool {
    let slot = NEXT.fetch_add(1, Relaxed) % HELD;
    let_go(WINDOWS[slot].swap(window + 1, Relaxed));
    let start = address(window);
    // SAFETY: the window lies in the range, and nothing holds its bytes: they were not there.
    if unsafe { libc::mprotect(start, WINDOW, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
        return false;
    }
    let offset = window as u64 * WINDOW as u64;
    let want = usize::try_from(SIZE.load(Relaxed).saturating_sub(offset)).unwrap_or(WINDOW).min(WINDOW);
    let mut had = 0;
    while had < want {
        let at = libc::off64_t::try_from(offset + had as u64).unwrap_or(libc::off64_t::MAX);
        // SAFETY: `want - had` bytes from there lie in the window, which can be written to.
        let got = unsafe { libc::pread64(FILE.load(Relaxed), start.byte_add(had), want - had, at) };
        match usize::try_from(got) {
            Ok(0) => {
                CUT.store(true, Relaxed);
                break;
            }
            Ok(got) => had += got,
            // SAFETY: `errno` is the thread's own.
            Err(_) if unsafe { *libc::__errno_location() } == libc::EINTR => {}
            Err(_) => {
                BROKEN.store(true, Relaxed);
                break;
            }
        }
    }
    true
}

/// Gives a window's memory back. Takes its number and one; 0 is none.
fn let_go(window: usize) {
    let Some(window) = window.checked_sub(1) else { return };
    let start = address(window);
    // SAFETY: the window lies in the range. Where either fails the memory stays: the limit of the process then holds.
    unsafe {
        libc::madvise(start, WINDOW, libc::MADV_DONTNEED);
        libc::mprotect(start, WINDOW, libc::PROT_NONE);
    }
}

fn address(window: usize) -> *mut libc::c_void {
    ptr::with_exposed_provenance_mut(BASE.load(Relaxed) + window * WINDOW)
}

/// Hands a fault that is not of the range to who served faults before.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(before) = BEFORE.get() else { return die(signal) };
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN || before.sa_flags & libc::SA_SIGINFO == 0 {
        return die(signal);
    }
    // SAFETY: who installed a handler with `SA_SIGINFO` gave a function of this kind.
    unsafe {
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            std::mem::transmute(handler);
        handler(signal, info, context);
    }
}

/// Lets the fault end the process when it comes again, which is at once.
fn die(signal: libc::c_int) {
    // SAFETY: sets the default for a signal.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::unix::fs::FileExt};

    use super::*;

    /// One test, because there is one range in a process.
    #[test]
    fn a_file_is_seen_as_it_is_in_little_memory_and_a_cut_is_told() {
        let mut space = Space::reserve().unwrap();
        space.serve().unwrap();
        let size = WINDOW * (HELD + 9) + 777;
        let content: Vec<u8> = (0..size).map(|n| (n / 4093) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let file = OwnedFd::from(file);

        let view = space.view(&file, size as u64);
        assert!(view.bytes() == content, "read from the start");
        assert!(view.bytes().iter().rev().eq(content.iter().rev()), "read from the end");
        assert_eq!(view.read(), Read::Whole);
        assert!(held() <= HELD);
        drop(view);
        assert_eq!(held(), 0);

        let view = space.view(&file, size as u64);
        let copy = File::from(file.try_clone().unwrap());
        copy.set_len(WINDOW as u64).unwrap();
        assert!(view.bytes()[WINDOW..].iter().all(|b| *b == 0));
        assert_eq!(view.read(), Read::Cut);
        drop(view);

        let view = space.view(&file, WINDOW as u64);
        assert!(view.bytes() == &content[..WINDOW], "a new view forgets the last one");
        assert_eq!(view.read(), Read::Whole);
        drop(view);

        let folder = OwnedFd::from(File::open("/").unwrap());
        let view = space.view(&folder, 10);
        assert_eq!((view.bytes()[3], view.read()), (0, Read::Broken));
        assert!(copy.read_at(&mut [0], 0).is_ok());
    }

    fn held() -> usize {
        WINDOWS.iter().filter(|w| w.load(Relaxed) != 0).count()
    }
}
