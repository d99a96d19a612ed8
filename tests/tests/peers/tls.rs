//! Handshakes: name, protocols, version, suite and certificate.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;
use khien_core::{Sha256, traffic::What};

use crate::{
    once::captured_once,
    place::captured,
    records::records,
    same,
    seen::{Row, seen},
};

/// Name, protocols, version, suite, digest of the certificate.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Handshake {
    ends: (String, String),
    sni: String,
    alpn: Vec<String>,
    version: u32,
    cipher: u32,
    certificate: String,
}

#[test]
fn tls_handshakes_are_those_of_tshark() {
    let (Some(file), Some(plain)) = (captured(), captured_once()) else { return };
    let fields = [
        "tcp.stream",
        "tls.handshake.type",
        "tls.handshake.extensions_server_name",
        "tls.handshake.extensions_alpn_str",
        "tls.handshake.version",
        "tls.handshake.extensions.supported_version",
        "tls.handshake.ciphersuite",
        "tls.handshake.certificate",
    ];
    let mut theirs: BTreeMap<String, Handshake> = BTreeMap::new();
    for row in
        seen(plain, "tls.handshake.type == 1 || tls.handshake.type == 2 || tls.handshake.type == 11", &fields)
    {
        let it = theirs.entry(row.one("tcp.stream")).or_default();
        let types = row.all("tls.handshake.type");
        if types.contains(&"1".to_owned()) {
            it.ends = (row.from(), row.to());
            it.sni = row.one("tls.handshake.extensions_server_name");
            it.alpn = row.all("tls.handshake.extensions_alpn_str");
            // What the client wants most, should nobody answer.
            it.version = versions(&row).into_iter().max().unwrap_or_default();
        }
        if types.contains(&"2".to_owned()) {
            it.version = versions(&row).first().copied().unwrap_or_else(|| row.hex("tls.handshake.version"));
            it.cipher = row.hex("tls.handshake.ciphersuite");
        }
        if let Some(certificate) = row.all("tls.handshake.certificate").first() {
            let bytes = HEXLOWER_PERMISSIVE.decode(certificate.replace(':', "").as_bytes()).unwrap();
            it.certificate = Sha256::of(&bytes).to_string();
        }
    }

    let ours = records(file).iter().filter_map(|record| {
        let What::Tls(tls) = &record.what else { return None };
        Some(Handshake {
            ends: (record.ends.client.to_string(), record.ends.server.to_string()),
            sni: tls.sni.as_ref().map(ToString::to_string).unwrap_or_default(),
            alpn: tls.alpn.iter().map(ToString::to_string).collect(),
            version: tls.version.into(),
            cipher: tls.cipher.unwrap_or_default().into(),
            certificate: tls.certificate.map(|digest| digest.to_string()).unwrap_or_default(),
        })
    });
    same("TLS handshakes", ours.collect(), theirs.into_values().collect());
}

fn versions(row: &Row) -> Vec<u32> {
    let all = row.all("tls.handshake.extensions.supported_version");
    all.iter().filter_map(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()).collect()
}
