use proptest::prelude::*;

use super::*;

#[test]
fn addresses_and_networks_are_read_and_written_alike() {
    for (text, written) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("2001:DB8:0::7/64", "2001:db8::/64"),
    ] {
        assert_eq!(Prefix::parse(text).map(|p| p.to_string()).as_deref(), Some(written), "{text}");
    }
    for wrong in
        ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "::/129", "::ffff:1.2.3.4/90", "1.2.3.4/24/24", "a/8"]
    {
        assert_eq!(Prefix::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn the_longest_network_in_which_an_address_lies_wins() {
    let listed = listing(&["198.51.0.0/16", "198.51.100.0/24", "198.51.100.7", "2001:db8::/32"]);

    assert_eq!(found(&listed, "198.51.100.7"), Some((prefix_of("198.51.100.7"), 2)));
    assert_eq!(found(&listed, "198.51.100.8"), Some((prefix_of("198.51.100.0/24"), 1)));
    assert_eq!(found(&listed, "198.51.9.9"), Some((prefix_of("198.51.0.0/16"), 0)));
    assert_eq!(found(&listed, "::ffff:198.51.9.9"), Some((prefix_of("198.51.0.0/16"), 0)));
    assert_eq!(found(&listed, "2001:db8:1::1"), Some((prefix_of("2001:db8::/32"), 3)));
    for clean in ["198.52.0.1", "2001:db9::1", "198.50.255.255", "::1"] {
        assert_eq!(found(&listed, clean), None, "{clean}");
    }
}

#[test]
fn what_was_shipped_is_the_same_and_too_wide_networks_are_left_out_and_counted() {
    let all = ["0.0.0.0/0", "128.0.0.0/1", "9.0.0.0/8", "192.0.2.1", "192.0.2.9", "::/0", "2001:db8::/32"];

    let shipped = read(&body(all.map(prefix_of).to_vec())).unwrap();

    assert_eq!(shipped.refused, 3);
    let kept = ["9.0.0.0/8", "192.0.2.1", "192.0.2.9", "2001:db8::/32"].map(prefix_of);
    assert_eq!(shipped.prefixes, kept);
}

#[test]
fn a_body_that_lies_is_refused() {
    let good = body(vec![prefix_of("192.0.2.1"), prefix_of("192.0.2.9"), prefix_of("2001:db8::/33")]);
    let changed = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        read(&bad)
    };

    assert_eq!(read(&[]), Err(BadBody::Length));
    assert_eq!(read(&good[..good.len() - 1]), Err(BadBody::Length));
    assert_eq!(changed(0, 9), Err(BadBody::Version(9)));
    assert_eq!(changed(1, 5), Err(BadBody::Length));
    assert_eq!(changed(2, 33), Err(BadBody::Length));
    assert_eq!(changed(6, 0xFF), Err(BadBody::TooMany(0xFF00_0002)));
    assert_eq!(changed(10, 200), Err(BadBody::Unsorted), "the last byte of the first address");
    assert_eq!(changed(15, 4), Err(BadBody::Length), "a group of IPv4 with a length of IPv6");
    assert_eq!(*good.last().unwrap(), 0);
    assert_eq!(changed(good.len() - 1, 1), Err(BadBody::Unsorted), "bits beyond the length");
}

proptest! {
    #[test]
    fn a_look_up_says_what_a_walk_over_all_networks_says(
        listed in prop::collection::vec((any::<bool>(), 0_u8..4, 0_u8..4, 8_u8..=32), 0..40),
        asked in (any::<bool>(), 0_u8..4, 0_u8..4, any::<u8>()),
    ) {
        // Few different bits, so that networks lie in each other and addresses in them.
        let address = |six: bool, a: u8, b: u8, c: u8| -> IpAddr {
            match six {
                true => Ipv6Addr::from([32, a, b, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).into(),
                false => Ipv4Addr::new(198, a, b, c).into(),
            }
        };
        let prefixes: Vec<_> =
            listed.iter().map(|(six, a, b, length)| Prefix::new(address(*six, *a, *b, 0), *length).unwrap()).collect();
        let address = address(asked.0, asked.1, asked.2, asked.3);
        let naive = prefixes.iter().filter(|p| p.contains(&Prefix::of(address))).max_by_key(|p| p.length);

        let entries = prefixes.iter().map(|p| (*p, 0)).collect();
        let found = Prefixes::new(entries, &mut Groups::new(1)).first(address, |p, _| Some(p));

        prop_assert_eq!(found.as_ref(), naive);
        prop_assert_eq!(read(&body(prefixes.clone())).map(|s| s.prefixes.len() + s.refused).unwrap(), {
            let mut all = prefixes;
            all.sort();
            all.dedup();
            all.len()
        });
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Ok(shipped) = read(&bytes) {
            prop_assert!(shipped.prefixes.iter().all(|p| !p.is_too_wide()));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        if let Some(prefix) = Prefix::parse(&text) {
            prop_assert_eq!(Prefix::parse(&prefix.to_string()), Some(prefix));
        }
    }
}

fn prefix_of(text: &str) -> Prefix {
    Prefix::parse(text).unwrap()
}

/// Each on a list of its own.
fn listing(texts: &[&str]) -> Prefixes {
    let entries = (0_u16..).zip(texts).map(|(set, text)| (prefix_of(text), set)).collect();
    Prefixes::new(entries, &mut Groups::new(10))
}

fn found(listed: &Prefixes, address: &str) -> Option<(Prefix, u16)> {
    listed.first(address.parse().unwrap(), |prefix, group| Some((prefix, group)))
}
