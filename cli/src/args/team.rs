//! What the team works on: alerts, incidents, playbooks, runs, reports and evidence.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use khien_core::{
    AlertId, IncidentId, Sha256,
    alert::{Status, Verdict},
};

/// `khien alert`.
#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    List {
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        #[arg(long, value_name = "TEXT")]
        find: Option<String>,
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
    Show {
        id: AlertId,
    },
    Ack {
        #[arg(required = true)]
        id: Vec<AlertId>,
    },
    Close {
        #[arg(required = true)]
        id: Vec<AlertId>,
        #[arg(long, value_enum)]
        verdict: Found,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    Reopen {
        #[arg(required = true)]
        id: Vec<AlertId>,
    },
}

/// What the team found, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Found {
    #[value(alias = "true_positive")]
    TruePositive,
    #[value(alias = "false_positive")]
    FalsePositive,
}

impl From<Found> for Verdict {
    fn from(found: Found) -> Self {
        match found {
            Found::TruePositive => Self::TruePositive,
            Found::FalsePositive => Self::FalsePositive,
        }
    }
}

/// `khien incident`.
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    Open {
        #[arg(required = true, value_name = "ALERT")]
        alerts: Vec<AlertId>,
        #[arg(long)]
        title: Option<String>,
    },
    List,
    Show {
        id: IncidentId,
    },
    Note {
        id: IncidentId,
        text: String,
    },
    Close {
        id: IncidentId,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    Reopen {
        id: IncidentId,
    },
}

/// `khien playbook`.
#[derive(Debug, Subcommand)]
pub(crate) enum Playbook {
    List,
    Show {
        id: String,
    },
    Run {
        id: String,
        #[arg(long)]
        incident: IncidentId,
        #[command(flatten)]
        wait: Wait,
    },
}

/// Whether to wait until a run settles; a person at a terminal waits by default.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) wait: bool,
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `khien run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    List,
    Show {
        run: String,
    },
    Approve {
        run: String,
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: Wait,
    },
    Refuse {
        run: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    Undo {
        run: String,
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: Wait,
    },
}

/// `khien report`.
#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    Draft(Draft),
}

/// `khien report draft`.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    #[arg(long)]
    pub(crate) incident: IncidentId,
    #[arg(long, value_name = "FORM")]
    pub(crate) form: String,
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// `khien evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    Get {
        sha256: Sha256,
        #[arg(long)]
        incident: IncidentId,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    Add {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[arg(long)]
        incident: IncidentId,
    },
    List {
        #[arg(long)]
        incident: IncidentId,
    },
}

fn status(word: &str) -> Result<Status, String> {
    let all = [Status::New, Status::Acknowledged, Status::Closed];
    let found = all.into_iter().find(|s| s.as_str() == word);
    found.ok_or_else(|| "expected new, acknowledged or closed".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() => Ok((field.to_owned(), value.to_owned())),
        _ => Err("expected FIELD=VALUE".to_owned()),
    }
}
