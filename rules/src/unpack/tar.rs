//! Tar: old, ustar, pax and GNU, read as it goes by.
//!
//! Links and devices have no bytes and are passed over: nothing is ever made on a disk. Holes of sparse files are left
//! out, their stored bytes are handed over one after another.

use khien_core::event::NotSeen;

use super::{
    source::Source,
    text::{decimal, until_zero},
    walk::{Stream, Walk},
};

/// Everything in a tar is a multiple of this.
pub(super) const BLOCK: usize = 512;
/// The longest name or pax header that is kept; more is passed over.
const MAX_EXTRA: u64 = 64 << 10;

type Block = [u8; BLOCK];

/// Bytes of headers that are kept for a scan; more are scanned in pieces.
const MAX_HEADERS: usize = 256 << 10;

/// What the next entry is called and how large it is, where an extra header says so.
#[derive(Debug, Default)]
struct Extra {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    real_size: Option<u64>,
}

/// What the headers say, as far as a tar that is nowhere whole would hide it.
#[derive(Debug, Default)]
struct Headers {
    bytes: Vec<u8>,
    /// The tar itself is scanned, with its headers.
    are_scanned: bool,
}

impl Headers {
    fn take(&mut self, walk: &mut Walk<'_>, bytes: &[u8]) {
        if self.are_scanned {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > MAX_HEADERS {
            self.hand_over(walk);
        }
    }

    fn hand_over(&mut self, walk: &mut Walk<'_>) {
        let bytes = std::mem::take(&mut self.bytes);
        if !bytes.is_empty() && walk.count() {
            walk.enter(b"(headers)", &bytes);
        }
    }
}

/// Tells whether bytes start with the header of an entry.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    bytes.first_chunk::<BLOCK>().is_some_and(has_right_sum)
}

/// Walks through a tar that lies in a source.
pub(super) fn walk_source(walk: &mut Walk<'_>, source: Source<'_>) {
    let mut reader = source.part(0, source.size());
    let mut stream = Stream::new(&mut reader, source.size());
    through(walk, &[], &mut stream, Headers { are_scanned: true, ..Headers::default() });
}

/// Walks through a tar of which the first block may have been read already.
pub(super) fn walk(walk: &mut Walk<'_>, head: &[u8], stream: &mut Stream<'_>) {
    through(walk, head, stream, Headers::default());
}

fn through(walk: &mut Walk<'_>, head: &[u8], stream: &mut Stream<'_>, mut headers: Headers) {
    let ended = entries(walk, head, stream, &mut headers);
    headers.hand_over(walk);
    if let Err(why) = ended {
        walk.trouble(why);
    }
}

fn entries(
    walk: &mut Walk<'_>,
    head: &[u8],
    stream: &mut Stream<'_>,
    headers: &mut Headers,
) -> Result<(), NotSeen> {
    let mut extra = Extra::default();
    let mut first = head.first_chunk::<BLOCK>().copied();
    while !walk.has_ended() {
        let next = match first.take() {
            Some(block) => Some(block),
            None => next_block(walk, stream)?,
        };
        let Some(block) = next else { return Ok(()) };
        if block.iter().all(|b| *b == 0) {
            continue;
        }
        if !has_right_sum(&block) {
            // What lies between two entries without being one is damage, or made to look so.
            walk.trouble(NotSeen::Unreadable);
            continue;
        }
        entry(walk, &block, &mut extra, stream, headers)?;
    }
    Ok(())
}

/// Returns the next block; zeros that do not fill one are its end as well.
fn next_block(walk: &mut Walk<'_>, stream: &mut Stream<'_>) -> Result<Option<Block>, NotSeen> {
    let taken = walk.take(stream, BLOCK as u64);
    match (taken.short, Block::try_from(taken.bytes)) {
        (Some(why), _) => Err(why),
        (None, Ok(block)) => Ok(Some(block)),
        (None, Err(rest)) if rest.iter().all(|b| *b == 0) => Ok(None),
        (None, Err(_)) => Err(NotSeen::Unreadable),
    }
}

fn entry(
    walk: &mut Walk<'_>,
    block: &Block,
    extra: &mut Extra,
    stream: &mut Stream<'_>,
    headers: &mut Headers,
) -> Result<(), NotSeen> {
    let size = number(&block[124..136]).ok_or(NotSeen::Unreadable)?;
    match block[156] {
        kind @ (b'L' | b'x' | b'g' | b'K') => {
            let said = read_extra(walk, stream, size)?;
            headers.take(walk, &said);
            match kind {
                b'L' => extra.name = Some(until_zero(&said).to_vec()),
                b'x' => pax(&said, extra),
                _ => {}
            }
        }
        _ => return file(walk, block, std::mem::take(extra), stream),
    }
    Ok(())
}

fn read_extra(walk: &mut Walk<'_>, stream: &mut Stream<'_>, size: u64) -> Result<Vec<u8>, NotSeen> {
    let taken = walk.take(stream, size.min(MAX_EXTRA));
    match taken.short {
        Some(why) => Err(why),
        None => {
            walk.skip(stream, padded(size).saturating_sub(taken.bytes.len() as u64))?;
            Ok(taken.bytes)
        }
    }
}

fn file(walk: &mut Walk<'_>, block: &Block, extra: Extra, stream: &mut Stream<'_>) -> Result<(), NotSeen> {
    if !walk.count() {
        return Ok(());
    }
    let kind = block[156];
    let name = extra.name.unwrap_or_else(|| own_name(block));
    let mut real = extra.real_size;
    if kind == b'S' {
        real = number(&block[483..495]);
        skip_map(walk, block, stream)?;
    }
    if real.is_some_and(|size| size > walk.limits.entry) {
        walk.trouble_in(&name, NotSeen::Entry);
    }
    // Links, devices, folders and volume names have no bytes, whatever they say.
    let size = match kind {
        b'1'..=b'6' | b'V' => 0,
        _ => extra.size.or(number(&block[124..136])).ok_or(NotSeen::Unreadable)?,
    };
    if size == 0 {
        return Ok(());
    }
    content(walk, &name, size, stream)
}

/// The map of an old sparse file goes on in blocks of its own.
fn skip_map(walk: &mut Walk<'_>, block: &Block, stream: &mut Stream<'_>) -> Result<(), NotSeen> {
    let mut goes_on = block[482] != 0;
    while goes_on {
        let more = next_block(walk, stream)?.ok_or(NotSeen::Unreadable)?;
        goes_on = more[504] != 0;
    }
    Ok(())
}

fn content(walk: &mut Walk<'_>, name: &[u8], size: u64, stream: &mut Stream<'_>) -> Result<(), NotSeen> {
    let start = stream.unpacked();
    let mut taken = walk.take(stream, size);
    if taken.short.is_none() && (taken.bytes.len() as u64) < size {
        taken.short = Some(NotSeen::Unreadable);
    }
    walk.inside(name, |walk| walk.hand_over_taken(&taken));
    let goes_on = matches!(taken.short, None | Some(NotSeen::Entry | NotSeen::Memory));
    if !goes_on {
        // The stream is over, which the entry has told; what follows finds its end.
        return Ok(());
    }
    let left = padded(size).saturating_sub(stream.unpacked() - start);
    drop(taken);
    walk.skip(stream, left).map(drop)
}

/// Reads `LENGTH KEY=VALUE\n` again and again.
fn pax(mut bytes: &[u8], extra: &mut Extra) {
    while let Some((record, rest)) = pax_record(bytes) {
        bytes = rest;
        let Some(is) = record.iter().position(|b| *b == b'=') else { continue };
        let value = &record[is + 1..];
        match &record[..is] {
            b"path" | b"GNU.sparse.name" => extra.name = Some(value.to_vec()),
            b"size" => extra.size = decimal(value),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => extra.real_size = decimal(value),
            _ => {}
        }
    }
}

fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let len = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let record = bytes.get(space + 1..len)?;
    Some((record.strip_suffix(b"\n").unwrap_or(record), &bytes[len..]))
}

/// Reads octal digits, or big-endian bytes after a byte of 0x80.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
        return high.iter().all(|b| *b == 0).then(|| low.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
    }
    let digits = until_zero(field).trim_ascii();
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// The sum is over all bytes, its own eight counted as spaces; some old programs counted signed.
fn has_right_sum(block: &Block) -> bool {
    let Some(told) = number(&block[148..156]) else { return false };
    let own = 8 * u64::from(b' ');
    let sum = |of: fn(&u8) -> i64| -> i64 { block[..148].iter().chain(&block[156..]).map(of).sum() };
    let (told, own) = (i64::try_from(told).unwrap_or(-1), own as i64);
    told != 0 && (told == sum(|b| i64::from(*b)) + own || told == sum(|b| i64::from(*b as i8)) + own)
}

fn own_name(block: &Block) -> Vec<u8> {
    let name = until_zero(&block[..100]);
    // GNU puts times where POSIX has the start of a long name.
    let is_posix = &block[257..263] == b"ustar\0";
    match until_zero(&block[345..500]) {
        prefix if is_posix && !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX)
}
