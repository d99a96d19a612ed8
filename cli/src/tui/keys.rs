//! Keys as a table. The footer and the help screen are drawn from it, so they cannot say anything else.

use khien_core::text::{Message, tui as t};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::Room;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One screen up.
    PageUp,
    /// One screen down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Into the thing under the cursor.
    Open,
    /// Out of here.
    Back,
    /// Mark the alert under the cursor, or unmark it.
    Mark,
    /// Type to narrow the list.
    Filter,
    /// Show closed alerts too, or no longer.
    Closed,
    /// Take the alert on.
    Acknowledge,
    /// Close as a false positive.
    FalsePositive,
    /// Close as a true positive.
    TruePositive,
    /// Take closing or taking on back.
    Reopen,
    /// Open an incident.
    OpenIncident,
    /// Go to the alert's incident.
    GoIncident,
    /// Show bytes as hex, or as text.
    Hex,
    /// The next part of the incident.
    NextTab,
    /// The part before.
    PreviousTab,
    /// Write a note.
    Note,
    /// Run a playbook.
    Playbook,
    /// Decide about a run that waits.
    Decide,
    /// Undo a run.
    Undo,
    /// To the alerts.
    Alerts,
    /// To the incidents.
    Incidents,
    /// To the agents.
    Agents,
    /// Show all keys.
    Help,
    /// Leave.
    Quit,
}

/// One row of the table.
pub(crate) struct Binding {
    /// What it does.
    pub(crate) action: Action,
    /// The keys that do it.
    pub(crate) keys: &'static [KeyCode],
    /// How they are written for a reader.
    pub(crate) shown: &'static str,
    /// Where it works.
    pub(crate) rooms: &'static [Room],
    /// What it does, in words.
    pub(crate) label: Message,
    /// Whether the footer names it.
    pub(crate) footer: bool,
}

const ALL: &[Room] = &[Room::Queue, Room::Detail, Room::Incidents, Room::Case, Room::Agents];
const LISTS: &[Room] = &[Room::Queue, Room::Incidents, Room::Case];
const ALERTS: &[Room] = &[Room::Queue, Room::Detail];

const fn row(
    action: Action,
    (keys, shown): (&'static [KeyCode], &'static str),
    rooms: &'static [Room],
    label: Message,
    footer: bool,
) -> Binding {
    Binding { action, keys, shown, rooms, label, footer }
}

use KeyCode::{
    BackTab, Char, Down as ArrowDown, End, Enter, Esc, Home, Left, PageDown as PgDn, PageUp as PgUp, Right,
    Tab, Up as ArrowUp,
};

/// Every key of every room; in each room the first row that fits a key holds.
pub(crate) const TABLE: &[Binding] = &[
    row(Action::Open, (&[Enter], "Enter"), LISTS, t::KEY_OPEN, true),
    row(Action::Acknowledge, (&[Char('t')], "t"), ALERTS, t::KEY_ACKNOWLEDGE, true),
    row(Action::FalsePositive, (&[Char('f')], "f"), ALERTS, t::KEY_FALSE, true),
    row(Action::Mark, (&[Char(' ')], "Space"), &[Room::Queue], t::KEY_MARK, true),
    row(Action::OpenIncident, (&[Char('o')], "o"), ALERTS, t::KEY_OPEN_INCIDENT, true),
    row(Action::Filter, (&[Char('/')], "/"), &[Room::Queue], t::KEY_FILTER, true),
    row(Action::Hex, (&[Char('x')], "x"), ALERTS, t::KEY_HEX, false),
    row(Action::TruePositive, (&[Char('d')], "d"), ALERTS, t::KEY_TRUE, false),
    row(Action::Reopen, (&[Char('r')], "r"), ALERTS, t::KEY_REOPEN, false),
    row(Action::GoIncident, (&[Char('i')], "i"), ALERTS, t::KEY_GO_INCIDENT, true),
    row(Action::Closed, (&[Char('a')], "a"), &[Room::Queue], t::KEY_CLOSED, true),
    row(Action::NextTab, (&[Tab, Right], "Tab"), &[Room::Case], t::KEY_TAB, true),
    row(Action::PreviousTab, (&[BackTab, Left], "Shift-Tab"), &[Room::Case], t::KEY_PREVIOUS_TAB, false),
    row(Action::Playbook, (&[Char('p')], "p"), &[Room::Case], t::KEY_PLAYBOOK, true),
    row(Action::Decide, (&[Char('y')], "y"), &[Room::Case], t::KEY_DECIDE, true),
    row(Action::Undo, (&[Char('u')], "u"), &[Room::Case], t::KEY_UNDO, true),
    row(Action::Note, (&[Char('n')], "n"), &[Room::Case], t::KEY_NOTE, true),
    row(Action::Back, (&[Esc], "Esc"), ALL, t::KEY_BACK, true),
    row(Action::Alerts, (&[Char('1')], "1"), ALL, t::KEY_ALERTS, true),
    row(Action::Incidents, (&[Char('2')], "2"), ALL, t::KEY_INCIDENTS, true),
    row(Action::Agents, (&[Char('3')], "3"), ALL, t::KEY_AGENTS, true),
    row(Action::Up, (&[ArrowUp, Char('k')], "↑ k"), ALL, t::KEY_UP, false),
    row(Action::Down, (&[ArrowDown, Char('j')], "↓ j"), ALL, t::KEY_DOWN, false),
    row(Action::PageUp, (&[PgUp], "PgUp"), ALL, t::KEY_PAGE_UP, false),
    row(Action::PageDown, (&[PgDn], "PgDn"), ALL, t::KEY_PAGE_DOWN, false),
    row(Action::First, (&[Home, Char('g')], "Home g"), ALL, t::KEY_FIRST, false),
    row(Action::Last, (&[End, Char('G')], "End G"), ALL, t::KEY_LAST, false),
    row(Action::Help, (&[Char('?')], "?"), ALL, t::KEY_HELP, true),
    row(Action::Quit, (&[Char('q')], "q"), ALL, t::KEY_QUIT, true),
];

/// Returns what a key does in a room.
pub(crate) fn action(room: Room, key: KeyEvent) -> Option<Action> {
    if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return None;
    }
    here(room).find(|b| b.keys.contains(&key.code)).map(|b| b.action)
}

/// Returns the rows of a room.
pub(crate) fn here(room: Room) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |b| b.rooms.contains(&room))
}

/// Tells whether a key is Ctrl-C, which always leaves.
pub(crate) fn is_interrupt(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_room() {
        for room in ALL {
            let mut seen = Vec::new();
            for key in here(*room).flat_map(|b| b.keys) {
                assert!(!seen.contains(&key), "{key:?} in {room:?}");
                seen.push(key);
            }
        }
    }
}
