//! What changed in a text, line by line. The lines are hostile: nothing of them reaches the terminal as it is.

use khien_core::{Untrusted, text::tui as t, untrusted::escape};
use ratatui::text::{Line, Span};

use super::super::{
    app::App,
    clean::{clean, wrap_spans},
    theme::Role,
};

/// Writes a diff; a line that came is green, one that went is red, and each keeps its sign.
pub(super) fn lines(app: &App, diff: &Untrusted, width: usize) -> Vec<Line<'static>> {
    let head = Line::styled(app.say(t::DIFF).to_owned(), app.theme.style(Role::Title));
    let one = |line: &[u8]| {
        let role = match line.first() {
            Some(b'+') => Role::Good,
            Some(b'-') => Role::Error,
            _ => Role::Muted,
        };
        let spans = vec![Span::styled(clean(&escape(line)), app.theme.style(role))];
        wrap_spans(&spans, width).into_iter().map(Line::from).collect::<Vec<_>>()
    };
    let body = diff.raw().split(|b| *b == b'\n').flat_map(one);
    [Line::from(""), head].into_iter().chain(body).collect()
}
