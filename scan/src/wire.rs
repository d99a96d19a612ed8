//! What a pool and its workers say to each other over a socket pair: a length, then JSON, and at most one open file.
//!
//! Hostile bytes never travel here, only the file descriptor through which the worker reads them. What came is kept until
//! it is asked for, so that a message costs one system call and several may be on their way.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    ops::Range,
    os::{
        fd::{BorrowedFd, OwnedFd},
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
    io::{Errno, retry_on_intr},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recv, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{brought::Facts, open::Inode};

/// The largest request: a few numbers, a path of 4,096 bytes and a name of 256, each byte written with at most nine.
pub(super) const MAX_REQUEST: usize = 48 << 10;
/// The largest reply: 64 hits of four excerpts of 256 bytes and eight names of 255, each byte written with at most nine,
/// and sixteen places that were not looked into.
pub(super) const MAX_REPLY: usize = 2 << 20;
/// The longest part of a message before its body.
const HEAD: usize = size_of::<u32>();
/// Kept for messages; what a longer one takes is given back.
const ROOM: usize = 16 << 10;
/// The shortest wait: the kernel counts no less.
const SHORTEST: Duration = Duration::from_millis(1);

/// What a worker is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Request {
    /// Here is the compiled form of the pack that comes next. It is not answered.
    Compiled(Facts),
    /// Take the pack that is in the file, which is of this many bytes, make its rules ready and close the sandbox.
    Load { size: u64 },
    /// The same with rules for files that the caller compiled itself: a pack of so many bytes, then the compiled form.
    LoadCompiled { pack: u64, compiled: u64 },
    /// Here is a file that belongs to the next scan: the list of a process's mappings, then that of its pages. It is not
    /// answered.
    Beside,
    /// Scan the file.
    Scan(ScanRequest),
    /// Try what the sandbox forbids. Harmless, and asked by tests only.
    Try(Attempt),
}

/// What to scan and what it may cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ScanRequest {
    /// Which scan of this worker it is, the first being 1.
    #[serde(default)]
    pub(super) number: u64,
    pub(super) what: What,
    /// No more bytes than these are read.
    pub(super) limit: u64,
    /// For how many milliseconds the rules may run.
    pub(super) millis: u64,
    /// Whether the file's SHA-256 is asked for even if the file is clean and on no list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) digest: bool,
    /// What rules of others are told of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) externals: Option<Externals>,
}

/// Which rules fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    File,
    Stream,
    /// The file is the memory of a process.
    Memory,
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
    MakeCode,
    MapFile,
    ShareMemory,
    GrowDown,
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
    /// Which scan it answers.
    #[serde(default)]
    pub(super) number: u64,
    pub(super) scanned: Scanned,
    /// What inside it was not looked into.
    pub(super) unseen: Vec<Unseen>,
    /// Of the bytes that were read; none if they were not all read, or nobody asked.
    pub(super) sha256: Option<Sha256>,
    /// Those that the pack's lists ask for, of the same bytes.
    pub(super) digests: Digests,
    /// How many bytes were read.
    pub(super) size: u64,
    /// The inode as it was afterwards; none if it was not looked at.
    #[serde(default)]
    pub(super) now: Option<Inode>,
}

/// What came from the other side and was not taken yet.
pub(super) struct Inbox {
    /// The longest message that is taken.
    max: usize,
    /// Whether open files are taken; else the kernel closes those that come.
    takes_files: bool,
    bytes: Vec<u8>,
    /// Where in `bytes` there is what was not taken.
    held: Range<usize>,
    files: VecDeque<OwnedFd>,
    /// How long the socket waits.
    patience: Duration,
}

impl Inbox {
    /// Takes what a pool says.
    pub(super) fn of_worker() -> Self {
        Self::new(MAX_REQUEST, true)
    }

    /// Takes what a worker says.
    pub(super) fn of_pool() -> Self {
        Self::new(MAX_REPLY, false)
    }

    fn new(max: usize, takes_files: bool) -> Self {
        let (bytes, files) = (vec![0; ROOM], VecDeque::new());
        Self { max, takes_files, bytes, held: 0..0, files, patience: Duration::ZERO }
    }

    /// Receives the next message and its open file; none if the other side has closed.
    pub(super) fn receive<T: DeserializeOwned>(
        &mut self,
        socket: &UnixStream,
        until: Option<Instant>,
    ) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        loop {
            if let Some(body) = self.whole()? {
                let message = serde_json::from_slice(&self.bytes[body.clone()])?;
                self.take(body.end);
                return Ok(Some((message, self.files.pop_front())));
            }
            match self.receive_more(socket, until) {
                Ok(0) if self.held.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                // The socket waits a little less than it may: whether that was all is asked before the next wait.
                Err(e) if is_timeout(&e) && until.is_some_and(|until| Instant::now() < until) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Tells whether something comes by then, or the other side has closed.
    pub(super) fn hears_by(&mut self, socket: &UnixStream, until: Instant) -> bool {
        while self.is_empty() {
            match self.receive_more(socket, Some(until)) {
                Err(e) if is_timeout(&e) && Instant::now() < until => {}
                // Who was kept from looking in time finds what came meanwhile.
                Err(e) if is_timeout(&e) => return !self.is_silent(socket),
                Ok(_) | Err(_) => return true,
            }
        }
        true
    }

    /// Tells whether nothing came that was not asked for, and the other side is there.
    pub(super) fn is_silent(&self, socket: &UnixStream) -> bool {
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        self.is_empty() && matches!(recv(socket, &mut [0_u8], look), Err(Errno::AGAIN))
    }

    /// Tells whether all that came was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns where the next message's body is, if all of it came.
    fn whole(&self) -> io::Result<Option<Range<usize>>> {
        let Some((head, rest)) = self.bytes[self.held.clone()].split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head) as usize;
        if length > self.max {
            return Err(io::Error::other("a message is longer than allowed"));
        }
        let body = self.held.start + HEAD;
        Ok((rest.len() >= length).then(|| body..body + length))
    }

    fn take(&mut self, end: usize) {
        self.held.start = end;
        if self.held.is_empty() {
            self.held = 0..0;
            self.bytes.truncate(ROOM);
            self.bytes.shrink_to_fit();
        }
    }

    fn receive_more(&mut self, socket: &UnixStream, until: Option<Instant>) -> io::Result<usize> {
        self.make_room();
        self.wait_no_longer(socket, until)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let for_files = if self.takes_files { space.len() } else { 0 };
        let mut control = RecvAncillaryBuffer::new(&mut space[..for_files]);
        let room = &mut self.bytes[self.held.end..];
        let got = retry_on_intr(|| {
            recvmsg(socket, &mut [IoSliceMut::new(&mut *room)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        self.held.end += got.bytes;
        Ok(got.bytes)
    }

    /// Makes room for the rest of a message. Most come at once, and the next one with it.
    fn make_room(&mut self) {
        if self.held.start > 0 {
            self.bytes.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        if let Some(head) = self.bytes[self.held.clone()].first_chunk::<HEAD>() {
            // Longer ones than allowed are refused before this.
            let whole = HEAD + (u32::from_le_bytes(*head) as usize).min(self.max);
            if self.bytes.len() < whole {
                self.bytes.resize(whole, 0);
            }
        }
    }

    /// A worker never waits with a limit, so that it needs no system call for that. Nor does who waits as long as the
    /// time before.
    fn wait_no_longer(&mut self, socket: &UnixStream, until: Option<Instant>) -> io::Result<()> {
        let Some(until) = until else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.patience > left || self.patience < left / 2 {
            self.patience = (left - left / 8).max(SHORTEST);
            socket.set_read_timeout(Some(self.patience))?;
        }
        Ok(())
    }
}

/// Sends one message and, if there is one, an open file. Returns how many bytes that took.
pub(super) fn send(
    socket: &UnixStream,
    message: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut frame = vec![0; HEAD];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - HEAD).map_err(io::Error::other)?;
    frame[..HEAD].copy_from_slice(&length.to_le_bytes());
    let sent = send_first(socket, &frame, file)?;
    (&mut &*socket).write_all(&frame[sent..])?;
    Ok(frame.len())
}

/// The open file goes with the first bytes.
fn send_first(socket: &UnixStream, frame: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = file.as_slice();
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("an open file does not fit the message"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(frame)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Tells whether a wait was too long.
pub(super) fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_message_brings_its_file_along() {
        let (a, b) = UnixStream::pair().unwrap();
        for size in 1..4_usize {
            let request = Request::Load { size: size as u64 };
            send(&a, &request, Some(file_of(&[b'x'; 3][..size]).as_fd())).unwrap();
        }
        drop(a);

        let mut inbox = Inbox::of_worker();
        for size in 1..4_usize {
            let (request, passed) = inbox.receive::<Request>(&b, None).unwrap().unwrap();
            assert!(matches!(request, Request::Load { size: s } if s == size as u64), "{request:?}");
            assert_eq!(rustix::io::pread(passed.unwrap(), &mut [0_u8; 5], 0).unwrap(), size);
        }
        assert!(inbox.receive::<Request>(&b, None).unwrap().is_none());
    }

    #[test]
    fn what_comes_in_pieces_or_at_once_is_taken_one_by_one() {
        let ((a, b), mut inbox) = (UnixStream::pair().unwrap(), Inbox::of_pool());
        let long = Some("x".repeat(ROOM * 3));
        let said = [None, long.clone(), Some("y".to_owned())];
        let mut bytes = Vec::new();
        for refused in said {
            let body = serde_json::to_vec(&Reply::Tried { refused }).unwrap();
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(body);
        }

        let heard: Vec<_> = std::thread::scope(|threads| {
            threads.spawn(|| bytes.chunks(777).for_each(|piece| (&mut &a).write_all(piece).unwrap()));
            (0..3).map(|_| inbox.receive::<Reply>(&b, None).unwrap().unwrap().0).collect()
        });

        let [
            Reply::Tried { refused: None },
            Reply::Tried { refused: second },
            Reply::Tried { refused: Some(third) },
        ] = &heard[..]
        else {
            panic!("{heard:?}")
        };
        assert_eq!((second, third.as_str()), (&long, "y"));
        assert!(inbox.is_empty() && inbox.bytes.len() == ROOM);
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_before_it_is_read() {
        let (a, b) = UnixStream::pair().unwrap();
        (&mut &a).write_all(&u32::MAX.to_le_bytes()).unwrap();

        assert!(Inbox::of_pool().receive::<Reply>(&b, None).is_err());
    }

    #[test]
    fn a_file_that_a_worker_sends_along_is_not_taken() {
        let ((a, b), mut inbox) = (UnixStream::pair().unwrap(), Inbox::of_pool());
        send(&a, &Reply::Tried { refused: None }, Some(file_of(b"mine").as_fd())).unwrap();

        let (_, file) = inbox.receive::<Reply>(&b, None).unwrap().unwrap();

        assert!(file.is_none() && inbox.files.is_empty());
    }

    #[test]
    fn a_silent_worker_is_not_waited_for_longer_than_the_limit() {
        let ((_a, b), mut inbox) = (UnixStream::pair().unwrap(), Inbox::of_pool());
        let until = Instant::now() + Duration::from_millis(20);

        let waited = inbox.receive::<Reply>(&b, Some(until));

        assert!(is_timeout(&waited.unwrap_err()));
        assert!(Instant::now() >= until, "it may wait all of its time");
    }

    #[test]
    fn what_came_in_time_is_heard_however_late_one_looks_and_nothing_is_lost() {
        let ((a, b), mut inbox) = (UnixStream::pair().unwrap(), Inbox::of_pool());
        let now = Instant::now();
        assert!(!inbox.hears_by(&b, now) && !inbox.hears_by(&b, now + Duration::from_millis(5)));

        send(&a, &Reply::Tried { refused: None }, None).unwrap();
        assert!(inbox.hears_by(&b, now) && inbox.hears_by(&b, now + Duration::from_secs(20)));
        assert!(inbox.receive::<Reply>(&b, None).unwrap().is_some());

        drop(a);
        assert!(inbox.hears_by(&b, now) && inbox.receive::<Reply>(&b, None).unwrap().is_none());
    }

    #[test]
    fn who_speaks_unasked_or_is_gone_is_not_silent() {
        let ((a, b), inbox) = (UnixStream::pair().unwrap(), Inbox::of_pool());
        assert!(inbox.is_silent(&b));

        (&mut &a).write_all(b"x").unwrap();
        assert!(!inbox.is_silent(&b));

        let (c, d) = UnixStream::pair().unwrap();
        drop(c);
        assert!(!inbox.is_silent(&d));
    }

    fn file_of(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }
}
