//! Compares the routed engine with the plain one: `scan_bench (--rules DIR | --generated N) [--only NAME] [--blob FILE]
//! FOLDER…`. With a blob and `--only routed`, rules that were compiled before are loaded, which shows the memory they
//! take.
//!
//! Prints CPU seconds of one thread and their ratio, and ends with an error when one match differs. `yr` and `yara` run
//! too when they are installed. Files and rules are warm: one pass goes before the measured ones.

#![allow(clippy::print_stdout, reason = "a tool for people")]

mod generated;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use khien_rules::route::{Part, Routed};

const TIMEOUT: Duration = Duration::from_secs(300);
const ROUNDS: usize = 3;
/// Larger files are left out: they would be a benchmark of their own.
const LARGEST: u64 = 64 << 20;

type Failure = Box<dyn std::error::Error>;

/// What is compared.
struct Run {
    sources: Vec<(String, String)>,
    files: Vec<PathBuf>,
    only: Option<String>,
    blob: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let run = wanted(std::env::args().skip(1))?;
    let parts: Vec<_> = run.sources.iter().map(|(namespace, text)| Part { namespace, text }).collect();
    let bytes: u64 = run.files.iter().filter_map(|f| fs::metadata(f).ok()).map(|m| m.len()).sum();
    println!("{} files, {:.1} MB", run.files.len(), bytes as f64 / 1e6);
    if run.only.as_deref() != Some("plain") {
        let routed = routed(&parts, run.blob.as_deref())?;
        if run.only.is_some() {
            (0..ROUNDS).for_each(|_| _ = measure("routed", &run.files, &routed));
            return Ok(());
        }
        compare(&parts, &run, &routed)?;
    } else {
        let rules = plain(&parts)?;
        (0..ROUNDS).for_each(|_| _ = measure("plain", &run.files, &rules));
    }
    Ok(())
}

fn wanted(mut args: impl Iterator<Item = String>) -> Result<Run, Failure> {
    let mut run = Run { sources: Vec::new(), files: Vec::new(), only: None, blob: None };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rules" => read_rules(Path::new(&args.next().ok_or("--rules DIR")?), &mut run.sources)?,
            "--generated" => {
                run.sources.extend(generated::sources(args.next().ok_or("--generated N")?.parse()?))
            }
            "--only" => run.only = args.next(),
            "--blob" => run.blob = args.next().map(PathBuf::from),
            folder => walk(Path::new(folder), &mut run.files)?,
        }
    }
    if run.sources.is_empty() || run.files.is_empty() {
        return Err("scan_bench (--rules DIR | --generated N) [--only routed|plain] FOLDER…".into());
    }
    Ok(run)
}

/// Reads the sources of a folder that the engine takes, each as a namespace of its own.
fn read_rules(folder: &Path, sources: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "yar" || e == "yara")) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        match compiler().add_source(text.as_str()) {
            Ok(_) => sources.push((format!("n{}", sources.len()), text)),
            Err(e) => println!("left out {}: {}", file.display(), e.title()),
        }
    }
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if folder.is_file() {
        files.push(folder.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(folder)?.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let _ = walk(&entry.path(), files);
        } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() <= LARGEST) {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn compiler() -> yara_x::Compiler<'static> {
    let mut compiler = yara_x::Compiler::new();
    compiler.enable_includes(false).relaxed_re_syntax(true);
    for name in ["filename", "filepath", "extension", "filetype", "owner"] {
        // The names are new and the type is known: nothing can go wrong.
        let _ = compiler.define_global(name, "");
    }
    compiler
}

fn routed(parts: &[Part<'_>], blob: Option<&Path>) -> Result<Routed, Failure> {
    let bytes = match blob.map(fs::read) {
        Some(Ok(bytes)) => bytes,
        _ => compiled(parts)?,
    };
    if let Some(blob) = blob {
        fs::write(blob, &bytes)?;
    }
    let begun = cpu();
    let loaded = Routed::deserialize(&bytes)?;
    println!("routed: {:.1} MB, loaded in {:.0} ms CPU", bytes.len() as f64 / 1e6, (cpu() - begun) * 1e3);
    println!("groups: {:?}", loaded.groups().collect::<Vec<_>>());
    Ok(loaded)
}

fn compiled(parts: &[Part<'_>]) -> Result<Vec<u8>, Failure> {
    let begun = cpu();
    let routed = Routed::compile(parts, &compiler).map_err(|r| r.error)?;
    println!("routed: compiled in {:.2} s CPU, {} rules", cpu() - begun, routed.rules().count());
    Ok(routed.serialize()?)
}

/// The engine alone: all rules in one, no search that no condition asks for.
fn plain(parts: &[Part<'_>]) -> Result<yara_x::Rules, Failure> {
    let begun = cpu();
    let mut compiler = compiler();
    for part in parts {
        compiler.new_namespace(part.namespace);
        compiler.add_source(part.text)?;
    }
    let rules = compiler.build();
    println!("plain: compiled in {:.2} s CPU", cpu() - begun);
    let bytes = rules.serialize()?;
    let begun = cpu();
    let rules = yara_x::Rules::deserialize(&bytes)?;
    println!("plain: {:.1} MB, loaded in {:.0} ms CPU", bytes.len() as f64 / 1e6, (cpu() - begun) * 1e3);
    Ok(rules)
}

/// Something that names the rules that match.
trait Names {
    fn pass(&self, files: &[PathBuf], found: &mut dyn FnMut(Vec<String>)) -> u64;
}

impl Names for Routed {
    fn pass(&self, files: &[PathBuf], found: &mut dyn FnMut(Vec<String>)) -> u64 {
        let mut scanner = self.scanner();
        let (mut bytes, mut asked) = (Vec::new(), 0);
        for file in files {
            read(file, &mut bytes);
            let names =
                scanner.scan(&bytes, TIMEOUT, |r| Some(format!("{}:{}", r.namespace(), r.identifier())));
            asked += u64::from(scanner.asked());
            found(names.unwrap_or_default());
        }
        asked
    }
}

impl Names for yara_x::Rules {
    fn pass(&self, files: &[PathBuf], found: &mut dyn FnMut(Vec<String>)) -> u64 {
        let mut scanner = yara_x::Scanner::new(self);
        scanner.set_timeout(TIMEOUT);
        let mut bytes = Vec::new();
        for file in files {
            read(file, &mut bytes);
            let results = scanner.scan(&bytes);
            let names = results.iter().flat_map(|r| r.matching_rules());
            found(names.map(|r| format!("{}:{}", r.namespace(), r.identifier())).collect());
        }
        files.len() as u64
    }
}

fn read(file: &Path, bytes: &mut Vec<u8>) {
    bytes.clear();
    if let Ok(mut file) = fs::File::open(file) {
        let _ = io::Read::read_to_end(&mut file, bytes);
    }
}

fn compare(parts: &[Part<'_>], run: &Run, routed: &Routed) -> Result<(), Failure> {
    let rules = plain(parts)?;
    let (mut of_routed, mut of_plain) = (Vec::new(), Vec::new());
    routed.pass(&run.files, &mut |names| of_routed.push(sorted(names)));
    rules.pass(&run.files, &mut |names| of_plain.push(sorted(names)));
    let matches: usize = of_plain.iter().map(Vec::len).sum();
    let differ = of_routed.iter().zip(&of_plain).zip(&run.files).find(|((a, b), _)| a != b);
    if let Some(((a, b), file)) = differ {
        return Err(format!("{}: routed {a:?}, plain {b:?}", file.display()).into());
    }
    println!("{matches} matches, all the same");
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let a = measure("routed", &run.files, routed);
        let b = measure("plain", &run.files, &rules);
        ratios.push(a / b);
    }
    println!("routed : plain = {ratios:.3?}");
    others(run);
    Ok(())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn measure(name: &str, files: &[PathBuf], engine: &impl Names) -> f64 {
    let begun = cpu();
    let asked = engine.pass(files, &mut |_| ());
    let spent = cpu() - begun;
    let each = files.len().max(1) as f64;
    println!(
        "{name}: {spent:.3} s CPU, {:.1} us and {:.2} groups a file, {} MB resident",
        spent * 1e6 / each,
        asked as f64 / each,
        resident()
    );
    spent
}

/// Runs the programs that are installed over the same rules and files.
fn others(run: &Run) {
    let folder = std::env::temp_dir().join(format!("khien-scan-bench-{}", std::process::id()));
    if fs::create_dir_all(&folder).is_err() {
        return;
    }
    let (rules, list) = (folder.join("all.yar"), folder.join("files"));
    let text: String = run.sources.iter().map(|(_, text)| text.as_str()).collect();
    let names: Vec<_> = run.files.iter().map(|f| f.display().to_string()).collect();
    let written = fs::write(&rules, text).and_then(|()| fs::write(&list, names.join("\n")));
    if written.is_ok() {
        let globals = ["filename", "filepath", "extension", "filetype", "owner"].map(|n| format!("-d{n}="));
        let yara = ["-w", "-p1", "--scan-list"].map(str::to_owned);
        told("yara", yara.into_iter().chain(globals.clone()), &[&rules, &list]);
        let yr =
            ["scan", "-p1", "--relaxed-re-syntax", "--disable-warnings", "--scan-list"].map(str::to_owned);
        told("yr", yr.into_iter().chain(globals.map(|g| g.replacen("-d", "-d=", 1))), &[&rules, &list]);
    }
    let _ = fs::remove_dir_all(&folder);
}

fn told(program: &str, options: impl Iterator<Item = String>, rest: &[&PathBuf]) {
    let before = children();
    match Command::new(program).args(options).args(rest).output() {
        Ok(done) if done.status.success() => {
            let lines = done.stdout.iter().filter(|b| **b == b'\n').count();
            println!(
                "{program}: {:.2} s CPU with the compiling of rules, {lines} lines",
                children() - before
            );
        }
        Ok(done) => {
            let why = String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or_default().to_owned();
            println!("{program}: refused: {why}");
        }
        Err(_) => println!("{program}: not installed"),
    }
}

/// Returns the seconds that this thread has run.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Returns the seconds that finished children have run.
fn children() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() * 4096 / 1_000_000
}
