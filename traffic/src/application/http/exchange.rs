//! Requests and their answers, paired in the order in which they come (RFC 9112 §9.3).

use std::collections::VecDeque;

use khien_core::{Untrusted, event::Direction, traffic};

use super::{
    head::{Head, Start},
    without_port,
};
use crate::application::{Answered, Said, body::Budget, file::MAX_TYPE};

/// Requests that may wait for their answers. Clients that send several at once send few; with more, pairing begins anew.
pub(super) const MAX_WAITING: usize = 64;
/// The most bytes of a name that are kept.
const MAX_NAME: usize = 255;
/// The most bytes of a target that are kept.
const MAX_URL: usize = 2048;
/// The most bytes of a client's name for itself that are kept.
const MAX_AGENT: usize = 512;

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// It is stated, and may be nothing.
    Length(u64),
    /// In chunks, which win over a stated length.
    Chunked,
    /// It goes on until the connection ends.
    Close,
    /// No HTTP follows in either direction: CONNECT or an upgrade.
    Tunnel,
}

/// The exchanges of a connection.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// Oldest first. Only the last one may still be sent, only the first one be answered.
    waiting: VecDeque<Exchange>,
    /// The answer to a request that was not seen, while it is read.
    alone: Option<Exchange>,
    /// How many answers come for requests that were told without them.
    skip: u64,
    /// Answers were lost: those of the requests so far are not waited for when another request comes.
    has_lost_answers: bool,
    /// How many exchanges began.
    begun: u64,
    /// The number of the request whose head is read.
    asking: u64,
    /// No HTTP follows.
    pub(super) is_tunnel: bool,
    pub(super) odd: u64,
    pub(super) budget: Budget,
}

#[derive(Debug, Default)]
struct Exchange {
    /// It was the so many-th that began.
    number: u64,
    http: Box<traffic::Http>,
    /// The whole URL, for what is found in the answer.
    url: Option<Untrusted>,
    is_sent: bool,
    is_answering: bool,
    is_answered: bool,
}

impl Exchanges {
    /// A message begins.
    pub(super) fn begun(&mut self, direction: Direction, out: &mut Vec<Said>) {
        match direction {
            Direction::ToServer => {
                self.begun += 1;
                self.asking = self.begun;
                out.push(Said::Request);
            }
            Direction::ToClient => out.push(Said::Answer(Box::new(self.answer_begun()))),
        }
    }

    /// Says to which request an answer belongs that begins: that of the hint before it (100 Continue), else the first that has
    /// no answer.
    fn answer_begun(&mut self) -> Answered {
        let is_paired = self.skip == 0;
        let first = self.waiting.front_mut().filter(|first| is_paired && !first.is_answered);
        let Some(exchange) = self.alone.as_mut().or(first) else {
            self.begun += 1;
            self.alone = Some(Exchange { number: self.begun, is_sent: true, ..Exchange::default() });
            return Answered::default();
        };
        exchange.is_answering = true;
        let back = Some(self.begun - exchange.number);
        Answered { back, name: exchange.http.host.clone(), url: exchange.url.clone() }
    }

    /// Takes the head of a request.
    pub(super) fn asked(&mut self, head: &Head, out: &mut Vec<Said>) -> Framing {
        self.odd += u64::from(head.is_odd());
        let Some(Start::Request { method, target }) = &head.start else { return Framing::Length(0) };
        if self.has_lost_answers || self.waiting.len() >= MAX_WAITING {
            self.begin_anew(out);
        }
        let (host, url) = address(method, target, head.host.as_deref());
        let name = host.map(|h| Untrusted::cut(h, MAX_NAME));
        let url = url.map(|u| Untrusted::cut(&u, MAX_URL));
        out.push(Said::Asked { name: name.clone(), url: url.clone() });
        self.waiting.push_back(Exchange {
            number: self.asking,
            url,
            http: Box::new(traffic::Http {
                method: Some(Untrusted::new(&method[..])),
                host: name,
                uri: Some(Untrusted::cut(target, MAX_URL)),
                user_agent: head.user_agent.as_ref().map(|a| Untrusted::cut(a, MAX_AGENT)),
                ..traffic::Http::default()
            }),
            ..Exchange::default()
        });
        match (head.is_chunked, head.length) {
            (true, _) => Framing::Chunked,
            (false, length) => Framing::Length(length.unwrap_or(0)),
        }
    }

    /// Takes the head of an answer.
    pub(super) fn answered(&mut self, head: &Head) -> Framing {
        self.odd += u64::from(head.is_odd());
        let Some(Start::Answer { status }) = head.start else { return Framing::Length(0) };
        let Some(exchange) = self.answering() else { return Framing::Length(0) };
        exchange.http.status = Some(status);
        exchange.http.content_type = head.content_type.as_ref().map(|t| Untrusted::cut(t, MAX_TYPE));
        let method = exchange.http.method.as_ref().map_or(&b""[..], Untrusted::raw);
        match (status, method) {
            (101, _) | (200..300, b"CONNECT") => Framing::Tunnel,
            (100..200 | 204 | 304, _) | (_, b"HEAD") => Framing::Length(0),
            _ if head.is_chunked => Framing::Chunked,
            _ => head.length.map_or(Framing::Close, Framing::Length),
        }
    }

    /// A message is complete, or as complete as it gets, with so many bytes of body.
    pub(super) fn finished(&mut self, direction: Direction, bytes: u64, out: &mut Vec<Said>) {
        match direction {
            Direction::ToServer => {
                if let Some(last) = self.waiting.back_mut() {
                    last.http.request_bytes = bytes;
                    last.is_sent = true;
                }
            }
            Direction::ToClient => self.answer_finished(bytes),
        }
        self.tell(out);
    }

    fn answer_finished(&mut self, bytes: u64) {
        let is_alone = self.alone.is_some();
        let Some(exchange) = self.answering() else { return };
        if matches!(exchange.http.status, Some(100 | 102..200)) {
            // The answer itself is still to come.
            exchange.http.status = None;
            return;
        }
        exchange.http.response_bytes = bytes;
        exchange.is_answered = true;
        if is_alone {
            self.skip = self.skip.saturating_sub(1);
        }
    }

    /// The target of the request whose answer is read.
    pub(super) fn target(&mut self) -> Option<&[u8]> {
        self.answering()?.http.uri.as_ref().map(Untrusted::raw)
    }

    /// Bytes of a direction were lost between messages.
    pub(super) fn lost(&mut self, direction: Direction) {
        self.has_lost_answers |= direction == Direction::ToClient;
    }

    /// Tells all that is there: nothing more comes.
    pub(super) fn end(&mut self, out: &mut Vec<Said>) {
        for exchange in self.alone.take().into_iter().chain(self.waiting.drain(..)) {
            exchange.say(out);
        }
    }

    /// Returns how many bytes it holds, roughly.
    pub(super) fn held(&self) -> usize {
        let one = |e: &Exchange| {
            let texts = [&e.http.host, &e.http.uri, &e.http.user_agent, &e.http.content_type, &e.url];
            let length = |t: &Option<Untrusted>| t.as_ref().map_or(0, |t| t.raw().len());
            size_of::<traffic::Http>() + texts.into_iter().map(length).sum::<usize>()
        };
        self.waiting.capacity() * size_of::<Exchange>() + self.waiting.iter().map(one).sum::<usize>()
    }

    fn answering(&mut self) -> Option<&mut Exchange> {
        self.alone.as_mut().or_else(|| self.waiting.front_mut().filter(|e| e.is_answering && !e.is_answered))
    }

    /// Tells requests that waited too long in too great number without their answers, which come alone then.
    fn begin_anew(&mut self, out: &mut Vec<Said>) {
        for exchange in std::mem::take(&mut self.waiting) {
            if exchange.is_answering && self.alone.is_none() && !self.has_lost_answers {
                self.skip += 1;
                self.alone = Some(exchange);
                continue;
            }
            self.skip += u64::from(!self.has_lost_answers);
            self.odd += u64::from(!self.has_lost_answers);
            exchange.say(out);
        }
        self.has_lost_answers = false;
    }

    /// Tells what is complete.
    fn tell(&mut self, out: &mut Vec<Said>) {
        if let Some(exchange) = self.alone.take_if(|e| e.is_answered) {
            exchange.say(out);
        }
        while let Some(exchange) = self.waiting.pop_front_if(|e| e.is_sent && e.is_answered) {
            exchange.say(out);
        }
    }
}

impl Exchange {
    fn say(self, out: &mut Vec<Said>) {
        if self.http.method.is_some() || self.http.status.is_some() {
            out.push(Said::Http(self.http));
        }
    }
}

/// Returns the name that is asked for and the URL. Of the target and the header the target wins, as RFC 9112 §3.2.2 wants.
fn address<'a>(
    method: &[u8],
    target: &'a [u8],
    header: Option<&'a [u8]>,
) -> (Option<&'a [u8]>, Option<Vec<u8>>) {
    if method == b"CONNECT" {
        return (Some(without_port(target)).filter(|h| !h.is_empty()), None);
    }
    if let Some(authority) = authority(target) {
        return (Some(without_port(authority)).filter(|h| !h.is_empty()), Some(target.to_vec()));
    }
    let header = header.filter(|h| !h.is_empty());
    let path = if target == b"*" { b"/" } else { target };
    let url = match header {
        Some(host) => [b"http://", host, path].concat(),
        None if path.starts_with(b"/") => path.to_vec(),
        None => [b"/", path].concat(),
    };
    (header.map(without_port), Some(url))
}

fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|s| target.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)))?;
    target[scheme.len()..].split(|b| matches!(b, b'/' | b'?' | b'#')).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_target_before_that_of_the_header() {
        for (method, target, header, name, url) in [
            (
                "GET",
                "/x?a",
                Some("Web.example:8080"),
                Some("Web.example"),
                Some("http://Web.example:8080/x?a"),
            ),
            (
                "GET",
                "HTTP://u@c2.example:81/x",
                Some("other"),
                Some("c2.example"),
                Some("HTTP://u@c2.example:81/x"),
            ),
            ("GET", "/x", Some("[2001:db8::1]:80"), Some("[2001:db8::1]"), Some("http://[2001:db8::1]:80/x")),
            ("GET", "/x", None, None, Some("/x")),
            ("OPTIONS", "*", Some("web.example"), Some("web.example"), Some("http://web.example/")),
            ("CONNECT", "c2.example:443", Some("proxy"), Some("c2.example"), None),
        ] {
            let (got, at) = address(method.as_bytes(), target.as_bytes(), header.map(str::as_bytes));
            assert_eq!(got, name.map(str::as_bytes), "{target}");
            assert_eq!(at, url.map(|u| u.as_bytes().to_vec()), "{target}");
        }
    }
}
