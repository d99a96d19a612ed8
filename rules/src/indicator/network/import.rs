//! Reads lists about traffic as the world sends them: one per line, CSV, hosts files, block lists of browsers, MISP's
//! `domain|ip` pairs and warning lists, and all of it defanged. A bad line is counted and told, and never stops the rest.
//!
//! Entries that would make half the world an alert, and those that the team lets be, are left out and counted.

use std::io::{self, BufRead};

use data_encoding::BASE64_NOPAD;
use khien_core::bundle::NetworkKind;
use serde::Deserialize;

pub use super::super::import::{BadLine, MAX_TOLD};
use super::{
    super::{
        import::Lines,
        is_specific,
        keys::{Key, Keys, MAX_KEYS, key, key_of_text},
        normal,
    },
    MAX_LABELS,
    allow::Allow,
    broad,
    prefix::{self, Prefix},
    url::Url,
    value::{self, Value, refanged},
};

/// The largest list in JSON, in bytes: it is read as a whole.
const MAX_JSON: u64 = 64 << 20;
/// What hosts files send unwanted names to.
const NOWHERE: [&str; 5] = ["0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"];

/// How a list is to be read.
#[derive(Debug, Clone)]
pub struct How<'a> {
    /// What its entries are.
    pub kind: NetworkKind,
    /// Where in a line they stand; without one, the first column that fits.
    pub column: Option<Column>,
    /// Whether it is about inner networks.
    pub private: bool,
    /// What is let be.
    pub allow: &'a Allow,
}

/// A column of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By its number, from 1.
    Number(usize),
    /// By its name in the line that names them, which may be a comment.
    Name(String),
}

/// What a list gave.
#[derive(Debug, Default)]
pub struct Imported {
    kind: Option<NetworkKind>,
    prefixes: Vec<Prefix>,
    keys: Vec<Key>,
    /// How many lines gave what.
    pub counts: Counts,
    /// The first bad lines.
    pub told: Vec<BadLine>,
    /// The first lines that were refused or should be looked at.
    pub notes: Vec<BadLine>,
}

/// How many entries of a list became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken.
    pub good: usize,
    /// Of another kind: right for another list.
    pub other: usize,
    /// Let be by the team.
    pub allowed: usize,
    /// Refused, since they would make half the world an alert.
    pub refused: usize,
    /// Taken, but somebody should look at them.
    pub doubted: usize,
    /// Lines that gave nothing and should have.
    pub bad: usize,
}

impl Imported {
    /// Packs the list for shipping: how many entries it has, each once, and its body.
    #[must_use]
    pub fn shipped(self) -> (u32, String) {
        let (count, body) = match self.kind {
            Some(NetworkKind::Address) => {
                let mut prefixes = self.prefixes;
                prefixes.sort_unstable();
                prefixes.dedup();
                (prefixes.len(), prefix::body(prefixes))
            }
            _ => {
                let keys = Keys::new(self.keys);
                (keys.len(), keys.body().unwrap_or_default())
            }
        };
        (u32::try_from(count).unwrap_or(u32::MAX), BASE64_NOPAD.encode(&body))
    }
}

/// Reads a list of one kind.
///
/// # Errors
/// Only if the list itself cannot be read.
pub fn read(list: impl BufRead, how: &How<'_>) -> io::Result<Imported> {
    let at = match how.column {
        Some(Column::Number(number)) => Some(number.saturating_sub(1)),
        Some(Column::Name(_)) | None => None,
    };
    let found = Imported { kind: Some(how.kind), ..Imported::default() };
    let mut import = Import { how, at, found };
    lines(list, |number, line| import.take(number, line))?;
    Ok(import.found)
}

/// Offers the lines of a list, or the entries of one in JSON, each with its number and without space around it.
pub(super) fn lines(
    mut list: impl BufRead,
    mut take: impl FnMut(usize, Result<&str, &'static str>),
) -> io::Result<()> {
    if is_json(list.fill_buf()?) {
        return entries(list, take);
    }
    let mut lines = Lines::new(list);
    let mut number = 0;
    while let Some(fits) = lines.next()? {
        number += 1;
        let text = std::str::from_utf8(lines.line.trim_ascii()).map_err(|_| "is not UTF-8");
        let text = text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
        take(number, if fits { text } else { Err("is longer than 4096 bytes") });
    }
    Ok(())
}

/// Tells whether a list begins like one of MISP's: an object, or an array of texts.
fn is_json(begin: &[u8]) -> bool {
    let mut begin = begin.trim_ascii_start();
    begin = begin.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(begin).trim_ascii_start();
    match begin.split_first() {
        Some((b'{', _)) => true,
        Some((b'[', rest)) => rest.trim_ascii_start().first() == Some(&b'"'),
        _ => false,
    }
}

/// A list in JSON: bare, or one of MISP's warning lists.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Bare(Vec<String>),
    Warning { list: Vec<String> },
}

fn entries(list: impl BufRead, mut take: impl FnMut(usize, Result<&str, &'static str>)) -> io::Result<()> {
    let (Json::Bare(list) | Json::Warning { list }) = serde_json::from_reader(list.take(MAX_JSON))?;
    list.iter().enumerate().for_each(|(at, entry)| take(at + 1, Ok(entry.trim())));
    Ok(())
}

/// Cuts a comment off, that of a whole line or one behind an entry.
pub(super) fn without_comment(line: &str) -> &str {
    if is_comment(line) {
        return "";
    }
    let end = [" #", "\t#", " ;", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    line[..end.unwrap_or(line.len())].trim_end()
}

fn is_comment(line: &str) -> bool {
    line.starts_with(['#', ';', '!']) || line.starts_with("//")
}

struct Import<'a> {
    how: &'a How<'a>,
    /// The column, once it is known.
    at: Option<usize>,
    found: Imported,
}

impl Import<'_> {
    fn take(&mut self, number: usize, line: Result<&str, &'static str>) {
        let line = match line {
            Ok(line) => line,
            Err(why) => return self.bad(number, why, ""),
        };
        if let (Some(Column::Name(name)), None) = (&self.how.column, self.at) {
            self.at = column(line, name);
            if self.at.is_some() {
                return;
            }
        }
        match &self.how.column {
            Some(_) if line.is_empty() || is_comment(line) => {}
            Some(_) => self.column(number, line),
            None => self.line(number, without_comment(line)),
        }
    }

    /// Takes the entry of a column.
    fn column(&mut self, number: usize, line: &str) {
        match self.at.map(|at| fields(line).get(at).copied()) {
            Some(Some(field)) => self.first(number, line, &[field]),
            Some(None) => self.bad(number, "has fewer columns", line),
            None => self.bad(number, "stands before the line that names the columns", line),
        }
    }

    fn line(&mut self, number: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match (self.how.kind, words.as_slice()) {
            (NetworkKind::Domain, [to, names @ ..]) if NOWHERE.contains(to) => {
                for name in names.iter().filter(|name| !is_of_hosts(name)) {
                    self.first(number, text, &[name]);
                }
            }
            // A comma may be part of a URL, so a URL that stands first is the whole of the line.
            (NetworkKind::Url, [url, ..])
                if url_of(url).is_some_and(|_| url.contains("://") || url.contains("[:")) =>
            {
                self.first(number, text, &[url]);
            }
            (_, [_]) if fields(text).len() == 1 => self.first(number, text, &[text]),
            _ => {
                let words: Vec<&str> =
                    fields(text).into_iter().flat_map(str::split_ascii_whitespace).collect();
                self.first(number, text, &words);
            }
        }
    }

    /// Takes the first of some words that is an entry of the wanted kind.
    fn first(&mut self, number: usize, line: &str, words: &[&str]) {
        let alone = words.len() == 1;
        if self.found.prefixes.len().max(self.found.keys.len()) >= MAX_KEYS {
            return self.bad(number, "is more than one list may hold", line);
        }
        if let Some(value) = words.iter().find_map(|word| of_kind(self.how.kind, word, alone)) {
            return self.judge(number, line, &value);
        }
        let is_other = |word: &&&str| Value::parse(word).is_some() || is_sha1(word);
        match words.iter().find(is_other) {
            Some(_) => self.found.counts.other += 1,
            // The first line of a CSV names its columns.
            None if number == 1 && line.contains(',') => {}
            None => self.bad(number, &format!("holds no {}", self.how.kind.as_str()), line),
        }
    }

    fn judge(&mut self, number: usize, line: &str, value: &Value) {
        if self.is_allowed(value) {
            self.found.counts.allowed += 1;
            return;
        }
        if let Some(why) = refused(value, self.how.private) {
            self.found.counts.refused += 1;
            return self.note(number, why, line);
        }
        if let Some(why) = doubted(value) {
            self.found.counts.doubted += 1;
            self.note(number, why, line);
        }
        self.found.counts.good += 1;
        match value {
            Value::Address(prefix) => self.found.prefixes.push(*prefix),
            Value::Name(name) => self.found.keys.push(key_of_text(name.as_bytes())),
            Value::Url(url) => self.found.keys.push(key_of_text(url.as_bytes())),
            Value::Ja4(ja4) => self.found.keys.push(key_of_text(ja4.as_str().as_bytes())),
            Value::Digest(digest) => self.found.keys.extend(key(&digest.0)),
        }
    }

    fn is_allowed(&self, value: &Value) -> bool {
        let allow = self.how.allow;
        match value {
            Value::Address(prefix) => allow.has_network(prefix),
            Value::Name(name) => allow.has_name(name.as_bytes()),
            Value::Url(url) => allow.has_url(url),
            Value::Ja4(ja4) => allow.has_ja4(ja4),
            Value::Digest(digest) => allow.has_digest(digest),
        }
    }

    fn bad(&mut self, line: usize, what: &str, text: &str) {
        self.found.counts.bad += 1;
        if self.found.told.len() < MAX_TOLD {
            self.found.told.push(BadLine::new(line, what, text.as_bytes()));
        }
    }

    fn note(&mut self, line: usize, what: &str, text: &str) {
        if self.found.notes.len() < MAX_TOLD {
            self.found.notes.push(BadLine::new(line, what, text.as_bytes()));
        }
    }
}

/// Reads a word as an entry of one kind. One that stands alone may be less than a CSV's column must be.
fn of_kind(kind: NetworkKind, word: &str, alone: bool) -> Option<Value> {
    let word = refanged(word.trim_matches(['"', '\'']));
    match kind {
        NetworkKind::Address => {
            Prefix::parse(&word).or_else(|| Prefix::parse(without_port(&word)?)).map(Value::Address)
        }
        NetworkKind::Domain => {
            let word = word.strip_prefix("||").unwrap_or(&word);
            let word = word.strip_suffix('^').unwrap_or(word);
            let word = word.strip_prefix("*.").or_else(|| word.strip_prefix('.')).unwrap_or(word);
            normal(word).filter(|name| is_specific(name) || alone && !name.contains('.')).map(Value::Name)
        }
        NetworkKind::Url if word.contains("://") || alone && word.contains('/') => {
            url_of(&word).map(Value::Url)
        }
        NetworkKind::Url | NetworkKind::Unknown => None,
        NetworkKind::Ja4 => value::ja4(&word).map(Value::Ja4),
        NetworkKind::Certificate => value::digest(&word).map(Value::Digest),
    }
}

/// Reads a URL; a folder with a star for all beneath is the folder.
fn url_of(word: &str) -> Option<Url> {
    let word = refanged(word.trim_matches(['"', '\'']));
    Url::parse(word.strip_suffix("/*").map_or(&*word, |folder| &word[..=folder.len()]))
}

/// `203.0.113.7:443`, `[2001:db8::7]:443`.
fn without_port(word: &str) -> Option<&str> {
    match word.strip_prefix('[') {
        Some(rest) => Some(rest.split_once(']')?.0),
        None => Some(word.rsplit_once(':')?.0),
    }
}

fn refused(value: &Value, private: bool) -> Option<&'static str> {
    match value {
        Value::Address(prefix) => broad::refused_network(prefix, private),
        Value::Name(name) if name.split('.').count() > MAX_LABELS => Some("has more than 24 labels"),
        Value::Name(name) => broad::refused_name(name),
        Value::Url(url) => broad::refused_url(url, private),
        Value::Ja4(_) | Value::Digest(_) => None,
    }
}

fn doubted(value: &Value) -> Option<&'static str> {
    match value {
        Value::Address(prefix) => broad::doubted_network(prefix),
        Value::Name(name) => broad::doubted_name(name),
        Value::Url(_) | Value::Ja4(_) | Value::Digest(_) => None,
    }
}

/// Lines that every hosts file begins with.
fn is_of_hosts(name: &str) -> bool {
    name.starts_with("localhost")
        || name.starts_with("ip6-")
        || matches!(name, "local" | "broadcasthost" | "0.0.0.0")
}

fn is_sha1(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Returns the place of a column, if the line names it.
fn column(line: &str, name: &str) -> Option<usize> {
    let line = line.trim_start_matches(['#', ' ']);
    fields(line).iter().position(|field| field.eq_ignore_ascii_case(name))
}

/// Splits a line into its columns; what stands in quotes stays together.
fn fields(line: &str) -> Vec<&str> {
    let Some(parting) = [',', '\t', ';', '|'].into_iter().find(|c| line.contains(*c)) else {
        return vec![line];
    };
    let mut quoted = false;
    let fields = line.split(|c| {
        quoted ^= c == '"';
        c == parting && !quoted
    });
    fields.map(|field| field.trim().trim_matches('"')).collect()
}

#[cfg(test)]
mod tests;
