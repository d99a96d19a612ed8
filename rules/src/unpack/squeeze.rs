//! Files that were made smaller one by one: gzip, xz, lzma, zstd, bzip2.

use std::io::{self, BufRead, BufReader, Read};

use super::{
    source::{Part, Source},
    walk::{Walk, cause},
};

/// The largest dictionary or window: what `xz -9` and `zstd --ultra -22` need, but not `--long=31`.
const MAX_WINDOW_LOG: u32 = 27;
/// The memory of an xz or lzma decoder, in KiB: the dictionary and a little more.
pub(super) const MAX_LZMA_KIB: u32 = 66 << 10;
/// The longest name in a gzip header that is looked for.
const MAX_GZIP_NAME: u64 = 512;

/// How a file was made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Bzip2,
}

impl How {
    /// Tells it by the first bytes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Self::Bzip2),
            [0x5d, 0, 0, rest @ ..] if is_lzma(rest) => Some(Self::Lzma),
            _ => None,
        }
    }

    fn endings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Gzip => &[(".gz", ""), (".tgz", ".tar"), (".svgz", ".svg"), (".z", "")],
            Self::Xz => &[(".xz", ""), (".txz", ".tar")],
            Self::Lzma => &[(".lzma", "")],
            Self::Zstd => &[(".zst", ""), (".zstd", ""), (".tzst", ".tar")],
            Self::Bzip2 => &[(".bz2", ""), (".tbz2", ".tar"), (".tbz", ".tar")],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Gzip => "(gzip)",
            Self::Xz => "(xz)",
            Self::Lzma => "(lzma)",
            Self::Zstd => "(zstd)",
            Self::Bzip2 => "(bzip2)",
        }
    }

    /// Returns a reader of the bytes as they were before.
    pub(super) fn reader<'a>(self, part: Part<'a>) -> io::Result<Box<dyn Read + 'a>> {
        let part = BufReader::new(part);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(part)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(part, true, MAX_LZMA_KIB)),
            Self::Lzma => Box::new(lzma_rust2::LzmaReader::new_mem_limit(part, MAX_LZMA_KIB, None)?),
            Self::Zstd => Box::new(zstd(part)?),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(part)),
        })
    }
}

/// Returns a reader of zstd frames.
pub(super) fn zstd<R: BufRead>(packed: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed)?;
    reader.window_log_max(MAX_WINDOW_LOG)?;
    Ok(reader)
}

/// Returns a reader of LZMA without a header, of `size` bytes or, if that is the largest number, up to its mark.
pub(super) fn raw_lzma<R: Read>(
    packed: R,
    size: u64,
    properties: u8,
    dictionary: u32,
) -> io::Result<lzma_rust2::LzmaReader<R>> {
    if lzma_rust2::lzma_get_memory_usage_by_props(dictionary, properties)? > MAX_LZMA_KIB {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    lzma_rust2::LzmaReader::new_with_props(packed, size, properties, dictionary, None)
}

/// After the properties come a dictionary of a power of two, or of one and a half, and a size or none.
fn is_lzma(rest: &[u8]) -> bool {
    let Some(([low, high, size @ ..], _)) = rest.split_first_chunk::<10>() else { return false };
    let dictionary = u32::from_le_bytes([0, 0, *low, *high]);
    let usual = dictionary.is_power_of_two() || (dictionary / 3).is_power_of_two();
    let size = u64::from_le_bytes(*size);
    usual && (size == u64::MAX || size < 1 << 40)
}

/// Unpacks the one file inside.
pub(super) fn walk(walk: &mut Walk<'_>, source: Source<'_>, how: How) {
    if !walk.count() {
        return;
    }
    let name = inner_name(walk.name(), source, how);
    match how.reader(source.part(0, source.size())) {
        Ok(reader) => walk.unpack(&name, reader, source.size()),
        Err(e) => walk.trouble_in(&name, cause(&e)),
    }
}

/// The name that gzip keeps, else the outer name without its ending.
fn inner_name(outer: &[u8], source: Source<'_>, how: How) -> Vec<u8> {
    if how == How::Gzip
        && let Some(name) = gzip_name(source)
    {
        return name;
    }
    let base = outer.rsplit(|b| *b == b'/').next().unwrap_or(outer);
    for (ending, instead) in how.endings() {
        let Some(cut) = base.len().checked_sub(ending.len()).filter(|cut| *cut > 0) else { continue };
        if base[cut..].eq_ignore_ascii_case(ending.as_bytes()) {
            return [&base[..cut], instead.as_bytes()].concat();
        }
    }
    how.word().into()
}

fn gzip_name(source: Source<'_>) -> Option<Vec<u8>> {
    let [.., flags] = source.array::<4>(0)?;
    let extra = if flags & 4 == 0 { 0 } else { 2 + u64::from(u16::from_le_bytes(source.array(10)?)) };
    if flags & 8 == 0 {
        return None;
    }
    let bytes = source.bytes(10 + extra, MAX_GZIP_NAME).ok()?;
    let end = bytes.iter().position(|b| *b == 0)?;
    (end > 0).then(|| bytes[..end].to_vec())
}
