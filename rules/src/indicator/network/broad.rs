//! Entries that would make half the world an alert: refused, or taken with a warning.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use khien_core::policy::network::PUBLIC_RESOLVERS;

use super::{prefix::Prefix, url::Url};

/// Addresses that never belong to somebody else: this host, its link, many at once.
const OWN: [Prefix; 7] = [
    four(0, 0, 0, 8),
    four(127, 0, 0, 8),
    four(169, 254, 0, 16),
    four(224, 0, 0, 3),
    six(0, 0, 127),
    six(0xFE80, 0, 10),
    six(0xFF00, 0, 8),
];
/// Addresses of inner networks: a list of the world that names them means its own.
const PRIVATE: [Prefix; 5] =
    [four(10, 0, 0, 8), four(172, 16, 0, 12), four(192, 168, 0, 16), four(100, 64, 0, 10), six(0xFC00, 0, 7)];
/// Names under which anybody may have one: a list that holds them names everybody.
const SUFFIXES: [&str; 28] = [
    "ac.vn",
    "ai.vn",
    "biz.vn",
    "com.vn",
    "edu.vn",
    "gov.vn",
    "health.vn",
    "id.vn",
    "info.vn",
    "int.vn",
    "io.vn",
    "name.vn",
    "net.vn",
    "org.vn",
    "pro.vn",
    "ac.uk",
    "co.id",
    "co.jp",
    "co.kr",
    "co.th",
    "co.uk",
    "com.au",
    "com.br",
    "com.cn",
    "com.hk",
    "com.my",
    "com.sg",
    "com.tw",
];
/// Names inside of every network.
const INSIDE: [&str; 7] =
    ["localhost", "localdomain", "local", "internal", "lan", "in-addr.arpa", "ip6.arpa"];
/// Hosts that carry the content of many, most of it honest: the last labels of what is asked for every day.
const SHARED: [&str; 74] = [
    "1drv.ms",
    "amazonaws.com",
    "apple.com",
    "archive.org",
    "azureedge.net",
    "azurewebsites.net",
    "bing.com",
    "bit.ly",
    "bitbucket.org",
    "blogspot.com",
    "chinhphu.vn",
    "cloudflare.com",
    "cloudfront.net",
    "dantri.com.vn",
    "debian.org",
    "dichvucong.gov.vn",
    "discord.com",
    "discordapp.com",
    "docs.google.com",
    "drive.google.com",
    "dropbox.com",
    "dropboxusercontent.com",
    "duckdns.org",
    "facebook.com",
    "fbcdn.net",
    "firebaseapp.com",
    "fpt.vn",
    "github.com",
    "github.io",
    "githubusercontent.com",
    "gitlab.com",
    "google.com",
    "google.com.vn",
    "googleapis.com",
    "googleusercontent.com",
    "gstatic.com",
    "herokuapp.com",
    "icloud.com",
    "instagram.com",
    "linkedin.com",
    "live.com",
    "mediafire.com",
    "mega.nz",
    "microsoft.com",
    "microsoftonline.com",
    "msn.com",
    "netlify.app",
    "ngrok.io",
    "npmjs.org",
    "office.com",
    "office365.com",
    "onedrive.live.com",
    "outlook.com",
    "pages.dev",
    "pastebin.com",
    "pypi.org",
    "raw.githubusercontent.com",
    "sharepoint.com",
    "sites.google.com",
    "t.me",
    "telegram.org",
    "tuoitre.vn",
    "twitter.com",
    "ubuntu.com",
    "vercel.app",
    "viettel.vn",
    "vnexpress.net",
    "vnpt.vn",
    "web.app",
    "weebly.com",
    "windowsupdate.com",
    "workers.dev",
    "youtube.com",
    "zalo.me",
];

/// Returns why a network may not be listed. `private` says that the list is about inner networks.
#[must_use]
pub fn refused_network(prefix: &Prefix, private: bool) -> Option<&'static str> {
    let touches = |known: &[Prefix]| known.iter().any(|k| k.contains(prefix) || prefix.contains(k));
    match prefix {
        p if p.is_too_wide() => Some("is wider than /8, or /19 of IPv6"),
        _ if touches(&OWN) => Some("is no address of another host"),
        _ if !private && touches(&PRIVATE) => {
            Some("is an address of inner networks; a list for those says `private = true`")
        }
        _ => None,
    }
}

/// Returns why a listed network should be looked at.
#[must_use]
pub fn doubted_network(prefix: &Prefix) -> Option<&'static str> {
    static KNOWN: LazyLock<Vec<Prefix>> =
        LazyLock::new(|| PUBLIC_RESOLVERS.iter().filter_map(|r| Prefix::parse(r)).collect());
    let is_wide = match prefix.address {
        IpAddr::V4(_) => prefix.length < 16,
        IpAddr::V6(_) => prefix.length < 32,
    };
    match is_wide {
        true => Some("is wider than /16, or /32 of IPv6"),
        false => KNOWN.iter().any(|k| prefix.contains(k)).then_some("holds a resolver that everybody asks"),
    }
}

/// Returns why a name may not be listed.
#[must_use]
pub fn refused_name(name: &str) -> Option<&'static str> {
    let is_inside =
        |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match name {
        _ if INSIDE.iter().any(is_inside) => Some("is a name inside of every network"),
        n if !n.contains('.') => Some("is a whole top-level domain"),
        n if is_suffix(n) => Some("is a name under which anybody may have one"),
        _ => None,
    }
}

/// Tells whether anybody may have a name below a name.
pub(super) fn is_suffix(name: &str) -> bool {
    !name.contains('.') || SUFFIXES.contains(&name)
}

/// Returns why a listed name should be looked at.
#[must_use]
pub fn doubted_name(name: &str) -> Option<&'static str> {
    let bare = name.strip_prefix("www.").unwrap_or(name);
    SHARED.contains(&bare).then_some("is a host that carries the content of many")
}

/// Returns why a URL may not be listed.
#[must_use]
pub fn refused_url(url: &Url, private: bool) -> Option<&'static str> {
    let host = std::str::from_utf8(url.host()).ok()?;
    match host.parse::<IpAddr>() {
        Ok(address) => refused_network(&Prefix::of(address), private),
        Err(_) if url.is_front() && doubted_name(host).is_some() => {
            Some("is the front page of a host that carries the content of many")
        }
        Err(_) => INSIDE.contains(&host).then_some("is a name inside of every network"),
    }
}

const fn four(a: u8, b: u8, c: u8, length: u8) -> Prefix {
    Prefix { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), length }
}

const fn six(a: u16, b: u16, length: u8) -> Prefix {
    Prefix { address: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_everybody_and_of_nobody_are_refused() {
        for text in [
            "0.0.0.0/0",
            "128.0.0.0/1",
            "8.0.0.0/7",
            "127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.251",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "2000::/3",
            "2001:d00::/18",
            "10.0.0.5",
            "172.31.0.0/16",
            "192.168.1.0/24",
            "100.64.0.1",
            "fd00::1",
        ] {
            assert!(refused_network(&Prefix::parse(text).unwrap(), false).is_some(), "{text}");
        }
        for text in ["9.0.0.0/8", "172.32.0.1", "192.169.0.1", "203.0.113.7", "100.128.0.1", "2001:db8::/32"]
        {
            assert_eq!(refused_network(&Prefix::parse(text).unwrap(), false), None, "{text}");
        }
    }

    #[test]
    fn a_list_about_inner_networks_may_hold_them_and_never_this_host() {
        for (text, refused) in
            [("10.0.0.5", false), ("fd00::1", false), ("127.0.0.1", true), ("10.0.0.0/7", true)]
        {
            assert_eq!(refused_network(&Prefix::parse(text).unwrap(), true).is_some(), refused, "{text}");
        }
    }

    #[test]
    fn names_of_everybody_are_refused_and_shared_hosts_are_doubted() {
        for name in ["com", "com.vn", "gov.vn", "localhost", "printer.local", "7.113.0.203.in-addr.arpa"] {
            assert!(refused_name(name).is_some(), "{name}");
        }
        for name in ["evil.com.vn", "notlocal.example", "evil.example"] {
            assert_eq!((refused_name(name), doubted_name(name)), (None, None), "{name}");
        }
        for name in ["drive.google.com", "github.io", "www.zalo.me"] {
            assert_eq!(refused_name(name), None, "{name}");
            assert!(doubted_name(name).is_some(), "{name}");
        }
        assert_eq!(doubted_name("evil.github.io"), None);
    }

    #[test]
    fn resolvers_and_wide_networks_are_doubted_and_every_resolver_is_an_address() {
        assert!(PUBLIC_RESOLVERS.iter().all(|r| r.parse::<IpAddr>().is_ok()));
        for text in ["8.8.8.8", "8.8.8.0/24", "2606:4700:4700::1111", "9.0.0.0/8", "2001::/20"] {
            assert!(doubted_network(&Prefix::parse(text).unwrap()).is_some(), "{text}");
        }
        assert_eq!(doubted_network(&Prefix::parse("203.0.113.0/24").unwrap()), None);
    }

    #[test]
    fn a_url_of_a_shared_host_needs_a_path_and_one_of_this_host_is_none() {
        let refused = |text| refused_url(&Url::parse(text).unwrap(), false).is_some();

        assert!(
            refused("https://drive.google.com/")
                && refused("http://127.0.0.1/x")
                && refused("http://10.0.0.1/x")
        );
        assert!(!refused("https://drive.google.com/uc?id=1") && !refused("http://evil.example/"));
        assert!(!refused("http://203.0.113.7/"));
    }
}
