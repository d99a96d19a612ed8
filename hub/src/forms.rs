//! Compiled forms of packs: opaque bytes that an operator hands over, named by their SHA-256, and agents fetch in pieces.
//!
//! The hub never looks into one. Whether an agent runs it is decided by the signed pack that names it.

use std::{
    fs::{self, DirEntry, File},
    io,
    os::unix::fs::FileExt,
    sync::Arc,
};

use khien_core::{
    Sha256, Untrusted,
    bundle::{FORM_PIECE, Form},
    problem::Cause,
};

use crate::{
    bundles,
    config::{self, Home},
    fault::Fault,
    hub::Hub,
};

/// The most that are kept: those of the current pack and of one that is on its way. 512 MiB on the disk.
const MAX_KEPT: usize = 16;

/// Keeps one under the name that its bytes have. When there are too many, the oldest goes that the current pack does not
/// name: a push that came to nothing must not stand in the way of the next.
pub(crate) async fn keep(hub: &Arc<Hub>, name: Sha256, bytes: Vec<u8>) -> Result<(), Fault> {
    let named = hub.store.read(|tx| Ok(bundles::named(tx))).await?;
    let home = hub.home.clone();
    blocking(move || store(&home, &named, name, &bytes)).await?
}

fn store(home: &Home, named: &[Form], name: Sha256, bytes: &[u8]) -> io::Result<Result<(), Fault>> {
    if Sha256::of(bytes) != name {
        return Ok(Err(Fault::Conflict(Cause::FormOtherHash)));
    }
    let path = home.form_file(&name);
    if path.is_file() {
        return Ok(Ok(()));
    }
    let mut unnamed = unnamed(home, named)?;
    if kept(home)?.len() >= MAX_KEPT && !unnamed.is_empty() {
        unnamed.sort_by_key(|form| form.metadata().and_then(|m| m.modified()).ok());
        fs::remove_file(unnamed[0].path())?;
    }
    if kept(home)?.len() >= MAX_KEPT {
        let what = Untrusted::from("compiled forms");
        return Ok(Err(Fault::Conflict(Cause::Limit { what, limit: MAX_KEPT as u64 })));
    }
    config::write_private(&path, bytes).map_err(io::Error::other).map(Ok)
}

/// Returns a piece of one, from an offset on; nothing at its end.
pub(crate) async fn piece(hub: &Arc<Hub>, name: Sha256, offset: u64) -> Result<Vec<u8>, Fault> {
    let path = hub.home.form_file(&name);
    let read = blocking(move || match File::open(path) {
        Ok(file) => read_piece(&file, offset).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    });
    read.await?.ok_or_else(|| Fault::Missing(Cause::NoForm { sha256: name }))
}

fn read_piece(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(FORM_PIECE).min(FORM_PIECE)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Forgets all that the current pack does not name. What cannot be removed is removed with the next pack.
pub(crate) async fn sweep(hub: &Arc<Hub>, named: Vec<Form>) {
    let home = hub.home.clone();
    let swept = blocking(move || unnamed(&home, &named)?.iter().try_for_each(|e| fs::remove_file(e.path())));
    if let Err(why) = swept.await {
        tracing::warn!(%why, "compiled forms of older packs cannot be removed");
    }
}

fn unnamed(home: &Home, named: &[Form]) -> io::Result<Vec<DirEntry>> {
    let names: Vec<String> = named.iter().map(|form| form.sha256.to_string()).collect();
    let is_named = |e: &DirEntry| names.iter().any(|name| e.file_name() == name.as_str());
    Ok(kept(home)?.into_iter().filter(|e| !is_named(e)).collect())
}

fn kept(home: &Home) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(home.forms())?.collect()
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|e| Fault::Internal(format!("compiled form: {e}")))?;
    done.map_err(|e| Fault::io("compiled form", &e))
}
