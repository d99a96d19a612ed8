//! Rules by chance, meant to be nasty: every construct of a condition and every modifier.

use std::fmt::Write as _;

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap_or(0)
    }

    pub(super) fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What patterns look for and files are made of.
pub(super) const WORDS: &[&str] = &[
    "alpha",
    "Bravo",
    "charlie9",
    "de",
    "MZ",
    "evil",
    "GetProcAddress",
    "http://x.vn/",
    "zz  zz",
    "x",
    "KhIeN",
    "@@[[",
    "0123456789abcdef",
    "\u{1b0}\u{1edb}c",
    "aaaa",
    "aaaaab",
    "tail",
];
const MODIFIERS: &[&str] = &[
    "",
    "",
    "",
    "nocase",
    "wide",
    "ascii wide",
    "nocase wide ascii",
    "fullword",
    "private",
    "xor",
    "xor(1-3)",
    "base64",
    "base64wide",
    "fullword nocase",
    "xor wide",
    "base64 base64wide",
    "ascii fullword wide",
];
const EXPRESSIONS: &[&str] = &[
    "/al(p|f)ha/",
    "/br?avo/i",
    "/ev[il]{2}/",
    "/(evil|tail|charlie)[0-9]?/",
    "/alpha.{0,20}Bravo/",
    "/alpha.{1,400}tail/s",
    "/\\bevil\\b/",
    "/\\<?evil\\>?/",
    "/(evil)*alpha/",
    "/(al|)pha/",
    "/[aA]lpha/",
    "/Get(Proc){1,2}Addr/",
    "/a{4,6}b/",
    "/khien/i",
    "/x?evil$/",
    "/^MZ/",
    "/(?i)BRAVO(?-i)tail/",
    "/aaaa|evil|0123456789abcdef/",
    "/ch.rlie\\d/s",
    "/\\x61lpha/",
    "/[^b]ravo/",
    "/ta(il|IL)/",
    "/(alpha|evil){2}/",
    "/evil\\B/",
    "/e(?:v(?:i(?:l)))/",
];
const HEX: &[&str] = &[
    "{ 65 76 69 6C }",
    "{ 61 6C ?? 68 61 }",
    "{ 61 6C [0-4] 61 }",
    "{ 4D 5A }",
    "{ (61|41) 6C 70 68 61 }",
    "{ 65 7? 69 6C }",
    "{ 65 ~77 69 6C }",
    "{ 61 6C 70 68 61 [1-30] 65 76 69 6C }",
    "{ 30 31 32 33 34 35 36 37 }",
    "{ 61 61 ( 61 61 | 62 ?? ) 62 }",
    "{ ?? 76 69 6C 65 }",
    "{ 61 6C [-] 74 61 69 6C }",
    "{ 65 76 ( 69 | 49 ) 6C }",
];

/// Returns rules of which a later one may name an earlier one.
pub(super) fn rules(dice: &mut Dice, count: usize) -> Vec<String> {
    (0..count).map(|at| rule(dice, at)).collect()
}

fn rule(dice: &mut Dice, at: usize) -> String {
    let patterns = 1 + dice.below(5);
    let mut text = String::new();
    let private = if dice.chance(15) { "private " } else { "" };
    let _ = writeln!(text, "{private}rule r{at} {{\n strings:");
    for p in 0..patterns {
        let _ = writeln!(text, "  $_{} = {}", name(p), pattern(dice));
    }
    let mut words = Conditions { dice, patterns, at, inside: false, number: false };
    let condition = words.one(3);
    let _ = writeln!(text, " condition: {condition}\n}}");
    text
}

fn name(at: usize) -> String {
    ["a", "ab", "b", "ba", "c", "d"][at].to_owned()
}

fn pattern(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..5 => format!("\"{}\" {}", dice.one(WORDS), dice.one(MODIFIERS)),
        5..8 => format!(
            "{} {}",
            dice.one(EXPRESSIONS),
            dice.one(&["", "", "nocase", "wide", "ascii wide", "fullword"])
        ),
        _ => dice.one(HEX).to_owned(),
    }
}

struct Conditions<'d> {
    dice: &'d mut Dice,
    patterns: usize,
    at: usize,
    inside: bool,
    number: bool,
}

impl Conditions<'_> {
    fn one(&mut self, depth: usize) -> String {
        match self.dice.below(if depth == 0 { 10 } else { 19 }) {
            0 | 1 => self.pattern_match(),
            2 => self.count(),
            3 => self.place(),
            4 | 5 => self.of(),
            6 => self.size(),
            7 => self.head(),
            8 => self.module(),
            9 => self.rest(),
            10 | 11 => format!("({} and {})", self.one(depth - 1), self.one(depth - 1)),
            12 | 13 => format!("({} or {})", self.one(depth - 1), self.one(depth - 1)),
            14 => format!("not ({})", self.one(depth - 1)),
            15 => self.for_of(depth - 1),
            16 => self.for_in(depth - 1),
            17 => format!("{} of ({}, {})", self.quantifier(), self.one(depth - 1), self.one(depth - 1)),
            _ => self.defined(depth - 1),
        }
    }

    fn some(&mut self) -> String {
        if self.inside && self.dice.chance(60) {
            return String::new();
        }
        let at = self.dice.below(self.patterns);
        format!("_{}", name(at))
    }

    fn sign(&mut self) -> &'static str {
        self.dice.one(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn pattern_match(&mut self) -> String {
        let some = self.some();
        match self.dice.below(6) {
            0 => format!("${some} at {}", self.offset()),
            1 => format!(
                "${some} in ({}..{})",
                self.offset(),
                self.dice.one(&["5", "20", "filesize", "filesize - 3"])
            ),
            _ => format!("${some}"),
        }
    }

    fn offset(&mut self) -> String {
        if self.number && self.dice.chance(50) {
            return "i".to_owned();
        }
        self.dice.one(&["0", "0", "1", "4", "0x3c", "filesize - 4"]).to_owned()
    }

    fn count(&mut self) -> String {
        let (some, sign, n) = (self.some(), self.sign(), self.dice.below(3));
        match self.dice.below(6) {
            0 => format!("{n} {sign} #{some}"),
            1 => format!("#{some} in (0..{}) {sign} {n}", self.offset()),
            2 => format!("#{some} + #_a {sign} {n}"),
            3 => format!("#{some}"),
            _ => format!("#{some} {sign} {n}"),
        }
    }

    fn place(&mut self) -> String {
        let (some, sign, n) = (self.some(), self.sign(), self.dice.below(9));
        match self.dice.below(5) {
            0 => format!("@{some}[2] {sign} {n}"),
            1 => format!("!{some} {sign} {n}"),
            2 => format!("{n} {sign} @{some}"),
            3 => format!("@{some} {sign} @_a"),
            _ => format!("@{some} {sign} {n}"),
        }
    }

    fn quantifier(&mut self) -> String {
        match self.dice.below(8) {
            0 | 1 => "any".to_owned(),
            2 => "all".to_owned(),
            3 => "none".to_owned(),
            4 => format!("{}%", self.dice.below(101)),
            5 if self.number => "i".to_owned(),
            _ => self.dice.below(4).to_string(),
        }
    }

    fn set(&mut self) -> String {
        self.dice
            .one(&["them", "($_a*)", "($_*)", "($_a, $_a)", "($_a, $_a*)", "($_a)", "($_b*)", "($_ab, $_b)"])
            .to_owned()
    }

    fn of(&mut self) -> String {
        let anchor = self.dice.one(&["", "", "", " at 0", " in (0..9)", " at filesize - 4"]);
        format!("{} of {}{anchor}", self.quantifier(), self.set())
    }

    fn size(&mut self) -> String {
        let (sign, n) = (self.sign(), self.dice.below(200));
        match self.dice.below(4) {
            0 => format!("{n} {sign} filesize"),
            1 => format!("filesize + 10 {sign} {n}"),
            _ => format!("filesize {sign} {n}"),
        }
    }

    fn head(&mut self) -> String {
        let read =
            self.dice.one(&["uint8", "uint16", "uint32", "uint16be", "uint32be", "int16", "int32be", "int8"]);
        let offset = self.dice.one(&["0", "0", "1", "4", "filesize - 2", "uint32(0x3c)"]);
        let n = self.dice.one(&[
            "0x5a4d",
            "0x4d5a",
            "0x464c457f",
            "0x7f454c46",
            "0x4d",
            "0x616c7068",
            "0x6c61",
            "0x4550",
            "0",
        ]);
        let sign = if self.dice.chance(70) { "==" } else { self.sign() };
        if self.dice.chance(20) {
            format!("{n} {sign} {read}({offset})")
        } else {
            format!("{read}({offset}) {sign} {n}")
        }
    }

    fn module(&mut self) -> String {
        let simple = self.dice.one(&[
            "pe.is_pe",
            "not pe.is_pe",
            "pe.is_pe == false",
            "pe.is_dll()",
            "pe.is_64bit()",
            "pe.sections[0].name == \".text\"",
            "pe.machine == pe.MACHINE_AMD64",
            "pe.MACHINE_AMD64 == pe.MACHINE_AMD64",
            "pe.imports(\"kernel32.dll\")",
            "pe.imports(\"kernel32.dll\") == 0",
            "pe.exports(\"a\")",
            "pe.imphash() == \"0\"",
            "pe.imphash() != \"0\"",
            "pe.number_of_signatures",
            "pe.version_info[\"CompanyName\"] contains \"x\"",
            "pe.sections.len() == 0",
            "pe.characteristics & pe.DLL == 0",
            "pe.rich_signature.toolid(1)",
            "pe.entry_point_raw > 0",
            "pe.timestamp != 0",
            "elf.type == elf.ET_EXEC",
            "elf.type != elf.ET_EXEC",
            "elf.machine == elf.EM_X86_64",
            "elf.sections.len() == 0",
            "elf.telfhash() != \"x\"",
            "dotnet.is_dotnet",
            "dotnet.is_dotnet == false",
            "dotnet.version == \"v4\"",
            "math.entropy(0, filesize) > 2.0",
            "hash.md5(0, filesize) != \"x\"",
            "pe.language(4)",
            "pe.locale(4) == false",
            "for any s in pe.sections : (s.name == \".text\")",
            "for all s in pe.sections : (s.name == \"x\")",
            "for none s in pe.sections : (s.name == \"x\")",
            "for any s in elf.sections : (s.name != \"x\")",
            "pe.timestamp == pe.timestamp",
            "pe.number_of_imports < 9",
            "elf.entry_point >= 0",
            "pe.dll_name icontains \"a\"",
        ]);
        let field = self.dice.one(&[
            "machine",
            "subsystem",
            "characteristics",
            "timestamp",
            "image_base",
            "checksum",
            "entry_point",
            "section_alignment",
            "size_of_image",
            "number_of_sections",
            "number_of_resources",
            "number_of_imports",
            "number_of_exports",
            "number_of_signatures",
            "number_of_version_infos",
            "number_of_imported_functions",
            "opthdr_magic",
            "os_version.major",
            "linker_version.minor",
            "number_of_symbols",
        ]);
        let of_elf = self.dice.one(&[
            "type",
            "machine",
            "osabi",
            "entry_point",
            "number_of_sections",
            "number_of_segments",
            "sh_offset",
            "ph_offset",
            "symtab_entries",
            "dynsym_entries",
        ]);
        let (sign, n) = (self.sign(), self.dice.below(3));
        match self.dice.below(5) {
            0 | 1 => format!("pe.{field} {sign} {n}"),
            2 => format!("elf.{of_elf} {sign} {n}"),
            _ => simple.to_owned(),
        }
    }

    fn rest(&mut self) -> String {
        match self.dice.below(5) {
            0 => "true".to_owned(),
            1 => "false".to_owned(),
            _ if self.at > 0 => format!("r{}", self.dice.below(self.at)),
            _ => "filesize > 5".to_owned(),
        }
    }

    fn for_of(&mut self, depth: usize) -> String {
        let (quantifier, set) = (self.quantifier(), self.set());
        let before = std::mem::replace(&mut self.inside, true);
        let body = self.one(depth);
        self.inside = before;
        format!("for {quantifier} of {set} : ( {body} )")
    }

    fn for_in(&mut self, depth: usize) -> String {
        let (quantifier, range) =
            (self.quantifier(), self.dice.one(&["(0..3)", "(1..#_a)", "(3..0)", "(0, 4, 7)", "(1..2)"]));
        let before = std::mem::replace(&mut self.number, true);
        let body = self.one(depth);
        self.number = before;
        if self.dice.chance(15) {
            format!("with i = #_a + 1 : ( {body} )")
        } else {
            format!("for {quantifier} i in {range} : ( {body} )")
        }
    }

    fn defined(&mut self, depth: usize) -> String {
        let what = self.dice.one(&["@_a", "pe.machine", "elf.type", "uint32(4)", "pe.imphash()", "!_a[2]"]);
        match self.dice.below(4) {
            0 => format!("defined {what}"),
            1 => format!("not defined {what}"),
            2 => format!("(defined {what} and {})", self.one(depth)),
            _ => format!("not (not ({}))", self.one(depth)),
        }
    }
}
