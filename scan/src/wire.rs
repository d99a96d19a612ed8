//! What a pool and its workers say to each other over a socket pair: a length, then JSON, and at most one open file.
//!
//! Hostile bytes never travel here, only the file descriptor through which the worker reads them.

use std::{
    io::{self, IoSlice, IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use khien_core::{
    Sha256,
    event::Unseen,
    reason::{Lack, Reason},
};
use khien_rules::{external::Externals, indicator::digest::Digests, scan::Scanned};
use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::brought::Facts;

/// The largest request: a few numbers, a path of 4,096 bytes and a name of 256, each byte written with at most nine.
pub(super) const MAX_REQUEST: usize = 48 << 10;
/// The largest reply: 64 hits of four excerpts of 256 bytes and eight names of 255, each byte written with at most nine,
/// and sixteen places that were not looked into.
pub(super) const MAX_REPLY: usize = 2 << 20;

/// What a worker is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Request {
    /// Here is the compiled form of the pack that comes next. It is not answered.
    Compiled(Facts),
    /// Take the pack that is in the file, which is of this many bytes, make its rules ready and close the sandbox.
    Load { size: u64 },
    /// The same with rules for files that the caller compiled itself: a pack of so many bytes, then the compiled form.
    LoadCompiled { pack: u64, compiled: u64 },
    /// Scan the file.
    Scan(ScanRequest),
    /// Try what the sandbox forbids. Harmless, and asked by tests only.
    Try(Attempt),
}

/// What to scan and what it may cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ScanRequest {
    pub(super) what: What,
    /// No more bytes than these are read.
    pub(super) limit: u64,
    /// For how many milliseconds the rules may run.
    pub(super) millis: u64,
    /// What rules of others are told of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) externals: Option<Externals>,
}

/// Which rules fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    File,
    Stream,
}

/// What a hijacked worker might do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Attempt {
    OpenFile,
    CreateFile,
    OpenSocket,
    StartProgram,
    StartThread,
    KillParent,
    MapCode,
    ReachMemory,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The rules are ready and the sandbox stands, but for what is named here.
    Loaded { missing: Vec<Lack>, way: Way },
    /// The pack does not compile.
    Refused { reason: Reason },
    /// The scan ended.
    Scanned(ScanReply),
    /// What was tried: none if it went through.
    Tried { refused: Option<String> },
}

/// How a worker came by its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    /// From the compiled form.
    Compiled,
    /// From the source, perhaps because the compiled form cannot be used.
    Source { unusable: Option<String> },
}

/// How a scan ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ScanReply {
    pub(super) scanned: Scanned,
    /// What inside it was not looked into.
    pub(super) unseen: Vec<Unseen>,
    /// Of the bytes that were read; none if they were not all read.
    pub(super) sha256: Option<Sha256>,
    /// Those that the pack's lists ask for, of the same bytes.
    pub(super) digests: Digests,
    /// How many bytes were read.
    pub(super) size: u64,
}

/// Sends one message and, if there is one, an open file.
pub(super) fn send(
    socket: &UnixStream,
    message: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let frame = [&length.to_le_bytes(), body.as_slice()].concat();
    let sent = send_first(socket, &frame, file)?;
    io::Write::write_all(&mut &*socket, &frame[sent..])
}

/// The open file goes with the first bytes.
fn send_first(socket: &UnixStream, frame: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("an open file does not fit the message"));
    }
    Ok(sendmsg(socket.as_fd(), &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives one message of at most `max` bytes and its open file; none if the other side has closed.
pub(super) fn receive<T: DeserializeOwned>(
    socket: &UnixStream,
    max: usize,
    until: Option<Instant>,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut length = [0; 4];
    let Some((had, file)) = receive_first(socket, &mut length, until)? else { return Ok(None) };
    read_all(socket, &mut length[had..], until)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > max {
        return Err(io::Error::other("a message is longer than allowed"));
    }
    let mut body = vec![0; length];
    read_all(socket, &mut body, until)?;
    Ok(Some((serde_json::from_slice(&body)?, file)))
}

fn receive_first(
    socket: &UnixStream,
    into: &mut [u8],
    until: Option<Instant>,
) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    wait_no_longer(socket, until)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket.as_fd(), &mut [IoSliceMut::new(into)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((got.bytes > 0).then_some((got.bytes, file)))
}

fn read_all(socket: &UnixStream, mut into: &mut [u8], until: Option<Instant>) -> io::Result<()> {
    while !into.is_empty() {
        wait_no_longer(socket, until)?;
        match (&*socket).read(into)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => into = &mut into[n..],
        }
    }
    Ok(())
}

/// A worker never waits with a limit, so that it needs no system call for that.
fn wait_no_longer(socket: &UnixStream, until: Option<Instant>) -> io::Result<()> {
    let Some(until) = until else { return Ok(()) };
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => socket.set_read_timeout(Some(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_brings_its_file_along() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"bytes").unwrap();

        send(&a, &Request::Load { size: 5 }, Some(file.as_fd())).unwrap();
        let (request, passed) = receive::<Request>(&b, MAX_REQUEST, None).unwrap().unwrap();

        assert!(matches!(request, Request::Load { size: 5 }));
        let mut bytes = [0; 5];
        rustix::io::pread(passed.unwrap(), &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"bytes");
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_read() {
        let (a, b) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut &a, &u32::MAX.to_le_bytes()).unwrap();

        assert!(receive::<Reply>(&b, MAX_REPLY, None).is_err());
    }

    #[test]
    fn a_silent_worker_is_not_waited_for_longer_than_the_limit() {
        let (_a, b) = UnixStream::pair().unwrap();

        let waited = receive::<Reply>(&b, MAX_REPLY, Some(Instant::now() + Duration::from_millis(20)));

        assert!(matches!(waited.unwrap_err().kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
    }
}
