//! What a file must hold for one pattern of a rule to occur in it.

use yara_x_parser::ast::{HexPattern, HexToken, Pattern, PatternModifiers, RegexpPattern, TextPattern};

use super::{
    literal::Literal,
    need::{MAX_HEAD, Need},
    regexp,
};

/// What is known of a pattern.
pub(crate) struct Known {
    /// What holds when it occurs anywhere.
    pub(crate) need: Need,
    /// The bytes that every match begins with.
    pub(crate) start: Option<Vec<u8>>,
}

/// Reads a pattern.
pub(crate) fn known(pattern: &Pattern<'_>) -> Known {
    let modifiers = pattern.modifiers();
    if modifiers.xor().is_some() || modifiers.base64().is_some() || modifiers.base64wide().is_some() {
        return Known { need: Need::always(), start: None };
    }
    match pattern {
        Pattern::Text(text) => of_text(text),
        Pattern::Hex(hex) => of_hex(hex),
        Pattern::Regexp(expression) => of_regexp(expression),
    }
}

fn of_text(text: &TextPattern<'_>) -> Known {
    let modifiers = &text.modifiers;
    let bytes: &[u8] = &text.text.value;
    let (folded, is_wide) = (modifiers.nocase().is_some(), modifiers.wide().is_some());
    let start = (!folded && !is_wide).then(|| bytes[..bytes.len().min(MAX_HEAD)].to_vec());
    Known { need: one_of(&[(bytes.to_vec(), folded)], modifiers), start: start.filter(|s| !s.is_empty()) }
}

/// Returns the need for one of the byte strings, each in the spellings that the modifiers allow.
fn one_of(runs: &[(Vec<u8>, bool)], modifiers: &PatternModifiers<'_>) -> Need {
    let is_wide = modifiers.wide().is_some();
    let is_ascii = modifiers.ascii().is_some() || !is_wide;
    let mut all = Vec::new();
    for (bytes, folded) in runs {
        let wide: Vec<u8> = bytes.iter().flat_map(|b| [*b, 0]).collect();
        let spellings = [is_ascii.then_some(bytes), is_wide.then_some(&wide)];
        for spelling in spellings.into_iter().flatten() {
            let Some(literal) = Literal::rarest(spelling, *folded) else { return Need::always() };
            all.push(literal);
        }
    }
    all.sort();
    all.dedup();
    Need::one_of(all)
}

/// Takes the rarest run of plain bytes; gaps, masks and alternatives end a run.
fn of_hex(hex: &HexPattern<'_>) -> Known {
    let mut runs: Vec<Vec<u8>> = vec![Vec::new()];
    for token in hex.sub_patterns.iter() {
        match (token, runs.last_mut()) {
            (HexToken::Byte(byte), Some(run)) if byte.mask == 0xff => run.push(byte.value),
            _ => runs.push(Vec::new()),
        }
    }
    let start = runs[0][..runs[0].len().min(MAX_HEAD)].to_vec();
    let literals = runs.iter().filter_map(|run| Literal::rarest(run, false));
    let best = literals.max_by(|a, b| a.bits().total_cmp(&b.bits()));
    Known {
        need: best.map_or_else(Need::always, |literal| Need::one_of(vec![literal])),
        start: (!start.is_empty()).then_some(start),
    }
}

fn of_regexp(pattern: &RegexpPattern<'_>) -> Known {
    let expression = &pattern.regexp;
    let insensitive = expression.case_insensitive || pattern.modifiers.nocase().is_some();
    let must = regexp::must(expression.src, insensitive, expression.dot_matches_new_line);
    let sets = must.unwrap_or_default().sets;
    let need = sets.into_iter().fold(Need::always(), |all, set| {
        let runs: Vec<_> = set.into_iter().map(|run| (run.bytes, run.folded)).collect();
        all.and(one_of(&runs, &pattern.modifiers))
    });
    Known { need, start: None }
}
