//! How a worker comes by its rules: from a signed compiled form, from one that the caller made itself, or from the source.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use khien_core::{
    bundle::{MAX_FORM, MAX_PACK, Pack},
    reason::{Reason, quoted},
};
use khien_rules::{compile::Scope, compiled, indicator::digest::Wanted, scan::Engine};

use super::{
    brought::Facts,
    listed,
    wire::{Inbox, Request, Way},
    worker::read,
};

/// The most that a pack and its compiled form may take: ten times what the largest public collection needs.
const MAX_COMPILED: u64 = 1 << 30;

/// What the pool brought.
pub(super) enum Load {
    /// A pack of so many bytes and perhaps its compiled form.
    Pack { text: OwnedFd, size: u64, compiled: Option<(Facts, OwnedFd)> },
    /// A pack of so many bytes and behind it the caller's own compiled form.
    Own { file: OwnedFd, pack: u64, compiled: u64 },
}

/// Rules that are ready.
pub(super) struct Engines {
    pub(super) file: Engine,
    pub(super) stream: Engine,
    /// None where those for files are what fits memory too.
    pub(super) memory: Option<Engine>,
    pub(super) wanted: Wanted,
}

/// Receives what the pool brings.
pub(super) fn received(socket: &UnixStream, inbox: &mut Inbox) -> io::Result<Load> {
    let mut form = None;
    loop {
        match inbox.receive(socket, None)? {
            Some((Request::Compiled(facts), Some(file))) if form.is_none() => form = Some((facts, file)),
            Some((Request::Load { size }, Some(text))) => {
                return Ok(Load::Pack { text, size, compiled: form });
            }
            Some((Request::LoadCompiled { pack, compiled }, Some(file))) if form.is_none() => {
                return Ok(Load::Own { file, pack, compiled });
            }
            _ => return Err(io::Error::other("the first request must bring a pack")),
        }
    }
}

impl Load {
    /// Makes the rules ready, and says how.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn ready(self) -> Result<(Engines, Way), Reason> {
        match self {
            Self::Pack { text, size, compiled } => signed(&text, size, compiled.as_ref()),
            Self::Own { file, pack, compiled } => Ok((own(&file, pack, compiled)?, Way::Compiled)),
        }
    }
}

fn signed(text: &OwnedFd, size: u64, form: Option<&(Facts, OwnedFd)>) -> Result<(Engines, Way), Reason> {
    if size > MAX_PACK as u64 {
        return Err(Reason::PackTooLarge { limit: MAX_PACK as u64 });
    }
    let text = read(text, size).map_err(|e| unreadable(&e.to_string()))?;
    let pack: Pack = serde_json::from_slice(&text).map_err(|e| unreadable(&e.to_string()))?;
    let wanted = listed::wanted(&pack);
    let (compiled::Engines { file, stream, memory }, way) = rules(&pack, form)?;
    Ok((Engines { file, stream, memory: Some(memory), wanted }, way))
}

/// Loads the compiled form, or compiles the source where there is none that can be used.
fn rules(pack: &Pack, form: Option<&(Facts, OwnedFd)>) -> Result<(compiled::Engines, Way), Reason> {
    let unusable = match form.map(|(facts, file)| from_compiled(pack, *facts, file)) {
        Some(Ok(engines)) => return Ok((engines, Way::Compiled)),
        Some(Err(why)) => Some(why),
        None => None,
    };
    let engines = compiled::Engines::compile(pack).map_err(|e| broken(&e.to_string()))?;
    Ok((engines, Way::Source { unusable }))
}

/// Its digest is compared here, on the bytes that are then loaded: what lies on the disk may have changed meanwhile.
fn from_compiled(pack: &Pack, facts: Facts, file: &OwnedFd) -> Result<compiled::Engines, String> {
    let bytes = read(file, facts.size.min(MAX_FORM as u64)).map_err(|e| e.to_string())?;
    compiled::load(pack, facts.sha256, facts.inflated, &bytes).map_err(|e| e.to_string())
}

/// Takes rules as the caller compiled them, for files or for memory. None of them fits streams.
fn own(file: &OwnedFd, pack: u64, compiled: u64) -> Result<Engines, Reason> {
    let size = pack.saturating_add(compiled);
    if size > MAX_COMPILED {
        return Err(Reason::PackTooLarge { limit: MAX_COMPILED });
    }
    let bytes = read(file, size).map_err(|e| unreadable(&e.to_string()))?;
    let at = usize::try_from(pack).unwrap_or(usize::MAX);
    let (pack, compiled) = bytes.split_at_checked(at).ok_or_else(|| unreadable("it is cut"))?;
    let pack: Pack = serde_json::from_slice(pack).map_err(|e| unreadable(&e.to_string()))?;
    let none = Pack { rules: Vec::new(), sources: Vec::new(), ..pack.clone() };
    Ok(Engines {
        file: Engine::load(&pack, compiled).map_err(|e| broken(&e.to_string()))?,
        stream: Engine::compile(&none, Scope::Stream).map_err(|e| broken(&e.to_string()))?,
        memory: None,
        wanted: listed::wanted(&pack),
    })
}

fn unreadable(said: &str) -> Reason {
    Reason::PackUnreadable { error: quoted(said) }
}

fn broken(said: &str) -> Reason {
    Reason::RulesBroken { error: quoted(said) }
}
