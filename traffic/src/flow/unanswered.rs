//! When it is told that nobody answers who opens a connection.

use khien_core::traffic::FlowEnd;

use super::wire::*;
use crate::decode::sample::tcp_with;

fn told_after(policy: Option<u32>, milliseconds: i64) -> Vec<(FlowEnd, bool)> {
    let mut wire = Wire::new(ENDS[1]);
    policy.into_iter().for_each(|seconds| wire.engine.await_answers(seconds));
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    // The client tries again.
    wire.wait(1_000);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.wait(milliseconds);
    wire.told.flows().iter().map(|flow| (flow.ended, flow.answered)).collect()
}

#[test]
fn it_is_told_when_the_policy_says_counted_from_the_last_try() {
    let told = [(FlowEnd::Idle, false)];

    assert_eq!(told_after(None, 59_900), []);
    assert_eq!(told_after(None, 60_000), told);
    assert_eq!(told_after(Some(5), 4_900), []);
    assert_eq!(told_after(Some(5), 5_000), told);
}

#[test]
fn a_connection_that_was_answered_is_not_forgotten_sooner() {
    let mut wire = Wire::new(ENDS[0]);
    wire.engine.await_answers(2);
    wire.open();
    wire.wait(60_000);

    assert_eq!((wire.engine.flows(), wire.told.flows().len()), (1, 0));
}
