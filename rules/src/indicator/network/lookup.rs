//! On which lists of a pack something stands: what responders ask every day.

use khien_core::{Sha256, bundle::Pack, traffic::Ja4};

use super::{Network, Set, ends, prefix::Prefix, table::Table, url::Url, value::Value};
use crate::indicator::keys::{key, key_of_text};

/// One list on which something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The entry: the network around an address, the name above a name, the folder above a URL.
    pub entry: String,
    /// The list.
    pub set: Set,
    /// Whether it is let be all the same.
    pub allowed: bool,
}

impl Network {
    /// Returns every list on which a value stands, expired ones too, the best of the closest entry first. Of a URL its
    /// host is looked up too.
    #[must_use]
    pub fn look_up(&self, value: &Value) -> Vec<Found> {
        match value {
            Value::Address(prefix) => self.look_up_network(prefix),
            Value::Name(name) => self.look_up_name(name),
            Value::Url(url) => self.look_up_url(url),
            Value::Ja4(ja4) => self.look_up_ja4(ja4),
            Value::Digest(digest) => self.look_up_certificate(digest),
        }
    }

    fn look_up_network(&self, asked: &Prefix) -> Vec<Found> {
        let allowed = self.allowed.has_network(asked);
        let mut found = Vec::new();
        self.addresses.first(asked.address, |prefix, group| {
            if prefix.contains(asked) {
                let entry = prefix.to_string();
                found.extend(self.sets_of(group).map(|set| hit(&entry, set, allowed)));
            }
            None::<()>
        });
        found
    }

    fn look_up_name(&self, name: &str) -> Vec<Found> {
        let allowed = self.allowed.has_name(name.as_bytes());
        ends(name.as_bytes()).flat_map(|end| self.in_table(&self.names, end, allowed)).collect()
    }

    fn look_up_url(&self, url: &Url) -> Vec<Found> {
        let allowed = self.allowed.has_url(url);
        let mut found: Vec<_> =
            url.candidates().flat_map(|text| self.in_table(&self.urls, text, allowed)).collect();
        let host = std::str::from_utf8(url.host()).ok().and_then(Value::parse);
        found.extend(host.iter().flat_map(|host| self.look_up(host)));
        found
    }

    fn look_up_ja4(&self, ja4: &Ja4) -> Vec<Found> {
        self.in_table(&self.ja4, ja4.as_str().as_bytes(), false)
    }

    fn look_up_certificate(&self, digest: &Sha256) -> Vec<Found> {
        let group = key(&digest.0).and_then(|key| self.certificates.group(&key));
        let sets = group.into_iter().flat_map(|group| self.sets_of(group));
        sets.map(|set| hit(&digest.to_string(), set, false)).collect()
    }

    fn in_table(&self, table: &Table, text: &[u8], allowed: bool) -> Vec<Found> {
        let entry = String::from_utf8_lossy(text);
        let group = table.group(&key_of_text(text));
        group.into_iter().flat_map(|group| self.sets_of(group)).map(|set| hit(&entry, set, allowed)).collect()
    }
}

/// Returns what of the things that are let be must travel with a pack: what lies within a listed entry.
#[must_use]
pub fn exceptions(pack: &Pack, allow: &super::Allow) -> Vec<String> {
    if allow.values().is_empty() {
        return Vec::new();
    }
    let network = Network::new(pack, std::sync::Arc::default(), khien_core::Timestamp::MIN);
    let lies_within = |value: &&Value| match value {
        Value::Url(url) => url.candidates().any(|text| network.urls.group(&key_of_text(text)).is_some()),
        Value::Address(_) | Value::Name(_) => !network.look_up(value).is_empty(),
        Value::Ja4(_) | Value::Digest(_) => false,
    };
    let within = allow.values().iter().filter(lies_within);
    let mut texts: Vec<String> = within.filter_map(Value::to_text).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

fn hit(entry: &str, set: &Set, allowed: bool) -> Found {
    Found { entry: entry.to_owned(), set: set.clone(), allowed }
}
