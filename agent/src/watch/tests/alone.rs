//! A place where tests may mount: it vanishes with the threads that see it.
#![allow(unsafe_code, reason = "the kernel interface of mount namespaces")]

use std::{process::Command, thread};

/// Runs a test in a thread with mounts of its own. What it starts sees the same; nobody else does.
pub(in crate::watch) fn with_own_mounts(test: impl FnOnce() + Send) {
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
