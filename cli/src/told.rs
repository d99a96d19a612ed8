//! What went wrong, in both languages, on its way up through `anyhow` to whoever shows it.

use std::{fmt, io, path::Path};

use khien_core::{
    Lang,
    reason::OsError,
    text::{Message, Spoken, Words, trouble},
};

/// A text of this program that says what went wrong.
#[derive(Debug)]
pub(crate) struct Told(Words);

impl Told {
    /// Fills a message.
    pub(crate) fn new(message: Message, values: &[&dyn Spoken]) -> Self {
        Self(message.words_with(values))
    }

    /// Fills a message about a path.
    pub(crate) fn path(message: Message, path: &Path) -> Self {
        Self::new(message, &[&path.display()])
    }

    /// Returns it in one language.
    pub(crate) fn get(&self, lang: Lang) -> &str {
        self.0.get(lang)
    }
}

/// In English, for logs.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.en)
    }
}

impl std::error::Error for Told {}

/// Says an error in a language: our own words first, then what the system said, in our words where we have some.
pub(crate) fn shown(error: &anyhow::Error, lang: Lang) -> String {
    let Some(told) = error.downcast_ref::<Told>() else {
        return error.downcast_ref::<io::Error>().map_or_else(|| format!("{error:#}"), |e| system(e, lang));
    };
    let root = error.root_cause();
    let cause = match root.downcast_ref::<io::Error>() {
        Some(e) => Some(system(e, lang)),
        None => (error.chain().len() > 1).then(|| root.to_string()),
    };
    cause.map_or_else(|| told.get(lang).to_owned(), |cause| format!("{}: {cause}", told.get(lang)))
}

/// Says what the system said.
pub(crate) fn system(error: &io::Error, lang: Lang) -> String {
    let line = match error.kind() {
        io::ErrorKind::ConnectionRefused => trouble::NOBODY_LISTENS,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => trouble::LINE_CUT,
        io::ErrorKind::TimedOut => trouble::NO_ANSWER,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => trouble::NO_WAY,
        _ => return OsError::from(error).text(lang),
    };
    line.get(lang).to_owned()
}

/// Says it in both languages.
pub(crate) fn system_words(error: &io::Error) -> Words {
    Words { vi: system(error, Lang::Vi), en: system(error, Lang::En) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_of_this_machine_is_said_in_the_readers_language() {
        let path = Path::new("/srv/khien.toml");
        let lost = Err::<(), _>(io::Error::from_raw_os_error(13));
        let error = lost.with_context(|| Told::path(trouble::CANNOT_READ, path)).unwrap_err();

        assert_eq!(shown(&error, Lang::Vi), "không đọc được /srv/khien.toml: không có quyền");
        assert_eq!(shown(&error, Lang::En), "cannot read /srv/khien.toml: permission denied");
    }

    #[test]
    fn an_error_without_a_cause_is_said_once() {
        let error = anyhow::Error::from(Told::new(trouble::NO_HOME, &[]));

        assert_eq!(shown(&error, Lang::En), trouble::NO_HOME.en);
    }
}
