use super::{Lang, Message, Reason};
use crate::{reason::tests::samples, untrusted::hides};

fn places(message: Message, lang: Lang) -> usize {
    message.get(lang).matches("{}").count()
}

#[test]
fn every_reason_has_words_in_both_languages() {
    for reason in samples() {
        let words = reason.words();

        assert!(!words.vi.trim().is_empty() && !words.en.trim().is_empty(), "{reason:?}");
        // What is only quoted is the same in both.
        assert!(words.vi != words.en || matches!(reason, Reason::Said { .. }), "{reason:?}: {}", words.en);
        assert_eq!(reason.to_string(), words.en);
    }
}

#[test]
fn every_message_has_a_place_for_each_value() {
    for reason in samples().iter().filter(|r| !matches!(r, Reason::PacketsLost { .. })) {
        for lang in [Lang::Vi, Lang::En] {
            assert_eq!(places(reason.message(), lang), reason.values(lang).len(), "{reason:?}");
        }
    }
}

#[test]
fn quoted_text_is_escaped_and_never_opens_a_place() {
    let text = crate::Untrusted::from("{} \x1b[31m \u{202e}");

    let words = Reason::EvidenceRefused { vi: text.clone(), en: text }.words();

    assert_eq!(words.en, r"the hub refused the evidence: {} \u{1b}[31m \u{202e}");
    assert!(!words.vi.chars().any(hides));
}

#[test]
fn losses_are_named_each_with_its_count() {
    let lost = Reason::PacketsLost { kernel: 5, queue: 4, busy: 0, failed: 0, evicted: 0, unowned: 0 };

    assert_eq!(
        lost.text(Lang::En),
        "5 packets dropped by the kernel, 4 packets shed because the agent was busy"
    );
    assert_eq!(lost.text(Lang::Vi), "5 gói tin bị nhân hệ điều hành bỏ, 4 gói tin bị bỏ vì tác tử quá bận");
}

#[test]
fn a_long_list_is_named_in_part_and_counted() {
    let notify = (0..9).map(|n| format!("/m{n}").as_str().into()).collect();

    let text = Reason::MountsWithoutFanotify { notify, unseen: vec!["/x".into()] }.text(Lang::Vi);

    assert_eq!(
        text,
        "điểm gắn không có fanotify: /x (không theo dõi được), /m0 (notify), /m1 (notify), /m2 (notify), /m3 (notify), và 5 mục khác"
    );
}

#[test]
fn errors_of_the_system_that_a_responder_meets_are_translated_and_others_quoted() {
    let error = |code: i32| Reason::Os { error: std::io::Error::from_raw_os_error(code).into() };

    assert_eq!(error(30).text(Lang::Vi), "hệ thống tệp chỉ cho đọc");
    assert_eq!(error(71).text(Lang::Vi), "Protocol error (os error 71)");
}
