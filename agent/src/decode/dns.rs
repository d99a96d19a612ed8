//! The name that a DNS message asks for.
//!
//! Reads the header and the first question and nothing else. A full parser would reserve memory by the counts in the
//! header and would refuse the message for anything odd behind the question: a way to hide the name. Servers answer
//! only the first question.

const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;
/// The longest name on the wire, RFC 1035 §3.1.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// What a message asks for, or repeats when it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name as it stands on the wire, labels joined by dots, no final dot.
    pub(crate) name: Vec<u8>,
    /// Whether it is an answer.
    pub(crate) is_answer: bool,
}

/// Reads the first question of a message.
pub(crate) fn question(message: &[u8]) -> Option<Question> {
    let header = message.get(..HEADER)?;
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if questions == 0 {
        return None;
    }
    Some(Question { name: name(&message[HEADER..])?, is_answer: header[2] & RESPONSE != 0 })
}

/// Reads the questions of a DNS stream over TCP from its beginning: each message stands behind its length.
pub(crate) fn questions(mut stream: &[u8]) -> Vec<Question> {
    let mut found = Vec::new();
    while let [high, low, rest @ ..] = stream {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((message, next)) = rest.split_at_checked(length) else { break };
        found.extend(question(message));
        stream = next;
    }
    found
}

/// Reads a name that does not point elsewhere; the first name of a message has nothing to point to.
fn name(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    loop {
        let (&length, rest) = bytes.split_first()?;
        let length = usize::from(length);
        if length == 0 {
            return Some(name);
        }
        if length > MAX_LABEL || name.len() + length + 1 > MAX_NAME {
            return None;
        }
        let (label, rest) = rest.split_at_checked(length)?;
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(label);
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::{CLASS, Name, Packet, Question as Asked, TYPE};

    use super::*;

    #[test]
    fn the_name_of_a_query_and_of_its_answer_is_read() {
        let query = query("C2.Evil.example");
        let mut answer = query.clone();
        answer[2] |= RESPONSE;

        assert_eq!(question(&query), Some(Question { name: b"C2.Evil.example".to_vec(), is_answer: false }));
        assert_eq!(question(&answer).map(|q| q.is_answer), Some(true));
    }

    #[test]
    fn oddities_behind_the_question_do_not_hide_its_name() {
        let mut query = query("c2.evil.example");
        query[6..12].fill(0xff);
        query.truncate(query.len() - 4);
        query.extend_from_slice(&[0xff, 0xff, 0x7f, 0xff, 0xc0]);

        assert_eq!(question(&query).map(|q| q.name), Some(b"c2.evil.example".to_vec()));
    }

    #[test]
    fn every_whole_message_of_a_stream_is_read() {
        let framed = |name: &str| {
            let message = query(name);
            [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
        };
        let stream = [framed("a.example"), framed("b.example"), framed("cut.example")].concat();

        let names: Vec<_> = questions(&stream[..stream.len() - 1]).into_iter().map(|q| q.name).collect();
        assert_eq!(names, [b"a.example".to_vec(), b"b.example".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            if let Some(q) = question(&bytes) {
                prop_assert!(q.name.len() <= MAX_NAME);
            }
            questions(&bytes);
        }

        #[test]
        fn what_another_library_writes_is_read(name in "([a-z0-9]{1,20}\\.){1,6}[a-z]{2,10}") {
            prop_assert_eq!(question(&query(&name)).map(|q| q.name), Some(name.into_bytes()));
        }
    }

    fn query(name: &str) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        packet.questions.push(Asked::new(name, TYPE::A.into(), CLASS::IN.into(), false));
        packet.build_bytes_vec().unwrap()
    }
}
