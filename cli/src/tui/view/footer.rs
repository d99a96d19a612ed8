//! The lines at the bottom: what was done or failed, and the keys that matter here.

use khien_core::text::tui as t;
use ratatui::text::{Line, Span};

use super::super::{
    app::{App, Link},
    clean::{cells, clean, wrap},
    keys,
    theme::Role,
};

/// The most lines a notice takes.
const MAX_NOTICE: usize = 3;

/// Returns the lines of the notice, and of a lost connection's cause.
pub(super) fn notice(app: &App, width: usize) -> Vec<Line<'static>> {
    let (text, role) = match (&app.notice, &app.link) {
        (Some(n), _) if n.failed => (format!("! {} ({})", n.text, app.say(t::DISMISS)), Role::Error),
        (Some(n), _) => (n.text.clone(), Role::Good),
        (None, Link::Down { cause, .. }) => (format!("! {cause}"), Role::Error),
        (None, _) => return Vec::new(),
    };
    let lines = wrap(&clean(&text), width).into_iter().take(MAX_NOTICE);
    lines.map(|l| Line::styled(l, app.theme.style(role))).collect()
}

/// Returns the keys of this screen, as many as there is room for; `?` always.
pub(super) fn keys(app: &App, width: usize) -> Line<'static> {
    let mut named: Vec<_> = keys::here(app.room()).filter(|b| b.footer).collect();
    let help = named.iter().position(|b| b.action == keys::Action::Help).map(|at| named.remove(at));
    named.splice(0..0, help);
    let mut spans = Vec::new();
    let mut used = 0;
    for binding in named {
        let label = format!(" {}  ", app.say(binding.label));
        let wide = cells(binding.shown) + cells(&label);
        if used + wide > width + 2 {
            continue;
        }
        used += wide;
        spans.push(Span::styled(binding.shown, app.theme.style(Role::Key)));
        spans.push(Span::raw(label));
    }
    Line::from(spans)
}
