//! What was typed to be looked for, in the form in which agents keep it.

use khien_core::order::Sought;
use khien_rules::indicator::{
    self,
    network::{url::Url, value::refanged},
};

use crate::args::HuntNet;

/// Returns what is looked for; nothing if no agent could find it.
pub(super) fn sought(what: &HuntNet) -> Option<Sought> {
    if let Some(url) = &what.url {
        return url_of(&refanged(url.trim()));
    }
    let domain = match what.domain.as_deref().map(|name| domain_of(&refanged(name.trim()))) {
        Some(None) => return None,
        domain => domain.flatten(),
    };
    let address = what.ip.map(Sought::Address);
    let ja4 = what.ja4.map(Sought::Ja4);
    domain
        .or(address)
        .or(ja4)
        .or(what.certificate.map(Sought::Certificate))
        .or(what.sha256.map(Sought::Sha256))
}

/// Reads a URL as lists do, for its host as records name it and its target as clients send it. What is no URL is none: no agent could
/// find it.
fn url_of(url: &str) -> Option<Sought> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => {
            let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
            is_web.then_some(rest)?
        }
        _ => url,
    };
    let host = std::str::from_utf8(Url::parse(rest)?.host()).ok()?.to_owned();
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let target = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    let target = target.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some(Sought::Url { host: host.as_str().into(), target: format!("{slash}{target}").as_str().into() })
}

fn domain_of(name: &str) -> Option<Sought> {
    let name = name.strip_prefix("*.").unwrap_or(name);
    indicator::normal(name).map(|name| Sought::Domain(name.as_str().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_into_host_and_path() {
        let typed = |url: &str| net(&["--url", url]);
        let url = |host: &str, target: &str| Some(Sought::Url { host: host.into(), target: target.into() });

        assert_eq!(typed("http://evil.example:8080/a?b"), url("evil.example", "/a?b"));
        for (text, host, target) in [
            ("evil.example", "evil.example", "/"),
            ("HTTP://Evil.example/a", "evil.example", "/a"),
            ("http://evil.example?x", "evil.example", "/?x"),
            ("http://u@evil.example/#top", "evil.example", "/"),
            ("hxxp://evil[.]example/a", "evil.example", "/a"),
            ("http://[2001:db8::7]:80/x", "[2001:db8::7]", "/x"),
            ("http://203.0.113.7/%61", "203.0.113.7", "/%61"),
        ] {
            assert_eq!(typed(text), url(host, target), "{text}");
        }
        for none in ["", "http://", "http:///a", "gopher://evil.example/a", "evil example/a", "http://[::1/a"]
        {
            assert_eq!(typed(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_looked_for() {
        let typed = |name: &str| net(&["--domain", name]);

        for name in ["evil.example", "Evil[.]example.", "*.evil.example", " evil.example"] {
            assert_eq!(typed(name), Some(Sought::Domain("evil.example".into())), "{name}");
        }
        for none in ["http://evil.example", "evil example", "..", "evil.example/a"] {
            assert_eq!(typed(none), None, "{none}");
        }
    }

    fn net(words: &[&str]) -> Option<Sought> {
        use clap::Parser as _;
        let all = ["khien", "hunt", "net"].iter().chain(words);
        let typed = crate::args::Typed::try_parse_from(all).unwrap();
        let crate::args::Command::Hunt(crate::args::Hunt::Net(what)) = typed.command else {
            panic!("not hunt net")
        };
        sought(&what)
    }
}
