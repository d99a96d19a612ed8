//! What costs the hub much for an operator: to take in a piece of evidence or a capture, to open evidence, to give it out. So many
//! go on at once for each operator and for all; the next ones wait for a moment, and then are refused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use khien_core::{Sha256, problem::Cause};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{fault::Fault, limits};

/// The jobs of all operators.
pub(crate) struct Jobs {
    limits: limits::Jobs,
    all: Arc<Semaphore>,
    /// One for each operator who had any.
    own: Mutex<HashMap<Sha256, Arc<Semaphore>>>,
}

/// A job that goes on until this is dropped. Whoever works on hands it to the thread that does.
pub(crate) struct Job {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Jobs {
    /// Begins with none.
    pub(crate) fn new(limits: limits::Jobs) -> Self {
        Self { all: Arc::new(Semaphore::new(limits.all)), own: Mutex::default(), limits }
    }

    /// Begins one for an operator as soon as there is room, or says why there was none in time.
    pub(crate) async fn begin(&self, operator: Sha256, patience: Duration) -> Result<Job, Fault> {
        let limits::Jobs { per_operator, all } = self.limits;
        let own = timeout(patience, self.of(operator).acquire_owned()).await;
        let Ok(Ok(own)) = own else {
            return Err(Fault::Busy(Cause::OwnTransfers { limit: per_operator as u64 }));
        };
        let common = timeout(patience, Arc::clone(&self.all).acquire_owned()).await;
        let Ok(Ok(common)) = common else {
            return Err(Fault::Busy(Cause::AllTransfers { limit: all as u64 }));
        };
        Ok(Job { _own: own, _all: common })
    }

    /// Returns how many more could begin.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }

    fn of(&self, operator: Sha256) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.entry(operator).or_insert_with(|| Arc::new(Semaphore::new(self.limits.per_operator))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn cause(job: Result<Job, Fault>) -> Option<Cause> {
        match job {
            Err(Fault::Busy(cause)) => Some(cause),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    }

    #[tokio::test]
    async fn one_operator_has_so_many_jobs_and_all_together_no_more_than_the_hub_takes() {
        let jobs = Jobs::new(limits::Jobs { per_operator: 2, all: 3 });
        let [thu, lan] = [Sha256([1; 32]), Sha256([2; 32])];

        let first = jobs.begin(thu, NOW).await.unwrap();
        let _second = jobs.begin(thu, NOW).await.unwrap();
        assert_eq!(cause(jobs.begin(thu, NOW).await), Some(Cause::OwnTransfers { limit: 2 }));
        let _third = jobs.begin(lan, NOW).await.unwrap();
        assert_eq!(cause(jobs.begin(lan, NOW).await), Some(Cause::AllTransfers { limit: 3 }));
        drop(first);

        assert_eq!(cause(jobs.begin(lan, NOW).await), None, "a job that ended leaves its room");
    }
}
