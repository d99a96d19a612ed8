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
    bundle::{MAX_FORM, MAX_PACK, Pack},
    event::{ScanOutcome, Unseen},
    reason::{Reason, quoted},
};
use khien_rules::{
    compiled,
    indicator::digest::{Digests, Wanted},
    scan::{Engine, Scanned, Scanner},
    unpack,
};

use super::{
    brought::Facts,
    listed, probe, sandbox,
    wire::{self, MAX_REQUEST, Reply, Request, ScanReply, ScanRequest, Way, What},
};

/// Read at a time, so that a lying size costs no memory.
const PIECE: usize = 1 << 20;
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
    let load = received(&socket)?;
    let (engines, way) = match ready(&load) {
        Ok(ready) => ready,
        Err(reason) => return wire::send(&socket, &Reply::Refused { reason }, None),
    };
    drop(load);
    let mut scanners =
        Scanners { file: engines.file.scanner(), stream: engines.stream.scanner(), wanted: engines.wanted };
    scanners.warm_up();
    wire::send(&socket, &Reply::Loaded { missing: sandbox::close(confined), way }, None)?;
    while let Some((request, file)) = wire::receive(&socket, MAX_REQUEST, None)? {
        wire::send(&socket, &answer(request, file, &mut scanners, parent)?, None)?;
    }
    Ok(())
}

/// What the pool brought: the pack and perhaps its compiled form.
struct Load {
    text: OwnedFd,
    size: u64,
    compiled: Option<(Facts, OwnedFd)>,
}

fn received(socket: &UnixStream) -> io::Result<Load> {
    let mut compiled = None;
    loop {
        match wire::receive(socket, MAX_REQUEST, None)? {
            Some((Request::Compiled(facts), Some(file))) if compiled.is_none() => {
                compiled = Some((facts, file))
            }
            Some((Request::Load { size }, Some(text))) => return Ok(Load { text, size, compiled }),
            _ => return Err(io::Error::other("the first request must bring a pack")),
        }
    }
}

struct Engines {
    file: Engine,
    stream: Engine,
    wanted: Wanted,
}

fn ready(load: &Load) -> Result<(Engines, Way), Reason> {
    if load.size > MAX_PACK as u64 {
        return Err(Reason::PackTooLarge { limit: MAX_PACK as u64 });
    }
    let unreadable = |said: String| Reason::PackUnreadable { error: quoted(&said) };
    let text = read(&load.text, load.size).map_err(|e| unreadable(e.to_string()))?;
    let pack: Pack = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
    let wanted = listed::wanted(&pack);
    let (compiled::Engines { file, stream }, way) = rules(&pack, load.compiled.as_ref())?;
    Ok((Engines { file, stream, wanted }, way))
}

/// Loads the compiled form, or compiles the source where there is none that can be used.
fn rules(pack: &Pack, form: Option<&(Facts, OwnedFd)>) -> Result<(compiled::Engines, Way), Reason> {
    let unusable = match form.map(|(facts, file)| from_compiled(pack, *facts, file)) {
        Some(Ok(engines)) => return Ok((engines, Way::Compiled)),
        Some(Err(why)) => Some(why),
        None => None,
    };
    let broken = |said: String| Reason::RulesBroken { error: quoted(&said) };
    let engines = compiled::Engines::compile(pack).map_err(|e| broken(e.to_string()))?;
    Ok((engines, Way::Source { unusable }))
}

/// Its digest is compared here, on the bytes that are then loaded: what lies on the disk may have changed meanwhile.
fn from_compiled(pack: &Pack, facts: Facts, file: &OwnedFd) -> Result<compiled::Engines, String> {
    let bytes = read(file, facts.size.min(MAX_FORM as u64)).map_err(|e| e.to_string())?;
    compiled::load(pack, facts.sha256, facts.inflated, &bytes).map_err(|e| e.to_string())
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
        (Request::Load { .. } | Request::Compiled(_), _) => Err(io::Error::other("a worker loads one pack")),
    }
}

struct Scanners<'e> {
    file: Scanner<'e>,
    stream: Scanner<'e>,
    wanted: Wanted,
}

impl Scanners<'_> {
    /// Starts the thread and maps the code that scanning needs, while that is still allowed.
    fn warm_up(&mut self) {
        self.file.warm_up();
        self.stream.warm_up();
        let _ = (self.file.scan(b"warm", WARM_UP), self.stream.scan(b"warm", WARM_UP));
    }

    /// All that is inside a file is scanned in the time that it has.
    fn file_and_inside(&mut self, bytes: &[u8], time: Duration) -> (Scanned, Vec<Unseen>) {
        let until = Instant::now() + time;
        let left = || until.saturating_duration_since(Instant::now());
        let deep =
            unpack::scan(&mut self.file, bytes, &Untrusted::default(), &unpack::Limits::default(), &left);
        (deep.scanned, deep.troubles)
    }

    fn scan(&mut self, scan: ScanRequest, file: &OwnedFd) -> ScanReply {
        let bytes = match read(file, scan.limit.saturating_add(1)) {
            Ok(bytes) => bytes,
            Err(_) => return without_hits(ScanOutcome::Unreadable, 0),
        };
        let size = bytes.len() as u64;
        if size > scan.limit {
            return without_hits(ScanOutcome::TooLarge, size);
        }
        let time = Duration::from_millis(scan.millis);
        let (scanned, unseen) = match scan.what {
            What::File => self.file_and_inside(&bytes, time),
            What::Stream => (self.stream.scan(&bytes, time), Vec::new()),
        };
        let digests = Digests::of(&bytes, self.wanted);
        ScanReply { scanned, unseen, sha256: digests.sha256, digests, size }
    }
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
fn read(file: &OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let had = bytes.len();
        let want = PIECE.min(usize::try_from(most).unwrap_or(usize::MAX) - had);
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
