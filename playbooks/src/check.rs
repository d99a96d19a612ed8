//! What makes a playbook sound: nothing changes a host before a person said yes, and all of it can be undone.

use std::collections::BTreeSet;

use khien_core::{StepId, text::Words};

use crate::model::{Playbook, Step, StepKind, VerbName};

/// The most steps; a longer playbook is several.
pub const MAX_STEPS: usize = 32;
/// The longest id, in bytes.
pub const MAX_ID: usize = 64;

/// What is wrong with a playbook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// The id is empty, too long, or has other characters.
    #[error("id must be 1 to 64 of a-z, 0-9, `-`")]
    Id,
    /// Too few or too many steps.
    #[error("a playbook has 1 to 32 steps")]
    Steps,
    /// A step's name is too long to name its undo steps after it.
    #[error("step `{0}` has a name longer than 64 characters")]
    StepName(StepId),
    /// Two steps of one name.
    #[error("step `{0}` is there twice")]
    Twice(StepId),
    /// A text is missing in one language.
    #[error("{0} needs a text in Vietnamese (vi) and in English (en)")]
    Words(String),
    /// An order without a verb.
    #[error("step `{0}` is an order, so it needs a verb")]
    NoVerb(StepId),
    /// An approval with a verb.
    #[error("step `{0}` is an approval, so it has no verb and nothing to undo")]
    Verb(StepId),
    /// Changes a host unasked.
    #[error("step `{0}` changes a host, so an approval step must come before it")]
    NotApproved(StepId),
    /// Changes a host for good.
    #[error("step `{0}` changes a host, so it must say how to undo it")]
    NoUndo(StepId),
    /// Nothing would come after it.
    #[error("approval step `{0}` is the last step, so it approves nothing")]
    IdleApproval(StepId),
    /// Two approvals in a row.
    #[error("approval step `{0}` follows another approval")]
    DoubleApproval(StepId),
}

/// Checks a playbook.
///
/// # Errors
/// The first thing that is wrong.
pub fn playbook(p: &Playbook) -> Result<(), Unsound> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if p.id.is_empty() || p.id.len() > MAX_ID || !p.id.bytes().all(fits) {
        return Err(Unsound::Id);
    }
    if p.steps.is_empty() || p.steps.len() > MAX_STEPS {
        return Err(Unsound::Steps);
    }
    both_languages("title", &p.title)?;
    both_languages("summary", &p.summary)?;
    each_step(&p.steps)
}

fn each_step(steps: &[Step]) -> Result<(), Unsound> {
    let mut seen = BTreeSet::new();
    let mut approved = false;
    for (i, step) in steps.iter().enumerate() {
        if step.id.as_str().len() > MAX_ID {
            return Err(Unsound::StepName(step.id.clone()));
        }
        if !seen.insert(&step.id) {
            return Err(Unsound::Twice(step.id.clone()));
        }
        both_languages(&format!("step `{}`", step.id), &step.title)?;
        match &step.kind {
            StepKind::Approval => approval(step, i, steps)?,
            StepKind::Order { verb, undo } => order(step, *verb, undo, approved)?,
        }
        approved |= step.kind == StepKind::Approval;
    }
    Ok(())
}

fn approval(step: &Step, at: usize, steps: &[Step]) -> Result<(), Unsound> {
    match steps.get(at + 1) {
        None => Err(Unsound::IdleApproval(step.id.clone())),
        Some(next) if next.kind == StepKind::Approval => Err(Unsound::DoubleApproval(next.id.clone())),
        Some(_) => Ok(()),
    }
}

fn order(step: &Step, verb: VerbName, undo: &[VerbName], approved: bool) -> Result<(), Unsound> {
    if verb.changes_host() && !approved {
        return Err(Unsound::NotApproved(step.id.clone()));
    }
    if verb.changes_host() && undo.is_empty() {
        return Err(Unsound::NoUndo(step.id.clone()));
    }
    Ok(())
}

fn both_languages(what: &str, words: &Words) -> Result<(), Unsound> {
    match words.vi.trim().is_empty() || words.en.trim().is_empty() {
        true => Err(Unsound::Words(what.to_owned())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Playbook {
        crate::find("webshell").unwrap()
    }

    fn broken(change: impl Fn(&mut Playbook)) -> Unsound {
        let mut p = sound();
        change(&mut p);
        playbook(&p).unwrap_err()
    }

    #[test]
    fn nothing_changes_a_host_before_a_person_said_yes() {
        let got = broken(|p| p.steps.retain(|s| s.kind != StepKind::Approval));

        assert_eq!(got, Unsound::NotApproved("quarantine".parse().unwrap()));
    }

    #[test]
    fn what_changes_a_host_says_how_to_undo_it() {
        let got = broken(|p| {
            for step in &mut p.steps {
                if let StepKind::Order { undo, .. } = &mut step.kind {
                    undo.clear();
                }
            }
        });

        assert_eq!(got, Unsound::NoUndo("quarantine".parse().unwrap()));
    }

    #[test]
    fn step_names_are_unique_and_approvals_approve_something() {
        assert!(matches!(broken(|p| p.steps.push(p.steps[0].clone())), Unsound::Twice(_)));
        assert!(matches!(broken(|p| p.steps[0].id = "x".repeat(65).parse().unwrap()), Unsound::StepName(_)));
        assert!(matches!(broken(|p| p.steps.truncate(2)), Unsound::IdleApproval(_)));
        assert_eq!(broken(|p| p.steps.clear()), Unsound::Steps);
        assert!(matches!(broken(|p| p.title.en.clear()), Unsound::Words(_)));
        assert_eq!(broken(|p| p.id = "../x".into()), Unsound::Id);
    }
}
