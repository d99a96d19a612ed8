//! The files of evidence. What comes in is sealed already and stays so; only reading it opens it, in memory.
//!
//! No file is named by a client: incoming bytes are named by the evidence's id, finished ones by the SHA-256 of what they open to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use khien_core::{
    EvidenceId, Sha256,
    problem::Cause,
    seal::{self, HEAD, OpenKey, Opener, Plain, SealError},
};
use sha2::Digest;

use crate::{
    config::{self, Home},
    fault::Fault,
};

/// Bytes of open evidence of before that are read at once.
const PIECE: usize = 64 << 10;

/// Refuses bytes that do not begin as something sealed to this hub. Fewer than a head has are waited for.
pub(super) fn check_head(first: &[u8], key: &OpenKey) -> Result<(), SealError> {
    let have = key.public().id();
    match seal::sealed_to(first) {
        Ok(to) if to == have => Ok(()),
        Ok(to) => Err(SealError::OtherKey { to, have }),
        Err(SealError::Cut) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Appends a piece to what came in; the inner error says that it does not go on where the file ends, or goes beyond `size`.
pub(super) fn append(
    path: &Path,
    (offset, size): (u64, u64),
    bytes: &[u8],
) -> io::Result<Result<u64, Fault>> {
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let have = file.seek(SeekFrom::End(0))?;
    let end = have.saturating_add(bytes.len() as u64);
    if offset != have || end > size {
        return Ok(Err(Fault::Conflict(Cause::EvidenceGap { have, size })));
    }
    file.write_all(bytes).inspect_err(|_| {
        // Of a piece that did not fit on the disk nothing is kept: the next try says where it goes on.
        let _ = file.set_len(have);
    })?;
    Ok(Ok(end))
}

/// Takes the last byte off what came in and returns how much is left. Whether all came only the sender knows: with the last byte
/// it says so once more.
pub(super) fn without_its_end(path: &Path) -> io::Result<u64> {
    let file = match OpenOptions::new().write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let have = file.metadata()?.len().saturating_sub(1);
    file.set_len(have)?;
    Ok(have)
}

/// Opens what came in to its end, and returns what is known of the plaintext.
pub(super) fn checked(path: &Path, key: &OpenKey) -> Result<Plain, SealError> {
    seal::open(File::open(path)?, key, &mut io::sink())
}

/// What was in the place of evidence when its bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Older {
    /// Nothing.
    None,
    /// The same bytes, sealed: they stay, and what came is dropped.
    Sealed,
    /// The same bytes, open as they were kept before: those that came take their place.
    Open,
    /// What does not open to them: it is set aside for a person to look at.
    Damaged,
}

/// So that nobody puts anything into a place between a look at it and the move.
static SETTLING: Mutex<()> = Mutex::new(());

/// Puts what came in, checked, in its place; sealed evidence that is there already and opens stays. From here on no name is left
/// through which a sender writes into it; if the hub ends before all is recorded, it is sent once more.
pub(super) fn settle(home: &Home, id: EvidenceId, sha256: Sha256, key: &OpenKey) -> io::Result<Older> {
    let (incoming, place) = (home.incoming_file(&id), home.evidence_file(&sha256));
    if let Some(dir) = place.parent() {
        config::private_dir(dir)?;
        config::sync_dir(dir)?;
    }
    File::open(&incoming)?.sync_all()?;
    let _alone = SETTLING.lock().unwrap_or_else(PoisonError::into_inner);
    let older = older(home, &sha256, key)?;
    match older {
        Older::Sealed => {
            fs::remove_file(incoming)?;
            return Ok(older);
        }
        Older::Damaged => set_aside(&place)?,
        Older::None | Older::Open => {}
    }
    fs::rename(incoming, &place)?;
    config::sync_dir(&place)?;
    Ok(older)
}

fn older(home: &Home, sha256: &Sha256, key: &OpenKey) -> io::Result<Older> {
    match Kept::open(home, sha256, key) {
        Ok(Kept::Sealed(_)) => Ok(Older::Sealed),
        Ok(Kept::Open(_)) => Ok(Older::Open),
        Err(SealError::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok(Older::None),
        Err(SealError::Io(e)) => Err(e),
        Err(_) => Ok(Older::Damaged),
    }
}

/// Gives a file a name under which nothing is, beside its own.
fn set_aside(place: &Path) -> io::Result<()> {
    let mut free = place.with_extension("damaged");
    let mut number = 1;
    while free.try_exists()? {
        number += 1;
        free = place.with_extension(format!("damaged-{number}"));
    }
    fs::rename(place, free)
}

/// Removes a file that may be gone already.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Returns the ids of what came in and was not touched for so long.
pub(super) fn waiting(home: &Home, rested: Duration) -> io::Result<Vec<EvidenceId>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(home.incoming())? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let touched = entry.metadata()?.modified()?;
        // A clock that was set back counts as no rest.
        if SystemTime::now().duration_since(touched).unwrap_or_default() >= rested {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Evidence while it is read.
pub(super) enum Kept {
    /// As it is kept.
    Sealed(Opener<File>),
    /// As it was kept before it was sealed.
    Open(File),
}

impl Kept {
    /// Looks whether all of it opens to the bytes that its name says, and then opens it to be read.
    pub(super) fn open(home: &Home, sha256: &Sha256, key: &OpenKey) -> Result<Self, SealError> {
        let mut look = Self::begin(home, sha256, key)?;
        let mut hash = sha2::Sha256::new();
        while let Some(piece) = look.next_piece()? {
            hash.update(&piece);
        }
        match hash.finalize().as_slice() == sha256.0 {
            true => Self::begin(home, sha256, key),
            false => Err(SealError::Damaged(0)),
        }
    }

    fn begin(home: &Home, sha256: &Sha256, key: &OpenKey) -> Result<Self, SealError> {
        let mut file = File::open(home.evidence_file(sha256))?;
        let mut head = Vec::with_capacity(HEAD);
        (&mut file).take(HEAD as u64).read_to_end(&mut head)?;
        file.rewind()?;
        match seal::sealed_to(&head) {
            // What is shorter than a head and begins like one can only be open, or is damaged: its hash tells.
            Err(SealError::NotSealed | SealError::Cut) => Ok(Self::Open(file)),
            Err(error) => Err(error),
            Ok(_) => Ok(Self::Sealed(Opener::new(file, key)?)),
        }
    }

    /// Returns the next bytes; none at the end.
    pub(super) fn next_piece(&mut self) -> Result<Option<Vec<u8>>, SealError> {
        match self {
            Self::Sealed(opener) => opener.next_chunk().map(|chunk| chunk.filter(|chunk| !chunk.is_empty())),
            Self::Open(file) => {
                let mut piece = Vec::with_capacity(PIECE);
                file.take(PIECE as u64).read_to_end(&mut piece)?;
                Ok((!piece.is_empty()).then_some(piece))
            }
        }
    }
}
