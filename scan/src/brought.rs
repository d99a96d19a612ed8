//! What each worker of a pack is started with: the pack's text and, where there is one that fits, its compiled form.

use std::{
    fs::File,
    io::{self, Write},
};

use khien_core::{
    Sha256,
    bundle::{Form, Pack},
    reason::{Reason, quoted},
};
use serde::{Deserialize, Serialize};

use super::{listed, memory_file, wire::Request};

/// A pack's compiled form on the disk. Whoever makes one has verified the signature of the pack that names it.
#[derive(Debug)]
pub struct Compiled {
    /// The bytes as they travelled. Each worker reads them and compares their digest before it loads any of them.
    pub file: File,
    /// What the signed pack says of them.
    pub form: Form,
}

/// What a worker must know of a compiled form.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) sha256: Sha256,
    pub(super) size: u64,
    pub(super) inflated: u64,
}

/// What a worker is started with.
#[derive(Debug)]
pub(super) struct Brought {
    /// The pack, JSON, without the entries of its lists; behind it the compiled form, if that is the caller's own.
    pub(super) text: File,
    /// How a worker is told to take it.
    pub(super) request: Request,
    pub(super) compiled: Option<Compiled>,
    /// Megabytes that a worker may take beside its rules.
    pub(super) memory: u32,
}

impl Brought {
    /// Writes a pack's text where workers can read it.
    pub(super) fn new(pack: &Pack, compiled: Option<Compiled>) -> Result<Self, Reason> {
        let text = lean(pack)?;
        let request = Request::Load { size: text.len() as u64 };
        let text = memory_file(&text).map_err(no_memory)?;
        Ok(Self { text, request, compiled, memory: memory(pack) })
    }

    /// Writes a pack's text and the compiled form that the caller made itself.
    pub(super) fn own(pack: &Pack, compiled: &[u8]) -> Result<Self, Reason> {
        let text = lean(pack)?;
        let request = Request::LoadCompiled { pack: text.len() as u64, compiled: compiled.len() as u64 };
        let mut file = memory_file(&text).map_err(no_memory)?;
        file.write_all(compiled).map_err(no_memory)?;
        Ok(Self { text: file, request, compiled: None, memory: memory(pack) })
    }
}

fn memory(pack: &Pack) -> u32 {
    pack.policy.as_ref().map(|policy| policy.budget).unwrap_or_default().worker_memory_mb.get()
}

fn lean(pack: &Pack) -> Result<Vec<u8>, Reason> {
    serde_json::to_vec(&listed::without_entries(pack))
        .map_err(|e| Reason::PackUnreadable { error: quoted(&e.to_string()) })
}

fn no_memory(e: io::Error) -> Reason {
    Reason::NoMemoryForPack { error: e.into() }
}

impl Compiled {
    pub(super) fn facts(&self) -> Facts {
        Facts { sha256: self.form.sha256, size: self.form.size, inflated: self.form.inflated }
    }
}
