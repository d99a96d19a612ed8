//! Triage in the terminal UI, with typed keys, from the first alert to the undone run.

use crate::{
    harness::{Site, web_shell},
    place::{cannot_run, is_root},
    terminal::Terminal,
};

#[test]
fn a_responder_works_a_case_to_its_end() {
    let site = Site::new();
    let ui = Terminal::up(&site, 160, 48, "vi");
    ui.has("KHIÊN");
    ui.has("Không có cảnh báo nào đang mở");
    let path = site.write("cong-thong-tin.php", &web_shell("ui"));

    // A live row, filtered as one types, opened.
    ui.has("cong-thong-tin.php");
    ui.keys(&["/"]);
    ui.types("khong-co-tep-nay");
    ui.shows("an empty list", |s| !s.contains("cong-thong-tin.php"));
    ui.keys(&["Escape"]);
    ui.has("cong-thong-tin.php");
    ui.keys(&["Enter"]);
    let detail = ui.has("SHA-256");
    let hash = crate::harness::sha256(&web_shell("ui"));
    assert!(detail.contains(&hash[..32]), "{detail}");
    assert!(detail.contains("webshell.php"), "{detail}");

    // Acknowledged, then an incident.
    ui.keys(&["t"]);
    site.until(&["alert", "list"], "acknowledged", |a| a[0]["status"] == "acknowledged");
    ui.keys(&["Escape"]);
    ui.keys(&["Space"]);
    ui.keys(&["o"]);
    ui.keys(&["Enter"]);
    let incidents = site.until(&["incident", "list"], "an incident", |i| i[0]["id"].is_string());
    let incident = incidents[0]["id"].as_str().unwrap().to_owned();
    ui.has(&incident);
    // Its number stands there before the case itself has come.
    ui.has("nhấn p");

    // The playbook: what will be signed is shown, and only `y` signs.
    let run = |state: &'static str| site.until(&["run", "list"], state, |r| r[0]["state"] == state);
    ui.keys(&["p"]);
    ui.has("Xử lý webshell");
    ui.keys(&["Enter"]);
    ui.shows("the order to preserve", |s| s.contains("Lưu chứng cứ") && s.contains(&hash));
    ui.keys(&["y"]);
    run("waiting_for_approval");
    assert!(path.exists());
    ui.has("nhấn y");
    ui.keys(&["y"]);
    ui.shows("the order to quarantine", |s| s.contains("thay đổi máy chủ") && s.contains(&hash));
    ui.keys(&["y"]);
    run("done");
    assert!(!path.exists());
    ui.has("Hoàn thành");
    ui.keys(&["u"]);
    ui.has("Trả tệp về chỗ cũ");
    ui.keys(&["y"]);
    run("undone");
    assert!(path.exists());
    ui.has("Đã hoàn tác");

    // The timeline, then out.
    ui.keys(&["Tab"]);
    ui.keys(&["Tab"]);
    ui.has("Phê duyệt");
    ui.keys(&["C-c"]);
    ui.closes();
}

#[test]
fn a_false_positive_is_closed_with_a_typed_reason() {
    let site = Site::new();
    let ui = Terminal::up(&site, 120, 40, "vi");
    ui.has("KHIÊN");
    site.write("bai-giang.php", &web_shell("lesson"));
    ui.has("bai-giang.php");

    ui.keys(&["f"]);
    ui.types("Bài giảng của lớp tập huấn");
    ui.keys(&["Enter"]);

    let closed =
        site.until(&["alert", "list", "--status", "closed"], "closed", |a| a[0]["status"] == "closed");
    assert_eq!(closed[0]["verdict"], "false_positive");
    assert_eq!(closed[0]["reason"], "Bài giảng của lớp tập huấn");
}

#[test]
fn reduced_coverage_is_on_the_screen_and_english_is_spoken_on_request() {
    if !is_root() {
        return cannot_run("giving up privileges needs root");
    }
    let site = Site::unprivileged();
    let ui = Terminal::up(&site, 140, 30, "en");

    ui.has("Connected to the hub");
    ui.has("Coverage is reduced");
    ui.keys(&["3"]);
    ui.shows("the agent and why it sees less", |s| s.contains("Online") && s.contains("no privilege"));
    ui.keys(&["C-c"]);
    ui.closes();
}
