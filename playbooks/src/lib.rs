//! Playbooks: the team's answers to known situations, and the engine that walks through them.
//!
//! Pure: the engine takes inputs and returns effects; it never reads a file, a socket or a clock.

pub mod check;
pub mod model;
pub mod parse;
pub mod run;

pub use model::{Playbook, Step, StepKind, VerbName};

/// The playbooks that come with Khiên: file name and text.
const LIBRARY: [(&str, &str); 1] = [("webshell.toml", include_str!("../library/webshell.toml"))];

/// Returns the playbooks that come with Khiên.
///
/// # Panics
/// Never in a released program: a test reads every playbook of the library.
#[must_use]
pub fn library() -> Vec<Playbook> {
    let read =
        |(name, text)| parse::playbook(name, text).expect("a test reads every playbook of the library");
    LIBRARY.into_iter().map(read).collect()
}

/// Returns the playbook with this id, if the library has it.
#[must_use]
pub fn find(id: &str) -> Option<Playbook> {
    library().into_iter().find(|p| p.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_playbook_of_the_library_reads_and_is_sound() {
        for (name, text) in LIBRARY {
            parse::playbook(name, text).unwrap();
        }
    }
}
