//! Values and helpers for the tests of the UI.

use khien_core::{
    AgentId, AlertId, Lang, Severity, Timestamp, Untrusted,
    alert::{Alert, Status},
    asset::{Agent, Coverage, Presence, Sensor, Sight},
    evidence::{Custody, CustodyAction, Evidence, Origin},
    incident::Incident,
    reason::Reason,
    run::Run,
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

use super::{
    app::App,
    msg::{CaseFile, Cmd, Msg},
    theme::Theme,
    update::update,
    view::view,
};
pub(crate) use crate::command::samples::{
    agent, capture_alert, file_alert, flow_alert, incident, run, traffic_alert,
};

/// Returns the moment at which every test takes place.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T03:12:00Z".parse().unwrap()
}

/// Returns an alert with a number, a severity and the second at which it was seen last.
pub(crate) fn alert(id: i64, severity: Severity, second: i64) -> Alert {
    Alert {
        id: AlertId(id),
        severity,
        last_seen: Timestamp::from_second(now().as_second() - 600 + second).unwrap(),
        revision: u64::try_from(id).unwrap(),
        ..file_alert()
    }
}

/// Returns a UI that knows nothing yet.
pub(crate) fn empty(lang: Lang) -> App {
    App::new(lang, Theme::from_no_color(None), "thu", now())
}

/// Returns a UI with three alerts, two agents and a hub that answers.
pub(crate) fn app(lang: Lang) -> App {
    let mut app = empty(lang);
    let low = Alert {
        id: AlertId(7),
        severity: Severity::Low,
        host: Untrusted::from("mail-so-noi-vu"),
        path: Some(Untrusted::from("/var/spool/đơn xin/giấy tờ (bản sao).jsp")),
        count: 1402,
        ..file_alert()
    };
    let closed = Alert { id: AlertId(3), status: Status::Closed, ..file_alert() };
    let alerts = vec![file_alert(), flow_alert(), low, closed];
    update(&mut app, Msg::Loaded(khien_core::api::Alerts { alerts, revision: 9 }));
    update(&mut app, Msg::Agents(vec![agent(), silent_agent()]));
    app
}

fn silent_agent() -> Agent {
    let mut silent = agent();
    silent.id = AgentId([9; 32]);
    silent.host = Untrusted::from("db2");
    silent.agency = "Sở Nội vụ".to_owned();
    silent.presence = Presence::Silent;
    silent.last_seen = "2026-11-22T01:00:00Z".parse().unwrap();
    silent
}

/// Returns a coverage that is blind.
pub(crate) fn blind(reason: Reason) -> Coverage {
    Coverage {
        sensor: Sensor::Network,
        scope: Untrusted::from("eth0"),
        backend: "none".to_owned(),
        sight: Sight::Blind,
        reason: Some(reason),
    }
}

/// Returns an incident with an alert, evidence and a run that waits.
pub(crate) fn case_file() -> CaseFile {
    let run = waiting_run();
    let incident = Incident { evidence: vec![evidence()], ..incident() };
    CaseFile {
        alerts: vec![Alert { incident: Some(incident.id), ..file_alert() }],
        incident,
        runs: vec![run],
    }
}

/// Returns a run that waits for a person and follows the playbook of the library.
pub(crate) fn waiting_run() -> Run {
    let playbook = khien_playbooks::find("webshell").unwrap();
    let is_approval = |s: &&khien_playbooks::Step| matches!(s.kind, khien_playbooks::StepKind::Approval);
    let step = playbook.steps.iter().find(is_approval).unwrap().id.clone();
    Run { playbook_hash: playbook.hash, waiting_for: Some(step), ..run() }
}

fn evidence() -> Evidence {
    let alert = file_alert();
    let custody = |who: &str, action| Custody {
        at: now(),
        who: who.to_owned(),
        action,
        tool: "khien-agent 0.1.0".to_owned(),
        sha256: alert.sha256.unwrap(),
        late: false,
    };
    Evidence {
        sha256: alert.sha256.unwrap(),
        size: 31,
        path: alert.path.clone().unwrap(),
        origin: Origin::Taken {
            agent: alert.agent,
            host: alert.host.clone(),
            order: khien_core::OrderId([5; 16]),
        },
        incident: incident().id,
        custody: vec![
            custody("thu", CustodyAction::Ordered),
            custody("agent web1", CustodyAction::Collected),
        ],
    }
}

/// Presses a key and returns what the UI wants done.
pub(crate) fn press(app: &mut App, code: KeyCode) -> Option<Cmd> {
    update(app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Types a text, one key for each character.
pub(crate) fn typed(app: &mut App, text: &str) {
    for c in text.chars() {
        assert_eq!(press(app, KeyCode::Char(c)), None);
    }
}

/// Draws the UI on a screen of that size.
pub(crate) fn drawn(app: &mut App, columns: u16, rows: u16) -> Terminal<TestBackend> {
    update(app, Msg::Resize(columns, rows));
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| view(app, frame)).unwrap();
    terminal
}

/// Draws the UI and returns its text.
pub(crate) fn text(app: &mut App, columns: u16, rows: u16) -> String {
    drawn(app, columns, rows).backend().to_string()
}

/// Draws the UI and returns its cells.
pub(crate) fn cells(app: &mut App, columns: u16, rows: u16) -> Buffer {
    drawn(app, columns, rows).backend().buffer().clone()
}
