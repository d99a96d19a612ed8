//! YARA rules of others: whatever is published, what does not compile is told and stops nothing else.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use khien_core::bundle::Source;
use khien_rules::{Engine, foreign};

/// The most sources that are made of one input.
const MAX_SOURCES: usize = 4;
/// What each compiled input is run over.
const SAMPLES: [&[u8]; 3] = [b"", b"MZ\x90\0 abcdefgh 0123456789", &[b'a'; 300]];

pub(super) const WORDS: &[&[u8]] = &[
    b"rule ",
    b"private ",
    b"global ",
    b"meta:",
    b"strings:",
    b"condition:",
    b" $a = ",
    b"{ 01 ?? [2-4] ( 02 | 03 ) }",
    b"/ab+c{1,9}/is",
    b" nocase",
    b" wide",
    b" ascii",
    b" fullword",
    b" xor(0-255)",
    b" base64",
    b" and ",
    b" or ",
    b" not ",
    b"any of them",
    b"all of ($a*)",
    b"for any i in (1..#a) : ( @a[i] < 9 )",
    b"filesize",
    b"uint32(0) == 0x464c457f",
    b"$a at 0",
    b"import \"pe\"\n",
    b"import \"elf\"\n",
    b"import \"hash\"\n",
    b"pe.is_pe",
    b"filename contains \"a\"",
    b"include \"a\"",
    b" : tag ",
    b"severity = \"high\"",
    b"score = 75",
    b"true",
    b"\0",
    b"//",
    b"/*",
    b"*/",
    b"\\x41",
    b"\"",
];

/// Compiles sources that are parted by zeros, and runs what compiled.
pub(super) fn compile(bytes: &[u8], thoroughly: bool) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let parts = text.split('\0').take(MAX_SOURCES).enumerate();
    let sources: Vec<_> =
        parts.map(|(n, text)| Source { name: format!("{n}.yar"), text: text.to_owned() }).collect();
    let mut digest = DefaultHasher::new();
    let found = match foreign::compile(&sources) {
        Ok(found) => found,
        Err(e) => {
            e.to_string().hash(&mut digest);
            return digest.finish();
        }
    };
    for refused in &found.refused {
        let told = refused.to_string();
        assert!(!told.chars().any(char::is_control), "{told:?}");
        told.hash(&mut digest);
    }
    let ids: HashSet<_> = found.pack.rules.iter().map(|rule| &rule.id).collect();
    assert_eq!(ids.len(), found.pack.rules.len());
    assert!(ids.iter().all(|id| found.origins.contains_key(id)));
    format!("{:?}", found.pack).hash(&mut digest);
    if thoroughly {
        let engine = Engine::load(&found.pack, &found.compiled).unwrap();
        for sample in SAMPLES {
            let scanned = engine.scan(sample, Duration::from_secs(2));
            assert!(scanned.hits.iter().all(|hit| ids.contains(&hit.rule)));
        }
    }
    digest.finish()
}
