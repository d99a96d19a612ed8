//! An ordered scan of the memory of processes.

use std::ops::ControlFlow;

use khien_core::{
    Untrusted,
    event::ScanOutcome,
    order::{MemoryTarget, Missed},
    reason::Reason,
};

use super::going::OneScan;
use crate::memory::ordered::{Examined, Examiner};

/// The first process of a host or a container. Where it is not shown, others are not either.
const FIRST: u32 = 1;
/// Where processes are listed.
const LIST: &str = "/proc";

impl OneScan<'_> {
    /// Scans the memory of the processes that are named, or of all that there are when it begins.
    pub(super) fn processes(&mut self, target: &MemoryTarget) -> Result<(), Reason> {
        let memory = self.with.memory.as_ref().ok_or(Reason::MemoryOff)?;
        let (pids, named) = match target.pids() {
            Some(pids) => (pids.iter().copied().collect(), true),
            None => (Examiner::all().ok_or(Reason::NoProcesses)?, false),
        };
        self.state();
        if !named && !pids.contains(&FIRST) {
            self.totals().unread += 1;
            self.totals().miss(Missed::file(&LIST.into(), ScanOutcome::Unreadable));
        }
        for pid in pids {
            let goes_on = match memory.is_own(pid) {
                true => {
                    self.totals().own += 1;
                    ControlFlow::Continue(())
                }
                false => self.process(memory, pid, named),
            };
            if goes_on.is_break() || self.go_on().is_break() {
                break;
            }
        }
        Ok(())
    }

    fn process(&mut self, memory: &Examiner, pid: u32, named: bool) -> ControlFlow<()> {
        let (examined, took) = match self.wait(memory.examine(pid, named)) {
            Ok(done) => done,
            Err(why) => return self.end(why),
        };
        self.owes(took);
        match examined {
            Examined::Scanned { exe, outcome, partly } => {
                self.totals().partly += u64::from(partly);
                self.count(outcome, || Missed::process(pid, &exe, outcome));
            }
            Examined::Nothing if !named => self.totals().without_memory += 1,
            Examined::Nothing | Examined::Closed => {
                let none = Untrusted::none();
                self.count(ScanOutcome::Unreadable, || Missed::process(pid, &none, ScanOutcome::Unreadable));
            }
        }
        ControlFlow::Continue(())
    }
}
