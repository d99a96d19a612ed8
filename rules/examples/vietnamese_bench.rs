//! Prints what looking for Vietnamese phrases costs: to compile, to keep and to scan, form by form.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{error::Error, time::Instant};

use khien_rules::vietnamese::{Forms, Phrase, gambling};
use unicode_normalization::UnicodeNormalization;

/// Bytes scanned of each text.
const SIZE: usize = 4 << 20;
/// A page about other things, with syllables of the phrases in it.
const TEXT: &str = "Ủy ban nhân dân xã thông báo: các nhà máy, nhà ở và cá nhân có công trình cải tạo phải đăng \
    ký trước ngày 30 tháng 11; hồ sơ nộp tại bộ phận một cửa. Đội quản lý đô thị tài trợ xe cho trẻ em. Bắn pháo hoa.\n";

fn main() -> Result<(), Box<dyn Error>> {
    let forms = [
        ("marked", Forms::MARKED),
        ("bare", Forms::BARE),
        ("marked, bare", Forms::MARKED.and(Forms::BARE)),
        ("... split", Forms::MARKED.and(Forms::BARE).and(Forms::SPLIT)),
        ("spelled", Forms::SPELLED),
        ("utf-16", Forms::UTF16),
        ("legacy", Forms::LEGACY),
        ("web", Forms::WEB),
    ];
    println!("{} phrases; MB/s of one thread\n", gambling::words().count());
    println!("form           source KB  compile ms  kept KB   text   nfd  entities  utf-16  binary");
    for (name, form) in forms {
        let patterns = gambling::words().enumerate().filter_map(|(number, word)| {
            // A word without marks has no legacy form.
            Some(format!("$w{number} = {}\n", word.parse::<Phrase>().ok()?.regex(form).ok()?))
        });
        let body: String = patterns.collect();
        row(name, &format!("rule words {{ strings: {body} condition: any of them }}"))?;
    }
    row("the whole rule", &gambling::source()?)
}

fn row(name: &str, source: &str) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let mut compiler = yara_x::Compiler::new();
    compiler.add_source(source)?;
    let rules = compiler.build();
    let compiled = begin.elapsed().as_secs_f64() * 1e3;
    let kept = rules.serialize()?.len() / 1_000;
    print!("{name:<15}{:>9}{compiled:>12.0}{kept:>9}", source.len() / 1_000);
    let mut scanner = yara_x::Scanner::new(&rules);
    for text in texts() {
        let _ = scanner.scan(&text[..1_000])?;
        let begin = Instant::now();
        let _ = scanner.scan(&text)?;
        print!("{:>8.0}", text.len() as f64 / begin.elapsed().as_secs_f64() / 1e6);
    }
    println!();
    Ok(())
}

fn texts() -> [Vec<u8>; 5] {
    let entities: String = TEXT
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("&#{};", u32::from(c)) })
        .collect();
    let binary = (0..SIZE as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8);
    [
        filled(TEXT.as_bytes()),
        filled(TEXT.nfd().collect::<String>().as_bytes()),
        filled(entities.as_bytes()),
        filled(&TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        binary.collect(),
    ]
}

fn filled(text: &[u8]) -> Vec<u8> {
    text.iter().copied().cycle().take(SIZE).collect()
}
