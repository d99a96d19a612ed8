//! How much of the host scanning may take. Pure: callers pass the time, what was used, and what others need.
//!
//! While nobody else needs the host, a scan is never held back and nothing counts. While others need its processors or its
//! disks, the agent and its workers live on an allowance of each, which the policy sets and which is saved up for at most a
//! minute: a short burst is never held back. While others need memory, both hold.

use std::time::{Duration, Instant};

use khien_core::policy::Budget;

use super::{host::Short, usage::Used};

/// Seconds for which an allowance is saved up.
const SAVED: f64 = 60.0;
/// Seconds for which a debt is remembered: a large file takes its minute, whoever waits.
const OWED: f64 = 300.0;

/// Keeps the accounts.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    /// Seconds of one processor.
    cpu: Account,
    /// Bytes read from disks.
    disk: Account,
    last: Option<Instant>,
    shut: Option<Shut>,
}

/// Scans wait.
#[derive(Debug, Clone, Copy)]
struct Shut {
    since: Instant,
    /// For so long at most.
    longest: Duration,
}

/// Whether scans may go on, and what they had too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) open: bool,
    /// Of what others need, that of which the agent's allowance is used up.
    pub(crate) used_up: Short,
}

impl Governor {
    /// Takes note of what the agent and its workers have used since the last call and of what others needed then, and tells
    /// whether scans may go on.
    pub(crate) fn judge(&mut self, budget: &Budget, used: &Used, short: Short, now: Instant) -> Verdict {
        let before = self.last.replace(now).unwrap_or(now);
        let seconds = now.saturating_duration_since(before).as_secs_f64();
        let cpu = f64::from(budget.cpu_percent.get()) / 100.0;
        let disk = f64::from(budget.io_mb_per_second.get()) * 1e6;
        let spent_cpu = if short.processors || short.memory { Some(used.cpu.as_secs_f64()) } else { None };
        let spent_disk = if short.disk || short.memory { Some(used.read as f64) } else { None };
        let has_cpu = self.cpu.pays(spent_cpu, cpu, seconds);
        let has_disk = self.disk.pays(spent_disk, disk, seconds);
        let paid = (spent_cpu.unwrap_or(0.0) / cpu).max(spent_disk.unwrap_or(0.0) / disk);
        let open = has_cpu && has_disk || self.waited_long_enough(now);
        self.shut = if open { None } else { self.shut.or_else(|| Some(Shut::new(now, paid, cpu))) };
        let used_up = Short {
            processors: short.processors && !has_cpu,
            disk: short.disk && !has_disk,
            memory: short.memory && !(has_cpu && has_disk),
        };
        Verdict { open, used_up }
    }

    fn waited_long_enough(&self, now: Instant) -> bool {
        self.shut.is_some_and(|shut| now.saturating_duration_since(shut.since) >= shut.longest)
    }
}

impl Shut {
    /// However deep the debt is, scans go on for a second once they have waited until the allowance has paid for what the
    /// last such second took, and at least for one second of a processor: a host that is kept busy on purpose, or traffic
    /// that takes more than the allowance, must not end them.
    fn new(since: Instant, paid: f64, cpu: f64) -> Self {
        let least = 1.0 / cpu;
        Self { since, longest: Duration::from_secs_f64(paid.clamp(least, OWED.max(least)) - 1.0) }
    }
}

/// What may still be used of one thing; none before the first look.
#[derive(Debug, Default)]
struct Account(Option<f64>);

impl Account {
    /// Earns for some seconds, pays what was spent while others needed the thing, and tells whether there is no debt. When
    /// nobody needs it, nothing is spent and old debts are forgotten.
    fn pays(&mut self, spent: Option<f64>, each_second: f64, seconds: f64) -> bool {
        let most = each_second * SAVED;
        let had = self.0.unwrap_or(most).min(most);
        let had = spent.map_or(had.max(0.0), |spent| had - spent);
        let has = (had + each_second * seconds).clamp(-each_second * OWED, most);
        self.0 = Some(has);
        has >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// What a disk that nobody else uses gives in a second.
    const ALL: u64 = 150_000_000;
    const NOTHING: Short = Short { processors: false, disk: false, memory: false };
    const PROCESSORS: Short = Short { processors: true, ..NOTHING };
    const DISK: Short = Short { disk: true, ..NOTHING };
    const MEMORY: Short = Short { memory: true, ..NOTHING };

    fn used(cpu: Duration, read: u64) -> Used {
        Used { cpu, read }
    }

    fn percent(number: u32) -> Budget {
        Budget { cpu_percent: khien_core::policy::Within::new(number).unwrap(), ..Budget::default() }
    }

    /// Plays an hour in which the agent always uses so much of each second, and this when it may scan; returns the share of
    /// seconds in which it may.
    fn share(budget: &Budget, always: Used, scanning: Used, short: Short) -> f64 {
        let (mut governor, begun, mut last, mut scans) = (Governor::default(), Instant::now(), always, 0);
        for second in 0..3_600 {
            let verdict = governor.judge(budget, &last, short, begun + SECOND * second);
            last = if verdict.open { scanning } else { always };
            scans += u32::from(verdict.open);
        }
        f64::from(scans) / 3_600.0
    }

    fn shares_processor(budget: &Budget, always: Duration, short: Short) -> f64 {
        share(budget, used(always, 0), used(SECOND, 0), short)
    }

    #[test]
    fn while_others_need_processors_scanning_takes_what_the_policy_says_and_never_stops() {
        let usual = Budget::default();
        let busy = shares_processor(&usual, Duration::ZERO, PROCESSORS);

        assert!((0.045..=0.056).contains(&busy), "{busy}");
        assert!((shares_processor(&usual, Duration::ZERO, MEMORY) - busy).abs() < f64::EPSILON);
        let beside_traffic = shares_processor(&usual, SECOND / 2, PROCESSORS);
        assert!(
            (0.045..=0.056).contains(&beside_traffic),
            "traffic alone uses more than the allowance: {beside_traffic}"
        );
        let two_workers = 2.0 * share(&usual, Used::default(), used(SECOND * 2, 0), PROCESSORS);
        assert!((0.045..=0.056).contains(&two_workers), "{two_workers}");
        for (number, least, most) in [(1, 0.009, 0.014), (20, 0.18, 0.22), (50, 0.45, 0.56), (100, 1.0, 1.0)]
        {
            let busy = shares_processor(&percent(number), Duration::ZERO, PROCESSORS);
            assert!((least..=most).contains(&busy), "{number} %: {busy}");
        }
    }

    #[test]
    fn while_others_need_a_disk_scanning_reads_what_the_policy_says() {
        let reads = |all: u64, short| {
            let budget = Budget::default();
            share(&budget, Used::default(), used(Duration::ZERO, all), short) * all as f64 / 1e6
        };

        let busy = reads(50_000_000, DISK);
        assert!((4.5..=6.0).contains(&busy), "{busy} MB a second");
        assert!((reads(50_000_000, MEMORY) - busy).abs() < f64::EPSILON);
        assert!((reads(ALL, PROCESSORS) - 150.0).abs() < 1e-6, "who waits for processors needs no disk");
        assert!((reads(ALL, NOTHING) - 150.0).abs() < 1e-6);
    }

    #[test]
    fn on_an_idle_host_nothing_is_held_back() {
        let all = used(SECOND * 4, ALL);
        assert!((share(&percent(1), all, all, NOTHING) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_short_burst_is_never_held_back() {
        let (mut governor, now, usual) = (Governor::default(), Instant::now(), Budget::default());
        let mut open = |cpu, read, second| {
            governor.judge(
                &usual,
                &used(SECOND * cpu, read),
                Short { disk: true, ..PROCESSORS },
                now + SECOND * second,
            )
        };

        assert!(open(2, 250_000_000, 0).open);
        assert!(!open(4, 0, 1).open);
    }

    #[test]
    fn what_was_used_while_nobody_needed_it_leaves_the_whole_allowance() {
        let (mut governor, now, usual) = (Governor::default(), Instant::now(), Budget::default());
        for second in 0..100 {
            assert!(governor.judge(&usual, &used(SECOND * 2, ALL), NOTHING, now + SECOND * second).open);
        }

        assert!(governor.judge(&usual, &used(SECOND * 2, 0), PROCESSORS, now + SECOND * 100).open);
    }

    #[test]
    fn when_the_host_is_free_again_old_debts_are_forgotten() {
        let (mut governor, now, usual) = (Governor::default(), Instant::now(), Budget::default());
        assert!(!governor.judge(&usual, &used(SECOND * 100, ALL * 100), PROCESSORS, now).open);

        assert!(governor.judge(&usual, &used(SECOND, ALL), NOTHING, now + SECOND).open);
        assert!(governor.judge(&usual, &Used::default(), PROCESSORS, now + SECOND * 2).open);
    }

    #[test]
    fn what_is_used_up_is_named_and_only_if_others_need_it() {
        let usual = Budget::default();
        let named =
            |used: Used, short| Governor::default().judge(&usual, &used, short, Instant::now()).used_up;
        let (much, read) = (used(SECOND * 10, 0), used(Duration::ZERO, ALL * 10));

        assert_eq!(named(much, PROCESSORS), PROCESSORS);
        assert_eq!(named(read, DISK), DISK);
        assert_eq!(named(read, MEMORY), MEMORY);
        assert_eq!(
            named(read, Short { disk: true, memory: true, processors: true }),
            Short { disk: true, ..MEMORY }
        );
        assert_eq!(named(read, PROCESSORS), NOTHING);
        assert_eq!(named(used(SECOND * 10, ALL * 10), NOTHING), NOTHING);
    }

    #[test]
    fn a_pack_with_a_smaller_budget_holds_from_its_first_second_on() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        assert!(governor.judge(&percent(100), &Used::default(), PROCESSORS, now).open);

        assert!(!governor.judge(&percent(1), &used(SECOND, 0), PROCESSORS, now + SECOND).open);
    }
}
