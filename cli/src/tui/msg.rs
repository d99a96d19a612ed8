//! What happens to the UI ([`Msg`]) and what it wants done ([`Cmd`]). Nothing else goes in or out.

use khien_core::{
    AlertId, IncidentId, RunId, StepId, Timestamp,
    alert::{Alert, Verdict},
    api::Alerts,
    asset::Agent,
    incident::Incident,
    run::Run,
    text::Message,
};
use ratatui::crossterm::event::KeyEvent;

use crate::response::Plan;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has a new size: columns, rows.
    Resize(u16, u16),
    /// A second has passed.
    Tick(Timestamp),
    /// The hub gave its whole list.
    Loaded(Alerts),
    /// Alerts are new or changed.
    Changed(Vec<Alert>),
    /// The program was told to stop.
    Stop,
    /// The hub did not answer; the text says how.
    Lost(String),
    /// The agents as they are now.
    Agents(Vec<Agent>),
    /// The incidents as they are now.
    Incidents(Vec<Incident>),
    /// One incident with all that belongs to it.
    Case(Box<CaseFile>),
    /// An incident was opened.
    Opened(Box<Incident>),
    /// What was asked for is done.
    Done(Message),
    /// What was asked for failed; the text says how and what to do.
    Failed(String),
}

/// An incident with its alerts and runs.
#[derive(Debug, Clone)]
pub(crate) struct CaseFile {
    /// The incident.
    pub(crate) incident: Incident,
    /// Its alerts.
    pub(crate) alerts: Vec<Alert>,
    /// Its runs, newest first.
    pub(crate) runs: Vec<Run>,
}

/// Something to do outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cmd {
    /// Leave.
    Quit,
    /// Take alerts on.
    Acknowledge(Vec<AlertId>),
    /// Take closing or taking on back.
    Reopen(Vec<AlertId>),
    /// Close alerts.
    Close {
        /// Which.
        alerts: Vec<AlertId>,
        /// What the team found.
        verdict: Verdict,
        /// Why.
        reason: String,
    },
    /// Open an incident.
    OpenIncident {
        /// What it is about.
        title: String,
        /// Its alerts.
        alerts: Vec<AlertId>,
    },
    /// Get the list of incidents.
    LoadIncidents,
    /// Get one incident with all that belongs to it.
    LoadIncident(IncidentId),
    /// Write a note.
    Note {
        /// Where.
        incident: IncidentId,
        /// What.
        text: String,
    },
    /// Sign the first orders of a playbook and start it.
    Start(Box<Plan>),
    /// Sign the orders after an approval.
    Approve {
        /// The run as it was shown.
        run: Box<Run>,
        /// The step that waits.
        step: StepId,
    },
    /// Say no to a step.
    Refuse {
        /// The run.
        run: RunId,
        /// The step that waits.
        step: StepId,
        /// Its incident.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Sign the orders that undo a run as it was shown.
    Undo(Box<Run>),
}
