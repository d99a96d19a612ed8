use super::*;

const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz012345";
const HEX: &[u8] = b"0123456789abcdef";
const A: u16 = 1;
const NULL: u16 = 10;
const TXT: u16 = 16;
const AAAA: u16 = 28;

#[test]
fn a_tunnel_that_carries_is_told_with_what_it_carried() {
    let (mut trace, mut chance) = (Trace::usual(), Chance(3));

    for n in 0..100 {
        let labels: Vec<String> = (0..3).map(|_| chance.text(60, BASE32)).collect();
        trace.ask(n * 50, "10.0.0.5", &format!("{}.t.tunnel.example", labels.join(".")), NULL);
    }

    let subject = trace.only();
    assert_eq!(subject.name, Some("tunnel.example".into()));
    let Pattern::DnsTunnel { names, length, entropy_tenths, bytes, odd_types_percent, seconds } =
        subject.what
    else {
        panic!()
    };
    assert_eq!([names, length, bytes, odd_types_percent, seconds], [100, 184, 18_400, 100, 5]);
    assert!((45..=50).contains(&entropy_tenths), "{entropy_tenths}");
}

#[test]
fn a_tunnel_that_idles_asks_for_short_names_of_odd_types() {
    let (mut trace, mut chance) = (Trace::usual(), Chance(3));
    for n in 0..400 {
        let name = format!("{}.c2.gov.vn", chance.text(18, HEX));
        trace.ask(n * SECOND, "10.0.0.5", &name, [TXT, 5, 15][usize::try_from(n).unwrap() % 3]);
    }

    assert_eq!(trace.only().name, Some("c2.gov.vn".into()));
}

#[test]
fn lookups_of_antivirus_block_lists_and_content_networks_are_no_tunnels() {
    let policy = r#"{"known": ["hash.cymru.example"]}"#;
    let (mut trace, mut chance) = (Trace::new(policy), Chance(5));
    for n in 0..1_500 {
        let at = n * 100;
        let names = [
            (format!("{}.avqs.vendor.example", chance.text(26, BASE32)), A),
            (format!("{}.rep.vendor2.example", chance.text(40, HEX)), A),
            (format!("{}.hash.cymru.example", chance.text(64, HEX)), TXT),
            (format!("{}.{}.{}.1.zen.list.example", n % 250, n % 99, n % 7), TXT),
            (
                format!(
                    "{}.v6.list.example",
                    chance.text(32, HEX).split("").collect::<Vec<_>>().join(".").trim_matches('.')
                ),
                TXT,
            ),
            (format!("{}.2.0.192.in-addr.arpa", n % 250), 12),
            (format!("r{}---sn-{}.video.example", n % 9, chance.text(8, BASE32)), AAAA),
            (format!("may-tram-cua-phong-hanh-chinh-quan-tri-so-{n:05}.noi-bo.tinh.gov.vn"), A),
            (format!("_ldap._tcp.site-{}._sites.dc._msdcs.tinh.example", n % 40), 33),
            // Each of another owner.
            (format!("_dmarc.{}.example", chance.text(60, BASE32)), TXT),
        ];
        for (name, kind) in names {
            trace.ask(at, "10.0.0.5", &name, kind);
        }
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn data_behind_an_address_is_a_tunnel_all_the_same() {
    let (mut trace, mut chance) = (Trace::usual(), Chance(5));
    for n in 0..120 {
        let data: Vec<_> = (0..3).map(|_| chance.text(60, BASE32)).collect();
        trace.ask(n * SECOND, "10.0.0.5", &format!("1.2.3.4.{}.list.example", data.join(".")), A);
    }

    assert_eq!(trace.rules(), ["khien.net.dns_tunnel"]);
}

#[test]
fn slow_questions_and_the_same_ones_again_are_no_tunnel() {
    let (mut trace, mut chance) = (Trace::usual(), Chance(9));
    let same: Vec<String> = (0..60).map(|_| format!("{}.tracker.example", chance.text(60, HEX))).collect();
    for n in 0..2_000_i64 {
        trace.ask(n * 100, "10.0.0.5", &same[usize::try_from(n).unwrap() % 60], A);
        trace.ask(n * 10 * SECOND, "10.0.0.6", &format!("{}.slow.example", chance.text(60, HEX)), A);
    }

    assert_eq!(trace.rules(), [""; 0]);
}
