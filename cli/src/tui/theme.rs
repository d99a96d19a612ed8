//! Colours as a table. Only the sixteen that every terminal has; each role can also be told apart without colour.

use khien_core::Severity;
use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Ordinary text.
    Plain,
    /// Labels and what matters less.
    Muted,
    /// What matters more.
    Strong,
    /// The head of a part of the screen.
    Title,
    /// The bar at the top.
    Bar,
    /// The row under the cursor.
    Selected,
    /// A key in the footer.
    Key,
    /// Well.
    Good,
    /// Something is less than it should be.
    Warning,
    /// Something failed.
    Error,
    /// The bytes that matched.
    Match,
    /// Most severe.
    Critical,
    /// Severe.
    High,
    /// Less severe.
    Medium,
    /// Least severe.
    Low,
}

/// One row of the table: the role, its colours, and its modifiers with and without colour.
type Row = (Role, Option<Color>, Option<Color>, Modifier, Modifier);

const TABLE: [Row; 15] = [
    (Role::Plain, None, None, Modifier::empty(), Modifier::empty()),
    (Role::Muted, None, None, Modifier::DIM, Modifier::DIM),
    (Role::Strong, None, None, Modifier::BOLD, Modifier::BOLD),
    (Role::Title, Some(Color::Cyan), None, Modifier::BOLD, Modifier::BOLD),
    (Role::Bar, Some(Color::White), Some(Color::Blue), Modifier::BOLD, Modifier::REVERSED),
    (Role::Selected, None, None, Modifier::REVERSED, Modifier::REVERSED),
    (Role::Key, Some(Color::Cyan), None, Modifier::BOLD, Modifier::BOLD),
    (Role::Good, Some(Color::Green), None, Modifier::empty(), Modifier::empty()),
    (Role::Warning, Some(Color::Yellow), None, Modifier::BOLD, Modifier::BOLD),
    (Role::Error, Some(Color::LightRed), None, Modifier::BOLD, Modifier::BOLD),
    (Role::Match, Some(Color::Black), Some(Color::Yellow), Modifier::BOLD, Modifier::REVERSED),
    (Role::Critical, Some(Color::White), Some(Color::Red), Modifier::BOLD, Modifier::BOLD),
    (Role::High, Some(Color::LightRed), None, Modifier::BOLD, Modifier::BOLD),
    (Role::Medium, Some(Color::Yellow), None, Modifier::empty(), Modifier::empty()),
    (Role::Low, Some(Color::Cyan), None, Modifier::empty(), Modifier::empty()),
];

/// Turns roles into styles, with or without colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    colour: bool,
}

impl Theme {
    /// Follows the `NO_COLOR` convention: any value that is not empty means no colour.
    pub(crate) fn from_no_color(no_color: Option<&std::ffi::OsStr>) -> Self {
        Self { colour: no_color.is_none_or(std::ffi::OsStr::is_empty) }
    }

    /// Returns the style of a role.
    pub(crate) fn style(self, role: Role) -> Style {
        let Some((_, fg, bg, coloured, plain)) = TABLE.iter().find(|row| row.0 == role) else {
            return Style::new();
        };
        if !self.colour {
            return Style::new().add_modifier(*plain);
        }
        Style { fg: *fg, bg: *bg, ..Style::new() }.add_modifier(*coloured)
    }

    /// Returns the style of a severity.
    pub(crate) fn severity(self, severity: Severity) -> Style {
        self.style(match severity {
            Severity::Critical => Role::Critical,
            Severity::High => Role::High,
            Severity::Medium => Role::Medium,
            Severity::Low => Role::Low,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn no_color_leaves_no_colour() {
        let theme = Theme::from_no_color(Some(OsStr::new("1")));

        for (role, ..) in TABLE {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn an_empty_no_color_means_nothing() {
        assert!(Theme::from_no_color(Some(OsStr::new(""))).colour);
        assert!(Theme::from_no_color(None).colour);
    }
}
