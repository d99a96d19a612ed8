//! URLs in one form, however a list writes them and a client asks for them.
//!
//! ```text
//! HTTP://Evil.Example:80/%61/../kit/./x.php?q=%7e#top  ─►  evil.example/kit/x.php?q=~
//! ```
//! Scheme, user, port and fragment do not count: what is seen of an exchange is the host without port and the target. An
//! entry without a query stands for its path with any query; one that ends in `/`, other than the first, for all beneath.

use std::net::IpAddr;

/// The longest URL that can be listed, in bytes of its one form. Of a longer target only the folders are looked up.
pub const MAX_URL: usize = 2_048;
/// The most folders of a target that are looked up, from the first one.
pub const MAX_FOLDERS: usize = 32;
/// The longest host, in bytes: a name, or an address in brackets.
const MAX_HOST: usize = 255;

/// A URL in its one form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    /// Host, path and query.
    text: Vec<u8>,
    /// Where the path begins.
    path: usize,
    /// Where the query begins, with its `?`; the end if there is none.
    query: usize,
    /// Whether it goes on.
    cut: bool,
}

impl Url {
    /// Takes the host and the target of a request. Targets in absolute form name their own host.
    #[must_use]
    pub fn requested(host: &[u8], target: &[u8]) -> Option<Self> {
        match without_scheme(target) {
            Some(rest) => {
                let (host, target) = split(rest);
                Self::new(host, target)
            }
            None if target.first() == Some(&b'/') => Self::new(host, target),
            None => None,
        }
    }

    /// Reads a URL of a list, with or without a scheme. One that is too long for a list is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let (host, target) = split(without_scheme(text).unwrap_or(text));
        Self::new(host, target).filter(|url| !url.cut)
    }

    /// Returns its one form: host, path and query.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Returns its host.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        &self.text[..self.path]
    }

    /// Tells whether it is the front page of its host.
    #[must_use]
    pub fn is_front(&self) -> bool {
        self.text.len() == self.path + 1
    }

    /// Returns under what it may be listed, the most exact first: the whole, the path, and the folders above, the
    /// innermost first.
    pub fn candidates(&self) -> impl Iterator<Item = &[u8]> {
        let path = &self.text[..self.query];
        let has_query = self.query < self.text.len();
        let whole = (!self.cut).then_some(&self.text[..]);
        let path_itself = has_query.then_some(path);
        // A path that was cut is known up to its last folder; one that was not has stood there itself.
        let inside = path.len().saturating_sub(usize::from(!self.cut || has_query));
        let folders = (self.path + 1..inside).filter(|at| path[*at] == b'/').take(MAX_FOLDERS);
        let folders: Vec<usize> = folders.collect();
        let folders = folders.into_iter().rev().map(move |at| &path[..=at]);
        whole.into_iter().chain(path_itself).chain(folders)
    }

    fn new(host: &[u8], target: &[u8]) -> Option<Self> {
        let mut text = host_of(host)?;
        let path = text.len();
        let target = target.split(|b| *b == b'#').next().unwrap_or_default();
        // Encoding makes three bytes of one, so what is looked at is bounded before it grows.
        let cut = target.len() > MAX_URL;
        let target = &target[..target.len().min(MAX_URL)];
        let mut parts = target.splitn(2, |b| *b == b'?');
        without_dots(&normal(parts.next().unwrap_or_default()), &mut text);
        let query = text.len();
        if let Some(asked) = parts.next() {
            text.push(b'?');
            text.extend(normal(asked));
        }
        let cut = cut || text.len() > MAX_URL;
        Some(Self { text, path, query, cut })
    }
}

/// Returns what follows the scheme, if there is one of the web.
fn without_scheme(text: &[u8]) -> Option<&[u8]> {
    ["http://", "https://", "ftp://"].iter().find_map(|scheme| {
        let (first, rest) = text.split_at_checked(scheme.len())?;
        first.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    })
}

/// Splits at the end of the host.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(text.len());
    text.split_at(end)
}

/// Returns a host in lower case without user, port and final dot; an address in its shortest form.
fn host_of(host: &[u8]) -> Option<Vec<u8>> {
    if host.len() > 2 * MAX_HOST {
        return None;
    }
    let host = host.rsplit(|b| *b == b'@').next().unwrap_or_default();
    let text = std::str::from_utf8(host).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string().into_bytes());
    }
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.split_once(':').map_or(text, |(host, _port)| host),
    };
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().to_string().into_bytes()),
        Err(_) => super::super::normal(text).map(String::into_bytes),
    }
}

/// Writes each byte in the one way RFC 3986 prefers: what need not be encoded is not, the rest in capitals.
fn normal(part: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    let mut at = 0;
    while let Some(byte) = part.get(at) {
        let encoded = match part.get(at..at + 3) {
            Some([b'%', high, low]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        at += if encoded.is_some() { 3 } else { 1 };
        match encoded.unwrap_or(*byte) {
            b if is_unreserved(b) => out.push(b),
            b if encoded.is_some() || b == b'%' || !b.is_ascii_graphic() => {
                out.extend([b'%', digit(b >> 4), digit(b & 15)]);
            }
            b => out.push(b),
        }
    }
    out
}

/// Adds a path without `.` and `..`, as clients ask for it. No path is the front page.
fn without_dots(path: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let mut parts = path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/').peekable();
    out.push(b'/');
    while let Some(part) = parts.next() {
        match part {
            b"." => {}
            b".." => {
                // The last byte is a slash; what stands before it goes, up to the slash before that.
                let folder = out.len().saturating_sub(1).max(begin);
                let above = out[begin..folder].iter().rposition(|b| *b == b'/').unwrap_or(0);
                out.truncate(begin + above + 1);
            }
            part => {
                out.extend(part);
                if parts.peek().is_some() {
                    out.push(b'/');
                }
            }
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn digit(half: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(half & 15)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_has_one_form_however_it_is_written() {
        for (text, form) in [
            ("http://evil.example/a", "evil.example/a"),
            ("HTTPS://user:pw@Evil.Example.:8443/a#b", "evil.example/a"),
            ("evil.example/a", "evil.example/a"),
            ("http://evil.example", "evil.example/"),
            ("http://evil.example?x", "evil.example/?x"),
            ("http://evil.example/%61%2Fb%7e%2f/", "evil.example/a%2Fb~%2F/"),
            ("http://evil.example/a/./b/../../c/..", "evil.example/"),
            ("http://evil.example/../../c", "evil.example/c"),
            ("http://evil.example/a//b/", "evil.example/a//b/"),
            ("http://evil.example/100%?a=%zz", "evil.example/100%25?a=%25zz"),
            ("http://evil.example/đ", "evil.example/%C4%91"),
            ("http://198.51.100.7:45678/i", "198.51.100.7/i"),
            ("http://[2001:DB8:0::7]:80/i", "2001:db8::7/i"),
            ("http://[::ffff:198.51.100.7]/i", "198.51.100.7/i"),
        ] {
            let url = Url::parse(text).unwrap();

            assert_eq!(String::from_utf8_lossy(url.as_bytes()), form, "{text}");
        }
        for wrong in ["", "http://", "http:///a", "http://a b/c", "http://[::1/c"] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Url::parse(&format!("http://evil.example/{}", "a".repeat(MAX_URL))), None);
    }

    #[test]
    fn a_request_is_looked_up_as_a_whole_then_its_path_then_the_folders_above() {
        assert_eq!(
            candidates("evil.example", "/kit/vn/x.php?id=1"),
            [
                "evil.example/kit/vn/x.php?id=1",
                "evil.example/kit/vn/x.php",
                "evil.example/kit/vn/",
                "evil.example/kit/"
            ]
        );
        assert_eq!(candidates("evil.example", "/kit/"), ["evil.example/kit/"]);
        assert_eq!(candidates("evil.example", "/"), ["evil.example/"]);
        assert_eq!(candidates("Evil.Example:80", "/x"), ["evil.example/x"]);
        assert_eq!(candidates("proxy.example", "http://evil.example/x"), ["evil.example/x"]);
        assert_eq!(candidates("evil.example", "evil.example:443"), [""; 0]);
        assert_eq!(candidates("evil.example", "*"), [""; 0]);
    }

    #[test]
    fn a_target_without_end_is_looked_up_by_its_folders_and_its_known_path_only() {
        let long = "a".repeat(2 * MAX_URL);

        assert_eq!(candidates("evil.example", &format!("/kit/{long}")), ["evil.example/kit/"]);
        assert_eq!(
            candidates("evil.example", &format!("/kit/x?{long}")),
            ["evil.example/kit/x", "evil.example/kit/"]
        );
        let deep = "/a".repeat(1_000);
        assert!(candidates("evil.example", &deep).len() <= MAX_FOLDERS + 2);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_asked_for(host: Vec<u8>, target: Vec<u8>) {
            if let Some(url) = Url::requested(&host, &target) {
                prop_assert!(url.candidates().count() <= MAX_FOLDERS + 2);
                prop_assert!(url.as_bytes().len() <= MAX_HOST + 3 * MAX_URL + 2);
            }
        }

        #[test]
        fn the_one_form_of_the_one_form_is_itself(target in "(/|[a-z.%?]){0,40}") {
            if let Some(url) = Url::requested(b"evil.example", format!("/{target}").as_bytes()) {
                let again = Url::parse(&String::from_utf8_lossy(url.as_bytes())).unwrap();
                prop_assert_eq!(again.as_bytes(), url.as_bytes());
            }
        }

        #[test]
        fn what_is_listed_is_found(path in "(/[a-zA-Z0-9~.%-]{1,8}){1,6}/?", query in "(\\?[a-z=&]{0,9})?") {
            let listed = Url::parse(&format!("hTTp://Evil.example:8080{path}")).unwrap();
            let url = Url::requested(b"evil.example", format!("{path}{query}").as_bytes()).unwrap();

            prop_assert!(url.candidates().any(|c| c == listed.as_bytes()));
        }
    }

    fn candidates(host: &str, target: &str) -> Vec<String> {
        let url = Url::requested(host.as_bytes(), target.as_bytes());
        url.iter().flat_map(Url::candidates).map(|c| String::from_utf8_lossy(c).into_owned()).collect()
    }
}
