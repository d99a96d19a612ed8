use khien_core::bundle::NetworkKind::{Address, Certificate, Domain, Ja4, Url as OfUrl};
use proptest::prelude::*;

use super::{super::allow, *};

const JA4: &str = "t13d1516h2_8daaf6152771_b186095e22b6";

#[test]
fn every_known_form_of_a_line_gives_its_entry() {
    let sha256 = "ab".repeat(32);
    for (kind, line, entry) in [
        (Address, "203.0.113.7".to_owned(), "203.0.113.7"),
        (Address, "203.0.113.0/24 ; SBL256894".to_owned(), "203.0.113.0/24"),
        (Address, "203[.]0[.]113[.]7 # seen".to_owned(), "203.0.113.7"),
        (Address, "2026-11-20 10:00:01,203.0.113.7:443,Emotet".to_owned(), "203.0.113.7"),
        (Address, "\"id\",\"[2001:db8::7]:443\"".to_owned(), "2001:db8::7"),
        (Address, "evil.example|203.0.113.7".to_owned(), "203.0.113.7"),
        (Address, "203.0.113.7\t22\tssh".to_owned(), "203.0.113.7"),
        (Domain, "Evil.Example.".to_owned(), "evil.example"),
        (Domain, "0.0.0.0 evil.example".to_owned(), "evil.example"),
        (Domain, "||evil.example^".to_owned(), "evil.example"),
        (Domain, "*.evil[.]example".to_owned(), "evil.example"),
        (Domain, "\"2026-11-20\",\"evil.example\",\"C2, live\"".to_owned(), "evil.example"),
        (Domain, "evil.example|203.0.113.7".to_owned(), "evil.example"),
        (OfUrl, "http://evil.example/a,b;c|d".to_owned(), "evil.example/a,b;c|d"),
        (OfUrl, "hxxps[:]//evil[.]example/a seen twice".to_owned(), "evil.example/a"),
        (
            OfUrl,
            "\"77\",\"2026-11-20\",\"http://evil.example/a,b\",\"online\"".to_owned(),
            "evil.example/a,b",
        ),
        (OfUrl, "evil.example/kit/*".to_owned(), "evil.example/kit/"),
        (Ja4, format!("\"Cobalt\",,{JA4},\"x\""), JA4),
        (Certificate, sha256.to_uppercase(), &sha256),
        (Certificate, format!("2026-11-20,{},C2", ["AB"; 32].join(":")), &sha256),
    ] {
        let found = of(kind, &line);

        assert_eq!((found.counts.good, found.counts.bad), (1, 0), "{line}: {:?}", found.told);
        match kind {
            Address => assert_eq!(found.prefixes, [Prefix::parse(entry).unwrap()], "{line}"),
            Certificate => assert_eq!(found.keys, [[0xAB; 12]], "{line}"),
            _ => assert_eq!(found.keys, [key_of_text(entry.as_bytes())], "{line}"),
        }
    }
}

#[test]
fn a_hosts_file_gives_its_names_and_none_of_its_own() {
    let hosts =
        "127.0.0.1 localhost localhost.localdomain\n::1 ip6-localhost\n\n0.0.0.0 a.example b.example # two\n";

    let found = of(Domain, hosts);

    assert_eq!((found.counts.good, found.counts.bad, found.counts.refused), (2, 0, 0), "{:?}", found.told);
}

#[test]
fn a_column_is_found_by_its_name_or_number() {
    let csv = "# first,dst_ip,src_ip\n2026-11-20,203.0.113.7,198.51.100.1\n";
    let none = Allow::default();
    let taken = |column| {
        let how = How { column: Some(column), ..how(Address, &none) };
        read(csv.as_bytes(), &how).unwrap().prefixes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };

    assert_eq!(taken(Column::Name("SRC_IP".to_owned())), ["198.51.100.1"]);
    assert_eq!(taken(Column::Number(2)), ["203.0.113.7"]);
    assert_eq!(taken(Column::Name("none".to_owned())), [""; 0]);
}

#[test]
fn what_would_make_half_the_world_an_alert_is_refused_and_what_is_let_be_is_left_out() {
    let mut ours = allow::Read::default();
    ours.file(&b"198.51.100.0/24\ngood.example\n"[..]).unwrap();
    let allow = Allow::new(ours);
    let found = read(
        &b"0.0.0.0/0\n10.0.0.5\n198.51.100.9\n8.8.8.8\n203.0.113.7\nevil.example\nnothing\n"[..],
        &how(Address, &allow),
    )
    .unwrap();

    let counts = Counts { good: 2, other: 1, allowed: 1, refused: 2, doubted: 1, bad: 1 };
    assert_eq!(found.counts, counts);
    let notes: Vec<_> = found.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 1: is wider than /8, or /19 of IPv6: `0.0.0.0/0`",
            "line 2: is an address of inner networks; a list for those says `private = true`: `10.0.0.5`",
            "line 4: holds a resolver that everybody asks: `8.8.8.8`",
        ]
    );
    let names = read(&b"com\ngov.vn\nwww.good.example\ngithub.io\n"[..], &how(Domain, &allow)).unwrap();
    assert_eq!(names.counts, Counts { good: 1, allowed: 1, refused: 2, doubted: 1, ..Counts::default() });
}

#[test]
fn bad_lines_are_told_with_their_number_and_bounded() {
    let list = format!("evil.example\n\x1b]0;x\x07\n{}{}\n", "zz\n".repeat(30), "a".repeat(1 << 20));

    let found = of(Address, &list);

    assert_eq!((found.counts.other, found.counts.bad, found.told.len()), (1, 32, MAX_TOLD));
    assert_eq!(found.told[0].to_string(), "line 2: holds no address: `\\u{1b}]0;x\\u{7}`");
}

#[test]
fn a_list_in_json_is_read_and_broken_json_is_an_error() {
    let bare = "[\"203.0.113.7\", \"203.0.113.8\"]";
    let misp = "{\"name\": \"x\", \"matching_attributes\": [\"ip-src\"], \"list\": [\"203.0.113.7\"]}";

    assert_eq!(of(Address, bare).counts.good, 2);
    assert_eq!(of(Address, misp).counts.good, 1);
    assert!(read(&b"{\"list\": [1"[..], &how(Address, &Allow::default())).is_err());
}

#[test]
fn what_is_listed_twice_is_shipped_once() {
    let (entries, _) = of(Address, "203.0.113.7\n203.0.113.7/32\n::ffff:203.0.113.7\n").shipped();
    let (names, _) = of(Domain, "a.example\nA.EXAMPLE\n").shipped();

    assert_eq!((entries, names), (1, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_a_list(bytes: Vec<u8>, kind in 0_usize..5) {
        let kind = [Address, Domain, OfUrl, Ja4, Certificate][kind];
        if let Ok(found) = read(bytes.as_slice(), &how(kind, &Allow::default())) {
            prop_assert!(found.prefixes.iter().all(|p| !p.is_too_wide()));
        }
    }
}

fn of(kind: NetworkKind, list: &str) -> Imported {
    read(list.as_bytes(), &how(kind, &Allow::default())).unwrap()
}

fn how(kind: NetworkKind, allow: &Allow) -> How<'_> {
    How { kind, column: None, private: false, allow }
}
