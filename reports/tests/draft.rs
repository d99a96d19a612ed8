//! One case through every file of its report.

use khien_core::{capture::Capture, untrusted::hides};
use khien_reports::{Drafted, Organization, Stage, document::BLANK, document::Document, draft};
use sample::Sample;
use serde_json::Value;

mod sample;

fn drafted(sample: &Sample, stage: Stage) -> Drafted {
    draft("nd331-nhanh", &sample.case(stage)).expect("the sample can be drafted")
}

fn missing(drafted: &Drafted) -> Vec<&str> {
    drafted.missing.iter().map(|m| m.id.as_str()).collect()
}

#[test]
fn what_the_incident_knows_is_filled() {
    let text = drafted(&Sample::new(), Stage::First).markdown;

    for known in [
        "SC-2026-0007",
        "10 giờ 07 phút, ngày 22/11/2026",
        "quét tệp bằng luật YARA; tác tử Khiên giám sát lưu lượng mạng",
        "Máy web-01, Sở Khoa học và Công nghệ: tệp /srv/www/tải lên/shell.php",
        "Giữ tệp làm chứng cứ: /srv/www/tải lên/shell.php, lúc 22/11/2026 10:26:00",
        "10.1.2.3:50123 → \\[2001:db8::53\\]:53 (C2.evil.example)",
        &khien_core::Sha256::of(b"shell").to_string(),
        "Đắk Lắk, ngày 22 tháng 11 năm 2026",
        "[x] Thông báo ban đầu",
    ] {
        assert!(text.contains(known), "{known} is not in\n{text}");
    }
    assert!(!text.contains("an-toan.php"), "a false positive is no sign of the incident");
}

#[test]
fn an_agency_that_nobody_named_is_not_made_up() {
    let mut sample = Sample::new();
    for alert in &mut sample.alerts {
        alert.agency = khien_core::asset::NO_AGENCY.to_owned();
    }

    let drafted = drafted(&sample, Stage::First);

    assert!(drafted.markdown.contains("Máy web-01: tệp"), "{}", drafted.markdown);
    let stix: serde_json::Value = serde_json::from_str(&drafted.stix).unwrap();
    let names: Vec<_> =
        stix["objects"].as_array().unwrap().iter().filter_map(|o| o["name"].as_str()).collect();
    assert!(names.contains(&"web-01") && !names.contains(&"–"), "{names:?}");
}

#[test]
fn a_file_of_packets_is_no_host_unless_somebody_says_where_it_was_taken() {
    let mut sample = Sample::new();
    let capture = Capture { name: "mirror.pcapng".into(), sha256: khien_core::Sha256::of(b"packets") };
    for alert in &mut sample.alerts {
        alert.agency = khien_core::asset::NO_AGENCY.to_owned();
        (alert.host, alert.agent) = (capture.name.clone(), khien_core::AgentId::NONE);
        alert.capture = Some(capture.clone());
    }

    let bare = drafted(&sample, Stage::First);
    sample.alerts.iter_mut().for_each(|alert| alert.host = "tap-hanoi".into());
    let named = drafted(&sample, Stage::First);

    let names = |drafted: &Drafted| {
        let stix: serde_json::Value = serde_json::from_str(&drafted.stix).unwrap();
        let all = stix["objects"].as_array().unwrap().iter();
        all.filter(|o| o["type"] == "identity")
            .filter_map(|o| o["name"].as_str().map(str::to_owned))
            .collect()
    };
    let (of_bare, of_named): (Vec<_>, Vec<_>) = (names(&bare), names(&named));
    assert!(bare.markdown.contains("tệp gói tin mirror.pcapng"), "{}", bare.markdown);
    assert!(!bare.markdown.contains("Máy mirror.pcapng") && !of_bare.contains(&"mirror.pcapng".to_owned()));
    assert!(named.markdown.contains("Máy tap-hanoi"), "{}", named.markdown);
    assert!(!named.markdown.contains("Máy tap-hanoi: tệp"), "what was carried need not lie there");
    assert!(of_named.contains(&"tap-hanoi".to_owned()), "{of_named:?}");
}

#[test]
fn what_only_a_person_may_decide_is_listed_and_left_open() {
    let drafted = drafted(&Sample::new(), Stage::First);

    let missing = missing(&drafted);
    for id in ["contact.email", "incident.group", "severity.serious", "severity.national", "severity.reason"]
    {
        assert!(missing.contains(&id), "{id} is not in {missing:?}");
    }
    assert!(drafted.markdown.contains("[ ] Nghiêm trọng  [ ] Thông thường"));
    assert!(drafted.markdown.contains(&format!("Thư điện tử: {BLANK}")));
    assert!(!missing.contains(&"cause"), "the first notice does not wait for the cause");
}

#[test]
fn without_an_organization_nothing_is_invented() {
    let mut sample = Sample::new();
    sample.organization = Organization::default();

    let drafted = drafted(&sample, Stage::First);

    for id in
        ["org.name", "doc.place", "doc.symbol", "signer.title", "signer.name", "system.name", "system.owner"]
    {
        assert!(missing(&drafted).contains(&id), "{id}");
    }
    assert!(drafted.markdown.contains(&format!("*{BLANK}, ngày 22 tháng 11 năm 2026*")));
}

#[test]
fn an_answer_fills_its_field() {
    let mut sample = Sample::new();
    sample.answers.insert("severity.serious".into(), "serious".into());
    sample.answers.insert("cause".into(), "Mật khẩu yếu\nchưa vá".into());

    let drafted = drafted(&sample, Stage::Full);

    assert!(!missing(&drafted).contains(&"severity.serious") && !missing(&drafted).contains(&"cause"));
    assert!(drafted.markdown.contains("[x] Nghiêm trọng  [ ] Thông thường"));
    assert!(drafted.markdown.contains("Mật khẩu yếu\n\nchưa vá"));
}

#[test]
fn an_answer_that_does_not_fit_is_refused() {
    let refused = |id: &str, text: &str| {
        let mut sample = Sample::new();
        sample.answers.insert(id.into(), text.into());
        draft("nd331-nhanh", &sample.case(Stage::First)).unwrap_err().to_string()
    };

    assert_eq!(refused("severty", "x"), "the form has no field `severty`");
    assert_eq!(refused("severity.serious", "maybe"), "field `severity.serious` takes serious, ordinary");
    assert_eq!(
        refused("incident.detected", "hôm qua"),
        "field `incident.detected` is filled from the incident"
    );
    assert_eq!(refused("cause", &"x".repeat(20_000)), "the answer for `cause` is longer than 16 KiB");
}

#[test]
fn fields_about_personal_data_are_asked_only_if_there_is_any() {
    let mut sample = Sample::new();
    sample.answers.insert("personal.affected".into(), "no".into());
    assert!(!missing(&drafted(&sample, Stage::Full)).contains(&"personal.kinds"));

    sample.answers.insert("personal.affected".into(), "yes".into());
    assert!(missing(&drafted(&sample, Stage::Full)).contains(&"personal.kinds"));
}

#[test]
fn an_unknown_form_says_which_there_are() {
    let sample = Sample::new();

    let error = draft("tt20", &sample.case(Stage::First)).unwrap_err();

    assert_eq!(error.to_string(), "unknown form `tt20`, expected nd331-nhanh");
}

#[test]
fn hostile_names_reach_no_file_unescaped() {
    let drafted = drafted(&Sample::new(), Stage::Full);

    for text in [&drafted.markdown, &drafted.pdf_data, &drafted.stix] {
        let hidden = text.chars().find(|c| hides(*c) && *c != '\n');
        assert_eq!(hidden, None);
    }
    let document: Document = serde_json::from_str(&drafted.pdf_data).unwrap();
    assert_eq!(document.subject.as_str(), "Sự cố an ninh mạng SC-2026-0007");
}

#[test]
fn a_huge_incident_stays_below_the_limit_of_the_pdf_program() {
    let mut sample = Sample::new();
    let alert = sample.alerts[1].clone();
    sample.alerts = vec![alert; 5_000];

    let drafted = drafted(&sample, Stage::Full);

    assert!(drafted.pdf_data.len() < khien_reports::render::MAX_PDF_DATA);
    assert!(drafted.markdown.contains("… và 4800 dòng khác trong hồ sơ sự cố"));
}

#[test]
fn the_bundle_has_what_others_can_look_for_and_no_excerpts() {
    let text = drafted(&Sample::new(), Stage::Full).stix;
    let bundle: Value = serde_json::from_str(&text).unwrap();

    let objects = bundle["objects"].as_array().unwrap();
    let patterns: Vec<_> = objects.iter().filter_map(|o| o["pattern"].as_str()).collect();

    let hash = khien_core::Sha256::of(b"shell");
    assert!(patterns.contains(&format!("[file:hashes.'SHA-256' = '{hash}']").as_str()), "{patterns:?}");
    assert!(patterns.contains(&"[domain-name:value = 'c2.evil.example']"), "{patterns:?}");
    assert!(!text.contains("SECRET-EXCERPT") && !text.contains("an-toan.php"));
}

#[test]
fn every_reference_of_the_bundle_is_in_it_and_no_id_twice() {
    let bundle: Value = serde_json::from_str(&drafted(&Sample::new(), Stage::Full).stix).unwrap();
    let objects = bundle["objects"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> = objects.iter().filter_map(|o| o["id"].as_str()).collect();

    assert_eq!(ids.len(), objects.len());
    for object in objects {
        for (key, value) in object.as_object().unwrap() {
            let refs: Vec<_> = match value {
                Value::String(one) if key.ends_with("_ref") => vec![one.as_str()],
                Value::Array(many) if key.ends_with("_refs") => {
                    many.iter().filter_map(Value::as_str).collect()
                }
                _ => Vec::new(),
            };
            assert!(refs.iter().all(|r| ids.contains(r)), "{key} of {} dangles", object["id"]);
        }
    }
}

#[test]
fn the_same_case_gives_the_same_bundle() {
    assert_eq!(drafted(&Sample::new(), Stage::Full).stix, drafted(&Sample::new(), Stage::Full).stix);
}
