//! Runs a pack over its own samples: each positive one must hit its rule, no clean one may hit anything.
//!
//! ```text
//! samples/
//! ├── clean/…                            must hit nothing
//! └── webshell.php.request_exec/
//!     ├── positive/*.b64                 base64, so that a clone of the repository alarms nobody
//!     └── clean/*                        as they are
//! ```

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::BASE64_MIME_PERMISSIVE;
use khien_core::{RuleId, Timestamp, bundle::Pack, event::ScanOutcome};

use super::Problem;
use crate::{
    compile::{CompileError, Scope},
    pack::{self, ListTold, Loaded, PackError},
    sample,
    scan::Engine,
};

/// The largest sample, in bytes as stored.
const MAX_SAMPLE: u64 = 8 << 20;
/// The most samples of one pack.
const MAX_SAMPLES: usize = 20_000;
/// How deep folders of samples may be.
const MAX_DEPTH: usize = 6;
/// How long one sample may be scanned.
const PATIENCE: Duration = Duration::from_secs(10);
/// The rule whose positive sample is built instead of stored.
const EICAR: &str = "test.eicar";

/// What a check looked at and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The pack's version.
    pub version: u64,
    /// How many rules it has.
    pub rules: usize,
    /// How many of them run on traffic too.
    pub stream_rules: usize,
    /// How many names its lists hold.
    pub domains: usize,
    /// How many digests and names of files its lists hold.
    pub files: usize,
    /// What became of its lists about traffic.
    pub lists: Vec<ListTold>,
    /// Where the samples are, if there are any.
    pub samples: Option<PathBuf>,
    /// How many positive samples were scanned.
    pub positive: usize,
    /// How many clean samples were scanned.
    pub clean: usize,
    /// Rules without a positive sample: nothing shows that they ever hit.
    pub untested: Vec<RuleId>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The pack could not be read.
    #[error("cannot read the pack")]
    Pack(#[from] PackError),
    /// The pack could not be compiled, though its parts looked right.
    #[error("cannot compile the pack")]
    Compile(#[from] CompileError),
    /// A sample could not be read.
    #[error("cannot read the samples in {path}")]
    Samples {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    /// Where it lies.
    pub path: PathBuf,
    /// The rule that must hit it; none for a clean one.
    pub rule: Option<String>,
    /// Its bytes, decoded.
    pub bytes: Vec<u8>,
}

/// Checks a pack's folder with its samples: in `samples` beside `pack.toml`, or two folders up, as in the source of
/// Khiên.
///
/// # Errors
/// [`CheckError`].
pub fn directory(path: &Path) -> Result<CheckReport, CheckError> {
    let samples = [path.join("samples"), path.join("../../samples")].into_iter().find(|p| p.is_dir());
    directory_with_samples(path, samples.as_deref())
}

/// Checks a pack's folder with the samples of another folder.
///
/// # Errors
/// [`CheckError`].
pub fn directory_with_samples(path: &Path, samples: Option<&Path>) -> Result<CheckReport, CheckError> {
    let Loaded { pack, lists } = pack::load_told(path, Timestamp::UNIX_EPOCH)?;
    let mut report = CheckReport {
        version: pack.version,
        rules: pack.rules.len(),
        stream_rules: pack.rules.iter().filter(|r| r.streams && r.yara.is_some()).count(),
        domains: pack.domains.len(),
        files: pack.sets.iter().map(|set| set.entries as usize).sum(),
        lists,
        samples: samples.map(Path::to_owned),
        problems: super::pack(&pack),
        ..CheckReport::default()
    };
    if report.passed() {
        let found = samples.map(read_samples).transpose()?.unwrap_or_default();
        run(&pack, &found, &mut report)?;
    }
    Ok(report)
}

fn run(pack: &Pack, samples: &[Sample], report: &mut CheckReport) -> Result<(), CheckError> {
    let file = Engine::compile(pack, Scope::File)?;
    let parts = [
        (Engine::compile(pack, Scope::Stream)?, "stream"),
        (Engine::compile(pack, Scope::Memory)?, "memory"),
    ];
    let mut tested = BTreeSet::new();
    for sample in samples.iter().chain(&built(pack)) {
        report.problems.extend(verdict(sample, &file, "file"));
        for (engine, scope) in &parts {
            let runs = sample.rule.as_ref().is_none_or(|id| engine.rules().any(|r| r.as_str() == id));
            if runs {
                report.problems.extend(verdict(sample, engine, scope));
            }
        }
        match &sample.rule {
            Some(rule) => {
                report.positive += 1;
                tested.insert(rule.clone());
            }
            None => report.clean += 1,
        }
    }
    let untested = pack.rules.iter().filter(|r| r.yara.is_some() && !tested.contains(r.id.as_str()));
    report.untested = untested.map(|r| r.id.clone()).collect();
    Ok(())
}

fn built(pack: &Pack) -> Vec<Sample> {
    let known = pack.rules.iter().any(|r| r.id.as_str() == EICAR && r.yara.is_some());
    let eicar = Sample { path: "built".into(), rule: Some(EICAR.to_owned()), bytes: sample::eicar() };
    known.then_some(eicar).into_iter().collect()
}

fn verdict(sample: &Sample, engine: &Engine, scope: &str) -> Option<Problem> {
    let scanned = engine.scan(&sample.bytes, PATIENCE);
    let hits: Vec<_> = scanned.hits.iter().map(|h| h.rule.as_str()).collect();
    let path = sample.path.display();
    match &sample.rule {
        _ if scanned.outcome.is_trouble() => {
            let name = sample.rule.as_deref().unwrap_or("clean");
            Some(Problem::new(name, "samples", format!("{path}: {} ({scope})", scanned.outcome.as_str())))
        }
        Some(rule) if !hits.contains(&rule.as_str()) => {
            Some(Problem::new(rule, "samples", format!("{path} is not hit ({scope})")))
        }
        None if scanned.outcome != ScanOutcome::Clean => Some(Problem::new(
            hits.first().unwrap_or(&"?"),
            "samples",
            format!("hits clean {path} ({scope})"),
        )),
        _ => None,
    }
}

/// Reads all samples of a folder.
///
/// # Errors
/// [`CheckError::Samples`].
fn read_samples(root: &Path) -> Result<Vec<Sample>, CheckError> {
    let mut samples = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let failed = |path: &Path, source| CheckError::Samples { path: path.to_owned(), source };
        for entry in folder.read_dir().map_err(|e| failed(&folder, e))? {
            let entry = entry.map_err(|e| failed(&folder, e))?;
            let kind = entry.file_type().map_err(|e| failed(&entry.path(), e))?;
            if samples.len() >= MAX_SAMPLES || depth >= MAX_DEPTH {
                return Err(failed(&folder, io::Error::other("too many or too deep")));
            }
            if kind.is_dir() {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() {
                let sample = read_sample(root, &entry.path()).map_err(|e| failed(&entry.path(), e))?;
                samples.extend(sample);
            }
        }
    }
    samples.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(samples)
}

/// Reads one sample, or nothing if the file stands where no sample is looked for.
fn read_sample(root: &Path, path: &Path) -> io::Result<Option<Sample>> {
    let place = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = place.iter().filter_map(|p| p.to_str()).collect();
    let rule = match parts.as_slice() {
        ["clean", ..] | [_, "clean", ..] => None,
        [rule, "positive", ..] => Some((*rule).to_owned()),
        _ => return Ok(None),
    };
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SAMPLE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SAMPLE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "sample is larger than 8 MiB"));
    }
    if path.extension().is_some_and(|e| e == "b64") {
        bytes = BASE64_MIME_PERMISSIVE
            .decode(&bytes)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    }
    Ok(Some(Sample { path: place.to_owned(), rule, bytes }))
}
