//! Who owns a name: its registered domain, told by a short list and not by the whole public one.

/// Second levels below which countries register names.
const SECOND: [&str; 20] = [
    "ac", "biz", "co", "com", "edu", "gob", "gov", "go", "gouv", "health", "id", "info", "int", "mil",
    "name", "ne", "net", "or", "org", "pro",
];

/// Splits a name into what stands before the registered domain, and that domain: `a.b.example.gov.vn` is `a.b` and
/// `example.gov.vn`.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut dots = name.iter().enumerate().rev().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    let (Some(last), second) = (dots.next(), dots.next()) else { return (&[], name) };
    let top = &name[last + 1..];
    let under = &name[second.map_or(0, |at| at + 1)..last];
    let is_shared = top.len() == 2 && SECOND.iter().any(|s| s.as_bytes().eq_ignore_ascii_case(under));
    let at = if is_shared { dots.next() } else { second };
    match at {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (&[], name),
    }
}

/// Returns the registered domain of a name in small letters.
pub(super) fn registered(name: &[u8]) -> Vec<u8> {
    split(name).1.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_before_its_registered_domain() {
        for (name, before, domain) in [
            ("a.b.example.com", "a.b", "example.com"),
            ("example.com.", "", "example.com"),
            ("x.sotttt.gov.vn", "x", "sotttt.gov.vn"),
            ("sotttt.gov.vn", "", "sotttt.gov.vn"),
            ("a.b.vn", "a", "b.vn"),
            ("gov.vn", "", "gov.vn"),
            ("localhost", "", "localhost"),
            ("", "", ""),
            ("..", "", "."),
        ] {
            let (found_before, found) = split(name.as_bytes());
            assert_eq!((found_before, found), (before.as_bytes(), domain.as_bytes()), "{name}");
        }
    }
}
