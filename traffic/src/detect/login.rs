//! Guessed passwords: many short conversations with one service that asks for one, or one URL that turns a client away again and
//! again.
//!
//! Not seen: a form that answers a wrong password with 200, guesses of many clients together, and mail and database services, which
//! honest clients call as often and as briefly.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use khien_core::{
    Untrusted,
    detection::{Pattern, TrafficSubject},
    event::{Application, Transport},
    net::Service,
    policy::network::BruteForce,
    traffic::{Ends, Flow, FlowEnd, Http},
};

use super::{
    seen::{facts, facts_of, is_unanswered, ms},
    table::Table,
};

/// Pairs of client and service that are remembered.
const MAX_PAIRS: usize = 4_096;
/// A session in which somebody works is longer than this; one that ends after wrong passwords is not.
const SHORT_MS: i64 = 60_000;
/// And it carries more: key exchange and some refusals take two to five thousand bytes each way.
const SMALL: u64 = 6_000;
/// A letter over SMTP carries more than this to the server, a refused log-in under TLS less.
const SMALL_SUBMISSION: u64 = 1_500;
/// The most bytes of a URL that tell it from others.
const MAX_URL: usize = 256;

/// Finds guessing.
#[derive(Debug)]
pub(super) struct Logins {
    sessions: Table<(IpAddr, SocketAddr), Times>,
    refusals: Table<(IpAddr, SocketAddr, Vec<u8>), Times>,
}

impl Logins {
    pub(super) fn new() -> Self {
        Self { sessions: Table::new(MAX_PAIRS), refusals: Table::new(MAX_PAIRS) }
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.sessions.take_evicted() + self.refusals.take_evicted()
    }

    /// Takes a flow that was told.
    pub(super) fn see(&mut self, rule: BruteForce, ends: &Ends, flow: &Flow) -> Option<TrafficSubject> {
        let small = asks_for_password(ends, flow.application)?;
        let is_short = ms(flow.last).saturating_sub(ms(flow.first)) <= SHORT_MS
            && flow.ended != FlowEnd::Ongoing
            && flow.to_server.payload <= small
            && flow.to_client.payload <= SMALL;
        if !is_short || is_unanswered(ends, flow) || flow.to_server.payload == 0 {
            return None;
        }
        let key = (ends.client.ip(), ends.server);
        let (attempts, seconds) = self.sessions.entry(&key, Times::default).note(ms(flow.first), rule)?;
        self.sessions.remove(&key);
        let what = Pattern::BruteForce { attempts, seconds, application: flow.application };
        Some(TrafficSubject {
            what,
            client: ends.client.ip(),
            server: Some(ends.server.ip()),
            service: Some(Service::at(ends.server, ends.transport)),
            name: None,
            flows: vec![facts_of(ends, flow)],
        })
    }

    /// Takes an exchange. One that is let in ends the count: log-ins of Windows are refused once before each success.
    pub(super) fn see_http(
        &mut self,
        rule: BruteForce,
        at: i64,
        ends: &Ends,
        http: &Http,
    ) -> Option<TrafficSubject> {
        let status = http.status?;
        let path = path(http);
        let key = (ends.client.ip(), ends.server, path.clone());
        if !matches!(status, 401 | 403) {
            if status < 400 {
                self.refusals.remove(&key);
            }
            return None;
        }
        let (attempts, seconds) = self.refusals.entry(&key, Times::default).note(at, rule)?;
        self.refusals.remove(&key);
        let mut flow = facts(ends, Application::Http, http.host.clone());
        flow.url = Some(Untrusted::new(path.clone()));
        Some(TrafficSubject {
            what: Pattern::BruteForce { attempts, seconds, application: Application::Http },
            client: ends.client.ip(),
            server: Some(ends.server.ip()),
            service: Some(Service::at(ends.server, ends.transport)),
            name: Some(Untrusted::new(path)),
            flows: vec![flow],
        })
    }
}

/// Returns how much a refused log-in sends at most, if the service asks for a password.
fn asks_for_password(ends: &Ends, application: Application) -> Option<u64> {
    if ends.transport != Transport::Tcp {
        return None;
    }
    let by_port = match ends.server.port() {
        22 | 21 | 23 | 2323 | 3389 | 445 | 5900 => Some(SMALL),
        465 | 587 => Some(SMALL_SUBMISSION),
        _ => None,
    };
    match application {
        Application::Ssh | Application::Telnet | Application::Ftp | Application::Rdp | Application::Smb => {
            Some(SMALL)
        }
        _ => by_port,
    }
}

/// Returns the host and the path of a request, without what stands behind `?`.
fn path(http: &Http) -> Vec<u8> {
    let raw = |part: &Option<Untrusted>| part.as_ref().map(|p| p.raw().to_vec()).unwrap_or_default();
    let uri = raw(&http.uri);
    let path = uri.split(|b| *b == b'?').next().unwrap_or_default();
    let mut whole = raw(&http.host);
    // A request to a proxy names the host in its target too.
    if path.starts_with(b"/") {
        whole.extend_from_slice(path)
    } else {
        whole = path.to_vec()
    }
    whole.truncate(MAX_URL);
    whole
}

/// The newest attempts.
#[derive(Debug, Default)]
struct Times(VecDeque<i64>);

impl Times {
    /// Notes an attempt; returns how many there were in how many seconds once there are enough.
    fn note(&mut self, at: i64, rule: BruteForce) -> Option<(u64, u64)> {
        let place = self.0.iter().rposition(|t| *t <= at).map_or(0, |p| p + 1);
        self.0.insert(place, at);
        let most = rule.attempts.get() as usize;
        while self.0.len() > most {
            self.0.pop_front();
        }
        let took = self.0.back()?.saturating_sub(*self.0.front()?);
        let is_enough = self.0.len() == most && took <= i64::from(rule.seconds.get()) * 1_000;
        is_enough.then(|| (most as u64, (took.max(0).unsigned_abs()).div_ceil(1_000).max(1)))
    }
}
