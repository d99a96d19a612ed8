//! Words for what lies inside files and was not looked into.

use super::{Message, Words, hub::scan_outcome};
use crate::event::{NotSeen, ScanOutcome, Unseen};

/// How many places are named; the others are counted.
const MAX_NAMED: usize = 4;
/// And so many more.
const AND_MORE: Message = Message::new("và {} chỗ nữa", "and {} more");

/// Says why something inside a file was not looked into.
#[must_use]
pub const fn not_seen(why: NotSeen) -> Message {
    match why {
        NotSeen::Encrypted => Message::new("có mật khẩu", "it has a password"),
        NotSeen::Unreadable => Message::new("hỏng hoặc bị cố ý làm sai", "damaged, or made to look so"),
        NotSeen::Unsupported => Message::new("định dạng chưa được hỗ trợ", "a format that is not supported"),
        NotSeen::Depth => Message::new("lồng nhau quá sâu", "nested too deep"),
        NotSeen::Entries => Message::new("quá nhiều tệp bên trong", "too many files inside"),
        NotSeen::Total => Message::new("tổng dung lượng bên trong quá lớn", "too many bytes inside"),
        NotSeen::Entry => Message::new("tệp bên trong quá lớn", "the inner file is too large"),
        NotSeen::Ratio => {
            Message::new("giải nén ra quá nhiều lần cỡ của nó", "it unpacks to too many times its size")
        }
        NotSeen::Memory => Message::new("cần quá nhiều bộ nhớ", "it needs too much memory"),
        NotSeen::Time => Message::new("hết thời gian quét", "no time was left"),
        NotSeen::Swapped => {
            Message::new("đang nằm trong vùng tráo đổi trên đĩa", "it is swapped out to disk")
        }
    }
}

/// Says why a file was not scanned to its end, with each place inside it, as far as they are known.
#[must_use]
pub fn not_scanned(outcome: ScanOutcome, unseen: &[Unseen]) -> Words {
    let mut parts: Vec<Words> = unseen.iter().take(MAX_NAMED).map(one).collect();
    match unseen.len() {
        0 => return scan_outcome(outcome).words(),
        many if many > MAX_NAMED => parts.push(AND_MORE.words_with(&[&(many - MAX_NAMED)])),
        _ => {}
    }
    let join = |of: fn(&Words) -> &str| parts.iter().map(of).collect::<Vec<_>>().join("; ");
    Words { vi: join(|w| &w.vi), en: join(|w| &w.en) }
}

fn one(unseen: &Unseen) -> Words {
    let why = not_seen(unseen.why);
    match unseen.inside.is_empty() {
        true => why.words(),
        false => {
            let said = |why: &str| format!("{}: {why}", unseen.inside);
            Words { vi: said(why.vi), en: said(why.en) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Inside;

    #[test]
    fn what_was_not_seen_is_said_with_its_place_and_without_a_crowd() {
        let secret = Unseen { inside: Inside::new(vec!["mật.docx".into()]), why: NotSeen::Encrypted };
        let outer = Unseen { inside: Inside::default(), why: NotSeen::Ratio };

        let few = not_scanned(ScanOutcome::Unreadable, &[secret.clone(), outer]);
        let many = not_scanned(ScanOutcome::Unreadable, &vec![secret; 9]);

        assert_eq!(few.en, "mật.docx: it has a password; it unpacks to too many times its size");
        assert_eq!(few.vi, "mật.docx: có mật khẩu; giải nén ra quá nhiều lần cỡ của nó");
        assert!(many.en.ends_with("; and 5 more"), "{}", many.en);
        assert_eq!(not_scanned(ScanOutcome::TooLarge, &[]).en, "the file is too large");
    }
}
