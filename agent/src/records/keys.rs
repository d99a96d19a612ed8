//! Under what a record is found again: hashes of what it is about, which a [filter](super::filter) holds for each block.
//!
//! | of | hashed are |
//! |---|---|
//! | name | its last label, its last two and so on up to [`LABELS`]: what lies below a name has its key, too |
//! | address | all of it, and the networks around it of the lengths in [`V4`] and [`V6`] |
//! | JA4, certificate, file | as they are |
//!
//! Pure. A key says where a record may be; whether it is there, [`Sought`] says.

use std::{collections::HashSet, hash::RandomState, net::IpAddr};

use khien_core::{
    order::{Sought, addresses, names},
    traffic::{Record, What},
};

/// The last labels of a name that have keys: a hostile name may have 127. What is sought with more has the key of its last.
const LABELS: usize = 8;
/// Lengths of networks around an address that have keys, the longest first. What is sought in a network of another length has
/// the key of the next one around it, or none, so that every block of its time is looked through.
const V4: [u32; 3] = [32, 24, 16];
const V6: [u32; 4] = [128, 64, 48, 32];

/// What a key is of.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Name = 1,
    Ja4 = 3,
    Certificate = 4,
    File = 5,
    /// And the length of a network.
    Address = 0x100,
}

/// The keys of some records.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(HashSet<u64, RandomState>);

impl Keys {
    /// Adds those of a record.
    pub(super) fn add(&mut self, record: &Record) {
        names(record).for_each(|name| ends_of(name, |key| self.put(key)));
        addresses(record).for_each(|address| self.add_address(address));
        match &record.what {
            What::Tls(tls) => {
                tls.ja4.iter().for_each(|ja4| self.put(of(Kind::Ja4, ja4.as_str().as_bytes())));
                tls.certificate.iter().for_each(|digest| self.put(of(Kind::Certificate, &digest.0)));
            }
            What::File(file) => file.sha256.iter().for_each(|digest| self.put(of(Kind::File, &digest.0))),
            What::Flow(_) | What::Dns(_) | What::Http(_) | What::Smtp(_) => {}
        }
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Goes through all, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    fn put(&mut self, key: u64) {
        self.0.insert(key);
    }

    fn add_address(&mut self, address: IpAddr) {
        for length in lengths(address) {
            // One that is known brought its networks along.
            if !self.0.insert(of_network(address, *length)) {
                return;
            }
        }
    }
}

#[cfg(test)]
impl FromIterator<u64> for Keys {
    fn from_iter<I: IntoIterator<Item = u64>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// Returns the key that every record has which is what is sought; none if there is no such key.
pub(super) fn sought(sought: &Sought) -> Option<u64> {
    match sought {
        Sought::Domain(name) | Sought::Url { host: name, .. } => {
            let mut last = None;
            let name = name.raw();
            ends_of(name.strip_suffix(b".").unwrap_or(name), |key| last = Some(key));
            last
        }
        Sought::Address(network) => {
            let (first, last) = network.bounds();
            let around = |length: &&u32| of_network(first, **length) == of_network(last, **length);
            lengths(first).iter().find(around).map(|length| of_network(first, *length))
        }
        Sought::Ja4(ja4) => Some(of(Kind::Ja4, ja4.as_str().as_bytes())),
        Sought::Certificate(digest) => Some(of(Kind::Certificate, &digest.0)),
        Sought::Sha256(digest) => Some(of(Kind::File, &digest.0)),
    }
}

/// Hands over the keys of the last labels of a name, rising. It is read from its end, so that each byte is hashed once.
fn ends_of(name: &[u8], mut take: impl FnMut(u64)) {
    let mut hash = begin(Kind::Name as u64);
    let mut labels = 0;
    for byte in name.iter().rev() {
        if *byte == b'.' {
            take(mixed(hash));
            labels += 1;
            if labels == LABELS {
                return;
            }
        }
        hash = step(hash, byte.to_ascii_lowercase());
    }
    take(mixed(hash));
}

fn of(kind: Kind, bytes: &[u8]) -> u64 {
    mixed(bytes.iter().fold(begin(kind as u64), |hash, byte| step(hash, *byte)))
}

fn lengths(address: IpAddr) -> &'static [u32] {
    match address {
        IpAddr::V4(_) => &V4,
        IpAddr::V6(_) => &V6,
    }
}

fn of_network(address: IpAddr, length: u32) -> u64 {
    let begun = begin(Kind::Address as u64 + u64::from(length));
    match address {
        // Lengths are at least 1.
        IpAddr::V4(address) => mixed(begun ^ u64::from(address.to_bits() >> (32 - length))),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> (128 - length);
            // The two halves of it.
            mixed(mixed(begun ^ (bits >> 64) as u64) ^ bits as u64)
        }
    }
}

/// FNV-1a with 64 bits (draft-eastlake-fnv), of a kind and then of bytes.
fn begin(kind: u64) -> u64 {
    step_wide(0xcbf2_9ce4_8422_2325, kind)
}

fn step(hash: u64, byte: u8) -> u64 {
    step_wide(hash, byte.into())
}

fn step_wide(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Spreads a hash over all its bits (the last step of MurmurHash3).
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use khien_core::{
        Timestamp,
        event::Transport,
        traffic::{Dns, Ends},
    };
    use proptest::prelude::*;

    use super::*;

    /// A record about this name, and between these addresses.
    fn record(name: &str, client: IpAddr, server: IpAddr) -> Record {
        let ends = Ends {
            flow: 7,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            transport: Transport::Udp,
            client: (client, 5_000).into(),
            server: (server, 53).into(),
            saw_syn: false,
        };
        let dns =
            Dns { id: 1, answer: false, query: name.into(), query_type: 1, code: None, answers: Vec::new() };
        Record { at: Timestamp::UNIX_EPOCH, ends, what: What::Dns(Box::new(dns)) }
    }

    fn has(record: &Record, sought: &Sought) -> bool {
        let mut keys = Keys::default();
        keys.add(record);
        super::sought(sought).is_none_or(|key| keys.0.contains(&key))
    }

    fn domain(name: &str) -> Sought {
        Sought::Domain(name.into())
    }

    #[test]
    fn what_lies_below_a_name_has_its_key_and_what_lies_beside_has_not() {
        let home = "192.0.2.1".parse().unwrap();
        let has = |name: &str| has(&record(name, home, home), &domain("Evil.example."));

        assert!(has("evil.example") && has("a.b.evil.EXAMPLE") && has("1.2.3.4.5.6.7.8.9.evil.example"));
        assert!(!has("example") && !has("notevil.example") && !has("good.example"));
    }

    #[test]
    fn a_network_has_the_key_of_the_next_one_around_it() {
        let has = |network: &str, address: &str| {
            has(
                &record("a", address.parse().unwrap(), "198.51.100.1".parse().unwrap()),
                &Sought::Address(network.parse().unwrap()),
            )
        };

        assert!(has("203.0.113.0/24", "203.0.113.255") && !has("203.0.113.0/24", "203.0.114.0"));
        assert!(has("203.0.113.128/25", "203.0.113.7"), "it may be there");
        assert!(!has("203.0.113.8", "203.0.113.7"));
        assert!(has("2001:db8::/32", "2001:db8:ffff::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("10.0.0.0/8", "203.0.113.7"), "there is no key of it");
    }

    proptest! {
        #[test]
        fn what_is_sought_in_a_record_has_a_key_of_it(
            name in "[a-bA-B.]{0,12}", sought in "[a-b.]{1,8}", many in 0usize..12
        ) {
            let home = "192.0.2.1".parse().unwrap();
            let name = format!("{name}{}", ".x".repeat(many));
            let record = record(&name, home, home);
            for sought in [sought.clone(), format!("{sought}{}", ".x".repeat(many))] {
                let sought = domain(&sought);
                prop_assert!(!sought.is_in(&record) || has(&record, &sought), "{} in {}", sought, name);
            }
        }

        #[test]
        fn an_address_in_a_network_has_its_key(address: IpAddr, length in 0u8..=128) {
            let home = "192.0.2.1".parse().unwrap();
            let most = if address.is_ipv4() { 32 } else { 128 };
            let network = Sought::Address(format!("{address}/{}", length.min(most)).parse().unwrap());
            let record = record("a", home, address);
            prop_assert!(!network.is_in(&record) || has(&record, &network), "{} in {}", address, network);
        }
    }
}
