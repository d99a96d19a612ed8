//! Capture where nobody chose interfaces: loopback and those of the default routes, whichever these become. A host may get its
//! route after the agent starts, or another one when a cable, a card or a tunnel fails.
//!
//! A new interface has capture begin anew with it: flows that go on are picked up again, and for how long nothing was seen is told.
//! One that loses its route stays watched. One that is not there any more leaves, with all that was stated of it: at once where
//! capture begins anew, else after a while, as a tunnel that is only made again keeps its place.

use std::{
    collections::HashMap,
    panic,
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp, Untrusted,
    asset::{Sensor, Sight},
    protocol::Report,
    reason::Reason,
};
use tokio::{sync::watch, task::JoinHandle};
use tracing::info;

use super::{
    Lasting, Links, MAX_INTERFACES, NetConfig, StreamScanner,
    analyse::stopped,
    coverage,
    interface::{LOOPBACK, There},
    start_anew,
};

/// How often the routes are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how long an interface that is not there is waited for: until then it is stated as blind.
const GONE_FOR: Duration = Duration::from_secs(600);
/// What is blind while no interface is known.
const SCOPE: &str = "default route";

/// Follows the interfaces that `look` names, with everything else as it is configured.
pub(crate) struct Roaming<S, L> {
    /// Everything but the interfaces.
    pub(crate) config: NetConfig,
    /// Scans what traffic carried.
    pub(crate) scanner: Arc<S>,
    /// What capture shares with the rest of the agent.
    pub(crate) links: Links,
    /// Returns which interfaces there are, and which of them are loopback and those of the default routes.
    pub(crate) look: L,
    /// How often that is asked.
    pub(super) every: Duration,
    /// For how long one that is not there is waited for.
    pub(super) gone_for: Duration,
    watched: Watched,
    lasting: Lasting,
}

/// The interfaces that are watched.
#[derive(Debug, Default)]
struct Watched {
    names: Vec<String>,
    /// Since when some of them are not there.
    gone: HashMap<String, Instant>,
}

/// What changed of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    /// Whether there is a new one.
    is_new: bool,
    /// Those that are not watched any more.
    left: Vec<String>,
}

/// Capture of some interfaces.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl<S: StreamScanner, L: Fn() -> There + Send + Sync + 'static> Roaming<S, L> {
    /// Begins with no interface yet.
    pub(crate) fn new(config: NetConfig, scanner: Arc<S>, links: Links, look: L) -> Self {
        let (watched, lasting) = (Watched::default(), Lasting::default());
        Self { config, scanner, links, look, every: LOOK_EVERY, gone_for: GONE_FOR, watched, lasting }
    }

    /// Starts capture as [`start`](super::start) does, and returns the task that ends after shutdown.
    pub(crate) async fn start(mut self) -> Option<JoinHandle<()>> {
        self.look_around();
        let running = self.begin().await?;
        Some(tokio::spawn(self.run(running)))
    }

    async fn run(mut self, mut running: Running) {
        let mut shutdown = self.links.shutdown.clone();
        loop {
            tokio::select! {
                () = stopped(&mut shutdown) => return running.stop().await,
                ended = &mut running.task => return passed_on(ended),
                () = tokio::time::sleep(self.every) => {}
            }
            let mut before = self.watched.names.clone();
            if !self.look_around() {
                continue;
            }
            before.retain(|name| self.watched.names.contains(name));
            let from = Timestamp::now();
            self.sight(&before, false);
            info!(interfaces = ?self.watched.names, "capture begins anew, there is another default route");
            running.stop().await;
            let Some(begun) = self.begin().await else { return };
            running = begun;
            self.was_away(before, from).await;
        }
    }

    /// Takes in which interfaces there are now; `false` if none is new. States whether any but loopback is known.
    fn look_around(&mut self) -> bool {
        let Change { is_new, left } = self.watched.look((self.look)(), (Instant::now(), self.gone_for));
        for name in left {
            info!(interface = %name, "an interface is not there any more, it is not watched any more");
            self.lasting.give_up(&name);
            self.links.forget(&name);
        }
        let is_blind = self.watched.names.iter().all(|name| name == LOOPBACK);
        match is_blind {
            true => self.links.cover(coverage(SCOPE, Sight::Blind, Some(Reason::NoDefaultRoute))),
            false => {
                self.links.meter.uncover(Sensor::Network, &Untrusted::from(SCOPE));
                self.sight(&[SCOPE.to_owned()], true);
            }
        }
        is_new
    }

    /// Has the records say whether interfaces are looked at; where capture begins again its sensors say so.
    fn sight(&self, interfaces: &[String], sees: bool) {
        if let Some(records) = &self.links.records {
            interfaces.iter().for_each(|interface| records.sight(interface, sees));
        }
    }

    /// Tells for how long interfaces were not looked at.
    async fn was_away(&self, interfaces: Vec<String>, from: Timestamp) {
        let until = Timestamp::now();
        for interface in interfaces {
            let (scope, cause) = (Untrusted::from(interface.as_str()), Reason::InterfaceAway);
            // Nobody hears it only if the agent ends.
            let _ = self.links.reports.send(Report::Blind { scope, cause, from, until, lost: None }).await;
        }
    }

    async fn begin(&mut self) -> Option<Running> {
        let (stop, shutdown) = watch::channel(false);
        let links = Links { shutdown, ..self.links.clone() };
        let config = NetConfig { interfaces: self.watched.names.clone(), ..self.config.clone() };
        let task = start_anew(config, Arc::clone(&self.scanner), links, &mut self.lasting).await?;
        Some(Running { stop, task })
    }
}

impl Watched {
    /// Takes in which interfaces there are at a moment, and how long one is waited for that is not there.
    fn look(&mut self, there: There, (now, gone_for): (Instant, Duration)) -> Change {
        let There { routed, all } = there;
        // Where it cannot be told what there is, all is.
        let is_gone = |name: &String| {
            name != LOOPBACK && !routed.contains(name) && all.as_ref().is_some_and(|all| !all.contains(name))
        };
        self.gone.retain(|name, _| is_gone(name));
        for name in self.names.iter().filter(|name| is_gone(name)) {
            self.gone.entry(name.clone()).or_insert(now);
        }
        let new: Vec<_> = routed.iter().filter(|name| !self.names.contains(name)).cloned().collect();
        let is_new = !new.is_empty();
        let is_over = |since: &Instant| is_new || now.duration_since(*since) >= gone_for;
        let leaves = |name: &String| self.gone.get(name).is_some_and(is_over);
        let (mut left, mut names): (Vec<_>, Vec<_>) = self.names.drain(..).partition(leaves);
        names.extend(new);
        left.extend(over(&mut names, &routed));
        self.names = names;
        self.gone.retain(|name, _| !left.contains(name));
        Change { is_new, left }
    }
}

/// Takes out what is too much: of those without a route the ones that were watched first.
fn over(names: &mut Vec<String>, routed: &[String]) -> Vec<String> {
    let mut most = names.len().saturating_sub(MAX_INTERFACES);
    let makes_room = |name: &mut String| {
        let makes_room = most > 0 && !routed.contains(name);
        most -= usize::from(makes_room);
        makes_room
    };
    names.extract_if(.., makes_room).collect()
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        passed_on(self.task.await);
    }
}

/// Goes down with capture if that panicked: half a sensor must not look like a whole one.
fn passed_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        panic::resume_unwind(error.into_panic());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(routed: &[&str], others: &[&str]) -> There {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = owned(routed).into_iter().chain(owned(others)).collect();
        There { routed: owned(routed), all: Some(all) }
    }

    /// Looks around a second later each time, and tells what changed and what is watched then.
    fn looked(looks: &[There]) -> Vec<(Change, String)> {
        let (begun, mut watched) = (Instant::now(), Watched::default());
        let look = |(second, there): (u64, &There)| {
            let now = begun + Duration::from_secs(second);
            let change = watched.look(there.clone(), (now, Duration::from_secs(2)));
            (change, watched.names.join(" "))
        };
        (0..).zip(looks).map(look).collect()
    }

    fn change(is_new: bool, left: &[&str]) -> Change {
        Change { is_new, left: left.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn an_interface_without_its_route_stays_and_one_that_is_gone_for_long_leaves() {
        let both = there(&["lo", "eth0"], &[]);
        let no_route = there(&["lo"], &["eth0"]);
        let gone = there(&["lo"], &[]);

        let all = looked(&[both, no_route, gone.clone(), gone.clone(), gone]);

        let names: Vec<_> = all.iter().map(|(_, names)| names.as_str()).collect();
        assert_eq!(names, ["lo eth0", "lo eth0", "lo eth0", "lo eth0", "lo"]);
        assert_eq!(all[3].0, change(false, &[]));
        assert_eq!(all[4].0, change(false, &["eth0"]));
    }

    #[test]
    fn one_that_comes_back_in_time_stays_and_is_waited_for_anew() {
        let (up, gone) = (there(&["lo", "tun0"], &[]), there(&["lo"], &[]));

        let all = looked(&[up.clone(), gone.clone(), gone.clone(), up, gone.clone(), gone]);

        assert_eq!(all[0].0, change(true, &[]));
        assert!(all[1..].iter().all(|(change, names)| *change == Change::default() && names == "lo tun0"));
    }

    #[test]
    fn where_capture_begins_anew_all_that_are_gone_leave_at_once() {
        let looks: Vec<_> = (0..100).map(|n| there(&["lo", &format!("tun{n}")], &[])).collect();

        let all = looked(&looks);

        assert_eq!(all[99], (change(true, &["tun98"]), "lo tun99".to_owned()));
    }

    #[test]
    fn of_too_many_those_without_a_route_make_room_for_the_one_that_has_it() {
        let names: Vec<_> = (0..40).map(|n| format!("eth{n}")).collect();
        let others: Vec<_> = names.iter().map(String::as_str).collect();
        let looks: Vec<_> = names.iter().map(|name| there(&["lo", name], &others)).collect();

        let all = looked(&looks);

        assert!(all.iter().all(|(_, names)| names.split(' ').count() <= MAX_INTERFACES));
        assert_eq!(all[39].0, change(true, &["eth8"]));
        assert!(all[39].1.starts_with("lo eth9 ") && all[39].1.ends_with(" eth39"), "{}", all[39].1);
    }

    #[test]
    fn where_it_cannot_be_told_what_there_is_nothing_leaves() {
        let unknown = There { all: None, ..there(&["lo"], &[]) };

        let all = looked(&[
            there(&["lo", "eth0"], &[]),
            unknown.clone(),
            unknown.clone(),
            unknown.clone(),
            unknown,
        ]);

        assert_eq!(all[4], (change(false, &[]), "lo eth0".to_owned()));
    }
}
