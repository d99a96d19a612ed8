//! The lists of a pack that are about traffic, asked about each flow, name, exchange and handshake.
//!
//! ```text
//! addresses   sorted prefixes by length        6 bytes an entry, 18 of IPv6
//! all else    sorted keys, 96 bits of SHA-256  12 bytes an entry
//! ```
//! That something by chance shares a key with one of a million entries happens once in 10^22 look-ups, and then it is a
//! false alert, never a miss. To make a name that shares a key with a given one takes 2^96 tries, so nobody can list an
//! evil name that makes an honest one an alert. What is let be is compared as text.

mod allow;
pub mod broad;
mod groups;
pub mod import;
pub mod lookup;
pub mod prefix;
mod table;
pub mod url;
pub mod value;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use data_encoding::BASE64_NOPAD;
use khien_core::{
    RuleId, Severity, Sha256, Timestamp,
    bundle::{MAX_NETWORK_SETS, NetworkKind, NetworkSet, Pack},
    traffic::{Ja4, Lists},
};

pub use allow::{Allow, Read as Allowed};

use self::{groups::Groups, prefix::Prefixes, table::Table, url::Url};
use super::{
    files::FileSets,
    is_specific,
    keys::{BadBody, Key, Keys, MAX_KEYS, key, key_of_text},
    normal,
};
use crate::sieve::Sieve;

/// The most labels of a listed name; that many ends of a longer name are looked up.
pub const MAX_LABELS: usize = 24;
/// The most lists, those counted that older packs write as text.
const MAX_SETS: usize = 2 * MAX_NETWORK_SETS;

/// The lists of a pack that are about traffic, and those of files for what traffic carries.
#[derive(Debug, Default)]
pub struct Network {
    /// The best first.
    sets: Vec<Set>,
    groups: Groups,
    addresses: Prefixes,
    names: Table,
    urls: Table,
    ja4: Table,
    certificates: Table,
    allowed: Allow,
    files: Arc<FileSets>,
    /// What rules for streams need; of lists alone nothing is known, and it may become known later.
    streams: OnceLock<Sieve>,
    /// By when lists expire, in seconds of Unix time.
    now: AtomicI64,
    refused: usize,
    broken: Vec<(RuleId, BadBody)>,
}

/// What is known of a whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its rule.
    pub rule: RuleId,
    /// What its entries are.
    pub kind: NetworkKind,
    /// Where it comes from.
    pub source: String,
    /// How sure that source is, in percent.
    pub confidence: u8,
    /// From when on it is not asked any more.
    pub expires: Option<Timestamp>,
}

impl Network {
    /// Loads the lists of a pack. What cannot be read or listed is left out and told, see [`broken`](Self::broken) and
    /// [`refused`](Self::refused). The lists of files are those that the caller has of the same pack.
    #[must_use]
    pub fn new(pack: &Pack, files: Arc<FileSets>, now: Timestamp) -> Self {
        let mut loading = Loading::new(pack);
        let mut network = Self {
            addresses: loading.addresses(),
            names: loading.names(),
            urls: loading.table(NetworkKind::Url),
            ja4: loading.table(NetworkKind::Ja4),
            certificates: loading.table(NetworkKind::Certificate),
            allowed: Allow::shipped(&pack.network.allowed),
            files,
            streams: OnceLock::new(),
            now: AtomicI64::new(now.as_second()),
            sets: Vec::new(),
            groups: loading.groups,
            refused: loading.refused,
            broken: loading.broken,
        };
        network.groups.finish();
        network.sets = loading.sets;
        network
    }

    /// Loads the lists of a pack, those of files too.
    #[must_use]
    pub fn of(pack: &Pack, now: Timestamp) -> Self {
        Self::new(pack, Arc::new(FileSets::new(pack)), now)
    }

    /// Says what the same pack's rules for streams need, so that what none of them can match need not be scanned.
    #[must_use]
    pub fn with_streams(self, streams: Sieve) -> Self {
        Self { streams: streams.into(), ..self }
    }

    /// The same of lists that are in use already. It is said once.
    pub fn set_streams(&self, streams: Sieve) {
        // What was said before stands.
        let _ = self.streams.set(streams);
    }

    /// Says what time it is, by which lists expire.
    pub fn set_time(&self, now: Timestamp) {
        self.now.store(now.as_second(), Ordering::Relaxed);
    }

    /// Returns how many entries are listed, those of files left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len() + self.tables().iter().map(|table| table.len()).sum::<usize>()
    }

    /// Tells whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that the entries take, in bytes, those of files left out.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.addresses.memory() + self.tables().iter().map(|table| table.memory()).sum::<usize>()
    }

    /// Returns how many entries of the pack were no names, or wider than what may be listed.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Returns the lists that could not be read, and why.
    #[must_use]
    pub fn broken(&self) -> &[(RuleId, BadBody)] {
        &self.broken
    }

    fn tables(&self) -> [&Table; 4] {
        [&self.names, &self.urls, &self.ja4, &self.certificates]
    }

    /// Returns the lists of a group, the best first.
    fn sets_of(&self, group: u16) -> impl Iterator<Item = &Set> {
        self.groups.sets(group).iter().filter_map(|set| self.sets.get(usize::from(*set)))
    }

    /// Returns the best of a group's lists that has not expired.
    fn living(&self, group: u16) -> Option<&Set> {
        let now = self.now.load(Ordering::Relaxed);
        self.sets_of(group).find(|set| set.expires.is_none_or(|end| now < end.as_second()))
    }

    fn keyed(&self, table: &Table, key: &Key) -> Option<&Set> {
        self.living(table.group(key)?)
    }
}

impl Lists for Network {
    fn address(&self, address: IpAddr) -> Option<&RuleId> {
        let set = self.addresses.first(address, |_, group| self.living(group))?;
        (!self.allowed.has_network(&prefix::Prefix::of(address))).then_some(&set.rule)
    }

    fn name(&self, name: &[u8]) -> Option<&RuleId> {
        if self.names.is_empty() {
            return None;
        }
        let mut room = [0; super::MAX_DOMAIN];
        let name = lowered(name, &mut room);
        let set = ends(name).find_map(|end| self.keyed(&self.names, &key_of_text(end)))?;
        (!self.allowed.has_name(name)).then_some(&set.rule)
    }

    fn url(&self, host: &[u8], target: &[u8]) -> Option<&RuleId> {
        if self.urls.is_empty() {
            return None;
        }
        let url = Url::requested(host, target)?;
        let set = url.candidates().find_map(|text| self.keyed(&self.urls, &key_of_text(text)))?;
        (!self.allowed.has_url(&url)).then_some(&set.rule)
    }

    fn ja4(&self, ja4: &Ja4) -> Option<&RuleId> {
        if self.ja4.is_empty() {
            return None;
        }
        Some(&self.keyed(&self.ja4, &key_of_text(ja4.as_str().as_bytes()))?.rule)
    }

    fn certificate(&self, digest: &Sha256) -> Option<&RuleId> {
        Some(&self.keyed(&self.certificates, &key(&digest.0)?)?.rule)
    }

    fn file(&self, digest: &Sha256) -> Option<&RuleId> {
        let now = Timestamp::from_second(self.now.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN);
        self.files.sha256(digest, now)
    }

    fn may_match(&self, bytes: &[u8]) -> bool {
        self.streams.get().is_none_or(|streams| streams.may_match(bytes))
    }
}

/// Returns the end of a name that can be listed, in lower case and without the final dot. Bytes that no name has hide
/// nothing: they are part of no listed name, and what stands behind their label is looked up too.
fn lowered<'r>(name: &[u8], room: &'r mut [u8; super::MAX_DOMAIN]) -> &'r [u8] {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let name = match name.len().checked_sub(super::MAX_DOMAIN) {
        None | Some(0) => name,
        // The first label of what is left may be half of one.
        Some(over) => match name[over - 1..].iter().position(|b| *b == b'.') {
            Some(dot) => &name[over + dot..],
            None => &[],
        },
    };
    let room = &mut room[..name.len()];
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    room
}

/// Returns the ends of a name that can be listed: two labels or more, the longest first.
fn ends(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dots = || name.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at + 1);
    let labels = dots().count() + 1;
    let skipped = labels.saturating_sub(MAX_LABELS);
    let begins = std::iter::once(0).chain(dots()).take(labels - 1);
    begins.skip(skipped).map(|at| &name[at..])
}

/// A pack whose lists are being loaded, one kind at a time so that little is in memory twice.
struct Loading<'p> {
    pack: &'p Pack,
    sets: Vec<Set>,
    /// The place in `sets` of each list of the pack that is kept.
    places: Vec<Option<u16>>,
    /// The same of the names that older packs write as text, by their rule.
    texts: HashMap<&'p RuleId, u16>,
    groups: Groups,
    refused: usize,
    broken: Vec<(RuleId, BadBody)>,
}

impl<'p> Loading<'p> {
    fn new(pack: &'p Pack) -> Self {
        let severities: BTreeMap<&RuleId, Severity> =
            pack.rules.iter().map(|r| (&r.id, r.severity)).collect();
        let lists = pack.network.sets.iter().take(MAX_NETWORK_SETS);
        let known = lists.enumerate().filter(|(_, set)| set.kind != NetworkKind::Unknown);
        let mut sets: Vec<(Option<usize>, Set)> = known.map(|(at, set)| (Some(at), Set::of(set))).collect();
        let mut rules: Vec<&RuleId> = pack.domains.iter().map(|d| &d.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        sets.extend(rules.iter().take(MAX_SETS - sets.len()).map(|rule| (None, Set::of_text(rule))));
        sets.sort_by_key(|(_, set)| std::cmp::Reverse((severities.get(&set.rule).copied(), set.confidence)));
        let mut places = vec![None; pack.network.sets.len()];
        let mut texts = HashMap::new();
        for (place, (at, set)) in (0_u16..).zip(&sets) {
            match at {
                Some(at) => places[*at] = Some(place),
                None => {
                    let rule = rules.binary_search(&&set.rule).ok().map(|at| rules[at]);
                    texts.extend(rule.map(|rule| (rule, place)));
                }
            }
        }
        let groups = Groups::new(u16::try_from(sets.len()).unwrap_or(u16::MAX));
        let sets = sets.into_iter().map(|(_, set)| set).collect();
        Self { pack, sets, places, texts, groups, refused: 0, broken: Vec::new() }
    }

    /// Returns the bodies of one kind with the place of their list.
    fn bodies<T>(&mut self, kind: NetworkKind, read: fn(&[u8]) -> Result<T, BadBody>) -> Vec<(T, u16)> {
        let pack = self.pack;
        let of_kind = pack.network.sets.iter().zip(&self.places).filter(|(set, _)| set.kind == kind);
        let mut found = Vec::new();
        for (set, place) in of_kind.filter_map(|(set, place)| Some((set, (*place)?))) {
            let body = BASE64_NOPAD.decode(set.body.as_bytes()).map_err(|_| BadBody::Encoding);
            match body.and_then(|body| read(&body)) {
                Ok(body) => found.push((body, place)),
                Err(e) => self.broken.push((set.rule.clone(), e)),
            }
        }
        found
    }

    fn addresses(&mut self) -> Prefixes {
        let mut entries = Vec::new();
        for (shipped, place) in self.bodies(NetworkKind::Address, prefix::read) {
            self.refused = self.refused.saturating_add(shipped.refused);
            entries.extend(shipped.prefixes.into_iter().map(|prefix| (prefix, place)));
            entries.truncate(MAX_KEYS);
        }
        Prefixes::new(entries, &mut self.groups)
    }

    fn table(&mut self, kind: NetworkKind) -> Table {
        let entries = self.keys(kind);
        Table::new(entries, &mut self.groups)
    }

    fn names(&mut self) -> Table {
        let mut entries = self.keys(NetworkKind::Domain);
        for indicator in &self.pack.domains {
            let name =
                normal(&indicator.domain).filter(|n| is_specific(n) && n.split('.').count() <= MAX_LABELS);
            match name.zip(self.texts.get(&indicator.rule)) {
                Some((name, place)) => entries.push((key_of_text(name.as_bytes()), *place)),
                None => self.refused = self.refused.saturating_add(1),
            }
        }
        Table::new(entries, &mut self.groups)
    }

    fn keys(&mut self, kind: NetworkKind) -> Vec<(Key, u16)> {
        let mut entries = Vec::new();
        for (keys, place) in self.bodies(kind, keys_of) {
            entries.extend(keys.iter().map(|key| (key, place)));
            entries.truncate(MAX_KEYS);
        }
        entries
    }
}

fn keys_of(body: &[u8]) -> Result<Keys, BadBody> {
    if body.is_empty() { Ok(Keys::default()) } else { Keys::read(body) }
}

/// Checks that a list can be loaded.
///
/// # Errors
/// [`BadBody`].
pub fn check(set: &NetworkSet) -> Result<(), BadBody> {
    let body = BASE64_NOPAD.decode(set.body.as_bytes()).map_err(|_| BadBody::Encoding)?;
    match set.kind {
        NetworkKind::Address => prefix::read(&body).map(|_| ()),
        NetworkKind::Unknown => Ok(()),
        _ => keys_of(&body).map(|_| ()),
    }
}

impl Set {
    fn of(set: &NetworkSet) -> Self {
        Self {
            rule: set.rule.clone(),
            kind: set.kind,
            source: set.source.clone(),
            confidence: set.confidence,
            expires: set.expires,
        }
    }

    fn of_text(rule: &RuleId) -> Self {
        let kind = NetworkKind::Domain;
        Self { rule: rule.clone(), kind, source: String::new(), confidence: 100, expires: None }
    }
}

#[cfg(test)]
mod tests;
