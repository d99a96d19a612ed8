//! Prints what a million listed digests cost: to load, to keep, and for each scanned file.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use khien_core::{
    Sha256, Timestamp,
    bundle::{IndicatorSet, NetworkLists, Pack, SetKind},
};
use khien_rules::indicator::{
    digest::{Digests, Wanted},
    files::{self, Facts, FileSets},
    import::Imported,
    keys::{Keys, key},
};

/// Entries of each set.
const ENTRIES: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::UNIX_EPOCH;
    let pack = pack(&[SetKind::Sha256, SetKind::FileName])?;
    let shipped = serde_json::to_vec(&pack)?;
    let parsed: Pack = serde_json::from_slice(&shipped)?;

    let begin = Instant::now();
    let sets = FileSets::new(&parsed);
    println!("entries                    {}", sets.len());
    println!("shipped                    {:.1} MB of JSON", mega(shipped.len()));
    println!("load, two sets             {:?}", begin.elapsed());
    println!("kept                       {:.1} MB", mega(sets.memory()));

    let digests: Vec<Digests> = (0..ENTRIES).map(digests_of).collect();
    let look_up = per_item(&digests, |d| sets.matches(&Facts { path: b"/a", digests: d }, now).len());
    println!("both sets asked            {look_up:?} a file (folds and digests its name)");
    let keys = Keys::new((0..ENTRIES).filter_map(|n| key(&Sha256::of(&n.to_le_bytes()).0)).collect());
    let asked: Vec<_> = digests.iter().filter_map(|d| key(&d.sha256?.0)).collect();
    println!("one look-up of a key       {:?}", per_item(&asked, |k| keys.contains(k)));
    let hashes_only = FileSets::new(&only(&parsed, SetKind::Sha256));
    let misses = per_item(&digests, |d| hashes_only.matches(&Facts { path: b"/a", digests: d }, now).len());
    println!("one set of digests asked   {misses:?} a file");

    for (name, size) in [("2 KB", 2 << 10), ("10 MB", 10 << 20)] {
        let bytes = vec![7_u8; size];
        for wanted in
            [Wanted { sha256: true, ..Wanted::default() }, Wanted { sha256: true, sha1: true, md5: true }]
        {
            let digest = time((64 << 20) / size, || black_box(Digests::of(black_box(&bytes), wanted)));
            let kinds = 1 + usize::from(wanted.sha1) + usize::from(wanted.md5);
            println!("{name:<6} {kinds} digest(s)        {digest:?}");
        }
    }
    Ok(())
}

/// Not on any list.
fn digests_of(n: u32) -> Digests {
    Digests { sha256: Some(Sha256::of(&(u64::from(n) << 32 | 1).to_le_bytes())), ..Digests::default() }
}

fn pack(kinds: &[SetKind]) -> Result<Pack, Box<dyn std::error::Error>> {
    let keys = (0..ENTRIES).filter_map(|n| key(&Sha256::of(&n.to_le_bytes()).0)).collect();
    let section = files::section(&Imported { keys: Keys::new(keys), ..Imported::default() });
    let set = |kind: &SetKind| -> Result<IndicatorSet, Box<dyn std::error::Error>> {
        Ok(IndicatorSet {
            rule: "list.bench".parse()?,
            kind: *kind,
            source: "bench".to_owned(),
            confidence: 100,
            expires: None,
            entries: section.entries,
            body: section.body.clone(),
            globs: Vec::new(),
        })
    };
    Ok(Pack {
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets: kinds.iter().map(set).collect::<Result<_, _>>()?,
        network: NetworkLists::default(),
        policy: None,
    })
}

fn only(pack: &Pack, kind: SetKind) -> Pack {
    Pack { sets: pack.sets.iter().filter(|s| s.kind == kind).cloned().collect(), ..pack.clone() }
}

fn per_item<T, R>(items: &[T], mut ask: impl FnMut(&T) -> R) -> Duration {
    let begin = Instant::now();
    for item in items {
        black_box(ask(black_box(item)));
    }
    begin.elapsed() / u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn time<R>(rounds: usize, mut run: impl FnMut() -> R) -> Duration {
    let begin = Instant::now();
    for _ in 0..rounds {
        black_box(run());
    }
    begin.elapsed() / u32::try_from(rounds).unwrap_or(u32::MAX)
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
