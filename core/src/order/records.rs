//! What may be looked for in the records that an agent keeps of its network, and what it answers.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize};

use super::Network;
use crate::{
    Sha256, Timestamp, Untrusted,
    traffic::{Ja4, Record, What},
};

/// The most gaps in one answer; of more the oldest are told as one.
pub const MOST_GAPS: usize = 64;
/// The most records in one answer: with [`MOST_FOUND_BYTES`] an answer stays below the largest report.
pub const MOST_FOUND: u32 = 500;
/// The most bytes of JSON of the records in one answer.
pub const MOST_FOUND_BYTES: usize = 160 << 10;
/// No name of the DNS is longer (RFC 1035).
const MAX_NAME: usize = 253;
/// The longest target of a URL that is looked for.
const MAX_TARGET: usize = 2_048;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sought {
    /// A name, or any below it, as it was asked for by DNS, TLS, QUIC or HTTP, or answered by DNS.
    Domain(Untrusted),
    /// An address of either side, of an end of the tunnel around it, or one that DNS answered.
    Address(Network),
    /// A URL: the host, and how the target begins.
    Url {
        /// The host, without port.
        host: Untrusted,
        /// How the target begins.
        target: Untrusted,
    },
    /// The fingerprint of a TLS client.
    Ja4(Ja4),
    /// The digest of a server's certificate.
    Certificate(Sha256),
    /// The digest of a file that was carried.
    Sha256(Sha256),
}

impl Sought {
    /// Tells whether a record is what is looked for.
    #[must_use]
    pub fn is_in(&self, record: &Record) -> bool {
        match self {
            Self::Domain(name) => names(record).any(|n| is_below(n, name.raw())),
            Self::Address(network) => addresses(record).any(|address| network.has(address)),
            Self::Url { host, target } => match &record.what {
                What::Http(http) => {
                    let begins = |uri: &Untrusted| uri.raw().starts_with(target.raw());
                    http.host.as_ref().is_some_and(|h| same_name(h.raw(), host.raw()))
                        && http.uri.as_ref().is_some_and(begins)
                }
                _ => false,
            },
            Self::Ja4(ja4) => matches!(&record.what, What::Tls(tls) if tls.ja4 == Some(*ja4)),
            Self::Certificate(digest) => {
                matches!(&record.what, What::Tls(tls) if tls.certificate == Some(*digest))
            }
            Self::Sha256(digest) => matches!(&record.what, What::File(file) if file.sha256 == Some(*digest)),
        }
    }
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Address(network) => network.fmt(f),
            Self::Url { host, target } => write!(f, "{host}{target}"),
            Self::Ja4(ja4) => ja4.fmt(f),
            Self::Certificate(digest) | Self::Sha256(digest) => digest.fmt(f),
        }
    }
}

/// Returns the names that a record is about.
pub fn names(record: &Record) -> impl Iterator<Item = &[u8]> {
    let (one, answers): (Option<&Untrusted>, &[Untrusted]) = match &record.what {
        What::Flow(flow) => (flow.name.as_ref(), &[]),
        What::Dns(dns) => (Some(&dns.query), &dns.answers),
        What::Tls(tls) => (tls.sni.as_ref(), &[]),
        What::Http(http) => (http.host.as_ref(), &[]),
        What::Smtp(smtp) => (smtp.helo.as_ref(), &[]),
        What::File(_) => (None, &[]),
    };
    let answered = answers.iter().map(|answer| name_in(answer.raw()));
    one.into_iter().map(Untrusted::raw).chain(answered).map(plain).filter(|name| !name.is_empty())
}

/// Returns the name in an answer of DNS as records tell it: MX, SVCB, HTTPS and SRV have one or three numbers before theirs. What has
/// other words before it is a text, or a name with blanks, and stays whole.
#[must_use]
pub fn name_in(answer: &[u8]) -> &[u8] {
    let mut words = answer.rsplit(|byte| *byte == b' ');
    let name = words.next().unwrap_or(answer);
    let is_number = |word: &[u8]| (1..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let numbers = words.clone().take(4).take_while(|word| is_number(word)).count();
    if matches!(numbers, 1 | 3) && words.count() == numbers { name } else { answer }
}

/// Returns the addresses that a record is about: both ends, those of the tunnel around it, and what DNS answered.
pub fn addresses(record: &Record) -> impl Iterator<Item = IpAddr> {
    let answers: &[Untrusted] = match &record.what {
        What::Dns(dns) => &dns.answers,
        _ => &[],
    };
    let answered = answers.iter().filter_map(|a| std::str::from_utf8(a.raw()).ok()?.parse().ok());
    let around = record.ends.tunnel.iter().flat_map(|tunnel| [tunnel.from, tunnel.to]);
    [record.ends.client.ip(), record.ends.server.ip()]
        .into_iter()
        .chain(around)
        .chain(answered)
        .map(|a: IpAddr| a.to_canonical())
}

/// Takes the dot of the root from a name.
fn plain(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

fn same_name(one: &[u8], other: &[u8]) -> bool {
    plain(one).eq_ignore_ascii_case(plain(other))
}

/// Tells whether a name is another one or lies below it.
fn is_below(name: &[u8], above: &[u8]) -> bool {
    let above = plain(above);
    let Some(at) = name.len().checked_sub(above.len()) else { return false };
    let (head, tail) = name.split_at(at);
    tail.eq_ignore_ascii_case(above) && (head.is_empty() || head.ends_with(b"."))
}

/// What to look for in kept records, and in which of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RecordQueryText")]
pub struct RecordQuery {
    sought: Sought,
    since: Timestamp,
    until: Timestamp,
    most: u32,
}

/// A [`RecordQuery`] as it is written.
#[derive(Deserialize)]
struct RecordQueryText {
    sought: Sought,
    since: Timestamp,
    until: Timestamp,
    most: u32,
}

/// Why something cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecordQuery {
    /// No name or target that can be.
    #[error("a name to look for has 1 to {MAX_NAME} bytes, the target of a URL at most {MAX_TARGET}")]
    Text,
    /// It ends before it begins.
    #[error("the time to look through must begin before it ends")]
    Time,
    /// No records or too many.
    #[error("the most records to answer must be 1 to {MOST_FOUND}")]
    Most,
}

impl RecordQuery {
    /// Takes what to look for, from when until when, and the most records that are answered: the newest.
    ///
    /// # Errors
    /// [`BadRecordQuery`].
    pub fn new(
        sought: Sought,
        (since, until): (Timestamp, Timestamp),
        most: u32,
    ) -> Result<Self, BadRecordQuery> {
        let is_name = |name: &Untrusted| (1..=MAX_NAME).contains(&plain(name.raw()).len());
        let fits = match &sought {
            Sought::Domain(name) => is_name(name),
            Sought::Url { host, target } => is_name(host) && target.raw().len() <= MAX_TARGET,
            _ => true,
        };
        match (fits, since <= until, (1..=MOST_FOUND).contains(&most)) {
            (false, ..) => Err(BadRecordQuery::Text),
            (_, false, _) => Err(BadRecordQuery::Time),
            (.., false) => Err(BadRecordQuery::Most),
            (true, true, true) => Ok(Self { sought, since, until, most }),
        }
    }

    /// Returns what is looked for.
    #[must_use]
    pub fn sought(&self) -> &Sought {
        &self.sought
    }

    /// Returns from when.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns until when.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Returns the most records that are answered.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Tells whether a record belongs to the answer.
    #[must_use]
    pub fn takes(&self, record: &Record) -> bool {
        (self.since..=self.until).contains(&record.at) && self.sought.is_in(record)
    }
}

impl TryFrom<RecordQueryText> for RecordQuery {
    type Error = BadRecordQuery;

    fn try_from(text: RecordQueryText) -> Result<Self, BadRecordQuery> {
        Self::new(text.sought, (text.since, text.until), text.most)
    }
}

/// A time of which records are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordGap {
    /// From when.
    pub since: Timestamp,
    /// Until when; for one that goes on until it was asked.
    pub until: Timestamp,
    /// Why.
    pub why: GapCause,
    /// The interface of which they are missing; none where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Untrusted>,
}

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// The agent did not run, or kept none.
    Stopped,
    /// The agent died: from what it wrote last to its next start.
    Died,
    /// Nothing was seen there.
    Blind,
    /// More gaps than an answer has room for, and what lies between them.
    Several,
    /// What a newer agent says.
    #[serde(other)]
    Other,
}

/// What an agent found in its records, and what it could look through at all: records before `kept_since` are none, so that
/// nothing is known of that time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsFound {
    /// The newest first.
    #[serde(default, deserialize_with = "few", skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Whether there are more than are answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Since when there are records; none if there are none at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<Timestamp>,
    /// Whether older ones were there and made room: by age or by size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// How many records of that time were lost: they came faster than they can be kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Whether the time that a search may take ended before all was looked through.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// How many parts of the records could not be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread: u64,
    /// Until when there are records: when the search began, or what was asked for. None from an agent that does not tell gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Timestamp>,
    /// The times between of which records are missing, the oldest first.
    #[serde(default, deserialize_with = "few_gaps", skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<RecordGap>,
}

impl RecordsFound {
    /// Tells whether all records of the time that was asked for were there and were looked through.
    #[must_use]
    pub fn is_whole(&self, since: Timestamp) -> bool {
        let reaches = self.kept_since.is_some_and(|kept| kept <= since);
        let knows = self.kept_until.is_some() && self.gaps.is_empty();
        reaches && knows && self.lost == 0 && self.unread == 0 && !self.unfinished && !self.more
    }
}

/// A hostile agent may send more.
fn few<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Record>, D::Error> {
    let mut all = Vec::<Record>::deserialize(d)?;
    all.truncate(MOST_FOUND as usize);
    Ok(all)
}

fn few_gaps<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<RecordGap>, D::Error> {
    let mut all = Vec::<RecordGap>::deserialize(d)?;
    all.truncate(MOST_GAPS);
    Ok(all)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Transport,
        traffic::{Dns, Ends, Http, Tls, Tunnel, TunnelKind},
    };

    fn record(what: What) -> Record {
        let ends = Ends {
            flow: 7,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            transport: Transport::Tcp,
            client: "192.0.2.1:5000".parse().unwrap(),
            server: "[2001:db8::7]:443".parse().unwrap(),
            saw_syn: false,
        };
        Record { at: "2026-11-23T07:00:00Z".parse().unwrap(), ends, what }
    }

    fn tls(sni: &str) -> Record {
        record(What::Tls(Box::new(Tls { sni: Some(sni.into()), ..Tls::default() })))
    }

    #[test]
    fn a_name_is_found_by_itself_and_by_what_lies_above_it_and_by_nothing_else() {
        let found = |sni: &str, name: &str| Sought::Domain(name.into()).is_in(&tls(sni));

        assert!(found("c2.evil.example", "evil.example"));
        assert!(found("EVIL.example.", "evil.EXAMPLE"));
        assert!(!found("notevil.example", "evil.example"));
        assert!(!found("example", "evil.example"));
        assert!(!found("evil.example.org", "evil.example"));
    }

    #[test]
    fn an_address_is_found_at_either_end_and_in_the_answers_of_dns() {
        let dns = Dns {
            id: 1,
            answer: true,
            query: "a.example".into(),
            query_type: 1,
            code: Some(0),
            answers: vec!["b.example".into(), "203.0.113.7".into()],
        };
        let dns = record(What::Dns(Box::new(dns)));
        let found = |network: &str| Sought::Address(network.parse().unwrap()).is_in(&dns);

        assert!(found("203.0.113.0/24") && found("192.0.2.1") && found("2001:db8::/32"));
        assert!(!found("203.0.114.0/24") && !found("192.0.2.2"));
        assert!(Sought::Domain("b.example".into()).is_in(&dns));
    }

    #[test]
    fn the_name_behind_the_numbers_of_an_answer_is_found_by_itself() {
        for (answer, name) in [
            ("10 mail.evil.example", "mail.evil.example"),
            ("1 2 443 c2.example", "c2.example"),
            ("1 .", "."),
            ("b.example", "b.example"),
            ("10", "10"),
            ("a b.example", "a b.example"),
            ("1 2 b.example", "1 2 b.example"),
            ("v=spf1 10 b.example", "v=spf1 10 b.example"),
            ("", ""),
        ] {
            assert_eq!(name_in(answer.as_bytes()), name.as_bytes(), "{answer}");
        }
        let answers = vec!["10 mail.evil.example".into(), "1 2 443 c2.example".into(), "1 .".into()];
        let dns =
            Dns { id: 1, answer: true, query: "a.example".into(), query_type: 15, code: Some(0), answers };
        let dns = record(What::Dns(Box::new(dns)));

        assert_eq!(names(&dns).count(), 3);
        for (name, is_found) in [("mail.evil.example", true), ("c2.example", true), ("443 c2.example", false)]
        {
            assert_eq!(Sought::Domain(name.into()).is_in(&dns), is_found, "{name}");
        }
    }

    #[test]
    fn the_ends_of_the_tunnel_around_a_flow_are_found() {
        let mut inside = tls("a.example");
        let (from, to) = ("203.0.113.7".parse().unwrap(), "198.51.100.9".parse().unwrap());
        inside.ends.tunnel = Some(Tunnel { kind: TunnelKind::Gre, from, to, id: None });
        let found = |network: &str| Sought::Address(network.parse().unwrap()).is_in(&inside);

        assert!(found("203.0.113.7") && found("198.51.100.0/24") && found("192.0.2.1"));
        assert!(!found("203.0.113.8"));
    }

    #[test]
    fn a_url_is_found_by_its_host_and_how_its_target_begins() {
        let http = Http { host: Some("Evil.example".into()), uri: Some("/a/b?c".into()), ..Http::default() };
        let http = record(What::Http(Box::new(http)));
        let found =
            |host: &str, target: &str| Sought::Url { host: host.into(), target: target.into() }.is_in(&http);

        assert!(found("evil.example", "/a/"));
        assert!(!found("evil.example", "/b") && !found("example", "/a/"));
    }

    #[test]
    fn a_query_reads_back_and_one_that_cannot_be_is_refused() {
        let (since, until) = (Timestamp::UNIX_EPOCH, "2026-11-23T07:00:00Z".parse().unwrap());
        let query = RecordQuery::new(Sought::Address("10.0.0.0/8".parse().unwrap()), (since, until), 5);
        let query = query.unwrap();

        let wire = serde_json::to_string(&query).unwrap();

        assert_eq!(
            wire,
            r#"{"sought":{"address":"10.0.0.0/8"},"since":"1970-01-01T00:00:00Z","until":"2026-11-23T07:00:00Z","most":5}"#
        );
        assert_eq!(serde_json::from_str::<RecordQuery>(&wire).unwrap(), query);
        let name = |text: &str| Sought::Domain(text.into());
        assert_eq!(RecordQuery::new(name("."), (since, until), 5), Err(BadRecordQuery::Text));
        assert_eq!(RecordQuery::new(name("a"), (until, since), 5), Err(BadRecordQuery::Time));
        assert_eq!(RecordQuery::new(name("a"), (since, until), MOST_FOUND + 1), Err(BadRecordQuery::Most));
        let too_many = wire.replace(r#""most":5"#, r#""most":0"#);
        assert!(serde_json::from_str::<RecordQuery>(&too_many).is_err());
    }

    #[test]
    fn only_records_that_reach_back_and_were_all_looked_through_are_a_whole_answer() {
        let since = "2026-11-23T07:00:00Z".parse().unwrap();
        let whole =
            RecordsFound { kept_since: Some(since), kept_until: Some(since), ..RecordsFound::default() };
        let gap = RecordGap { since, until: since, why: GapCause::Stopped, scope: None };

        assert!(whole.is_whole(since));
        assert!(!RecordsFound::default().is_whole(since), "none are kept at all");
        for less in [
            RecordsFound { kept_since: Some("2026-11-23T07:00:01Z".parse().unwrap()), ..whole.clone() },
            RecordsFound { lost: 1, ..whole.clone() },
            RecordsFound { unread: 1, ..whole.clone() },
            RecordsFound { unfinished: true, ..whole.clone() },
            RecordsFound { more: true, ..whole.clone() },
            RecordsFound { gaps: vec![gap], ..whole.clone() },
            RecordsFound { kept_until: None, ..whole.clone() },
        ] {
            assert!(!less.is_whole(since), "{less:?}");
        }
    }
}
