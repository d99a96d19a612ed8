//! An ordered scan that goes on: its counts, its pace, and when it is over.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp, Untrusted,
    asset::ScanProgress,
    event::ScanOutcome,
    mandate::MAX_LIFE,
    order::{Missed, ScanEnd, ScanScope, ScanTotals},
    time::after,
};
use tokio::{sync::watch, time::sleep_until};

use super::{
    super::{pace::Pace, walker::stopped},
    Scanning, Wanted,
};

/// How often the thread looks whether it is to stop, and states how far it is.
const LOOK: Duration = Duration::from_millis(250);

/// A scan that goes on.
pub(super) struct OneScan<'s> {
    pub(super) with: &'s Scanning,
    wanted: &'s Wanted,
    progress: ScanProgress,
    stated: Instant,
    pace: Pace,
    /// Since when it walks without a rest.
    working: Instant,
    /// How long to rest for the scans since then. An operator waits for this walk: it rests less than the one that nobody
    /// waits for.
    owed: Duration,
    /// When it is over, by a clock that does not jump.
    deadline: Instant,
    /// Why it ended before it met everything.
    ended: Option<ScanEnd>,
}

impl<'s> OneScan<'s> {
    /// Begins one now, for as long as there is left.
    pub(super) fn begin(with: &'s Scanning, wanted: &'s Wanted, (now, left): (Timestamp, Duration)) -> Self {
        let path = match &wanted.scope {
            ScanScope::Files(target) => target.path().clone(),
            ScanScope::Memory(_) => Untrusted::none(),
        };
        let until = after(now, left.try_into().unwrap_or(MAX_LIFE));
        let totals = ScanTotals::of(wanted.scope.counted());
        let begun = Instant::now();
        Self {
            with,
            wanted,
            progress: ScanProgress { order: wanted.order, path, since: now, until, totals },
            stated: begun,
            pace: Pace::default(),
            working: begun,
            owed: Duration::ZERO,
            deadline: begun + left,
            ended: None,
        }
    }

    /// Returns why it ended and what it met.
    pub(super) fn ended(self) -> (ScanEnd, ScanTotals) {
        (self.ended.unwrap_or(ScanEnd::Whole), self.progress.totals)
    }
}

impl OneScan<'_> {
    /// Returns the counts.
    pub(super) fn totals(&mut self) -> &mut ScanTotals {
        &mut self.progress.totals
    }

    /// Counts what was scanned, and names it if it was not scanned to its end.
    pub(super) fn count(&mut self, outcome: ScanOutcome, missed: impl FnOnce() -> Missed) {
        self.totals().count(outcome);
        if !matches!(outcome, ScanOutcome::Matched | ScanOutcome::Clean) {
            self.totals().miss(missed());
        }
    }

    /// Waits for what others do, as long as there is time and nobody has the scan stopped. That wait is no work.
    pub(super) fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ScanEnd> {
        let deadline = self.deadline.into();
        let (mut stop, mut shutdown) = (self.wanted.stop.clone(), self.with.shutdown.clone());
        let from = Instant::now();
        let done = self.with.runtime.block_on(async {
            tokio::select! {
                biased;
                // Nobody is answered then.
                () = is_true(&mut shutdown) => Err(ScanEnd::Cut),
                () = is_true(&mut stop) => Err(ScanEnd::Cancelled),
                done = work => Ok(done),
                () = sleep_until(deadline) => Err(ScanEnd::Expired),
            }
        });
        self.working += from.elapsed();
        done
    }

    /// Takes note of how long a worker was kept busy: so long it rests.
    pub(super) fn owes(&mut self, took: Duration) {
        self.owed += took;
    }

    /// States how far it is now and then, rests if it worked for long, and tells whether to go on.
    pub(super) fn go_on(&mut self) -> ControlFlow<()> {
        if self.stated.elapsed() >= LOOK {
            self.state();
        }
        let walked = self.pace.worked(self.working.elapsed(), self.with.meter.percent_while_busy());
        let mut rest = walked + std::mem::take(&mut self.owed);
        while !rest.is_zero() && !self.is_stopped() && Instant::now() < self.deadline {
            let now = rest.min(LOOK);
            thread::sleep(now);
            rest -= now;
        }
        self.working = Instant::now();
        if stopped(&self.with.shutdown) {
            return ControlFlow::Break(());
        }
        match (self.is_stopped(), self.working < self.deadline) {
            (true, _) => self.end(ScanEnd::Cancelled),
            (false, true) => ControlFlow::Continue(()),
            (false, false) => self.end(ScanEnd::Expired),
        }
    }

    /// Ends it; the first reason holds.
    pub(super) fn end(&mut self, why: ScanEnd) -> ControlFlow<()> {
        self.ended.get_or_insert(why);
        ControlFlow::Break(())
    }

    /// Tells whether the agent stops, or an operator has the scan stopped.
    pub(super) fn is_stopped(&self) -> bool {
        stopped(&self.with.shutdown) || *self.wanted.stop.borrow()
    }

    /// States how far it is.
    pub(super) fn state(&mut self) {
        self.stated = Instant::now();
        self.with.meter.scans_as_ordered(Some(self.progress.clone()));
    }
}

/// Waits until somebody says so. Where nobody can any more, for ever.
async fn is_true(said: &mut watch::Receiver<bool>) {
    if said.wait_for(|said| *said).await.is_err() {
        std::future::pending::<()>().await;
    }
}
