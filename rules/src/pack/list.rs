//! The lists of a pack's folder, from what people write to what is signed.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use khien_core::{
    RuleId, Timestamp,
    bundle::{DomainIndicator, IndicatorSet, NetworkKind, NetworkSet, SetKind},
};
use serde::Deserialize;

use super::{Folder, LIST};
use crate::{
    check::Problem,
    indicator::{
        self, files,
        import::{self, Imported},
        network::{
            Allow, Allowed,
            import::{self as traffic, BadLine, Column, Counts, How},
        },
    },
};

/// The largest list as people write it, in bytes. In the pack an entry takes four to ten.
const MAX_LIST: u64 = 512 << 20;

/// A list as written in the manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawList {
    file: String,
    rule: String,
    /// None for names of hosts as text, which older agents read too.
    kind: Option<Kind>,
    source: Option<String>,
    confidence: Option<u8>,
    expires: Option<String>,
    column: Option<Column>,
    #[serde(default)]
    private: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Kind {
    OfFiles(SetKind),
    OfTraffic(NetworkKind),
}

/// What became of one list about traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTold {
    /// Its file.
    pub file: String,
    /// Its rule.
    pub rule: RuleId,
    /// What its entries are.
    pub kind: NetworkKind,
    /// How many entries it has, each once.
    pub entries: u32,
    /// How many lines became what.
    pub counts: Counts,
    /// The first lines that were refused or should be looked at: file, line and why.
    pub notes: Vec<String>,
}

/// The lists of a pack while they are read.
pub(super) struct Lists<'f> {
    folder: &'f Folder,
    problems: &'f mut Vec<Problem>,
    listed: Listed,
}

/// The lists of a pack.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) domains: Vec<DomainIndicator>,
    pub(super) sets: Vec<IndicatorSet>,
    pub(super) network: Vec<NetworkSet>,
    pub(super) allow: Allow,
    pub(super) told: Vec<ListTold>,
}

/// What every list has.
struct Head {
    rule: RuleId,
    expires: Option<Timestamp>,
}

type Fault = (&'static str, String);

impl<'f> Lists<'f> {
    /// Reads what is let be: it is asked about every entry.
    pub(super) fn new(folder: &'f Folder, problems: &'f mut Vec<Problem>) -> Self {
        let mut allowed = Allowed::default();
        for name in &folder.allow {
            let Some(path) = &folder.path else { continue };
            let begun = allowed.told.len();
            if let Err(e) = open(&path.join(name)).and_then(|list| allowed.file(list)) {
                problems.push(Problem::new(name, "allow", format!("cannot be read: {e}")));
            }
            problems.extend(
                allowed.told.iter().skip(begun).map(|bad| Problem::new(name, "allow", at(name, bad))),
            );
        }
        if allowed.bad > allowed.told.len() {
            let more = allowed.bad - allowed.told.len();
            problems.push(Problem::new("allow", "allow", format!("and {more} more bad lines")));
        }
        let listed = Listed { allow: Allow::new(allowed), ..Listed::default() };
        Self { folder, problems, listed }
    }

    /// Reads one list. Its bad lines are problems: the author is there to mend them.
    pub(super) fn add(&mut self, raw: &RawList) {
        let added = match raw.kind {
            None => self.names(raw),
            Some(Kind::OfFiles(kind)) => self.of_files(raw, kind),
            Some(Kind::OfTraffic(NetworkKind::Unknown)) => Err((
                "list.kind",
                "is unknown, expected sha256, sha1, md5, file_name, address, domain, url, ja4 or certificate"
                    .to_owned(),
            )),
            Some(Kind::OfTraffic(kind)) => self.of_traffic(raw, kind),
        };
        if let Err((field, what)) = added {
            self.problem(raw, field, what);
        }
    }

    /// Returns all lists.
    pub(super) fn finish(self) -> Listed {
        self.listed
    }

    fn names(&mut self, raw: &RawList) -> Result<(), Fault> {
        let rule = head(raw)?.rule;
        let text = self.folder.texts.get(&raw.file);
        let text = text.ok_or_else(|| ("list.file", "names no file of the pack".to_owned()))?;
        for (number, line) in text.lines().enumerate() {
            let name = line.split('#').next().unwrap_or_default().trim();
            match indicator::normal(name) {
                _ if name.is_empty() => {}
                Some(domain) if self.listed.allow.has_name(domain.as_bytes()) => {}
                Some(domain) => self.listed.domains.push(DomainIndicator { domain, rule: rule.clone() }),
                None => self.problem(raw, "list.file", format!("line {} is not a host name", number + 1)),
            }
        }
        Ok(())
    }

    fn of_files(&mut self, raw: &RawList, kind: SetKind) -> Result<(), Fault> {
        let Head { rule, expires } = head(raw)?;
        let imported = import::read(self.open(raw)?, kind).map_err(unreadable)?;
        self.bad_lines(raw, &imported);
        let section = files::section(&imported);
        self.listed.sets.push(IndicatorSet {
            rule,
            kind,
            source: raw.source.clone().unwrap_or_default(),
            confidence: raw.confidence.unwrap_or(100),
            expires,
            entries: section.entries,
            body: section.body,
            globs: section.globs,
        });
        Ok(())
    }

    fn bad_lines(&mut self, raw: &RawList, imported: &Imported) {
        imported.told.iter().for_each(|bad| self.problem(raw, "list.file", bad.to_string()));
        self.more(raw, imported.bad, imported.told.len());
    }

    fn of_traffic(&mut self, raw: &RawList, kind: NetworkKind) -> Result<(), Fault> {
        let Head { rule, expires } = head(raw)?;
        let allow = &self.listed.allow;
        let how = How { kind, column: raw.column.clone(), private: raw.private, allow };
        let list = self.open(raw)?;
        let imported = traffic::read(list, &how).map_err(unreadable)?;
        imported.told.iter().for_each(|bad| self.problem(raw, "list.file", at(&raw.file, bad)));
        self.more(raw, imported.counts.bad, imported.told.len());
        let notes = imported.notes.iter().map(|note| at(&raw.file, note)).collect();
        let counts = imported.counts;
        let (entries, body) = imported.shipped();
        let file = raw.file.clone();
        self.listed.told.push(ListTold { file, rule: rule.clone(), kind, entries, counts, notes });
        self.listed.network.push(NetworkSet {
            rule,
            kind,
            source: raw.source.clone().unwrap_or_default(),
            confidence: raw.confidence.unwrap_or(100),
            expires,
            entries,
            body,
        });
        Ok(())
    }

    fn more(&mut self, raw: &RawList, bad: usize, told: usize) {
        if bad > told {
            self.problem(raw, "list.file", format!("and {} more bad lines", bad - told));
        }
    }

    fn open(&self, raw: &RawList) -> Result<BufReader<io::Take<File>>, Fault> {
        let plain = raw.file.ends_with(LIST) && !raw.file.contains(['/', '\\']) && !raw.file.starts_with('.');
        match &self.folder.path {
            Some(path) if plain => open(&path.join(&raw.file)).map_err(unreadable),
            _ => Err(("list.file", format!("is not the name of a file of the pack that ends in `{LIST}`"))),
        }
    }

    fn problem(&mut self, raw: &RawList, field: &'static str, what: String) {
        self.problems.push(Problem::new(&raw.rule, field, what));
    }
}

fn head(raw: &RawList) -> Result<Head, Fault> {
    let rule = raw.rule.parse().map_err(|_| ("list.rule", "is not a rule id".to_owned()))?;
    let expires = raw.expires.as_deref().map(str::parse::<Timestamp>).transpose();
    let expires =
        expires.map_err(|_| ("list.expires", "is not a time such as 2027-01-31T00:00:00Z".to_owned()))?;
    Ok(Head { rule, expires })
}

fn open(path: &Path) -> io::Result<BufReader<io::Take<File>>> {
    let facts = path.metadata()?;
    if !facts.is_file() || facts.len() > MAX_LIST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file of at most 512 MiB"));
    }
    Ok(BufReader::new(File::open(path)?.take(MAX_LIST)))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn unreadable(error: io::Error) -> Fault {
    ("list.file", format!("cannot be read: {error}"))
}

/// `addresses.list:7: is wider than …`.
fn at(file: &str, bad: &BadLine) -> String {
    format!("{file}:{}: {}: `{}`", bad.line, bad.what, bad.text)
}

#[cfg(test)]
mod tests;
