//! A playbook in CACAO's words: steps in a row, some of which are orders to agents and some ask a person.

use khien_core::{
    Sha256, StepId,
    order::{FileTarget, Verb},
    text::Words,
};
use serde::Deserialize;

/// A playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    /// Its stable name, such as `webshell`.
    pub id: String,
    /// A short name.
    pub title: Words,
    /// When to use it and what it does.
    pub summary: Words,
    /// SHA-256 of its text; a mandate is bound to it.
    pub hash: Sha256,
    /// What to do, in order.
    pub steps: Vec<Step>,
}

impl Playbook {
    /// Returns the step with this id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| s.id == *id)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name within the playbook.
    pub id: StepId,
    /// What it does.
    pub title: Words,
    /// Of which kind it is.
    pub kind: StepKind,
}

/// Kinds of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// An order to the agent of each target.
    Order {
        /// What to do.
        verb: VerbName,
        /// How to undo it, in order; empty if there is nothing to undo.
        undo: Vec<VerbName>,
    },
    /// A person must say yes before the run goes on.
    Approval,
}

/// A verb without its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbName {
    /// [`Verb::PreserveFile`].
    PreserveFile,
    /// [`Verb::QuarantineFile`].
    QuarantineFile,
    /// [`Verb::VerifyAbsent`].
    VerifyAbsent,
    /// [`Verb::RestoreFile`].
    RestoreFile,
    /// [`Verb::VerifyPresent`].
    VerifyPresent,
}

impl VerbName {
    /// Makes the verb for a file.
    #[must_use]
    pub fn on(self, file: FileTarget) -> Verb {
        match self {
            Self::PreserveFile => Verb::PreserveFile(file),
            Self::QuarantineFile => Verb::QuarantineFile(file),
            Self::VerifyAbsent => Verb::VerifyAbsent(file),
            Self::RestoreFile => Verb::RestoreFile(file),
            Self::VerifyPresent => Verb::VerifyPresent(file),
        }
    }

    /// Tells whether it changes the host.
    #[must_use]
    pub fn changes_host(self) -> bool {
        match self {
            Self::QuarantineFile | Self::RestoreFile => true,
            Self::PreserveFile | Self::VerifyAbsent | Self::VerifyPresent => false,
        }
    }

    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreserveFile => "preserve_file",
            Self::QuarantineFile => "quarantine_file",
            Self::VerifyAbsent => "verify_absent",
            Self::RestoreFile => "restore_file",
            Self::VerifyPresent => "verify_present",
        }
    }
}
