//! The alert queue. Columns come and go with the width; beside or below it stands the alert under the cursor.

use khien_core::{
    Lang, Severity, Timestamp,
    alert::{Alert, Status},
    text::{Message, alert, tui as t},
};
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    super::{
        app::App,
        clean::{clean, fit, fit_end},
        theme::Role,
    },
    detail, empty, first_row, put, put_scrolled, span, title,
};

/// From this width on the detail stands beside the queue.
const SIDE: u16 = 150;
/// From this height on it stands below.
const BELOW: u16 = 32;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Severity,
    Time,
    Title,
    Host,
    Agency,
    Where,
    Count,
    Status,
}

/// Draws the queue and, where there is room, the alert under the cursor.
pub(super) fn draw(app: &App, frame: &mut Frame, area: Rect) {
    let (list, pane) = split(area);
    put(frame, list, lines(app, list.width.into(), list.height.into()));
    if let (Some(pane), Some(alert)) = (pane, app.queue.selected()) {
        let width = usize::from(pane.width);
        let head = title(app, &detail::heading(app, alert), width);
        put_scrolled(frame, pane, head, detail::lines(app, Some(alert), width), 0);
    }
}

fn split(area: Rect) -> (Rect, Option<Rect>) {
    if area.width >= SIDE {
        let list = Rect { width: area.width / 2 + 10, ..area };
        let pane = Rect { x: area.x + list.width + 1, width: area.width - list.width - 1, ..area };
        (list, Some(pane))
    } else if area.height >= BELOW {
        let list = Rect { height: area.height / 2, ..area };
        let pane = Rect { y: area.y + list.height, height: area.height - list.height, ..area };
        (list, Some(pane))
    } else {
        (area, None)
    }
}

fn lines(app: &App, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut out = vec![title(app, &heading(app), width)];
    if app.queue.len() == 0 {
        out.extend(empty(app, nothing(app), width));
        return out;
    }
    let columns = columns(width);
    out.push(heads(app, &columns));
    out.extend(rows(app, width, height.saturating_sub(2)));
    out
}

fn heading(app: &App) -> String {
    let queue = &app.queue;
    let shown = app.say(if queue.shows_closed() { t::QUEUE_ALL } else { t::QUEUE_OPEN });
    let row = if queue.len() == 0 { 0 } else { queue.cursor() + 1 };
    let mut text = format!("{} – {shown} – {row}/{}", app.say(t::QUEUE), queue.len());
    if queue.marks() > 0 {
        text.push_str(&format!(" – {}", t::MARKED.with(app.lang, &[&queue.marks()])));
    }
    if queue.typing || !queue.filter.text().is_empty() {
        let caret = if queue.typing { "▏" } else { "" };
        text.push_str(&format!(" – {}: {}{caret}", app.say(t::FILTER), queue.filter.text()));
    }
    text
}

fn nothing(app: &App) -> &'static str {
    match (app.heard, app.queue.filter.is_blank()) {
        (None, _) => app.say(t::LOADING),
        (_, true) => app.say(t::NO_ALERTS),
        (_, false) => app.say(t::NO_MATCH),
    }
}

/// Builds the visible rows and no other.
pub(crate) fn rows(app: &App, width: usize, height: usize) -> Vec<Line<'static>> {
    let columns = columns(width);
    let cursor = app.queue.cursor();
    let from = first_row(cursor, height, app.queue.len());
    let visible = app.queue.rows(from, height).enumerate();
    visible.map(|(i, a)| alert_row(app, a, &columns, from + i == cursor, app.queue.is_marked(a.id))).collect()
}

/// Builds one row; also for an incident's own alerts.
pub(super) fn one_row(app: &App, alert: &Alert, width: usize, selected: bool) -> Line<'static> {
    alert_row(app, alert, &columns(width), selected, false)
}

/// Returns the columns for a width: what matters less goes first when it gets narrow.
fn columns(width: usize) -> Vec<(Column, usize)> {
    use Column::{Agency, Count, Host, Severity, Status, Time, Title, Where};
    let mut columns = match width {
        150.. => vec![
            (Severity, 10),
            (Time, 14),
            (Title, 0),
            (Host, 16),
            (Agency, 20),
            (Where, 0),
            (Count, 4),
            (Status, 12),
        ],
        100.. => vec![
            (Severity, 8),
            (Time, 8),
            (Title, 0),
            (Host, 12),
            (Agency, 14),
            (Where, 0),
            (Count, 4),
            (Status, 5),
        ],
        60.. => vec![(Severity, 8), (Time, 8), (Title, 0), (Host, 10), (Where, 0), (Count, 4), (Status, 5)],
        _ => vec![(Severity, 8), (Time, 8), (Title, 0)],
    };
    let used: usize = 2 + columns.iter().map(|(_, w)| w + 1).sum::<usize>();
    let free = width.saturating_sub(used);
    let has_where = columns.iter().any(|(c, _)| *c == Where);
    let for_where = if has_where { free * 9 / 20 } else { 0 };
    for (column, width) in &mut columns {
        match column {
            Where => *width = for_where,
            Title => *width = free - for_where,
            _ => {}
        }
    }
    columns
}

fn heads(app: &App, columns: &[(Column, usize)]) -> Line<'static> {
    let names = columns.iter().map(|(c, w)| fit(app.say(name(*c)), *w));
    let text = format!("   {}", names.collect::<Vec<_>>().join(" "));
    Line::styled(text, app.theme.style(Role::Muted))
}

fn name(column: Column) -> Message {
    match column {
        Column::Severity => t::COL_SEVERITY,
        Column::Time => t::COL_TIME,
        Column::Title => t::COL_TITLE,
        Column::Host => t::COL_HOST,
        Column::Agency => t::COL_AGENCY,
        Column::Where => t::COL_WHERE,
        Column::Count => t::COL_COUNT,
        Column::Status => t::COL_STATUS,
    }
}

fn alert_row(
    app: &App,
    a: &Alert,
    columns: &[(Column, usize)],
    selected: bool,
    marked: bool,
) -> Line<'static> {
    let signs = format!("{}{}", if selected { ">" } else { " " }, if marked { "*" } else { " " });
    let mut spans = vec![Span::raw(signs)];
    for (column, width) in columns {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(cell(app, a, *column, *width), cell_style(app, a, *column)));
    }
    let line = Line::from(spans);
    match (selected, a.status == Status::Closed) {
        (true, _) => line.style(app.theme.style(Role::Selected)),
        (_, true) => line.style(app.theme.style(Role::Muted)),
        _ => line,
    }
}

fn cell_style(app: &App, a: &Alert, column: Column) -> Style {
    match column {
        Column::Severity => app.theme.severity(a.severity),
        Column::Status if a.status == Status::New => app.theme.style(Role::Strong),
        _ => Style::new(),
    }
}

fn cell(app: &App, a: &Alert, column: Column, width: usize) -> String {
    let fitted = |text: &str| fit(&clean(text), width);
    match column {
        Column::Severity if width < 10 => fitted(app.say(short_severity(a.severity))),
        Column::Severity => fitted(app.say(alert::severity(a.severity))),
        Column::Time => fitted(&time(app, a.last_seen, width)),
        Column::Title => fitted(a.title.get(app.lang)),
        Column::Host => fitted(&a.host.to_string()),
        Column::Agency => fitted(&a.agency),
        Column::Where => fit_end(&clean(&place(a, app.lang)), width),
        Column::Count => fitted(&if a.count > 999 { "999+".to_owned() } else { a.count.to_string() }),
        Column::Status if width < 10 => fitted(app.say(short_status(a.status))),
        Column::Status => fitted(app.say(alert::status(a.status))),
    }
}

fn time(app: &App, at: Timestamp, width: usize) -> String {
    match width < 14 {
        true => span::brief(at, app.now),
        false => span::medium(at),
    }
}

/// Says where an alert was found.
fn place(a: &Alert, lang: Lang) -> String {
    if let Some(place) = a.place() {
        return place;
    }
    if let Some(flow) = &a.flow {
        let name = flow.name.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
        return format!("{}→{}{name}", flow.client.ip(), flow.server);
    }
    a.what.as_ref().map(|w| w.get(lang).to_owned()).unwrap_or_default()
}

fn short_severity(severity: Severity) -> Message {
    match severity {
        Severity::Critical => t::SHORT_CRITICAL,
        Severity::High => t::SHORT_HIGH,
        Severity::Medium => t::SHORT_MEDIUM,
        Severity::Low => t::SHORT_LOW,
    }
}

fn short_status(status: Status) -> Message {
    match status {
        Status::New => t::SHORT_NEW,
        Status::Acknowledged => t::SHORT_ACKNOWLEDGED,
        Status::Closed => t::SHORT_CLOSED,
    }
}
