//! What changed in a text, line by line. The lines are hostile: nothing of them reaches the terminal as it is.

use khien_core::{Untrusted, text::tui as t, untrusted::escape};
use ratatui::text::{Line, Span};

use super::super::{
    app::App,
    clean::{clean, wrap_spans},
    theme::Role,
};

/// Writes a diff; a line that came is green, one that went is red, and each keeps its sign.
pub(super) fn lines(app: &App, diff: &Untrusted, width: usize) -> Vec<Line<'static>> {
    let head = Line::styled(app.say(t::DIFF).to_owned(), app.theme.style(Role::Title));
    let one = |line: &[u8]| {
        let role = match line.first() {
            Some(b'+') => Role::Good,
            Some(b'-') => Role::Error,
            _ => Role::Muted,
        };
        let spans = vec![Span::styled(clean(&escape(line)), app.theme.style(role))];
        wrap_spans(&spans, width).into_iter().map(Line::from).collect::<Vec<_>>()
    };
    let body = diff.raw().split(|b| *b == b'\n').flat_map(one);
    [Line::from(""), head].into_iter().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use khien_core::{Lang, untrusted::hides};
    use ratatui::style::Color;

    use super::{super::super::samples::app, *};

    #[test]
    fn what_came_is_green_what_went_is_red_and_nothing_steers_the_terminal() {
        let hostile = "-* * * * * root /bin/true\n+* * * * * root \u{1b}[2J/tmp/\u{202e}x\n… 7 ±";

        let lines = lines(&app(Lang::En), &hostile.into(), 80);

        let text = |line: &Line<'_>| line.spans.iter().map(|s| s.content.to_string()).collect::<String>();
        let shown: Vec<String> = lines.iter().map(text).collect();
        let want = [
            "",
            "What changed",
            "-* * * * * root /bin/true",
            r"+* * * * * root \u{1b}[2J/tmp/\u{202e}x",
            "… 7 ±",
        ];
        assert_eq!(shown, want);
        assert!(!shown.concat().chars().any(hides));
        let colour = |at: usize| lines[at].spans[0].style.fg;
        assert_eq!((colour(2), colour(3)), (Some(Color::LightRed), Some(Color::Green)));
    }
}
