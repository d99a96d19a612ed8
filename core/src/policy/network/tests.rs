use super::*;

fn read(json: &str) -> Result<Network, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_a_pack_does_not_say_is_as_usual() {
    let usual = read("{}").unwrap();
    let some = read(r#"{"horizontal_scan": {"servers": 50, "newer": 1}, "newer": {}}"#).unwrap();

    assert_eq!(usual, Network::default());
    assert_eq!(usual.home.len(), USUAL_HOME.len());
    assert_eq!(usual.resolvers.len(), PUBLIC_RESOLVERS.len(), "a pack of before knows them, too");
    assert!(usual.beacon.on && usual.east_west.on);
    assert_eq!((some.horizontal_scan.servers.get(), some.horizontal_scan.seconds.get()), (50, 60));
    assert_eq!(read(&serde_json::to_string(&some).unwrap()).unwrap(), some);
}

#[test]
fn a_zone_says_to_whom_alone_its_hosts_may_speak() {
    let network = read(
        r#"{"zones": [
            {"name": "camera", "networks": ["10.20.0.0/16"], "only": [{"to": "10.20.0.5", "service": "554/tcp"}]},
            {"name": "mute", "networks": ["10.21.0.0/16"], "only": []},
            {"name": "portal", "networks": ["203.0.113.0/28"], "first_seen": true}]}"#,
    )
    .unwrap();

    let camera = network.zone_of(ip("10.20.3.4")).unwrap();
    assert_eq!(camera.name.as_str(), "camera");
    assert_eq!(camera.only.as_ref().unwrap()[0].service, Some("554/tcp".parse().unwrap()));
    assert_eq!(network.zones[1].only, Some(Vec::new()), "nobody is not anybody");
    assert_eq!(network.zones[2].only, None);
    assert!(network.is_home(ip("203.0.113.3")), "what is in a zone is home");
    assert!(!network.is_home(ip("203.0.113.77")));
    assert_eq!(read(&serde_json::to_string(&network).unwrap()).unwrap(), network);
}

#[test]
fn a_policy_beyond_its_bounds_is_refused_with_what_is_allowed() {
    let zone = |name: &str| format!(r#"{{"name": "{name}", "networks": ["10.0.0.0/8"]}}"#);
    let zones = |all: &[String]| read(&format!(r#"{{"zones": [{}]}}"#, all.join(",")));

    assert!(zones(&[zone("a"), zone("b")]).is_ok());
    assert!(zones(&[zone("a"), zone("a")]).unwrap_err().contains("`a` is there twice"));
    assert!(zones(&[zone("A b")]).is_err());
    let many: Vec<String> = (0..=MAX_ZONES).map(|n| zone(&format!("z{n}"))).collect();
    assert!(zones(&many).unwrap_err().contains("at most 64 zones"));
    assert!(read(r#"{"home": ["10.0.0.0/40"]}"#).unwrap_err().contains("is no network"));
    assert!(read(r#"{"beacon": {"jitter_percent": 101}}"#).unwrap_err().contains("from 0 to 100"));
    assert!(read(r#"{"east_west": {"services": ["smb"]}}"#).unwrap_err().contains("is no service"));
    let home = vec!["\"10.0.0.0/8\""; MAX_NETWORKS + 1].join(",");
    assert!(read(&format!(r#"{{"home": [{home}]}}"#)).unwrap_err().contains("at most 256 networks"));
}

#[test]
fn when_losses_and_evasion_are_told_is_the_policys_within_bounds() {
    let some = read(r#"{"loss": {"one_in": 100, "seconds": 60}, "evasion": {"resets": 7}}"#).unwrap();
    let usual = Network::default();

    assert_eq!(
        (usual.loss.one_in.get(), usual.loss.packets.get(), usual.loss.seconds.get()),
        (1_000, 1_000, 10)
    );
    assert_eq!((some.loss.one_in.get(), some.loss.packets.get(), some.loss.seconds.get()), (100, 1_000, 60));
    assert!(usual.evasion.on);
    assert_eq!(
        (some.evasion.times.get(), some.evasion.resets.get(), some.evasion.seconds.get()),
        (3, 7, 300)
    );
    assert_eq!(read(&serde_json::to_string(&some).unwrap()).unwrap(), some);
    for (wrong, bounds) in [
        (r#"{"loss": {"one_in": 9}}"#, "from 10 to 1000000"),
        (r#"{"loss": {"packets": 0}}"#, "from 1 to 10000000"),
        (r#"{"loss": {"seconds": 4}}"#, "from 5 to 3600"),
        (r#"{"evasion": {"times": 0}}"#, "from 1 to 10000"),
        (r#"{"evasion": {"seconds": 86401}}"#, "from 10 to 86400"),
    ] {
        let refused = read(wrong).unwrap_err();
        assert!(refused.contains(bounds), "{wrong}: {refused}");
    }
}

#[test]
fn how_long_records_are_kept_is_the_policys_within_bounds() {
    let some = read(r#"{"records": {"days": 365}}"#).unwrap().records;
    let usual = Network::default().records;

    assert_eq!((usual.days.get(), usual.bytes()), (90, 256 << 20));
    assert_eq!((some.days.get(), some.mib.get()), (365, 256));
    for (wrong, bounds) in [
        (r#"{"records": {"days": 0}}"#, "from 1 to 3660"),
        (r#"{"records": {"mib": 0}}"#, "from 1 to 65536"),
        (r#"{"records": {"mib": 65537}}"#, "from 1 to 65536"),
    ] {
        let refused = read(wrong).unwrap_err();
        assert!(refused.contains(bounds), "{wrong}: {refused}");
    }
}

#[test]
fn a_known_place_is_a_network_or_a_name_with_all_below() {
    let network = read(r#"{"known": ["198.51.100.0/24", "Update.Example"]}"#).unwrap();
    let elsewhere = ip("203.0.113.1");

    assert!(network.is_known(ip("198.51.100.9"), None));
    assert!(network.is_known(elsewhere, Some(b"update.example")));
    assert!(network.is_known(elsewhere, Some(b"vn.UPDATE.example.")));
    assert!(!network.is_known(elsewhere, Some(b"badupdate.example")));
    assert!(!network.is_known(elsewhere, Some(b"example")));
    assert!(!network.is_known(elsewhere, None));
    for wrong in ["", "localhost", "10.0.0.300", "a..b", "*.example"] {
        assert!(
            read(&format!(r#"{{"known": ["{wrong}"]}}"#)).unwrap_err().contains("is no place"),
            "{wrong}"
        );
    }
}

#[test]
fn a_public_resolver_says_where_names_are_and_is_no_known_place_for_that() {
    let (usual, none) = (Network::default(), read(r#"{"resolvers": []}"#).unwrap());

    for resolver in
        ["8.8.8.8", "::ffff:1.1.1.1", "9.9.9.9", "203.162.4.190", "2620:fe::fe", "2606:4700:4700::1001"]
    {
        assert!(usual.is_resolver(ip(resolver)) && !none.is_resolver(ip(resolver)), "{resolver}");
        assert!(!usual.is_known(ip(resolver), None) && !usual.is_home(ip(resolver)), "{resolver}");
    }
    assert!(none.is_resolver(ip("10.0.0.53")) && !usual.is_resolver(ip("203.0.113.53")));
}

#[test]
fn what_no_host_has_alone_is_never_outside() {
    let network = Network::default();

    for shared in ["239.255.255.250", "255.255.255.255", "ff02::fb", "0.0.0.0", "::ffff:224.0.0.1"] {
        assert!(network.is_home(ip(shared)), "{shared}");
    }
    for outside in ["203.0.113.1", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
        assert!(!network.is_home(ip(outside)), "{outside}");
    }
}
