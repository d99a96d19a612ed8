//! Files that are almost programs: the engine's modules read headers that lie. A worker may die of one, nothing else may.

use khien_core::bundle::Source;

use super::*;

/// Changed files of each kind.
const EACH: usize = 60;
/// Bytes of a program that are changed and scanned.
const LENGTH: usize = 48 << 10;

#[test]
fn no_damaged_program_ends_more_than_its_own_scan() {
    let pool = Tested::loaded(limits(), modules_pack());
    let mut dice = Dice(11);

    for seed in seeds() {
        for _ in 0..EACH {
            let outcome = pool.scan(&damaged(&seed, &mut dice)).scanned.outcome;
            let good = pool.scan(MARK).scanned.outcome;

            assert_ne!(outcome, ScanOutcome::TooLarge);
            assert_eq!(good, ScanOutcome::Matched);
        }
    }
    let ends = pool.told.scans.lock().unwrap().len();
    assert_eq!(ends, seeds().len() * EACH * 2);
}

/// A rule for files that has every module read the file.
fn modules_pack() -> Pack {
    let mut pack = marked_pack(1);
    let modules = ["crx", "dex", "dotnet", "elf", "lnk", "macho", "pe"];
    let imports: String = modules.iter().map(|module| format!("import \"{module}\"\n")).collect();
    let asked = "crx.is_crx or dex.is_dex or dotnet.is_dotnet or elf.number_of_sections > 90 or lnk.is_lnk \
                 or macho.cputype == 1 or pe.imphash() == \"x\" or pe.number_of_signatures > 9";
    let text = format!(
        "{imports}rule test_mark {{ strings: $a = \"KHIEN-TEST-MARK\" condition: $a or ({asked}) }}\n\
         rule test_stream {{ strings: $a = \"KHIEN-STREAM-MARK\" condition: $a }}\n"
    );
    pack.sources = vec![Source { name: "modules.yar".to_owned(), text }];
    pack
}

/// The start of a file of each kind that a module reads.
fn seeds() -> Vec<Vec<u8>> {
    let program = std::fs::read(program()).unwrap();
    let mut windows = vec![0; 0x400];
    windows[..2].copy_from_slice(b"MZ");
    windows[0x3c] = 0x80;
    windows[0x80..0x98].copy_from_slice(b"PE\0\0\x64\x86\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\0\x22\0");
    windows[0x98..0x9a].copy_from_slice(b"\x0b\x02");
    windows[0x104] = 16;
    let headed = |head: &[u8]| [head, &program[..2_048]].concat();
    vec![
        program[..LENGTH].to_vec(),
        windows,
        headed(b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x02\0\0\0\x04\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0"),
        headed(b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07"),
        headed(b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46\xff\0\0\0"),
        headed(b"dex\n035\0"),
        headed(b"Cr24\x03\0\0\0\x10\0\0\0"),
    ]
}

/// Changes some bytes, most of them near the start, and now and then cuts the end.
fn damaged(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + dice.below(12) {
        let near = [64, 512, bytes.len()][dice.below(3)].min(bytes.len());
        let at = dice.below(near);
        bytes[at] = [0, 0xff, 0x7f, 0x80, dice.below(256) as u8][dice.below(5)];
    }
    if dice.below(4) == 0 {
        bytes.truncate(1 + dice.below(seed.len()));
    }
    bytes
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
