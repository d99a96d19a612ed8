//! What two engines must agree on. Tests beside the crate use it, too.

use super::{Scanner, TIMEOUT};

/// Returns the rules that match, with the places of all their patterns.
pub(super) fn shown(scanner: &mut Scanner<'_>, bytes: &[u8]) -> Vec<String> {
    let place = |p: yara_x::Pattern<'_, '_>| {
        let ranges: Vec<_> = p.matches().map(|m| m.range()).collect();
        format!("{} {ranges:?}", p.identifier())
    };
    let found = scanner.scan(bytes, TIMEOUT, |r| {
        let places: Vec<_> = r.patterns().map(place).collect();
        Some(format!("{} {}", r.identifier(), places.join(", ")))
    });
    let mut found = found.unwrap();
    found.sort();
    found
}
