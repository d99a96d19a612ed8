//! DNS: what a message asks for, and what it was answered.
//!
//! The question is read first and by itself: whatever is odd behind it, its name is told. Nothing is reserved by the counts
//! in the header. Also for mDNS and LLMNR, whose messages have the same form.

mod names;
mod records;
mod stream;
#[cfg(test)]
mod tests;

use khien_core::{Untrusted, traffic::Dns};

use super::reader::Reader;

pub use stream::Stream;

const HEADER: usize = 12;
/// Where the header says what the message is, and counts its questions and answers.
const FLAGS: usize = 2;
const COUNTS: std::ops::Range<usize> = 4..8;
const RESPONSE: u8 = 0x80;
const CODE: u8 = 0x0f;
/// The most questions that are passed over to reach the answers. Servers answer one; mDNS asks a few at once.
const MAX_QUESTIONS: u16 = 32;

/// What a message asks for, or repeats when it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name as it stands on the wire, labels joined by dots, no final dot.
    pub name: Vec<u8>,
    /// Whether it is an answer.
    pub is_answer: bool,
}

/// Reads a message: its first question and what it was answered. A message without a question, as mDNS sends them, is told
/// by the name and type of its first answer.
pub fn message(bytes: &[u8]) -> Option<Dns> {
    let mut header = Reader(bytes.get(..HEADER)?);
    let id = header.u16()?;
    let (flags, code) = (header.u8()?, header.u8()?);
    let (questions, answers) = (header.u16()?, header.u16()?);
    let is_answer = flags & RESPONSE != 0;
    if questions == 0 && (answers == 0 || !is_answer) {
        return None;
    }
    let query = names::name(bytes, HEADER)?;
    let mut rest = Reader(&bytes[HEADER..]);
    names::pass(&mut rest);
    let query_type = rest.u16().unwrap_or_default();
    let answers = match is_answer {
        true => records::answers(bytes, questions, answers),
        false => Vec::new(),
    };
    Some(Dns {
        id,
        answer: is_answer,
        query: Untrusted::new(query),
        query_type,
        code: is_answer.then_some(code & CODE),
        answers,
    })
}

/// Tells whether a message is an answer; one that says no more than that it failed is one, too.
pub fn is_answer(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return false };
    let is_bare = header[COUNTS].iter().all(|byte| *byte == 0);
    header[FLAGS] & RESPONSE != 0 && (is_bare || message(bytes).is_some())
}

/// Reads the first question of a message.
pub fn question(bytes: &[u8]) -> Option<Question> {
    let dns = message(bytes)?;
    Some(Question { name: dns.query.raw().to_vec(), is_answer: dns.answer })
}

/// Reads the questions of a DNS stream over TCP from its beginning: each message stands behind its length.
pub fn questions(stream: &[u8]) -> Vec<Question> {
    let mut stream = Reader(stream);
    std::iter::from_fn(|| stream.sized_u16()).filter_map(question).collect()
}
