//! edXML, the official messages between agencies (QCVN 102:2016): each attachment is base64 of a zip of the file.
//!
//! Elements are known by their local names, whatever their prefix. There is no DTD and no entity but the five of XML:
//! a message that declares one is told as unreadable, and its attachments are looked into all the same.

use khien_core::event::NotSeen;
use memchr::{memchr, memmem};

use super::{blob, text, walk::Walk};

/// What holds the bytes of an attachment.
const CONTENT: &[u8] = b"ContentTransferEncoded";
/// What holds its name.
const NAME: &[u8] = b"AttachmentName";
/// What holds both.
const ATTACHMENT: &[u8] = b"Attachment";
/// The longest name that is kept.
const MAX_NAME: usize = 1 << 10;

/// A piece of XML.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Start(&'a [u8]),
    End(&'a [u8]),
    Text(&'a [u8]),
    Literal(&'a [u8]),
    Declaration,
}

/// Cuts XML into pieces. It never fails: what is no markup is text.
struct Tokens<'a> {
    rest: &'a [u8],
}

/// One attachment as far as it was read.
#[derive(Default)]
struct Attachment {
    name: Vec<u8>,
    content: Vec<u8>,
    has_content: bool,
}

/// Walks through the attachments, and through whatever base64 stands elsewhere in the message.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let (mut attachment, mut number) = (Attachment::default(), 0);
    let mut within: Option<&[u8]> = None;
    let mut other = Vec::new();
    for token in (Tokens { rest: bytes }) {
        if walk.has_ended() {
            return;
        }
        match token {
            Token::Declaration => walk.trouble(NotSeen::Unreadable),
            Token::Start(ATTACHMENT) | Token::End(ATTACHMENT) => {
                hand_over(walk, std::mem::take(&mut attachment), &mut number);
                within = None;
            }
            Token::Start(CONTENT) => {
                if attachment.has_content {
                    hand_over(walk, std::mem::take(&mut attachment), &mut number);
                }
                attachment.has_content = true;
                within = Some(CONTENT);
            }
            Token::Start(NAME) => {
                attachment.name.clear();
                within = Some(NAME);
            }
            Token::End(name) if within == Some(name) => within = None,
            // An element inside the text does not end it.
            Token::Start(_) | Token::End(_) => {}
            Token::Text(text) if within.is_some() => attachment.add(within, &plain(text)),
            Token::Literal(text) if within.is_some() => attachment.add(within, text),
            // Millions of texts too short to hold anything would take more memory than the message.
            Token::Text(text) | Token::Literal(text) if text.len() < blob::MIN_RUN => {}
            Token::Text(text) | Token::Literal(text) => other.push(text),
        }
    }
    hand_over(walk, attachment, &mut number);
    for text in other {
        blob::walk(walk, text);
    }
}

impl Attachment {
    fn add(&mut self, within: Option<&[u8]>, text: &[u8]) {
        match within {
            Some(CONTENT) => self.content.extend_from_slice(text),
            _ => {
                self.name.extend_from_slice(text);
                self.name.truncate(MAX_NAME);
            }
        }
    }
}

fn hand_over(walk: &mut Walk<'_>, attachment: Attachment, number: &mut u32) {
    if !attachment.has_content || !walk.count() {
        return;
    }
    *number += 1;
    let name = match attachment.name.trim_ascii() {
        [] => format!("attachment {number}").into_bytes(),
        name => name.to_vec(),
    };
    let content = text::base64(attachment.content);
    if walk.spend(content.len()) {
        walk.enter(&name, &content);
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            match memchr(b'<', self.rest) {
                _ if self.rest.is_empty() => return None,
                Some(0) => {}
                at => return Some(Token::Text(self.cut(at.unwrap_or(self.rest.len())))),
            }
            if let Some(token) = self.markup() {
                return Some(token);
            }
        }
    }
}

impl<'a> Tokens<'a> {
    /// Reads what begins with `<`; none for what says nothing.
    fn markup(&mut self) -> Option<Token<'a>> {
        if self.rest.starts_with(b"<!--") {
            self.cut_after(b"-->");
            return None;
        }
        if self.rest.starts_with(b"<?") {
            self.cut_after(b"?>");
            return None;
        }
        if self.rest.starts_with(b"<![CDATA[") {
            let all = self.cut_after(b"]]>");
            let text = &all[9.min(all.len())..];
            return Some(Token::Literal(text.strip_suffix(b"]]>").unwrap_or(text)));
        }
        let tag = self.cut_after(b">");
        match tag {
            [b'<', b'!', ..] => Some(Token::Declaration),
            [b'<', b'/', name @ ..] => Some(Token::End(local(name))),
            // Empty: it begins and ends nothing that matters.
            [b'<', .., b'/', b'>'] => None,
            _ => Some(Token::Start(local(&tag[1..]))),
        }
    }

    fn cut(&mut self, at: usize) -> &'a [u8] {
        let (cut, rest) = self.rest.split_at(at);
        self.rest = rest;
        cut
    }

    fn cut_after(&mut self, end: &[u8]) -> &'a [u8] {
        let at = memmem::find(self.rest, end).map_or(self.rest.len(), |at| at + end.len());
        self.cut(at)
    }
}

/// Returns the name of an element without its prefix.
fn local(tag: &[u8]) -> &[u8] {
    let end =
        tag.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/')).unwrap_or(tag.len());
    let name = &tag[..end];
    name.rsplit(|b| *b == b':').next().unwrap_or(name)
}

/// Writes out the five entities of XML and characters given as numbers.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let end = rest.iter().take(12).position(|b| *b == b';');
        match end.and_then(|end| Some((character(&rest[1..end])?, end))) {
            Some((c, end)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[end + 1..];
            }
            None => {
                out.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

fn character(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => {
            char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?)?
        }
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_cut_into_pieces_whatever_its_prefixes() {
        let tokens: Vec<_> =
            Tokens { rest: b"<?x?><a:B c='d'>e<!-- <f> --><![CDATA[<g>]]></a:B><h/>" }.collect();

        let expected = [Token::Start(b"B"), Token::Text(b"e"), Token::Literal(b"<g>"), Token::End(b"B")];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn only_the_five_entities_and_numbers_are_written_out() {
        assert_eq!(plain(b"a&amp;&#66;&#x43;&bad;&#0;d&"), b"a&BC&bad;\0d&");
    }
}
