//! Draws what the UI knows. Reads the state, changes nothing, and builds no row that is not on the screen.

mod agents;
mod case;
mod detail;
mod dialog;
mod diff;
mod excerpt;
mod footer;
mod header;
mod incidents;
mod queue;
mod span;

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    app::{App, Room, Tab},
    clean::{clean, fit, wrap, wrap_spans},
    theme::Role,
};

pub(crate) use dialog::limit as dialog_limit;

/// Cells of the label in front of a value; with it a whole SHA-256 fits on one line of 80 cells.
const LABEL: usize = 15;
/// Rows below which only the body is drawn.
const TINY: u16 = 8;

/// Draws the whole screen.
pub(crate) fn view(app: &App, frame: &mut Frame) {
    let area = frame.area();
    let [head, body, notice, foot] = parts(app, area);
    put(frame, head, header::lines(app, head.width.into()));
    match app.room() {
        Room::Queue => queue::draw(app, frame, body),
        Room::Detail => detail::draw(app, frame, body),
        Room::Incidents => put(frame, body, incidents::lines(app, body.width.into(), body.height.into())),
        Room::Case => case::draw(app, frame, body),
        Room::Agents => agents::draw(app, frame, body),
    }
    put(frame, notice, footer::notice(app, notice.width.into()));
    put(frame, foot, vec![footer::keys(app, foot.width.into())]);
    dialog::draw(app, frame, area);
}

/// Returns how far the screen can be scrolled; in an incident's alerts, the last row.
pub(crate) fn scroll_limit(app: &App) -> usize {
    let [_, body, ..] = parts(app, Rect::new(0, 0, app.size.0, app.size.1));
    let shown = usize::from(body.height).saturating_sub(1);
    match (app.room(), &app.case) {
        (Room::Detail, _) => {
            detail::lines(app, app.shown_alert(), body.width.into()).len().saturating_sub(shown)
        }
        (Room::Case, Some(case)) if case.tab == Tab::Alerts => {
            case.file.as_ref().map_or(0, |f| f.alerts.len().saturating_sub(1))
        }
        (Room::Case, Some(case)) => case::lines(app, case, body).len().saturating_sub(shown),
        _ => 0,
    }
}

/// Divides the screen into bar, body, notice and footer.
fn parts(app: &App, area: Rect) -> [Rect; 4] {
    if area.height < TINY {
        let none = Rect { height: 0, ..area };
        return [none, area, none, none];
    }
    let rows = |lines: usize| u16::try_from(lines).unwrap_or(1);
    let head = rows(header::lines(app, area.width.into()).len());
    let notice = rows(footer::notice(app, area.width.into()).len());
    let body = area.height.saturating_sub(head + notice + 1);
    let mut y = area.y;
    [head, body, notice, 1].map(|height| {
        let part = Rect { y, height, ..area }.intersection(area);
        y = y.saturating_add(height);
        part
    })
}

/// Draws lines, as many as there is room for.
fn put(frame: &mut Frame, area: Rect, lines: Vec<Line<'static>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// Draws a head and, below it, the lines from `scroll` on.
fn put_scrolled(
    frame: &mut Frame,
    area: Rect,
    head: Line<'static>,
    lines: Vec<Line<'static>>,
    scroll: usize,
) {
    let rows = usize::from(area.height).saturating_sub(1);
    let from = scroll.min(lines.len().saturating_sub(rows));
    let shown = std::iter::once(head).chain(lines.into_iter().skip(from).take(rows));
    put(frame, area, shown.collect());
}

/// Returns the first row to show so that the cursor is in the middle where it can be.
fn first_row(cursor: usize, rows: usize, count: usize) -> usize {
    cursor.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

/// Writes the head of a part of the screen.
fn title(app: &App, text: &str, width: usize) -> Line<'static> {
    Line::styled(fit(text, width), app.theme.style(Role::Title).patch(ruled()))
}

fn ruled() -> Style {
    Style::new().add_modifier(ratatui::style::Modifier::UNDERLINED)
}

/// Writes a label and its value; what is too long goes on below.
fn field(app: &App, label: &str, value: &str, width: usize) -> Vec<Line<'static>> {
    let lines = wrap(&clean(value), width.saturating_sub(LABEL)).into_iter();
    labelled(app, label, lines.map(|l| vec![Span::raw(l)]).collect())
}

/// Writes a label and data that may be cut anywhere.
fn field_of_data(app: &App, label: &str, value: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    let lines = wrap_spans(&[Span::styled(clean(value), style)], width.saturating_sub(LABEL));
    labelled(app, label, lines)
}

fn labelled(app: &App, label: &str, lines: Vec<Vec<Span<'static>>>) -> Vec<Line<'static>> {
    let mut label = Span::styled(fit(label, LABEL), app.theme.style(Role::Muted));
    let mut out = Vec::with_capacity(lines.len());
    for line in lines {
        let mut spans = vec![std::mem::replace(&mut label, Span::raw(" ".repeat(LABEL)))];
        spans.extend(line);
        out.push(Line::from(spans));
    }
    out
}

/// Writes a line that says why there is nothing to see.
fn empty(app: &App, text: &str, width: usize) -> Vec<Line<'static>> {
    wrap(text, width).into_iter().map(|l| Line::styled(l, app.theme.style(Role::Muted))).collect()
}

/// Puts columns side by side, each cut to its width.
fn row(cells: &[(String, usize, Style)]) -> Line<'static> {
    let mut spans = Vec::with_capacity(2 * cells.len());
    for (text, width, style) in cells {
        spans.push(Span::styled(fit(text, *width), *style));
        spans.push(Span::raw(" "));
    }
    spans.pop();
    Line::from(spans)
}

#[cfg(test)]
pub(crate) use queue::rows as queue_rows;
#[cfg(test)]
mod tests;
