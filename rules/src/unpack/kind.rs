//! Tells what kinds of container a file is, by its bytes and never by its name.

use std::io;

use memchr::memmem;

use super::{ar, cpio, rpm, rtf, sfx, source::Source, squeeze::How, tar, text, wide::Form, zip};

/// Read of the start: where PDF may begin, and the headers of a mail.
const HEAD: u64 = 64 << 10;
/// How far from the start a PDF may begin.
const PDF_HEAD: usize = 1 << 10;
/// So many bytes behind a short tag are text if it opens code.
const AFTER_TAG: usize = 12;
/// Where a CD image says what it is.
const ISO_AT: u64 = 0x8001;

/// A kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    Ar,
    Cpio,
    Rpm,
    Squeezed(How),
    Seven,
    Ole,
    Rtf,
    Pdf,
    Mail,
    Edxml,
    /// A program that may open itself as an archive.
    SelfOpening,
    /// A container that is not understood here.
    Unsupported,
}

/// What a file may be read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) list: Vec<Kind>,
    /// Whether it may also be a script that carries more in another form.
    pub(super) may_be_script: bool,
    /// How its letters are written, if it is text in wide ones.
    pub(super) wide: Option<Form>,
}

/// Containers that are not understood here: RAR, Cabinet, ARJ, ACE, LHA, compress, LZ4, lzip, lzop, XAR
/// and TNEF.
const UNSUPPORTED: [(usize, &[u8]); 14] = [
    (0, b"Rar!\x1a\x07\x00"),
    (0, b"Rar!\x1a\x07\x01\x00"),
    (0, b"MSCF\0\0\0\0"),
    (0, b"ISc("),
    (7, b"**ACE**"),
    (2, b"-lh5-"),
    (2, b"-lh6-"),
    (2, b"-lh7-"),
    (0, b"\x1f\x9d\x90"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"LZIP\x01"),
    (0, b"\x89LZO\0\r\n\x1a\n"),
    (0, b"xar!\0\x1c"),
    (0, b"\x78\x9f\x3e\x22"),
];

/// Returns every kind that a file is.
pub(super) fn all(source: Source<'_>) -> io::Result<Kinds> {
    let head = source.bytes(0, HEAD)?;
    let mut list = Vec::new();
    list.extend(by_magic(&head));
    if list.is_empty() && is_image(source) {
        list.push(Kind::Unsupported);
    }
    if memmem::find(&head[..head.len().min(PDF_HEAD)], b"%PDF-").is_some() {
        list.push(Kind::Pdf);
    }
    let starts_as_container = !list.is_empty();
    if !list.contains(&Kind::Zip) && zip::has_end(source) {
        list.push(Kind::Zip);
    }
    if head.starts_with(sfx::MAGIC) {
        list.push(Kind::SelfOpening);
    }
    let text = (!starts_as_container).then(|| by_text(&head)).flatten();
    list.extend(text);
    let may_be_script = (!starts_as_container && text.is_none()) || opens_script(&head);
    let wide = Form::of(&head).filter(|_| !starts_as_container);
    Ok(Kinds { list, may_be_script, wide })
}

/// Tells whether an interpreter would find code in it, whatever else it looks like: one word must not turn a script into
/// a letter or a document. Two bytes that happen to stand in packed data are no code: text must follow them.
fn opens_script(head: &[u8]) -> bool {
    let short = [&b"<?="[..], b"<%"];
    let is_text =
        |rest: &[u8]| rest.iter().take(AFTER_TAG).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    memmem::find(head, b"<?php").is_some()
        || short.iter().any(|tag| memmem::find_iter(head, tag).any(|at| is_text(&head[at + tag.len()..])))
}

fn by_magic(head: &[u8]) -> Option<Kind> {
    match head {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => Some(Kind::Zip),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(Kind::Seven),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => Some(Kind::Ole),
        _ if tar::is_header(head) => Some(Kind::Tar),
        _ if head.starts_with(ar::MAGIC) => Some(Kind::Ar),
        _ if cpio::is_one(head) => Some(Kind::Cpio),
        _ if head.starts_with(rpm::MAGIC) => Some(Kind::Rpm),
        _ if head.starts_with(rtf::MAGIC) => Some(Kind::Rtf),
        _ if UNSUPPORTED.iter().any(|(at, magic)| head.get(*at..).is_some_and(|h| h.starts_with(magic))) => {
            Some(Kind::Unsupported)
        }
        _ => How::of(head).map(Kind::Squeezed),
    }
}

/// Tells whether bytes begin as a container or as a program does.
pub(super) fn is_program_or_container(head: &[u8]) -> bool {
    by_magic(head).is_some() || [&b"MZ"[..], b"\x7fELF", b"%PDF-"].iter().any(|magic| head.starts_with(magic))
}

fn by_text(head: &[u8]) -> Option<Kind> {
    if text::is_edxml(head) {
        return Some(Kind::Edxml);
    }
    text::is_mail(head).then_some(Kind::Mail)
}

/// The files of a CD image lie in it as they are, so that they are scanned with it, but what is inside them is not.
fn is_image(source: Source<'_>) -> bool {
    source.array::<5>(ISO_AT) == Some(*b"CD001")
}
