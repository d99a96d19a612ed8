//! Puts a filled form in the layout of an official document.

use khien_core::{Timestamp, time::in_vietnam};

use super::{
    BLANK, Block, Column, Document, FORMAT, Head, MAX_ROWS, Signature, Text, Tick,
    number::{document_number, place_and_date},
};
use crate::{
    draft::Case,
    form::{Field, Filled, Form, Kind, Table, Value},
};

/// Builds the document of a filled form.
#[must_use]
pub fn document(form: &Form, case: &Case<'_>, filled: &Filled) -> Document {
    Document {
        format: FORMAT,
        date: in_vietnam(case.now).date().to_string().into(),
        head: head(case, filled),
        title: Text::new(&form.title.vi),
        subject: subject(form, case),
        to: recipients(form, case),
        body: body(form, case, filled),
        signature: signature(case, filled),
        copies: copies(case),
    }
}

fn words<'a>(filled: &'a Filled, id: &str) -> Option<&'a str> {
    match filled.values.get(id) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn or_blank(text: Option<&str>) -> Text {
    Text::new(text.unwrap_or(BLANK))
}

fn head(case: &Case<'_>, filled: &Filled) -> Head {
    let upper = |t: &str| t.to_uppercase();
    let parent = case.organization.parent.as_deref().filter(|p| !p.trim().is_empty());
    Head {
        parent: parent.map(|p| upper(p).into()),
        issuer: or_blank(words(filled, "org.name").map(upper).as_deref()),
        number: document_number(words(filled, "doc.number"), words(filled, "doc.symbol")).into(),
        place_and_date: date_line(words(filled, "doc.place"), case.now),
    }
}

fn date_line(place: Option<&str>, now: Timestamp) -> Text {
    place_and_date(place, in_vietnam(now).date()).into()
}

fn subject(form: &Form, case: &Case<'_>) -> Text {
    format!("{} {}", form.subject.vi, case.incident.id).into()
}

fn recipients(form: &Form, case: &Case<'_>) -> Vec<Text> {
    let named: Vec<_> =
        case.organization.recipients.iter().map(Text::new).filter(|t| !t.is_empty()).collect();
    if named.is_empty() { vec![Text::new(&form.recipient)] } else { named }
}

fn signature(case: &Case<'_>, filled: &Filled) -> Signature {
    let authority = case.organization.signer.authority.as_deref().filter(|a| !a.trim().is_empty());
    let title = or_blank(words(filled, "signer.title").map(str::to_uppercase).as_deref());
    Signature {
        title: authority.map(|a| a.to_uppercase().into()).into_iter().chain([title]).collect(),
        name: or_blank(words(filled, "signer.name")),
    }
}

fn copies(case: &Case<'_>) -> Vec<Text> {
    let named = &case.organization.copies;
    if named.is_empty() {
        return vec!["Như trên;".into(), "Lưu: VT.".into()];
    }
    named.iter().map(Text::new).collect()
}

fn body(form: &Form, case: &Case<'_>, filled: &Filled) -> Vec<Block> {
    let mut body = Vec::new();
    for (i, section) in form.sections.iter().enumerate() {
        body.push(Block::Heading { text: format!("{}. {}", i + 1, section.title.vi).into() });
        for field in section.fields.iter().filter(|f| f.is_shown(case.stage)) {
            blocks(field, filled, &mut body);
        }
    }
    body
}

fn blocks(field: &Field, filled: &Filled, body: &mut Vec<Block>) {
    let label = Text::new(&field.label.vi);
    match filled.values.get(&field.id) {
        _ if field.kind == Kind::Choice => body.push(choice(field, label, filled)),
        Some(Value::Text(text)) => text_lines(label, text, body),
        Some(Value::Lines(lines)) => {
            body.push(Block::Line { label, text: Text::default(), blank: false });
            body.extend(lines.iter().map(|l| Block::Item { text: l.into() }));
        }
        Some(Value::Table(table)) => table_blocks(label, table, body),
        Some(Value::Choice(_)) | None => {
            body.push(Block::Line { label, text: BLANK.into(), blank: true });
        }
    }
}

/// The first line stands beside the label, each further line is a paragraph of its own.
fn text_lines(label: Text, text: &str, body: &mut Vec<Block>) {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or_default();
    body.push(Block::Line { label, text: first.into(), blank: false });
    body.extend(lines.map(|l| Block::Line { label: Text::default(), text: l.into(), blank: false }));
}

fn choice(field: &Field, label: Text, filled: &Filled) -> Block {
    let ticked = match filled.values.get(&field.id) {
        Some(Value::Choice(id)) => Some(id),
        _ => None,
    };
    let tick =
        |o: &crate::form::Choice| Tick { label: Text::new(&o.label.vi), ticked: ticked == Some(&o.id) };
    Block::Choice { label, options: field.options.iter().map(tick).collect() }
}

fn table_blocks(label: Text, table: &Table, body: &mut Vec<Block>) {
    let column = |(title, width): &(&str, u8)| Column { title: Text::new(title), width: *width };
    let row = |cells: &Vec<String>| cells.iter().map(Text::new).collect();
    body.push(Block::Line { label, text: Text::default(), blank: false });
    body.push(Block::Table {
        columns: table.columns.iter().map(column).collect(),
        rows: table.rows.iter().take(MAX_ROWS).map(row).collect(),
    });
    let more = table.rows.len().saturating_sub(MAX_ROWS);
    if more > 0 {
        body.push(Block::Item {
            text: format!("… và {more} dòng khác trong hồ sơ sự cố").into()
        });
    }
}
