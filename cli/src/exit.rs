//! How a command ends: an exit code that scripts can rely on, what went wrong, and the next step.

use khien_core::{
    Lang,
    protocol::Problem,
    text::{Message, command as t},
};
use serde::Serialize;

use crate::{client::ClientError, config::NotSetUp, response::PlanError, told::shown};

/// The exit codes of `khien` for failures, as `--help` lists them; 0 is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The hub is not reachable.
    Unreachable = 4,
    /// The hub or a rule of this program says no.
    Refused = 5,
    /// A scan that was ordered found something.
    Matched = 6,
    /// A scan that was ordered found nothing, but did not scan all.
    Incomplete = 7,
}

/// An error of a command with its own exit code and next step.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Stop {
    /// How to exit.
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) what: String,
    /// What to do now.
    pub(crate) next: String,
    /// What the hub said, if it said no.
    pub(crate) problem: Option<Problem>,
}

impl Stop {
    /// Pairs what went wrong with what to do now.
    pub(crate) fn new(exit: Exit, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit, what: what.into(), next: next.into(), problem: None }
    }
}

/// A command did what it was to do, and its exit code says what came of it. There is no more to say: that was said.
#[derive(Debug, thiserror::Error)]
#[error("ended with exit code {}", self.0 as u8)]
pub(crate) struct Said(pub(crate) Exit);

/// A failure as `--json` writes it on stderr. What the hub said stands there with its stable code.
#[derive(Debug, Serialize)]
pub(crate) struct Failure<'a> {
    error: &'a str,
    next: &'a str,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<&'a Problem>,
}

impl Stop {
    /// Returns the form for scripts.
    pub(crate) fn written(&self) -> Failure<'_> {
        Failure { error: &self.what, next: &self.next, exit: self.exit as u8, hub: self.problem.as_ref() }
    }
}

/// Finds exit code, text and next step of any error of a command.
pub(crate) fn explain(error: &anyhow::Error, lang: Lang) -> Stop {
    let what = shown(error, lang);
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return Stop::new(stop.exit, stop.what.clone(), stop.next.clone());
        }
        if let Some(e) = cause.downcast_ref::<ClientError>() {
            let (exit, next) = of_client(e);
            let answer = e.answer();
            let better = answer.and_then(|a| a.next.as_ref()).map(|next| next.get(lang));
            let problem = answer.map(|a| a.problem.clone());
            let next = better.unwrap_or_else(|| next.get(lang));
            return Stop { problem, ..Stop::new(exit, e.shown(lang), next) };
        }
        if let Some(e) = cause.downcast_ref::<PlanError>() {
            return Stop::new(of_plan(e), e.shown(lang), e.next(lang));
        }
        if let Some(e) = cause.downcast_ref::<NotSetUp>() {
            return Stop::new(Exit::Unreachable, e.shown(lang), t::NEXT_UP.get(lang));
        }
    }
    Stop::new(Exit::Failed, what, t::NEXT_FIX.get(lang))
}

/// Tells whether the reader of our output went away, which is no failure of ours.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|c| c.downcast_ref::<std::io::Error>().is_some_and(broken))
}

fn of_plan(error: &PlanError) -> Exit {
    match error {
        PlanError::UnknownPlaybook(_) => Exit::NotFound,
        PlanError::OtherPlaybook(_)
        | PlanError::NoFiles(_)
        | PlanError::NoAgent(_)
        | PlanError::NothingWaits(_)
        | PlanError::NothingToUndo(_)
        | PlanError::TooManyOrders(_) => Exit::Refused,
    }
}

fn of_client(error: &ClientError) -> (Exit, Message) {
    match error {
        ClientError::Unreachable { .. } => (Exit::Unreachable, t::NEXT_UP),
        ClientError::NotFound(_) => (Exit::NotFound, t::NEXT_LIST),
        ClientError::Forbidden(_) => (Exit::Refused, t::NEXT_OPERATOR),
        ClientError::Refused(_) => (Exit::Refused, t::NEXT_LOOK),
        ClientError::Failed(_) => (Exit::Failed, t::NEXT_HUB_LOG),
        ClientError::Reply(_) => (Exit::Failed, t::NEXT_VERSIONS),
        ClientError::Settings(_) => (Exit::Failed, t::NEXT_SETTINGS),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use khien_core::text::Words;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_code_under_context() {
        let lost =
            ClientError::Unreachable { address: "127.0.0.1:1".to_owned(), cause: Words::same("refused") };
        let error = Err::<(), _>(lost).context("cannot list alerts").unwrap_err();

        let stop = explain(&error, Lang::En);

        assert_eq!(stop.exit, Exit::Unreachable);
        assert!(stop.what.contains("127.0.0.1:1"), "{}", stop.what);
        assert!(stop.next.contains("khien up"), "{}", stop.next);
    }

    #[test]
    fn what_the_hub_refused_is_said_in_the_readers_language_and_keeps_its_code() {
        let cause = khien_core::problem::Cause::AlertIsClosed { alert: khien_core::AlertId(7) };
        let error = ClientError::Refused(Box::new(crate::client::Answer::new((&cause).into()))).into();

        let stop = explain(&error, Lang::Vi);

        assert!(stop.what.contains("đã đóng"), "{}", stop.what);
        assert!(stop.next.contains("khien alert reopen A-7"), "{}", stop.next);
        let written = serde_json::to_value(stop.written()).unwrap();
        assert_eq!(written["hub"]["code"], "alert_is_closed");
        assert_eq!(written["hub"]["args"]["alert"], "A-7");
    }

    #[test]
    fn a_refusal_of_a_newer_hub_is_shown_in_english() {
        let problem = Problem { error: "moon is full".to_owned(), code: "moon".to_owned(), args: 2.into() };
        let error = ClientError::Refused(Box::new(crate::client::Answer::new(problem))).into();

        let stop = explain(&error, Lang::Vi);

        assert_eq!(stop.what, "moon is full");
        assert_eq!(serde_json::to_value(stop.written()).unwrap()["hub"]["code"], "moon");
    }
}
