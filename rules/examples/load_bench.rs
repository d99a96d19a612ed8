//! Measures how a pack comes to run: compiled from its source, and loaded from its compiled form.
//!
//! `cargo run --release -p khien-rules --example load_bench -- 6000 [DIR]`
//!
//! 0 is the pack that comes with the program; any other number is that many rules made by a program. With a folder it
//! writes them there as a pack for `khien rules push`, and does no more. Prints CPU milliseconds of the whole process and
//! resident memory.

#![allow(clippy::print_stdout, reason = "a tool for people")]

#[path = "scan_bench/generated.rs"]
mod generated;

use std::{fmt::Write as _, fs, path::Path};

use khien_core::{
    Severity, Timestamp,
    bundle::{NetworkLists, Pack, RuleMeta, Source},
    text::Words,
};
use khien_rules::{base_pack, compiled};

const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let count: usize = args.first().ok_or("load_bench N [DIR]")?.parse()?;
    let pack = if count == 0 { base_pack(Timestamp::UNIX_EPOCH) } else { made(count)? };
    match args.get(1) {
        Some(dir) => written(&pack, Path::new(dir)),
        None => measured(&pack),
    }
}

fn measured(pack: &Pack) -> Result<(), Failure> {
    let text = serde_json::to_vec(pack)?.len();
    println!("{} rules, pack {:.2} MB", pack.rules.len(), text as f64 / 1e6);
    let begun = cpu();
    let engines = compiled::Engines::compile(pack)?;
    println!("source, both scopes: {:.0} ms, {} MB resident", cpu() - begun, resident());
    drop(engines);
    let begun = cpu();
    let built = compiled::build(pack)?;
    println!("compiled form built: {:.0} ms", cpu() - begun);
    let form = &built.form;
    println!("compiled form: {:.2} MB, {:.2} inflated", form.size as f64 / 1e6, form.inflated as f64 / 1e6);
    for _ in 0..ROUNDS {
        let begun = cpu();
        let engines = compiled::load(pack, form.sha256, form.inflated, &built.bytes)?;
        println!("compiled form loaded: {:.0} ms, {} MB resident", cpu() - begun, resident());
        drop(engines);
    }
    Ok(())
}

/// Makes a pack of rules that the product's compiler takes.
fn made(count: usize) -> Result<Pack, Failure> {
    let mut pack = Pack {
        version: 1_000,
        created: Timestamp::UNIX_EPOCH,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    };
    for (name, text) in generated::sources(count) {
        let text = without_names(&text);
        let mut compiler = yara_x::Compiler::new();
        compiler.error_on_slow_pattern(true).error_on_slow_loop(true);
        if compiler.add_source(text.as_str()).is_err() {
            continue;
        }
        let rules = compiler.build();
        for rule in rules.iter() {
            pack.rules.push(meta(rule.identifier())?);
        }
        pack.sources.push(Source { name: format!("{name}.yar"), text });
    }
    Ok(pack)
}

/// Files have no names where only their bytes are scanned.
fn without_names(text: &str) -> String {
    let mut text = text.replace("not filename matches /test/", "filesize > 3");
    text = text.replace("extension == \".php\"", "filesize > 3");
    while let Some(at) = text.find("filepath contains \"") {
        let end = text[at..].find("-").map_or(text.len(), |n| at + n);
        let end = text[end..].find('"').map_or(text.len(), |n| end + n + 1);
        text.replace_range(at..end, "filesize < 3");
    }
    text
}

fn meta(name: &str) -> Result<RuleMeta, Failure> {
    Ok(RuleMeta {
        id: format!("made.{name}").parse()?,
        yara: Some(name.to_owned()),
        severity: Severity::Low,
        technique: None,
        streams: false,
        memory: false,
        title: Words::same("made"),
        explanation: Words::same("made by a program"),
        next_step: Words::same("nothing to do"),
    })
}

fn written(pack: &Pack, dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    let mut manifest = format!("version = {}\n", pack.version);
    let words = "{ vi = \"made\", en = \"made\" }";
    for rule in &pack.rules {
        let yara = rule.yara.as_deref().unwrap_or_default();
        writeln!(manifest, "[[rule]]\nid = \"{}\"\nyara = \"{yara}\"\nseverity = \"low\"", rule.id)?;
        writeln!(manifest, "title = {words}\nexplanation = {words}\nnext_step = {words}")?;
    }
    fs::write(dir.join("pack.toml"), manifest)?;
    for source in &pack.sources {
        fs::write(dir.join(&source.name), &source.text)?;
    }
    Ok(())
}

/// Returns the milliseconds that this process has run on all threads.
fn cpu() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = tasks.map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default()
    });
    spent.sum::<f64>() / 1e6
}

fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() * 4096 / 1_000_000
}
