//! Resolvers outside that hosts everywhere ask for names.

/// Resolvers that everybody asks: Google, Cloudflare, Quad9 and OpenDNS, and those of VNPT, Viettel and FPT.
pub const PUBLIC_RESOLVERS: [&str; 22] = [
    "8.8.8.8",
    "8.8.4.4",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.222.222",
    "208.67.220.220",
    "203.162.4.190",
    "203.162.4.191",
    "203.113.131.1",
    "203.113.131.2",
    "210.245.24.20",
    "210.245.24.22",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "2620:fe::fe",
    "2620:fe::9",
    "2620:119:35::35",
    "2620:119:53::53",
];
