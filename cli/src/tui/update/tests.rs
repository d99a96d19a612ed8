use khien_core::{AlertId, Lang, Severity, alert::Verdict, api::Alerts};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::{
        app::{App, Deed, Dialog, Link, Question, Room, Tab},
        msg::{Cmd, Msg},
        samples::{alert, app, case_file, empty, file_alert, incident, now, press, typed, waiting_run},
    },
    update,
};

fn loaded(alerts: Vec<khien_core::alert::Alert>) -> App {
    let mut app = empty(Lang::Vi);
    update(&mut app, Msg::Loaded(Alerts { alerts, revision: 1 }));
    app
}

fn selected(app: &App) -> i64 {
    app.queue.selected().unwrap().id.0
}

fn in_case() -> App {
    let mut app = app(Lang::Vi);
    update(&mut app, Msg::Opened(Box::new(incident())));
    update(&mut app, Msg::Case(Box::new(case_file())));
    app.notice = None;
    app
}

#[test]
fn the_cursor_stays_on_its_alert_when_a_more_severe_one_arrives() {
    let mut app = loaded(vec![alert(1, Severity::High, 1), alert(2, Severity::Low, 2)]);
    press(&mut app, KeyCode::Down);
    assert_eq!(selected(&app), 2);

    update(&mut app, Msg::Changed(vec![alert(3, Severity::Critical, 3)]));

    assert_eq!(selected(&app), 2);
    assert_eq!(app.queue.cursor(), 2);
}

#[test]
fn the_cursor_stays_on_its_row_when_its_alert_is_closed() {
    let mut app = loaded((1..=3).map(|i| alert(i, Severity::High, -i)).collect());
    press(&mut app, KeyCode::Down);
    let mut closed = alert(2, Severity::High, -2);
    closed.status = khien_core::alert::Status::Closed;
    closed.revision = 50;

    update(&mut app, Msg::Changed(vec![closed]));

    assert_eq!(selected(&app), 3);
}

#[test]
fn an_older_state_never_replaces_a_newer_one() {
    let mut newer = alert(1, Severity::High, 1);
    newer.revision = 8;
    newer.count = 5;
    let mut app = loaded(vec![newer]);

    update(&mut app, Msg::Changed(vec![alert(1, Severity::High, 1)]));

    assert_eq!(app.queue.selected().unwrap().count, 5);
}

#[test]
fn typing_narrows_the_queue_whatever_the_marks_and_the_case() {
    let mut app = app(Lang::Vi);

    press(&mut app, KeyCode::Char('/'));
    typed(&mut app, "SO-NOI vu giay");
    press(&mut app, KeyCode::Enter);

    assert_eq!(app.queue.len(), 1);
    assert_eq!(selected(&app), 7);
    assert!(!app.queue.typing);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.queue.len(), 3, "Esc takes the filter away");
}

#[test]
fn closed_alerts_are_shown_when_asked_for() {
    let mut app = app(Lang::Vi);
    assert_eq!(app.queue.len(), 3);

    press(&mut app, KeyCode::Char('a'));

    assert_eq!(app.queue.len(), 4);
}

#[test]
fn acknowledging_takes_the_marked_alerts_or_the_one_under_the_cursor() {
    let mut app = loaded((1..=3).map(|i| alert(i, Severity::High, -i)).collect());

    assert_eq!(press(&mut app, KeyCode::Char('t')), Some(Cmd::Acknowledge(vec![AlertId(1)])));
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Char(' '));
    assert_eq!(press(&mut app, KeyCode::Char('t')), Some(Cmd::Acknowledge(vec![AlertId(1), AlertId(2)])));
    assert_eq!(press(&mut app, KeyCode::Char('r')), Some(Cmd::Reopen(vec![AlertId(1), AlertId(2)])));
}

#[test]
fn a_false_positive_needs_a_reason() {
    let mut app = loaded(vec![alert(1, Severity::High, 1)]);
    press(&mut app, KeyCode::Char('f'));

    assert_eq!(press(&mut app, KeyCode::Enter), None);
    assert!(app.dialog.is_some(), "an empty reason is not sent");
    typed(&mut app, "bản kie\u{302}\u{309}m thửx");
    press(&mut app, KeyCode::Backspace);
    let cmd = press(&mut app, KeyCode::Enter);

    let reason = "bản kiểm thử".to_owned();
    assert_eq!(cmd, Some(Cmd::Close { alerts: vec![AlertId(1)], verdict: Verdict::FalsePositive, reason }));
    assert_eq!(app.dialog, None);
}

#[test]
fn a_true_positive_may_be_closed_without_a_word() {
    let mut app = loaded(vec![alert(1, Severity::High, 1)]);
    press(&mut app, KeyCode::Char('d'));

    let cmd = press(&mut app, KeyCode::Enter);

    let reason = String::new();
    assert_eq!(cmd, Some(Cmd::Close { alerts: vec![AlertId(1)], verdict: Verdict::TruePositive, reason }));
}

#[test]
fn an_incident_is_opened_from_marked_alerts_and_shown() {
    let mut app = loaded((1..=3).map(|i| alert(i, Severity::High, -i)).collect());
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Char('o'));
    update(&mut app, Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    update(&mut app, Msg::Paste("Webshell ở cổng".to_owned()));

    let cmd = press(&mut app, KeyCode::Enter);

    let title = "Webshell ở cổng".to_owned();
    assert_eq!(cmd, Some(Cmd::OpenIncident { title, alerts: vec![AlertId(1), AlertId(2)] }));
    let id = incident().id;
    assert_eq!(update(&mut app, Msg::Opened(Box::new(incident()))), Some(Cmd::LoadIncident(id)));
    assert_eq!(app.room(), Room::Case);
    assert_eq!(app.queue.marks(), 0);
}

#[test]
fn the_incident_of_an_alert_is_one_key_away() {
    let mut with = file_alert();
    with.incident = Some(incident().id);
    let mut app = loaded(vec![with]);

    assert_eq!(press(&mut app, KeyCode::Char('i')), Some(Cmd::LoadIncident(incident().id)));

    let mut app = loaded(vec![file_alert()]);
    assert_eq!(press(&mut app, KeyCode::Char('i')), None);
    assert!(app.notice.is_some(), "it says that there is none");
}

#[test]
fn an_incident_on_the_screen_is_asked_for_each_second() {
    let mut app = in_case();

    assert_eq!(update(&mut app, Msg::Tick(now())), Some(Cmd::LoadIncident(incident().id)));
    press(&mut app, KeyCode::Char('1'));
    assert_eq!(update(&mut app, Msg::Tick(now())), None);
}

#[test]
fn a_failed_load_is_not_repeated_at_once() {
    let mut app = in_case();

    assert_eq!(update(&mut app, Msg::Failed("không có".to_owned())), None);
}

#[test]
fn a_playbook_starts_only_after_a_clear_yes() {
    let mut app = in_case();
    press(&mut app, KeyCode::Char('p'));
    press(&mut app, KeyCode::Enter);
    assert!(matches!(app.dialog, Some(Dialog::Confirm(Deed::Start(_), 0))));

    assert_eq!(press(&mut app, KeyCode::Enter), None, "Enter is not a yes");
    let Some(Cmd::Start(plan)) = press(&mut app, KeyCode::Char('y')) else { panic!("no start") };

    assert_eq!(plan.playbook.id, "webshell");
    assert_eq!(plan.targets.len(), 1);
    assert!(plan.orders.iter().all(|o| !o.verb.changes_host()), "nothing is changed before the approval");
}

#[test]
fn a_run_that_waits_is_approved_with_the_orders_that_were_shown() {
    let mut app = in_case();
    press(&mut app, KeyCode::Char('y'));
    let Some(Dialog::Confirm(Deed::Decide { orders, .. }, _)) = &app.dialog else { panic!("no dialog") };
    assert!(orders.iter().any(|o| o.verb.changes_host()));

    let Some(Cmd::Approve { run, step }) = press(&mut app, KeyCode::Char('y')) else { panic!("no approval") };

    assert_eq!((*run, Some(step)), (waiting_run(), waiting_run().waiting_for));
}

#[test]
fn a_refusal_asks_for_a_reason() {
    let mut app = in_case();
    press(&mut app, KeyCode::Char('y'));
    press(&mut app, KeyCode::Char('n'));
    assert!(matches!(app.dialog, Some(Dialog::Ask(Question::Refuse(..), _))));
    typed(&mut app, "chờ quản trị");

    let Some(Cmd::Refuse { reason, run, .. }) = press(&mut app, KeyCode::Enter) else { panic!("no refusal") };

    assert_eq!((reason.as_str(), run), ("chờ quản trị", waiting_run().id));
}

#[test]
fn a_run_of_another_playbook_text_is_not_offered_for_signing() {
    let mut app = in_case();
    let mut file = case_file();
    file.runs[0].playbook_hash = khien_core::Sha256([0; 32]);
    update(&mut app, Msg::Case(Box::new(file)));

    press(&mut app, KeyCode::Char('y'));

    assert_eq!(app.dialog, None);
    assert!(app.notice.as_ref().unwrap().failed);
}

#[test]
fn undo_is_confirmed_before_it_is_signed() {
    let mut app = in_case();
    assert_eq!(press(&mut app, KeyCode::Char('u')), None);
    assert!(app.notice.take().is_some(), "it says that nothing can be undone");
    let mut file = case_file();
    let quarantine = file.runs[0].steps[0].results.clone();
    file.runs[0].steps[2].results = quarantine;
    file.runs[0].can_undo = true;
    file.runs[0].waiting_for = None;
    update(&mut app, Msg::Case(Box::new(file)));

    press(&mut app, KeyCode::Char('u'));
    assert!(matches!(app.dialog, Some(Dialog::Confirm(Deed::Undo { .. }, 0))));

    assert!(matches!(press(&mut app, KeyCode::Char('y')), Some(Cmd::Undo(_))));
}

#[test]
fn a_note_is_written_to_the_incident() {
    let mut app = in_case();
    press(&mut app, KeyCode::Char('n'));
    typed(&mut app, "đã gọi");

    let cmd = press(&mut app, KeyCode::Enter);

    assert_eq!(cmd, Some(Cmd::Note { incident: incident().id, text: "đã gọi".to_owned() }));
}

#[test]
fn the_parts_of_an_incident_go_round() {
    let mut app = in_case();
    let tab = |app: &App| app.case.as_ref().unwrap().tab;

    press(&mut app, KeyCode::Tab);
    assert_eq!(tab(&app), Tab::Alerts);
    press(&mut app, KeyCode::Enter);
    assert_eq!((app.room(), app.alert), (Room::Detail, Some(AlertId(1))));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::BackTab);
    press(&mut app, KeyCode::BackTab);

    assert_eq!(tab(&app), Tab::Evidence);
}

#[test]
fn a_lost_hub_is_shown_since_when_and_what_was_read_stays() {
    let mut app = loaded(vec![alert(1, Severity::High, 1)]);
    update(&mut app, Msg::Lost("refused".to_owned()));
    let later = khien_core::time::after(now(), khien_core::time::SignedDuration::from_secs(9));
    update(&mut app, Msg::Tick(later));

    update(&mut app, Msg::Lost("refused again".to_owned()));

    assert_eq!(app.link, Link::Down { since: now(), cause: "refused again".to_owned() });
    assert_eq!(app.queue.len(), 1);
    update(&mut app, Msg::Changed(Vec::new()));
    assert_eq!((&app.link, app.heard), (&Link::Up, Some(later)));
}

#[test]
fn an_error_is_dismissed_with_esc_before_anything_else() {
    let mut app = app(Lang::Vi);
    press(&mut app, KeyCode::Enter);
    update(&mut app, Msg::Failed("không được".to_owned()));

    press(&mut app, KeyCode::Esc);

    assert_eq!((app.notice.clone(), app.room()), (None, Room::Detail));
}

#[test]
fn leaving_from_the_queue_is_asked_and_ctrl_c_is_not() {
    let mut app = app(Lang::Vi);

    assert_eq!(press(&mut app, KeyCode::Char('q')), None);
    assert_eq!(press(&mut app, KeyCode::Char('n')), None);
    press(&mut app, KeyCode::Char('q'));
    assert_eq!(press(&mut app, KeyCode::Char('y')), Some(Cmd::Quit));

    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut app, KeyCode::Char('f'));
    assert_eq!(update(&mut app, Msg::Key(interrupt)), Some(Cmd::Quit));
    assert_eq!(update(&mut app, Msg::Stop), Some(Cmd::Quit));
}

#[test]
fn a_screen_is_left_towards_the_one_before() {
    let mut app = app(Lang::Vi);
    press(&mut app, KeyCode::Char('3'));
    press(&mut app, KeyCode::Char('2'));
    press(&mut app, KeyCode::Char('3'));

    assert_eq!(app.rooms, [Room::Queue, Room::Agents]);
    press(&mut app, KeyCode::Char('q'));
    assert_eq!(app.room(), Room::Queue);
}

#[test]
fn the_end_keys_reach_the_ends() {
    let mut app = loaded((1..=100).map(|i| alert(i, Severity::High, -i)).collect());

    press(&mut app, KeyCode::End);
    assert_eq!(selected(&app), 100);
    press(&mut app, KeyCode::PageUp);
    assert_eq!(selected(&app), 84);
    press(&mut app, KeyCode::Home);
    assert_eq!(selected(&app), 1);
}
