//! Indicators beside YARA: names of hosts, looked up label by label, and digests and names of files.

pub mod digest;
pub mod files;
pub mod import;
pub mod keys;
pub mod names;

use std::collections::HashMap;

use khien_core::{RuleId, bundle::Pack};

/// The longest name of the DNS, without the final dot.
pub const MAX_DOMAIN: usize = 253;
/// The longest label of the DNS.
pub const MAX_LABEL: usize = 63;

/// The listed names of a pack. A look-up costs one hash per label of the name, whatever the length of the list.
#[derive(Debug, Default)]
pub struct Domains {
    rules: Vec<RuleId>,
    /// Points into `rules`: a list of a million names must not carry a million copies of an id.
    listed: HashMap<Box<str>, u32>,
    refused: usize,
}

impl Domains {
    /// Takes the names of a pack. What is no name is left out and counted, see [`refused`](Self::refused).
    #[must_use]
    pub fn new(pack: &Pack) -> Self {
        let mut domains = Self::default();
        let mut places: HashMap<&RuleId, u32> = HashMap::new();
        domains.listed.reserve(pack.domains.len());
        for indicator in &pack.domains {
            let Some(name) = normal(&indicator.domain).filter(|n| is_specific(n)) else {
                domains.refused += 1;
                continue;
            };
            let place = *places.entry(&indicator.rule).or_insert_with(|| {
                domains.rules.push(indicator.rule.clone());
                // More than u32::MAX rules do not fit into a pack of 16 MiB.
                u32::try_from(domains.rules.len() - 1).unwrap_or(u32::MAX)
            });
            domains.listed.entry(name.into_boxed_str()).or_insert(place);
        }
        domains
    }

    /// Returns the list on which a name stands, by itself or below a listed name; the longest listed name wins.
    /// Upper case, a final dot and bytes that no name can have are welcome.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&RuleId> {
        let name = normal(name)?;
        let mut rest = name.as_str();
        loop {
            if let Some(place) = self.listed.get(rest) {
                return self.rules.get(*place as usize);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    /// Returns how many names are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Tells whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Returns how many entries of the pack were no names.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }
}

/// Returns the name in lower case without a final dot, or nothing if it is none. International names come in their
/// `xn--` form, as they stand on the wire.
#[must_use]
pub fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_DOMAIN {
        return None;
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |l: &str| (1..=MAX_LABEL).contains(&l.len()) && l.bytes().all(fits);
    name.split('.').all(is_label).then(|| name.to_ascii_lowercase())
}

/// Tells whether a listed name is more than a top-level domain, which would make half the world a hit, and no IPv4
/// address.
#[must_use]
pub fn is_specific(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, last)| last.bytes().any(|b| !b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use khien_core::{Timestamp, bundle::DomainIndicator};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_listed_name_and_names_below_it_are_found() {
        let domains = listing(&["c2.khien-test.example"]);

        for name in ["c2.khien-test.example", "C2.Khien-Test.EXAMPLE.", "a.b.c2.khien-test.example"] {
            assert_eq!(domains.find(name).map(RuleId::as_str), Some("indicator.domain.base"), "{name}");
        }
    }

    #[test]
    fn a_name_that_only_looks_alike_is_not_found() {
        let domains = listing(&["c2.khien-test.example"]);

        for name in
            ["khien-test.example", "xc2.khien-test.example", "c2.khien-test.example.com", "example", "", "."]
        {
            assert_eq!(domains.find(name), None, "{name}");
        }
    }

    #[test]
    fn garbage_is_not_listed_and_is_counted() {
        let domains =
            listing(&["com", "", "a..b", "bad name.example", "1.2.3.4", "đ.example", &"a.".repeat(200)]);

        assert!(domains.is_empty());
        assert_eq!(domains.refused(), 7);
    }

    #[test]
    fn the_longest_listed_name_wins() {
        let mut pack = packed(&["khien-test.example"]);
        let rule: RuleId = "indicator.domain.other".parse().unwrap();
        pack.domains.push(DomainIndicator { domain: "c2.khien-test.example".to_owned(), rule: rule.clone() });

        let domains = Domains::new(&pack);

        assert_eq!(domains.find("x.c2.khien-test.example"), Some(&rule));
        assert_ne!(domains.find("www.khien-test.example"), Some(&rule));
    }

    #[test]
    fn a_million_names_cost_no_more_than_one() {
        let names: Vec<String> = (0..1_000_000).map(|i| format!("h{i}.khien-test.example")).collect();
        let domains = listing(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let begin = Instant::now();

        for i in 0..1_000 {
            assert!(domains.find(&format!("a.b.h{i}.khien-test.example")).is_some());
            assert!(domains.find(&format!("a.b.g{i}.khien-test.example")).is_none());
        }

        // A walk through the list would take minutes; the bound leaves room for a busy machine.
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked_for(name: String) {
            let _ = listing(&["c2.khien-test.example"]).find(&name);
        }

        #[test]
        fn every_name_below_a_listed_one_is_found(label in "[a-zA-Z0-9_-]{1,63}", dot in "\\.?") {
            let name = format!("{label}.c2.khien-test.example{dot}");

            prop_assert!(listing(&["c2.khien-test.example"]).find(&name).is_some());
        }

        #[test]
        fn what_is_normal_stays_normal(name: String) {
            if let Some(once) = normal(&name) {
                prop_assert_eq!(normal(&once), Some(once.clone()));
            }
        }
    }

    fn listing(names: &[&str]) -> Domains {
        Domains::new(&packed(names))
    }

    fn packed(names: &[&str]) -> Pack {
        let rule: RuleId = "indicator.domain.base".parse().unwrap();
        let entry = |n: &&str| DomainIndicator { domain: (*n).to_owned(), rule: rule.clone() };
        Pack {
            version: 1,
            created: Timestamp::UNIX_EPOCH,
            rules: Vec::new(),
            sources: Vec::new(),
            domains: names.iter().map(entry).collect(),
            sets: Vec::new(),
            policy: None,
        }
    }
}
