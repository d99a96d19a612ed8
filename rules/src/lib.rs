//! Rules: the packs of YARA rules and indicators, and the small engine that compiles, checks and runs them.
//!
//! Nothing here opens a socket or starts a program. Only [`pack::load_dir`] and [`check::directory`] read files, for
//! the people who write rules; an agent gets its pack signed, in one piece, and gives this crate bytes to scan.

pub mod check;
pub mod compile;
pub mod compiled;
pub mod external;
pub mod foreign;
pub mod indicator;
pub mod pack;
mod quiet;
pub mod route;
pub mod sample;
pub mod scan;
pub mod sieve;
mod source;
pub mod unpack;
pub mod vietnamese;

pub use compile::{CompileError, Scope};
pub use pack::{base_pack, base_policy};
pub use scan::{Engine, Hit, Scanned};
