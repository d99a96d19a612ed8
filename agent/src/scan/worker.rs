//! The sandboxed scan worker, `khien-agent worker`: one process that compiles one pack and then scans what it is
//! handed, until the agent closes the socket or kills it.
//!
//! It opens nothing by itself. The pack was verified by the agent; no hostile byte is read before the sandbox stands.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
    time::Duration,
};

use khien_core::{
    Sha256,
    bundle::{MAX_PACK, Pack},
    event::ScanOutcome,
};
use khien_rules::{
    compile::Scope,
    scan::{Engine, Scanned, Scanner},
};

use super::{
    probe, sandbox,
    wire::{self, MAX_REQUEST, Reply, Request, ScanReply, ScanRequest, What},
};

/// Read at a time, so that a lying size costs no memory.
const PIECE: usize = 1 << 20;
/// Long enough for the first scan, which starts the engine's clock thread.
const WARM_UP: Duration = Duration::from_secs(5);

/// Serves the agent on standard input until it closes. Called first in `main`, before any thread exists.
pub(crate) fn main() -> ExitCode {
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
    let Some((Request::Load { size }, Some(file))) = wire::receive(&socket, MAX_REQUEST, None)? else {
        return Err(io::Error::other("the first request must bring a pack"));
    };
    let engines = match engines(file, size) {
        Ok(engines) => engines,
        Err(reason) => return wire::send(&socket, &Reply::Refused { reason }, None),
    };
    let mut scanners = Scanners { file: engines.0.scanner(), stream: engines.1.scanner() };
    scanners.warm_up();
    wire::send(&socket, &Reply::Loaded { missing: sandbox::close(confined) }, None)?;
    while let Some((request, file)) = wire::receive(&socket, MAX_REQUEST, None)? {
        wire::send(&socket, &answer(request, file, &mut scanners, parent)?, None)?;
    }
    Ok(())
}

fn engines(file: OwnedFd, size: u64) -> Result<(Engine, Engine), String> {
    if size > MAX_PACK as u64 {
        return Err("pack is larger than 16 MiB".to_owned());
    }
    let text = read(&file, size).map_err(|e| e.to_string())?;
    let pack: Pack = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let compile = |scope| Engine::compile(&pack, scope).map_err(|e| e.to_string());
    Ok((compile(Scope::File)?, compile(Scope::Stream)?))
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
        (Request::Load { .. }, _) => Err(io::Error::other("a worker loads one pack")),
    }
}

struct Scanners<'e> {
    file: Scanner<'e>,
    stream: Scanner<'e>,
}

impl Scanners<'_> {
    /// Starts the thread and maps the code that scanning needs, while that is still allowed.
    fn warm_up(&mut self) {
        let _ = (self.file.scan(b"warm", WARM_UP), self.stream.scan(b"warm", WARM_UP));
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
        let scanner = match scan.what {
            What::File => &mut self.file,
            What::Stream => &mut self.stream,
        };
        let scanned = scanner.scan(&bytes, Duration::from_millis(scan.millis));
        ScanReply { scanned, sha256: Some(Sha256::of(&bytes)), size }
    }
}

fn without_hits(outcome: ScanOutcome, size: u64) -> ScanReply {
    ScanReply { scanned: Scanned { outcome, hits: Vec::new() }, sha256: None, size }
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
