//! Samples for trials: the EICAR test file, which is never stored because every scanner takes it for malware, and packs
//! of two harmless rules.

use khien_core::{
    RuleId, Severity, Timestamp,
    bundle::{NetworkLists, Pack, RuleMeta, Source},
    text::Words,
};

/// What the rule `test.mark` of [`marked_pack`] looks for in files.
pub const MARK: &[u8] = b"KHIEN-TEST-MARK";
/// What its rule `test.stream` looks for in files and in traffic.
pub const STREAM_MARK: &[u8] = b"KHIEN-STREAM-MARK";

/// The EICAR test string with every byte one higher, so that no file of ours contains it.
const SHIFTED: &[u8; 68] = b"Y6P\"Q&ABQ\\5]Q[Y65)Q_*8DD*8~%FJDBS.TUBOEBSE.BOUJWJSVT.UFTU.GJMF\"%I,I+";

/// Builds the EICAR test file.
#[must_use]
pub fn eicar() -> Vec<u8> {
    SHIFTED.iter().map(|b| b - 1).collect()
}

/// Builds the pack of [`marked_pack`] with a rule for files over which a worker runs out of memory when it scans
/// [`greedy`]: each `KHI` there may be the beginning of a match as long as the file.
#[must_use]
pub fn greedy_pack(version: u64) -> Pack {
    let mut pack = marked_pack(version);
    let strings = "$a = \"KHIEN-TEST-MARK\" $b = { 4B 48 49 [-] 21 22 23 24 }";
    let text = pack.sources[0].text.replace("$a = \"KHIEN-TEST-MARK\"", strings);
    pack.sources[0].text = text.replace("$a and filesize", "($a or $b) and filesize");
    pack
}

/// Builds a file that takes more memory than a worker has, with the rule of [`greedy_pack`].
#[must_use]
pub fn greedy() -> Vec<u8> {
    [b"KHI".repeat(17 << 20).as_slice(), &[0x21, 0x22, 0x23, 0x24]].concat()
}

/// Builds the pack of [`marked_pack`] with a first rule for which each module reads the whole file, and which is true as
/// well of what the condition says.
#[must_use]
pub fn modules_pack(version: u64, condition: &str) -> Pack {
    let mut pack = marked_pack(version);
    let modules = ["crx", "dex", "dotnet", "elf", "lnk", "macho", "pe"];
    let imports: String = modules.iter().map(|module| format!("import \"{module}\"\n")).collect();
    let asked = "crx.is_crx and crx.id == \"x\" or dex.is_dex and dex.header.magic == 1 or dotnet.version == \"x\" \
                 or elf.number_of_sections > 9000 or elf.telfhash() == \"x\" or lnk.is_lnk and lnk.name == \"x\" \
                 or macho.cputype == 1 or pe.imphash() == \"x\" or pe.number_of_signatures > 9000";
    let condition = format!("$a and filesize < 100MB or ({condition}) or ({asked})");
    let text = pack.sources[0].text.replace("$a and filesize < 100MB", &condition);
    pack.sources[0].text = imports + &text;
    pack
}

/// Builds a pack of two rules, which match [`MARK`] and [`STREAM_MARK`]; the second one in traffic and memory too.
///
/// # Panics
/// Never: the ids are well-formed.
#[must_use]
pub fn marked_pack(version: u64) -> Pack {
    let words = |vi: &str, en: &str| Words { vi: vi.to_owned(), en: en.to_owned() };
    let rule = |id: &str, streams| RuleMeta {
        id: id.parse::<RuleId>().expect("the id is well-formed"),
        yara: Some(id.replace('.', "_")),
        severity: Severity::High,
        technique: None,
        streams,
        memory: streams,
        title: words("một dấu thử", "a test mark"),
        explanation: words("chỉ để thử", "for tests only"),
        next_step: words("không cần làm gì", "nothing to do"),
    };
    let text = r#"
        rule test_mark { strings: $a = "KHIEN-TEST-MARK" condition: $a and filesize < 100MB }
        rule test_stream { strings: $a = "KHIEN-STREAM-MARK" condition: $a }
    "#;
    Pack {
        version,
        created: Timestamp::UNIX_EPOCH,
        rules: vec![rule("test.mark", false), rule("test.stream", true)],
        sources: vec![Source { name: "test.yar".to_owned(), text: text.to_owned() }],
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    }
}
