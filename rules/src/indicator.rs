//! Indicators beside YARA: addresses, names, URLs and fingerprints of traffic, and digests and names of files.

pub mod digest;
pub mod files;
pub mod import;
pub mod keys;
pub mod names;
pub mod network;

/// The longest name of the DNS, without the final dot.
pub const MAX_DOMAIN: usize = 253;
/// The longest label of the DNS.
pub const MAX_LABEL: usize = 63;

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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_told_from_garbage_top_level_domains_and_addresses() {
        assert_eq!(normal("C2.Khien-Test.example.").as_deref(), Some("c2.khien-test.example"));
        for garbage in ["", ".", "a..b", "bad name.example", "đ.example", &"a.".repeat(200)] {
            assert_eq!(normal(garbage), None, "{garbage}");
        }
        assert!(is_specific("evil.example") && !is_specific("com") && !is_specific("1.2.3.4"));
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_normal(name: String) {
            if let Some(once) = normal(&name) {
                prop_assert_eq!(normal(&once), Some(once.clone()));
            }
        }
    }
}
