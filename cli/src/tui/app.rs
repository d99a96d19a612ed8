//! All that the UI knows. Plain values; only `update` changes them and only `view` reads them to draw.

use khien_core::{
    AgentId, AlertId, IncidentId, RunId, StepId, Timestamp,
    alert::Alert,
    asset::{Agent, Coverage, Presence, Sight},
    incident::Incident,
    order::Allowed,
    run::{Run, Target},
    text::{Lang, Message},
};
use khien_reports::profile::Profile;

use super::{input::Input, msg::CaseFile, queue::Queue, theme::Theme};
use crate::response::Plan;

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// The alert queue.
    Queue,
    /// One alert.
    Detail,
    /// The list of incidents.
    Incidents,
    /// One incident.
    Case,
    /// The list of agents.
    Agents,
}

/// How the hub can be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing was heard yet.
    Connecting,
    /// The hub answers.
    Up,
    /// The hub has not answered since then.
    Down {
        /// Since when.
        since: Timestamp,
        /// What the connection said.
        cause: String,
    },
}

/// A line for the user that stays until it is dismissed or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// What it says.
    pub(crate) text: String,
    /// Whether something failed.
    pub(crate) failed: bool,
}

/// A part of the incident's screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Facts, legal clocks and runs.
    Overview,
    /// Its alerts.
    Alerts,
    /// What happened.
    Timeline,
    /// What was kept.
    Evidence,
}

impl Tab {
    /// Every part, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Overview, Self::Alerts, Self::Timeline, Self::Evidence];

    /// Returns the part that many further on, around the end.
    pub(crate) fn turn(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|t| *t == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// The incident on the screen.
#[derive(Debug)]
pub(crate) struct Case {
    /// Which.
    pub(crate) id: IncidentId,
    /// What is known of it, once the hub answered.
    pub(crate) file: Option<Box<CaseFile>>,
    /// The part that is shown.
    pub(crate) tab: Tab,
    /// How far it is scrolled; in its alerts, the row of the cursor.
    pub(crate) scroll: usize,
}

/// A question that must be answered with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Why these are false positives.
    FalsePositive(Vec<AlertId>),
    /// What was found about these.
    TruePositive(Vec<AlertId>),
    /// What the new incident is about.
    OpenIncident(Vec<AlertId>),
    /// A note.
    Note(IncidentId),
    /// Why not.
    Refuse(RunId, StepId, IncidentId),
}

/// A list to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A playbook for these files.
    Playbook(IncidentId, Vec<Target>),
    /// A run that waits for a decision.
    Decide(Vec<Run>),
    /// A run to undo.
    Undo(Vec<Run>),
}

/// Something that is done only after a clear yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Leave.
    Quit,
    /// Start a playbook; the plan holds exactly what will be signed.
    Start(Box<Plan>),
    /// Let a run go on, or not.
    Decide {
        /// The run.
        run: Box<Run>,
        /// The step that waits.
        step: StepId,
        /// Exactly what will be signed.
        orders: Vec<Allowed>,
    },
    /// Undo a run.
    Undo {
        /// The run.
        run: Box<Run>,
        /// Exactly what will be signed.
        orders: Vec<Allowed>,
    },
}

/// What stands over the screen and takes the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialog {
    /// A text is typed.
    Ask(Question, Input),
    /// A row is chosen.
    Pick(Choice, usize),
    /// A yes is wanted; the number is how far it is scrolled.
    Confirm(Deed, usize),
    /// The help screen; the number is how far it is scrolled.
    Help(usize),
}

/// All that the UI knows.
#[derive(Debug)]
pub(crate) struct App {
    /// The reader's language.
    pub(crate) lang: Lang,
    /// The colours.
    pub(crate) theme: Theme,
    /// The law by which deadlines are counted.
    pub(crate) law: Profile,
    /// The operator's name, under which orders are signed.
    pub(crate) operator: String,
    /// The time of the last tick.
    pub(crate) now: Timestamp,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    /// How the hub can be heard.
    pub(crate) link: Link,
    /// When the hub was last heard.
    pub(crate) heard: Option<Timestamp>,
    /// The alerts.
    pub(crate) queue: Queue,
    /// The agents, by agency and host.
    pub(crate) agents: Vec<Agent>,
    /// The agent under the cursor.
    pub(crate) agent: Option<AgentId>,
    /// The incidents, newest first.
    pub(crate) incidents: Vec<Incident>,
    /// The incident under the cursor.
    pub(crate) incident: Option<IncidentId>,
    /// The incident on the screen.
    pub(crate) case: Option<Case>,
    /// The alert on the screen.
    pub(crate) alert: Option<AlertId>,
    /// How far the alert is scrolled.
    pub(crate) scroll: usize,
    /// Whether excerpts are shown as hex.
    pub(crate) hex: bool,
    /// The way here; the last is on the screen. Never empty.
    pub(crate) rooms: Vec<Room>,
    /// What stands over the screen.
    pub(crate) dialog: Option<Dialog>,
    /// What the user is told.
    pub(crate) notice: Option<Notice>,
}

impl App {
    /// Begins with nothing known.
    pub(crate) fn new(lang: Lang, theme: Theme, operator: &str, now: Timestamp) -> Self {
        Self {
            lang,
            theme,
            law: Profile::current(),
            operator: operator.to_owned(),
            now,
            size: (80, 24),
            link: Link::Connecting,
            heard: None,
            queue: Queue::default(),
            agents: Vec::new(),
            agent: None,
            incidents: Vec::new(),
            incident: None,
            case: None,
            alert: None,
            scroll: 0,
            hex: false,
            rooms: vec![Room::Queue],
            dialog: None,
            notice: None,
        }
    }

    /// Says something in the reader's language.
    pub(crate) fn say(&self, message: Message) -> &'static str {
        message.get(self.lang)
    }

    /// Returns the screen that is shown.
    pub(crate) fn room(&self) -> Room {
        self.rooms.last().copied().unwrap_or(Room::Queue)
    }

    /// Returns the alert of the detail screen, wherever it is known from.
    pub(crate) fn shown_alert(&self) -> Option<&Alert> {
        let id = self.alert?;
        let in_case = || self.case.as_ref()?.file.as_ref()?.alerts.iter().find(|a| a.id == id);
        self.queue.find(id).or_else(in_case)
    }

    /// Returns the row of the agent under the cursor.
    pub(crate) fn agent_row(&self) -> usize {
        self.agents.iter().position(|a| Some(a.id) == self.agent).unwrap_or(0)
    }

    /// Returns the row of the incident under the cursor.
    pub(crate) fn incident_row(&self) -> usize {
        self.incidents.iter().position(|i| Some(i.id) == self.incident).unwrap_or(0)
    }

    /// Counts agents by presence.
    pub(crate) fn count(&self, presence: Presence) -> usize {
        self.agents.iter().filter(|a| a.presence == presence).count()
    }

    /// Returns every place that is seen less than fully, the blind ones first.
    pub(crate) fn reduced(&self) -> Vec<(&Agent, &Coverage)> {
        let all = self.agents.iter().filter(|a| a.presence == Presence::Online);
        let all = all.flat_map(|a| a.health.coverage.iter().map(move |c| (a, c)));
        let mut less: Vec<_> = all.filter(|(_, c)| c.sight != Sight::Full).collect();
        less.sort_by_key(|(_, c)| std::cmp::Reverse(c.sight));
        less
    }

    /// Returns how an agent is called on the screen.
    pub(crate) fn host(&self, id: AgentId) -> String {
        match self.agents.iter().find(|a| a.id == id) {
            Some(agent) => super::clean::clean(&agent.host.to_string()),
            None => id.short(),
        }
    }
}
