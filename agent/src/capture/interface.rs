//! Which interfaces are looked at when nobody chose: loopback and those of the default routes.

use std::{collections::HashSet, fs};

/// Loopback's name on Linux.
pub(super) const LOOPBACK: &str = "lo";
const ROUTES_V4: &str = "/proc/net/route";
const ROUTES_V6: &str = "/proc/net/ipv6_route";
const DEVICES: &str = "/proc/net/dev";
const UP: u32 = 0x0001;
const REJECT: u32 = 0x0200;

/// The interfaces of a host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct There {
    /// Loopback and those of the best default routes of IPv4 and IPv6.
    pub(super) routed: Vec<String>,
    /// All that there are; none where that cannot be told.
    pub(super) all: Option<HashSet<String>>,
}

/// Looks at the interfaces of this host.
pub(crate) fn interfaces() -> There {
    let all = devices(&read(DEVICES));
    There { routed: routed(), all: (!all.is_empty()).then_some(all) }
}

/// An unreadable list is an empty one.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn routed() -> Vec<String> {
    let mut names = vec![LOOPBACK.to_owned()];
    for name in [default_v4(&read(ROUTES_V4)), default_v6(&read(ROUTES_V6))].into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Two lines of heads, then `name: numbers …`.
fn devices(table: &str) -> HashSet<String> {
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, numbers in hex but for the metric.
fn default_v4(table: &str) -> Option<String> {
    let route = |line: &str| {
        let f: Vec<_> = line.split_whitespace().collect();
        let &[name, destination, _, flags, _, _, metric, mask, ..] = f.as_slice() else { return None };
        let is_default = zero(destination) && zero(mask) && usable(flags);
        is_default.then(|| Some((metric.parse::<u32>().ok()?, name.to_owned()))).flatten()
    };
    table.lines().filter_map(route).min().map(|(_, name)| name)
}

/// `destination length source length gateway metric refcount use flags name`, all numbers in hex.
fn default_v6(table: &str) -> Option<String> {
    let route = |line: &str| {
        let f: Vec<_> = line.split_whitespace().collect();
        let &[destination, length, _, _, _, metric, _, _, flags, name] = f.as_slice() else { return None };
        let is_default = zero(destination) && zero(length) && usable(flags) && name != LOOPBACK;
        is_default.then(|| Some((u32::from_str_radix(metric, 16).ok()?, name.to_owned()))).flatten()
    };
    table.lines().filter_map(route).min().map(|(_, name)| name)
}

fn zero(hex: &str) -> bool {
    hex.bytes().all(|b| b == b'0')
}

fn usable(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|f| f & UP != 0 && f & REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_default_route_is_chosen() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                  eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let zeros = "0".repeat(32);
        let v6 = format!(
            "{zeros} 00 {zeros} 00 fe80000000000000000000000000001 00000400 00000001 00000000 00000003 eth2\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n"
        );

        assert_eq!(default_v4(v4).as_deref(), Some("eth0"));
        assert_eq!(default_v6(&v6).as_deref(), Some("eth2"));
    }

    #[test]
    fn without_routes_loopback_is_left() {
        assert_eq!((default_v4(""), default_v6("x y\n")), (None, None));
        assert_eq!(interfaces().routed[0], "lo");
    }

    #[test]
    fn all_interfaces_are_read_and_where_there_is_no_list_nothing_is_said() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
                      face |bytes    packets errs drop fifo frame compressed multicast|bytes\n\
                     \x20   lo: 1234 7 0 0 0 0 0 0 1234 7 0 0 0 0 0 0\n\
                      wg-hanoi:0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

        assert_eq!(devices(table), ["lo", "wg-hanoi"].map(str::to_owned).into());
        assert!(devices("").is_empty());
        assert!(interfaces().all.is_none_or(|all| all.contains("lo")));
    }
}
