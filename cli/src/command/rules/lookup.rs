//! `khien rules lookup`: on which lists of a pack something stands.

use std::path::Path;

use anyhow::{Context as _, Result};
use khien_core::{
    Lang, Timestamp,
    bundle::{NetworkKind, Pack},
    text::{Message, command as t, trouble},
};
use khien_rules::{
    base_pack,
    indicator::{
        files::{FileSets, Hit, Listed},
        network::{Network, lookup::Found, value::Value},
    },
    pack,
};
use serde::Serialize;

use crate::{
    command::Context,
    exit::{Exit, Stop},
    output::{Table, print, print_json, say},
    told::Told,
};

/// One list on which a value stands, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Shown {
    value: String,
    kind: &'static str,
    entry: String,
    rule: String,
    source: String,
    confidence: u8,
    expires: Option<Timestamp>,
    expired: bool,
    allowed: bool,
}

/// What is looked up: values about traffic, digests also about files.
enum Asked {
    OfTraffic(Value),
    OfFiles(Listed),
}

/// Looks values up in a pack's folder, or in the pack that comes with the program.
pub(super) fn run(context: &Context, values: &[String], dir: Option<&Path>) -> Result<()> {
    let lang = context.lang;
    let asked = values.iter().map(|value| asked(value, lang)).collect::<Result<Vec<_>>>()?;
    let now = Timestamp::now();
    let pack = match dir {
        Some(dir) => pack::load_dir(dir, now).with_context(|| Told::path(trouble::CANNOT_USE, dir))?,
        None => base_pack(now),
    };
    let found = look_up(&pack, values, &asked, now);
    if context.json {
        return print_json(&found);
    }
    for value in values.iter().filter(|value| !found.iter().any(|hit| hit.value == **value)) {
        say(&t::ON_NO_LIST.with(lang, &[value]));
    }
    if found.is_empty() { Ok(()) } else { print(&table(&found, lang)) }
}

/// Returns what the entries of a list are called.
pub(super) fn word(kind: NetworkKind) -> Message {
    match kind {
        NetworkKind::Address => t::KIND_ADDRESS,
        NetworkKind::Domain => t::KIND_DOMAIN,
        NetworkKind::Url => t::KIND_URL,
        NetworkKind::Ja4 => t::KIND_JA4,
        NetworkKind::Certificate => t::KIND_CERTIFICATE,
        NetworkKind::Unknown => t::KIND,
    }
}

fn asked(text: &str, lang: Lang) -> Result<Asked> {
    if let Some(digest) = Listed::parse(text.trim()) {
        return Ok(Asked::OfFiles(digest));
    }
    match Value::parse(text) {
        Some(value) => Ok(Asked::OfTraffic(value)),
        None => Err(Stop::new(Exit::Usage, t::NO_VALUE.with(lang, &[&text]), t::NEXT_VALUE.get(lang)).into()),
    }
}

fn look_up(pack: &Pack, values: &[String], asked: &[Asked], now: Timestamp) -> Vec<Shown> {
    let network = Network::new(pack, Default::default(), now);
    let files = FileSets::new(pack);
    let mut found = Vec::new();
    for (text, asked) in values.iter().zip(asked) {
        let value = match asked {
            Asked::OfTraffic(value) => Some(value.clone()),
            // A SHA-256 may be that of a certificate, too.
            Asked::OfFiles(digest) => {
                let hits = files.look_up(digest);
                found.extend(hits.iter().map(|(hit, expires)| of_file(text, hit, *expires, now)));
                Value::parse(text)
            }
        };
        let hits = value.iter().flat_map(|value| network.look_up(value));
        found.extend(hits.map(|hit| of_traffic(text, hit, now)));
    }
    found
}

fn of_traffic(value: &str, found: Found, now: Timestamp) -> Shown {
    Shown {
        value: value.to_owned(),
        kind: found.set.kind.as_str(),
        entry: found.entry,
        rule: found.set.rule.to_string(),
        source: found.set.source,
        confidence: found.set.confidence,
        expires: found.set.expires,
        expired: found.set.expires.is_some_and(|end| end <= now),
        allowed: found.allowed,
    }
}

fn of_file(value: &str, hit: &Hit, expires: Option<Timestamp>, now: Timestamp) -> Shown {
    Shown {
        value: value.to_owned(),
        kind: "file",
        entry: value.trim().to_ascii_lowercase(),
        rule: hit.rule.to_string(),
        source: hit.source.to_string(),
        confidence: hit.confidence,
        expires,
        expired: expires.is_some_and(|end| end <= now),
        allowed: false,
    }
}

fn table(found: &[Shown], lang: Lang) -> String {
    let mut table =
        Table::new(&[t::KIND, t::ENTRY, t::RULE, t::SOURCE, t::REMARK].map(|word| word.get(lang)));
    for hit in found {
        let kinds = [
            NetworkKind::Address,
            NetworkKind::Domain,
            NetworkKind::Url,
            NetworkKind::Ja4,
            NetworkKind::Certificate,
        ];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == hit.kind).map_or(t::KIND_FILE, word);
        let remark = match hit.expires {
            _ if hit.allowed => t::LET_BE.get(lang).to_owned(),
            Some(end) if hit.expired => t::LIST_EXPIRED.with(lang, &[&end]),
            _ => String::new(),
        };
        let source = match hit.source.as_str() {
            "" => format!("{} %", hit.confidence),
            source => format!("{source} ({} %)", hit.confidence),
        };
        table.row(vec![kind.get(lang).to_owned(), hit.entry.clone(), hit.rule.clone(), source, remark]);
    }
    table.shown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_base_pack_is_told_with_its_rule_and_a_stranger_is_not() {
        let pack = base_pack(Timestamp::UNIX_EPOCH);
        let values = ["hxxp://www.c2.khien-test[.]example/a".to_owned(), "good.example".to_owned()];
        let asked: Vec<_> = values.iter().map(|value| asked(value, Lang::En).unwrap()).collect();

        let found = look_up(&pack, &values, &asked, Timestamp::UNIX_EPOCH);

        let told: Vec<_> = found.iter().map(|hit| (hit.entry.as_str(), hit.rule.as_str())).collect();
        assert_eq!(told, [("c2.khien-test.example", "indicator.domain.base")]);
        insta::assert_snapshot!(table(&found, Lang::Vi), @r"
        Loại      Mục khớp               Luật                   Nguồn  Ghi chú
        tên miền  c2.khien-test.example  indicator.domain.base  100 %
        ");
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        let refused = asked("not a value", Lang::En).err().unwrap().to_string();

        assert!(refused.contains("not a value"), "{refused}");
    }
}
