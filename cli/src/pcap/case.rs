//! The incident for which files are looked at: they are held against the hub's signed pack, and what is found goes to the hub.

use std::path::Path;

use anyhow::Result;
use khien_core::{
    IncidentId, Sha256, Untrusted,
    api::{CaptureTaken, SendCapture},
    bundle::{self, Pack},
    capture::{Capture, CaptureEnd, CaptureFinding, MAX_FINDING, MOST_ALERTS, MOST_FINDINGS},
    incident::IncidentStatus,
    reason::Reason,
    text::pcap as t,
};
use serde::Serialize;

use super::{alerts::Alert, events::STANDARD};
use crate::{
    args,
    client::Client,
    command::Context,
    config::Config,
    exit::{Exit, Stop},
};

/// About how many bytes of findings go in one request: half of what a hub takes.
const AT_ONCE: usize = 512 << 10;

/// The incident, and the way to it.
pub(super) struct Case {
    client: Client,
    incident: IncidentId,
    host: Option<Untrusted>,
    keep: bool,
    /// The version of the pack.
    pub(super) pack: u64,
}

/// What is sent of one file.
pub(super) struct Parcel {
    pub(super) capture: Capture,
    pub(super) findings: Vec<CaptureFinding>,
    pub(super) end: CaptureEnd,
}

/// What became of one file at the hub, as `--json` writes it.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    pub(super) capture: Untrusted,
    pub(super) sha256: Sha256,
    pub(super) incident: IncidentId,
    /// The version of the hub's pack that was used.
    pub(super) pack: u64,
    #[serde(flatten)]
    pub(super) taken: CaptureTaken,
    /// Whether the file is evidence of the incident now.
    pub(super) kept: bool,
}

impl Case {
    /// Asks the hub for the incident, so that a wrong one is known before hours of work, and for the pack.
    pub(super) async fn open(
        context: &Context,
        what: &args::PcapScan,
        incident: IncidentId,
    ) -> Result<(Self, Pack)> {
        let lang = context.lang;
        let refused = |what: String, next: String| Stop::new(Exit::Refused, what, next);
        if what.keep && what.files.iter().any(|file| file.as_os_str() == STANDARD) {
            return Err(Stop::new(Exit::Usage, t::KEEP_FILE.get(lang), t::NEXT_KEEP.get(lang)).into());
        }
        // An error only says that a provider is installed already, which is what is wanted.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (client, keys) = context.connect()?;
        let trusted = Config::load(&context.home)?.operators(keys.public());
        if client.incident(incident).await?.status == IncidentStatus::Closed {
            let (what, next) =
                (t::CASE_CLOSED.with(lang, &[&incident]), t::NEXT_CASE.with(lang, &[&incident]));
            return Err(refused(what, next).into());
        }
        let signed = client.signed_pack().await?;
        let pack = bundle::open(&signed, &trusted).map_err(|why| {
            let why = Reason::from(&why).words();
            refused(t::PACK_REFUSED.with(lang, &[&why.get(lang)]), t::NEXT_PACK.get(lang).to_owned())
        })?;
        let host = what.host.as_deref().map(Untrusted::from);
        Ok((Self { client, incident, host, keep: what.keep, pack: pack.version }, pack))
    }

    /// Hands over what was found in a file, and the file itself where it is to be kept. The same again changes nothing.
    pub(super) async fn deliver(&self, path: &Path, parcel: Parcel) -> Result<Sent> {
        let Parcel { capture, findings, mut end } = parcel;
        let (name, sha256) = (capture.name.clone(), capture.sha256);
        let mut batches = batches(findings);
        let last = batches.pop().unwrap_or_default();
        let request =
            |findings, end| SendCapture { capture: capture.clone(), host: self.host.clone(), findings, end };
        let mut taken = CaptureTaken::default();
        for findings in batches {
            add(&mut taken, self.client.send_capture(self.incident, request(findings, None)).await?);
        }
        // What the hub had no room for before belongs to what is said at the end.
        end.left_out += taken.left_out + taken.unknown.values().sum::<u64>();
        add(&mut taken, self.client.send_capture(self.incident, request(last, Some(end))).await?);
        if self.keep {
            self.client.add_evidence(self.incident, path, Some(sha256)).await?;
        }
        Ok(Sent { capture: name, sha256, incident: self.incident, pack: self.pack, taken, kept: self.keep })
    }
}

fn add(sum: &mut CaptureTaken, more: CaptureTaken) {
    sum.added += more.added;
    sum.known += more.known;
    sum.left_out += more.left_out;
    sum.alerts = more.alerts;
    for (rule, findings) in more.unknown {
        *sum.unknown.entry(rule).or_default() += findings;
    }
}

/// Chooses what is sent: the most severe alerts, then the oldest. Returns how many are left out, too.
pub(super) fn chosen(mut alerts: Vec<Alert>, pack: u64) -> (Vec<CaptureFinding>, u64) {
    let all = alerts.len();
    // They come oldest first, and equals stay as they are.
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
    let fits = |finding: &CaptureFinding| size(finding) <= MAX_FINDING;
    let most = usize::try_from(MOST_ALERTS).unwrap_or(usize::MAX);
    let findings: Vec<_> =
        alerts.into_iter().filter_map(|alert| alert.finding(pack)).filter(fits).take(most).collect();
    let left_out = (all - findings.len()) as u64;
    (findings, left_out)
}

/// Cuts findings into requests that a hub takes.
fn batches(findings: Vec<CaptureFinding>) -> Vec<Vec<CaptureFinding>> {
    let (mut batches, mut bytes) = (Vec::<Vec<CaptureFinding>>::new(), 0);
    for finding in findings {
        let more = size(&finding);
        match batches.last_mut().filter(|batch| batch.len() < MOST_FINDINGS && bytes + more <= AT_ONCE) {
            Some(batch) => batch.push(finding),
            None => {
                batches.push(vec![finding]);
                bytes = 0;
            }
        }
        bytes += more;
    }
    batches
}

/// What cannot be written fits nowhere.
fn size(finding: &CaptureFinding) -> usize {
    serde_json::to_vec(finding).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use khien_core::{
        Severity, Timestamp,
        detection::{FlowSubject, Subject},
        event::{Excerpt, FlowFacts},
        text::Words,
    };

    use super::*;

    const FLOW: &str = r#"{"transport":"tcp","client":"10.0.0.5:1","server":"10.0.0.6:2","direction":"to_server","interface":"","application":"http","name":null,"url":null}"#;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn alert(second: i64, severity: Severity, matched: usize) -> Alert {
        let flow: FlowFacts = serde_json::from_str(FLOW).unwrap();
        let excerpt = Excerpt {
            offset: 0,
            before: Untrusted::none(),
            matched: Untrusted::new(vec![b'x'; matched]),
            after: Untrusted::none(),
        };
        let subject = Subject::Flow(FlowSubject { flow: flow.clone(), excerpts: vec![excerpt] });
        Alert {
            rule: "webshell.php.test".parse().unwrap(),
            title: Words::default(),
            severity,
            capture: "a.pcap".into(),
            path: None,
            sha256: None,
            flow: Some(flow),
            flows: Vec::new(),
            what: None,
            excerpts: Vec::new(),
            technique: None,
            explanation: Words::default(),
            next_step: Words::default(),
            first_seen: at(second),
            last_seen: at(second + 5),
            count: 7,
            subject: Some(Box::new(subject)),
        }
    }

    #[test]
    fn the_most_severe_are_sent_and_the_others_are_counted() {
        let most = MOST_ALERTS as i64;
        let mut alerts: Vec<_> = (0..most).map(|n| alert(n, Severity::Low, 1)).collect();
        alerts.push(alert(most, Severity::Critical, 1));
        alerts.push(alert(most + 1, Severity::Critical, MAX_FINDING));

        let (findings, left_out) = chosen(alerts, 3);

        assert_eq!((findings.len() as u64, left_out), (MOST_ALERTS, 2));
        assert_eq!(findings[0].detection.at, at(most), "one that is too large is left out, not the first");
        assert_eq!((findings[0].detection.pack, findings[0].count, findings[0].last), (3, 7, at(most + 5)));
        assert_eq!(findings[1].detection.at, at(0));
    }

    #[test]
    fn requests_are_bounded_in_number_and_in_bytes_and_lose_nothing() {
        let findings = |count: i64, matched| {
            let alerts = (0..count).map(|n| alert(n, Severity::Low, matched));
            chosen(alerts.collect(), 3).0
        };
        let (small, large) = (findings(401, 1), findings(30, 60 << 10));

        let sizes = |batches: Vec<Vec<CaptureFinding>>| batches.iter().map(Vec::len).collect::<Vec<_>>();

        assert_eq!(sizes(batches(small)), [200, 200, 1]);
        assert!(batches(Vec::new()).is_empty());
        let bytes = |batch: &Vec<CaptureFinding>| batch.iter().map(size).sum::<usize>();
        let cut = batches(large.clone());
        assert!(cut.iter().map(bytes).all(|bytes| bytes <= AT_ONCE), "{:?}", sizes(cut));
        assert_eq!((batches(large.clone()).len(), batches(large.clone()).concat()), (4, large));
    }
}
