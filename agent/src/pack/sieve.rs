//! The sieve of a pack's rules for streams, made beside everything else: what is wrong with it costs scans, never the agent.
//!
//! ```text
//! rules of pack 2 scan ─► the sieve of pack 1 lets all pass ─► lists of pack 2, without a sieve ─► its sieve
//! ```
//! A signed pack was read in a sandboxed worker, or by who compiled it, before it is read here.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use khien_core::bundle::Pack;
use khien_rules::{
    indicator::network::Network,
    sieve::{NoSieve, Sieve},
};
use tokio::{sync::oneshot, time::timeout};

/// How long making it may take; that of the shipped pack takes tens of milliseconds.
const MOST_TIME: Duration = Duration::from_secs(20);
/// How much longer it is waited for: one source of the pack may have been begun.
const GRACE: Duration = Duration::from_secs(10);
/// The stack of who reads the rules: twice that of those who read them before, since how deep they are nested has no bound.
const STACK: usize = 16 << 20;

/// Why there is no sieve.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Without {
    #[error(transparent)]
    None(#[from] NoSieve),
    #[error("a thread for it cannot be started")]
    NoThread,
    #[error("who made it panicked")]
    Panicked,
    #[error("it was not made in time")]
    Late,
}

/// Gives the lists of a pack its sieve when it is made; without one everything is scanned, which is told.
pub(super) async fn give(pack: Arc<Pack>, lists: &Network, scanning: Arc<AtomicU64>) {
    let version = pack.version;
    match made(move || Sieve::of_streams_by(&pack, Instant::now() + MOST_TIME)).await {
        Ok(sieve) => lists.set_streams(sieve.while_scanning_with(version, scanning)),
        Err(why) => tracing::warn!(version, %why, "there is no sieve for traffic, every piece is scanned"),
    }
}

/// Has a sieve made on a thread of its own.
async fn made(make: impl FnOnce() -> Result<Sieve, NoSieve> + Send + 'static) -> Result<Sieve, Without> {
    let (say, said) = oneshot::channel();
    let run = move || {
        let sieve = panic::catch_unwind(AssertUnwindSafe(make));
        // Nobody may wait for it any more.
        let _ = say.send(sieve.map_err(|_| Without::Panicked).and_then(|sieve| Ok(sieve?)));
    };
    let thread = thread::Builder::new().name("sieve".to_owned()).stack_size(STACK);
    thread.spawn(run).map_err(|_| Without::NoThread)?;
    let said = timeout(MOST_TIME + GRACE, said).await.map_err(|_| Without::Late)?;
    said.unwrap_or(Err(Without::Panicked))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use khien_core::{Timestamp, traffic::Lists};
    use khien_rules::base_pack;

    use super::*;

    const PAGE: &[u8] = b"GET /tin-tuc?trang=2 HTTP/1.1\r\nHost: tinh.example\r\nAccept: */*\r\n\r\n";

    fn lists(pack: &Pack) -> Network {
        Network::of(pack, Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn a_sieve_holds_back_only_while_its_own_pack_scans() {
        let scanning = Arc::new(AtomicU64::new(7));
        let pack = Arc::new(Pack { version: 7, ..base_pack(Timestamp::UNIX_EPOCH) });
        let lists = lists(&pack);
        assert!(lists.may_match(PAGE), "without a sieve everything passes");

        give(pack, &lists, Arc::clone(&scanning)).await;
        assert!(!lists.may_match(PAGE));
        // The workers took over the next pack; its lists and its sieve come later.
        scanning.store(8, Ordering::Release);

        assert!(lists.may_match(PAGE));
    }

    #[tokio::test]
    async fn rules_of_which_no_sieve_can_be_made_let_everything_through() {
        let mut pack = base_pack(Timestamp::UNIX_EPOCH);
        let rule = pack.rules.iter().find(|rule| rule.streams).unwrap().yara.clone().unwrap();
        for source in pack.sources.iter_mut().filter(|source| source.text.contains(&rule)) {
            source.text.push_str("\nrule broken { condition: ");
        }
        let lists = lists(&pack);

        give(Arc::new(pack), &lists, Arc::default()).await;

        assert!(lists.may_match(PAGE));
    }

    #[tokio::test]
    async fn a_panic_over_a_sieve_ends_nothing_else() {
        assert_eq!(made(|| panic!("on purpose")).await.unwrap_err(), Without::Panicked);
        assert_eq!(made(|| Err(NoSieve::TooLate)).await.unwrap_err(), Without::None(NoSieve::TooLate));
    }
}
