//! One incident in four parts; on a wide screen the overview stands beside the part that is chosen.

use khien_core::{
    evidence::{CustodyAction, Evidence, Origin},
    incident::{Entry, Incident},
    order::Outcome,
    run::{Run, RunState, StepProgress, StepState},
    text::{Message, alert, hub::who, tui as t},
    time::shown,
};
use khien_reports::clock::{Clock, ClockState, clocks};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    super::{
        app::{App, Case, Tab},
        clean::{clean, wrap},
        msg::CaseFile,
        theme::Role,
    },
    empty, field, field_of_data, first_row, incidents, put, put_scrolled, queue, span, title,
};

/// From this width on the overview has a place of its own.
const WIDE: u16 = 140;

/// Draws the incident.
pub(super) fn draw(app: &App, frame: &mut Frame, area: Rect) {
    let Some(case) = &app.case else { return };
    match &case.file {
        Some(file) if area.width >= WIDE && case.tab != Tab::Overview => {
            let left = Rect { width: area.width * 2 / 5, ..area };
            let right = Rect { x: area.x + left.width + 1, width: area.width - left.width - 1, ..area };
            let width = usize::from(left.width);
            let head = title(app, &clean(file.incident.title.get(app.lang)), width);
            put_scrolled(frame, left, head, overview(app, file, width), 0);
            part(app, frame, case, right);
        }
        _ => part(app, frame, case, area),
    }
}

fn part(app: &App, frame: &mut Frame, case: &Case, area: Rect) {
    let head = tabs(app, case);
    match (&case.file, case.tab) {
        (Some(file), Tab::Alerts) => {
            let lines =
                alerts(app, file, case.scroll, area.width.into(), usize::from(area.height).saturating_sub(1));
            put(frame, area, std::iter::once(head).chain(lines).collect());
        }
        _ => put_scrolled(frame, area, head, lines(app, case, area), case.scroll),
    }
}

fn tabs(app: &App, case: &Case) -> Line<'static> {
    let mut spans = vec![Span::styled(format!("{} ", case.id), app.theme.style(Role::Title))];
    for tab in Tab::ALL {
        let name = app.say(name(tab));
        spans.push(match tab == case.tab {
            true => Span::styled(format!("[{name}]"), app.theme.style(Role::Selected)),
            false => Span::raw(format!(" {name} ")),
        });
    }
    Line::from(spans)
}

fn name(tab: Tab) -> Message {
    match tab {
        Tab::Overview => t::TAB_OVERVIEW,
        Tab::Alerts => t::TAB_ALERTS,
        Tab::Timeline => t::TAB_TIMELINE,
        Tab::Evidence => t::TAB_EVIDENCE,
    }
}

/// Writes the part that is chosen; the alerts, which have a cursor, are drawn apart.
pub(super) fn lines(app: &App, case: &Case, area: Rect) -> Vec<Line<'static>> {
    let wide = area.width >= WIDE && case.tab != Tab::Overview;
    let width = usize::from(if wide { area.width - area.width * 2 / 5 - 1 } else { area.width });
    let Some(file) = &case.file else { return empty(app, app.say(t::LOADING), width) };
    match case.tab {
        Tab::Overview => overview(app, file, width),
        Tab::Alerts => Vec::new(),
        Tab::Timeline => timeline(app, &file.incident.timeline, width),
        Tab::Evidence => evidence(app, &file.incident.evidence, width),
    }
}

fn head(app: &App, message: Message) -> Vec<Line<'static>> {
    vec![Line::from(""), Line::styled(app.say(message), app.theme.style(Role::Title))]
}

fn overview(app: &App, file: &CaseFile, width: usize) -> Vec<Line<'static>> {
    let mut out = facts(app, &file.incident, width);
    out.extend(head(app, t::RUNS));
    if file.runs.is_empty() {
        out.extend(empty(app, app.say(t::NO_RUNS), width));
    }
    out.extend(file.runs.iter().flat_map(|r| run(app, r, width)));
    out.extend(head(app, t::CLOCKS));
    let clocks = clocks(&app.law, file.incident.detected, app.now);
    if clocks.is_empty() {
        out.extend(empty(app, app.say(t::NO_CLOCKS), width));
    }
    out.extend(clocks.iter().flat_map(|c| clock(app, c, width)));
    out
}

fn facts(app: &App, incident: &Incident, width: usize) -> Vec<Line<'static>> {
    let severity = app.say(alert::severity(incident.severity));
    let opened = t::OPENED_BY.with(app.lang, &[&shown(incident.opened), &incident.opened_by]);
    [
        field(app, app.say(t::COL_ABOUT), incident.title.get(app.lang), width),
        field_of_data(app, app.say(t::SEVERITY), severity, app.theme.severity(incident.severity), width),
        field(app, app.say(t::STATUS), app.say(incidents::status_words(incident.status)), width),
        field(app, app.say(t::AGENCIES), &incident.agencies.join("; "), width),
        field(app, app.say(t::DETECTED), &shown(incident.detected), width),
        field(app, app.say(t::OPENED), &opened, width),
    ]
    .concat()
}

fn clock(app: &App, clock: &Clock, width: usize) -> Vec<Line<'static>> {
    let style = app.theme.style(incidents::clock_role(clock.state));
    let left = incidents::time_left(app, clock);
    let by = match clock.state {
        ClockState::Immediate => String::new(),
        _ => format!(" ({})", t::BEFORE.with(app.lang, &[&shown(clock.deadline)])),
    };
    let first = format!("{left} – {}{by}", clock.title.get(app.lang));
    let to = t::TELL.with(app.lang, &[&clock.to.get(app.lang)]);
    let condition = clock.condition.as_ref().map(|c| t::IF.with(app.lang, &[&c.get(app.lang)]));
    let second =
        [Some(to), condition, Some(clock.basis.clone())].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let mut out = Vec::new();
    out.extend(wrap(&clean(&first), width).into_iter().map(|l| Line::styled(l, style)));
    let under = wrap(&clean(&second), width.saturating_sub(4)).into_iter();
    out.extend(under.map(|l| Line::styled(format!("    {l}"), app.theme.style(Role::Muted))));
    out
}

fn run(app: &App, run: &Run, width: usize) -> Vec<Line<'static>> {
    let state = app.say(alert::run_state(run.state));
    let by = t::RUN_BY.with(app.lang, &[&run.started_by, &shown(run.started)]);
    let text = format!("{} {} – {state} – {by}", run.playbook, run.id.short());
    let style = app.theme.style(run_role(run.state));
    let mut out: Vec<_> = wrap(&clean(&text), width).into_iter().map(|l| Line::styled(l, style)).collect();
    out.extend(run.steps.iter().flat_map(|s| step(app, s, width)));
    if run.waiting_for.is_some() {
        out.push(Line::styled(format!("    > {}", app.say(t::WAITS)), app.theme.style(Role::Warning)));
    }
    out
}

fn run_role(state: RunState) -> Role {
    match state {
        RunState::Running | RunState::Undoing | RunState::Refused | RunState::Undone => Role::Strong,
        RunState::WaitingForApproval => Role::Warning,
        RunState::Done => Role::Good,
        RunState::Failed | RunState::UndoFailed => Role::Error,
    }
}

fn step(app: &App, step: &StepProgress, width: usize) -> Vec<Line<'static>> {
    let (sign, role) = match step.state {
        StepState::Pending => ("[ ]", Role::Muted),
        StepState::Active => ("[>]", Role::Strong),
        StepState::Done => ("[x]", Role::Good),
        StepState::Failed => ("[!]", Role::Error),
        StepState::Skipped => ("[-]", Role::Muted),
    };
    let state = app.say(alert::step_state(step.state));
    let text = format!("  {sign} {} – {state}", clean(step.title.get(app.lang)));
    let mut out: Vec<_> =
        wrap(&text, width).into_iter().map(|l| Line::styled(l, app.theme.style(role))).collect();
    for result in &step.results {
        let (said, role) = match &result.outcome {
            Outcome::Done { .. } | Outcome::Scanned { .. } | Outcome::Searched { .. } => {
                (app.say(t::RESULT_DONE).to_owned(), Role::Muted)
            }
            Outcome::Failed { reason } => {
                (t::RESULT_FAILED.with(app.lang, &[&reason.text(app.lang)]), Role::Error)
            }
        };
        let text = format!("{} {} {}: {said}", span::hour(result.at), app.host(result.agent), result.path);
        let lines = wrap(&clean(&text), width.saturating_sub(6)).into_iter();
        out.extend(lines.map(|l| Line::styled(format!("      {l}"), app.theme.style(role))));
    }
    out
}

fn alerts(app: &App, file: &CaseFile, cursor: usize, width: usize, rows: usize) -> Vec<Line<'static>> {
    let from = first_row(cursor, rows, file.alerts.len());
    let visible = file.alerts.iter().enumerate().skip(from).take(rows);
    visible.map(|(i, a)| queue::one_row(app, a, width, i == cursor)).collect()
}

fn timeline(app: &App, entries: &[Entry], width: usize) -> Vec<Line<'static>> {
    if entries.is_empty() {
        return empty(app, app.say(t::NO_ENTRIES), width);
    }
    entries.iter().flat_map(|e| entry(app, e, width)).collect()
}

fn entry(app: &App, entry: &Entry, width: usize) -> Vec<Line<'static>> {
    let kind = app.say(alert::entry(entry.kind));
    let who = who(&entry.who, app.lang);
    let text = match entry.text.get(app.lang) {
        "" => format!("{kind} – {who}"),
        said => format!("{kind} – {who}: {said}"),
    };
    field(app, &span::medium(entry.at), &text, width)
}

fn evidence(app: &App, kept: &[Evidence], width: usize) -> Vec<Line<'static>> {
    if kept.is_empty() {
        return empty(app, app.say(t::NO_EVIDENCE), width);
    }
    kept.iter().flat_map(|e| one_evidence(app, e, width)).collect()
}

fn one_evidence(app: &App, e: &Evidence, width: usize) -> Vec<Line<'static>> {
    let strong = app.theme.style(Role::Strong);
    let host = match &e.origin {
        Origin::Taken { host, .. } => field(app, app.say(t::HOST), &host.to_string(), width),
        // Its custody says who brought it.
        Origin::Brought { .. } => Vec::new(),
    };
    let mut out = [
        field_of_data(app, app.say(t::SHA256), &e.sha256.to_string(), strong, width),
        field_of_data(app, app.say(t::PATH), &e.path.to_string(), app.theme.style(Role::Plain), width),
        host,
        field(app, app.say(t::SIZE), &t::BYTES.with(app.lang, &[&e.size]), width),
    ]
    .concat();
    for c in &e.custody {
        let action = match c.action {
            CustodyAction::Ordered => t::CUSTODY_ORDERED,
            CustodyAction::Brought => t::CUSTODY_BROUGHT,
            CustodyAction::Collected => t::CUSTODY_COLLECTED,
            CustodyAction::Received => t::CUSTODY_RECEIVED,
            CustodyAction::Exported => t::CUSTODY_EXPORTED,
        };
        let late = if c.late { format!(", {}", app.say(t::CUSTODY_LATE)) } else { String::new() };
        let text = format!("{}: {}{late} ({})", who(&c.who, app.lang), app.say(action), c.tool);
        out.extend(field(app, &span::medium(c.at), &text, width));
    }
    out.push(Line::from(""));
    out
}
