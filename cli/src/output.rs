//! What `khien` prints: tables, blocks and JSON on stdout, everything else on stderr.
//!
//! Every character that could steer a terminal or hide text is written as an escape, whoever it came from.
#![allow(clippy::print_stdout, reason = "the one place that prints")]

use std::{
    ffi::OsStr,
    io::{self, IsTerminal, Write},
};

use anyhow::Result;
use khien_core::untrusted::hides;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// Prints one or more lines on stdout.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(sane(text.trim_end_matches('\n')).as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Prints one value as JSON that people can read too.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    raw_line(&sane_json(&serde_json::to_string_pretty(value)?))
}

/// Prints one value as one line of JSON.
pub(crate) fn print_json_line<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    raw_line(&sane_json(&serde_json::to_string(value)?))
}

fn raw_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Says one line to the person, on stderr.
pub(crate) fn say(text: &str) {
    // If nobody listens on stderr there is nobody to tell.
    writeln!(io::stderr().lock(), "{}", sane(text)).ok();
}

/// Says one value as one line of JSON, on stderr.
pub(crate) fn say_json<T: Serialize + ?Sized>(value: &T) {
    // A value that has no JSON form says nothing; there is no other way to say so.
    let text = serde_json::to_string(value).unwrap_or_default();
    writeln!(io::stderr().lock(), "{}", sane_json(&text)).ok();
}

/// Tells whether a person sits at stdin and stdout.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Tells whether a terminal is to get text and line ends only: no colours, and nothing that moves the cursor.
pub(crate) fn is_plain() -> bool {
    plain(std::env::var_os("TERM").as_deref(), std::env::var_os("NO_COLOR").as_deref())
}

/// A terminal that can do no more says so by its name or has none; a person says so by `NO_COLOR`, if it is not empty.
fn plain(terminal: Option<&OsStr>, no_color: Option<&OsStr>) -> bool {
    no_color.is_some_and(|v| !v.is_empty()) || terminal.is_none_or(|name| name.is_empty() || name == "dumb")
}

/// Asks a yes-or-no question on stderr; anything but yes is no.
pub(crate) fn confirmed(question: &str) -> bool {
    write!(io::stderr().lock(), "{} ", sane(question)).ok();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "c" | "co" | "có")
}

/// Writes characters that steer a terminal or hide text as escapes; line ends stay.
pub(crate) fn sane(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('\n'),
            c if hides(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// The same for JSON text, by JSON's own escapes, so that nothing is lost.
fn sane_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c != '\n' && hides(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}"))),
            false => out.push(c),
        }
    }
    out
}

/// Rows under headings, aligned by what a terminal shows.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|h| (*h).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|c| sane(c).replace('\n', " ")).collect());
    }

    /// Returns the table as text.
    pub(crate) fn shown(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(c, w)| padded(c, *w)).collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |i: usize| self.rows.iter().filter_map(|r| r.get(i)).map(|c| c.width()).max().unwrap_or(0);
        (0..columns).map(width).collect()
    }
}

/// Lines of `label: value`, the values in one column.
pub(crate) struct Facts {
    lines: Vec<(String, String)>,
}

impl Facts {
    /// Begins a list.
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, label: &str, value: impl std::fmt::Display) {
        self.lines.push((label.to_owned(), sane(&value.to_string())));
    }

    /// Adds a line if there is a value.
    pub(crate) fn maybe(&mut self, label: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.add(label, value);
        }
    }

    /// Returns the list as text.
    pub(crate) fn shown(&self) -> String {
        let width = self.lines.iter().map(|(l, _)| l.width()).max().unwrap_or(0);
        let indent = format!("\n{}", " ".repeat(width + 3));
        let line = |(label, value): &(String, String)| {
            let label = padded(&format!("{label}:"), width + 1);
            format!("{label}  {}", value.replace('\n', &indent)).trim_end().to_owned()
        };
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_the_letters() {
        let mut table = Table::new(&["Máy chủ", "Mức"]);
        table.row(vec!["sở-y-tế".to_owned(), "Cao".to_owned()]);
        table.row(vec!["漢字".to_owned(), "Thấp".to_owned()]);

        insta::assert_snapshot!(table.shown(), @r"
        Máy chủ  Mức
        sở-y-tế  Cao
        漢字     Thấp
        ");
    }

    #[test]
    fn colours_and_moves_are_left_out_where_nobody_wants_them() {
        let [xterm, dumb, none, one] = ["xterm-256color", "dumb", "", "1"].map(|v| Some(OsStr::new(v)));

        assert!(!plain(xterm, None) && !plain(xterm, none));
        assert!(plain(xterm, one) && plain(dumb, None) && plain(none, None) && plain(None, None));
    }

    #[test]
    fn nothing_printed_can_steer_the_terminal() {
        let mut table = Table::new(&["x"]);
        table.row(vec!["a\x1b]0;t\x07\u{202e}b\nc".to_owned()]);

        assert_eq!(table.shown(), "x\na\\u{1b}]0;t\\u{7}\\u{202e}b c");
    }

    #[test]
    fn json_keeps_every_character_and_hides_none() {
        let text = "a\u{9b}31m\u{202e}\u{e0001}ế\n";

        let json = sane_json(&serde_json::to_string(text).unwrap());

        assert!(!json.chars().any(hides), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn facts_are_aligned_and_long_values_stay_in_their_column() {
        let mut facts = Facts::new();
        facts.add("Tệp", "/srv/a.php");
        facts.add("Ý nghĩa", "một\nhai");

        insta::assert_snapshot!(facts.shown(), @r"
        Tệp:      /srv/a.php
        Ý nghĩa:  một
                  hai
        ");
    }
}
