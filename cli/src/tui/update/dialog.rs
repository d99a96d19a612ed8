//! What a key does in a dialog.

use khien_core::alert::Verdict;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        app::{App, Choice, Deed, Dialog, Notice, Question},
        input::Input,
        msg::Cmd,
        plan,
    },
    type_into,
};
use crate::response::PlanError;

/// Lets the dialog that stands over the screen take a key.
pub(super) fn pressed(app: &mut App, key: KeyEvent) -> Option<Cmd> {
    match app.dialog.take()? {
        Dialog::Ask(question, input) => asked(app, question, input, key),
        Dialog::Pick(choice, at) => picked(app, choice, at, key),
        Dialog::Confirm(deed, scroll) => confirmed(app, deed, scroll, key),
        Dialog::Help(scroll) => help(app, scroll, key),
    }
}

fn stay(app: &mut App, dialog: Dialog) -> Option<Cmd> {
    app.dialog = Some(dialog);
    None
}

fn asked(app: &mut App, question: Question, mut input: Input, key: KeyEvent) -> Option<Cmd> {
    match key.code {
        KeyCode::Esc => None,
        KeyCode::Enter if needs_text(&question) && input.is_blank() => {
            stay(app, Dialog::Ask(question, input))
        }
        KeyCode::Enter => Some(answer(app, question, input.text().trim().to_owned())),
        _ => {
            type_into(&mut input, key);
            stay(app, Dialog::Ask(question, input))
        }
    }
}

/// Tells whether an empty answer will not do.
pub(crate) fn needs_text(question: &Question) -> bool {
    !matches!(question, Question::TruePositive(_))
}

fn answer(app: &mut App, question: Question, text: String) -> Cmd {
    match question {
        Question::FalsePositive(alerts) => {
            app.queue.unmark();
            Cmd::Close { alerts, verdict: Verdict::FalsePositive, reason: text }
        }
        Question::TruePositive(alerts) => {
            app.queue.unmark();
            Cmd::Close { alerts, verdict: Verdict::TruePositive, reason: text }
        }
        Question::OpenIncident(alerts) => Cmd::OpenIncident { title: text, alerts },
        Question::Note(incident) => Cmd::Note { incident, text },
        Question::Refuse(run, step, incident) => Cmd::Refuse { run, step, incident, reason: text },
    }
}

fn picked(app: &mut App, choice: Choice, at: usize, key: KeyEvent) -> Option<Cmd> {
    let last = plan::rows(&choice, app.lang).len().saturating_sub(1);
    match key.code {
        KeyCode::Esc | KeyCode::Char('q') => None,
        KeyCode::Up | KeyCode::Char('k') => stay(app, Dialog::Pick(choice, at.saturating_sub(1))),
        KeyCode::Down | KeyCode::Char('j') => stay(app, Dialog::Pick(choice, (at + 1).min(last))),
        KeyCode::Enter => {
            match choice {
                Choice::Playbook(incident, targets) => app.dialog = plan::start(incident, at, targets),
                Choice::Decide(mut runs) if at < runs.len() => {
                    show(app, plan::decision(runs.swap_remove(at)))
                }
                Choice::Undo(mut runs) if at < runs.len() => show(app, plan::undoing(runs.swap_remove(at))),
                Choice::Decide(_) | Choice::Undo(_) => {}
            }
            None
        }
        _ => stay(app, Dialog::Pick(choice, at)),
    }
}

/// Shows what was planned, or why it cannot be.
pub(super) fn show(app: &mut App, planned: Result<Dialog, PlanError>) {
    match planned {
        Ok(dialog) => app.dialog = Some(dialog),
        Err(e) => {
            let text = format!("{} – {}", e.shown(app.lang), e.next(app.lang));
            app.notice = Some(Notice { text, failed: true });
        }
    }
}

/// Only `y` means yes, so that an Enter too many signs nothing.
fn confirmed(app: &mut App, deed: Deed, scroll: usize, key: KeyEvent) -> Option<Cmd> {
    match key.code {
        KeyCode::Char('y' | 'Y') => Some(done(deed)),
        KeyCode::Char('q') | KeyCode::Enter if deed == Deed::Quit => Some(Cmd::Quit),
        KeyCode::Char('n' | 'N') => refused(app, deed),
        KeyCode::Esc | KeyCode::Char('q') => None,
        KeyCode::Up | KeyCode::Char('k') => stay(app, Dialog::Confirm(deed, scroll.saturating_sub(1))),
        KeyCode::Down | KeyCode::Char('j') => stay(app, Dialog::Confirm(deed, scroll.saturating_add(1))),
        KeyCode::PageUp => stay(app, Dialog::Confirm(deed, scroll.saturating_sub(10))),
        KeyCode::PageDown => stay(app, Dialog::Confirm(deed, scroll.saturating_add(10))),
        _ => stay(app, Dialog::Confirm(deed, scroll)),
    }
}

fn done(deed: Deed) -> Cmd {
    match deed {
        Deed::Quit => Cmd::Quit,
        Deed::Start(plan) => Cmd::Start(plan),
        Deed::Decide { run, step, .. } => Cmd::Approve { run, step },
        Deed::Undo { run, .. } => Cmd::Undo(run),
    }
}

/// A no to a run that waits is a decision of its own and needs a reason.
fn refused(app: &mut App, deed: Deed) -> Option<Cmd> {
    match deed {
        Deed::Decide { run, step, .. } => {
            stay(app, Dialog::Ask(Question::Refuse(run.id, step, run.incident), Input::default()))
        }
        Deed::Quit | Deed::Start(_) | Deed::Undo { .. } => None,
    }
}

fn help(app: &mut App, scroll: usize, key: KeyEvent) -> Option<Cmd> {
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => stay(app, Dialog::Help(scroll.saturating_sub(1))),
        KeyCode::Down | KeyCode::Char('j') => stay(app, Dialog::Help(scroll.saturating_add(1))),
        KeyCode::PageUp => stay(app, Dialog::Help(scroll.saturating_sub(10))),
        KeyCode::PageDown => stay(app, Dialog::Help(scroll.saturating_add(10))),
        _ => None,
    }
}
