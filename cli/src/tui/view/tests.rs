use khien_core::{Lang, Severity, Untrusted, api::Alerts, reason::Reason, text::Words, untrusted::hides};
use ratatui::{
    crossterm::event::KeyCode,
    style::{Color, Modifier},
};
use unicode_normalization::UnicodeNormalization;

use super::super::{
    app::{App, Dialog},
    msg::Msg,
    samples::{
        alert, app, blind, capture_alert, case_file, cells, drawn, empty, file_alert, incident, now, press,
        run, text, traffic_alert, typed,
    },
    theme::Theme,
    update::update,
};

#[test]
fn an_alert_about_traffic_says_its_numbers_and_shows_its_flows() {
    let mut app = empty(Lang::Vi);
    update(&mut app, Msg::Loaded(Alerts { alerts: vec![traffic_alert()], revision: 9 }));

    insta::assert_snapshot!(text(&mut keyed(app, &[KeyCode::Enter]), 80, 60));
}

#[test]
fn an_alert_of_a_capture_names_the_file_and_neither_an_agent_nor_a_writer() {
    let mut app = empty(Lang::En);
    update(&mut app, Msg::Loaded(Alerts { alerts: vec![capture_alert()], revision: 9 }));

    let shown = text(&mut keyed(app, &[KeyCode::Enter]), 80, 60);

    assert!(shown.contains("mirror\\u{1b}[2J.pcapng") && !shown.contains('\u{1b}'), "{shown}");
    assert!(shown.contains(&"09".repeat(16)) && shown.contains("a.php"), "{shown}");
    for foreign in ["Agent", "Process", "Interface"] {
        assert!(!shown.lines().any(|line| line.trim_start().starts_with(foreign)), "{foreign} in {shown}");
    }
}

fn in_case(lang: Lang) -> App {
    let mut app = app(lang);
    update(&mut app, Msg::Opened(Box::new(incident())));
    update(&mut app, Msg::Case(Box::new(case_file())));
    app.notice = None;
    app
}

fn keyed(mut app: App, keys: &[KeyCode]) -> App {
    for key in keys {
        press(&mut app, *key);
    }
    app
}

#[test]
fn the_queue_on_a_small_screen() {
    insta::assert_snapshot!(text(&mut app(Lang::Vi), 80, 24));
}

#[test]
fn the_queue_on_a_larger_screen_shows_the_alert_too() {
    insta::assert_snapshot!(text(&mut app(Lang::Vi), 120, 40));
}

#[test]
fn the_queue_on_a_wide_screen_shows_the_alert_beside_it() {
    insta::assert_snapshot!(text(&mut app(Lang::Vi), 200, 50));
}

#[test]
fn the_queue_in_english() {
    insta::assert_snapshot!(text(&mut app(Lang::En), 80, 24));
}

#[test]
fn the_queue_before_the_hub_answered() {
    insta::assert_snapshot!(text(&mut empty(Lang::Vi), 80, 24));
}

#[test]
fn the_queue_while_a_filter_is_typed_and_the_hub_is_lost() {
    let mut app = app(Lang::Vi);
    press(&mut app, KeyCode::Char(' '));
    press(&mut app, KeyCode::Char('/'));
    typed(&mut app, "y te");
    update(&mut app, Msg::Lost("hub at 127.0.0.1:8443 is not reachable: connection refused".to_owned()));

    insta::assert_snapshot!(text(&mut app, 80, 24));
}

#[test]
fn an_alert_about_a_file() {
    insta::assert_snapshot!(text(&mut keyed(app(Lang::Vi), &[KeyCode::Enter]), 80, 50));
}

#[test]
fn an_alert_about_traffic() {
    insta::assert_snapshot!(text(&mut keyed(app(Lang::Vi), &[KeyCode::Down, KeyCode::Enter]), 80, 24));
}

#[test]
fn an_excerpt_as_hex() {
    let mut app = keyed(app(Lang::Vi), &[KeyCode::Enter, KeyCode::Char('x'), KeyCode::End]);

    insta::assert_snapshot!(text(&mut app, 80, 24));
}

#[test]
fn the_overview_of_an_incident() {
    insta::assert_snapshot!(text(&mut in_case(Lang::Vi), 80, 40));
}

#[test]
fn the_timeline_of_an_incident_on_a_wide_screen() {
    insta::assert_snapshot!(text(&mut keyed(in_case(Lang::Vi), &[KeyCode::Tab, KeyCode::Tab]), 160, 40));
}

#[test]
fn the_alerts_and_the_evidence_of_an_incident() {
    let mut app = keyed(in_case(Lang::Vi), &[KeyCode::Tab]);
    insta::assert_snapshot!("alerts_of_an_incident", text(&mut app, 80, 24));
    let mut app = keyed(app, &[KeyCode::Tab, KeyCode::Tab]);
    insta::assert_snapshot!("evidence_of_an_incident", text(&mut app, 80, 24));
}

#[test]
fn the_incidents() {
    let mut app = keyed(app(Lang::Vi), &[KeyCode::Char('2')]);
    update(&mut app, Msg::Incidents(vec![incident()]));

    insta::assert_snapshot!(text(&mut app, 120, 40));
}

#[test]
fn an_agent_shows_its_outcomes_its_scans_and_when_it_was_blind() {
    let mut app = app(Lang::En);
    app.agents[0].health = crate::command::samples::busy_agent().health;
    let told = crate::command::samples::blind_alert();
    app.queue.merge(vec![khien_core::alert::Alert { agent: app.agents[0].id, ..told }]);
    let mut app = keyed(app, &[KeyCode::Char('3')]);

    insta::assert_snapshot!(text(&mut app, 110, 30));
}

#[test]
fn the_agents() {
    insta::assert_snapshot!(text(&mut keyed(app(Lang::Vi), &[KeyCode::Char('3')]), 80, 24));
}

#[test]
fn the_question_for_a_reason() {
    let mut app = keyed(app(Lang::Vi), &[KeyCode::Char('f')]);
    typed(&mut app, "tệp kiểm thử của nhà thầu");

    insta::assert_snapshot!(text(&mut app, 80, 24));
}

#[test]
fn what_a_playbook_will_do_is_listed_before_it_starts() {
    let mut app = keyed(in_case(Lang::Vi), &[KeyCode::Char('p'), KeyCode::Enter]);

    insta::assert_snapshot!(text(&mut app, 80, 24));
}

#[test]
fn what_an_approval_signs_is_listed_in_whole() {
    let mut app = keyed(in_case(Lang::Vi), &[KeyCode::Char('y')]);

    let shown = text(&mut app, 120, 40);

    assert!(shown.contains(&file_alert().sha256.unwrap().to_string()));
    assert!(shown.contains("/srv/www/a.php"));
    insta::assert_snapshot!(shown);
}

#[test]
fn the_help_of_the_queue() {
    insta::assert_snapshot!(text(&mut keyed(app(Lang::Vi), &[KeyCode::Char('?')]), 80, 24));
}

#[test]
fn a_hash_stands_whole_on_one_line_of_eighty_cells() {
    let shown = text(&mut keyed(app(Lang::Vi), &[KeyCode::Enter]), 80, 50);

    assert!(shown.contains(&file_alert().sha256.unwrap().to_string()));
}

#[test]
fn reduced_coverage_is_named_on_every_screen() {
    let mut app = app(Lang::Vi);
    app.agents[0].health.coverage.insert(0, blind(Reason::PacketsDenied));

    for key in ['1', '2', '3'] {
        press(&mut app, KeyCode::Char(key));
        let shown = text(&mut app, 80, 24);
        assert!(shown.contains("Vùng quan sát bị giảm: web1 – mạng eth0"), "{shown}");
        assert!(shown.contains("1 tác tử im lặng"), "{shown}");
    }
}

/// Names that try to steer the terminal, to reorder text and to pile up.
fn hostile() -> Vec<khien_core::alert::Alert> {
    let names = [
        "a\x1b]52;c;x\x07\x1b[2J",
        "b\u{202e}gpj.php",
        "c\r\n\x08\u{9b}31m",
        "d\u{0301}\u{0301}\u{0301}\u{0301}\u{0301}\u{0301}",
    ];
    let mut out = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let mut a = alert(i as i64 + 1, Severity::High, 1);
        a.host = Untrusted::from(*name);
        a.path = Some(Untrusted::from(*name));
        a.agency = (*name).to_owned();
        a.title.vi = (*name).to_owned();
        a.explanation.vi = (*name).to_owned();
        a.reason = Some((*name).to_owned());
        out.push(a);
    }
    out
}

#[test]
fn hostile_names_put_no_control_character_on_the_screen() {
    let mut app = in_case(Lang::Vi);
    let mut file = case_file();
    file.alerts = hostile();
    file.incident.title = Words::same("\x1b[2J\u{202e}");
    file.incident.timeline[0].text = Words::same("\x1b]0;x\x07");
    file.runs[0].steps[0].results[0].path = Untrusted::from("\x1b[2J");
    file.runs[0].playbook = "webshell".to_owned();
    update(&mut app, Msg::Case(Box::new(file)));
    update(&mut app, Msg::Failed("\x1b[31m lỗi \u{202e}".to_owned()));
    app.agents[0].host = Untrusted::from("\x1b[2J");
    app.agents[0].agency = "\u{200f}x\x07".to_owned();
    app.agents[0].health.coverage.push(blind(Reason::Said { text: Untrusted::from("\x1b[2J") }));

    let keys = ["", "\t", "\t\t", "\t\t\t", "y", "p\n", "1", "1\n", "1\nx", "2", "3", "1f", "1o", "?"];
    for way in keys {
        let codes: Vec<_> = way
            .chars()
            .map(|c| match c {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            })
            .collect();
        codes.iter().for_each(|c| drop(press(&mut app, *c)));
        for size in [(80, 24), (200, 60)] {
            let buffer = cells(&mut app, size.0, size.1);
            let bad = buffer.content().iter().find(|c| c.symbol().chars().any(hides));
            assert_eq!(bad, None, "after {way:?} at {size:?}");
        }
        app.dialog = None;
        update(&mut app, Msg::Opened(Box::new(incident())));
    }
}

#[test]
fn composed_and_decomposed_names_line_up() {
    let mut decomposed = alert(2, Severity::High, 2);
    decomposed.host = Untrusted::from("sởytế".nfd().collect::<String>().as_str());
    let mut composed = alert(1, Severity::High, 1);
    composed.host = Untrusted::from("sởytế");
    let mut app = empty(Lang::Vi);
    let alerts = vec![composed, decomposed];
    update(&mut app, Msg::Loaded(khien_core::api::Alerts { alerts, revision: 1 }));

    let shown = text(&mut app, 80, 24);

    let hosts: Vec<_> = shown.lines().filter_map(|l| l.find("sởytế")).collect();
    assert_eq!(hosts.len(), 2);
    assert_eq!(hosts[0], hosts[1]);
}

#[test]
fn ten_thousand_alerts_build_only_the_visible_rows() {
    let mut app = empty(Lang::Vi);
    let alerts = (1..=10_000).map(|i| alert(i, Severity::High, i)).collect();
    update(&mut app, Msg::Loaded(khien_core::api::Alerts { alerts, revision: 1 }));

    for key in [KeyCode::Home, KeyCode::PageDown, KeyCode::End] {
        press(&mut app, key);
        let rows = super::queue_rows(&app, 80, 19);

        assert_eq!(rows.len(), 19);
        assert_eq!(rows.iter().filter(|r| r.spans[0].content.starts_with('>')).count(), 1);
    }
}

#[test]
fn no_size_is_too_small() {
    let mut app = in_case(Lang::Vi);
    update(&mut app, Msg::Failed("lỗi".to_owned()));
    let rooms = ["", "\t", "\t", "\t", "1", "1\n", "2", "3", "?", "q", "1f", "1o", "p"];
    for way in rooms {
        for c in way.chars() {
            let code = match c {
                '\t' => KeyCode::Tab,
                '\n' => KeyCode::Enter,
                c => KeyCode::Char(c),
            };
            press(&mut app, code);
        }
        for columns in [1, 2, 3, 7, 14, 16, 33, 61, 80, 250] {
            for rows in [1, 2, 3, 5, 8, 9, 12, 80] {
                drawn(&mut app, columns, rows);
                press(&mut app, KeyCode::PageDown);
            }
        }
        app.dialog = None;
    }
}

#[test]
fn severity_is_readable_without_colour() {
    let mut app = app(Lang::Vi);
    app.theme = Theme::from_no_color(Some(std::ffi::OsStr::new("1")));

    let buffer = cells(&mut app, 80, 24);

    assert!(buffer.content().iter().all(|c| (c.fg, c.bg) == (Color::Reset, Color::Reset)));
    let shown = text(&mut app, 80, 24);
    for word in ["Nguy cấp", "Cao", "Thấp"] {
        assert!(shown.lines().skip(4).any(|l| l.contains(word)), "{word}");
    }
}

#[test]
fn the_match_is_highlighted_also_without_colour() {
    for no_color in [None, Some(std::ffi::OsStr::new("1"))] {
        let mut app = keyed(app(Lang::Vi), &[KeyCode::Enter]);
        app.theme = Theme::from_no_color(no_color);

        let buffer = cells(&mut app, 80, 50);

        let marked =
            |c: &&ratatui::buffer::Cell| c.bg == Color::Yellow || c.modifier.contains(Modifier::REVERSED);
        let text: String = buffer.content()[160..].iter().filter(marked).map(|c| c.symbol()).collect();
        assert!(text.starts_with("noop($_POST"), "{text}");
    }
}

#[test]
fn a_run_goes_on_before_the_eyes() {
    let mut app = in_case(Lang::Vi);
    assert!(text(&mut app, 80, 40).contains("[>] Phê duyệt"));
    let mut file = case_file();
    file.runs =
        vec![khien_core::run::Run { waiting_for: None, state: khien_core::run::RunState::Done, ..run() }];
    file.runs[0].steps[2].state = khien_core::run::StepState::Done;

    update(&mut app, Msg::Case(Box::new(file)));

    assert!(text(&mut app, 80, 40).contains("[x] Cách ly"));
}

#[test]
fn clocks_count_down_with_each_second() {
    let mut app = in_case(Lang::Vi);
    assert!(text(&mut app, 80, 40).contains("còn 23 giờ 48 phút"));

    let later = khien_core::time::after(now(), khien_core::time::SignedDuration::from_hours(25));
    update(&mut app, Msg::Tick(later));

    assert!(text(&mut app, 80, 40).contains("QUÁ HẠN 1 giờ 11 phút"));
}

#[test]
fn help_scrolls_to_its_end_and_no_further() {
    let mut app = keyed(app(Lang::Vi), &[KeyCode::Char('?')]);
    drawn(&mut app, 80, 10);
    (0..50).for_each(|_| drop(press(&mut app, KeyCode::PageDown)));

    let Some(Dialog::Help(scroll)) = app.dialog else { panic!("help is closed") };
    assert!(scroll < 40);
    assert!(text(&mut app, 80, 10).contains("Ctrl-C"));
}
