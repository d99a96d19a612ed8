use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use proptest::prelude::*;

use super::*;

#[test]
fn chunks_are_taken_off() {
    assert_eq!(
        dechunked(b"5\r\nhello\r\n1; a=\"b\"\r\n \r\n 06 \nworld!\n0\r\nX: y\r\n\r\nnext"),
        (b"hello world!".to_vec(), "end")
    );
}

#[test]
fn what_is_no_chunk_breaks_off() {
    for text in ["x\r\n", "\r\n", "-5\r\nhello", "0x5\r\nhello", "5\r\nhelloX", "11111111111111111\r\n"] {
        assert_eq!(dechunked(text.as_bytes()).1, "broken", "{text}");
    }
    assert_eq!(dechunked(&[&b"5;"[..], &[b'x'; MAX_CHUNK_LINE]].concat()).1, "broken");
    assert_eq!(dechunked(&[&b"0\r\n"[..], &b"a: b\r\n".repeat(MAX_TRAILER / 6 + 1)].concat()).1, "broken");
}

#[test]
fn a_huge_declared_chunk_is_taken_as_far_as_it_comes() {
    assert_eq!(dechunked(b"ffffffffffffffff\r\nabc"), (b"abc".to_vec(), "more"));
}

#[test]
fn lost_content_is_passed_over_but_not_what_parts_chunks() {
    let mut chunks = Chunks::default();
    chunks.next(b"a\r\n");

    assert!(chunks.skip(4));
    assert!(!chunks.skip(7));
    assert!(chunks.skip(6));
    assert!(!chunks.skip(1));
}

#[test]
fn each_compression_is_undone_and_lies_about_it_are_seen_through() {
    for (codings, bytes) in [
        (&[Coding::Gzip][..], gzip(b"hello world")),
        (&[Coding::Deflate], zlib(b"hello world")),
        (&[Coding::Deflate], deflate(b"hello world")),
        (&[Coding::Gzip, Coding::Deflate], zlib(&gzip(b"hello world"))),
        (&[Coding::Gzip], [gzip(b"hello "), gzip(b"world")].concat()),
        (&[Coding::Gzip], b"hello world".to_vec()),
        (&[Coding::Gzip], [gzip(b"hello "), b"world".to_vec()].concat()),
    ] {
        assert_eq!(unpacked(codings, &[&bytes]), b"hello world", "{codings:?}");
    }
}

#[test]
fn what_is_damaged_passes_as_it_is_behind_the_damage() {
    let mut bytes = gzip(&[b'x'; 1000]);
    let half = bytes.len() / 2;
    bytes[half..].fill(0xff);
    bytes.extend_from_slice(b"behind");

    assert!(unpacked(&[Coding::Gzip], &[&bytes]).ends_with(b"behind"));
}

#[test]
fn a_bomb_stops_at_the_bound_and_what_follows_passes_packed() {
    let bomb = gzip(&vec![0; 32 << 20]);
    let (mut budget, mut unpacker) = (Budget::default(), Unpacker::new(&[Coding::Gzip]).unwrap());
    let (mut out, mut most) = (0, 0);

    for part in bomb.chunks(1400) {
        unpacker.push(part, &mut budget, &mut |block| {
            out += block.len() as u64;
            most = most.max(block.len());
        });
    }

    assert!(unpacker.is_bomb());
    assert!(out <= FREE + RATIO * bomb.len() as u64 + bomb.len() as u64, "{out}");
    assert!(most <= BLOCK);

    // The next on this connection has what it earns itself.
    let small = gzip(b"hello");
    let (mut unpacker, mut got) = (Unpacker::new(&[Coding::Gzip]).unwrap(), Vec::new());
    unpacker.push(&small, &mut budget, &mut |block| got.extend_from_slice(block));
    assert_eq!(got, b"hello");
}

#[test]
fn a_bomb_in_a_bomb_of_which_nothing_comes_out_stops_too() {
    // Empty stored blocks: five bytes each of which nothing comes.
    let nothing = [0, 0, 0, 0xff, 0xff].repeat(2 << 20);
    let bomb = gzip(&nothing);
    let mut unpacker = Unpacker::new(&[Coding::Deflate, Coding::Gzip]).unwrap();

    unpacker.push(&bomb, &mut Budget::default(), &mut |_| {});

    assert!(unpacker.is_bomb());
}

#[test]
fn members_beyond_the_bound_pass_packed() {
    let members = gzip(b"").repeat(MAX_MEMBERS as usize + 2);

    assert_eq!(unpacked(&[Coding::Gzip], &[&members]), gzip(b"").repeat(2));
}

proptest! {
    #[test]
    fn any_segmentation_of_chunks_gives_the_same(
        text in "([0-3]|[;x \r\n]|5\r\nhello\r\n|0\r\n\r\n){0,12}", at: prop::sample::Index
    ) {
        let text = text.as_bytes();
        let (first, second) = text.split_at(at.index(text.len() + 1));
        let (mut chunks, mut got) = (Chunks::default(), Vec::new());
        let mut how = pull(&mut chunks, first, &mut got);
        if how == "more" {
            how = pull(&mut chunks, second, &mut got);
        }
        prop_assert_eq!((got, how), dechunked(text));
    }

    #[test]
    fn any_segmentation_of_what_is_packed_gives_the_same(
        text: Vec<u8>, tail in "[a-z]{0,4}", cuts: Vec<prop::sample::Index>, how in 0..4
    ) {
        let (codings, packed) = match how {
            0 => (vec![Coding::Gzip], gzip(&text)),
            1 => (vec![Coding::Deflate], deflate(&text)),
            2 => (vec![Coding::Deflate, Coding::Gzip], gzip(&zlib(&text))),
            _ => (vec![Coding::Gzip], [gzip(&text), gzip(b"")].concat()),
        };
        let packed = [packed, tail.into_bytes()].concat();
        let mut at: Vec<_> = cuts.iter().map(|c| c.index(packed.len() + 1)).chain([0, packed.len()]).collect();
        at.sort_unstable();
        let parts: Vec<_> = at.windows(2).map(|w| &packed[w[0]..w[1]]).collect();
        let got = unpacked(&codings, &parts);
        prop_assert_eq!(&got, &unpacked(&codings, &[&packed]));
        prop_assert!(got.starts_with(&text));
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>) {
        dechunked(&bytes);
        for head in [&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c"] {
            let bytes = [head, &bytes].concat();
            for codings in [[Coding::Gzip, Coding::Gzip], [Coding::Deflate, Coding::Deflate]] {
                unpacked(&codings, &[&bytes]);
                unpacked(&codings[..1], &[&bytes]);
            }
        }
    }
}

fn dechunked(text: &[u8]) -> (Vec<u8>, &'static str) {
    let (mut chunks, mut got) = (Chunks::default(), Vec::new());
    let how = pull(&mut chunks, text, &mut got);
    (got, how)
}

fn pull(chunks: &mut Chunks, mut text: &[u8], got: &mut Vec<u8>) -> &'static str {
    loop {
        let (used, chunk) = chunks.next(text);
        text = &text[used..];
        match chunk {
            Chunked::Data(data) => got.extend_from_slice(data),
            Chunked::More => return "more",
            Chunked::End => return "end",
            Chunked::Broken => return "broken",
        }
    }
}

fn unpacked(codings: &[Coding], parts: &[&[u8]]) -> Vec<u8> {
    let mut unpacker = Unpacker::new(codings).unwrap();
    let mut out = Vec::new();
    for part in parts {
        unpacker.push(part, &mut Budget::default(), &mut |block| out.extend_from_slice(block));
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_stays_packed_is_told_and_what_was_never_packed_is_not() {
    let empty = gzip(b"");
    let members = |count: usize| [empty.repeat(count), gzip(b"hello world")].concat();
    let damaged = {
        let mut bytes = gzip(&[b'x'; 500]);
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xff);
        bytes
    };
    for (codings, bytes, is_blind) in [
        (vec![Coding::Gzip], gzip(b"hello"), false),
        (vec![Coding::Gzip], b"never packed".to_vec(), false),
        (vec![Coding::Gzip], [gzip(b"hello"), b"and more".to_vec()].concat(), false),
        (vec![Coding::Deflate], [zlib(b"hello"), b"and more".to_vec()].concat(), false),
        (vec![Coding::Gzip], members(usize::try_from(MAX_MEMBERS).unwrap() - 1), false),
        (vec![Coding::Gzip], members(usize::try_from(MAX_MEMBERS).unwrap()), true),
        (vec![Coding::Gzip], damaged, true),
        (vec![Coding::Gzip; MAX_LAYERS], gzip(&gzip(&gzip(b"hello"))), false),
        (vec![Coding::Gzip; MAX_LAYERS + 1], gzip(&gzip(&gzip(&gzip(b"hello")))), true),
    ] {
        let mut unpacker = Unpacker::new(&codings).unwrap();
        unpacker.push(&bytes, &mut Budget::default(), &mut |_| {});
        assert_eq!(unpacker.is_blind(), is_blind, "{codings:?} of {} bytes", bytes.len());
    }
}
