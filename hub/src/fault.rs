//! Why a request is not carried out, and the answer that says so.

use std::io::ErrorKind;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use khien_core::{
    problem::Cause,
    protocol::{Mark, Problem},
};
use serde::Serialize;

use crate::store::StoreError;

/// Why a request is not carried out. What the caller reads of it is a [`Cause`], never a sentence made here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(Cause),
    /// The caller may not do it.
    #[error("{0}")]
    Forbidden(Cause),
    /// There is no such thing.
    #[error("{0}")]
    Missing(Cause),
    /// It does not fit the state of things.
    #[error("{0}")]
    Conflict(Cause),
    /// The batch does not go on where the lane ends.
    #[error("batch does not begin after the last stored record {}, send from there", .0.seq)]
    Gap(Mark),
    /// Larger than allowed.
    #[error("{0}")]
    TooLarge(Cause),
    /// This caller sends more than its share.
    #[error("more than the caller's share, try again in {seconds} s")]
    TooMuch { seconds: u64 },
    /// So many of the caller's jobs, or of all callers, go on that no more begins.
    #[error("{0}")]
    Busy(Cause),
    /// All callers together send more than the hub takes.
    #[error("more than the hub takes, try again in {seconds} s")]
    Overloaded { seconds: u64 },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No room is left on the hub's disk.
    #[error("{0}: no space left on the disk")]
    DiskFull(String),
    /// The hub failed.
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// Says that the hub could not do something with a file.
    pub(crate) fn io(what: &str, cause: &std::io::Error) -> Self {
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull(what.to_owned()),
            _ => Self::Internal(format!("{what}: {cause}")),
        }
    }

    /// Tells whether the hub itself failed, so that trying again may help.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Store(_) | Self::DiskFull(_) | Self::Internal(_))
    }

    /// Returns what the caller is told. The cause of a failure is for the log; a peer learns no more than that it
    /// was not its fault.
    fn cause(&self) -> Cause {
        match self {
            Self::Bad(c)
            | Self::Forbidden(c)
            | Self::Missing(c)
            | Self::Conflict(c)
            | Self::TooLarge(c)
            | Self::Busy(c) => c.clone(),
            Self::Gap(mark) => Cause::Gap { seq: mark.seq },
            Self::TooMuch { seconds } | Self::Overloaded { seconds } => Cause::Busy { seconds: *seconds },
            Self::DiskFull(_) => Cause::HubDiskFull,
            Self::Store(_) | Self::Internal(_) => Cause::HubFailed,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) | Self::Gap(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMuch { .. } | Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskFull(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A [`Problem`] that also says where the lane ends.
#[derive(Serialize)]
struct GapProblem {
    #[serde(flatten)]
    problem: Problem,
    #[serde(flatten)]
    mark: Mark,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, problem) = (self.status(), Problem::from(&self.cause()));
        match status {
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE => {
                tracing::error!(error = %self, "request failed")
            }
            _ => tracing::debug!(%status, error = %self, "request refused"),
        }
        match self {
            Self::Gap(mark) => (status, Json(GapProblem { problem, mark })).into_response(),
            Self::TooMuch { seconds } | Self::Overloaded { seconds } => {
                (status, [(header::RETRY_AFTER, seconds.to_string())], Json(problem)).into_response()
            }
            _ => (status, Json(problem)).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_any_other_failure_stays_in_the_log() {
        let full = Fault::io("evidence", &ErrorKind::StorageFull.into());
        let other = Fault::io("evidence", &ErrorKind::PermissionDenied.into());

        assert_eq!((full.cause(), full.status()), (Cause::HubDiskFull, StatusCode::INSUFFICIENT_STORAGE));
        assert_eq!((other.cause(), other.status()), (Cause::HubFailed, StatusCode::INTERNAL_SERVER_ERROR));
        assert!(full.is_failure() && other.is_failure());
    }
}
