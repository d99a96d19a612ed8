//! Prints what a million listed addresses, names, URLs and fingerprints cost: to read, ship, load, keep, and for each
//! look-up, in time on a processor.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    fs,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use khien_core::{
    Sha256, Timestamp,
    bundle::{NetworkKind, NetworkLists, NetworkSet, Pack},
    traffic::{Ja4, Lists as _},
};
use khien_rules::indicator::network::{
    Allow, Network,
    import::{self, How},
};

/// Spreads numbers, so that neither entries nor questions come in order.
const SPREAD: u32 = 2_654_435_761;
/// How often each look-up is made.
const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::UNIX_EPOCH;
    let lists = [
        (NetworkKind::Address, text(250_000, |n| four(n).to_string())),
        (NetworkKind::Address, text(50_000, |n| six(n).to_string())),
        (NetworkKind::Domain, text(500_000, |n| format!("h{n}.evil.example"))),
        (NetworkKind::Url, text(150_000, |n| format!("http://h{n}.evil.example/kit/{n}.php"))),
        (NetworkKind::Ja4, text(10_000, |n| ja4_of(n).unwrap_or_default())),
        (NetworkKind::Certificate, text(40_000, |n| digest(n).to_string())),
    ];
    let begin = on_cpu();
    let sets = lists.iter().map(|(kind, text)| set(*kind, text)).collect::<Result<Vec<_>, _>>()?;
    println!("read as text               {:?}", (on_cpu() - begin));
    let shipped = serde_json::to_vec(&pack(sets))?;
    drop(lists);
    println!("shipped                    {:.1} MB of JSON", mega(shipped.len()));
    let parsed: Pack = serde_json::from_slice(&shipped)?;
    drop(shipped);

    let before = resident();
    let begin = on_cpu();
    let network = Network::of(&parsed, now);
    println!("load                       {:?}", (on_cpu() - begin));
    println!("entries                    {}", network.len());
    println!("kept                       {:.1} MB of entries", mega(network.memory()));
    println!("resident, before and after {before} and {} KB", resident());

    told("address, listed", |n| network.address(four(n % 250_000)).is_some());
    told("address, not listed", |n| network.address(four(n + 300_000)).is_some());
    told("address of IPv6", |n| network.address(six(n + 100_000)).is_some());
    let names: Vec<_> = (0..ROUNDS).map(|n| format!("www.host{n}.agency.example")).collect();
    told("name of 4 labels", |n| network.name(names[n as usize].as_bytes()).is_some());
    let targets: Vec<_> = (0..ROUNDS).map(|n| format!("/folder/page{n}.html?id={n}")).collect();
    told("URL of 2 parts and a query", |n| {
        network.url(b"www.agency.example", targets[n as usize].as_bytes()).is_some()
    });
    let ja4 = Ja4::new(b"t13d1516h2_8daaf6152771_b186095e22b6").ok_or("no fingerprint")?;
    told("JA4", |_| network.ja4(black_box(&ja4)).is_some());
    let digests: Vec<_> = (0..ROUNDS).map(|n| digest(n + 100_000)).collect();
    told("certificate", |n| network.certificate(&digests[n as usize]).is_some());
    Ok(())
}

fn four(n: u32) -> IpAddr {
    // 32.0.0.0/3 has neither inner networks nor those of this host.
    Ipv4Addr::from_bits(0x2000_0000 | (n.wrapping_mul(SPREAD) >> 3)).into()
}

fn six(n: u32) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(n.wrapping_mul(SPREAD)) << 40 | 1).into()
}

fn ja4_of(n: u32) -> Option<String> {
    let hex = digest(n).to_string();
    Some(format!("t13d1516h2_{}_{}", hex.get(..12)?, hex.get(12..24)?))
}

fn digest(n: u32) -> Sha256 {
    Sha256::of(&n.to_le_bytes())
}

fn text(count: u32, line: impl Fn(u32) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

fn set(kind: NetworkKind, text: &str) -> Result<NetworkSet, Box<dyn std::error::Error>> {
    let how = How { kind, column: None, private: false, allow: &Allow::default() };
    let (entries, body) = import::read(text.as_bytes(), &how)?.shipped();
    let (source, confidence, expires) = ("bench".to_owned(), 100, None);
    Ok(NetworkSet { rule: "list.bench".parse()?, kind, source, confidence, expires, entries, body })
}

fn pack(sets: Vec<NetworkSet>) -> Pack {
    Pack {
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists { sets, allowed: Vec::new() },
        policy: None,
    }
}

/// Prints the best of five rounds.
fn told(what: &str, mut ask: impl FnMut(u32) -> bool) {
    let mut found = 0_u32;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begin = on_cpu();
        found = (0..ROUNDS).map(|n| u32::from(black_box(ask(black_box(n))))).sum();
        best = best.min(on_cpu() - begin);
    }
    println!("{what:<26} {:?} ({} % found)", best / ROUNDS, found / (ROUNDS / 100));
}

/// Returns the time for which a processor worked on this: others keep it busy too.
fn on_cpu() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
