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
    text::Words,
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
        .expect("two names and a dot keep to the alphabet and the length")
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
        self.pending = orders.iter().map(|o| (o.agent, o.verb.file().path.clone())).collect();
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
        true => Words {
            vi: "Hoàn tác: trả tệp về chỗ cũ".to_owned(),
            en: "Undo: put the file back".to_owned(),
        },
        false => Words {
            vi: "Hoàn tác: kiểm tra tệp đã trở lại".to_owned(),
            en: "Undo: verify that the file is back".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use khien_core::{Sha256, order::FileTarget};
    use proptest::prelude::*;

    use super::*;

    fn target(n: u8) -> Target {
        let file = FileTarget { path: Untrusted::from("/srv/a.php"), sha256: Sha256([n; 32]) };
        Target { agent: AgentId([n; 32]), file }
    }

    fn machine(targets: u8) -> Machine {
        Machine::new(crate::find("webshell").unwrap(), (1..=targets).map(target).collect())
    }

    fn receipt(step: &str, n: u8, ok: bool) -> Input {
        let outcome = match ok {
            true => Outcome::Done { evidence: None },
            false => Outcome::Failed { reason: "disk full".to_owned() },
        };
        let Target { agent, file } = target(n);
        Input::Receipt {
            step: step.parse().unwrap(),
            agent,
            path: file.path,
            outcome,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn approve() -> Input {
        Input::Approve { step: "approve".parse().unwrap() }
    }

    fn dispatched(effects: &[Effect]) -> Vec<(String, u8)> {
        let orders = effects.iter().filter_map(|e| match e {
            Effect::Dispatch(orders) => Some(orders),
            _ => None,
        });
        orders.flatten().map(|o| (o.step.to_string(), o.agent.0[0])).collect()
    }

    /// Runs to `Done` on one target.
    fn done() -> Machine {
        let mut m = machine(1);
        let inputs = [
            Input::Start,
            receipt("preserve", 1, true),
            approve(),
            receipt("quarantine", 1, true),
            receipt("verify", 1, true),
        ];
        for input in inputs {
            m.handle(input);
        }
        assert_eq!(m.state(), RunState::Done);
        m
    }

    #[test]
    fn quarantine_waits_for_a_person() {
        let mut m = machine(1);

        assert_eq!(dispatched(&m.handle(Input::Start)), [("preserve".to_owned(), 1)]);
        let effects = m.handle(receipt("preserve", 1, true));

        assert_eq!(dispatched(&effects), []);
        assert_eq!(m.waiting_for().unwrap().as_str(), "approve");
        assert_eq!(dispatched(&m.handle(approve())), [("quarantine".to_owned(), 1)]);
    }

    #[test]
    fn a_step_ends_when_every_target_answered() {
        let mut m = machine(2);
        m.handle(Input::Start);

        assert_eq!(m.handle(receipt("preserve", 1, true)), []);
        assert_eq!(m.handle(receipt("preserve", 1, true)), [], "a repeated receipt does nothing");
        m.handle(receipt("preserve", 2, true));

        assert_eq!(m.state(), RunState::WaitingForApproval);
    }

    #[test]
    fn a_failure_stops_the_run_and_what_was_done_can_be_undone() {
        let mut m = machine(2);
        for input in [Input::Start, receipt("preserve", 1, true), receipt("preserve", 2, true), approve()] {
            m.handle(input);
        }
        m.handle(receipt("quarantine", 1, true));
        m.handle(receipt("quarantine", 2, false));

        assert_eq!(m.state(), RunState::Failed);
        assert_eq!(dispatched(&m.handle(Input::Undo)), [("quarantine.restore_file".to_owned(), 1)]);
    }

    #[test]
    fn a_refusal_ends_the_run_without_touching_the_host() {
        let mut m = machine(1);
        m.handle(Input::Start);
        m.handle(receipt("preserve", 1, true));

        let effects = m.handle(Input::Refuse { step: "approve".parse().unwrap() });

        assert_eq!(effects, [Effect::Ended(RunState::Refused)]);
        assert!(!m.can_undo());
        assert_eq!(m.handle(approve()), []);
    }

    #[test]
    fn undo_restores_then_verifies_and_is_done_once() {
        let mut m = done();

        assert_eq!(dispatched(&m.handle(Input::Undo)), [("quarantine.restore_file".to_owned(), 1)]);
        let effects = m.handle(receipt("quarantine.restore_file", 1, true));
        assert_eq!(dispatched(&effects), [("quarantine.verify_present".to_owned(), 1)]);
        m.handle(receipt("quarantine.verify_present", 1, true));

        assert_eq!(m.state(), RunState::Undone);
        assert_eq!(m.handle(Input::Undo), []);
    }

    #[test]
    fn a_failed_undo_can_be_tried_again() {
        let mut m = done();
        m.handle(Input::Undo);
        m.handle(receipt("quarantine.restore_file", 1, false));
        assert_eq!(m.state(), RunState::UndoFailed);

        assert_eq!(dispatched(&m.handle(Input::Undo)), [("quarantine.restore_file".to_owned(), 1)]);
        m.handle(receipt("quarantine.restore_file", 1, true));
        m.handle(receipt("quarantine.verify_present", 1, true));

        assert_eq!(m.state(), RunState::Undone);
    }

    #[test]
    fn the_mandates_cover_exactly_what_is_dispatched() {
        let p = crate::find("webshell").unwrap();
        let targets = [target(1), target(2)];

        let first: Vec<_> = orders_from_start(&p, &targets).iter().map(|o| o.step.to_string()).collect();
        let second: Vec<_> = orders_after(&p, &"approve".parse().unwrap(), &targets)
            .iter()
            .map(|o| o.step.to_string())
            .collect();

        assert_eq!(first, ["preserve", "preserve"]);
        assert_eq!(second, ["quarantine", "quarantine", "verify", "verify"]);
    }

    fn any_input() -> impl Strategy<Value = Input> {
        let step = prop::sample::select(vec![
            "preserve",
            "quarantine",
            "verify",
            "quarantine.restore_file",
            "quarantine.verify_present",
        ]);
        prop_oneof![
            Just(Input::Start),
            Just(approve()),
            Just(Input::Refuse { step: "approve".parse().unwrap() }),
            Just(Input::Undo),
            (step, 1..=2u8, prop::bool::weighted(0.8)).prop_map(|(s, n, ok)| receipt(s, n, ok)),
        ]
    }

    proptest! {
        /// No order of inputs, repeats included, makes a target do a step again after it did it, or quarantines
        /// without approval.
        #[test]
        fn no_step_is_done_twice(inputs in prop::collection::vec(any_input(), 0..60)) {
            let mut m = machine(2);
            let mut approved = false;
            let mut did = BTreeSet::new();
            for input in inputs {
                approved |= input == approve() && m.state() == RunState::WaitingForApproval;
                if let Input::Receipt { step, agent, outcome, .. } = &input
                    && is_done(outcome) && m.pending.contains(&(*agent, "/srv/a.php".into()))
                    && m.steps[m.at].step == *step
                {
                    did.insert((step.to_string(), agent.0[0]));
                }
                for order in dispatched(&m.handle(input)) {
                    prop_assert!(!did.contains(&order), "{order:?} was done before");
                    prop_assert!(approved || order.0 == "preserve");
                }
            }
        }
    }
}
