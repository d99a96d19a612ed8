//! The compiled form of a pack: the rules of every scope as one piece that loads in milliseconds.
//!
//! ```text
//! built:   pack ─► engine of each scope ─► their compiled forms, one after the other ─► zstd ─► digest, to be signed
//! loaded:  bytes of the digest that was signed ─► inflated ─► engines
//! ```
//! It holds machine code. Whoever loads one has verified a signature over its digest before; [`load`] checks the digest
//! itself, so that no caller forgets it.

use khien_core::{
    Sha256,
    bundle::{Form, MAX_FORM, MAX_FORM_INFLATED, Machine, Pack},
};

use crate::{
    compile::{CompileError, Scope},
    route::{self, LoadError},
    scan::Engine,
};

/// zstd's level: a second step of compression saves a tenth and takes ten times as long.
const LEVEL: i32 = 3;
/// Bytes that say how long what follows is.
const LENGTH: usize = 8;

/// The engines of a pack, one for each scope.
pub struct Engines {
    /// For whole files.
    pub file: Engine,
    /// For reassembled traffic.
    pub stream: Engine,
    /// For the memory of processes.
    pub memory: Engine,
}

/// A compiled form and what is to be signed of it.
pub struct Built {
    /// What stands in the signed pack.
    pub form: Form,
    /// The bytes that travel beside it.
    pub bytes: Vec<u8>,
}

/// Why there is no compiled form.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The pack does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The engine does not write it.
    #[error("rules have no compiled form")]
    Write(#[from] LoadError),
    /// zstd refused.
    #[error("compiled form cannot be packed")]
    Pack(#[source] std::io::Error),
    /// It is larger than agents take.
    #[error(
        "compiled form has {size} bytes, {inflated} once inflated; {MAX_FORM} and {MAX_FORM_INFLATED} are allowed"
    )]
    TooLarge {
        /// As it travels.
        size: usize,
        /// Once inflated.
        inflated: usize,
    },
}

impl Engines {
    /// Compiles a pack's source.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(pack: &Pack) -> Result<Self, CompileError> {
        Ok(Self {
            file: Engine::compile(pack, Scope::File)?,
            stream: Engine::compile(pack, Scope::Stream)?,
            memory: Engine::compile(pack, Scope::Memory)?,
        })
    }
}

/// Compiles a pack for the machine on which this program runs.
///
/// # Errors
/// [`BuildError`].
pub fn build(pack: &Pack) -> Result<Built, BuildError> {
    let mut plain = Vec::new();
    for code in each_scope(|scope| Ok(Engine::compile(pack, scope)?.compiled()?)) {
        let code: Vec<u8> = code?;
        plain.extend((code.len() as u64).to_le_bytes());
        plain.extend(code);
    }
    let bytes = zstd::bulk::compress(&plain, LEVEL).map_err(BuildError::Pack)?;
    if bytes.len() > MAX_FORM || plain.len() as u64 > MAX_FORM_INFLATED {
        return Err(BuildError::TooLarge { size: bytes.len(), inflated: plain.len() });
    }
    let Machine { engine, features } = machine();
    let form = Form {
        engine,
        features,
        origin: pack.origin(),
        sha256: Sha256::of(&bytes),
        size: bytes.len() as u64,
        inflated: plain.len() as u64,
    };
    Ok(Built { form, bytes })
}

/// Does it for all scopes at once, in the order in which a compiled form holds them: a person waits for it.
fn each_scope<T: Send>(work: impl Fn(Scope) -> Result<T, BuildError> + Sync) -> [Result<T, BuildError>; 3] {
    let work = &work;
    std::thread::scope(|threads| {
        let others = [Scope::Stream, Scope::Memory].map(|scope| threads.spawn(move || work(scope)));
        let file = work(Scope::File);
        let [stream, memory] =
            others.map(|work| work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        [file, stream, memory]
    })
}

/// Loads a compiled form of a pack that a verified signature names: its digest, and its size once inflated.
///
/// # Errors
/// [`LoadError`]; the rules can still be compiled.
pub fn load(pack: &Pack, sha256: Sha256, inflated: u64, bytes: &[u8]) -> Result<Engines, LoadError> {
    if Sha256::of(bytes) != sha256 {
        return Err(LoadError::Damaged);
    }
    let size = usize::try_from(inflated.min(MAX_FORM_INFLATED)).map_err(|_| LoadError::Damaged)?;
    let plain = zstd::bulk::decompress(bytes, size).map_err(|_| LoadError::Damaged)?;
    let (file, rest) = first(&plain).ok_or(LoadError::Damaged)?;
    let (stream, rest) = first(rest).ok_or(LoadError::Damaged)?;
    let (memory, _) = first(rest).filter(|(_, rest)| rest.is_empty()).ok_or(LoadError::Damaged)?;
    Ok(Engines {
        file: Engine::load(pack, file)?,
        stream: Engine::load(pack, stream)?,
        memory: Engine::load(pack, memory)?,
    })
}

/// Splits off what is behind its length.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

/// Returns what this program's engine is called and what this processor can do.
#[must_use]
pub fn machine() -> Machine {
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    Machine { engine: format!("{} {arch}-{system}", route::ENGINE), features: features() }
}

/// Returns which features the engine's code generator finds on this processor: it uses them all, and a form that was
/// compiled with one of them cannot run where it is missing.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<String> {
    macro_rules! found {
        ($($name:tt)*) => { [$(($name, std::is_x86_feature_detected!($name))),*] };
    }
    let all = found!(
        "cmpxchg16b" "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "avxvnni" "avx512vnni" "bmi1" "bmi2"
        "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "lzcnt"
    );
    all.iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()).collect()
}

/// Elsewhere the engine alone checks it: code that does not fit is not loaded, and the source is compiled.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<String> {
    Vec::new()
}
