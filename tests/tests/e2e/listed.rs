//! What is listed: real curl, openssl and dig over a cable, each list of traffic fired over IPv4 and IPv6, beside honest traffic of
//! the same kind.

use std::{fs, process::Command, time::Instant};

use khien_core::Sha256;
use serde_json::Value;

use crate::{
    detectors::{Running, VERSION, curl, of, pack, resolver, run, silent_about, start},
    families::{FAMILIES, at, networks, web},
    harness::{PATIENCE, Site},
    traffic::watched,
};

/// A TLS 1.2 server, whose certificate is seen on the wire, and the certificate's digest.
fn tls_server(site: &Site) -> (Running, String) {
    let path = |name: &str| site.web.with_file_name(name).to_str().unwrap().to_owned();
    let (key, pem, der) = (path("key.pem"), path("cert.pem"), path("cert.der"));
    for args in [
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=c2", "-keyout", &key, "-out", &pem]
            [..],
        &["x509", "-in", &pem, "-outform", "der", "-out", &der],
    ] {
        assert!(Command::new("openssl").args(args).output().unwrap().status.success(), "openssl {args:?}");
    }
    // At each address of the site's side, of both versions.
    let args = ["openssl", "s_server", "-accept", "443", "-www", "-tls1_2", "-cert", &pem, "-key", &key];
    (start(site, &args, "ACCEPT"), Sha256::of(&fs::read(der).unwrap()).to_string())
}

/// Looks in the records for the fingerprint of whoever asked for a name.
fn fingerprint(site: &Site, name: &str) -> String {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let (_, out, _) = site.cli(&["hunt", "net", "--domain", name, "--json"]);
        let found = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(ja4) = found.filter_map(|row| row["ja4"].as_str().map(str::to_owned)).next() {
            return ja4;
        }
    }
    panic!("no record of {name}")
}

#[test]
fn a_listed_address_url_name_certificate_and_tls_client_are_alerts_that_say_what_is_listed() {
    let Some((site, client)) = networks(&["curl", "openssl", "dig"]) else { return };
    let mut up = watched(&site);
    web(&site, 80);
    let (_tls, certificate) = tls_server(&site);
    FAMILIES.iter().for_each(|family| resolver(&site, family.server));
    let addresses = FAMILIES.map(|family| family.outside(9)).join("\n");
    let lists = [
        ("address", &addresses[..]),
        ("url", "http://tai.example/kit/"),
        ("domain", "doc-hai.example"),
        ("certificate", &certificate),
    ];
    pack(&site, VERSION, "", &lists);
    let hosts = [
        ("tai.example:80", 8),
        ("cong.example:443", 7),
        ("www.doc-hai.example:80", 11),
        ("sach.example:80", 10),
    ];

    for family in FAMILIES {
        let names = hosts.map(|(name, host)| format!("{name}:{}", at(&family.outside(host), "")));
        let known: Vec<&str> = names.iter().flat_map(|name| ["--resolve", name]).collect();
        let ask = |url: &str| curl(&client, &[&known[..], &["-k", url]].concat());
        ask(&format!("http://{}", at(&family.outside(9), "/")));
        ask(&format!("http://{}", at(&family.outside(10), "/")));
        ["http://tai.example/kit/x.php", "http://sach.example/kit/x.php"].into_iter().for_each(ask);
        ["http://www.doc-hai.example/", "https://cong.example/"].into_iter().for_each(ask);
        for name in ["a.doc-hai.example", "sach.example"] {
            let (code, said) =
                run(&client, "dig", &[&format!("@{}", family.server), "+tries=1", "+time=60", name]);
            assert_eq!(code, Some(0), "{said}");
        }
    }

    for family in FAMILIES {
        let (listed, web) = (family.outside(9), |host| at(&family.outside(host), ":80"));
        assert_eq!(of(&mut up, "list.address", &web(9))["flow"]["listed"], listed.as_str());
        let url = of(&mut up, "list.url", &web(8));
        assert!(url["flow"]["url"].as_str().unwrap().ends_with("/kit/x.php"), "{url}");
        assert_eq!(of(&mut up, "list.domain", &web(11))["flow"]["name"], "www.doc-hai.example");
        let asked = of(&mut up, "list.domain", &at(family.server, ":53"));
        assert_eq!(asked["flow"]["name"], "a.doc-hai.example", "{asked}");
        let alert = of(&mut up, "list.certificate", &at(&family.outside(7), ":443"));
        assert_eq!(alert["flow"]["listed"], certificate.as_str(), "{alert}");
        silent_about(&site, &[at(&family.outside(10), ":")]);
    }
    let ja4 = fingerprint(&site, "cong.example");
    pack(&site, VERSION + 1, "", &[("ja4", &ja4)]);
    for family in FAMILIES {
        let server = family.outside(7);
        let name = format!("cong.example:443:{}", at(&server, ""));
        curl(&client, &["-k", "--resolve", &name, "https://cong.example/again"]);
        assert_eq!(of(&mut up, "list.ja4", &at(&server, ":443"))["flow"]["listed"], ja4.as_str());
    }
}
