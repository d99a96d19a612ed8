//! The alert queue: what is shown, where the cursor is, what is marked. The cursor is on an alert, not on a row.

use std::collections::{BTreeSet, HashMap};

use khien_core::{
    AlertId, Severity,
    alert::{Alert, Status},
    triage,
};

use super::input::Input;

/// Every alert that is known, in triage order, and which of them are shown.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    alerts: Vec<Alert>,
    shown: Vec<usize>,
    selected: Option<AlertId>,
    at: usize,
    marked: BTreeSet<AlertId>,
    /// What was typed to narrow the list.
    pub(crate) filter: Input,
    /// Whether keys go into the filter.
    pub(crate) typing: bool,
    closed: bool,
}

impl Queue {
    /// Returns every alert that is known, shown or not.
    pub(crate) fn all(&self) -> &[Alert] {
        &self.alerts
    }

    /// Replaces everything.
    pub(crate) fn load(&mut self, alerts: Vec<Alert>) {
        self.alerts = alerts;
        self.arrange();
    }

    /// Takes in new and changed alerts; an older state of a known one is ignored.
    pub(crate) fn merge(&mut self, changed: Vec<Alert>) {
        if changed.is_empty() {
            return;
        }
        let mut places: HashMap<AlertId, usize> =
            self.alerts.iter().enumerate().map(|(i, a)| (a.id, i)).collect();
        let mut news = false;
        for alert in changed {
            match places.get(&alert.id).and_then(|i| self.alerts.get_mut(*i)) {
                Some(known) if known.revision >= alert.revision => continue,
                Some(known) => *known = alert,
                None => {
                    places.insert(alert.id, self.alerts.len());
                    self.alerts.push(alert);
                }
            }
            news = true;
        }
        if news {
            self.arrange();
        }
    }

    fn arrange(&mut self) {
        triage::sort(&mut self.alerts);
        let known: BTreeSet<AlertId> = self.alerts.iter().map(|a| a.id).collect();
        self.marked.retain(|id| known.contains(id));
        self.narrow();
    }

    /// Works out again which alerts are shown. The cursor stays on its alert; if that is gone, on its row.
    pub(crate) fn narrow(&mut self) {
        let fits =
            |a: &Alert| (self.closed || a.status != Status::Closed) && triage::fits(a, self.filter.text());
        self.shown = self.alerts.iter().enumerate().filter(|(_, a)| fits(a)).map(|(i, _)| i).collect();
        let kept = self.selected.and_then(|id| self.rows(0, usize::MAX).position(|a| a.id == id));
        self.select(kept.unwrap_or(self.at));
    }

    /// Puts the cursor on a row, or the nearest there is.
    pub(crate) fn select(&mut self, row: usize) {
        self.at = row.min(self.shown.len().saturating_sub(1));
        self.selected = self.row(self.at).map(|a| a.id);
    }

    /// Moves the cursor by rows.
    pub(crate) fn step(&mut self, rows: isize) {
        self.select(self.at.saturating_add_signed(rows));
    }

    fn row(&self, row: usize) -> Option<&Alert> {
        self.shown.get(row).and_then(|i| self.alerts.get(*i))
    }

    /// Returns the shown alerts of some rows.
    pub(crate) fn rows(&self, from: usize, count: usize) -> impl Iterator<Item = &Alert> {
        self.shown.iter().skip(from).take(count).filter_map(|i| self.alerts.get(*i))
    }

    /// Returns how many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.shown.len()
    }

    /// Returns the row of the cursor.
    pub(crate) fn cursor(&self) -> usize {
        self.at
    }

    /// Returns the alert under the cursor.
    pub(crate) fn selected(&self) -> Option<&Alert> {
        self.row(self.at)
    }

    /// Returns an alert, shown or not.
    pub(crate) fn find(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.iter().find(|a| a.id == id)
    }

    /// Marks or unmarks the alert under the cursor and goes to the next.
    pub(crate) fn toggle_mark(&mut self) {
        let Some(id) = self.selected else { return };
        if !self.marked.remove(&id) {
            self.marked.insert(id);
        }
        self.step(1);
    }

    /// Tells whether an alert is marked.
    pub(crate) fn is_marked(&self, id: AlertId) -> bool {
        self.marked.contains(&id)
    }

    /// Returns how many are marked.
    pub(crate) fn marks(&self) -> usize {
        self.marked.len()
    }

    /// Takes all marks away.
    pub(crate) fn unmark(&mut self) {
        self.marked.clear();
    }

    /// Returns the marked alerts, or the one under the cursor.
    pub(crate) fn chosen(&self) -> Vec<AlertId> {
        match self.marked.is_empty() {
            true => self.selected.into_iter().collect(),
            false => self.marked.iter().copied().collect(),
        }
    }

    /// Shows closed alerts too, or no longer.
    pub(crate) fn toggle_closed(&mut self) {
        self.closed = !self.closed;
        self.narrow();
    }

    /// Tells whether closed alerts are shown.
    pub(crate) fn shows_closed(&self) -> bool {
        self.closed
    }

    /// Counts the open alerts by severity, most severe first.
    pub(crate) fn open_by_severity(&self) -> [(Severity, usize); 4] {
        let open = |s| self.alerts.iter().filter(|a| a.severity == s && a.status != Status::Closed).count();
        Severity::ALL.map(|s| (s, open(s)))
    }
}
