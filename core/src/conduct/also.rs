//! Who and what else was counted into one alert of behaviour. The first ones stand in the alert itself and stay there: who
//! comes later must not hide who began.

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Behaviour,
    behaviour::{MAX_EXAMPLES, short},
};
use crate::{
    Lang, Untrusted,
    event::Process,
    text::{Message, Words},
};

/// Others than the first, each once, and how often there was no room for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Also {
    /// The extension or line of the first deed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<Untrusted>,
    /// Other extensions or lines, at most [`MAX_EXAMPLES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    marks: Vec<Untrusted>,
    /// Other processes, at most [`MAX_EXAMPLES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    processes: Vec<Untrusted>,
    /// How many times another one came when there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    more: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Untrusted>, D::Error> {
    let mut list = Vec::deserialize(from)?;
    list.truncate(MAX_EXAMPLES);
    Ok(list)
}

impl Also {
    /// Tells whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a deed and says it, with the mark of the first one and the others beside it.
    #[must_use]
    pub fn count(&mut self, mut deed: Behaviour, first: Option<&Process>, by: Option<&Process>) -> Words {
        if let Some(mark) = deed.deed.mark().cloned() {
            let first = self.first.get_or_insert_with(|| cut(&mark)).clone();
            if first != cut(&mark) {
                self.more += keep(&mut self.marks, cut(&mark));
                deed.deed.mark_as(&first);
            }
        }
        if let (Some(first), Some(by)) = (first, by)
            && name(first) != name(by)
        {
            self.more += keep(&mut self.processes, name(by));
        }
        let Words { vi, en } = deed.words();
        Words { vi: vi + &self.text(Lang::Vi), en: en + &self.text(Lang::En) }
    }

    fn text(&self, lang: Lang) -> String {
        let listed = |message: Message, list: &[Untrusted]| {
            let list: Vec<String> = list.iter().map(short).collect();
            (!list.is_empty()).then(|| message.with(lang, &[&list.join(", ")]))
        };
        let more = (self.more > 0).then(|| MORE.with(lang, &[&self.more]));
        let parts = [listed(MARKS, &self.marks), listed(PROCESSES, &self.processes), more];
        parts.into_iter().flatten().map(|part| format!("; {part}")).collect()
    }
}

/// Keeps one in a list if it is new. Returns 1 if there was no room.
fn keep(list: &mut Vec<Untrusted>, one: Untrusted) -> u64 {
    if list.contains(&one) {
        return 0;
    }
    if list.len() >= MAX_EXAMPLES {
        return 1;
    }
    list.push(one);
    0
}

fn cut(text: &Untrusted) -> Untrusted {
    Untrusted::cut(text.raw(), MAX_MARK)
}

/// `/usr/bin/openssl (4242)`.
fn name(process: &Process) -> Untrusted {
    let path = process.exe.as_ref().map_or(&b"?"[..], Untrusted::raw);
    let path = &path[..path.len().min(MAX_MARK)];
    Untrusted::new([path, format!(" ({})", process.pid).as_bytes()].concat())
}

/// More of an extension, a line or a path is not kept.
const MAX_MARK: usize = 200;
const MARKS: Message = Message::new("còn có: {}", "also: {}");
const PROCESSES: Message = Message::new("tiến trình khác: {}", "other processes: {}");
const MORE: Message = Message::new("và {} lần nữa không ghi lại", "and {} more times that are not listed");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduct::Deed;

    fn renamed(suffix: &str, count: u64) -> Behaviour {
        let deed = Deed::ManyRenamed { suffix: suffix.into() };
        Behaviour { deed, count, examples: vec!["/srv/a.doc.x".into()] }
    }

    fn by(pid: u32) -> Process {
        Process { exe: Some("/tmp/\u{1b}enc".into()), ..Process::unknown(pid) }
    }

    #[test]
    fn the_first_one_stays_and_others_are_listed_once_and_in_bounds() {
        let (mut also, first) = (Also::default(), by(1));
        let _ = also.count(renamed("akira", 20), Some(&first), Some(&first));
        assert_eq!(serde_json::to_string(&also).unwrap(), r#"{"first":"akira"}"#);

        for n in 0..20 {
            let _ = also.count(renamed(&format!("x{}", n % 9), 30), Some(&first), Some(&by(2 + n)));
        }
        let words = also.count(renamed("x0", 40), Some(&first), Some(&first));

        assert!(
            words.en.contains("extension: .akira; files: 40, such as /srv/a.doc.x; also: x0, x1,"),
            "{}",
            words.en
        );
        assert!(words.en.contains(r"other processes: /tmp/\u{1b}enc (2), "), "{}", words.en);
        assert!(words.en.ends_with("and 14 more times that are not listed"), "{}", words.en);
        assert!(!words.en.contains("(1)") && !words.en.contains("(10)"), "{}", words.en);
        assert!(words.vi.contains("còn có: x0"), "{}", words.vi);
        assert!(!words.vi.chars().any(crate::untrusted::hides));
    }

    #[test]
    fn it_comes_back_from_json_and_is_cut() {
        let mut also = Also::default();
        let _ = also.count(renamed("akira", 20), Some(&by(1)), Some(&by(2)));

        let back: Also = serde_json::from_str(&serde_json::to_string(&also).unwrap()).unwrap();
        let many: Also = serde_json::from_value(serde_json::json!({ "marks": vec!["x"; 500] })).unwrap();

        assert_eq!((back, many.marks.len()), (also, MAX_EXAMPLES));
        assert_eq!(serde_json::from_str::<Also>("{}").unwrap(), Also::default());
    }
}
