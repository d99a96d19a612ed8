//! DOCX, the form that staff edit and sign: A4, margins 20/20/30/15 mm, Times New Roman, sizes after NĐ 30/2020/NĐ-CP.

use std::io::Cursor;

use docx_rs::{
    AlignmentType, Docx, Header, LineSpacing, LineSpacingType, PageMargin, PageNum, Paragraph, Run, RunFonts,
    SpecialIndentType, TableLayoutType,
};

use self::parts::{Style, TEXT_WIDTH, half_points, line, plain_table, rule_line, ruled_table};
use crate::document::{Block, Document, Head, Signature, Text, Tick, words};

mod parts;

/// The document could not be packed.
#[derive(Debug, thiserror::Error)]
#[error("pack the DOCX file")]
pub struct DocxError(#[source] Box<dyn std::error::Error + Send + Sync>);

const FONT: &str = "Times New Roman";
/// A4 in twentieths of a point.
const PAGE: (u32, u32) = (11_906, 16_838);
/// 10 mm: the page number stands in the middle of the top margin.
const HEADER_AT: i32 = 567;
/// 1 cm, the first line's indent.
const INDENT: i32 = 567;
/// The left column of the head: names of the bodies.
const HEAD_LEFT: usize = 4_020;
/// The left column of the foot: the list of copies.
const FOOT_LEFT: usize = 4_600;

/// Writes the document as DOCX.
///
/// # Errors
/// [`DocxError`] if the archive cannot be written.
pub fn docx(document: &Document) -> Result<Vec<u8>, DocxError> {
    let mut docx = page();
    docx = docx.add_table(head(&document.head));
    docx = title(docx, document);
    docx = to(docx, &document.to);
    for block in &document.body {
        docx = add(docx, block);
    }
    docx = docx.add_paragraph(Paragraph::new());
    docx = docx.add_table(foot(&document.copies, &document.signature));
    let mut out = Cursor::new(Vec::new());
    docx.pack(&mut out).map_err(|e| DocxError(Box::new(e)))?;
    Ok(out.into_inner())
}

fn page() -> Docx {
    let number =
        Paragraph::new().align(AlignmentType::Center).size(half_points(13)).add_page_num(PageNum::new());
    let fonts = RunFonts::new().ascii(FONT).hi_ansi(FONT).cs(FONT).east_asia(FONT);
    Docx::new()
        .page_size(PAGE.0, PAGE.1)
        .page_margin(PageMargin {
            top: 1_134,
            bottom: 1_134,
            left: 1_701,
            right: 851,
            header: HEADER_AT,
            footer: HEADER_AT,
            gutter: 0,
        })
        .default_fonts(fonts)
        .default_size(half_points(14))
        .header(Header::new().add_paragraph(number))
        .first_header(Header::new().add_paragraph(Paragraph::new()))
        .title_pg()
}

fn head(head: &Head) -> docx_rs::Table {
    let center = |text: &str, style| line(text, style).align(AlignmentType::Center);
    let parent = head.parent.iter().map(|p| center(p.as_str(), Style::new(12)));
    let left = parent.chain([
        center(head.issuer.as_str(), Style::new(12).bold()),
        rule_line(HEAD_LEFT * 3 / 10),
        center(head.number.as_str(), Style::new(13)),
    ]);
    let right = TEXT_WIDTH - HEAD_LEFT;
    let right = [
        center(words::NATION, Style::new(12).bold()),
        center(words::MOTTO, Style::new(13).bold()),
        rule_line(right * 14 / 100),
        center(head.place_and_date.as_str(), Style::new(13).italic()),
    ];
    plain_table(HEAD_LEFT, left.collect(), right.into())
}

fn title(docx: Docx, document: &Document) -> Docx {
    let center = |text: &Text| line(text.as_str(), Style::new(14).bold()).align(AlignmentType::Center);
    docx.add_paragraph(center(&document.title).line_spacing(LineSpacing::new().before(240)))
        .add_paragraph(center(&document.subject))
        .add_paragraph(rule_line(TEXT_WIDTH * 35 / 100))
}

/// One addressee stands beside the words, several below them, each line ended by `;`, the last by a full stop.
fn to(docx: Docx, to: &[Text]) -> Docx {
    let spacing = LineSpacing::new().before(120).after(120);
    if let [only] = to {
        let text = format!("{} {only}", words::TO);
        return docx
            .add_paragraph(line(&text, Style::new(14)).align(AlignmentType::Center).line_spacing(spacing));
    }
    let first = line(words::TO, Style::new(14)).indent(Some(1_701), None, None, None).line_spacing(spacing);
    let last = to.len().saturating_sub(1);
    to.iter().enumerate().fold(docx.add_paragraph(first), |docx, (i, name)| {
        let end = if i == last { "." } else { ";" };
        let text = format!("- {}{end}", name.as_str().trim_end_matches([';', '.']));
        docx.add_paragraph(line(&text, Style::new(14)).indent(Some(2_268), None, None, None))
    })
}

fn add(docx: Docx, block: &Block) -> Docx {
    match block {
        Block::Heading { text } => docx.add_paragraph(heading(text)),
        Block::Line { label, text, .. } => docx.add_paragraph(labelled(label, text)),
        Block::Item { text } => docx.add_paragraph(item(text)),
        Block::Choice { label, options } => docx.add_paragraph(choice(label, options)),
        Block::Table { columns, rows } => {
            docx.add_table(ruled_table(columns, rows).layout(TableLayoutType::Fixed))
        }
    }
}

fn body(paragraph: Paragraph) -> Paragraph {
    paragraph
        .align(AlignmentType::Both)
        .line_spacing(LineSpacing::new().before(60).after(60).line(264).line_rule(LineSpacingType::Auto))
        .indent(None, Some(SpecialIndentType::FirstLine(INDENT)), None, None)
}

fn heading(text: &Text) -> Paragraph {
    body(line(text.as_str(), Style::new(14).bold())).keep_next(true)
}

fn labelled(label: &Text, text: &Text) -> Paragraph {
    let style = Style::new(14);
    let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
    body(Paragraph::new().add_run(style.run(&label)).add_run(style.run(text.as_str())))
}

fn item(text: &Text) -> Paragraph {
    body(line(&format!("- {text}"), Style::new(14)))
}

fn choice(label: &Text, options: &[Tick]) -> Paragraph {
    let style = Style::new(14);
    let first = body(Paragraph::new().add_run(style.run(&format!("{label}:")))).align(AlignmentType::Left);
    options.iter().fold(first, |p, o| {
        let mark = if o.ticked { "☒" } else { "☐" };
        // No-break spaces keep a box beside its words.
        let words = o.label.as_str().replace(' ', "\u{a0}");
        p.add_run(style.run("   ")).add_run(box_run(mark)).add_run(style.run(&format!("\u{a0}{words}")))
    })
}

/// Times New Roman has no boxes; naming a font that has them keeps Word from guessing.
fn box_run(mark: &str) -> Run {
    let font = "Segoe UI Symbol";
    let fonts = RunFonts::new().ascii(font).hi_ansi(font).east_asia(font).cs(font);
    Run::new().add_text(mark).size(half_points(14)).fonts(fonts)
}

fn foot(copies: &[Text], signature: &Signature) -> docx_rs::Table {
    let head = line(words::COPIES, Style::new(12).bold().italic());
    let copy = |c: &Text| line(&format!("- {}", c.as_str().trim_start_matches("- ")), Style::new(11));
    let left = [head].into_iter().chain(copies.iter().map(copy));
    let bold = |text: &str| line(text, Style::new(14).bold()).align(AlignmentType::Center);
    let titles = signature.title.iter().map(|t| bold(t.as_str()));
    let room = (0..4).map(|_| line("", Style::new(14)));
    let right = titles.chain(room).chain([bold(signature.name.as_str())]);
    plain_table(FOOT_LEFT, left.collect(), right.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::sample;

    #[test]
    fn the_file_is_a_zip_archive() {
        let bytes = docx(&sample()).unwrap();

        assert_eq!(&bytes[..4], b"PK\x03\x04");
    }

    #[test]
    fn markup_in_a_value_stays_text() {
        let bytes = docx(&sample()).unwrap();

        let read = docx_rs::read_docx(&bytes).unwrap().json();

        assert!(read.contains(r#"<webshell> & \"khác\""#), "{read}");
    }
}
