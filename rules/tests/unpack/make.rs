//! Makes containers, honest ones and such that lie.

use std::io::Write;

use flate2::{Compression, write};

/// One entry of a zip, and what its two headers say.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// The name before the bytes, if it differs.
    pub(crate) own_name: Option<Vec<u8>>,
    pub(crate) method: u16,
    /// The method before the bytes, if it differs.
    pub(crate) own_method: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) packed: Vec<u8>,
    /// The sizes come after the bytes.
    pub(crate) sizes_after: bool,
    pub(crate) is_listed: bool,
}

pub(crate) fn stored(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        own_name: None,
        method: 0,
        own_method: None,
        flags: 0,
        packed: bytes.to_vec(),
        sizes_after: false,
        is_listed: true,
    }
}

pub(crate) fn deflated(name: &str, bytes: &[u8]) -> Entry {
    Entry { method: 8, packed: deflate(bytes), ..stored(name, bytes) }
}

/// An honest zip of deflated files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip_of(&files.iter().map(|(name, bytes)| deflated(name, bytes)).collect::<Vec<_>>())
}

pub(crate) fn zip_of(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut list, mut count) = (Vec::new(), Vec::new(), 0u16);
    for entry in entries {
        let at = bytes.len() as u32;
        bytes.extend(local(entry));
        if entry.is_listed {
            list.extend(listed(entry, at));
            count = count.wrapping_add(1);
        }
    }
    let at = bytes.len() as u32;
    bytes.extend(&list);
    bytes.extend(end(count, list.len() as u32, at));
    bytes
}

/// The name of the file in [`quine`].
pub(crate) const QUINE: &str = "a-zip-that-is-all-it-holds.zip";

/// A zip whose one file is itself, byte for byte, as Russ Cox made them: a block of literals hands on the bytes that follow
/// it, another one repeats the last ones, and together they write what they were read from. The sum of all is in it too.
pub(crate) fn quine() -> Vec<u8> {
    // Method, sum, packed and whole size, length of the name.
    let said = b"\x14\0\0\0\x08\0\0\0\0\0\xc5\x33\xd0\x5f\x32\x01\0\0\xd0\x01\0\0\x1e\0\0\0";
    let head = [&b"PK\x03\x04"[..], said, QUINE.as_bytes()].concat();
    let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x4c\0\0\0\x6e\x01\0\0\0\0";
    let tail = [&b"PK\x01\x02\x14\0"[..], said, &[0; 14], QUINE.as_bytes(), end].concat();
    let literal = |n: u16| [&[0][..], &n.to_le_bytes(), &(!n).to_le_bytes()].concat();
    let [none, one, four, of_head, of_tail] = [0, 5, 20, 65, 102].map(literal);
    let [head_again, four_again] = [b"\xa2\xd8\0\x80\0", b"\x42\x88\x21\xc4\0"].map(|block| block.to_vec());
    let tail_again = b"\xa3\x8f\x2d\0".to_vec();
    let program = [
        [&head, &of_head, &head, &of_head, &head_again, &one, &head_again, &one, &one, &four],
        [&head_again, &one, &one, &four, &four_again, &four, &four_again, &four, &four_again, &four],
        [&four_again, &four, &four_again, &none, &none, &of_tail, &four_again, &none, &none, &of_tail],
    ];
    let program = program.concat().into_iter().chain([&tail_again, &tail, &tail_again, &tail]);
    program.flatten().copied().collect()
}

pub(crate) fn local(entry: &Entry) -> Vec<u8> {
    let size = if entry.sizes_after { 0 } else { entry.packed.len() as u32 };
    let flags = if entry.sizes_after { entry.flags | 8 } else { entry.flags };
    let name = entry.own_name.as_ref().unwrap_or(&entry.name);
    let mut bytes = b"PK\x03\x04\x14\0".to_vec();
    for half in [flags, entry.own_method.unwrap_or(entry.method), 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [0, size, size] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(name);
    bytes.extend(&entry.packed);
    if entry.sizes_after {
        bytes.extend(b"PK\x07\x08\0\0\0\0");
        bytes.extend((entry.packed.len() as u32).to_le_bytes());
        bytes.extend((entry.packed.len() as u32).to_le_bytes());
    }
    bytes
}

pub(crate) fn listed(entry: &Entry, at: u32) -> Vec<u8> {
    let mut bytes = b"PK\x01\x02\x14\0\x14\0".to_vec();
    for half in [entry.flags, entry.method, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [0, entry.packed.len() as u32, entry.packed.len() as u32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((entry.name.len() as u16).to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(at.to_le_bytes());
    bytes.extend(&entry.name);
    bytes
}

pub(crate) fn end(count: u16, size: u32, at: u32) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06\0\0\0\0".to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many mebibytes of zeros, deflated a mebibyte at a time: each is the same bytes.
pub(crate) fn zeros(mebibytes: usize) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    encoder.flush().unwrap();
    let mut bytes = encoder.get_ref().repeat(mebibytes);
    // An empty block ends it.
    bytes.extend([3, 0]);
    bytes
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gzip(name: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut builder = flate2::GzBuilder::new();
    if let Some(name) = name {
        builder = builder.filename(name);
    }
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// LZMA2 of chunks that are not compressed.
pub(crate) fn lzma2(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, chunk) in bytes.chunks(0x1_0000).enumerate() {
        out.push(if n == 0 { 1 } else { 2 });
        out.extend((chunk.len() as u16 - 1).to_be_bytes());
        out.extend(chunk);
    }
    out.push(0);
    out
}

/// An xz of one block of such chunks.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| crc(bytes).to_le_bytes();
    let mut out = b"\xfd7zXZ\0\0\0".to_vec();
    out.extend(sum(&[0, 0]));
    let header = [2, 0, 0x21, 1, 16, 0, 0, 0];
    let packed = lzma2(bytes);
    let unpadded = (header.len() + 4 + packed.len()) as u64;
    out.extend(header);
    out.extend(sum(&header));
    out.extend(&packed);
    out.resize(out.len().next_multiple_of(4), 0);
    let mut index = vec![0, 1];
    index.extend(varint(unpadded));
    index.extend(varint(bytes.len() as u64));
    index.resize(index.len().next_multiple_of(4), 0);
    let index_sum = sum(&index);
    let footer = [&((index.len() as u32 + 4) / 4 - 1).to_le_bytes()[..], &[0, 0]].concat();
    out.extend(&index);
    out.extend(index_sum);
    out.extend(sum(&footer));
    out.extend(&footer);
    out.extend(b"YZ");
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A 7z of one folder with one coder. `packed` is what the coder makes of all files together.
pub(crate) fn seven(coder: &[u8], packed: &[u8], files: &[(&str, &[u8])]) -> Vec<u8> {
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut header = vec![1, 4, 6, 0, 1, 9];
    header.extend(long(packed.len() as u64));
    header.extend([0, 7, 11, 1, 0, 1]);
    header.extend(coder);
    header.push(12);
    header.extend(long(total as u64));
    header.extend([0, 8, 13]);
    header.extend(long(files.len() as u64));
    header.push(9);
    for (_, bytes) in &files[..files.len() - 1] {
        header.extend(long(bytes.len() as u64));
    }
    header.extend([0, 0, 5]);
    header.extend(long(files.len() as u64));
    let names: Vec<u8> = files
        .iter()
        .flat_map(|(name, _)| name.encode_utf16().chain([0]))
        .flat_map(u16::to_le_bytes)
        .collect();
    header.push(17);
    header.extend(long(names.len() as u64 + 1));
    header.push(0);
    header.extend(names);
    header.extend([0, 0]);
    seven_with(&header, packed)
}

/// A 7z with any header.
pub(crate) fn seven_with(header: &[u8], packed: &[u8]) -> Vec<u8> {
    let start = [
        &(packed.len() as u64).to_le_bytes()[..],
        &(header.len() as u64).to_le_bytes(),
        &crc(header).to_le_bytes(),
    ]
    .concat();
    [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], &crc(&start).to_le_bytes(), &start, packed, header].concat()
}

/// A number of 7z in its longest form.
pub(crate) fn long(value: u64) -> Vec<u8> {
    [&[0xff][..], &value.to_le_bytes()].concat()
}

/// One tar entry: its header and its bytes, padded.
pub(crate) fn tar_entry(name: &[u8], kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = tar_header(name, kind, &format!("{:011o}\0", bytes.len()).into_bytes());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(crate) fn tar_header(name: &[u8], kind: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    sum_tar(&mut block);
    block
}

pub(crate) fn sum_tar(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out: Vec<u8> =
        files.iter().flat_map(|(name, bytes)| tar_entry(name.as_bytes(), b'0', bytes)).collect();
    out.extend([0; 1024]);
    out
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

pub(crate) fn edxml(name: &str, attachment: &[u8]) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edXML xmlns=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\">\
         <edXML:edXMLEnvelope xmlns:edXML=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\"><edXML:edXMLHeader>\
         <edXML:TraceHeaderList><edXML:Bussiness/></edXML:TraceHeaderList></edXML:edXMLHeader>\
         </edXML:edXMLEnvelope><AttachmentEncoded><Attachment><ContentId>cid:1</ContentId>\
         <AttachmentName>{name}</AttachmentName><edXML:ContentTransferEncoded \
         xmlns:edXML=\"http://www.mic.gov.vn/TBT/QCVN_102_2016\">{}</edXML:ContentTransferEncoded></Attachment>\
         </AttachmentEncoded></edXML>",
        base64(attachment)
    )
    .into_bytes()
}

/// A compound file of streams, all of them in one folder if that has a name.
pub(crate) fn ole(folder: Option<&str>, streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut sectors: Vec<Vec<u8>> = Vec::new();
    let mut fat: Vec<u32> = Vec::new();
    let mut put = |bytes: &[u8]| {
        let start = sectors.len() as u32;
        for chunk in bytes.chunks(512) {
            let mut sector = chunk.to_vec();
            sector.resize(512, 0);
            sectors.push(sector);
            fat.push(sectors.len() as u32);
        }
        if let Some(last) = fat.last_mut() {
            *last = 0xffff_fffe;
        }
        start
    };
    // Each stream is padded past the cutoff, so that none needs the mini stream; its size stays.
    let starts: Vec<u32> = streams.iter().map(|(_, bytes)| put(bytes)).collect();
    let none = u32::MAX;
    let first = if folder.is_some() { 2 } else { 1 };
    let mut directory = ole_entry("Root Entry", 5, [none, none, 1], none, 0);
    if let Some(folder) = folder {
        directory.extend(ole_entry(folder, 1, [none, none, 2], 0, 0));
    }
    for (n, ((name, bytes), start)) in streams.iter().zip(&starts).enumerate() {
        let next = if n + 1 < streams.len() { (first + n + 1) as u32 } else { none };
        directory.extend(ole_entry(name, 2, [none, next, none], *start, bytes.len() as u32));
    }
    let directory_at = put(&directory);
    let fat_at = sectors.len() as u32;
    fat.push(0xffff_fffd);
    let mut table: Vec<u8> = fat.iter().flat_map(|n| n.to_le_bytes()).collect();
    table.resize(512, 0xff);
    sectors.push(table);
    let mut out = ole_header(directory_at, fat_at);
    sectors.iter().for_each(|sector| out.extend(sector));
    out
}

fn ole_header(directory: u32, fat: u32) -> Vec<u8> {
    let mut out = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    out.extend([0; 16]);
    out.extend([0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    out.extend([0; 6]);
    // No stream is below the cutoff of nothing.
    for word in [0, 1, directory, 0, 0, 0xffff_fffe, 0, 0xffff_fffe, 0, fat] {
        out.extend(word.to_le_bytes());
    }
    out.resize(512, 0xff);
    out
}

fn ole_entry(name: &str, kind: u8, links: [u32; 3], start: u32, size: u32) -> Vec<u8> {
    let mut out: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let len = out.len() as u16 + 2;
    out.resize(64, 0);
    out.extend(len.to_le_bytes());
    out.extend([kind, 1]);
    links.iter().for_each(|link| out.extend(link.to_le_bytes()));
    out.extend([0; 36]);
    out.extend(start.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend([0; 4]);
    out
}

/// A macro source as MS-OVBA compresses it, without any copy of earlier letters.
pub(crate) fn ovba(source: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    for part in source.chunks(3_000) {
        let chunk: Vec<u8> = part.chunks(8).flat_map(|eight| [&[0][..], eight].concat()).collect();
        out.extend((0xb000 | (chunk.len() as u16 - 1)).to_le_bytes());
        out.extend(chunk);
    }
    out
}
