//! One thing happens, the state changes, and at most one thing is to be done.

mod dialog;
mod room;

use khien_core::{IncidentId, Timestamp, incident::Incident, text::tui as t};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    app::{App, Case, Dialog, Link, Notice, Room, Tab},
    keys,
    msg::{CaseFile, Cmd, Msg},
};

pub(crate) use dialog::needs_text;

/// Takes in what happened and returns what to do about it.
pub(crate) fn update(app: &mut App, msg: Msg) -> Option<Cmd> {
    match msg {
        Msg::Key(key) => pressed(app, key),
        Msg::Paste(text) => pasted(app, &text),
        Msg::Resize(columns, rows) => still(|| app.size = (columns, rows)),
        Msg::Tick(now) => ticked(app, now),
        Msg::Loaded(alerts) => still(|| {
            heard(app);
            app.queue.load(alerts.alerts);
        }),
        Msg::Changed(alerts) => still(|| {
            heard(app);
            app.queue.merge(alerts);
        }),
        Msg::Stop => Some(Cmd::Quit),
        Msg::Lost(cause) => still(|| lost(app, cause)),
        Msg::Agents(agents) => still(|| {
            heard(app);
            app.agent = app.agent.or(agents.first().map(|a| a.id));
            app.agents = agents;
        }),
        Msg::Incidents(incidents) => still(|| {
            heard(app);
            app.incident = app.incident.or(incidents.first().map(|i| i.id));
            app.incidents = incidents;
        }),
        Msg::Case(file) => still(|| arrived(app, file)),
        Msg::Opened(incident) => opened(app, *incident),
        Msg::Done(message) => {
            app.notice = Some(Notice { text: app.say(message).to_owned(), failed: false });
            refresh(app)
        }
        Msg::Failed(text) => {
            app.notice = Some(Notice { text, failed: true });
            None
        }
    }
}

fn still(change: impl FnOnce()) -> Option<Cmd> {
    change();
    None
}

fn pressed(app: &mut App, key: KeyEvent) -> Option<Cmd> {
    if keys::is_interrupt(key) {
        return Some(Cmd::Quit);
    }
    if app.dialog.is_some() {
        let cmd = dialog::pressed(app, key);
        clamp(app);
        return cmd;
    }
    if app.queue.typing {
        return still(|| filter_key(app, key));
    }
    if key.code == KeyCode::Esc && app.notice.take().is_some() {
        return None;
    }
    room::act(app, keys::action(app.room(), key)?)
}

/// Keeps a dialog from being scrolled past its end.
fn clamp(app: &mut App) {
    let limit = app.dialog.as_ref().map_or(0, |d| super::view::dialog_limit(app, d));
    if let Some(Dialog::Confirm(_, scroll) | Dialog::Help(scroll)) = &mut app.dialog {
        *scroll = (*scroll).min(limit);
    }
}

/// Types into the filter; the list follows at once.
fn filter_key(app: &mut App, key: KeyEvent) {
    let filter = &mut app.queue.filter;
    match key.code {
        KeyCode::Enter => app.queue.typing = false,
        KeyCode::Esc => {
            filter.clear();
            app.queue.typing = false;
        }
        KeyCode::Down => return app.queue.step(1),
        KeyCode::Up => return app.queue.step(-1),
        _ => type_into(filter, key),
    }
    app.queue.narrow();
}

/// Lets a key change a line of text.
fn type_into(input: &mut super::input::Input, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if control => input.clear(),
        KeyCode::Char('w') if control => input.delete_word(),
        KeyCode::Char('h') if control => input.backspace(),
        KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => input.push(c),
        KeyCode::Backspace => input.backspace(),
        _ => {}
    }
}

fn pasted(app: &mut App, text: &str) -> Option<Cmd> {
    if let Some(Dialog::Ask(_, input)) = &mut app.dialog {
        input.insert(text);
    } else if app.queue.typing {
        app.queue.filter.insert(text);
        app.queue.narrow();
    }
    None
}

/// Counts the clocks on and asks again for what is on the screen and may have changed.
fn ticked(app: &mut App, now: Timestamp) -> Option<Cmd> {
    app.now = now;
    refresh(app)
}

fn refresh(app: &App) -> Option<Cmd> {
    match app.room() {
        Room::Case => app.case.as_ref().map(|c| Cmd::LoadIncident(c.id)),
        Room::Incidents => Some(Cmd::LoadIncidents),
        Room::Queue | Room::Detail | Room::Agents => None,
    }
}

fn heard(app: &mut App) {
    app.link = Link::Up;
    app.heard = Some(app.now);
}

fn lost(app: &mut App, cause: String) {
    let since = match app.link {
        Link::Down { since, .. } => since,
        Link::Connecting | Link::Up => app.now,
    };
    app.link = Link::Down { since, cause };
}

fn arrived(app: &mut App, mut file: Box<CaseFile>) {
    heard(app);
    app.queue.merge(file.alerts.clone());
    for alert in &mut file.alerts {
        if let Some(newer) = app.queue.find(alert.id).filter(|a| a.revision > alert.revision) {
            *alert = newer.clone();
        }
    }
    if let Some(case) = app.case.as_mut().filter(|c| c.id == file.incident.id) {
        case.file = Some(file);
    }
}

fn opened(app: &mut App, incident: Incident) -> Option<Cmd> {
    heard(app);
    app.queue.unmark();
    let text = t::INCIDENT_OPENED.with(app.lang, &[&incident.id]);
    app.notice = Some(Notice { text, failed: false });
    enter_case(app, incident.id)
}

/// Goes to an incident.
pub(crate) fn enter_case(app: &mut App, id: IncidentId) -> Option<Cmd> {
    app.case = Some(Case { id, file: None, tab: Tab::Overview, scroll: 0 });
    enter(app, Room::Case);
    Some(Cmd::LoadIncident(id))
}

/// Goes to a screen; one that is on the way already is gone back to.
fn enter(app: &mut App, room: Room) {
    if let Some(at) = app.rooms.iter().position(|r| *r == room) {
        app.rooms.truncate(at);
    }
    app.rooms.push(room);
}

#[cfg(test)]
mod tests;
