//! PDF: its streams, undone filter by filter. Object streams and attached files are streams like any other.
//!
//! This is no reader of PDF: it finds `stream … endstream` wherever they are, whatever the cross-reference table says,
//! because hostile files lie in it.

use khien_core::event::NotSeen;
use memchr::memmem::{Finder, find, rfind};

use super::{
    dictionary, letters, text,
    walk::{Stream, Taken, Walk},
};

/// How far before `stream` its dictionary may begin.
const MAX_DICTIONARY: usize = 8 << 10;
/// How long a comment between a dictionary and its stream may be.
const MAX_COMMENT: usize = 1 << 10;
/// Filters of one stream.
const MAX_FILTERS: usize = 8;

/// Objects that are looked for until the filters of one stream are named.
const MAX_FOLLOWED: usize = 4;

/// One way in which a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Flate,
    Lzw,
    Hex,
    Base85,
    RunLength,
    /// Pictures: their bytes lie in the file as they are.
    Picture,
    Crypt,
    Unknown,
}

/// Walks through the streams.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let encrypted = is_encrypted(bytes);
    if encrypted {
        walk.trouble(NotSeen::Encrypted);
    }
    let (begin, end) = (Finder::new(b"stream"), Finder::new(b"endstream"));
    let mut at = 0;
    while let Some(found) = begin.find(&bytes[at..]) {
        let word = at + found;
        at = word + b"stream".len();
        let Some(from) = data_start(bytes, word) else { continue };
        let dictionary = dictionary(bytes, word);
        let to = data_end(bytes, from, dictionary, &end);
        at = at.max(to);
        if !walk.may_go_on() {
            return;
        }
        let told = filters(dictionary, bytes);
        stream(walk, &object_name(bytes, word), (dictionary, told), &bytes[from..to], encrypted);
    }
}

/// The word stands in a trailer or in a cross-reference stream, with the place of the encryption's dictionary.
fn is_encrypted(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"/Encrypt").any(|at| {
        let after = bytes[at + 8..].trim_ascii_start();
        after.starts_with(b"<<") || after.first().is_some_and(u8::is_ascii_digit)
    })
}

/// Returns where the bytes begin if the word at a place opens a stream.
fn data_start(bytes: &[u8], word: usize) -> Option<usize> {
    if bytes[..word].ends_with(b"end") || !dictionary::ends(&bytes[word.saturating_sub(MAX_COMMENT)..word]) {
        return None;
    }
    let after = word + b"stream".len();
    match bytes.get(after..)? {
        [b'\r', b'\n', ..] => Some(after + 2),
        [b'\r' | b'\n', ..] => Some(after + 1),
        [b' ', b'\r', b'\n', ..] => Some(after + 3),
        [b' ', b'\n', ..] => Some(after + 2),
        _ => None,
    }
}

/// Returns the dictionary before a stream, from the object's beginning if that is near.
fn dictionary(bytes: &[u8], word: usize) -> &[u8] {
    let before = &bytes[word.saturating_sub(MAX_DICTIONARY)..word];
    let from = rfind(before, b"obj").map_or(0, |at| at + 3);
    &before[from..]
}

/// Believes the length if the stream ends there, else looks for its end.
fn data_end(bytes: &[u8], from: usize, dictionary: &[u8], end: &Finder<'_>) -> usize {
    let told = after_name(dictionary, b"/Length").and_then(number).and_then(|len| from.checked_add(len));
    let fits = |at: &usize| {
        bytes
            .get(*at..)
            .is_some_and(|rest| rest[..rest.len().min(16)].trim_ascii_start().starts_with(b"endstream"))
    };
    match told.filter(fits) {
        Some(to) => to,
        None => end.find(&bytes[from..]).map_or(bytes.len(), |at| from + at),
    }
}

fn number(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = text[digits..].trim_ascii_start();
    // `12 0 R` is a reference to the number, not the number.
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// Returns what follows a key of a dictionary.
fn after_name<'a>(dictionary: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find_iter(dictionary, name)
        .map(|at| &dictionary[at + name.len()..])
        .find(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
        .map(<[u8]>::trim_ascii_start)
}

/// Names the object `12 0 obj`.
fn object_name(bytes: &[u8], word: usize) -> Vec<u8> {
    let before = &bytes[word.saturating_sub(MAX_DICTIONARY)..word];
    let named = rfind(before, b"obj").and_then(|end| {
        let head = before[..end].trim_ascii_end();
        let is_digit = |b: &&u8| b.is_ascii_digit() || **b == b' ';
        let len = head.iter().rev().take(20).take_while(is_digit).count();
        let numbers = head[head.len() - len..].trim_ascii();
        (!numbers.is_empty()).then(|| [numbers, b" obj"].concat())
    });
    named.unwrap_or_else(|| format!("stream@{word}").into_bytes())
}

fn stream(
    walk: &mut Walk<'_>,
    name: &[u8],
    (dictionary, filters): (&[u8], Vec<Filter>),
    data: &[u8],
    encrypted: bool,
) {
    let is_untold = filters.is_empty() || filters == [Filter::Unknown];
    let filters = match is_untold && matches!(data, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]) {
        // However the dictionary hides it, this is what it is.
        true => vec![Filter::Flate],
        false => filters,
    };
    if filters.contains(&Filter::Crypt) {
        return walk.trouble_in(name, NotSeen::Encrypted);
    }
    // Of a picture there is nothing to undo, and bytes without a filter lie in the file as they are: both are looked
    // into only if they are attached files.
    let is_plain = filters.iter().all(|f| *f == Filter::Picture);
    if is_plain && find(dictionary, b"EmbeddedFile").is_none() {
        return;
    }
    if !walk.count() {
        return;
    }
    if filters.contains(&Filter::Unknown) || filters.len() > MAX_FILTERS {
        return walk.trouble_in(name, NotSeen::Unsupported);
    }
    walk.inside(name, |walk| {
        let mut taken = Taken { bytes: Vec::new(), short: None };
        for (n, filter) in filters.iter().take_while(|f| **f != Filter::Picture).enumerate() {
            let input = std::mem::take(&mut taken.bytes);
            let input = if n == 0 { data } else { &input };
            let done = undo(walk, *filter, input);
            taken = Taken { short: taken.short.or(done.short), ..done };
        }
        // What an encrypted file keeps from us was told already.
        taken.short = taken.short.filter(|why| !(encrypted && *why == NotSeen::Unreadable));
        match is_plain {
            true => walk.hand_over_taken(&Taken { bytes: data.to_vec(), short: None }),
            false => walk.hand_over_taken(&taken),
        }
    });
}

fn undo(walk: &mut Walk<'_>, filter: Filter, data: &[u8]) -> Taken {
    let most = walk.most_of(data.len());
    let (bytes, is_all) = match filter {
        Filter::Flate => {
            // Many programs write a wrong sum at the end, so that it is not looked at.
            let mut reader = flate2::bufread::DeflateDecoder::new(&data[if is_zlib(data) { 2 } else { 0 }..]);
            return walk.take_all(&mut Stream::new(&mut reader, data.len() as u64));
        }
        Filter::Lzw => letters::lzw(data, most),
        Filter::RunLength => letters::run_length(data, most),
        Filter::Base85 => letters::base85(data, most),
        Filter::Hex => letters::hex(data, most),
        Filter::Picture | Filter::Crypt | Filter::Unknown => (Vec::new(), true),
    };
    let short = match walk.spend(bytes.len()) {
        true => (!is_all).then_some(NotSeen::Ratio),
        false => Some(NotSeen::Total),
    };
    Taken { bytes, short }
}

fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [first, second, ..]
        if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31))
}

/// Returns the filters in the order in which they are undone. Where the file keeps them in objects of their own, those
/// are looked for in `file`.
fn filters(dictionary: &[u8], file: &[u8]) -> Vec<Filter> {
    let plain = text::unescaped(&dictionary::own_level(dictionary), b'#');
    let Some(value) = after_name(&plain, b"/Filter").or_else(|| after_name(&plain, b"/F")) else {
        return Vec::new();
    };
    named(value, file, &mut 0)
}

fn named(value: &[u8], file: &[u8], followed: &mut usize) -> Vec<Filter> {
    let list = match value.strip_prefix(b"[") {
        Some(list) => &list[..list.iter().position(|b| *b == b']').unwrap_or(list.len())],
        None if value.starts_with(b"/") => dictionary::first_word(value),
        None => dictionary::first_reference(value),
    };
    let mut filters = Vec::new();
    for word in dictionary::words(list).take(MAX_FILTERS + 1) {
        match word.strip_prefix(b"/") {
            Some(name) => filters.push(filter(name)),
            None => filters.extend(behind(word, file, followed)),
        }
    }
    filters
}

fn behind(number: &[u8], file: &[u8], followed: &mut usize) -> Vec<Filter> {
    *followed += 1;
    let value = (*followed <= MAX_FOLLOWED).then(|| dictionary::object(file, number)).flatten();
    let Some(value) = value else { return vec![Filter::Unknown] };
    let value = text::unescaped(&dictionary::without_comments(value), b'#');
    named(value.trim_ascii_start(), file, followed)
}

fn filter(name: &[u8]) -> Filter {
    match name {
        b"FlateDecode" | b"Fl" => Filter::Flate,
        b"LZWDecode" | b"LZW" => Filter::Lzw,
        b"ASCIIHexDecode" | b"AHx" => Filter::Hex,
        b"ASCII85Decode" | b"A85" => Filter::Base85,
        b"RunLengthDecode" | b"RL" => Filter::RunLength,
        b"DCTDecode" | b"DCT" | b"JPXDecode" | b"CCITTFaxDecode" | b"CCF" | b"JBIG2Decode" => Filter::Picture,
        b"Crypt" => Filter::Crypt,
        _ => Filter::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_however_they_are_named() {
        assert_eq!(filters(b"<< /Filter /FlateDecode /Length 5 >>", b""), [Filter::Flate]);
        assert_eq!(filters(b"<</Filter[/AHx/Fl#61teDecode]>>", b""), [Filter::Hex, Filter::Flate]);
        assert_eq!(filters(b"<< /Type /XObject /Filter /DCTDecode >>", b""), [Filter::Picture]);
        assert_eq!(filters(b"<< /Filter /Own >>", b""), [Filter::Unknown]);
        assert_eq!(filters(b"<</Filter%x /LZW\n/Fl>>", b""), [Filter::Flate]);
        assert_eq!(filters(b"<</DecodeParms<</Filter/Own>>/Filter/Fl>>", b""), [Filter::Flate]);
        assert_eq!(filters(b"<< /Length 5 /FilterX /FlateDecode >>", b""), []);
    }

    #[test]
    fn filters_that_lie_elsewhere_are_followed_a_little() {
        let file = b"7 0 obj [/AHx 9 0 R] endobj 9 0 obj % c\n /Fl endobj 5 0 obj 5 0 R endobj";

        assert_eq!(filters(b"<</Filter 7 0 R/Length 5>>", file), [Filter::Hex, Filter::Flate]);
        assert_eq!(filters(b"<</Filter [9 0 R]>>", file), [Filter::Flate]);
        assert_eq!(filters(b"<</Filter 5 0 R>>", file), [Filter::Unknown]);
        assert_eq!(filters(b"<</Filter 8 0 R>>", file), [Filter::Unknown]);
    }

    #[test]
    fn a_length_is_believed_only_where_the_stream_ends() {
        let end = Finder::new(b"endstream");
        let bytes = b"0123456\nendstream";

        assert_eq!(data_end(bytes, 0, b"<</Length 7>>", &end), 7);
        assert_eq!(data_end(bytes, 0, b"<</Length 3>>", &end), 8);
        assert_eq!(data_end(bytes, 0, b"<</Length 7 0 R>>", &end), 8);
    }

    #[test]
    fn the_word_encrypt_alone_is_no_encryption() {
        assert!(is_encrypted(b"trailer << /Encrypt 5 0 R >>"));
        assert!(!is_encrypted(b"/EncryptMetadata false (/Encrypt)"));
    }
}
