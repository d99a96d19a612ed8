//! The run engine, input by input, and under any order of inputs.

use khien_core::{Sha256, order::FileTarget, reason::Reason};
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
        false => Outcome::Failed { reason: Reason::Said { text: Untrusted::from("disk full") } },
    };
    let Target { agent, file } = target(n);
    Input::Receipt { step: step.parse().unwrap(), agent, path: file.path, outcome, at: Timestamp::UNIX_EPOCH }
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
    let second: Vec<_> =
        orders_after(&p, &"approve".parse().unwrap(), &targets).iter().map(|o| o.step.to_string()).collect();

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
