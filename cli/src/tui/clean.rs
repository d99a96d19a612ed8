//! Text made safe and cut to a width in terminal cells. Every word that is not ours passes through [`clean`].

use khien_core::untrusted::hides;
use ratatui::{style::Style, text::Span};
use unicode_normalization::UnicodeNormalization;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks that may stand on one letter; Vietnamese needs two. More would pile up over the lines above.
const MAX_MARKS: usize = 4;

/// Returns the text in NFC with everything that steers a terminal or hides written out as `\u{…}`.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.nfc() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if hides(c) || marks > MAX_MARKS {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Splits text into what a reader sees as single characters.
#[must_use]
pub(crate) fn graphemes(text: &str) -> Vec<String> {
    Span::raw(text).styled_graphemes(Style::new()).map(|g| g.symbol.to_owned()).collect()
}

/// Returns how many terminal cells the text takes.
#[must_use]
pub(crate) fn cells(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => graphemes(text).iter().map(|g| g.width()).sum(),
    }
}

/// Returns the text in exactly `width` cells: padded, or cut with `…` at its end.
#[must_use]
pub(crate) fn fit(text: &str, width: usize) -> String {
    let used = cells(text);
    if used <= width {
        return format!("{text}{}", " ".repeat(width - used));
    }
    let (head, used) = take(graphemes(text).into_iter(), width.saturating_sub(1));
    let end = if width == 0 { "" } else { "…" };
    format!("{}{end}{}", head.concat(), " ".repeat(width.saturating_sub(used + 1)))
}

/// Returns the text in exactly `width` cells, cut at its front: the end of a path says more than its beginning.
#[must_use]
pub(crate) fn fit_end(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return fit(text, width);
    }
    let (mut tail, used) = take(graphemes(text).into_iter().rev(), width.saturating_sub(1));
    tail.reverse();
    let front = if width == 0 { "" } else { "…" };
    format!("{front}{}{}", tail.concat(), " ".repeat(width.saturating_sub(used + 1)))
}

fn take(graphemes: impl Iterator<Item = String>, width: usize) -> (Vec<String>, usize) {
    let mut used = 0;
    let mut out = Vec::new();
    for g in graphemes {
        if used + g.width() > width {
            break;
        }
        used += g.width();
        out.push(g);
    }
    (out, used)
}

/// Breaks text into lines of at most `width` cells, at spaces where there are some.
#[must_use]
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + cells(word.trim_end()) > width {
            lines.push(String::new());
            used = 0;
        }
        for g in graphemes(word) {
            let over = used + g.width() > width;
            if over && g == " " {
                continue;
            }
            if over {
                lines.push(String::new());
                used = 0;
            }
            used += g.width();
            if let Some(line) = lines.last_mut() {
                line.push_str(&g);
            }
        }
    }
    lines
}

/// Breaks styled text into lines of at most `width` cells, anywhere: for bytes and hashes.
#[must_use]
pub(crate) fn wrap_spans(spans: &[Span<'_>], width: usize) -> Vec<Vec<Span<'static>>> {
    let width = width.max(1);
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for span in spans {
        let mut piece = String::new();
        for g in graphemes(&span.content) {
            if used + g.width() > width {
                push(&mut lines, std::mem::take(&mut piece), span.style);
                lines.push(Vec::new());
                used = 0;
            }
            used += g.width();
            piece.push_str(&g);
        }
        push(&mut lines, piece, span.style);
    }
    lines
}

fn push(lines: &mut [Vec<Span<'static>>], piece: String, style: Style) {
    if let (false, Some(line)) = (piece.is_empty(), lines.last_mut()) {
        line.push(Span::styled(piece, style));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn composed_and_decomposed_vietnamese_take_the_same_cells() {
        let nfc = "Sở Y tế Đắk Lắk – hoả tốc";
        let nfd: String = nfc.nfd().collect();

        assert_eq!(cells(nfc), cells(&nfd));
        assert_eq!(fit(&clean(&nfd), 12), fit(nfc, 12));
        assert_eq!(clean(&nfd), nfc);
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        assert_eq!(fit_end("/var/www/html/uploads/sh.php", 16), "…/uploads/sh.php");
        assert_eq!(fit("một hai ba", 7), "một ha…");
    }

    #[test]
    fn a_tower_of_marks_is_written_out() {
        let tower = format!("a{}", "\u{0301}".repeat(50));

        assert!(graphemes(&clean(&tower)).iter().all(|g| g.chars().count() <= MAX_MARKS + 1));
    }

    #[test]
    fn prose_breaks_at_spaces() {
        assert_eq!(wrap("một hai ba", 8), ["một hai ", "ba"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest! {
        #[test]
        fn fitted_text_takes_exactly_its_width(text: String, width in 0usize..60) {
            let text = clean(&text);

            prop_assert!(!text.chars().any(hides));
            prop_assert_eq!(cells(&fit(&text, width)), width);
            prop_assert_eq!(cells(&fit_end(&text, width)), width);
            // One character is never torn, however wide it is.
            let fits = |l: &String| cells(l) <= width.max(1) || graphemes(l).len() == 1;
            prop_assert!(wrap(&text, width).iter().all(fits));
        }
    }
}
