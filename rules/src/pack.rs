//! A pack as its authors keep it: a folder with `pack.toml`, YARA sources and lists of names.
//!
//! ```text
//! base/
//! ├── pack.toml     version, one [[rule]] table per rule, one [[list]] table per list
//! ├── policy.toml   what agents keep an eye on beside content; without it, what the base pack says
//! ├── *.yar         YARA sources
//! ├── domains.txt   one name per line, `#` begins a comment
//! ├── *.list        digests or file names, in any form that [`import`](crate::indicator::import) reads; addresses,
//! │                 names, URLs or fingerprints as [`network::import`](crate::indicator::network::import) does
//! └── *.allow       what of them is let be, also `allow.txt`
//! ```

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use khien_core::{
    RuleId, Timestamp,
    bundle::{MAX_PACK, NetworkLists, Pack, RuleMeta, Source},
    policy::Policy,
    text::Words,
};
use serde::Deserialize;

use crate::{check::Problem, indicator::network::lookup};

mod list;
mod policy;

pub use list::ListTold;
use list::{Lists, RawList};

/// How the names of lists of digests and file names end.
const LIST: &str = ".list";
/// The file that names a pack's rules.
const MANIFEST: &str = "pack.toml";
/// The most files of one pack's folder.
const MAX_FILES: usize = 4_096;
/// How the names of files end that say what is let be, and the one that needs no such end.
const ALLOW: [&str; 2] = [".allow", "allow.txt"];

/// The pack that comes with the program: each file's name and text.
const BASE: &[(&str, &str)] = &[
    (MANIFEST, include_str!("../packs/base/pack.toml")),
    (policy::FILE, include_str!("../packs/base/policy.toml")),
    ("domains.txt", include_str!("../packs/base/domains.txt")),
    ("eicar.yar", include_str!("../packs/base/eicar.yar")),
    ("implant.yar", include_str!("../packs/base/implant.yar")),
    ("linux.yar", include_str!("../packs/base/linux.yar")),
    ("ransom.yar", include_str!("../packs/base/ransom.yar")),
    ("seo.yar", include_str!("../packs/base/seo.yar")),
    ("webshell_aspx.yar", include_str!("../packs/base/webshell_aspx.yar")),
    ("webshell_jsp.yar", include_str!("../packs/base/webshell_jsp.yar")),
    ("webshell_php.yar", include_str!("../packs/base/webshell_php.yar")),
];

/// Why a pack could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or folder could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder holds too much.
    #[error("{path} holds more than a pack may: {MAX_FILES} files and {MAX_PACK} bytes")]
    TooLarge {
        /// The folder.
        path: PathBuf,
    },
    /// `pack.toml` is missing.
    #[error("there is no {MANIFEST}; it names the version and the rules of a pack")]
    NoManifest,
    /// `pack.toml` is not TOML of the wanted form.
    #[error("cannot read {MANIFEST}: {0}")]
    Manifest(String),
    /// `policy.toml` is not a policy.
    #[error("cannot read {file}: {0}", file = policy::FILE)]
    Policy(String),
    /// Fields are missing or wrong.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    Problems(Vec<Problem>),
}

/// Returns the pack that comes with the program.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "the embedded pack never changes at run time, and a test reads it"
)]
pub fn base_pack(created: Timestamp) -> Pack {
    let files = BASE.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let folder = Folder { texts: files.collect(), path: None, allow: Vec::new() };
    assemble(folder, created)
        .map(|loaded| loaded.pack)
        .expect("the embedded pack is read by a test of this crate")
}

/// Returns what agents keep an eye on when a pack does not say.
#[must_use]
pub fn base_policy() -> Policy {
    base_pack(Timestamp::UNIX_EPOCH).policy.unwrap_or_default()
}

/// A pack that was read, and what became of its lists.
#[derive(Debug)]
pub struct Loaded {
    /// The pack.
    pub pack: Pack,
    /// What became of each list about traffic.
    pub lists: Vec<ListTold>,
}

/// The parts of a pack before they are put together.
struct Folder {
    /// Its small files, by name.
    texts: BTreeMap<String, String>,
    /// Where its lists lie.
    path: Option<PathBuf>,
    /// Names of files that say what is let be.
    allow: Vec<String>,
}

/// Reads a pack from a folder.
///
/// # Errors
/// [`PackError`].
pub fn load_dir(path: &Path, created: Timestamp) -> Result<Pack, PackError> {
    load_told(path, created).map(|loaded| loaded.pack)
}

/// Reads a pack from a folder and tells what became of its lists.
///
/// # Errors
/// [`PackError`].
pub fn load_told(path: &Path, created: Timestamp) -> Result<Loaded, PackError> {
    let failed = |path: &Path, source| PackError::Read { path: path.to_owned(), source };
    let mut folder = Folder { texts: BTreeMap::new(), path: Some(path.to_owned()), allow: Vec::new() };
    let mut room = MAX_PACK;
    for (count, entry) in path.read_dir().map_err(|e| failed(path, e))?.enumerate() {
        let file = entry.map_err(|e| failed(path, e))?.path();
        if count >= MAX_FILES {
            return Err(PackError::TooLarge { path: path.to_owned() });
        }
        let Some(name) = file.file_name().and_then(|n| n.to_str()).filter(|n| is_part(n)) else { continue };
        if is_allow(name) {
            folder.allow.push(name.to_owned());
        }
        if name.ends_with(LIST) || is_allow(name) {
            continue;
        }
        let text = read_text(&file, room).map_err(|e| failed(&file, e))?;
        room = room.checked_sub(text.len()).ok_or_else(|| PackError::TooLarge { path: path.to_owned() })?;
        folder.texts.insert(name.to_owned(), text);
    }
    folder.allow.sort_unstable();
    assemble(folder, created)
}

fn is_allow(name: &str) -> bool {
    name.ends_with(ALLOW[0]) || name == ALLOW[1]
}

fn is_part(name: &str) -> bool {
    [".yar", ".yara", ".toml", ".txt", LIST, ALLOW[0]].iter().any(|end| name.ends_with(end))
        && !name.starts_with('.')
}

/// Reads at most one byte more than there is room for, so that the caller sees the overflow.
fn read_text(path: &Path, room: usize) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(room as u64 + 1).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u64,
    #[serde(default)]
    rule: Vec<RawRule>,
    #[serde(default)]
    list: Vec<RawList>,
}

/// A rule as written. Every field may be missing, so that the error can name the rule and the field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: Option<String>,
    yara: Option<String>,
    severity: Option<String>,
    technique: Option<String>,
    #[serde(default)]
    streams: bool,
    #[serde(default)]
    memory: bool,
    #[serde(default)]
    title: RawWords,
    #[serde(default)]
    explanation: RawWords,
    #[serde(default)]
    next_step: RawWords,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawWords {
    vi: String,
    en: String,
}

/// Puts a pack together.
fn assemble(mut folder: Folder, created: Timestamp) -> Result<Loaded, PackError> {
    let manifest = folder.texts.remove(MANIFEST).ok_or(PackError::NoManifest)?;
    let manifest: Manifest = toml::from_str(&manifest).map_err(|e| PackError::Manifest(e.to_string()))?;
    let policy = folder.texts.remove(policy::FILE).map(|text| policy::read(&text)).transpose()?;
    let mut problems = Vec::new();
    let rules = manifest.rule.into_iter().filter_map(|raw| rule(raw, &mut problems)).collect();
    let mut lists = Lists::new(&folder, &mut problems);
    manifest.list.iter().for_each(|raw| lists.add(raw));
    let listed = lists.finish();
    if !problems.is_empty() {
        return Err(PackError::Problems(problems));
    }
    let is_source = |(name, _): &(String, String)| name.ends_with(".yar") || name.ends_with(".yara");
    let sources =
        folder.texts.into_iter().filter(is_source).map(|(name, text)| Source { name, text }).collect();
    let mut pack = Pack {
        version: manifest.version,
        created,
        rules,
        sources,
        domains: listed.domains,
        sets: listed.sets,
        network: NetworkLists { sets: listed.network, allowed: Vec::new() },
        policy,
    };
    pack.network.allowed = lookup::exceptions(&pack, &listed.allow);
    Ok(Loaded { pack, lists: listed.told })
}

fn rule(raw: RawRule, problems: &mut Vec<Problem>) -> Option<RuleMeta> {
    let name = raw.id.clone().or_else(|| raw.yara.clone()).unwrap_or_else(|| "?".to_owned());
    let before = problems.len();
    let mut note = |field, what: String| problems.push(Problem::new(&name, field, what));
    let id = match raw.id.as_deref().map(str::parse::<RuleId>) {
        Some(Ok(id)) => Some(id),
        Some(Err(e)) => {
            note("id", e.to_string());
            None
        }
        None => {
            note("id", "is missing".to_owned());
            None
        }
    };
    let severity = match raw.severity.as_deref().map(str::parse) {
        Some(Ok(severity)) => Some(severity),
        Some(Err(e)) => {
            note("severity", format!("{e}"));
            None
        }
        None => {
            note("severity", "is missing, expected low, medium, high or critical".to_owned());
            None
        }
    };
    let meta = RuleMeta {
        id: id?,
        yara: raw.yara,
        severity: severity?,
        technique: raw.technique,
        streams: raw.streams,
        memory: raw.memory,
        title: words(raw.title),
        explanation: words(raw.explanation),
        next_step: words(raw.next_step),
    };
    (problems.len() == before).then_some(meta)
}

fn words(raw: RawWords) -> Words {
    Words { vi: raw.vi.trim().to_owned(), en: raw.en.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = r#"
version = 7
[[rule]]
id = "test.one"
yara = "one"
severity = "low"
title = { vi = "Một", en = "One" }
explanation = { vi = "Một", en = "One" }
next_step = { vi = "Một", en = "One" }
[[rule]]
id = "indicator.domain.test"
severity = "high"
title = { vi = "Tên", en = "Name" }
explanation = { vi = "Tên", en = "Name" }
next_step = { vi = "Tên", en = "Name" }
[[list]]
file = "domains.txt"
rule = "indicator.domain.test"
"#;

    #[test]
    fn the_embedded_pack_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/base");

        let embedded = base_pack(Timestamp::UNIX_EPOCH);

        assert_eq!(embedded, load_dir(&folder, Timestamp::UNIX_EPOCH).unwrap());
        assert!(embedded.version >= 1);
    }

    #[test]
    fn a_folder_becomes_a_pack() {
        let pack = load(GOOD, "C2.Khien-Test.example. # ours\n\n# a comment\n").unwrap();

        assert_eq!((pack.version, pack.rules.len(), pack.sources.len()), (7, 2, 1));
        assert_eq!(pack.domains[0].domain, "c2.khien-test.example");
    }

    #[test]
    fn an_error_names_the_rule_and_the_field() {
        let bad = GOOD.replace("\"low\"", "\"bad\"");

        let error = load(&bad, "").unwrap_err().to_string();

        assert_eq!(
            error,
            "rule `test.one`: severity: unknown severity `bad`, expected low, medium, high or critical"
        );
    }

    #[test]
    fn a_rule_without_severity_or_id_is_named() {
        let error = load(&GOOD.replace("severity = \"low\"", ""), "").unwrap_err().to_string();
        assert!(error.starts_with("rule `test.one`: severity: is missing"), "{error}");

        let error = load(&GOOD.replace("id = \"test.one\"", ""), "").unwrap_err().to_string();
        assert!(error.starts_with("rule `one`: id: is missing"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_name_is_pointed_out() {
        let error = load(GOOD, "good.example\nnot a name\n").unwrap_err().to_string();

        assert_eq!(error, "rule `indicator.domain.test`: list.file: line 2 is not a host name");
    }

    #[test]
    fn a_missing_manifest_or_an_unknown_field_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(load_dir(empty.path(), Timestamp::UNIX_EPOCH), Err(PackError::NoManifest)));
        assert!(matches!(load(&format!("sevrity = 1\n{GOOD}"), ""), Err(PackError::Manifest(_))));
    }

    #[test]
    fn a_folder_larger_than_a_pack_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pack.toml"), GOOD).unwrap();
        File::create(folder.path().join("big.yar")).unwrap().set_len(MAX_PACK as u64 + 1).unwrap();

        let refused = load_dir(folder.path(), Timestamp::UNIX_EPOCH);

        assert!(matches!(refused, Err(PackError::TooLarge { .. })));
    }

    fn load(manifest: &str, domains: &str) -> Result<Pack, PackError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pack.toml"), manifest).unwrap();
        fs::write(folder.path().join("domains.txt"), domains).unwrap();
        fs::write(folder.path().join("one.yar"), "rule one { condition: false }").unwrap();
        load_dir(folder.path(), Timestamp::UNIX_EPOCH)
    }
}
