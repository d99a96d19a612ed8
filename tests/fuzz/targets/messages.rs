//! What peers and people send: reports, orders, packs, lists, and what a scan worker says. The first letter says which.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    str,
    sync::{Arc, LazyLock},
};

use ed25519_dalek::SigningKey;
use khien_core::{
    AgentId, RuleId, Timestamp, Untrusted,
    bundle::{MAX_FORMS, NetworkKind, Pack, Release, SetKind},
    mandate::{self, CLOCK_SLACK, MAX_LIFE, Mandate},
    order::Order,
    policy::{Pattern, Policy},
    protocol::{Batch, Enroll, Heartbeat, Hello, Orders, Problem, Report, Token},
    signature::{OperatorKey, Purpose, Signed, operator_key},
    traffic::Lists as _,
    untrusted,
};
use khien_rules::{
    base_pack, check,
    indicator::{
        digest::{Digests, Wanted},
        files::{Facts, FileSets, section},
        import::{self, MAX_TOLD},
        keys::Keys,
        names::{Globs, Name, folded},
        network::{
            Allow, Allowed, Network,
            import::{self as traffic, How},
            prefix,
            url::Url,
            value::Value,
        },
    },
};
use serde::{Serialize, de::DeserializeOwned};

const ME: AgentId = AgentId([1; 32]);
/// What an agent's clock says.
const NOW: &str = "2026-11-23T06:00:00Z";

/// What a worker's parent knows of the rules.
static PACK: LazyLock<Pack> = LazyLock::new(|| base_pack(Timestamp::UNIX_EPOCH));

pub(super) const WORDS: &[&[u8]] = &[
    b"{\"",
    b"\":\"",
    b"\",\"",
    b"\":[",
    b"\":{",
    b"null",
    b"true",
    b"1e400",
    b"-1",
    b"18446744073709551616",
    b"\"report\":",
    b"\"detection\"",
    b"\"not_scanned\"",
    b"\"blind\"",
    b"\"receipt\"",
    b"\"refused\"",
    b"\"subject\":{\"kind\":\"file\"",
    b"\"kind\":\"conduct\"",
    b"\"code\":",
    b"\"inside\":[",
    b"\"unseen\":[",
    b"\"why\":\"total\"",
    b"\"outcome\":\"clean\"",
    b"\"scanned\":{",
    b"\"hits\":[",
    b"\"verb\":\"quarantine_file\"",
    b"\"file\":{\"path\":",
    b"\\u0000",
    b"\\ud800",
    b"\\\\x1b",
    b"\\\\u{202e}",
    b"2026-11-23T06:00:00Z",
    b"\"sets\":[{",
    b"\"globs\":[\"*.locked\"]",
    b"\"forms\":[{",
    b"\"integrity\":[{",
    b"/etc/cron.d/",
    b"*",
    b"\xef\xbb\xbf",
    b"|",
    b";",
    b",",
    b"\n",
    b"#",
];

/// Reads one of them.
pub(super) fn read(bytes: &[u8], _: bool) -> u64 {
    let Some((letter, body)) = bytes.split_first() else { return 0 };
    let came = match letter.wrapping_sub(b'a') % 16 {
        0 => again::<Report>(body),
        1 => again::<Batch>(body),
        2 => again::<Hello>(body),
        3 => again::<Heartbeat>(body),
        4 => again::<Enroll>(body),
        5 => again::<Token>(body),
        6 => again::<Policy>(body),
        7 => orders(body),
        8 => signed_mandate(body),
        9 => signed_pack(body),
        10 => worker(body),
        11 => problem(body),
        12 => list(body),
        13 => keys(body),
        14 => names(body),
        _ => outside(body),
    };
    let mut digest = DefaultHasher::new();
    came.hash(&mut digest);
    digest.finish()
}

/// What was read is written in a form that is read as the same.
fn again<T: Serialize + DeserializeOwned>(body: &[u8]) -> Option<String> {
    let read: T = serde_json::from_slice(body).ok()?;
    let written = serde_json::to_string(&read).unwrap();
    let read: T = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
    Some(written)
}

/// No order is obeyed that a trusted operator did not sign.
fn orders(body: &[u8]) -> Option<String> {
    let written = again::<Orders>(body)?;
    let read: Orders = serde_json::from_str(&written).unwrap();
    for order in &read.orders {
        assert!(mandate::judge(order, ME, &trusted(), now()).is_err());
    }
    Some(written)
}

/// An operator may sign anything: an agent obeys only what is meant for it, in time, and never for long.
fn signed_mandate(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?;
    let said: Mandate = serde_json::from_str(text).ok()?;
    let order = Order { mandate: Signed::new(text.to_owned(), Purpose::Mandate, &key()), index: 0 };
    assert!(Release::open(&order.mandate, &trusted()).is_err(), "a mandate is no pack");
    let judged = mandate::judge(&order, ME, &trusted(), now());
    if let Ok((_, allowed)) = &judged {
        assert_eq!((allowed, allowed.agent), (&said.orders[0], ME));
        assert!(said.expires >= now() && said.issued <= khien_core::time::after(now(), CLOCK_SLACK));
        assert!(said.expires.duration_since(said.issued) <= MAX_LIFE);
    }
    Some(format!("{judged:?}"))
}

/// A pack is compiled elsewhere; its lists are loaded as they are.
fn signed_pack(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?;
    let signed = Signed::new(text.to_owned(), Purpose::Pack, &key());
    let release = Release::open(&signed, &trusted()).ok()?;
    assert!(release.forms.len() <= MAX_FORMS);
    let sets = FileSets::new(&release.pack);
    let digests = Digests::of(b"bytes", Wanted { sha256: true, sha1: true, md5: true });
    let hits = sets.matches(&Facts { path: b"/srv/www/a.locked", digests: &digests }, now());
    assert!(hits.iter().all(|hit| release.pack.sets.iter().any(|set| set.rule == hit.rule)));
    let network = Network::new(&release.pack, Arc::default(), now());
    let found = [
        network.name(b"a.b.example").cloned(),
        network.address([203, 0, 113, 7].into()).cloned(),
        network.url(b"a.example", b"/kit/x?y").cloned(),
    ];
    let rules = || release.pack.network.sets.iter().map(|set| &set.rule);
    let known = |rule: &RuleId| {
        rules().any(|known| known == rule) || release.pack.domains.iter().any(|d| d.rule == *rule)
    };
    assert!(found.iter().flatten().all(known));
    let problems: Vec<_> = check::pack(&release.pack).iter().map(ToString::to_string).collect();
    Some(format!("{hits:?} {found:?} {problems:?} {}", release.pack.origin()))
}

/// A worker that a hostile file took over says what it likes; what is believed of it is believed again as it is.
fn worker(body: &[u8]) -> Option<String> {
    let understood = khien_scan::understood(body, &PACK);
    for (at, said) in understood.iter().enumerate() {
        let Some(said) = said else { continue };
        assert_eq!(khien_scan::understood(said, &PACK)[at].as_ref(), Some(said));
    }
    Some(format!("{understood:?}"))
}

/// A newer hub may name causes that are not known here.
fn problem(body: &[u8]) -> Option<String> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(format!("{:?}", problem.cause()))
}

/// Every line of a list is counted once, and what is told of a bad one is short and safe.
fn list(body: &[u8]) -> Option<String> {
    let kinds = [SetKind::Sha256, SetKind::Sha1, SetKind::Md5, SetKind::FileName];
    let came = kinds.map(|kind| {
        let read = import::read(body, kind).unwrap();
        assert!(read.good + read.other + read.bad <= body.split(|b| *b == b'\n').count());
        assert!(read.told.len() == read.bad.min(MAX_TOLD));
        assert!(!read.told.iter().any(|bad| bad.text.chars().any(untrusted::hides)));
        let written = read.keys.body().unwrap();
        assert_eq!(Keys::read(&written).as_ref(), Ok(&read.keys));
        assert_eq!(section(&read).entries as usize, read.keys.len() + read.globs.len());
        format!("{:?} {:?}", read.told, read.keys)
    });
    Some(format!("{} {}", came.concat(), list_of_traffic(body)))
}

/// The same of a list about traffic, which is asked about what the other lines let be.
fn list_of_traffic(body: &[u8]) -> String {
    let kinds = [NetworkKind::Address, NetworkKind::Domain, NetworkKind::Url, NetworkKind::Ja4];
    let mut allowed = Allowed::default();
    let is_read = allowed.file(body).is_ok();
    let allow = Allow::new(allowed);
    let came = kinds.map(|kind| {
        let read = traffic::read(body, &How { kind, column: None, private: true, allow: &allow });
        assert_eq!(read.is_ok(), is_read);
        let Ok(read) = read else { return String::new() };
        assert!(read.told.len() == read.counts.bad.min(MAX_TOLD));
        assert!(!read.told.iter().chain(&read.notes).any(|bad| bad.text.chars().any(untrusted::hides)));
        let (counts, (entries, shipped)) = (read.counts, read.shipped());
        assert!(entries as usize <= counts.good);
        format!("{counts:?} {entries} {shipped}")
    });
    came.concat()
}

/// A set that is read is written as it was.
fn keys(body: &[u8]) -> Option<String> {
    if let Ok(shipped) = prefix::read(body) {
        assert!(shipped.prefixes.iter().all(|prefix| !prefix.is_too_wide()));
        let written = prefix::body(shipped.prefixes.clone());
        assert_eq!(prefix::read(&written).map(|again| again.prefixes), Ok(shipped.prefixes));
    }
    let keys = Keys::read(body).ok()?;
    assert_eq!(keys.body().as_deref(), Some(body));
    assert!(keys.iter().enumerate().all(|(at, key)| keys.position(&key) == Some(at)));
    Some(format!("{} {}", keys.len(), keys.contains(&[0; 12])))
}

/// Listed names and paths of policies, each asked about the other lines.
fn names(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?;
    let globs: Vec<_> = text
        .lines()
        .filter_map(|line| match Name::parse(line).ok()? {
            Name::Glob(glob) => Some(glob),
            Name::Exact(_) => None,
        })
        .collect();
    let globs = Globs::new(globs.iter().map(String::as_str));
    let patterns: Vec<_> =
        text.lines().filter_map(|l| Pattern::try_from(l.to_owned()).ok()).take(8).collect();
    let lines = text.lines().take(32);
    let fits = lines.map(|line| {
        let named = patterns.iter().map(|p| p.names(line.as_bytes()));
        let (host, target) = line.split_once(' ').unwrap_or(("a.example", line));
        let url = Url::requested(host.as_bytes(), target.as_bytes());
        let values =
            (Value::parse(line), url.iter().flat_map(Url::candidates).map(<[u8]>::len).collect::<Vec<_>>());
        (globs.matches(&folded(line.as_bytes())), named.collect::<Vec<_>>(), values)
    });
    Some(format!("{:?}", fits.collect::<Vec<_>>()))
}

/// Text from outside has one form that is safe and lossless.
fn outside(body: &[u8]) -> Option<String> {
    let written = Untrusted::new(body).to_string();
    assert!(!written.chars().any(untrusted::hides));
    assert_eq!(untrusted::unescape(&written), body);
    let text = str::from_utf8(body).ok()?;
    let read = untrusted::unescape(text);
    assert_eq!(untrusted::unescape(&untrusted::escape(&read)), read);
    Some(written)
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn trusted() -> [OperatorKey; 1] {
    [operator_key("thu", &key())]
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}
