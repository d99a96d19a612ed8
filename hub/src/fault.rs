//! Why a request is not carried out, and the answer that says so.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use khien_core::protocol::{Mark, Problem};
use serde::Serialize;

use crate::store::StoreError;

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The caller may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0} does not exist")]
    Missing(String),
    /// It does not fit the state of things.
    #[error("{0}")]
    Conflict(String),
    /// The batch does not go on where the lane ends.
    #[error("batch does not begin after the last stored record {}, send from there", .0.seq)]
    Gap(Mark),
    /// Larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hub failed.
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// Says that the hub could not do something with a file.
    pub(crate) fn io(what: &str, cause: &std::io::Error) -> Self {
        Self::Internal(format!("{what}: {cause}"))
    }

    /// Tells whether the hub itself failed, so that trying again may help.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Internal(_))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) | Self::Gap(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A [`Problem`] that also says where the lane ends.
#[derive(Serialize)]
struct GapProblem {
    error: String,
    #[serde(flatten)]
    mark: Mark,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, error) = (self.status(), self.to_string());
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error, "request failed");
            // The cause is for the log; a peer learns no more than that it was not its fault.
            let error = "the hub could not do this, its log says why".to_owned();
            return (status, Json(Problem { error })).into_response();
        }
        tracing::debug!(%status, error, "request refused");
        match self {
            Self::Gap(mark) => (status, Json(GapProblem { error, mark })).into_response(),
            _ => (status, Json(Problem { error })).into_response(),
        }
    }
}
