//! The sandboxed scan worker: one process that takes one pack, loads its compiled form or compiles it, and then scans
//! what it is handed, until its pool closes the socket or kills it.
//!
//! It opens nothing by itself. The pack was verified by its pool's owner; no hostile byte is read before the sandbox
//! stands. A compiled form is machine code: it is loaded only if it has the digest that the verified pack names.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
    time::{Duration, Instant},
};

use khien_core::{
    Untrusted,
    event::{ScanOutcome, Unseen},
};
use khien_rules::{
    indicator::digest::{Digests, Wanted},
    scan::{Engine, Scanned, Scanner},
    unpack,
};

use super::{
    load::received,
    memory,
    open::Inode,
    paged::{self, Space},
    probe, sandbox, trim,
    wire::{self, Inbox, Reply, Request, ScanReply, ScanRequest, What},
};

/// Read at a time, so that a lying size costs no memory.
const PIECE: usize = 1 << 20;
/// Read first: most files are smaller, and memory that is not taken need not be cleared.
const FIRST_PIECE: usize = 32 << 10;
/// Memory that is kept from one file to the next.
const KEPT: usize = 256 << 10;
/// The largest file that is read into memory before it is scanned. Of a larger one only windows are in memory.
const WHOLE: u64 = 16 << 20;
/// A file that is cut while it is scanned is scanned as it is then, so many times.
const CUTS: usize = 3;
/// Files that belong to the scan of a process beside its memory: the lists of its mappings and of its pages.
const BESIDE: usize = 2;
/// Long enough for the first scan, which starts the engine's clock thread.
const WARM_UP: Duration = Duration::from_secs(5);

/// Serves the pool on standard input until it closes. Called first in `main`, before any thread exists.
#[must_use]
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    // For whoever looks at the process list: it was started by a path that says nothing.
    rustix::thread::set_name(c"khien-scan")?;
    let parent = std::os::unix::process::parent_id();
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let confined = sandbox::confine();
    let space = Space::reserve();
    let mut inbox = Inbox::of_worker();
    let (engines, way) = match received(&socket, &mut inbox)?.ready() {
        Ok(ready) => ready,
        Err(reason) => return wire::send(&socket, &Reply::Refused { reason }, None).map(drop),
    };
    let mut scanners = Scanners {
        file: engines.file.scanner(),
        stream: engines.stream.scanner(),
        memory: engines.memory.as_ref().map(Engine::scanner),
        wanted: engines.wanted,
        space,
        room: Vec::new(),
        beside: Vec::new(),
    };
    scanners.warm_up();
    // Without it large files are told as too large.
    scanners.space = scanners.space.filter(|space| space.serve().is_ok());
    trim::give_back();
    wire::send(&socket, &Reply::Loaded { missing: sandbox::close(confined), way }, None)?;
    while let Some((request, file)) = inbox.receive(&socket, None)? {
        match (request, file) {
            (Request::Beside, Some(file)) if scanners.beside.len() < BESIDE => scanners.beside.push(file),
            (request, file) => {
                wire::send(&socket, &answer(request, file, &mut scanners, parent)?, None)?;
            }
        }
    }
    Ok(())
}

fn answer(
    request: Request,
    file: Option<OwnedFd>,
    scanners: &mut Scanners<'_>,
    parent: u32,
) -> io::Result<Reply> {
    match (request, file) {
        (Request::Scan(scan), Some(file)) => {
            let number = scan.number;
            let reply = match scan.what {
                What::Memory => scanners.process(scan, file),
                What::File | What::Stream => scanners.scan(scan, &file),
            };
            Ok(Reply::Scanned(ScanReply { number, ..reply }))
        }
        (Request::Try(what), file) => Ok(Reply::Tried { refused: probe::attempt(what, parent, file) }),
        (Request::Scan(_), None) => Err(io::Error::other("a scan must bring a file")),
        (Request::Beside, _) => Err(io::Error::other("more files than a scan has")),
        (Request::Load { .. } | Request::LoadCompiled { .. } | Request::Compiled(_), _) => {
            Err(io::Error::other("a worker loads one pack"))
        }
    }
}

struct Scanners<'e> {
    file: Scanner<'e>,
    stream: Scanner<'e>,
    /// None where those for files are what fits memory too.
    memory: Option<Scanner<'e>>,
    wanted: Wanted,
    /// Where large files are seen; none where the host does not allow it.
    space: Option<Space>,
    /// Where files are read to, one after another.
    room: Vec<u8>,
    /// What came before a scan and belongs to it.
    beside: Vec<OwnedFd>,
}

impl Scanners<'_> {
    /// Starts the thread and maps the code that scanning needs, while that is still allowed.
    fn warm_up(&mut self) {
        for scanner in [&mut self.file, &mut self.stream].into_iter().chain(self.memory.as_mut()) {
            scanner.warm_up();
            let _ = scanner.scan(b"warm", WARM_UP);
        }
    }

    /// Scans the memory of a process.
    fn process(&mut self, scan: ScanRequest, memory: OwnedFd) -> ScanReply {
        let until = Instant::now() + Duration::from_millis(scan.millis);
        let Ok([maps, pages]) = <[OwnedFd; BESIDE]>::try_from(std::mem::take(&mut self.beside)) else {
            return without_hits(ScanOutcome::Unreadable, 0);
        };
        let scanner = self.memory.as_mut().unwrap_or(&mut self.file);
        scanner.describe(scan.externals);
        let process = memory::Process { memory, maps, pages };
        let memory::Looked { scanned, unseen, read } = memory::scan(scanner, &process, scan.limit, until);
        ScanReply { scanned, unseen, ..without_hits(ScanOutcome::Unreadable, read) }
    }

    /// Scans a file or traffic, and gives back what memory that took.
    fn scan(&mut self, scan: ScanRequest, file: &OwnedFd) -> ScanReply {
        let reply = self.scan_as_it_is(scan, file);
        self.room.truncate(KEPT);
        self.room.shrink_to_fit();
        reply
    }

    /// A file that shrinks or grows from one kind into the other while it is scanned is scanned again as it is then.
    fn scan_as_it_is(&mut self, mut scan: ScanRequest, file: &OwnedFd) -> ScanReply {
        let until = Instant::now() + Duration::from_millis(scan.millis);
        self.file.describe(scan.externals.take());
        for _ in 0..CUTS {
            let Ok(stat) = rustix::fs::fstat(file) else { break };
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            if size > scan.limit {
                return without_hits(ScanOutcome::TooLarge, size);
            }
            let reply = match scan.what {
                What::File if size > WHOLE => self.in_windows(&scan, file, size, until),
                What::File => self.whole(&scan, file, WHOLE.min(scan.limit), until),
                What::Stream => self.whole(&scan, file, scan.limit, until),
                What::Memory => break,
            };
            match reply {
                Ok(Some(reply)) => return ScanReply { now: inode(file), ..reply },
                Ok(None) => {}
                Err(_) => break,
            }
        }
        without_hits(ScanOutcome::Unreadable, 0)
    }

    /// Scans what is read into memory. None: it is larger than `most` by now.
    fn whole(
        &mut self,
        scan: &ScanRequest,
        file: &OwnedFd,
        most: u64,
        until: Instant,
    ) -> io::Result<Option<ScanReply>> {
        let had = read_into(file, most.saturating_add(1), &mut self.room)?;
        let bytes = &self.room[..had];
        if had as u64 > most {
            return Ok(None);
        }
        let (scanned, unseen) = match scan.what {
            What::File => file_and_inside(&mut self.file, bytes, until),
            What::Stream | What::Memory => (self.stream.scan(bytes, left(until)), Vec::new()),
        };
        Ok(Some(replied((scanned, unseen), bytes, self.wanted, scan.digest)))
    }

    /// Scans what is never in memory as a whole. None: it was cut meanwhile. Its digests take a second pass: the engine
    /// touches windows in any order and more than once, and where they are read in, between two instructions of the
    /// engine, is no place to hash. The page cache serves the second pass where it has room.
    fn in_windows(
        &mut self,
        scan: &ScanRequest,
        file: &OwnedFd,
        size: u64,
        until: Instant,
    ) -> io::Result<Option<ScanReply>> {
        let Some(space) = self.space.as_mut().filter(|_| size <= paged::MOST) else {
            return Ok(Some(without_hits(ScanOutcome::TooLarge, size)));
        };
        let view = space.view(file, size);
        let found = file_and_inside(&mut self.file, view.bytes(), until);
        let reply = replied(found, view.bytes(), self.wanted, scan.digest);
        match view.read() {
            paged::Read::Whole => Ok(Some(reply)),
            paged::Read::Cut => Ok(None),
            paged::Read::Broken => Err(io::Error::other("a part of the file cannot be read")),
        }
    }
}

/// All that is inside a file is scanned in the time that it has.
fn file_and_inside(scanner: &mut Scanner<'_>, bytes: &[u8], until: Instant) -> (Scanned, Vec<Unseen>) {
    let (name, limits) = (Untrusted::default(), unpack::Limits::default());
    let deep = unpack::scan(scanner, bytes, &name, &limits, &|| left(until));
    (deep.scanned, deep.troubles)
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// A clean file has no SHA-256, unless a list or who asked wants it.
fn replied(
    (scanned, unseen): (Scanned, Vec<Unseen>),
    bytes: &[u8],
    wanted: Wanted,
    digest: bool,
) -> ScanReply {
    let names_it = digest || scanned.outcome != ScanOutcome::Clean;
    let digests = Digests::of(bytes, Wanted { sha256: wanted.sha256 || names_it, ..wanted });
    let (number, size) = (0, bytes.len() as u64);
    ScanReply { number, scanned, unseen, sha256: digests.sha256, digests, size, now: None }
}

/// Who takes the answer asks no file system that may not answer: that this process does, and it is killed in time.
fn inode(file: &OwnedFd) -> Option<Inode> {
    rustix::fs::fstat(file).ok().map(|stat| Inode::of(&stat))
}

fn without_hits(outcome: ScanOutcome, size: u64) -> ScanReply {
    ScanReply {
        number: 0,
        scanned: Scanned { outcome, hits: Vec::new() },
        unseen: Vec::new(),
        sha256: None,
        digests: Digests::default(),
        size,
        now: None,
    }
}

/// Reads from the start up to `most` bytes. Never maps the file: another process may cut it at any time.
pub(super) fn read(file: &OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let had = read_into(file, most, &mut bytes)?;
    bytes.truncate(had);
    Ok(bytes)
}

/// Does the same into memory that may hold other bytes, and makes more of it where needed. Returns how many were read.
fn read_into(file: &OwnedFd, most: u64, room: &mut Vec<u8>) -> io::Result<usize> {
    let (most, mut had) = (usize::try_from(most).unwrap_or(usize::MAX), 0);
    while had < most {
        if had == room.len() {
            let more = had.clamp(FIRST_PIECE, PIECE).min(most - had);
            room.try_reserve(more).map_err(io::Error::other)?;
            room.resize(had + more, 0);
        }
        let end = room.len().min(most);
        let got = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut room[had..end], had as u64))?;
        if got == 0 {
            break;
        }
        had += got;
    }
    Ok(had)
}
