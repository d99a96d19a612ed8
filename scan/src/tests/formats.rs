//! Files that are almost programs: the engine's modules read headers that lie. A worker may die of one, nothing else may.

use khien_rules::sample::modules_pack;

use super::*;

/// Changed files of each kind.
const EACH: usize = 1_000;
/// Bytes of a program that are changed and scanned.
const LENGTH: usize = 48 << 10;

#[test]
fn no_damaged_program_ends_more_than_its_own_scan() {
    let pool = Tested::loaded(limits(), modules_pack(1, "false"));
    let (mut dice, seeds) = (Dice(11), seeds());

    for (_, seed) in &seeds {
        for _ in 0..EACH {
            let outcome = pool.scan(&damaged(seed, &mut dice)).scanned.outcome;
            let good = pool.scan(MARK).scanned.outcome;

            assert_ne!(outcome, ScanOutcome::TooLarge);
            assert_eq!(good, ScanOutcome::Matched);
        }
    }
    let ends = pool.told.scans.lock().unwrap().len();
    assert_eq!(ends, seeds.len() * EACH * 2);
}

#[test]
fn what_is_damaged_is_read_by_its_module_before_that() {
    for (read, seed) in seeds() {
        let pool = Tested::loaded(limits(), modules_pack(1, read));

        assert_eq!(pool.scan(&seed).scanned.outcome, ScanOutcome::Matched, "{read}");
    }
}

/// The start of a file of each kind that a module reads, and a condition that is true when it does.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let program = std::fs::read(program()).unwrap();
    let headed = |head: &[u8]| [head, &program[..2_048]].concat();
    let dex = [&b"dex\n035\0"[..], &[0; 24], b"\x70\x08\0\0\x70\0\0\0\x78\x56\x34\x12", &[0; 68]].concat();
    vec![
        ("elf.number_of_segments > 0", program[..LENGTH].to_vec()),
        ("pe.is_pe", windows()),
        ("dotnet.is_dotnet", dotnet()),
        (
            "macho.ncmds == 4",
            headed(b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x02\0\0\0\x04\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0"),
        ),
        ("macho.nfat_arch == 2", headed(b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07")),
        ("lnk.is_lnk", headed(b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46\xff\0\0\0")),
        ("dex.is_dex", headed(&dex)),
        ("crx.is_crx", crx()),
    ]
}

fn windows() -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    put(
        &mut bytes,
        &[
            (0, b"MZ"),
            (0x3c, b"\x80"),
            (0x80, b"PE\0\0\x64\x86\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\0\x22\0"),
            (0x98, b"\x0b\x02"),
            (0x104, b"\x10"),
        ],
    );
    bytes
}

/// A library of one section, in which metadata begin that name five streams and have a row in each of six tables.
fn dotnet() -> Vec<u8> {
    let mut bytes = vec![0; 0x800];
    put(
        &mut bytes,
        &[
            (0, b"MZ"),
            (0x3c, b"\x80"),
            (0x80, b"PE\0\0\x4c\x01\x01\0"),
            (0x94, b"\xe0\0\x02\x21\x0b\x01"),
            (0xb4, b"\0\0\x40\0\0\x20\0\0\0\x02\0\0"),
            (0xd0, b"\0\x40\0\0\0\x02\0\0"),
            (0xf4, b"\x10"),
            (0x168, b"\0\x20\0\0\x48\0\0\0"),
            (0x178, b".text\0\0\0\0\x06\0\0\0\x20\0\0\0\x06\0\0\0\x02\0\0"),
            (0x19c, b"\x20\0\0\x60"),
            (0x200, b"\x48\0\0\0\x02\0\x05\0\x48\x20\0\0\0\x05\0\0\x01\0\0\0"),
            (0x248, b"BSJB\x01\0\x01\0\0\0\0\0\x0c\0\0\0v4.0.30319\0\0\0\0\x05\0"),
            (0x268, b"\x6c\0\0\0\0\x01\0\0#~\0\0"),
            (0x274, b"\x80\x01\0\0\x20\0\0\0#Strings\0\0\0\0"),
            (0x288, b"\xa0\x01\0\0\x08\0\0\0#US\0"),
            (0x294, b"\xb0\x01\0\0\x10\0\0\0#GUID\0\0\0"),
            (0x2a4, b"\xc0\x01\0\0\x10\0\0\0#Blob\0\0\0"),
            (0x2b4, b"\0\0\0\0\x02\0\0\x01\x47\0\0\0\x09\0\0\0"),
            (0x2cc, &[1u8, 0, 0, 0].repeat(6)),
            (0x3c8, b"\0Module\0name\0"),
        ],
    );
    bytes
}

/// An extension of a browser, with a key and a signature that are none and a zip of one file.
fn crx() -> Vec<u8> {
    let file = b"C\xbf\xa6\xa3\x02\0\0\0\x02\0\0\0\x0d\0\0\0";
    [
        &b"Cr24\x02\0\0\0\x04\0\0\0\x04\0\0\0keyssignPK\x03\x04\x14\0\0\0\0\0\0\0\0\0"[..],
        file,
        b"manifest.json{}PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0",
        file,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0manifest.json",
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0;\0\0\0-\0\0\0\0\0",
    ]
    .concat()
}

fn put(into: &mut [u8], parts: &[(usize, &[u8])]) {
    for (at, part) in parts {
        into[*at..at + part.len()].copy_from_slice(part);
    }
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
