//! What one agent may send: so much at once, and so much as time goes by. One captured agent can neither fill the disk
//! nor keep the hub busy, and an honest one in its worst hour is not cut.
//!
//! Nothing is lost by it. What is over is refused with 429 and `Retry-After`, and stays in the agent's spool; what would
//! be one more new alert than its share is kept as a record and counted in one alert about the agent.
//!
//! ```text
//! what one captured agent can put on the hub's disk          at once      then
//!   records (bodies; beside each ~150 B of index)            256 MiB      512 MiB a day
//!   alerts: twice the record, as a row and in the log        512 MiB      1 GiB a day
//!   rows: records and alerts                                 60,000       100 a second; alerts 10,000, then 1,000 an hour
//!   evidence, only under orders that an operator signed      4 GiB        4 GiB a day
//!   evidence that never became whole                         64 MiB for each of its orders, until a day after its mandate
//! ```
//! The accounts are in memory: after a start of the hub, which no agent can cause, everybody has their burst again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use khien_core::AgentId;

use crate::fault::Fault;

const DAY: f64 = 86_400.0;
/// How often the team is told again that an agent sends more than its share.
const SAY_AGAIN: Duration = Duration::from_secs(600);
/// The longest time an agent is told to wait; it then learns how things stand.
const LONGEST: u64 = 300;

/// So much at once, and so much a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: f64,
    pub(crate) per_second: f64,
}

/// What one agent may send.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    /// Requests of any kind.
    pub(crate) requests: Rate,
    /// Records: one web shell may be seen 5,000 times in three seconds, and a spool may hold a night.
    pub(crate) records: Rate,
    /// Bytes of records.
    pub(crate) bytes: Rate,
    /// Bytes of evidence.
    pub(crate) evidence: Rate,
    /// Alerts that were not there before.
    pub(crate) alerts: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let mib = f64::from(1 << 20);
        Self {
            requests: Rate { burst: 3_000.0, per_second: 100.0 },
            records: Rate { burst: 60_000.0, per_second: 100.0 },
            bytes: Rate { burst: 256.0 * mib, per_second: 512.0 * mib / DAY },
            evidence: Rate { burst: 4_096.0 * mib, per_second: 4_096.0 * mib / DAY },
            alerts: Rate { burst: 10_000.0, per_second: 1_000.0 / 3_600.0 },
        }
    }
}

/// What is left of a rate.
struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst, at: now }
    }

    /// Fills it for the time that went by and returns how long until so much is in it.
    fn wait_for(&mut self, wanted: f64, now: Instant) -> Duration {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = self.rate.per_second.mul_add(gone, self.left).min(self.rate.burst);
        self.at = now;
        // One request above the whole burst is let through when the bucket is full, and paid for afterwards.
        let missing = wanted.min(self.rate.burst) - self.left;
        match missing > 0.0 {
            true => Duration::try_from_secs_f64(missing / self.rate.per_second).unwrap_or(Duration::MAX),
            false => Duration::ZERO,
        }
    }

    fn pay(&mut self, what: f64) {
        self.left -= what;
    }
}

struct Account {
    requests: Bucket,
    records: Bucket,
    bytes: Bucket,
    evidence: Bucket,
    alerts: Bucket,
    told: Option<Instant>,
}

/// The accounts of all agents: one for each that was admitted.
pub(crate) struct Quotas {
    rates: Rates,
    accounts: Mutex<HashMap<AgentId, Account>>,
}

impl Quotas {
    /// Begins with everybody's burst.
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, accounts: Mutex::default() }
    }

    /// Counts a request, before its body is read.
    pub(crate) fn request(&self, agent: AgentId, now: Instant) -> Result<(), Fault> {
        self.with(agent, now, |a| pay(&mut [(&mut a.requests, 1.0)], now))
    }

    /// Counts the records of a batch: all of it or nothing.
    pub(crate) fn batch(
        &self,
        agent: AgentId,
        records: usize,
        bytes: usize,
        now: Instant,
    ) -> Result<(), Fault> {
        let (records, bytes) = (amount(records), amount(bytes));
        self.with(agent, now, |a| pay(&mut [(&mut a.records, records), (&mut a.bytes, bytes)], now))
    }

    /// Counts a piece of evidence.
    pub(crate) fn evidence(&self, agent: AgentId, bytes: usize, now: Instant) -> Result<(), Fault> {
        self.with(agent, now, |a| pay(&mut [(&mut a.evidence, amount(bytes))], now))
    }

    /// Counts a new alert and tells whether it may be one of its own.
    pub(crate) fn new_alert(&self, agent: AgentId, now: Instant) -> bool {
        self.with(agent, now, |a| pay(&mut [(&mut a.alerts, 1.0)], now)).is_ok()
    }

    /// Tells whether the team is to hear now that an agent sends too much, and notes that it did.
    pub(crate) fn is_news(&self, agent: AgentId, now: Instant) -> bool {
        self.with(agent, now, |a| {
            let lately = a.told.is_some_and(|told| now.saturating_duration_since(told) < SAY_AGAIN);
            if !lately {
                a.told = Some(now);
            }
            !lately
        })
    }

    fn with<T>(&self, agent: AgentId, now: Instant, work: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &self.rates;
        work(accounts.entry(agent).or_insert_with(|| Account {
            requests: Bucket::full(r.requests, now),
            records: Bucket::full(r.records, now),
            bytes: Bucket::full(r.bytes, now),
            evidence: Bucket::full(r.evidence, now),
            alerts: Bucket::full(r.alerts, now),
            told: None,
        }))
    }
}

/// Takes from every bucket, or from none and says when to come again.
fn pay(from: &mut [(&mut Bucket, f64)], now: Instant) -> Result<(), Fault> {
    let wait = from.iter_mut().map(|(bucket, what)| bucket.wait_for(*what, now)).max().unwrap_or_default();
    if !wait.is_zero() {
        return Err(Fault::TooMuch { seconds: wait.as_secs().saturating_add(1).min(LONGEST) });
    }
    from.iter_mut().for_each(|(bucket, what)| bucket.pay(*what));
    Ok(())
}

fn amount(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId([1; 32]);

    fn quotas(alerts: Rate) -> Quotas {
        Quotas::new(Rates { records: Rate { burst: 10.0, per_second: 2.0 }, alerts, ..Rates::default() })
    }

    fn waits(result: Result<(), Fault>) -> u64 {
        match result {
            Err(Fault::TooMuch { seconds }) => seconds,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_over_waits_just_as_long_as_it_takes_and_another_agent_does_not() {
        let quotas = quotas(Rates::default().alerts);
        let now = Instant::now();

        assert!(quotas.batch(AGENT, 8, 100, now).is_ok());
        assert_eq!(waits(quotas.batch(AGENT, 6, 100, now)), 3);
        assert!(quotas.batch(AGENT, 2, 100, now).is_ok());
        assert!(quotas.batch(AgentId([2; 32]), 10, 100, now).is_ok());
        assert!(quotas.batch(AGENT, 6, 100, now + Duration::from_secs(3)).is_ok());
    }

    #[test]
    fn a_batch_above_the_whole_burst_is_not_refused_forever() {
        let quotas = quotas(Rates::default().alerts);
        let now = Instant::now();

        assert!(quotas.batch(AGENT, 20, 1, now).is_ok());
        assert_eq!(waits(quotas.batch(AGENT, 20, 1, now)), 11);
        assert!(quotas.batch(AGENT, 20, 1, now + Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn five_thousand_alerts_in_three_seconds_are_all_their_own() {
        let quotas = Quotas::new(Rates::default());
        let now = Instant::now();

        assert!((0..5).all(|_| quotas.batch(AGENT, 1_000, 2 << 20, now).is_ok()));
        assert!((0..5_000).all(|_| quotas.new_alert(AGENT, now)));
    }

    #[test]
    fn beyond_the_share_no_alert_is_its_own_and_the_team_hears_of_it_once() {
        let quotas = quotas(Rate { burst: 2.0, per_second: 0.001 });
        let now = Instant::now();

        let own: Vec<bool> = (0..4).map(|_| quotas.new_alert(AGENT, now)).collect();

        assert_eq!(own, [true, true, false, false]);
        assert!(quotas.is_news(AGENT, now));
        assert!(!quotas.is_news(AGENT, now + Duration::from_secs(60)));
        assert!(quotas.is_news(AGENT, now + SAY_AGAIN));
    }
}
