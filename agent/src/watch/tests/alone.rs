//! A place where tests may mount: it vanishes with the threads that see it.
#![allow(unsafe_code, reason = "the kernel interface of mount namespaces")]

use std::{
    ffi::CString,
    fs::File,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// After so long whoever waits for an answer gets an error, so that a test fails and does not hang.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// Runs a test in a thread with mounts of its own. What it starts sees the same; nobody else does.
pub(crate) fn with_own_mounts(test: impl FnOnce() + Send) {
    thread::scope(|threads| {
        let alone = threads.spawn(|| {
            // SAFETY: no pointers; the thread and what it starts get mounts of their own.
            let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
            let private = Command::new("mount").args(["--make-rprivate", "/"]).status();
            assert!(private.unwrap().success());
            test();
        });
        if let Err(failed) = alone.join() {
            std::panic::resume_unwind(failed);
        }
    });
}

/// A mounted file system of kind `fuse.sshfs` whose program never answers: whoever looks at it waits.
pub(crate) struct Silent {
    at: PathBuf,
    /// Holds the program's end until this is dropped, or for so long as a test may take.
    program: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Silent {
    pub(crate) fn mount(at: &Path) -> Self {
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let text = |text: &[u8]| CString::new(text).unwrap();
        let (from, place) = (text(b"host:/srv"), text(at.as_os_str().as_bytes()));
        let (kind, options) = (text(b"fuse.sshfs"), text(options.as_bytes()));
        // SAFETY: all are strings that live until the call returns.
        let done =
            unsafe { libc::mount(from.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        let (end, ended) = mpsc::channel();
        let program = thread::spawn(move || {
            let _ = ended.recv_timeout(GIVEN_UP);
            drop(device);
        });
        Self { at: at.to_owned(), program: Some((end, program)) }
    }

    /// Tells whether it still does not answer.
    pub(crate) fn is_silent(&self) -> bool {
        self.program.as_ref().is_some_and(|(_, program)| !program.is_finished())
    }

    /// Has whoever looks at it get an error from now on.
    pub(crate) fn end(&mut self) {
        if let Some((end, program)) = self.program.take() {
            drop(end);
            let _ = program.join();
        }
    }

    pub(crate) fn unmount(&mut self) {
        let place = CString::new(self.at.as_os_str().as_bytes()).unwrap();
        // SAFETY: the string lives until the call returns.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        self.end();
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.unmount();
    }
}
