//! Letters: the envelope, the subject and whether TLS took over.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use khien_core::traffic::What;

use crate::{once::captured_once, place::captured, records::records, same, seen::seen};

/// Who says hello, from whom, to whom, about what, and whether the session goes over to TLS.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Letter {
    ends: (String, String),
    helo: String,
    from: String,
    to: Vec<String>,
    subject: String,
    tls: bool,
}

#[test]
fn letters_are_those_of_tshark() {
    let (Some(file), Some(plain)) = (captured(), captured_once()) else { return };
    let fields = ["tcp.stream", "smtp.req.command", "smtp.req.parameter", "imf.subject"];
    let mut theirs: BTreeMap<String, Letter> = BTreeMap::new();
    for row in seen(plain, "smtp.req || imf", &fields) {
        let letter = theirs.entry(row.one("tcp.stream")).or_default();
        letter.ends = (row.from(), row.to());
        let parameter = row.one("smtp.req.parameter");
        match row.one("smtp.req.command").to_uppercase().as_str() {
            "EHLO" | "HELO" => letter.helo = parameter,
            "MAIL" => letter.from = address(&parameter),
            "RCPT" => letter.to.push(address(&parameter)),
            "STAR" | "STARTTLS" => letter.tls = true,
            _ => {}
        }
        if let Some(subject) = row.all("imf.subject").first() {
            letter.subject = decoded(subject);
        }
    }

    let ours = records(file).iter().filter_map(|record| {
        let What::Smtp(smtp) = &record.what else { return None };
        let text = |value: &Option<khien_core::Untrusted>| {
            value.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        Some(Letter {
            ends: (record.ends.client.to_string(), record.ends.server.to_string()),
            helo: text(&smtp.helo),
            from: text(&smtp.from),
            to: smtp.to.iter().map(ToString::to_string).collect(),
            subject: text(&smtp.subject),
            tls: smtp.tls,
        })
    });
    same("letters", ours.collect(), theirs.into_values().collect());
}

/// `=?utf-8?b?Q8O0bmc=?= 7` → `Công 7`: `tshark` leaves it as it stands in the letter.
fn decoded(subject: &str) -> String {
    let word = subject.strip_prefix("=?utf-8?b?").and_then(|rest| rest.split_once("?="));
    let Some((word, rest)) = word else { return subject.to_owned() };
    String::from_utf8(BASE64.decode(word.as_bytes()).unwrap()).unwrap() + rest
}

/// `FROM:<a@b> size=9` → `a@b`
fn address(parameter: &str) -> String {
    let inside = parameter.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
