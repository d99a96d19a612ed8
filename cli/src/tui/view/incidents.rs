//! The list of incidents, each with the deadline that comes next.

use khien_core::{
    incident::{Incident, IncidentStatus},
    text::{Message, alert, tui as t},
};
use khien_reports::clock::{Clock, ClockState, clocks};
use ratatui::{style::Style, text::Line};

use super::{
    super::{app::App, clean::clean, theme::Role},
    empty, first_row, row, span, title,
};

/// Returns the lines of the list.
pub(super) fn lines(app: &App, width: usize, height: usize) -> Vec<Line<'static>> {
    let count = app.incidents.len();
    let at = app.incident_row();
    let here = if count == 0 { 0 } else { at + 1 };
    let mut out = vec![title(app, &format!("{} – {here}/{count}", app.say(t::INCIDENTS)), width)];
    if count == 0 {
        out.extend(empty(app, app.say(t::NO_INCIDENTS), width));
        return out;
    }
    out.push(heads(app, width));
    let rows = height.saturating_sub(2);
    let from = first_row(at, rows, count);
    let visible = app.incidents.iter().enumerate().skip(from).take(rows);
    out.extend(visible.map(|(i, incident)| incident_row(app, incident, width, i == at)));
    out
}

/// Returns the widths of sign, number, severity, status, alerts, title, deadline.
fn widths(width: usize) -> [usize; 7] {
    let fixed = [1, 12, 10, 10, 6];
    let free = width.saturating_sub(fixed.iter().sum::<usize>() + 6);
    let clock = (free / 2).min(44);
    [fixed[0], fixed[1], fixed[2], fixed[3], fixed[4], free - clock, clock]
}

fn heads(app: &App, width: usize) -> Line<'static> {
    let [sign, id, severity, status, alerts, about, clock] = widths(width);
    let style = app.theme.style(Role::Muted);
    let head = |m: Message, w| (app.say(m).to_owned(), w, style);
    row(&[
        (String::new(), sign, style),
        head(t::COL_ID, id),
        head(t::COL_SEVERITY, severity),
        head(t::COL_STATUS, status),
        head(t::COL_ALERTS, alerts),
        head(t::COL_ABOUT, about),
        head(t::COL_NEXT_CLOCK, clock),
    ])
}

fn incident_row(app: &App, incident: &Incident, width: usize, selected: bool) -> Line<'static> {
    let [sign, id, severity, status, alerts, about, clock] = widths(width);
    let next = next_clock(app, incident);
    let (deadline, role) =
        next.map_or((String::new(), Role::Plain), |c| (deadline(app, &c), clock_role(c.state)));
    let line = row(&[
        (if selected { ">" } else { "" }.to_owned(), sign, Style::new()),
        (incident.id.to_string(), id, Style::new()),
        (
            app.say(alert::severity(incident.severity)).to_owned(),
            severity,
            app.theme.severity(incident.severity),
        ),
        (app.say(status_words(incident.status)).to_owned(), status, Style::new()),
        (incident.alerts.len().to_string(), alerts, Style::new()),
        (clean(incident.title.get(app.lang)), about, Style::new()),
        (deadline, clock, app.theme.style(role)),
    ]);
    if selected { line.style(app.theme.style(Role::Selected)) } else { line }
}

/// Names where an incident stands.
pub(super) fn status_words(status: IncidentStatus) -> Message {
    match status {
        IncidentStatus::Open => t::IS_OPEN,
        IncidentStatus::Closed => t::IS_CLOSED,
    }
}

/// Returns the clock of an open incident that ends next, or the last one that ended.
fn next_clock(app: &App, incident: &Incident) -> Option<Clock> {
    if incident.status == IncidentStatus::Closed {
        return None;
    }
    let counting = clocks(&app.law, incident.detected, app.now).into_iter();
    counting
        .filter(|c| c.state != ClockState::Immediate)
        .min_by_key(|c| (c.remaining.is_negative(), c.deadline))
}

fn deadline(app: &App, clock: &Clock) -> String {
    let left = time_left(app, clock);
    let title = clean(clock.title.get(app.lang));
    format!("{left}: {title}")
}

/// Says what is left of a clock.
pub(super) fn time_left(app: &App, clock: &Clock) -> String {
    match clock.state {
        ClockState::Immediate => app.say(t::AT_ONCE).to_owned(),
        ClockState::Running | ClockState::Warning6h | ClockState::Warning2h | ClockState::Overdue => {
            span::left(clock.remaining, app.lang)
        }
    }
}

/// Returns how a clock is coloured.
pub(super) fn clock_role(state: ClockState) -> Role {
    match state {
        ClockState::Running => Role::Plain,
        ClockState::Immediate | ClockState::Warning6h => Role::Warning,
        ClockState::Warning2h => Role::Error,
        ClockState::Overdue => Role::Critical,
    }
}
