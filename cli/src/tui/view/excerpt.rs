//! Bytes around a match, as escaped text or as hex. They are hostile: nothing of them reaches the terminal as it is.

use khien_core::{event::Excerpt, text::tui as t, untrusted::escape};
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::super::{
    app::App,
    clean::{clean, wrap_spans},
    theme::Role,
};

/// Bytes in one line of the hex form.
const PER_LINE: usize = 16;

/// Writes one excerpt under its offset.
pub(super) fn lines(app: &App, excerpt: &Excerpt, width: usize) -> Vec<Line<'static>> {
    let head = t::EXCERPT.with(app.lang, &[&excerpt.offset]);
    let mut out = vec![Line::from(""), Line::styled(head, app.theme.style(Role::Title))];
    out.extend(match app.hex {
        true => hex(app, excerpt),
        false => text(app, excerpt, width),
    });
    out
}

/// Writes the bytes as text; where the bytes break a line, so does this, and says so.
fn text(app: &App, excerpt: &Excerpt, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    for (bytes, style) in parts(app, excerpt) {
        let mut pieces = bytes.split(|b| *b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let Some(line) = lines.last_mut() else { break };
            line.push(Span::styled(clean(&escape(piece)), style));
            if pieces.peek().is_some() {
                line.push(Span::styled("\\n", app.theme.style(Role::Muted).patch(style)));
                lines.push(Vec::new());
            }
        }
    }
    lines.iter().flat_map(|l| wrap_spans(l, width)).map(Line::from).collect()
}

fn parts<'a>(app: &App, excerpt: &'a Excerpt) -> [(&'a [u8], Style); 3] {
    let plain = app.theme.style(Role::Plain);
    let matched = app.theme.style(Role::Match);
    [(excerpt.before.raw(), plain), (excerpt.matched.raw(), matched), (excerpt.after.raw(), plain)]
}

fn hex(app: &App, excerpt: &Excerpt) -> Vec<Line<'static>> {
    let bytes =
        parts(app, excerpt).into_iter().flat_map(|(bytes, style)| bytes.iter().map(move |b| (*b, style)));
    let bytes: Vec<(u8, Style)> = bytes.collect();
    let start = excerpt.offset.saturating_sub(excerpt.before.raw().len() as u64);
    bytes
        .chunks(PER_LINE)
        .enumerate()
        .map(|(i, c)| hex_line(start.saturating_add((i * PER_LINE) as u64), c))
        .collect()
}

fn hex_line(offset: u64, bytes: &[(u8, Style)]) -> Line<'static> {
    let mut spans = vec![Span::raw(format!("{offset:08x}  "))];
    for (byte, style) in bytes {
        spans.push(Span::styled(format!("{byte:02x}"), *style));
        spans.push(Span::raw(" "));
    }
    spans.push(Span::raw("   ".repeat(PER_LINE - bytes.len()) + " "));
    let shown =
        |b: u8| if b.is_ascii_graphic() || b == b' ' { char::from(b).to_string() } else { ".".to_owned() };
    spans.extend(bytes.iter().map(|(b, style)| Span::styled(shown(*b), *style)));
    Line::from(spans)
}
