//! What stands over the screen: a question, a choice, a yes or no, the help.

use khien_core::{
    order::Allowed,
    text::{Message, tui as t},
};
use khien_playbooks::StepKind;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::{
    super::{
        app::{App, Choice, Deed, Dialog, Question, Room},
        clean::{clean, fit, wrap, wrap_spans},
        input::Input,
        keys, plan,
        theme::Role,
        update::needs_text,
    },
    first_row, put,
};

/// The widest a dialog gets.
const MAX_WIDTH: u16 = 100;

/// A dialog's text: a head, lines that scroll, and its keys.
struct Sheet {
    head: String,
    lines: Vec<Line<'static>>,
    keys: &'static str,
    /// The first line to show.
    from: usize,
}

/// Draws the dialog, if there is one.
pub(super) fn draw(app: &App, frame: &mut Frame, area: Rect) {
    let Some(dialog) = &app.dialog else { return };
    let width = inner_width(area);
    let sheet = sheet(app, dialog, width, rows(area));
    let head =
        wrap(&clean(&sheet.head), width).into_iter().map(|l| Line::styled(l, app.theme.style(Role::Strong)));
    let head: Vec<_> = head.collect();
    let space = rows(area).saturating_sub(head.len().saturating_sub(1)).max(1);
    let from = sheet.from.min(sheet.lines.len().saturating_sub(space));
    let shown = sheet.lines.len().min(space);
    let foot = foot(app, &sheet, from, shown);
    let body = sheet.lines.into_iter().skip(from).take(shown);
    let all: Vec<_> = head.into_iter().chain(body).chain(std::iter::once(foot)).collect();
    let frame_area = placed(area, width, all.len());
    frame.render_widget(Clear, frame_area);
    let block = Block::bordered().style(app.theme.style(Role::Plain));
    let inner = block.inner(frame_area);
    frame.render_widget(block, frame_area);
    put(frame, inner, all);
    if matches!(dialog, Dialog::Help(_)) {
        frame.render_widget(Paragraph::new(format!(" {} ", app.say(t::HELP))), corner(frame_area));
    }
}

/// Returns how far a dialog can be scrolled on a screen of this size.
pub(crate) fn limit(app: &App, dialog: &Dialog) -> usize {
    let area = Rect::new(0, 0, app.size.0, app.size.1);
    let sheet = sheet(app, dialog, inner_width(area), rows(area));
    sheet.lines.len().saturating_sub(rows(area).max(1))
}

fn inner_width(area: Rect) -> usize {
    usize::from(area.width.min(MAX_WIDTH).saturating_sub(2))
}

/// Returns the rows between a head of one line and the keys.
fn rows(area: Rect) -> usize {
    usize::from(area.height).saturating_sub(4)
}

fn corner(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2).min(8), height: area.height.min(1), ..area }
        .intersection(area)
}

fn placed(area: Rect, width: usize, lines: usize) -> Rect {
    let width = u16::try_from(width + 2).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn foot(app: &App, sheet: &Sheet, from: usize, shown: usize) -> Line<'static> {
    let all = sheet.lines.len();
    let place =
        if shown < all { format!("  [{}–{}/{all}]", from + 1, from + shown) } else { String::new() };
    Line::styled(format!("{}{place}", sheet.keys), app.theme.style(Role::Key))
}

fn sheet(app: &App, dialog: &Dialog, width: usize, rows: usize) -> Sheet {
    match dialog {
        Dialog::Ask(question, input) => asking(app, question, input, width),
        Dialog::Pick(choice, at) => picking(app, choice, *at, width, rows),
        Dialog::Confirm(deed, scroll) => confirming(app, deed, *scroll, width),
        Dialog::Help(scroll) => help(app, *scroll, width),
    }
}

fn asking(app: &App, question: &Question, input: &Input, width: usize) -> Sheet {
    let lang = app.lang;
    let head = match question {
        Question::FalsePositive(ids) => t::ASK_FALSE.with(lang, &[&ids.len()]),
        Question::TruePositive(ids) => t::ASK_TRUE.with(lang, &[&ids.len()]),
        Question::OpenIncident(ids) => t::ASK_TITLE.with(lang, &[&ids.len()]),
        Question::Note(id) => t::ASK_NOTE.with(lang, &[id]),
        Question::Refuse(_, step, _) => t::ASK_REFUSE.with(lang, &[step]),
    };
    let typed = Span::raw(format!("> {}", input.text()));
    let caret = Span::styled(" ", app.theme.style(Role::Selected));
    let mut lines: Vec<_> = wrap_spans(&[typed, caret], width).into_iter().map(Line::from).collect();
    if needs_text(question) && input.is_blank() {
        lines.push(Line::styled(app.say(t::ASK_NEEDED), app.theme.style(Role::Muted)));
    }
    Sheet { head, from: lines.len(), lines, keys: app.say(t::ASK_KEYS) }
}

fn picking(app: &App, choice: &Choice, at: usize, width: usize, rows: usize) -> Sheet {
    let head = match choice {
        Choice::Playbook(_, targets) => t::PICK_PLAYBOOK.with(app.lang, &[&targets.len()]),
        Choice::Decide(_) => app.say(t::PICK_DECIDE).to_owned(),
        Choice::Undo(_) => app.say(t::PICK_UNDO).to_owned(),
    };
    let row = |(i, text): (usize, String)| match i == at {
        true => Line::styled(fit(&format!("> {text}"), width), app.theme.style(Role::Selected)),
        false => Line::raw(fit(&format!("  {text}"), width)),
    };
    let lines: Vec<_> = plan::rows(choice, app.lang).into_iter().enumerate().map(row).collect();
    Sheet { head, from: first_row(at, rows, lines.len()), lines, keys: app.say(t::PICK_KEYS) }
}

fn confirming(app: &App, deed: &Deed, from: usize, width: usize) -> Sheet {
    let lang = app.lang;
    let (head, lines, keys) = match deed {
        Deed::Quit => {
            let text = app.say(t::CONFIRM_QUIT_TEXT);
            (app.say(t::CONFIRM_QUIT).to_owned(), plain(text, width), t::CONFIRM_KEYS)
        }
        Deed::Start(plan) => {
            let title = plan.playbook.title.get(lang);
            let mut lines = plain(plan.playbook.summary.get(lang), width);
            lines.extend(steps(app, &plan.playbook, width));
            lines.extend(orders(app, &plan.orders, width));
            (t::CONFIRM_START.with(lang, &[&title, &plan.incident]), lines, t::CONFIRM_KEYS)
        }
        Deed::Decide { run, step, orders: allowed } => {
            let title = run.steps.iter().find(|s| s.step == *step).map(|s| s.title.get(lang));
            let head = t::CONFIRM_DECIDE.with(lang, &[&run.playbook, &title.unwrap_or(step.as_str())]);
            (head, orders(app, allowed, width), t::DECIDE_KEYS)
        }
        Deed::Undo { run, orders: allowed } => {
            let head = t::CONFIRM_UNDO.with(lang, &[&run.playbook, &run.id.short()]);
            (head, orders(app, allowed, width), t::CONFIRM_KEYS)
        }
    };
    Sheet { head, lines, keys: app.say(keys), from }
}

fn plain(text: &str, width: usize) -> Vec<Line<'static>> {
    wrap(&clean(text), width).into_iter().map(Line::raw).collect()
}

fn steps(app: &App, playbook: &khien_playbooks::Playbook, width: usize) -> Vec<Line<'static>> {
    let mut out = vec![Line::styled(app.say(t::CONFIRM_STEPS), app.theme.style(Role::Muted))];
    for (i, step) in playbook.steps.iter().enumerate() {
        let note = match step.kind {
            StepKind::Approval => format!(" ({})", app.say(t::STEP_APPROVAL)),
            StepKind::Order { .. } => String::new(),
        };
        out.extend(plain(&format!(" {}. {}{note}", i + 1, step.title.get(app.lang)), width));
    }
    out
}

/// Lists every order with its host, its whole path and its whole hash: what is signed is what was read.
fn orders(app: &App, orders: &[Allowed], width: usize) -> Vec<Line<'static>> {
    let text = t::CONFIRM_ORDERS.with(app.lang, &[&app.operator, &orders.len()]);
    let muted = app.theme.style(Role::Muted);
    let mut out: Vec<_> = wrap(&clean(&text), width).into_iter().map(|l| Line::styled(l, muted)).collect();
    for (i, order) in orders.iter().enumerate() {
        let changes = match order.verb.changes_host() {
            true => format!(" ({})", app.say(t::CHANGES_HOST)),
            false => String::new(),
        };
        let what =
            format!(" {}. {}{changes} – {}", i + 1, app.say(plan::words(order)), app.host(order.agent));
        out.extend(
            wrap(&clean(&what), width).into_iter().map(|l| Line::styled(l, app.theme.style(Role::Strong))),
        );
        let path = [Span::raw(format!("    {}", clean(&order.verb.path().to_string())))];
        out.extend(wrap_spans(&path, width).into_iter().map(Line::from));
        if let Some(file) = order.verb.file() {
            let hash = [Span::styled(format!("    {}", file.sha256), muted)];
            out.extend(wrap_spans(&hash, width).into_iter().map(Line::from));
        }
    }
    out
}

fn help(app: &App, from: usize, width: usize) -> Sheet {
    let rooms: [(Room, Message); 5] = [
        (Room::Queue, t::QUEUE),
        (Room::Detail, t::DETAIL),
        (Room::Incidents, t::INCIDENTS),
        (Room::Case, t::INCIDENT),
        (Room::Agents, t::AGENTS),
    ];
    let here = app.room();
    let name = rooms.iter().find(|(room, _)| *room == here).map(|(_, m)| m.with(app.lang, &[&""]));
    let mut lines: Vec<_> = keys::here(here)
        .filter(|b| b.rooms.len() < 5)
        .map(|b| key_row(app, b.shown, b.label, width))
        .collect();
    lines.push(Line::styled(app.say(t::HELP_EVERYWHERE), app.theme.style(Role::Title)));
    lines.extend(
        keys::here(here).filter(|b| b.rooms.len() == 5).map(|b| key_row(app, b.shown, b.label, width)),
    );
    lines.push(key_row(app, "Ctrl-C", t::HELP_CTRL_C, width));
    Sheet { head: name.unwrap_or_default(), lines, keys: app.say(t::HELP_KEYS), from }
}

fn key_row(app: &App, shown: &str, label: Message, width: usize) -> Line<'static> {
    let key = Span::styled(fit(&format!("  {shown}"), 13), app.theme.style(Role::Key));
    Line::from(vec![key, Span::raw(fit(app.say(label), width.saturating_sub(13)))])
}
