//! The hidden worker program as a stranger would start it.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
};

#[test]
fn a_worker_without_a_socket_ends_at_once() {
    let ended = Command::new(env!("CARGO_BIN_EXE_khien-agent")).arg("worker").stdin(Stdio::null()).status();

    assert!(!ended.expect("the worker starts").success());
}

#[test]
fn a_worker_that_is_told_nonsense_ends_without_an_answer() {
    let (mut ours, theirs) = UnixStream::pair().expect("a socket pair");
    let mut worker = Command::new(env!("CARGO_BIN_EXE_khien-agent"))
        .arg("worker")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .spawn()
        .expect("the worker starts");

    ours.write_all(&[0xff; 64]).expect("the socket takes bytes");

    assert!(!worker.wait().expect("the worker ends").success());
}
