use proptest::prelude::*;
use serde_json::{Value, json};
use std::io;

use super::*;

/// Every reason that is known here, each with all of its arguments. The codes come from the derived code itself, so
/// that none can be forgotten.
pub(crate) fn samples() -> Vec<Reason> {
    codes().iter().map(|code| sample(code)).collect()
}

fn codes() -> Vec<String> {
    let error = Reason::deserialize(&json!({ "code": "?" })).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Reads a reason from an object that has every argument there is; what a code does not take is passed over.
fn sample(code: &str) -> Reason {
    let with_error = |error: Value| {
        json!({
            "code": code, "error": error, "text": "a text", "because": { "code": "no_pack" },
            "notify": ["/srv/a"], "unseen": ["/srv/b"], "limit": 11, "count": 12, "seconds": 13, "names": 14,
            "kernel": 1, "queue": 2, "busy": 3, "failed": 4, "evicted": 5,
            "parts": [{ "part": "seccomp", "because": { "code": "kernel_lacks" } }],
            "offered": 21, "loaded": 22, "version": 23, "others": 24, "index": 25, "percent": 26, "megabytes": 27,
            "at": "2026-11-22T03:00:00Z",
            "until": "2026-11-22T04:00:00Z", "agent": "ab".repeat(32), "order": "cd".repeat(16), "name": "user.note", "kind": "nfs4", "groups": ["cron"], "folder": "/srv/c", "vi": "việt", "en": "english",
        })
    };
    let errors = [json!({ "errno": 13, "text": "Permission denied" }), json!("line 3: what")];
    let read = errors.into_iter().find_map(|error| Reason::deserialize(with_error(error)).ok());
    read.unwrap_or_else(|| panic!("`{code}` has an argument that this test does not know"))
}

fn parsed(value: &Value) -> Reason {
    serde_json::from_str(&value.to_string()).unwrap()
}

#[test]
fn every_reason_reads_back_as_it_was_written() {
    assert!(samples().len() > 80);
    for reason in samples() {
        let written = serde_json::to_value(&reason).unwrap();

        assert_eq!(parsed(&written), reason, "{written}");
        assert_eq!(written["code"], reason.code());
    }
}

#[test]
fn codes_and_arguments_on_the_wire_are_stable() {
    let because = Box::new(Reason::FanotifyDenied { error: io::Error::from_raw_os_error(1).into() });

    is_written(
        &Reason::WriterUnknown { because },
        r#"{"code":"writer_unknown","because":{"code":"fanotify_denied","error":{"errno":1,"text":"Operation not permitted (os error 1)"}}}"#,
    );
    is_written(
        &Reason::PacketsLost { kernel: 5, queue: 4, busy: 0, failed: 0, evicted: 0, unowned: 0 },
        r#"{"code":"packets_lost","kernel":5,"queue":4}"#,
    );
    is_written(&Reason::WatchLimit { because: None }, r#"{"code":"watch_limit"}"#);
    assert_eq!(parsed(&json!({ "code": "host_busy" })), Reason::HostBusy { percent: 5 });
}

fn is_written(reason: &Reason, wire: &str) {
    assert_eq!(serde_json::to_string(reason).unwrap(), wire);
    assert_eq!(serde_json::from_str::<Reason>(wire).unwrap(), *reason);
}

#[test]
fn a_newer_programs_code_is_kept_and_passed_on() {
    let reason = parsed(&json!({ "code": "moon_phase", "phase": 3 }));

    assert_eq!(reason, Reason::Unknown { code: "moon_phase".into() });
    assert_eq!(serde_json::to_value(&reason).unwrap(), json!({ "code": "moon_phase" }));
    assert_eq!(reason.code(), "moon_phase");
}

#[test]
fn a_known_code_with_arguments_that_cannot_be_read_is_kept_by_its_code() {
    let reason = parsed(&json!({ "code": "many_names", "names": "seven" }));

    assert_eq!(reason, Reason::Unknown { code: "many_names".into() });
}

#[test]
fn plain_words_are_read_as_words() {
    assert_eq!(parsed(&json!("the disk is full")), Reason::Said { text: "the disk is full".into() });
}

#[test]
fn what_a_hostile_agent_sends_is_cut() {
    let long = "a".repeat(30_000);
    let paths = vec![&long; 200];

    let code = parsed(&json!({ "code": long }));
    let text = parsed(&json!({ "code": "said", "text": long }));
    let list = parsed(&json!({ "code": "mounts_without_fanotify", "notify": paths, "unseen": [] }));

    assert_eq!(code.code().len(), MAX_CODE);
    assert_eq!(text.words().en.len(), MAX_TEXT);
    let Reason::MountsWithoutFanotify { notify, .. } = list else { panic!("{list:?}") };
    assert_eq!(notify.len(), MAX_LIST);
    assert!(notify.iter().all(|path| path.raw().len() == MAX_TEXT));
}

#[test]
fn a_reason_holds_one_other_and_no_third() {
    let refused = |because: Value| json!({ "code": "refused_by_agent", "because": because });
    let deep = (0..60).fold(json!({ "code": "unsigned" }), |inner, _| refused(inner));

    assert_eq!(
        parsed(&refused(json!({ "code": "unsigned" }))),
        Reason::RefusedByAgent { because: Box::new(Reason::Unsigned) }
    );
    assert_eq!(
        parsed(&deep),
        Reason::RefusedByAgent { because: Box::new(Reason::Unknown { code: "refused_by_agent".into() }) }
    );
}

proptest! {
    #[test]
    fn any_json_reads_as_some_reason(code in "[a-z_]{0,80}", key in "[a-z]{1,8}", text: String, n: u64) {
        for value in [json!({ "code": code, key.clone(): text }), json!({ "code": code, key: n }), json!(text), json!(n)] {
            let reason = parsed(&value);

            prop_assert!(!reason.words().vi.chars().any(crate::untrusted::hides));
        }
    }
}
