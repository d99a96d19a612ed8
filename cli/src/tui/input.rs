//! One line of typed text. Composed or decomposed letters may arrive; a letter is one letter for backspace.

use khien_core::untrusted::hides;
use unicode_normalization::UnicodeNormalization;

use super::clean::graphemes;

/// The longest text that can be typed, in characters.
const MAX_TYPED: usize = 500;

/// A line being typed. The text is always NFC and never holds a control character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Input {
    text: String,
}

impl Input {
    /// Begins with a text.
    pub(crate) fn with(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    /// Returns what was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Tells whether nothing but blanks was typed.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Adds one character; a combining mark joins the letter before it.
    pub(crate) fn push(&mut self, c: char) {
        self.insert(c.encode_utf8(&mut [0; 4]));
    }

    /// Adds pasted text: line ends become spaces, what hides or controls is dropped.
    pub(crate) fn insert(&mut self, text: &str) {
        let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !hides(*c));
        let room = MAX_TYPED.saturating_sub(self.text.chars().count());
        let joined: String = self.text.chars().chain(shown.take(room)).collect();
        self.text = joined.nfc().collect();
    }

    /// Takes the last letter away, with all its marks.
    pub(crate) fn backspace(&mut self) {
        let mut letters = graphemes(&self.text);
        letters.pop();
        self.text = letters.concat();
    }

    /// Takes the last word away.
    pub(crate) fn delete_word(&mut self) {
        let kept = self.text.trim_end();
        let end = kept.rfind(' ').map_or(0, |at| at + 1);
        self.text.truncate(end);
    }

    /// Takes everything away.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decomposed_letters_become_one_and_leave_as_one() {
        let mut input = Input::default();
        "tie\u{0302}\u{0301}ng".chars().for_each(|c| input.push(c));

        assert_eq!(input.text(), "tiếng");
        (0..3).for_each(|_| input.backspace());
        assert_eq!(input.text(), "ti");
    }

    #[test]
    fn pasted_control_characters_do_not_get_in() {
        let mut input = Input::default();
        input.insert("thử\r\n\x1b[31m\u{202e}nghiệm");

        assert_eq!(input.text(), "thử  [31mnghiệm");
    }

    #[test]
    fn a_word_is_deleted_with_its_blanks() {
        let mut input = Input::with("tệp của  đội ");
        input.delete_word();

        assert_eq!(input.text(), "tệp của  ");
    }

    #[test]
    fn typing_stops_at_the_limit() {
        let mut input = Input::default();
        input.insert(&"a".repeat(10 * MAX_TYPED));

        assert_eq!(input.text().len(), MAX_TYPED);
    }
}
