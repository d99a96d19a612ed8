//! In which order a person looks at alerts, and which ones fit what was typed.

use std::cmp::Reverse;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::alert::{Alert, Status};

/// Sorts for triage: open before closed, most severe first, then the newest.
pub fn sort(alerts: &mut [Alert]) {
    alerts.sort_by_key(|a| {
        (a.status == Status::Closed, Reverse(a.severity), Reverse(a.last_seen), Reverse(a.id))
    });
}

/// Tells whether every word that was typed occurs somewhere in an alert. Case and Vietnamese marks do not matter:
/// `so y te` finds `Sở Y tế`.
#[must_use]
pub fn fits(alert: &Alert, typed: &str) -> bool {
    let words = folded(typed);
    if words.trim().is_empty() {
        return true;
    }
    let text = folded(&searchable(alert));
    words.split_whitespace().all(|w| text.contains(w))
}

fn searchable(a: &Alert) -> String {
    let opt = |x: &Option<crate::Untrusted>| x.as_ref().map(ToString::to_string).unwrap_or_default();
    let flow = a.flow.as_ref().map(|f| format!("{} {} {} {}", f.client, f.server, opt(&f.name), opt(&f.url)));
    [
        a.id.to_string(),
        a.rule.to_string(),
        a.title.vi.clone(),
        a.title.en.clone(),
        a.severity.as_str().to_owned(),
        a.status.as_str().to_owned(),
        a.host.to_string(),
        a.agency.clone(),
        a.capture.as_ref().map(|c| format!("{} {}", c.name, c.sha256)).unwrap_or_default(),
        opt(&a.path),
        a.sha256.map(|h| h.to_string()).unwrap_or_default(),
        a.what.as_ref().map(|w| format!("{}\n{}", w.vi, w.en)).unwrap_or_default(),
        flow.unwrap_or_default(),
        a.incident.map(|i| i.to_string()).unwrap_or_default(),
    ]
    .join("\n")
}

/// Lowers the case and takes the marks off, `đ` included.
#[must_use]
pub fn folded(text: &str) -> String {
    text.nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_case_do_not_matter_in_a_search() {
        assert_eq!(folded("Sở Y tế Đắk Lắk"), "so y te dak lak");
        assert_eq!(folded("Sở Y tế"), folded("Sở Y tế".nfd().collect::<String>().as_str()));
    }
}
