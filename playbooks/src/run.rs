//! The run engine: a state machine over stored inputs.
//!
//! ```text
//!  Start ─► order steps ─► approval ─(Approve)─► order steps ─► … ─► Done ─(Undo)─► undo steps ─► Undone
//!               │             └─(Refuse)─► Refused                 ▲                   │
//!               └─ a target fails ─► Failed ───────(Undo)──────────┘                   └─► UndoFailed ─(Undo)─► …
//! ```
//! Folding the same inputs gives the same machine, so a hub that was killed goes on where it was. An input that does
//! not fit is ignored, so a repeated delivery does nothing.

use std::collections::BTreeSet;

use khien_core::{
    AgentId, StepId, Timestamp, Untrusted,
    order::{Allowed, Outcome},
    run::{Run, RunState, StepProgress, StepState, Target, TargetResult},
    text::{Words, alert as text},
};
use serde::{Deserialize, Serialize};

use crate::model::{Playbook, Step, StepKind, VerbName};

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// A person started it.
    Start,
    /// A target answered.
    Receipt {
        /// The step, or the undo step.
        step: StepId,
        /// The agent.
        agent: AgentId,
        /// The file.
        path: Untrusted,
        /// How it ended.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
    /// A person said yes to the step that waits.
    Approve {
        /// The step.
        step: StepId,
    },
    /// A person said no to the step that waits.
    Refuse {
        /// The step.
        step: StepId,
    },
    /// A person wants it undone.
    Undo,
}

/// What to do about an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give these orders.
    Dispatch(Vec<Allowed>),
    /// Ask a person about this step.
    Ask(StepId),
    /// A step ended.
    StepEnded {
        /// The step.
        step: StepId,
        /// Whether every target did it.
        ok: bool,
    },
    /// The run ended, for now.
    Ended(RunState),
}

/// Returns the orders up to the first approval.
#[must_use]
pub fn orders_from_start(playbook: &Playbook, targets: &[Target]) -> Vec<Allowed> {
    leg(&playbook.steps, targets)
}

/// Returns the orders after an approval, up to the next one; none if there is no such step.
#[must_use]
pub fn orders_after(playbook: &Playbook, approval: &StepId, targets: &[Target]) -> Vec<Allowed> {
    let after = playbook.steps.iter().position(|s| s.id == *approval).map_or(playbook.steps.len(), |i| i + 1);
    leg(&playbook.steps[after..], targets)
}

/// Returns the orders that undo what a run has done and not yet undone, last step first.
#[must_use]
pub fn undo_orders(playbook: &Playbook, run: &Run) -> Vec<Allowed> {
    undo_of(playbook, &run.targets, &run.steps)
}

fn leg(steps: &[Step], targets: &[Target]) -> Vec<Allowed> {
    steps
        .iter()
        .map_while(|s| match &s.kind {
            StepKind::Order { verb, .. } => Some((s, *verb)),
            StepKind::Approval => None,
        })
        .flat_map(|(s, verb)| targets.iter().map(move |t| allow(s.id.clone(), verb, t)))
        .collect()
}

fn allow(step: StepId, verb: VerbName, target: &Target) -> Allowed {
    Allowed { step, agent: target.agent, verb: verb.on(target.file.clone()) }
}

/// Names the undo step of a step: `quarantine.restore_file`.
fn undo_step(step: &StepId, verb: VerbName) -> StepId {
    format!("{step}.{}", verb.as_str())
        .parse()
        .expect("the checker bounds step names, so a dot and a verb fit behind them")
}

fn undo_of(playbook: &Playbook, targets: &[Target], progress: &[StepProgress]) -> Vec<Allowed> {
    let mut orders = Vec::new();
    for step in playbook.steps.iter().rev() {
        let StepKind::Order { undo, .. } = &step.kind else { continue };
        let done = succeeded(progress, &step.id);
        for verb in undo {
            let name = undo_step(&step.id, *verb);
            let undone = succeeded(progress, &name);
            let open = |t: &&Target| done.contains(&key(t)) && !undone.contains(&key(t));
            orders.extend(targets.iter().filter(open).map(|t| allow(name.clone(), *verb, t)));
        }
    }
    orders
}

/// Where a result belongs: two files of one host are two targets.
type Key = (AgentId, Untrusted);

fn key(target: &Target) -> Key {
    (target.agent, target.file.path.clone())
}

fn succeeded(progress: &[StepProgress], step: &StepId) -> BTreeSet<Key> {
    let results = progress.iter().filter(|p| p.step == *step).flat_map(|p| &p.results);
    results.filter(|r| is_done(&r.outcome)).map(|r| (r.agent, r.path.clone())).collect()
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}

/// A run of one playbook on some targets.
#[derive(Debug, Clone)]
pub struct Machine {
    playbook: Playbook,
    targets: Vec<Target>,
    steps: Vec<StepProgress>,
    state: RunState,
    started: bool,
    /// The index in `steps` of the step at work.
    at: usize,
    /// The targets of that step that have not answered.
    pending: BTreeSet<Key>,
    /// Undo orders that are not out yet.
    to_undo: Vec<Allowed>,
}

impl Machine {
    /// Makes a run that has not begun.
    #[must_use]
    pub fn new(playbook: Playbook, targets: Vec<Target>) -> Self {
        let steps = playbook.steps.iter().map(|s| progress(s.id.clone(), s.title.clone())).collect();
        Self {
            playbook,
            targets,
            steps,
            state: RunState::Running,
            started: false,
            at: 0,
            pending: BTreeSet::new(),
            to_undo: Vec::new(),
        }
    }

    /// Takes one input and returns what to do about it.
    pub fn handle(&mut self, input: Input) -> Vec<Effect> {
        match (self.state, input) {
            (RunState::Running, Input::Start) if !self.started => {
                self.started = true;
                self.enter(0)
            }
            (RunState::Running | RunState::Undoing, Input::Receipt { step, agent, path, outcome, at }) => {
                self.answered(&step, TargetResult { agent, path, outcome, at })
            }
            (RunState::WaitingForApproval, Input::Approve { step }) if self.steps[self.at].step == step => {
                self.steps[self.at].state = StepState::Done;
                self.state = RunState::Running;
                let mut effects = vec![Effect::StepEnded { step, ok: true }];
                effects.extend(self.enter(self.at + 1));
                effects
            }
            (RunState::WaitingForApproval, Input::Refuse { step }) if self.steps[self.at].step == step => {
                self.steps[self.at].state = StepState::Failed;
                self.end(RunState::Refused)
            }
            (_, Input::Undo) if self.can_undo() => self.begin_undo(),
            _ => Vec::new(),
        }
    }

    /// Returns where it stands.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.state
    }

    /// Returns how far each step is, undo steps last.
    #[must_use]
    pub fn steps(&self) -> Vec<StepProgress> {
        self.steps.clone()
    }

    /// Returns the approval step that waits for a person.
    #[must_use]
    pub fn waiting_for(&self) -> Option<StepId> {
        (self.state == RunState::WaitingForApproval).then(|| self.steps[self.at].step.clone())
    }

    /// Returns the orders that undo what was done and not yet undone.
    #[must_use]
    pub fn undo_orders(&self) -> Vec<Allowed> {
        undo_of(&self.playbook, &self.targets, &self.steps)
    }

    /// Tells whether it has ended and has done something that can be undone.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        let busy = matches!(
            self.state,
            RunState::Running | RunState::WaitingForApproval | RunState::Undoing | RunState::Undone
        );
        !busy && !self.undo_orders().is_empty()
    }

    /// Goes to a step of the playbook, or to the end.
    fn enter(&mut self, at: usize) -> Vec<Effect> {
        let Some(step) = self.playbook.steps.get(at).cloned() else {
            return self.end(RunState::Done);
        };
        self.at = at;
        self.steps[at].state = StepState::Active;
        match step.kind {
            StepKind::Approval => {
                self.state = RunState::WaitingForApproval;
                vec![Effect::Ask(step.id)]
            }
            StepKind::Order { verb, .. } => {
                let orders = self.targets.iter().map(|t| allow(step.id.clone(), verb, t)).collect();
                self.dispatch(orders)
            }
        }
    }

    fn dispatch(&mut self, orders: Vec<Allowed>) -> Vec<Effect> {
        self.pending = orders.iter().map(|o| (o.agent, o.verb.path().clone())).collect();
        vec![Effect::Dispatch(orders)]
    }

    fn answered(&mut self, step: &StepId, result: TargetResult) -> Vec<Effect> {
        let fits =
            self.steps[self.at].step == *step && self.pending.remove(&(result.agent, result.path.clone()));
        if !fits {
            return Vec::new();
        }
        self.steps[self.at].results.push(result);
        match self.pending.is_empty() {
            true => self.step_ended(),
            false => Vec::new(),
        }
    }

    fn step_ended(&mut self) -> Vec<Effect> {
        let done = succeeded(&self.steps, &self.steps[self.at].step).len();
        let current = &mut self.steps[self.at];
        let wanted: BTreeSet<_> = current.results.iter().map(|r| (r.agent, r.path.clone())).collect();
        let ok = done == wanted.len();
        current.state = if ok { StepState::Done } else { StepState::Failed };
        let mut effects = vec![Effect::StepEnded { step: current.step.clone(), ok }];
        effects.extend(match (self.state, ok) {
            (RunState::Undoing, true) => self.next_undo(),
            (RunState::Undoing, false) => self.end(RunState::UndoFailed),
            (_, true) => self.enter(self.at + 1),
            (_, false) => self.end(RunState::Failed),
        });
        effects
    }

    fn begin_undo(&mut self) -> Vec<Effect> {
        self.to_undo = self.undo_orders();
        self.state = RunState::Undoing;
        self.next_undo()
    }

    /// Sends the orders of the next undo step.
    fn next_undo(&mut self) -> Vec<Effect> {
        let Some(step) = self.to_undo.first().map(|o| o.step.clone()) else {
            return self.end(RunState::Undone);
        };
        let (now, later) = std::mem::take(&mut self.to_undo).into_iter().partition(|o| o.step == step);
        self.to_undo = later;
        self.at = self.undo_progress(&step);
        self.dispatch(now)
    }

    /// Returns the line of an undo step; a second try uses the same line.
    fn undo_progress(&mut self, step: &StepId) -> usize {
        let at = self.steps.iter().position(|p| p.step == *step).unwrap_or_else(|| {
            self.steps.push(progress(step.clone(), undo_title(step)));
            self.steps.len() - 1
        });
        self.steps[at].state = StepState::Active;
        at
    }

    fn end(&mut self, state: RunState) -> Vec<Effect> {
        self.state = state;
        for step in &mut self.steps {
            if step.state == StepState::Pending {
                step.state = StepState::Skipped;
            }
        }
        vec![Effect::Ended(state)]
    }
}

fn progress(step: StepId, title: Words) -> StepProgress {
    StepProgress { step, title, state: StepState::Pending, results: Vec::new() }
}

fn undo_title(step: &StepId) -> Words {
    match step.as_str().ends_with("restore_file") {
        true => text::UNDO_RESTORE.words(),
        false => text::UNDO_VERIFY.words(),
    }
}

#[cfg(test)]
mod tests;
