//! 7z: its folders, each one chain of coders over one stretch of bytes, unpacked as it goes by.
//!
//! Not understood, and told so: PPMd, Deflate64, BCJ2 and archives in several volumes.

mod header;

use std::io::{self, BufReader, Read};

use khien_core::event::NotSeen;
use lzma_rust2::filter::{bcj::BcjReader, delta::DeltaReader};

use self::header::{Archive, Coder, Folder};
use super::{
    source::Source,
    squeeze::{self, MAX_LZMA_KIB},
    walk::{Stream, Walk, cause},
};

/// The largest header.
const MAX_HEADER: u64 = 16 << 20;
/// Where everything begins to be counted.
const START: u64 = 32;
/// Headers that are packed in headers.
const MAX_PACKED: usize = 4;

/// Walks through the folders.
pub(super) fn walk(walk: &mut Walk<'_>, source: Source<'_>) {
    let archive = match read_header(walk, source) {
        Ok(archive) => archive,
        Err(why) => return walk.trouble(why),
    };
    let mut names = archive.names.iter();
    for folder in &archive.folders {
        if walk.has_ended() {
            return;
        }
        self::folder(walk, source, folder, &mut names);
    }
}

/// Reads the header, which is most often packed like a file.
fn read_header(walk: &mut Walk<'_>, source: Source<'_>) -> Result<Archive, NotSeen> {
    let number = |at| source.array::<8>(at).map(u64::from_le_bytes).ok_or(NotSeen::Unreadable);
    let (at, size) = (START.saturating_add(number(12)?), number(20)?);
    if size == 0 {
        return Ok(Archive::default());
    }
    if size > MAX_HEADER || at.saturating_add(size) > source.size() {
        return Err(NotSeen::Unreadable);
    }
    let mut bytes = source.bytes(at, size).map_err(|_| NotSeen::Unreadable)?.into_owned();
    for _ in 0..MAX_PACKED {
        let archive = header::read(&bytes)?;
        if !archive.is_packed_header {
            return Ok(archive);
        }
        bytes = unpack_header(walk, source, &archive)?;
    }
    Err(NotSeen::Depth)
}

fn unpack_header(walk: &mut Walk<'_>, source: Source<'_>, archive: &Archive) -> Result<Vec<u8>, NotSeen> {
    let folder = archive.folders.first().ok_or(NotSeen::Unreadable)?;
    let mut reader = reader(source, folder).map_err(|e| cause_of(folder, &e))?;
    let size = folder.size.min(MAX_HEADER);
    let taken = walk.take(&mut Stream::new(&mut reader, folder.packed.1), size);
    taken.short.map_or(Ok(taken.bytes), Err)
}

fn folder<'n>(
    walk: &mut Walk<'_>,
    source: Source<'_>,
    folder: &Folder,
    names: &mut impl Iterator<Item = &'n Vec<u8>>,
) {
    let mut reader = match reader(source, folder) {
        Ok(reader) => reader,
        Err(e) => {
            let why = cause_of(folder, &e);
            let inner = names.take(folder.files.len());
            return inner.for_each(|name| {
                if walk.count() {
                    walk.trouble_in(name, why)
                }
            });
        }
    };
    let mut stream = Stream::new(&mut reader, folder.packed.1);
    for size in &folder.files {
        let name = names.next().map_or(&b"file"[..], Vec::as_slice);
        if !walk.count() {
            return;
        }
        let start = stream.unpacked();
        let mut taken = walk.take(&mut stream, *size);
        let goes_on = matches!(taken.short, None | Some(NotSeen::Entry | NotSeen::Memory));
        if taken.short.is_none() && (taken.bytes.len() as u64) < *size {
            taken.short = Some(NotSeen::Unreadable);
        }
        walk.inside(name, |walk| walk.hand_over_taken(&taken));
        drop(taken);
        let left = size.saturating_sub(stream.unpacked() - start);
        if !goes_on || walk.skip(&mut stream, left).is_err() {
            // What comes after in the folder cannot be reached any more.
            return walk.trouble(NotSeen::Unreadable);
        }
    }
}

/// Returns a reader of a folder's files one after another.
fn reader<'a>(source: Source<'a>, folder: &Folder) -> io::Result<Box<dyn Read + 'a>> {
    let (at, len) = folder.packed;
    if at.saturating_add(len) > source.size() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut reader: Box<dyn Read + 'a> = Box::new(BufReader::new(source.part(at, len)));
    for coder in &folder.coders {
        reader = decoder(reader, coder, folder.size)?;
    }
    Ok(reader)
}

fn decoder<'a>(packed: Box<dyn Read + 'a>, coder: &Coder, size: u64) -> io::Result<Box<dyn Read + 'a>> {
    let properties = coder.properties.as_slice();
    Ok(match coder.id.as_slice() {
        [0] => packed,
        [0x21] => lzma2(packed, properties, size)?,
        [3, 1, 1] => {
            let [first, dictionary @ ..] = properties.first_chunk::<5>().ok_or(io::ErrorKind::InvalidData)?;
            let dictionary = needed(u32::from_le_bytes(*dictionary), size);
            Box::new(squeeze::raw_lzma(packed, coder.size, *first, dictionary)?)
        }
        [3] => Box::new(DeltaReader::new(packed, usize::from(*properties.first().unwrap_or(&0)) + 1)),
        [4] | [3, 3, 1, 3] => Box::new(BcjReader::new_x86(packed, 0)),
        [5] | [3, 3, 2, 5] => Box::new(BcjReader::new_ppc(packed, 0)),
        [7] | [3, 3, 5, 1] => Box::new(BcjReader::new_arm(packed, 0)),
        [8] | [3, 3, 7, 1] => Box::new(BcjReader::new_arm_thumb(packed, 0)),
        [9] | [3, 3, 8, 5] => Box::new(BcjReader::new_sparc(packed, 0)),
        [10] => Box::new(BcjReader::new_arm64(packed, 0)),
        [4, 1, 8] => Box::new(flate2::read::DeflateDecoder::new(packed)),
        [4, 2, 2] => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
        [4, 0xf7, 0x11, 1] => Box::new(squeeze::zstd(BufReader::new(packed))?),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    })
}

fn lzma2<'a>(packed: Box<dyn Read + 'a>, properties: &[u8], size: u64) -> io::Result<Box<dyn Read + 'a>> {
    let dictionary = match properties {
        [bits @ 0..40] => (2 | u32::from(bits & 1)) << (bits / 2 + 11),
        [40] => u32::MAX,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Box::new(lzma_rust2::Lzma2Reader::new_mem_limit(
        packed,
        needed(dictionary, size),
        MAX_LZMA_KIB,
        None,
    )?))
}

/// No dictionary needs to be larger than what is unpacked.
fn needed(dictionary: u32, size: u64) -> u32 {
    dictionary.min(u32::try_from(size).unwrap_or(u32::MAX)).max(4096)
}

fn cause_of(folder: &Folder, error: &io::Error) -> NotSeen {
    let is_aes = |coder: &Coder| coder.id.starts_with(&[6, 0xf1]);
    if folder.coders.iter().any(is_aes) { NotSeen::Encrypted } else { cause(error) }
}
