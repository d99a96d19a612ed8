//! The records of an answer, as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use khien_core::{Untrusted, traffic::MAX_ANSWERS};

use super::{HEADER, MAX_QUESTIONS, names};
use crate::application::reader::Reader;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;

/// What stands behind a question's name: type and class.
const QUESTION_TAIL: usize = 4;
/// Class and time to live.
const CLASS_AND_TTL: usize = 6;
/// The most bytes that are kept of a text: more than one string of a tunnel, which are at most 255.
const MAX_TEXT: usize = 1024;

/// Reads the answers of a message as far as they can be read, at most [`MAX_ANSWERS`].
pub(super) fn answers(message: &[u8], questions: u16, answers: u16) -> Vec<Untrusted> {
    let Some(mut rest) = behind(message, questions) else { return Vec::new() };
    (0..answers).map_while(|_| record(message, &mut rest)).take(MAX_ANSWERS).collect()
}

/// Returns what stands behind the questions.
fn behind(message: &[u8], questions: u16) -> Option<Reader<'_>> {
    let mut rest = Reader(message.get(HEADER..)?);
    if questions > MAX_QUESTIONS {
        return None;
    }
    for _ in 0..questions {
        names::pass(&mut rest)?;
        rest.take(QUESTION_TAIL)?;
    }
    Some(rest)
}

fn record(message: &[u8], rest: &mut Reader<'_>) -> Option<Untrusted> {
    names::pass(rest)?;
    let kind = rest.u16()?;
    rest.take(CLASS_AND_TTL)?;
    let content = Reader(rest.sized_u16()?);
    // Where the content begins: names in it may point into the whole message.
    let at = message.len() - rest.0.len() - content.0.len();
    let text = text(message, at, kind, content);
    Some(text.unwrap_or_else(|| Untrusted::from(format!("TYPE{kind} {} bytes", content.0.len()).as_str())))
}

/// Writes a record as `dig` does, without quotes and final dots. `None` for what is not known or not as it should be.
fn text(message: &[u8], at: usize, kind: u16, mut content: Reader<'_>) -> Option<Untrusted> {
    match kind {
        A => <[u8; 4]>::try_from(content.0).ok().map(|a| text_of(&Ipv4Addr::from(a))),
        AAAA => <[u8; 16]>::try_from(content.0).ok().map(|a| text_of(&Ipv6Addr::from(a))),
        CNAME | NS | PTR | DNAME => names::name(message, at).map(Untrusted::new),
        MX | SVCB | HTTPS => named(message, at, &[content.u16()?]),
        SRV => named(message, at, &[content.u16()?, content.u16()?, content.u16()?]),
        TXT => Some(strings(content)),
        _ => None,
    }
}

fn text_of(shown: &impl ToString) -> Untrusted {
    Untrusted::from(shown.to_string().as_str())
}

/// Writes numbers and the name behind them; the root, by which HTTPS means the asked name itself, is a dot.
fn named(message: &[u8], at: usize, numbers: &[u16]) -> Option<Untrusted> {
    let name = names::name(message, at + 2 * numbers.len())?;
    let mut text: Vec<u8> = numbers.iter().flat_map(|n| format!("{n} ").into_bytes()).collect();
    text.extend_from_slice(if name.is_empty() { b"." } else { &name });
    Some(Untrusted::new(text))
}

/// Joins the strings of a TXT record; the last may be cut.
fn strings(mut content: Reader<'_>) -> Untrusted {
    let mut text = Vec::new();
    while let Some(length) = content.u8() {
        text.extend_from_slice(content.take_up_to(usize::from(length)));
    }
    Untrusted::cut(&text, MAX_TEXT)
}
