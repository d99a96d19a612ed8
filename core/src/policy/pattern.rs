//! Names of files in a policy: an absolute path, with `*` for any part of one name, and everything below a folder.
//!
//! ```text
//! /etc/crontab                    one file
//! /home/*/.ssh/authorized_keys    one file in each home
//! /etc/nginx/                     everything below, at any depth
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest pattern in bytes.
pub const MAX_PATTERN: usize = 512;

/// A pattern that is known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// The text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pattern of paths, expected an absolute path of at most {MAX_PATTERN} bytes without `..`"
)]
pub struct NoPattern(String);

impl TryFrom<String> for Pattern {
    type Error = NoPattern;
    fn try_from(text: String) -> Result<Self, NoPattern> {
        let plain = text.len() > 1
            && text.len() <= MAX_PATTERN
            && text.starts_with('/')
            && !text.contains("//")
            && !text.contains('\0')
            && !text.split('/').any(|part| part == ".." || part == ".");
        match plain {
            true => Ok(Self(text)),
            false => Err(NoPattern(text.chars().take(80).collect())),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Tells whether everything below a folder is meant.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        self.0.ends_with('/')
    }

    /// Returns its parts from the root on; `*` in a part stands for any text.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Tells whether it names a path. A deep one also names the folder itself.
    #[must_use]
    pub fn names(&self, path: &[u8]) -> bool {
        // Most paths are told apart by their beginning.
        if !path.starts_with(self.prefix().as_bytes()) {
            return false;
        }
        let mut found = path.split(|b| *b == b'/').filter(|part| !part.is_empty());
        for wanted in self.parts() {
            match found.next() {
                Some(part) if fits(wanted, part) => {}
                _ => return false,
            }
        }
        self.is_deep() || found.next().is_none()
    }

    /// Returns the text with which all that it names begins.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let whole = self.0.trim_end_matches('/');
        &whole[..whole.find('*').unwrap_or(whole.len())]
    }

    /// Returns the part before the first `*`: the deepest folder, or the one file, that contains all it names.
    #[must_use]
    pub fn root(&self) -> &str {
        let whole = self.0.trim_end_matches('/');
        let Some(star) = whole.find('*') else { return whole };
        match whole[..star].rfind('/') {
            Some(0) | None => "/",
            Some(end) => &whole[..end],
        }
    }
}

/// Compares a part with `*` in it with a name. Takes time in proportion to both lengths multiplied at most.
#[must_use]
pub fn fits(wanted: &str, name: &[u8]) -> bool {
    let wanted = wanted.as_bytes();
    let (mut w, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if wanted.get(w) == Some(&b'*') {
            star = Some((w, n));
            w += 1;
        } else if wanted.get(w) == Some(&name[n]) {
            (w, n) = (w + 1, n + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (w, n) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    wanted[w..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_pattern_names_what_it_says_and_no_more() {
        let table: [(&str, &str, bool); 14] = [
            ("/etc/crontab", "/etc/crontab", true),
            ("/etc/crontab", "/etc/crontab.bak", false),
            ("/etc/crontab", "/etc/crontab/x", false),
            ("/etc/cron.d/", "/etc/cron.d", true),
            ("/etc/cron.d/", "/etc/cron.d/a", true),
            ("/etc/cron.d/", "/etc/cron.d/a/b/c", true),
            ("/etc/cron.d/", "/etc/cron.daily/a", false),
            ("/home/*/.ssh/authorized_keys", "/home/an/.ssh/authorized_keys", true),
            ("/home/*/.ssh/authorized_keys", "/home/an/x/.ssh/authorized_keys", false),
            ("/home/*/.ssh/authorized_keys", "/home/an/.ssh", false),
            ("/etc/rc*.d/", "/etc/rc3.d/S01x", true),
            ("/etc/*.conf", "/etc/a.conf", true),
            ("/etc/*.conf", "/etc/a.conf.d", false),
            ("/etc/*a*b", "/etc/xxaxxab", true),
        ];
        for (text, path, want) in table {
            assert_eq!(pattern(text).names(path.as_bytes()), want, "{text} {path}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_pattern() {
        for text in
            ["", "/", "etc", "/etc/../root", "/etc//x", "/etc/./x", "/a\0b", &format!("/{}", "x".repeat(600))]
        {
            assert!(Pattern::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn its_root_holds_all_that_it_names() {
        for (text, root) in [
            ("/etc/crontab", "/etc/crontab"),
            ("/etc/rc*.d/", "/etc"),
            ("/*/x", "/"),
            ("/etc/nginx/", "/etc/nginx"),
        ] {
            assert_eq!(pattern(text).root(), root, "{text}");
        }
    }

    #[test]
    fn all_that_it_names_begins_with_its_prefix() {
        for (text, prefix) in [("/etc/rc*.d/", "/etc/rc"), ("/*/x", "/"), ("/etc/nginx/", "/etc/nginx")] {
            assert_eq!(pattern(text).prefix(), prefix, "{text}");
        }
    }

    #[test]
    fn many_stars_end_in_time() {
        assert!(!fits(&"*a".repeat(200), "a".repeat(255).replace('a', "b").as_bytes()));
    }
}
