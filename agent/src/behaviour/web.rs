//! The profile of a web root: what is done there that neither visitors nor administrators do. Pure: callers pass what
//! happened, what was seen of the files, and the time.
//!
//! What a deployment tool brings is left alone, unless the web server's own user runs it. Findings that are strange only if
//! they stand alone wait a few seconds to see whether they do.

use std::collections::HashMap;

use khien_core::{
    Sha256, Timestamp, Untrusted,
    conduct::Deed,
    event::{FileFacts, Process},
    time::SignedDuration,
};

use super::{
    hand::Hand,
    names,
    pages::Pages,
    settle::Settle,
    tally::Tally,
    telling::Telling,
    verdict::{Ask, Facts, Finding, Release, Verdict},
};
use crate::{
    activity::{Activity, Change},
    scan::recent::Recent,
};

/// A script's time is forged when it is further than this from its last change of any kind.
const FORGED_BY: SignedDuration = SignedDuration::from_hours(24);
/// A script is late when it is so much newer than all around it.
const LATE_BY: SignedDuration = SignedDuration::from_hours(24);
/// A release is put down within this time.
const RELEASE_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// Fewer scripts are no release.
pub(super) const RELEASE_OF: usize = 5;
/// A sitemap grew when it names so many times as many pages…
const SITEMAP_TIMES: u64 = 10;
/// …and at least so many more.
const SITEMAP_MORE: u64 = 500;
/// Scripts whose time is remembered, to see when it is set back.
const MAX_FRESH: usize = 16_384;
/// Configuration files and sitemaps that are remembered.
const MAX_KNOWN: usize = 1_024;

/// What is known of all web roots.
#[derive(Debug)]
pub(super) struct Web {
    tally: Tally,
    pages: HashMap<Untrusted, Pages>,
    telling: Telling,
    settle: Settle,
    /// The times of scripts that changed lately.
    fresh: Recent<Untrusted, Timestamp>,
    configs: Recent<Untrusted, Sha256>,
    sitemaps: Recent<Untrusted, u64>,
}

/// Something that happened, in which root, and by whose hand.
#[derive(Debug)]
pub(super) struct Deeds<'a> {
    pub(super) activity: &'a Activity,
    pub(super) root: &'a [u8],
    pub(super) hand: Hand,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            tally: Tally::default(),
            pages: HashMap::new(),
            telling: Telling::default(),
            settle: Settle::default(),
            fresh: Recent::new(MAX_FRESH),
            configs: Recent::new(MAX_KNOWN),
            sitemaps: Recent::new(MAX_KNOWN),
        }
    }
}

impl<'a> Deeds<'a> {
    /// Puts together what happened in a root.
    pub(super) fn new(activity: &'a Activity, root: &'a [u8], hand: Hand) -> Self {
        Self { activity, root, hand }
    }

    pub(super) fn path(&self) -> &[u8] {
        self.activity.path.raw()
    }

    pub(super) fn below(&self) -> &[u8] {
        self.path().strip_prefix(self.root).unwrap_or_default()
    }

    fn process(&self) -> Option<Process> {
        self.activity.process.as_deref().cloned()
    }

    fn finding(&self, deed: Deed, facts: Option<&Facts>) -> Finding {
        Finding {
            root: Untrusted::new(self.root),
            path: self.activity.path.clone(),
            deed,
            file: facts.map(|f| f.file.clone()),
            sha256: facts.and_then(|f| f.sha256),
            process: self.process(),
        }
    }
}

impl Web {
    /// Remembers how many pages a sitemap lists that was there already. One that is known is not measured by what it has
    /// become.
    pub(super) fn knows_sitemap(&mut self, path: Untrusted, pages: u64) {
        if self.sitemaps.get(&path).is_none() {
            self.sitemaps.put(path, pages);
        }
    }

    /// Takes what happened to a file. Returns what is told at once, and what is to be seen of the file.
    pub(super) fn heard(&mut self, it: &Deeds<'_>, now: Timestamp) -> (Option<Verdict>, Option<Ask>) {
        let path = it.path();
        match it.activity.change {
            Change::Removed | Change::MovedOut => {
                let told = (names::is_config(path) && !it.hand.brings())
                    .then(|| self.tally.add(it.finding(Deed::ServerConfig, None), now));
                (told.flatten(), None)
            }
            Change::Attributes => {
                let known = self.fresh.get(&it.activity.path).is_some() && !it.hand.brings();
                (None, known.then_some(Ask::Script))
            }
            Change::Created | Change::MovedIn { .. } => (self.page(it, now), self.asks(it)),
            Change::Written => (None, self.asks(it)),
        }
    }

    fn page(&mut self, it: &Deeds<'_>, now: Timestamp) -> Option<Verdict> {
        if !names::is_page(it.path()) || it.hand.brings() || names::in_cache(it.below()) {
            return None;
        }
        let many = self.pages.entry(Untrusted::new(it.root)).or_default().made(it)?;
        self.telling.put(many, now)
    }

    fn asks(&self, it: &Deeds<'_>) -> Option<Ask> {
        let path = it.path();
        match () {
            () if names::is_config(path) => Some(Ask::Whole),
            () if names::is_sitemap(path) => Some(Ask::Sitemap),
            () if it.hand.brings() => None,
            () if names::is_script(path) || names::hides_script(path) => Some(Ask::Script),
            () if names::in_uploads(it.below()) => Some(Ask::Script),
            () => None,
        }
    }

    /// Takes what was seen of a file that was asked for.
    pub(super) fn saw(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        let path = it.path();
        if names::is_config(path) {
            let deed = self.configured(it, facts)?;
            return self.tally.add(it.finding(deed, Some(facts)), now);
        }
        if names::is_sitemap(path) {
            let deed = self.listed(it, facts)?;
            return self.tally.add(it.finding(deed, Some(facts)), now);
        }
        if it.hand.brings() {
            return None;
        }
        self.script(it, facts, now)
    }

    fn configured(&mut self, it: &Deeds<'_>, facts: &Facts) -> Option<Deed> {
        let FileFacts { size, modified, .. } = facts.file;
        let content = match facts.sha256 {
            Some(sha256) => sha256,
            // What is too large to be read is known again by what is seen of it from outside.
            None if facts.too_large => Sha256::of(format!("{size} {modified} {}", facts.changed).as_bytes()),
            None => return None,
        };
        let path = it.activity.path.clone();
        if self.configs.get(&path) == Some(&content) {
            return None;
        }
        self.configs.put(path, content);
        match &facts.says.runs {
            // Whoever brought it: the web server reads it, and what it says is not known.
            _ if facts.too_large => Some(Deed::ServerConfigUnread { size }),
            Some(line) => Some(Deed::ServerConfigRuns { line: line.clone() }),
            None => (!it.hand.brings()).then_some(Deed::ServerConfig),
        }
    }

    fn listed(&mut self, it: &Deeds<'_>, facts: &Facts) -> Option<Deed> {
        let (path, now) = (it.activity.path.clone(), facts.pages?);
        let before = self.sitemaps.get(&path).copied();
        self.sitemaps.put(path, now);
        let before = before?;
        let grew = now >= before.saturating_mul(SITEMAP_TIMES) && now >= before.saturating_add(SITEMAP_MORE);
        grew.then_some(Deed::SitemapGrew { before, now })
    }

    fn script(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        let by_name = names::is_script(it.path());
        if facts.says.stub || !(by_name || names::hides_script(it.path()) || facts.says.script) {
            return None;
        }
        let root = Untrusted::new(it.root);
        self.settle.changed(&root, &it.activity.path, it.activity.at);
        let mut told = None;
        let forged = self.forged(it, facts);
        self.fresh.put(it.activity.path.clone(), facts.file.modified);
        if let Some((deed, alone)) = forged {
            let finding = it.finding(deed, Some(facts));
            told = self.tell_or_wait(finding, alone, now);
        }
        if it.activity.change == Change::Attributes {
            return told;
        }
        let found = match plain(it, facts, by_name) {
            Some(deed) => self.tell_or_wait(it.finding(deed, Some(facts)), false, now),
            None => {
                late(it, facts).and_then(|deed| self.tell_or_wait(it.finding(deed, Some(facts)), true, now))
            }
        };
        // Of two findings of one look the second is told with the next tick.
        match (told, found) {
            (Some(first), Some(second)) => {
                self.settle.told_later(second);
                Some(first)
            }
            (first, second) => first.or(second),
        }
    }

    fn tell_or_wait(&mut self, finding: Finding, only_if_alone: bool, now: Timestamp) -> Option<Verdict> {
        if only_if_alone {
            self.settle.wait(finding, now);
            return None;
        }
        self.tally.add(finding, now)
    }

    /// Returns that a script's time is forged, and whether that counts only if the script stands alone.
    fn forged(&self, it: &Deeds<'_>, facts: &Facts) -> Option<(Deed, bool)> {
        let (says, changed) = (facts.file.modified, facts.changed);
        let off = changed.duration_since(says);
        let was_fresh =
            self.fresh.get(&it.activity.path).is_some_and(|was| was.duration_since(says) >= FORGED_BY);
        let moved = matches!(it.activity.change, Change::MovedIn { .. });
        if off.abs() < FORGED_BY || (it.activity.change == Change::Attributes && !was_fresh) {
            return None;
        }
        let deed = Deed::ForgedTime { says, changed };
        match it.hand {
            Hand::Server => Some((deed, false)),
            // Its time came with it.
            _ if moved => None,
            Hand::Other if was_fresh => Some((deed, false)),
            Hand::Other | Hand::Unknown => Some((deed, true)),
            Hand::Deploy | Hand::Copy => None,
        }
    }

    /// Returns what is due by now.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Verdict> {
        let (alone, mut told) = self.settle.due(now);
        told.extend(alone.into_iter().filter_map(|finding| self.tally.add(finding, now)));
        told.extend(self.tally.due(now));
        told.extend(self.telling.due(now));
        told
    }
}

/// Returns what is wrong with a script wherever and whenever it was written.
fn plain(it: &Deeds<'_>, facts: &Facts, by_name: bool) -> Option<Deed> {
    let below = it.below();
    if names::hides_script(it.path()) {
        return Some(Deed::HiddenExtension);
    }
    if names::in_uploads(below) && (by_name || facts.says.script) {
        return Some(Deed::ScriptInUploads { disguised: !by_name });
    }
    (it.hand == Hand::Server && !names::in_cache(below)).then_some(Deed::ScriptByServer)
}

/// Returns that a script is newer than all around it, which are of one release.
fn late(it: &Deeds<'_>, facts: &Facts) -> Option<Deed> {
    let Release { scripts, oldest, newest } = facts.release?;
    let release = scripts >= RELEASE_OF && newest.duration_since(oldest) <= RELEASE_WITHIN;
    let late = facts.file.modified.duration_since(newest) >= LATE_BY;
    (release && late && !names::in_cache(it.below())).then_some(Deed::LateScript { release: newest })
}

#[cfg(test)]
mod tests;
