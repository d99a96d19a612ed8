//! Documents with the structure of real ones and content that looks random, as that of real ones does.

use super::random;

/// Returns a document of about so many bytes; by its extension, `streamed` for a zip whose entries tell no sizes,
/// `one_chunk` for a PNG in one piece.
pub(in super::super) fn document(kind: &str, size: usize) -> Vec<u8> {
    match kind {
        "docx" | "xlsx" | "zip" => zip(size, false),
        "streamed" => zip(size, true),
        "pdf" => pdf(size),
        "jpg" => jpeg(size),
        "png" => png(size, 8_192),
        "one_chunk" => png(size, size),
        "doc" => ole(size),
        "mp4" => mp4(size),
        "db" => sqlite(size),
        "rtf" => [b"{\\rtf1 ".to_vec(), b"Kinh gui \\'d0 ".repeat(size / 14), b"}".to_vec()].concat(),
        _ => "Kính gửi: Uỷ ban nhân dân tỉnh\n".repeat(size / 40).into_bytes(),
    }
}

/// Returns it with random bytes where they are, as encryption leaves it.
pub(in super::super) fn encrypted(
    mut whole: Vec<u8>,
    at: impl IntoIterator<Item = std::ops::Range<usize>>,
) -> Vec<u8> {
    let noise = random(whole.len());
    for range in at {
        let range = range.start.min(noise.len())..range.end.min(noise.len());
        whole[range.clone()].copy_from_slice(&noise[range]);
    }
    whole
}

fn zip(size: usize, streamed: bool) -> Vec<u8> {
    let (mut all, mut list, count) = (Vec::new(), Vec::new(), 8_u16);
    let content = random(size / usize::from(count));
    for n in 0..count {
        let name = format!("word/part-{n}.xml");
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let told = if streamed { [0; 4] } else { length };
        let flags: [u8; 2] = if streamed { [8, 0] } else { [0, 0] };
        let names = [(name.len() as u16).to_le_bytes(), [0, 0]].concat();
        let at = u32::try_from(all.len()).unwrap().to_le_bytes();
        let common = |told: &[u8]| [&[20, 0][..], &flags, &[8, 0], &[0; 8], told, told, &names].concat();
        all.extend([&b"PK\x03\x04"[..], &common(&told), name.as_bytes(), &content].concat());
        if streamed {
            all.extend([&b"PK\x07\x08"[..], &[1, 2, 3, 4], &length, &length].concat());
        }
        list.extend([&b"PK\x01\x02\x14\0"[..], &common(&length), &[0; 10], &at, name.as_bytes()].concat());
    }
    let (start, length) = (all.len() as u32, list.len() as u32);
    let counts = [[0; 4], [count.to_le_bytes(); 2].concat().try_into().unwrap()].concat();
    let ends = [&b"PK\x05\x06"[..], &counts, &length.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat();
    [all, list, ends].concat()
}

fn pdf(size: usize) -> Vec<u8> {
    let (mut all, mut table) = (b"%PDF-1.7\n".to_vec(), String::from("xref\n0 9\n0000000000 65535 f \n"));
    for n in 1..9 {
        table += &format!("{:010} 00000 n \n", all.len());
        all.extend(format!("{n} 0 obj\n<< /Filter /FlateDecode >>\nstream\n").bytes());
        all.extend(random(size / 8));
        all.extend(b"\nendstream\nendobj\n");
    }
    let start = all.len();
    all.extend(format!("{table}trailer\n<< /Size 9 >>\nstartxref\n{start}\n%%EOF\n").bytes());
    all
}

fn jpeg(size: usize) -> Vec<u8> {
    let marked = random(size).into_iter().flat_map(|b| if b == 0xff { vec![b, 0] } else { vec![b] });
    let segments =
        [&b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x48\0\x48\0\0"[..], b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"];
    [segments.concat(), marked.collect(), b"\xff\xd9".to_vec()].concat()
}

fn png(size: usize, each: usize) -> Vec<u8> {
    let chunk = |name: &[u8], content: &[u8]| {
        [&(content.len() as u32).to_be_bytes()[..], name, content, &[1; 4]].concat()
    };
    let parts = random(size).chunks(each).map(|part| chunk(b"IDAT", part)).collect::<Vec<_>>().concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &[1; 13]), parts, chunk(b"IEND", b"")].concat()
}

fn mp4(size: usize) -> Vec<u8> {
    let part =
        |name: &[u8], content: &[u8]| [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat();
    [part(b"ftyp", b"isom\0\0\x02\0isom"), part(b"mdat", &random(size)), part(b"moov", &[7; 900])].concat()
}

/// With a sector of the table for each 64 KiB, as it has.
fn ole(size: usize) -> Vec<u8> {
    let (sectors, per) = (size / 512, 128);
    let mut head =
        [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 16], &[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0]].concat();
    head.resize(76, 0);
    let mut body = Vec::new();
    for n in 0..sectors {
        let next = |n: usize| (if n < sectors { n as u32 + 1 } else { u32::MAX }).to_le_bytes();
        match n % per {
            0 => {
                head.extend(u32::try_from(n).unwrap().to_le_bytes());
                body.extend((n..n + per).flat_map(next));
            }
            _ => body.extend(random(512)),
        }
    }
    head.resize(512, 0xff);
    [head, body].concat()
}

fn sqlite(size: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let store = rusqlite::Connection::open(&path).unwrap();
    store.execute_batch("create table scan (id integer primary key, picture blob)").unwrap();
    for _ in 0..size / 10_000 {
        store.execute("insert into scan (picture) values (?1)", [random(10_000)]).unwrap();
    }
    store.execute_batch("delete from scan where id % 3 = 0; vacuum").unwrap();
    drop(store);
    std::fs::read(path).unwrap()
}
