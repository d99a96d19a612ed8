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
