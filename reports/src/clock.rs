//! Legal clocks: how much time is left to tell whom, counted from T0.
//!
//! Pure: the caller passes `now`. A clock never decides whether its condition holds; it shows the condition to a person.

use khien_core::{
    Timestamp,
    text::Words,
    time::{SignedDuration, after},
};
use serde::Serialize;

use crate::profile::{ClockRule, Profile};

/// At this much time left the first warning begins.
const FIRST_WARNING: SignedDuration = SignedDuration::from_hours(6);
/// At this much time left the last warning begins.
const LAST_WARNING: SignedDuration = SignedDuration::from_hours(2);

/// One legal deadline of one incident. `--json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// Its stable name, such as `anm.24h`.
    pub id: String,
    /// A short name.
    pub title: Words,
    /// Who must be told.
    pub to: Words,
    /// Where the law says so.
    pub basis: String,
    /// The form to use, if one is known.
    pub form: Option<String>,
    /// The stage of that form.
    pub stage: Option<String>,
    /// The moment from which it counts.
    pub t0: Timestamp,
    /// The last moment in time.
    pub deadline: Timestamp,
    /// What is left of it; negative once it is over.
    pub remaining: SignedDuration,
    /// The same in whole seconds, for other programs.
    pub remaining_seconds: i64,
    /// Where it stands.
    pub state: ClockState,
    /// Whether it binds only under its condition.
    pub conditional: bool,
    /// That condition, for a person to judge.
    pub condition: Option<Words>,
}

/// Where a clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// The law gives no hours: at once.
    Immediate,
    /// More than six hours are left.
    Running,
    /// At most six hours are left.
    Warning6h,
    /// At most two hours are left.
    Warning2h,
    /// The deadline has passed.
    Overdue,
}

/// Returns the clocks that count from `t0`, shortest first.
#[must_use]
pub fn clocks(profile: &Profile, t0: Timestamp, now: Timestamp) -> Vec<Clock> {
    let mut clocks: Vec<_> =
        profile.clocks.iter().filter(|r| r.governs(t0)).map(|rule| clock(rule, t0, now)).collect();
    clocks.sort_by_key(|c| c.deadline);
    clocks
}

fn clock(rule: &ClockRule, t0: Timestamp, now: Timestamp) -> Clock {
    let deadline = after(t0, SignedDuration::from_hours(rule.hours.into()));
    let remaining = now.duration_until(deadline);
    Clock {
        id: rule.id.clone(),
        title: rule.title.clone(),
        to: rule.to.clone(),
        basis: rule.basis.clone(),
        form: rule.form.clone(),
        stage: rule.stage.clone(),
        t0,
        deadline,
        remaining,
        remaining_seconds: remaining.as_secs(),
        state: state(rule.hours, remaining),
        conditional: rule.condition.is_some(),
        condition: rule.condition.clone(),
    }
}

/// The last second of the deadline is still in time.
fn state(hours: u16, remaining: SignedDuration) -> ClockState {
    match remaining {
        _ if hours == 0 => ClockState::Immediate,
        r if r.is_negative() => ClockState::Overdue,
        r if r <= LAST_WARNING => ClockState::Warning2h,
        r if r <= FIRST_WARNING => ClockState::Warning6h,
        _ => ClockState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(t: &str) -> Timestamp {
        t.parse().unwrap()
    }

    fn state_at(id: &str, now: &str) -> ClockState {
        let all = clocks(&Profile::current(), at("2026-11-20T03:07:00Z"), at(now));
        all.into_iter().find(|c| c.id == id).unwrap().state
    }

    #[test]
    fn a_clock_warns_six_and_two_hours_before_its_deadline() {
        assert_eq!(state_at("anm.24h", "2026-11-20T21:06:59Z"), ClockState::Running);
        assert_eq!(state_at("anm.24h", "2026-11-20T21:07:00Z"), ClockState::Warning6h);
        assert_eq!(state_at("anm.24h", "2026-11-21T01:06:59Z"), ClockState::Warning6h);
        assert_eq!(state_at("anm.24h", "2026-11-21T01:07:00Z"), ClockState::Warning2h);
        assert_eq!(state_at("anm.24h", "2026-11-21T03:07:00Z"), ClockState::Warning2h);
        assert_eq!(state_at("anm.24h", "2026-11-21T03:07:00.001Z"), ClockState::Overdue);
    }

    #[test]
    fn the_hours_are_those_of_the_decree() {
        let all = clocks(&Profile::current(), at("2026-11-20T03:07:00Z"), at("2026-11-20T03:07:00Z"));

        let deadlines: Vec<_> = all.iter().map(|c| (c.id.as_str(), c.deadline.to_string())).collect();

        let hours = |h: &str| format!("2026-11-{h}:07:00Z");
        assert_eq!(
            deadlines,
            [
                ("anm.now", hours("20T03")),
                ("anm.24h", hours("21T03")),
                ("anm.72h", hours("23T03")),
                ("dl.72h", hours("23T03")),
                ("dl.subject72h", hours("23T03")),
            ]
        );
    }

    #[test]
    fn an_immediate_duty_has_no_countdown() {
        assert_eq!(state_at("anm.now", "2026-11-20T03:07:00Z"), ClockState::Immediate);
        assert_eq!(state_at("anm.now", "2026-11-25T03:07:00Z"), ClockState::Immediate);
    }

    #[test]
    fn only_the_72_hour_report_binds_without_a_condition() {
        let all = clocks(&Profile::current(), at("2026-11-20T03:07:00Z"), at("2026-11-20T04:00:00Z"));

        let always: Vec<_> = all.iter().filter(|c| !c.conditional).map(|c| c.id.as_str()).collect();

        assert_eq!(always, ["anm.72h"]);
    }

    #[test]
    fn an_incident_from_before_the_decree_has_only_the_older_clocks() {
        let t0 = at("2026-07-01T00:00:00Z");

        let ids: Vec<_> = clocks(&Profile::current(), t0, t0).into_iter().map(|c| c.id).collect();

        assert_eq!(ids, ["dl.72h", "dl.subject72h"]);
    }

    #[test]
    fn json_has_stable_names() {
        let all = clocks(&Profile::current(), at("2026-11-20T03:07:00Z"), at("2026-11-20T04:07:00Z"));

        let json = serde_json::to_value(&all[2]).unwrap();

        assert_eq!(json["id"], "anm.72h");
        assert_eq!(json["state"], "running");
        assert_eq!(json["remaining_seconds"], 71 * 3600);
        assert_eq!(json["deadline"], "2026-11-23T03:07:00Z");
    }
}
