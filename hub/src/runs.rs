//! Playbook runs: every input is stored in the same transaction as what follows from it, so that a hub that was
//! killed goes on where it was and does no step twice.

use khien_core::{
    IncidentId, OrderId, RunId, StepId, Timestamp, Untrusted,
    api::{Approve, Refuse, StartRun, Undo},
    incident::{Entry, EntryKind, IncidentStatus},
    mandate::CLOCK_SLACK,
    order::{Allowed, Outcome, Receipt},
    problem::Cause,
    reason::{MAX_TEXT, Reason, quoted},
    run::{Run, RunState, StepProgress, Target},
    text::{Words, hub as words},
    time::{self, SignedDuration},
};
use khien_playbooks::{
    Playbook,
    run::{self as engine, Effect, Input, Machine},
};

use crate::{
    evidence,
    fault::Fault,
    incidents,
    orders::{self, Expected},
    store::{Host, Operator, OrderRow, Read, Write},
};

/// How long after a mandate's end an answer may still be on its way.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The most targets of one run.
const MAX_TARGETS: usize = 250;
/// The longest reason in bytes.
const MAX_REASON: usize = 16 << 10;

/// What answers of agents are judged by.
pub(crate) struct Desk<'a> {
    pub(crate) library: &'a [Playbook],
    pub(crate) now: Timestamp,
}

/// A run and the machine that says how it goes on.
struct Case {
    run: Run,
    machine: Machine,
}

/// Starts a run; the same run again is the same start.
pub(crate) fn start(
    tx: &mut dyn Write,
    library: &[Playbook],
    caller: &Operator,
    wanted: StartRun,
    now: Timestamp,
) -> Result<Run, Fault> {
    if let Some(run) = tx.run(wanted.run)? {
        let same = run.incident == wanted.incident
            && run.playbook == wanted.playbook
            && run.targets == wanted.targets;
        return if same { Ok(run) } else { Err(Fault::Conflict(Cause::RunIdTaken { run: wanted.run })) };
    }
    let playbook = known_playbook(library, &wanted.playbook)?;
    if playbook.hash != wanted.playbook_hash {
        return Err(Fault::Conflict(Cause::PlaybookDiffers { playbook: quoted(&playbook.id) }));
    }
    check_targets(tx, &wanted)?;
    let expected = Expected {
        run: wanted.run,
        playbook: playbook.hash,
        orders: engine::orders_from_start(playbook, &wanted.targets),
    };
    orders::admit(tx, &wanted.mandate, caller, &expected, now)?;
    let text = playbook.title.clone();
    incidents::write(tx, wanted.incident, entry(caller.name(), EntryKind::RunStarted, text, now))?;
    let mut case = begin(playbook, wanted, caller, now);
    case.advance(tx, Input::Start, caller.name(), now)?;
    Ok(case.run)
}

fn begin(playbook: &Playbook, wanted: StartRun, caller: &Operator, now: Timestamp) -> Case {
    let machine = Machine::new(playbook.clone(), wanted.targets.clone());
    let run = Run {
        id: wanted.run,
        playbook: wanted.playbook,
        playbook_hash: playbook.hash,
        incident: wanted.incident,
        state: RunState::Running,
        targets: wanted.targets,
        steps: Vec::new(),
        waiting_for: None,
        can_undo: false,
        started_by: caller.name().to_owned(),
        started: now,
    };
    Case { run, machine }
}

fn known_playbook<'a>(library: &'a [Playbook], id: &str) -> Result<&'a Playbook, Fault> {
    let found = library.iter().find(|p| p.id == id);
    found.ok_or_else(|| Fault::Conflict(Cause::NoPlaybook { playbook: quoted(id) }))
}

/// Checks that the team works on an incident.
pub(crate) fn check_open(tx: &dyn Read, incident: IncidentId) -> Result<(), Fault> {
    match incidents::row(tx, incident)?.status {
        IncidentStatus::Open => Ok(()),
        IncidentStatus::Closed => Err(Fault::Conflict(Cause::IncidentIsClosed { incident })),
    }
}

/// Checks that a run works on what its incident is about, and on nothing else.
fn check_targets(tx: &dyn Read, wanted: &StartRun) -> Result<(), Fault> {
    check_open(tx, wanted.incident)?;
    if wanted.targets.is_empty() || wanted.targets.len() > MAX_TARGETS {
        return Err(Fault::Bad(Cause::BadTargetCount { limit: MAX_TARGETS as u64 }));
    }
    let mut places: Vec<_> = wanted.targets.iter().map(|t| (t.agent, &t.file.path)).collect();
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Fault::Bad(Cause::TargetTwice));
    }
    let alerts = tx.alerts_of(wanted.incident)?;
    let belongs = |t: &Target| {
        alerts.iter().any(|a| {
            a.reporter() == Some(t.agent)
                && a.path.as_ref() == Some(&t.file.path)
                && a.sha256 == Some(t.file.sha256)
        })
    };
    match wanted.targets.iter().find(|t| !belongs(t)) {
        Some(t) => {
            let path = Untrusted::cut(t.file.path.raw(), MAX_TEXT);
            Err(Fault::Conflict(Cause::NotInIncident { path, incident: wanted.incident }))
        }
        None => Ok(()),
    }
}

/// Says yes to the step that waits.
pub(crate) fn approve(
    tx: &mut dyn Write,
    library: &[Playbook],
    caller: &Operator,
    (id, wanted): (RunId, Approve),
    now: Timestamp,
) -> Result<Run, Fault> {
    let mut case = Case::load(tx, library, id)?;
    if orders::given_before(tx, id, &wanted.mandate)? {
        return Ok(case.run);
    }
    case.must_wait_for(&wanted.step)?;
    let playbook = known_playbook(library, &case.run.playbook)?;
    let orders = engine::orders_after(playbook, &wanted.step, &case.run.targets);
    orders::admit(tx, &wanted.mandate, caller, &case.expected(orders), now)?;
    let text = case.step_title(&wanted.step);
    incidents::write(tx, case.run.incident, entry(caller.name(), EntryKind::Approved, text, now))?;
    case.advance(tx, Input::Approve { step: wanted.step }, caller.name(), now)?;
    Ok(case.run)
}

/// Says no to the step that waits.
pub(crate) fn refuse(
    tx: &mut dyn Write,
    library: &[Playbook],
    caller: &Operator,
    (id, wanted): (RunId, Refuse),
    now: Timestamp,
) -> Result<Run, Fault> {
    let reason = wanted.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(Fault::Bad(Cause::ReasonNeeded { limit: MAX_REASON as u64 }));
    }
    let mut case = Case::load(tx, library, id)?;
    case.must_wait_for(&wanted.step)?;
    let text = words::DETAIL.words_with(&[&case.step_title(&wanted.step), &reason]);
    incidents::write(tx, case.run.incident, entry(caller.name(), EntryKind::Refused, text, now))?;
    case.advance(tx, Input::Refuse { step: wanted.step }, caller.name(), now)?;
    Ok(case.run)
}

/// Undoes what a run did.
pub(crate) fn undo(
    tx: &mut dyn Write,
    library: &[Playbook],
    caller: &Operator,
    (id, wanted): (RunId, Undo),
    now: Timestamp,
) -> Result<Run, Fault> {
    let mut case = Case::load(tx, library, id)?;
    if orders::given_before(tx, id, &wanted.mandate)? {
        return Ok(case.run);
    }
    if !case.machine.can_undo() {
        return Err(Fault::Conflict(Cause::NothingToUndo { run: id, is: case.run.state }));
    }
    check_open(tx, case.run.incident)?;
    let orders = case.machine.undo_orders();
    orders::admit(tx, &wanted.mandate, caller, &case.expected(orders), now)?;
    let text = case.title(library);
    incidents::write(tx, case.run.incident, entry(caller.name(), EntryKind::UndoAsked, text, now))?;
    case.advance(tx, Input::Undo, caller.name(), now)?;
    Ok(case.run)
}

/// Takes an agent's answer to an order.
pub(crate) fn receipt(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    host: &Host,
    mut receipt: Receipt,
) -> Result<(), Fault> {
    let Some(order) = tx.order(receipt.order)?.filter(|o| o.allowed.agent == host.agent.id) else {
        tracing::warn!(agent = %host.agent.id, order = %receipt.order, "receipt for no order of this agent");
        return Ok(());
    };
    receipt.at = receipt.at.max(time::after(order.created, -CLOCK_SLACK)).min(desk.now);
    if !receipt.outcome.fits(&order.allowed.verb) {
        tracing::warn!(agent = %host.agent.id, order = %receipt.order, "answer does not fit the order");
        receipt.outcome = Outcome::Failed { reason: Reason::OtherAnswer };
    }
    if let Some(failed) = evidence::missing(tx, &order, &receipt)? {
        receipt.outcome = failed;
    }
    if order.receipt.is_some() {
        return too_late(tx, host, &order, &receipt, desk.now);
    }
    evidence::collected(tx, host, &order, &receipt)?;
    let who = format!("agent {}", host.agent.host);
    answer(tx, desk, order, receipt, &who)
}

/// Takes a refusal as the answer to an order that is open.
pub(crate) fn refused_by_agent(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    host: &Host,
    order: OrderId,
    reason: Reason,
) -> Result<(), Fault> {
    let open = tx.order(order)?.filter(|o| o.allowed.agent == host.agent.id && o.receipt.is_none());
    let Some(open) = open else { return Ok(()) };
    let outcome = Outcome::Failed { reason: refused(reason) };
    let who = format!("agent {}", host.agent.host);
    answer(tx, desk, open, Receipt { order, at: desk.now, outcome }, &who)
}

/// Tells whether the hub gave an order up, which the agent never answered.
pub(crate) fn was_given_up(receipt: &Receipt) -> bool {
    receipt.outcome == Outcome::Failed { reason: Reason::NoAnswer }
}

/// Writes down an answer that came after the order was given up; the run does not go on from it.
fn too_late(
    tx: &mut dyn Write,
    host: &Host,
    order: &OrderRow,
    late: &Receipt,
    now: Timestamp,
) -> Result<(), Fault> {
    if order.receipt.as_ref() == Some(late) {
        return Ok(());
    }
    if order.allowed.verb.is_of_no_playbook() {
        // What it met is worth as much as it was in time; but one answer is not taken back by another.
        if order.receipt.as_ref().is_some_and(was_given_up) {
            evidence::collected(tx, host, order, late)?;
            tx.replace_receipt(late)?;
        }
        return Ok(());
    }
    let Some(run) = tx.run(order.run)? else { return Ok(()) };
    if order.receipt.as_ref().is_some_and(was_given_up) {
        evidence::collected(tx, host, order, late)?;
    }
    let (step, path) = (title_of(&run.steps, &order.allowed.step), order.allowed.verb.path());
    let text = match &late.outcome {
        Outcome::Done { .. } | Outcome::Scanned { .. } | Outcome::Searched { .. } => {
            words::LATE_DONE.words_with(&[&step, path])
        }
        Outcome::Failed { reason } => words::LATE_FAILED.words_with(&[&step, path, &reason.words()]),
    };
    let who = format!("agent {}", host.agent.host);
    incidents::write(tx, run.incident, entry(&who, EntryKind::Note, text, now))
}

/// Returns the moment before which an order must have expired for its answer to be overdue.
pub(crate) fn answers_due(now: Timestamp) -> Timestamp {
    time::after(now, -GRACE)
}

/// Gives up orders whose mandate has run out.
pub(crate) fn expire(tx: &mut dyn Write, desk: &Desk<'_>) -> Result<(), Fault> {
    for order in tx.expired_orders(answers_due(desk.now))? {
        let outcome = Outcome::Failed { reason: Reason::NoAnswer };
        let receipt = Receipt { order: order.id, at: desk.now, outcome };
        answer(tx, desk, order, receipt, "hub")?;
    }
    Ok(())
}

/// Stores the answer to an order and lets its run go on.
fn answer(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    order: OrderRow,
    receipt: Receipt,
    who: &str,
) -> Result<(), Fault> {
    tx.close_order(&receipt)?;
    if order.allowed.verb.is_of_no_playbook() {
        return Ok(());
    }
    let mut case = match Case::load(tx, desk.library, order.run) {
        Ok(case) => case,
        Err(e) if e.is_failure() => return Err(e),
        Err(why) => {
            tracing::error!(run = %order.run, %why, "the run cannot go on");
            return Ok(());
        }
    };
    let Allowed { step, agent, verb } = order.allowed;
    let path = verb.path().clone();
    let input = Input::Receipt { step, agent, path, outcome: receipt.outcome, at: receipt.at };
    case.advance(tx, input, who, desk.now)
}

impl Case {
    /// Folds what was stored of a run.
    fn load(tx: &dyn Read, library: &[Playbook], id: RunId) -> Result<Self, Fault> {
        let run = tx.run(id)?.ok_or_else(|| Fault::Missing(Cause::NoRun { run: id }))?;
        let playbook = known_playbook(library, &run.playbook)?;
        if playbook.hash != run.playbook_hash {
            return Err(Fault::Conflict(Cause::PlaybookChanged { playbook: quoted(&run.playbook), run: id }));
        }
        let mut machine = Machine::new(playbook.clone(), run.targets.clone());
        for input in tx.inputs(id)? {
            machine.handle(input);
        }
        Ok(Self { run, machine })
    }

    fn must_wait_for(&self, step: &StepId) -> Result<(), Fault> {
        match self.machine.waiting_for().as_ref() == Some(step) {
            true => Ok(()),
            false => Err(Fault::Conflict(Cause::StepDoesNotWait { run: self.run.id, step: step.clone() })),
        }
    }

    /// Says what a mandate for some orders of this run must say.
    fn expected(&self, orders: Vec<Allowed>) -> Expected {
        Expected { run: self.run.id, playbook: self.run.playbook_hash, orders }
    }

    /// Stores an input, does what follows from it, and stores how the run stands then.
    fn advance(&mut self, tx: &mut dyn Write, input: Input, who: &str, now: Timestamp) -> Result<(), Fault> {
        let mut inputs = vec![(input, who.to_owned())];
        while let Some((input, who)) = inputs.pop() {
            tx.add_input(self.run.id, &input, &who, now)?;
            for effect in self.machine.handle(input) {
                let refused = self.carry_out(tx, effect, now)?;
                inputs.extend(refused.into_iter().map(|i| (i, "hub".to_owned())));
            }
        }
        self.run.state = self.machine.state();
        self.run.steps = self.machine.steps();
        self.run.waiting_for = self.machine.waiting_for();
        self.run.can_undo = self.machine.can_undo();
        Ok(tx.put_run(&self.run)?)
    }

    /// Carries one effect out; orders that no mandate allows come back as failed answers.
    fn carry_out(&self, tx: &mut dyn Write, effect: Effect, now: Timestamp) -> Result<Vec<Input>, Fault> {
        let (kind, text) = match effect {
            Effect::Dispatch(wanted) => {
                let not_allowed = orders::dispatch(tx, self.run.id, wanted, now)?;
                return Ok(not_allowed.into_iter().map(|a| not_in_mandate(a, now)).collect());
            }
            Effect::Ask(step) => (EntryKind::ApprovalAsked, self.step_title(&step)),
            Effect::StepEnded { step, ok: true } => (EntryKind::StepDone, self.step_title(&step)),
            Effect::StepEnded { step, ok: false } => (EntryKind::StepFailed, self.step_title(&step)),
            Effect::Ended(state) => {
                let state = khien_core::text::alert::run_state(state).words();
                (EntryKind::RunEnded, words::DETAIL.words_with(&[&self.run.playbook, &state]))
            }
        };
        incidents::write(tx, self.run.incident, entry("hub", kind, text, now))?;
        Ok(Vec::new())
    }

    fn step_title(&self, step: &StepId) -> Words {
        title_of(&self.machine.steps(), step)
    }

    fn title(&self, library: &[Playbook]) -> Words {
        let found = library.iter().find(|p| p.id == self.run.playbook);
        found.map_or_else(|| Words::same(self.run.playbook.as_str()), |p| p.title.clone())
    }
}

/// Returns a step's title, or its name if it has none.
fn title_of(steps: &[StepProgress], step: &StepId) -> Words {
    let title = steps.iter().find(|s| s.step == *step).map(|s| s.title.clone());
    title.filter(|t| !t.is_empty()).unwrap_or_else(|| Words::same(step.to_string()))
}

/// Says that the agent refused. A reason that holds another one is kept as it is: it says so itself.
fn refused(reason: Reason) -> Reason {
    match reason.is_nested() {
        true => reason,
        false => Reason::RefusedByAgent { because: Box::new(reason) },
    }
}

fn not_in_mandate(allowed: Allowed, now: Timestamp) -> Input {
    let Allowed { step, agent, verb } = allowed;
    let path = verb.path().clone();
    let outcome = Outcome::Failed { reason: Reason::NotInMandate };
    Input::Receipt { step, agent, path, outcome, at: now }
}

fn entry(who: &str, kind: EntryKind, text: Words, at: Timestamp) -> Entry {
    Entry { at, who: who.to_owned(), kind, text }
}

/// Tells whether an order asks for evidence.
pub(crate) fn preserves(order: &OrderRow) -> bool {
    order.allowed.verb.preserves()
}
