//! Law profiles: what must be told to whom and by when, as dated data.

use jiff::civil::Date;
use khien_core::{Timestamp, text::Words, time::in_vietnam};
use serde::Deserialize;

/// The embedded profiles, newest law first.
const EMBEDDED: [&str; 1] = [include_str!("../profiles/nd331.toml")];

/// One set of legal deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its stable name, such as `nd331`.
    pub id: String,
    /// The laws behind it.
    pub title: Words,
    /// The deadlines.
    #[serde(rename = "clock")]
    pub clocks: Vec<ClockRule>,
}

/// One deadline of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockRule {
    /// Its stable name, such as `anm.24h`.
    pub id: String,
    /// A short name.
    pub title: Words,
    /// When it binds; none means always.
    pub condition: Option<Words>,
    /// Hours after T0; 0 is at once.
    pub hours: u16,
    /// Who must be told.
    pub to: Words,
    /// The form to use, if one is known.
    pub form: Option<String>,
    /// The stage of that form.
    pub stage: Option<String>,
    /// Where the law says so.
    pub basis: String,
    /// The first day, in Vietnam, on which a T0 falls under it.
    pub valid_from: Date,
    /// The last such day; none means still in force.
    pub valid_to: Option<Date>,
}

impl ClockRule {
    /// Tells whether a T0 falls under it.
    #[must_use]
    pub fn governs(&self, t0: Timestamp) -> bool {
        let day = in_vietnam(t0).date();
        self.valid_from <= day && self.valid_to.is_none_or(|last| day <= last)
    }
}

/// The profile's text cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("read a law profile")]
pub struct ProfileError(#[source] toml::de::Error);

impl Profile {
    /// Reads a profile from its TOML text.
    ///
    /// # Errors
    /// [`ProfileError`] if the text is no profile.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        toml::from_str(text).map_err(ProfileError)
    }

    /// Returns the embedded profile of that name.
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        library().into_iter().find(|p| p.id == id)
    }

    /// Returns the profile that this version of Khiên counts by.
    ///
    /// # Panics
    /// Never: the embedded profiles are read by a test.
    #[must_use]
    pub fn current() -> Self {
        library().into_iter().next().expect("the embedded profiles are read by a test")
    }
}

/// Returns every embedded profile.
///
/// # Panics
/// Never: the embedded profiles are read by a test.
#[must_use]
pub fn library() -> Vec<Profile> {
    let read = |text| Profile::parse(text).expect("the embedded profiles are read by a test");
    EMBEDDED.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_embedded_profile_is_whole() {
        for profile in library() {
            let ids: BTreeSet<_> = profile.clocks.iter().map(|c| &c.id).collect();
            assert_eq!(ids.len(), profile.clocks.len(), "{}: a clock's name is used twice", profile.id);
            for clock in &profile.clocks {
                let words = [Some(&clock.title), Some(&clock.to), clock.condition.as_ref()];
                let empty = |w: &&Words| w.vi.trim().is_empty() || w.en.trim().is_empty();
                assert!(!words.iter().flatten().any(empty), "{} lacks a word", clock.id);
                assert!(!clock.basis.is_empty(), "{} lacks its legal basis", clock.id);
            }
        }
    }

    #[test]
    fn a_deadline_governs_only_the_days_on_which_it_is_law() {
        let mut rule = Profile::current().clocks.swap_remove(0);
        rule.valid_from = "2026-08-19".parse().unwrap();
        rule.valid_to = Some("2026-12-31".parse().unwrap());

        let governs = |t: &str| rule.governs(t.parse().unwrap());

        assert!(!governs("2026-08-18T16:59:59Z"), "23:59 on the day before, in Vietnam");
        assert!(governs("2026-08-18T17:00:00Z"), "midnight in Vietnam");
        assert!(governs("2026-12-31T16:59:59Z"));
        assert!(!governs("2026-12-31T17:00:00Z"));
    }
}
