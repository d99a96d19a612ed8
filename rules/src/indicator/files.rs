//! The lists of digests and file names of a pack, asked about each file that is scanned.

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use khien_core::{
    RuleId, Sha256, Timestamp,
    bundle::{IndicatorSet, Pack, SetKind},
};

use super::{
    digest::{Digests, Wanted},
    import::Imported,
    keys::{BadBody, Keys, key},
    names::{Globs, folded, keys_of},
};

/// What is known of a file when the lists are asked.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// Its path, or its name inside an archive.
    pub path: &'f [u8],
    /// Its digests, as far as they were made; see [`FileSets::wanted`].
    pub digests: &'f Digests,
}

/// A list on which a file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The rule of the list.
    pub rule: RuleId,
    /// What of the file is listed.
    pub kind: SetKind,
    /// Where the list comes from.
    pub source: Arc<str>,
    /// How sure that source is, in percent.
    pub confidence: u8,
}

/// The lists of a pack that are about files.
#[derive(Debug, Default)]
pub struct FileSets {
    sets: Vec<Set>,
    broken: Vec<(RuleId, BadBody)>,
}

#[derive(Debug)]
struct Set {
    hit: Hit,
    expires: Option<Timestamp>,
    keys: Keys,
    globs: Globs,
}

impl FileSets {
    /// Loads the lists of a pack. One that cannot be read is left out and told, see [`broken`](Self::broken).
    #[must_use]
    pub fn new(pack: &Pack) -> Self {
        let mut loaded = Self::default();
        let mut sources: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        for set in &pack.sets {
            let source = sources.entry(&set.source).or_insert_with(|| set.source.as_str().into());
            match read(set) {
                Ok((keys, globs)) => loaded.sets.push(Set {
                    hit: Hit {
                        rule: set.rule.clone(),
                        kind: set.kind,
                        source: Arc::clone(source),
                        confidence: set.confidence,
                    },
                    expires: set.expires,
                    keys,
                    globs,
                }),
                Err(e) => loaded.broken.push((set.rule.clone(), e)),
            }
        }
        loaded
    }

    /// Returns the digests that the lists ask for, expired ones left out.
    #[must_use]
    pub fn wanted(&self, now: Timestamp) -> Wanted {
        let asks = |kind| self.live(now).any(|s| s.hit.kind == kind && !s.keys.is_empty());
        Wanted { sha256: asks(SetKind::Sha256), sha1: asks(SetKind::Sha1), md5: asks(SetKind::Md5) }
    }

    /// Returns the lists on which a file stands, the surest first; each rule once.
    #[must_use]
    pub fn matches(&self, file: &Facts<'_>, now: Timestamp) -> Vec<Hit> {
        let mut names = None;
        let listed = self.live(now).filter(|set| match set.hit.kind {
            SetKind::Sha256 => holds(&set.keys, file.digests.sha256.as_ref().map(|d| &d.0[..])),
            SetKind::Sha1 => holds(&set.keys, file.digests.sha1.as_ref().map(|d| &d[..])),
            SetKind::Md5 => holds(&set.keys, file.digests.md5.as_ref().map(|d| &d[..])),
            SetKind::FileName => {
                let (path, keys) = names.get_or_insert_with(|| {
                    let path = folded(file.path);
                    let keys = keys_of(&path);
                    (path, keys)
                });
                keys.iter().any(|k| set.keys.contains(k)) || set.globs.matches(path)
            }
        });
        let mut hits: Vec<_> = listed.map(|set| set.hit.clone()).collect();
        hits.sort_by(|a, b| a.rule.cmp(&b.rule).then(b.confidence.cmp(&a.confidence)));
        hits.dedup_by(|a, b| a.rule == b.rule);
        hits.sort_by_key(|h| std::cmp::Reverse(h.confidence));
        hits
    }

    /// Returns the surest list on which the SHA-256 of a file stands.
    #[must_use]
    pub fn sha256(&self, digest: &Sha256, now: Timestamp) -> Option<&RuleId> {
        let of_kind = self.live(now).filter(|set| set.hit.kind == SetKind::Sha256);
        let holding = of_kind.filter(|set| holds(&set.keys, Some(&digest.0)));
        holding.max_by_key(|set| set.hit.confidence).map(|set| &set.hit.rule)
    }

    /// Returns every list on which a digest stands, expired ones too, with when they expire.
    #[must_use]
    pub fn look_up(&self, digest: &Listed) -> Vec<(Hit, Option<Timestamp>)> {
        let of_kind = self.sets.iter().filter(|set| set.hit.kind == digest.kind);
        let holding = of_kind.filter(|set| holds(&set.keys, Some(&digest.bytes)));
        holding.map(|set| (set.hit.clone(), set.expires)).collect()
    }

    /// Returns how many entries are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.iter().map(|s| s.keys.len() + usize::from(!s.globs.is_empty())).sum()
    }

    /// Tells whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that the keys take, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.sets.iter().map(|s| s.keys.memory()).sum()
    }

    /// Returns the lists that could not be read, and why.
    #[must_use]
    pub fn broken(&self) -> &[(RuleId, BadBody)] {
        &self.broken
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Set> {
        self.sets.iter().filter(move |s| s.expires.is_none_or(|end| now < end))
    }
}

/// A digest of a file as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    kind: SetKind,
    bytes: Vec<u8>,
}

impl Listed {
    /// Reads a SHA-256, SHA-1 or MD5, known by its length.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kind = match text.len() {
            64 => SetKind::Sha256,
            40 => SetKind::Sha1,
            32 => SetKind::Md5,
            _ => return None,
        };
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Some(Self { kind, bytes })
    }
}

/// Packs an imported list for shipping.
#[must_use]
pub fn section(imported: &Imported) -> Section {
    let body = imported.keys.body().map(|b| BASE64_NOPAD.encode(&b)).unwrap_or_default();
    let entries = u32::try_from(imported.keys.len() + imported.globs.len()).unwrap_or(u32::MAX);
    Section { entries, body, globs: imported.globs.clone() }
}

/// The part of an [`IndicatorSet`] that comes from a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// How many entries.
    pub entries: u32,
    /// The keys in base64.
    pub body: String,
    /// The globs.
    pub globs: Vec<String>,
}

fn read(set: &IndicatorSet) -> Result<(Keys, Globs), BadBody> {
    let body = BASE64_NOPAD.decode(set.body.as_bytes()).map_err(|_| BadBody::Encoding)?;
    let keys = if body.is_empty() { Keys::default() } else { Keys::read(&body)? };
    Ok((keys, Globs::new(set.globs.iter().map(String::as_str))))
}

/// Checks that a set can be loaded.
///
/// # Errors
/// [`BadBody`].
pub fn check(set: &IndicatorSet) -> Result<(), BadBody> {
    read(set).map(|_| ())
}

fn holds(keys: &Keys, digest: Option<&[u8]>) -> bool {
    digest.and_then(key).is_some_and(|k| keys.contains(&k))
}
