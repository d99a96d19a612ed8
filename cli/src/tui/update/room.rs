//! What a key does on each screen.

use khien_core::{AlertId, text::tui as t};

use super::{
    super::{
        app::{App, Choice, Deed, Dialog, Notice, Question, Room, Tab},
        input::Input,
        keys::Action,
        msg::Cmd,
        plan, view,
    },
    enter, enter_case,
};

/// Does what a key asks for on the screen that is shown.
pub(super) fn act(app: &mut App, action: Action) -> Option<Cmd> {
    match action {
        Action::Up => go(app, -1),
        Action::Down => go(app, 1),
        Action::PageUp => go(app, -page(app)),
        Action::PageDown => go(app, page(app)),
        Action::First => go(app, isize::MIN),
        Action::Last => go(app, isize::MAX),
        Action::Open => open(app),
        Action::Back => back(app),
        Action::Mark => quiet(|| app.queue.toggle_mark()),
        Action::Filter => quiet(|| app.queue.typing = true),
        Action::Closed => quiet(|| app.queue.toggle_closed()),
        Action::Acknowledge => chosen(app).map(Cmd::Acknowledge),
        Action::Reopen => chosen(app).map(Cmd::Reopen),
        Action::FalsePositive => ask_about(app, Question::FalsePositive),
        Action::TruePositive => ask_about(app, Question::TruePositive),
        Action::OpenIncident => ask_title(app),
        Action::GoIncident => go_incident(app),
        Action::Hex => quiet(|| app.hex = !app.hex),
        Action::NextTab => turn(app, 1),
        Action::PreviousTab => turn(app, Tab::ALL.len() - 1),
        Action::Note => ask_note(app),
        Action::Playbook => choose_playbook(app),
        Action::Decide => choose_decision(app),
        Action::Undo => choose_undo(app),
        Action::Alerts => quiet(|| app.rooms = vec![Room::Queue]),
        Action::Incidents => {
            enter(app, Room::Incidents);
            Some(Cmd::LoadIncidents)
        }
        Action::Agents => quiet(|| enter(app, Room::Agents)),
        Action::Help => quiet(|| app.dialog = Some(Dialog::Help(0))),
        Action::Quit if app.room() == Room::Queue => {
            quiet(|| app.dialog = Some(Dialog::Confirm(Deed::Quit, 0)))
        }
        Action::Quit => back(app),
    }
}

/// Makes a change that asks for nothing outside.
fn quiet(change: impl FnOnce()) -> Option<Cmd> {
    change();
    None
}

/// Returns how many rows a page key moves.
fn page(app: &App) -> isize {
    isize::from(i16::try_from(app.size.1).unwrap_or(i16::MAX)).saturating_sub(8).max(1)
}

/// Moves the cursor or scrolls, whichever the screen has.
fn go(app: &mut App, by: isize) -> Option<Cmd> {
    match app.room() {
        Room::Queue => app.queue.step(by),
        Room::Detail => app.scroll = app.scroll.saturating_add_signed(by).min(view::scroll_limit(app)),
        Room::Incidents => {
            app.incident = moved(app.incident_row(), by, app.incidents.iter().map(|i| i.id));
        }
        Room::Agents => app.agent = moved(app.agent_row(), by, app.agents.iter().map(|a| a.id)),
        Room::Case => {
            let limit = view::scroll_limit(app);
            if let Some(case) = &mut app.case {
                case.scroll = case.scroll.saturating_add_signed(by).min(limit);
            }
        }
    }
    None
}

fn moved<T>(at: usize, by: isize, ids: impl ExactSizeIterator<Item = T>) -> Option<T> {
    let last = ids.len().checked_sub(1)?;
    let mut ids = ids;
    ids.nth(at.saturating_add_signed(by).min(last))
}

fn open(app: &mut App) -> Option<Cmd> {
    match app.room() {
        Room::Queue => {
            let id = app.queue.selected()?.id;
            show_alert(app, id)
        }
        Room::Incidents => {
            let id = app.incidents.get(app.incident_row())?.id;
            enter_case(app, id)
        }
        Room::Case => {
            let case = app.case.as_ref().filter(|c| c.tab == Tab::Alerts)?;
            let id = case.file.as_ref()?.alerts.get(case.scroll)?.id;
            show_alert(app, id)
        }
        Room::Detail | Room::Agents => None,
    }
}

fn show_alert(app: &mut App, id: AlertId) -> Option<Cmd> {
    app.alert = Some(id);
    app.scroll = 0;
    quiet(|| enter(app, Room::Detail))
}

/// Goes one screen back; in the queue takes the filter and then the marks away.
fn back(app: &mut App) -> Option<Cmd> {
    if app.rooms.len() > 1 {
        app.rooms.pop();
    } else if !app.queue.filter.text().is_empty() {
        app.queue.filter.clear();
        app.queue.narrow();
    } else {
        app.queue.unmark();
    }
    None
}

fn chosen(app: &App) -> Option<Vec<AlertId>> {
    let ids = match app.room() {
        Room::Detail => app.alert.into_iter().collect(),
        _ => app.queue.chosen(),
    };
    (!ids.is_empty()).then_some(ids)
}

fn ask_about(app: &mut App, question: impl FnOnce(Vec<AlertId>) -> Question) -> Option<Cmd> {
    let ids = chosen(app)?;
    quiet(|| app.dialog = Some(Dialog::Ask(question(ids), Input::default())))
}

/// Asks for the title of a new incident and offers the first alert's.
fn ask_title(app: &mut App) -> Option<Cmd> {
    let ids = chosen(app)?;
    let first = ids.first().and_then(|id| app.queue.find(*id));
    let title = first.map(|a| format!("{} – {}", a.title.get(app.lang), a.host)).unwrap_or_default();
    quiet(|| app.dialog = Some(Dialog::Ask(Question::OpenIncident(ids), Input::with(&title))))
}

fn go_incident(app: &mut App) -> Option<Cmd> {
    let alert = match app.room() {
        Room::Detail => app.shown_alert(),
        _ => app.queue.selected(),
    }?;
    match alert.incident {
        Some(id) => enter_case(app, id),
        None => tell(app, app.say(t::NO_INCIDENT)),
    }
}

fn tell(app: &mut App, text: &str) -> Option<Cmd> {
    quiet(|| app.notice = Some(Notice { text: text.to_owned(), failed: false }))
}

fn turn(app: &mut App, by: usize) -> Option<Cmd> {
    if let Some(case) = &mut app.case {
        case.tab = case.tab.turn(by);
        case.scroll = 0;
    }
    None
}

fn ask_note(app: &mut App) -> Option<Cmd> {
    let id = app.case.as_ref()?.id;
    quiet(|| app.dialog = Some(Dialog::Ask(Question::Note(id), Input::default())))
}

fn choose_playbook(app: &mut App) -> Option<Cmd> {
    let file = app.case.as_ref()?.file.as_ref()?;
    let targets = plan::targets(&file.alerts);
    if targets.is_empty() {
        let is_of_packets = file.alerts.iter().any(|a| a.capture.is_some() && a.sha256.is_some());
        return tell(app, app.say(if is_of_packets { t::NO_AGENT_TARGETS } else { t::NO_TARGETS }));
    }
    let choice = Choice::Playbook(file.incident.id, targets);
    quiet(|| app.dialog = Some(Dialog::Pick(choice, 0)))
}

fn choose_decision(app: &mut App) -> Option<Cmd> {
    let runs = app.case.as_ref()?.file.as_ref()?.runs.iter();
    let waiting: Vec<_> = runs.filter(|r| r.waiting_for.is_some()).cloned().collect();
    match <[_; 1]>::try_from(waiting) {
        Ok([run]) => super::dialog::show(app, plan::decision(run)),
        Err(none) if none.is_empty() => return tell(app, app.say(t::NOTHING_WAITS)),
        Err(several) => app.dialog = Some(Dialog::Pick(Choice::Decide(several), 0)),
    }
    None
}

fn choose_undo(app: &mut App) -> Option<Cmd> {
    let runs = app.case.as_ref()?.file.as_ref()?.runs.iter();
    let done: Vec<_> = runs.filter(|r| r.can_undo).cloned().collect();
    match <[_; 1]>::try_from(done) {
        Ok([run]) => super::dialog::show(app, plan::undoing(run)),
        Err(none) if none.is_empty() => return tell(app, app.say(t::NOTHING_TO_UNDO)),
        Err(several) => app.dialog = Some(Dialog::Pick(Choice::Undo(several), 0)),
    }
    None
}
