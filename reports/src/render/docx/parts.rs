//! Paragraphs and tables of a DOCX file.

use docx_rs::{
    AlignmentType, BorderType, LineSpacing, LineSpacingType, Paragraph, ParagraphBorder,
    ParagraphBorderPosition, ParagraphBorders, Run, Table, TableCell, TableCellMargins, TableLayoutType,
    TableRow, WidthType,
};

use crate::document::{Column, Text};

/// The width between the margins, in twentieths of a point.
pub(super) const TEXT_WIDTH: usize = 11_906 - 1_701 - 851;

/// How a run looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    points: usize,
    bold: bool,
    italic: bool,
}

impl Style {
    pub(super) fn new(points: usize) -> Self {
        Self { points, bold: false, italic: false }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn italic(self) -> Self {
        Self { italic: true, ..self }
    }

    pub(super) fn run(self, text: &str) -> Run {
        let mut run = Run::new().add_text(text).size(half_points(self.points));
        if self.bold {
            run = run.bold();
        }
        if self.italic {
            run = run.italic();
        }
        run
    }
}

/// DOCX counts text sizes in half points.
pub(super) fn half_points(points: usize) -> usize {
    points * 2
}

pub(super) fn line(text: &str, style: Style) -> Paragraph {
    Paragraph::new().add_run(style.run(text))
}

/// A line below the names: an almost empty paragraph with a bottom border, indented on both sides.
pub(super) fn rule_line(indent: usize) -> Paragraph {
    let indent = i32::try_from(indent).unwrap_or(0);
    let bottom =
        ParagraphBorder::new(ParagraphBorderPosition::Bottom).val(BorderType::Single).size(6).color("000000");
    let spacing = LineSpacing::new().line_rule(LineSpacingType::Exact).line(60).after(80);
    let mut paragraph = Paragraph::new()
        .add_run(Run::new().size(2))
        .indent(Some(indent), None, Some(indent), None)
        .line_spacing(spacing);
    paragraph.property = paragraph.property.set_borders(ParagraphBorders::with_empty().set(bottom));
    paragraph
}

/// Two columns without lines.
pub(super) fn plain_table(left_width: usize, left: Vec<Paragraph>, right: Vec<Paragraph>) -> Table {
    let cell = |width, paragraphs: Vec<Paragraph>| {
        let cell = TableCell::new().width(width, WidthType::Dxa).clear_all_border();
        paragraphs.into_iter().fold(cell, TableCell::add_paragraph)
    };
    let right_width = TEXT_WIDTH - left_width;
    let row = TableRow::new(vec![cell(left_width, left), cell(right_width, right)]).cant_split();
    Table::without_borders(vec![row])
        .set_grid(vec![left_width, right_width])
        .width(TEXT_WIDTH, WidthType::Dxa)
        .margins(TableCellMargins::new().margin(0, 0, 0, 0))
        .layout(TableLayoutType::Fixed)
}

/// A table with lines and a bold head.
pub(super) fn ruled_table(columns: &[Column], rows: &[Vec<Text>]) -> Table {
    let widths: Vec<_> = columns.iter().map(|c| TEXT_WIDTH * usize::from(c.width) / 100).collect();
    let cell =
        |width: &usize, paragraph| TableCell::new().width(*width, WidthType::Dxa).add_paragraph(paragraph);
    let head = widths
        .iter()
        .zip(columns)
        .map(|(w, c)| cell(w, line(c.title.as_str(), Style::new(12).bold()).align(AlignmentType::Center)));
    let body = rows.iter().map(|row| {
        let cells = widths.iter().zip(row).map(|(w, text)| cell(w, line(text.as_str(), Style::new(12))));
        TableRow::new(cells.collect())
    });
    let rows = [TableRow::new(head.collect()).cant_split()].into_iter().chain(body);
    Table::new(rows.collect()).set_grid(widths).width(TEXT_WIDTH, WidthType::Dxa)
}
