//! Holds what was seen against lists and detectors, and gathers what comes of it for whoever drives the engine.
//!
//! Agents and `khien pcap scan` use the same judge, so both find the same. It never waits: what is to be scanned, hashed or kept
//! lies in its public lists until the caller takes it.

use std::{net::IpAddr, time::Duration};

use khien_core::{
    RuleId, Sha256, Timestamp, Untrusted,
    detection::{FlowSubject, Subject},
    event::{Application, Direction, FlowFacts},
    order::name_in,
    policy::{Network, network::is_shared},
    traffic::{Dns, Ends, Lists, Record, Tls, What},
};

use crate::{
    detect::{Detectors, Finding},
    flow::once::Once,
    sink::{Content, Evasion, Job, Named, Origin, Sink},
};

/// Findings that are remembered, so that each is told once.
const REMEMBERED: usize = 16_384;
/// How long the same question of the same socket is one finding: its answer, and its repetitions.
const SAME_QUESTION: Duration = Duration::from_secs(60);
/// How long the same listed address is one finding of a client: a page opens a dozen connections.
const SAME_ADDRESS: Duration = Duration::from_secs(60);
/// What belongs to a flow or an exchange is told once for good: these are never used twice.
const FOR_GOOD: Duration = Duration::MAX;
/// The most flows that wait to be taken; more are not told as opened, while their records are.
const MAX_OPENED: usize = 65_536;

/// Judges what the engine sees.
#[derive(Debug)]
pub struct Judge<L> {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What was seen, each already judged.
    pub records: Vec<Record>,
    /// What is to be scanned with the rules for streams.
    pub jobs: Vec<Job>,
    /// How many pieces of streams were held back, because no rule can match them.
    pub ruled_out: u64,
    /// Files to hash, and to scan with all rules; [`digest`](Self::digest) takes the digest.
    pub contents: Vec<Content>,
    /// Flows that began, for whoever knows which process owns them.
    pub opened: Vec<(Ends, Timestamp)>,
    lists: L,
    detectors: Detectors,
    told: Once<Told>,
    now: Timestamp,
}

/// What a finding stands for, beside its rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    /// A request and its answer.
    Exchange(Origin),
    /// Something of a flow.
    Flow(u64, Untrusted),
    /// A question, by the sockets that it goes between, or what was answered to it.
    Question(std::net::SocketAddr, std::net::SocketAddr, Untrusted),
    /// An address, and which client speaks to it.
    Address(IpAddr, IpAddr),
}

type Told = (About, RuleId);

impl<L: Lists> Judge<L> {
    /// Makes a judge with the lists and the policy of a pack.
    #[must_use]
    pub fn new(lists: L, policy: &Network) -> Self {
        Self {
            findings: Vec::new(),
            records: Vec::new(),
            jobs: Vec::new(),
            ruled_out: 0,
            contents: Vec::new(),
            opened: Vec::new(),
            lists,
            detectors: Detectors::new(policy),
            told: Once::new(REMEMBERED),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// Hears the time of the capture, which findings carry; to be called before frames of that time are taken.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Begins anew at an earlier time: the clock of the capture was set back. What was told by the other clock may be told
    /// once more.
    pub fn set_back(&mut self, now: Timestamp) {
        self.now = now;
        self.told = Once::new(REMEMBERED);
        self.detectors.set_back();
    }

    /// Takes over another pack's lists and policy; what was learnt stays.
    pub fn set_pack(&mut self, lists: L, policy: &Network) {
        self.lists = lists;
        self.detectors.set_policy(policy);
    }

    /// Returns the detectors, to keep what they learnt.
    pub fn detectors(&mut self) -> &mut Detectors {
        &mut self.detectors
    }

    /// Takes the digest of a file that was carried: looks it up and writes the record of it.
    pub fn digest(&mut self, content: &Content, sha256: Sha256) {
        if let Some(rule) = self.lists.file(&sha256).cloned() {
            let listed: Untrusted = sha256.to_string().as_str().into();
            let facts =
                FlowFacts { direction: content.direction, listed: Some(listed), ..content.facts.clone() };
            self.find(About::Exchange(content.origin), rule, FOR_GOOD, facts);
        }
        self.record(content.record(sha256, self.now));
    }

    /// Tells once what stands on a list.
    fn find(&mut self, about: About, rule: RuleId, hold: Duration, flow: FlowFacts) {
        let now = Duration::from_millis(self.now.as_millisecond().max(0).unsigned_abs());
        if self.told.is_new((about, rule.clone()), now, hold) {
            let subject = Subject::Flow(FlowSubject { flow, excerpts: Vec::new() });
            self.findings.push(Finding { rule, at: self.now, subject });
        }
    }

    fn find_address(&mut self, ends: &Ends, address: IpAddr) {
        if self.detectors.policy().is_home(address) {
            return;
        }
        let Some(rule) = self.lists.address(address).cloned() else { return };
        let facts = facts(ends, listed(&address.to_string()), None);
        let client = ends.client.ip();
        let other = if address == client { ends.server.ip() } else { client };
        self.find(About::Address(other, address), rule, SAME_ADDRESS, facts);
    }

    fn look_at_dns(&mut self, ends: &Ends, dns: &Dns) {
        if let Some(rule) = self.lists.name(dns.query.raw()).cloned() {
            let facts =
                FlowFacts { application: Application::Dns, ..facts(ends, None, Some(dns.query.clone())) };
            let about = About::Question(ends.client, ends.server, dns.query.clone());
            self.find(about, rule, SAME_QUESTION, facts);
        }
        for answer in &dns.answers {
            let Some(rule) = self.of_answer(answer).cloned() else { continue };
            let about = About::Question(ends.client, ends.server, answer.clone());
            let facts = FlowFacts {
                application: Application::Dns,
                direction: Direction::ToClient,
                ..facts(ends, Some(answer.clone()), Some(dns.query.clone()))
            };
            self.find(about, rule, SAME_QUESTION, facts);
        }
    }

    /// Looks an answer up: an address, or a name that stands for the one that was asked for.
    fn of_answer(&self, answer: &Untrusted) -> Option<&RuleId> {
        let address = std::str::from_utf8(answer.raw()).ok().and_then(|text| text.parse::<IpAddr>().ok());
        match address {
            // A name may be kept from being found by an answer that leads nowhere, or home.
            Some(address) if self.detectors.policy().is_home(address) => None,
            Some(address) => self.lists.address(address),
            None => self.lists.name(name_in(answer.raw())),
        }
    }

    fn look_at_tls(&mut self, ends: &Ends, tls: &Tls) {
        let ja4 = tls.ja4.and_then(|ja4| Some((self.lists.ja4(&ja4)?.clone(), ja4.to_string())));
        let certificate = tls
            .certificate
            .and_then(|digest| Some((self.lists.certificate(&digest)?.clone(), digest.to_string())));
        let application = if tls.quic { Application::Quic } else { Application::Tls };
        for (rule, what) in ja4.into_iter().chain(certificate) {
            let facts = FlowFacts { application, ..facts(ends, listed(&what), tls.sni.clone()) };
            self.find(About::Flow(ends.flow, what.as_str().into()), rule, FOR_GOOD, facts);
        }
    }
}

impl<L: Lists> Sink for Judge<L> {
    fn opened(&mut self, ends: &Ends, at: Timestamp) {
        self.tick(at);
        let around = ends.tunnel.as_ref().map(|tunnel| [tunnel.from, tunnel.to]);
        for address in [ends.server.ip(), ends.client.ip()].into_iter().chain(around.into_iter().flatten()) {
            if !is_shared(address) {
                self.find_address(ends, address);
            }
        }
        if self.opened.len() < MAX_OPENED {
            self.opened.push((ends.clone(), at));
        }
    }

    fn asked(&mut self, ends: &Ends, at: Timestamp) {
        self.tick(at);
        self.detectors.opened(ends, at, &mut self.findings);
    }

    fn named(&mut self, named: Named) {
        let Named { origin, facts } = named;
        let question = |name: &Untrusted| About::Question(facts.client, facts.server, name.clone());
        if let Some(name) = &facts.name
            && let Some(rule) = self.lists.name(name.raw()).cloned()
        {
            let (about, hold) = match facts.application {
                Application::Dns => (question(name), SAME_QUESTION),
                _ => (About::Exchange(origin), FOR_GOOD),
            };
            self.find(about, rule, hold, facts.clone());
        }
        let url = facts.url.as_ref().and_then(|url| parts(url.raw()));
        if let Some((host, target)) = url
            && let Some(rule) = self.lists.url(host, target).cloned()
        {
            self.find(About::Exchange(origin), rule, FOR_GOOD, facts);
        }
    }

    fn record(&mut self, record: Record) {
        self.tick(record.at);
        self.detectors.see(&record, &mut self.findings);
        match &record.what {
            What::Dns(dns) => self.look_at_dns(&record.ends, dns),
            What::Tls(tls) => self.look_at_tls(&record.ends, tls),
            What::Flow(_) | What::Http(_) | What::Smtp(_) | What::File(_) => {}
        }
        self.records.push(record);
    }

    fn wants(&mut self, bytes: &[u8]) -> bool {
        let may_match = self.lists.may_match(bytes);
        self.ruled_out += u64::from(!may_match);
        may_match
    }

    fn scan(&mut self, job: Job) {
        self.jobs.push(job);
    }

    fn content(&mut self, content: Content) {
        self.contents.push(content);
    }

    fn evaded(&mut self, sign: Evasion) {
        self.tick(sign.at);
        self.detectors.evaded(&sign, &mut self.findings);
    }
}

fn listed(text: &str) -> Option<Untrusted> {
    Some(text.into())
}

/// Says what is known of a flow as it begins, or in which a record was.
fn facts(ends: &Ends, listed: Option<Untrusted>, name: Option<Untrusted>) -> FlowFacts {
    FlowFacts {
        transport: ends.transport,
        client: ends.client,
        server: ends.server,
        direction: Direction::ToServer,
        interface: ends.interface.clone(),
        vlan: ends.vlan.clone(),
        tunnel: ends.tunnel.clone().map(Box::new),
        application: Application::Unknown,
        name,
        url: None,
        listed,
        process: None,
    }
}

/// Splits a URL into its host, without port, and its target.
fn parts(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = url.windows(3).position(|w| w == b"://")?;
    let rest = &url[at + 3..];
    let slash = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(slash);
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or_default();
    let host = match host.iter().position(|b| *b == b']') {
        Some(end) => &host[..=end],
        None => host.split(|b| *b == b':').next().unwrap_or_default(),
    };
    Some((host, if target.is_empty() { b"/" } else { target }))
}

#[cfg(test)]
mod tests;
