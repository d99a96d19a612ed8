//! What a file's bytes say, from samples of it: script, harmless stub, encrypted. Pure.

use khien_core::Untrusted;

use super::{config, names, notes};

/// From this many bits a byte on a sample counts as encrypted. Text has 4 to 5, programs 6, base64 6.
const ENCRYPTED: f64 = 7.5;
/// A shorter sample cannot reach that: 512 random bytes give 7.6 bits a byte.
pub(super) const SHORTEST: usize = 512;
/// A shorter text is not judged at all.
const SHORTEST_TEXT: usize = 64;
/// Of so many bytes of a short text at least one in this many must be foreign to it, or it is text still.
const FOREIGN: usize = 4;
/// A stub that only keeps a folder from being listed is not longer.
const STUB: u64 = 512;

/// A few samples of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// Bytes from further places and its end, if it is longer than its head.
    pub(super) further: Vec<Vec<u8>>,
}

/// What the bytes of a file say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Says {
    /// They are not, or not as a whole, of the kind that the name says, and look encrypted.
    pub(super) scrambled: bool,
    /// They are not, or not as a whole, of any known kind, whatever the name says, and look encrypted.
    pub(super) cipher: bool,
    /// They are a script, whatever the name says.
    pub(super) script: bool,
    /// They are a script that does nothing.
    pub(super) stub: bool,
    /// They demand a ransom.
    pub(super) demands: bool,
    /// The line by which a configuration lets the web server run what is no script.
    pub(super) runs: Option<Untrusted>,
}

impl Says {
    /// Judges a file by its name, samples and size, whether it is foreign to its kind behind its head, and by all of its
    /// bytes where they were read.
    pub(super) fn of(
        path: &[u8],
        samples: &Samples,
        size: u64,
        is_broken: bool,
        whole: Option<&[u8]>,
    ) -> Self {
        Self {
            scrambled: is_scrambled(path, samples) || (is_broken && kind(&names::extension(path)).is_some()),
            cipher: is_cipher(samples) || is_broken,
            script: samples.is_script(),
            stub: samples.is_stub(size),
            demands: names::is_note(path) && whole.is_some_and(notes::demands),
            runs: whole.filter(|_| names::is_config(path)).and_then(config::runs_files),
        }
    }
}

/// A kind of documents: its name, its extensions, and how its files begin.
struct Kind {
    name: &'static str,
    extensions: &'static [&'static [u8]],
    begins: &'static [&'static [u8]],
}

const fn kind_of(
    name: &'static str,
    extensions: &'static [&'static [u8]],
    begins: &'static [&'static [u8]],
) -> Kind {
    Kind { name, extensions, begins }
}

/// Kinds of documents that people have, and how they begin. Without a beginning they are text.
const KINDS: &[Kind] = &[
    kind_of(
        "text",
        &[b"txt", b"csv", b"tsv", b"md", b"log", b"ini", b"conf", b"cfg", b"yml", b"yaml", b"srt"],
        &[],
    ),
    kind_of("web", &[b"html", b"htm", b"css", b"js", b"ts", b"xml", b"json", b"svg"], &[]),
    kind_of(
        "script",
        &[b"php", b"py", b"sh", b"pl", b"rb", b"java", b"c", b"cpp", b"cs", b"jsp", b"asp", b"aspx"],
        &[],
    ),
    kind_of("sql", &[b"sql"], &[]),
    kind_of("office", &[b"doc", b"xls", b"ppt", b"msg"], &[b"\xd0\xcf\x11\xe0", b"{\\rtf", b"<", b"PK"]),
    kind_of("document", &[b"docx", b"odt", b"docm"], &[b"PK", b"\xd0\xcf\x11\xe0"]),
    kind_of("sheet", &[b"xlsx", b"ods", b"xlsm"], &[b"PK", b"\xd0\xcf\x11\xe0"]),
    kind_of("slides", &[b"pptx", b"odp"], &[b"PK", b"\xd0\xcf\x11\xe0"]),
    kind_of("rtf", &[b"rtf"], &[b"{\\rtf"]),
    kind_of("pdf", &[b"pdf"], &[b"%PDF", b"\xef\xbb\xbf%PDF"]),
    kind_of("jpeg", &[b"jpg", b"jpeg"], &[b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8"]),
    kind_of("png", &[b"png"], &[b"\x89PNG", b"\xff\xd8", b"RIFF", b"GIF8"]),
    kind_of("gif", &[b"gif"], &[b"GIF8", b"\x89PNG", b"\xff\xd8", b"RIFF"]),
    kind_of("bitmap", &[b"bmp"], &[b"BM"]),
    kind_of("tiff", &[b"tif", b"tiff"], &[b"II", b"MM"]),
    kind_of("mail", &[b"eml"], &[]),
    kind_of("sound", &[b"wav"], &[b"RIFF"]),
];

/// Extensions of what is compressed.
const COMPRESSED: [&[u8]; 13] =
    [b"gz", b"xz", b"bz2", b"zst", b"lz4", b"lzma", b"z", b"br", b"zip", b"7z", b"rar", b"tar", b"tgz"];
/// Further extensions that renamed files may get without a doubt: put aside, numbered, in the making.
const HARMLESS: [&[u8]; 17] = [
    b"bak",
    b"backup",
    b"old",
    b"orig",
    b"save",
    b"tmp",
    b"temp",
    b"part",
    b"partial",
    b"swp",
    b"dist",
    b"disabled",
    b"deleted",
    b"dpkg-old",
    b"dpkg-new",
    b"dpkg-tmp",
    b"rpmsave",
];
/// Kinds that are judged only behind a beginning that is theirs: under these names other things lie as well.
const BEHIND_HEADS: [(&str, &[&[u8]]); 2] =
    [("video", &[b"mp4", b"mov", b"m4v"]), ("database", &[b"db", b"sqlite", b"sqlite3"])];
/// Further kinds that people have and that are not judged by their content, only by their names.
const OTHER_KINDS: [&[u8]; 12] =
    [b"mp3", b"avi", b"mkv", b"webp", b"mdb", b"accdb", b"dbf", b"psd", b"dwg", b"edxml", b"pst", b"ost"];

/// How files of known kinds begin that look as random as encrypted ones behind it, and where. A name is not asked.
const KNOWN: &[(usize, &[u8])] = &[
    (0, b"PK"),
    (0, b"\x1f\x8b"),
    (0, b"\x1f\x9d"),
    (0, b"\x78\x01"),
    (0, b"\x78\x9c"),
    (0, b"\x78\xda"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ"),
    (0, b"7z\xbc\xaf"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"\x04\x22\x4d\x18"),
    (257, b"ustar"),
    (0, b"\x5d\0\0"),
    (0, b"\x89LZO"),
    (0, b"LRZI"),
    (0, b"Rar!"),
    (0, b"%PDF"),
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG"),
    (0, b"GIF8"),
    (0, b"RIFF"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (0, b"\xff\x0a"),
    (0, b"\0\0\0\x0cJXL "),
    (0, b"\0\0\0\x0cjP  "),
    (4, b"ftyp"),
    (0, b"\x1aE\xdf\xa3"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"\xff\xfb"),
    (0, b"\xff\xf3"),
    (0, b"\xff\xf1"),
    (0, b"wOFF"),
    (0, b"wOF2"),
    (0, b"\xd0\xcf\x11\xe0"),
    (0, b"\x7fELF"),
    (0, b"SQLite format 3"),
    (0, b"\0GITCRYPT"),
    (0, b"HBEGIN:"),
];

/// Returns the kind of a document by its extension, if its content is judged.
pub(super) fn kind(extension: &[u8]) -> Option<&'static str> {
    kind_by(extension).map(|kind| kind.name).or_else(|| kind_behind(extension))
}

/// Tells whether files of this extension have a beginning of their own, so that one without it is surely not whole.
pub(super) fn has_beginning(extension: &[u8]) -> bool {
    kind_by(extension).is_some_and(|kind| !kind.begins.is_empty()) || kind_behind(extension).is_some()
}

fn kind_by(extension: &[u8]) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.extensions.contains(&extension))
}

fn kind_behind(extension: &[u8]) -> Option<&'static str> {
    BEHIND_HEADS.iter().find(|(_, extensions)| extensions.contains(&extension)).map(|(name, _)| *name)
}

/// Tells whether people keep documents under this extension.
pub(super) fn is_document(extension: &[u8]) -> bool {
    kind(extension).is_some() || OTHER_KINDS.contains(&extension)
}

/// Tells whether renaming a document to this extension would be strange: no known kind, no date or number, none of the
/// words for what is put aside or compressed.
pub(super) fn is_strange(extension: &[u8]) -> bool {
    let known = is_document(extension) || COMPRESSED.contains(&extension) || HARMLESS.contains(&extension);
    !extension.is_empty() && !is_dated(extension) && !known
}

/// Tells whether what lies under this extension is random without a beginning by which it is known: brotli.
pub(super) fn is_headless(extension: &[u8]) -> bool {
    extension == b"br"
}

/// Tells whether a document of one extension was rotated as logs are: it got a date or a number.
pub(super) fn is_rotated(from: &[u8], to: &[u8]) -> bool {
    from == b"log" && !to.is_empty() && is_dated(to)
}

fn is_dated(extension: &[u8]) -> bool {
    extension.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'~'))
}

/// Tells whether the content is none of the kind that the name says, and looks encrypted.
pub(super) fn is_scrambled(path: &[u8], samples: &Samples) -> bool {
    let Some(kind) = kind_by(&names::extension(path)) else { return false };
    // Nextcloud's own encryption keeps the names.
    if samples.head.starts_with(b"HBEGIN:") {
        return false;
    }
    if kind.begins.is_empty() {
        return is_no_text(samples);
    }
    !kind.begins.iter().any(|begin| samples.head.starts_with(begin)) && samples.parts().any(is_random)
}

/// Tells whether the content is of no known kind and looks encrypted.
fn is_cipher(samples: &Samples) -> bool {
    let begins = |(at, mark): &(usize, &[u8])| samples.head.get(*at..).is_some_and(|h| h.starts_with(mark));
    !KNOWN.iter().any(begins) && (samples.parts().any(is_random) || is_foreign(&samples.head))
}

fn is_no_text(samples: &Samples) -> bool {
    // What was compressed under a text's name has its own beginning.
    let packed: [&[u8]; 5] = [b"\x1f\x8b", b"PK", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
    if packed.iter().any(|begin| samples.head.starts_with(begin)) {
        return false;
    }
    samples.parts().any(is_random) || is_foreign(&samples.head)
}

/// Short texts: neither UTF-8 nor, by the share of control characters and high bytes, any older alphabet.
fn is_foreign(text: &[u8]) -> bool {
    let control = |b: &&u8| **b < 32 && !matches!(**b, b'\t' | b'\n' | b'\r' | 0x1b | 0x0c);
    let judged = (SHORTEST_TEXT..SHORTEST).contains(&text.len());
    judged
        && std::str::from_utf8(text).is_err()
        && text.iter().filter(control).count() * 16 > text.len()
        && text.iter().filter(|b| **b >= 128).count() * FOREIGN > text.len()
}

/// Tells whether bytes look encrypted, or compressed.
pub(super) fn is_random(sample: &[u8]) -> bool {
    sample.len() >= SHORTEST && entropy(sample) > ENCRYPTED
}

/// Returns the entropy of a sample in bits a byte.
fn entropy(sample: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    sample.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let all = sample.len() as f64;
    counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / all).map(|share| -share * share.log2()).sum()
}

impl Samples {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.head[..]).chain(self.further.iter().map(|part| &part[..]))
    }

    /// Tells whether the content is a script, whatever the name says.
    pub(super) fn is_script(&self) -> bool {
        let head = &self.head[..];
        let text = !head.contains(&0);
        let opens = |mark: &[u8]| head.windows(mark.len()).any(|w| w.eq_ignore_ascii_case(mark));
        opens(b"<?php") || (text && (opens(b"<?=") || opens(b"<%@"))) || head.starts_with(b"#!/")
    }

    /// Tells whether it is a PHP file that does nothing: the stub that keeps a folder from being listed.
    pub(super) fn is_stub(&self, size: u64) -> bool {
        let Some(rest) = self.head.strip_prefix(b"<?php").filter(|_| size <= STUB) else { return size == 0 };
        let mut lines = rest.split(|b| matches!(*b, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
        lines.all(|line| {
            matches!(line, b"" | b"?>" | b"exit;" | b"die;" | b"exit();" | b"die();")
                || (line.starts_with(b"//") && !line.windows(2).any(|w| w == b"?>"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::random, *};

    fn head(head: &[u8]) -> Samples {
        Samples { head: head.to_vec(), further: Vec::new() }
    }

    #[test]
    fn what_was_encrypted_is_scrambled_whole_or_in_part() {
        let text = b"Kinh gui: Uy ban nhan dan\n".repeat(40);
        for name in ["/a.txt", "/a.docx", "/a.jpg", "/a.pdf", "/a.sql", "/a.html", "/a.doc"] {
            assert!(is_scrambled(name.as_bytes(), &head(&random(4096))), "{name}");
        }
        assert!(is_scrambled(b"/a.csv", &head(&random(200))));
        assert!(is_scrambled(b"/a.csv", &Samples { head: text, further: vec![random(4096)] }));
    }

    #[test]
    fn what_is_of_its_kind_is_not_scrambled() {
        let zip = [b"PK\x03\x04".to_vec(), random(4092)].concat();
        let jpeg = [b"\xff\xd8\xff\xe0".to_vec(), random(4092)].concat();
        let gzip = [b"\x1f\x8b\x08".to_vec(), random(4093)].concat();
        let viet = "Cộng hoà xã hội chủ nghĩa Việt Nam. Độc lập – Tự do – Hạnh phúc. ".repeat(30);

        for (name, content) in [
            ("/a.docx", &zip[..]),
            ("/a.jpg", &jpeg),
            ("/a.png", &jpeg),
            ("/a.log", &gzip),
            ("/a.txt", viet.as_bytes()),
            ("/a.txt", b""),
            ("/a.bin", &random(4096)),
            ("/pack-1.pack", &random(4096)),
            ("/a.sql.gz", &gzip),
            ("/table.ibd", &random(4096)),
        ] {
            assert!(!is_scrambled(name.as_bytes(), &head(content)), "{name}");
        }
    }

    #[test]
    fn what_is_of_no_kind_and_random_is_cipher_and_what_is_compressed_or_plain_is_not() {
        let with = |begin: &[u8]| [begin, &random(4_096)].concat();

        assert!(is_cipher(&head(&random(4_096))));
        assert!(is_cipher(&head(&with(b"LOCKER01"))));
        assert!(is_cipher(&head(&random(200))));
        for begin in [
            &b"PK\x03\x04"[..],
            b"\x1f\x8b\x08",
            b"\0\0\0\x1cftypisom",
            b"\xff\xd8\xff\xe0",
            b"7z\xbc\xaf\x27",
        ] {
            assert!(!is_cipher(&head(&with(begin))), "{begin:?}");
        }
        assert!(!is_cipher(&head("Kính gửi: Uỷ ban nhân dân tỉnh\n".repeat(60).as_bytes())));
        assert!(!is_cipher(&head(b"")));
    }

    #[test]
    fn extensions_of_ransomware_are_strange_and_those_of_rotation_are_not() {
        for strange in ["locked", "lockbit", "akira", "abcd1234", "enc", "id-17"] {
            assert!(is_strange(strange.as_bytes()), "{strange}");
        }
        for known in ["1", "20261123", "gz", "bak", "old", "docx", "php", "tmp", "", "webp"] {
            assert!(!is_strange(known.as_bytes()), "{known}");
        }
    }

    #[test]
    fn a_script_is_known_by_its_content_and_a_stub_is_harmless() {
        let picture = [b"\xff\xd8\xff\xe0\0\0".to_vec(), b"<?php x(); ?>".to_vec()].concat();
        let stub = b"<?php\n// Silence is golden.\n";

        assert!(head(&picture).is_script());
        assert!(head(b"#!/bin/sh\n").is_script());
        assert!(!head(b"<html><body>100% <b>").is_script());
        assert!(head(stub).is_stub(stub.len() as u64));
        assert!(!head(b"<?php // ?> <?php x();\n").is_stub(30));
        assert!(!head(b"<?php x();\n").is_stub(11));
        assert!(!head(stub).is_stub(5_000));
    }
}
