//! Rules made by a program, in the shape of public ones: how many strings a rule has, which modifiers, how its condition
//! is built, and how often a string is one that clean files hold too. They find nothing on purpose.

use std::fmt::Write as _;

/// Rules of one source.
const EACH: usize = 8;

const WORDS: &[&str] = &[
    "update", "loader", "shadow", "stage", "beacon", "inject", "crypt", "panel", "dropper", "remote",
    "session", "window", "handle", "service", "driver", "memory", "thread", "config", "module", "client",
    "server", "payload", "stealer", "keylog", "screen", "browser", "cookie", "wallet", "token", "bypass",
    "process", "create", "virtual", "alloc", "write", "read", "registry", "policy", "install", "persist",
    "schedule", "task", "command", "output", "upload", "download", "archive", "buffer", "encode", "decode",
    "secret", "master", "system", "network", "socket", "connect", "listen", "pipe", "named", "event",
    "mutex", "global", "local", "debug", "release", "project", "source", "builder", "agent", "tunnel",
];
/// Strings that clean files are full of; public rules use them too, beside rarer ones.
const COMMON: &[&str] = &[
    "http://",
    "https://",
    "cmd.exe",
    "kernel32.dll",
    "GetProcAddress",
    "LoadLibraryA",
    "VirtualAlloc",
    "User-Agent",
    "Mozilla/5.0",
    "password",
    "<?php",
    "eval(",
    "base64_decode",
    "$_POST",
    "system(",
    "/bin/sh",
    "Content-Type",
    "powershell",
    "WriteFile",
    "CreateThread",
    "document.write",
    "import socket",
    "subprocess",
    "chmod",
    "explorer.exe",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }
}

/// Returns about so many rules, a few to a namespace.
pub(super) fn sources(count: usize) -> Vec<(String, String)> {
    let mut dice = Dice(7);
    (0..count.div_ceil(EACH)).map(|at| (format!("g{at}"), source(&mut dice, at))).collect()
}

fn source(dice: &mut Dice, at: usize) -> String {
    let rules: String = (0..EACH).map(|r| rule(dice, at * EACH + r)).collect();
    let imports: String = ["pe", "hash"]
        .iter()
        .filter(|m| rules.contains(&format!("{m}.")))
        .map(|m| format!("import \"{m}\"\n"))
        .collect();
    imports + &rules
}

fn rule(dice: &mut Dice, at: usize) -> String {
    if dice.below(100) < 6 {
        return without_strings(dice, at);
    }
    let count = [1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 14, 20][dice.below(16)];
    let mut text = format!("rule g{at} {{\n meta: description = \"made\"\n strings:\n");
    for s in 0..count {
        let group = if s * 2 < count { "s" } else { "x" };
        let _ = writeln!(text, "  ${group}{s} = {}", string(dice));
    }
    let condition = condition(dice, count);
    let _ = writeln!(text, " condition: {condition}\n}}");
    text
}

fn without_strings(dice: &mut Dice, at: usize) -> String {
    let digits: String = (0..32).map(|_| char::from(b"0123456789abcdef"[dice.below(16)])).collect();
    let condition = match dice.below(4) {
        0 => format!("hash.md5(0, filesize) == \"{digits}\" and filesize < 500KB"),
        1 => {
            format!("pe.number_of_sections == {} and pe.timestamp == {}", dice.below(9), dice.below(1 << 30))
        }
        2 => format!("uint16(0) == 0x5a4d and filesize == {}", dice.below(900_000)),
        _ => format!("pe.imphash() == \"{digits}\""),
    };
    format!("rule g{at} {{\n condition: {condition}\n}}\n")
}

fn string(dice: &mut Dice) -> String {
    let (a, b, c, n) = (dice.word(), dice.word(), dice.word(), dice.below(900));
    let modifier = ["", "", "ascii", "wide", "ascii wide", "fullword ascii", "nocase", "ascii wide nocase"]
        [dice.below(8)];
    let modifier = if dice.below(150) == 0 { "xor" } else { modifier };
    match dice.below(20) {
        0 => format!("\"{}\" {modifier}", COMMON[dice.below(COMMON.len())]),
        1 | 2 => hex(dice),
        3 => format!("/{a}[_-]?{b}=[a-z0-9]{{4,20}}{c}/ nocase"),
        4 => format!("/({a}|{b}){n}\\.{c}\\([^)]{{1,40}}\\)/"),
        5 | 6 => format!("\"C:\\\\{a}\\\\{b}\\\\{c}{n}.pdb\" {modifier}"),
        7 | 8 => format!("\"{a}_{b}_{n}\" {modifier}"),
        9 => format!("\"Failed to {a} the {b}: %d ({n})\" {modifier}"),
        10 => format!("\"{a}{n}\" {modifier}"),
        11 => format!("\"/{a}/{b}.php?id={n}\" {modifier}"),
        12 => format!("\"${a}{n} = ${b}['{c}'];\" ascii"),
        13 => format!("\"{}{}Ex{n}\" {modifier}", a.to_uppercase(), b),
        _ => format!("\"{a} {b} {c} {n}\" {modifier}"),
    }
}

fn hex(dice: &mut Dice) -> String {
    let mut text = String::from("{");
    for at in 0..12 + dice.below(20) {
        match dice.below(14) {
            0 if at > 4 => text.push_str(" ??"),
            1 if at > 4 => text.push_str(" [1-6] 8B"),
            _ => {
                let _ = write!(
                    text,
                    " {:02X}",
                    [0x8b, 0x45, 0xe8, 0x00, 0xff, 0x48, 0x89, 0xc3, 0x55, 0x83, 0x0f, 0x74][dice.below(12)]
                        ^ dice.below(6)
                );
            }
        }
    }
    text + " 90 }"
}

fn condition(dice: &mut Dice, count: usize) -> String {
    let some = match (dice.below(8), count) {
        (_, 1) => "$s0".to_owned(),
        (0 | 1, _) => "all of them".to_owned(),
        (2, _) => "any of them".to_owned(),
        (3, _) => format!("{} of them", 1 + dice.below(count.min(5))),
        (4, _) => "1 of ($s*) and 1 of ($x*)".to_owned(),
        (5, _) => "all of ($s*) or all of ($x*)".to_owned(),
        (6, _) => "#s0 > 1 and any of them".to_owned(),
        _ => format!("(1 of ($x*) or {} of them)", 1 + dice.below(count)),
    };
    match dice.below(40) {
        0..16 => format!("uint16(0) == 0x5a4d and filesize < {}KB and ({some})", 100 + dice.below(4000)),
        16..20 => format!("filesize < {}KB and ({some})", 20 + dice.below(1000)),
        20 => format!("pe.imphash() == \"0\" or ({some} and pe.is_dll())"),
        21..23 => format!("uint32(0) == 0x464c457f and ({some})"),
        23 => format!("({some}) and not filename matches /test/"),
        24 => format!("extension == \".php\" and {some}"),
        25 if dice.below(4) == 0 => format!("({some}) or filepath contains \"nowhere-{}\"", dice.below(99)),
        _ => some,
    }
}
