//! Markdown, for a preview in the terminal and for mail.

use std::fmt::Write;

use crate::document::{Block, Column, Document, Text, words};

/// Writes the document as Markdown.
#[must_use]
pub fn markdown(document: &Document) -> String {
    let mut out = String::new();
    head(document, &mut out);
    document.body.iter().for_each(|b| block(b, &mut out));
    foot(document, &mut out);
    out
}

fn line(out: &mut String, text: impl AsRef<str>) {
    out.push_str(text.as_ref());
    out.push_str("\n\n");
}

fn head(document: &Document, out: &mut String) {
    line(out, format!("**{}**  \n**{}**", words::NATION, words::MOTTO));
    if let Some(parent) = &document.head.parent {
        line(out, inert(parent));
    }
    line(out, format!("**{}**", inert(&document.head.issuer)));
    line(out, inert(&document.head.number));
    line(out, format!("*{}*", inert(&document.head.place_and_date)));
    line(out, format!("# {}", inert(&document.title)));
    line(out, format!("**{}**", inert(&document.subject)));
    let to: Vec<_> = document.to.iter().map(inert).collect();
    line(out, format!("{} {}", words::TO, to.join("; ")));
}

fn block(block: &Block, out: &mut String) {
    match block {
        Block::Heading { text } => line(out, format!("## {}", inert(text))),
        Block::Line { label, text, .. } if label.is_empty() => line(out, inert(text)),
        Block::Line { label, text, .. } => {
            line(out, format!("{}: {}", inert(label), inert(text)).trim_end());
        }
        Block::Item { text } => line(out, format!("- {}", inert(text))),
        Block::Choice { label, options } => {
            let boxes = options.iter().map(|o| {
                let mark = if o.ticked { "[x]" } else { "[ ]" };
                format!("{mark} {}", inert(&o.label))
            });
            line(out, format!("{}: {}", inert(label), boxes.collect::<Vec<_>>().join("  ")));
        }
        Block::Table { columns, rows } => table(columns, rows, out),
    }
}

fn table(columns: &[Column], rows: &[Vec<Text>], out: &mut String) {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&row(columns.iter().map(|c| inert(&c.title)).collect()));
    out.push_str(&row(columns.iter().map(|_| "---".to_owned()).collect()));
    rows.iter().for_each(|r| out.push_str(&row(r.iter().map(inert).collect())));
    out.push('\n');
}

fn foot(document: &Document, out: &mut String) {
    for title in &document.signature.title {
        line(out, format!("**{}**", inert(title)));
    }
    line(out, format!("**{}**", inert(&document.signature.name)));
    line(out, format!("***{}***", words::COPIES));
    for copy in &document.copies {
        let _ = writeln!(out, "- {}", inert(copy));
    }
}

/// Escapes what Markdown or HTML would act on.
fn inert(text: &Text) -> String {
    let mut out = String::with_capacity(text.as_str().len());
    for c in text.as_str().chars() {
        if matches!(c, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
