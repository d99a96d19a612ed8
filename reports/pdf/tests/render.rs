//! The real program: JSON in, PDF out, seen through poppler.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use khien_core::text::Words;
use khien_reports::{Drafted, Stage, draft};
use sample::Sample;

#[path = "../../tests/sample/mod.rs"]
mod sample;

fn drafted(sample: &Sample) -> Drafted {
    draft("nd331-nhanh", &sample.case(Stage::Full)).expect("the sample can be drafted")
}

fn piped(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts (pdftotext: poppler-utils)");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    // A child that refuses its input closes the pipe early.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("writing does not panic");
    output
}

fn khien_pdf(input: &[u8]) -> Output {
    piped(&mut Command::new(env!("CARGO_BIN_EXE_khien-pdf")), input)
}

fn pdf(drafted: &Drafted) -> Vec<u8> {
    let output = khien_pdf(drafted.pdf_data.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Reads the text of a PDF with pdftotext (Debian package poppler-utils), lines joined.
fn text_of(pdf: &[u8]) -> String {
    let output = piped(Command::new("pdftotext").args(["-layout", "-", "-"]), pdf);
    assert!(output.status.success(), "pdftotext does not read it");
    let text = String::from_utf8(output.stdout).expect("pdftotext writes UTF-8");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_pdf_says_in_vietnamese_what_the_report_says() {
    let text = text_of(&pdf(&drafted(&Sample::new())));

    for part in [
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Độc lập - Tự do - Hạnh phúc",
        "ỦY BAN NHÂN DÂN TỈNH ĐẮK LẮK",
        "Đắk Lắk, ngày 22 tháng 11 năm 2026",
        "Số: ……/BC-ĐƯCSC",
        "BÁO CÁO NHANH",
        "Sự cố an ninh mạng SC-2026-0007",
        "10 giờ 07 phút, ngày 22/11/2026",
        "Nguyễn Hữu Ẩn",
        "Nơi nhận:",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
}

#[test]
fn hostile_text_is_printed_and_never_run() {
    let text = text_of(&pdf(&drafted(&Sample::new())));

    assert!(text.contains("#panic(\"x\")"), "{text}");
}

#[test]
fn a_long_word_breaks_without_hidden_characters() {
    let text = text_of(&pdf(&drafted(&Sample::new())));

    let hash = khien_core::Sha256::of(b"shell").to_string();
    assert!(
        text.contains(&hash[..20]) && !text.contains(&hash),
        "it stands in two lines of its cell: {text}"
    );
    assert!(!text.contains('\u{200b}'));
}

#[test]
fn a_letter_that_the_font_lacks_is_spelled() {
    let mut sample = Sample::new();
    sample.incident.title = Words::same("tệp 漢 và 🛡");

    assert!(text_of(&pdf(&drafted(&sample))).contains(r"tệp \u{6f22} và \u{1f6e1}"));
}

#[test]
fn a_report_of_many_pages_is_numbered_from_the_second_page() {
    let mut sample = Sample::new();
    sample.alerts = vec![sample.alerts[0].clone(); 200];

    let pdf = pdf(&drafted(&sample));

    let page = |n: &str| {
        let output = piped(Command::new("pdftotext").args(["-layout", "-f", n, "-l", n, "-", "-"]), &pdf);
        String::from_utf8(output.stdout).expect("pdftotext writes UTF-8")
    };
    assert!(page("1").trim_start().starts_with("ỦY BAN") || page("1").trim_start().starts_with("CỘNG"));
    assert_eq!(page("2").lines().find(|l| !l.trim().is_empty()).unwrap().trim(), "2");
}

#[test]
fn what_is_no_report_is_refused() {
    for (input, code) in [
        (b"".to_vec(), 4),
        (b"{}".to_vec(), 4),
        (vec![b' '; (4 << 20) + 1], 4),
        (drafted(&Sample::new()).pdf_data.replacen("\"format\":1", "\"format\":2", 1).into_bytes(), 4),
        (drafted(&Sample::new()).pdf_data.replacen("2026-11-22", "2026-13-99", 1).into_bytes(), 5),
    ] {
        let output = khien_pdf(&input);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("khien-pdf: re"));
    }
}

#[test]
fn an_argument_is_wrong_use() {
    let output = piped(Command::new(env!("CARGO_BIN_EXE_khien-pdf")).arg("/etc/passwd"), b"");

    assert_eq!(output.status.code(), Some(2));
}
