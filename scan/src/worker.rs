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
    scan::{Scanned, Scanner},
    unpack,
};

use super::{
    load::received,
    paged::{self, Space},
    probe, sandbox,
    wire::{self, MAX_REQUEST, Reply, Request, ScanReply, ScanRequest, What},
};

/// Read at a time, so that a lying size costs no memory.
const PIECE: usize = 1 << 20;
/// Read first: most files are smaller, and memory that is not taken need not be cleared.
const FIRST_PIECE: usize = 32 << 10;
/// The largest file that is read into memory before it is scanned. Of a larger one only windows are in memory.
const WHOLE: u64 = 16 << 20;
/// A file that is cut while it is scanned is scanned as it is then, so many times.
const CUTS: usize = 3;
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
    let (engines, way) = match received(&socket)?.ready() {
        Ok(ready) => ready,
        Err(reason) => return wire::send(&socket, &Reply::Refused { reason }, None),
    };
    let (file, stream) = (engines.file.scanner(), engines.stream.scanner());
    let mut scanners = Scanners { file, stream, wanted: engines.wanted, space };
    scanners.warm_up();
    // Without it large files are told as too large.
    scanners.space = scanners.space.filter(|space| space.serve().is_ok());
    wire::send(&socket, &Reply::Loaded { missing: sandbox::close(confined), way }, None)?;
    while let Some((request, file)) = wire::receive(&socket, MAX_REQUEST, None)? {
        wire::send(&socket, &answer(request, file, &mut scanners, parent)?, None)?;
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
        (Request::Scan(scan), Some(file)) => Ok(Reply::Scanned(scanners.scan(scan, &file))),
        (Request::Try(what), _) => Ok(Reply::Tried { refused: probe::attempt(what, parent) }),
        (Request::Scan(_), None) => Err(io::Error::other("a scan must bring a file")),
        (Request::Load { .. } | Request::LoadCompiled { .. } | Request::Compiled(_), _) => {
            Err(io::Error::other("a worker loads one pack"))
        }
    }
}

struct Scanners<'e> {
    file: Scanner<'e>,
    stream: Scanner<'e>,
    wanted: Wanted,
    /// Where large files are seen; none where the host does not allow it.
    space: Option<Space>,
}

impl Scanners<'_> {
    /// Starts the thread and maps the code that scanning needs, while that is still allowed.
    fn warm_up(&mut self) {
        self.file.warm_up();
        self.stream.warm_up();
        let _ = (self.file.scan(b"warm", WARM_UP), self.stream.scan(b"warm", WARM_UP));
    }

    /// A file that shrinks or grows from one kind into the other while it is scanned is scanned again as it is then.
    fn scan(&mut self, scan: ScanRequest, file: &OwnedFd) -> ScanReply {
        let until = Instant::now() + Duration::from_millis(scan.millis);
        self.file.describe(scan.externals);
        for _ in 0..CUTS {
            let Ok(stat) = rustix::fs::fstat(file) else { break };
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            if size > scan.limit {
                return without_hits(ScanOutcome::TooLarge, size);
            }
            let reply = match scan.what {
                What::File if size > WHOLE => self.in_windows(file, size, until),
                What::File => self.whole(scan.what, file, WHOLE.min(scan.limit), until),
                What::Stream => self.whole(scan.what, file, scan.limit, until),
            };
            match reply {
                Ok(Some(reply)) => return reply,
                Ok(None) => {}
                Err(_) => break,
            }
        }
        without_hits(ScanOutcome::Unreadable, 0)
    }

    /// Scans what is read into memory. None: it is larger than `most` by now.
    fn whole(
        &mut self,
        what: What,
        file: &OwnedFd,
        most: u64,
        until: Instant,
    ) -> io::Result<Option<ScanReply>> {
        let bytes = read(file, most.saturating_add(1))?;
        if bytes.len() as u64 > most {
            return Ok(None);
        }
        let (scanned, unseen) = match what {
            What::File => file_and_inside(&mut self.file, &bytes, until),
            What::Stream => (self.stream.scan(&bytes, left(until)), Vec::new()),
        };
        Ok(Some(replied((scanned, unseen), &bytes, self.wanted)))
    }

    /// Scans what is never in memory as a whole. None: it was cut meanwhile.
    fn in_windows(&mut self, file: &OwnedFd, size: u64, until: Instant) -> io::Result<Option<ScanReply>> {
        let Some(space) = self.space.as_mut().filter(|_| size <= paged::MOST) else {
            return Ok(Some(without_hits(ScanOutcome::TooLarge, size)));
        };
        let view = space.view(file, size);
        let found = file_and_inside(&mut self.file, view.bytes(), until);
        let reply = replied(found, view.bytes(), self.wanted);
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

fn replied((scanned, unseen): (Scanned, Vec<Unseen>), bytes: &[u8], wanted: Wanted) -> ScanReply {
    let digests = Digests::of(bytes, wanted);
    ScanReply { scanned, unseen, sha256: digests.sha256, digests, size: bytes.len() as u64 }
}

fn without_hits(outcome: ScanOutcome, size: u64) -> ScanReply {
    ScanReply {
        scanned: Scanned { outcome, hits: Vec::new() },
        unseen: Vec::new(),
        sha256: None,
        digests: Digests::default(),
        size,
    }
}

/// Reads from the start up to `most` bytes. Never maps the file: another process may cut it at any time.
pub(super) fn read(file: &OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let had = bytes.len();
        let want = had.clamp(FIRST_PIECE, PIECE).min(usize::try_from(most).unwrap_or(usize::MAX) - had);
        if want == 0 {
            return Ok(bytes);
        }
        bytes.try_reserve(want).map_err(io::Error::other)?;
        bytes.resize(had + want, 0);
        let got = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes[had..], had as u64))?;
        bytes.truncate(had + got);
        if got == 0 {
            return Ok(bytes);
        }
    }
}
