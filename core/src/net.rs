//! Networks and services as people write them: `10.0.0.0/8`, `fd00::/8`, `443/tcp`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::Transport;

/// A network: an address and how many of its first bits count. A single address is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// Its first address; an IPv4 address in IPv6 clothes is taken out of them.
    address: IpAddr,
    bits: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network, expected an address or one such as 10.0.0.0/8 or fd00::/8")]
pub struct NoCidr(String);

impl Cidr {
    /// Makes a network, if it can have so many bits. What stands behind them in the address does not count.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Some(Self { address: IpAddr::V4((v4.to_bits() & mask).into()), bits })
            }
            IpAddr::V6(v6) if bits <= 128 => {
                if let Some(v4) = v6.to_ipv4_mapped()
                    && bits >= MAPPED
                {
                    return Self::new(v4.into(), bits - MAPPED);
                }
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Some(Self { address: IpAddr::V6((v6.to_bits() & mask).into()), bits })
            }
            _ => None,
        }
    }

    /// Returns its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns how many bits of an address it sets.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Tells whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                (mine.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                (mine.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

/// Bits before an IPv4 address that is written as an IPv6 one.
const MAPPED: u8 = 96;
/// The longest text of an address with its bits.
const MAX_TEXT: usize = 49;

impl FromStr for Cidr {
    type Err = NoCidr;
    fn from_str(text: &str) -> Result<Self, NoCidr> {
        read(text).ok_or_else(|| NoCidr(text.chars().take(MAX_TEXT).collect()))
    }
}

fn read(text: &str) -> Option<Cidr> {
    let Some((address, bits)) = text.split_once('/') else {
        let address: IpAddr = text.parse().ok()?;
        return Cidr::new(address, if address.is_ipv4() { 32 } else { 128 });
    };
    // `parse` would also take a sign.
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    Cidr::new(address.parse().ok()?, plain.then(|| bits.parse().ok())??)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.bits))
    }
}

/// A service: a port of a transport, written `443/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub transport: Transport,
}

/// The text is no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no service, expected a port and its transport such as 443/tcp or 123/udp")]
pub struct NoService(String);

impl Service {
    /// Returns the service at one end of a flow.
    #[must_use]
    pub fn at(end: SocketAddr, transport: Transport) -> Self {
        Self { port: end.port(), transport }
    }
}

impl FromStr for Service {
    type Err = NoService;
    fn from_str(text: &str) -> Result<Self, NoService> {
        let read = || {
            let (port, transport) = text.split_once('/')?;
            let transport = match transport {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            let plain = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            Some(Self { port: plain.then(|| port.parse().ok())??, transport })
        };
        read().ok_or_else(|| NoService(text.chars().take(MAX_TEXT).collect()))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.port, self.transport.name().to_ascii_lowercase()))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}
as_text!(Cidr);
as_text!(Service);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (network, address, want) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("172.16.0.0/12", "172.31.255.255", true),
            ("172.16.0.0/12", "172.32.0.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.1", false),
            ("fc00::/7", "fdff::1", true),
            ("fc00::/7", "fe80::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ] {
            assert_eq!(cidr(network).contains(address.parse().unwrap()), want, "{network} {address}");
        }
    }

    #[test]
    fn a_network_is_written_as_it_is_read_without_what_does_not_count() {
        for (text, written) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            assert_eq!(cidr(text).to_string(), written);
            assert_eq!(cidr(written), cidr(text));
            assert_eq!(serde_json::to_string(&cidr(text)).unwrap(), format!("\"{written}\""));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "/", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "a/8", "1.2.3.4/8/8"]
        {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        assert!("x".repeat(400).parse::<Cidr>().unwrap_err().to_string().len() < 150);
    }

    #[test]
    fn a_service_is_a_port_and_its_transport() {
        let service: Service = "123/udp".parse().unwrap();

        assert_eq!(service, Service { port: 123, transport: Transport::Udp });
        assert_eq!(service.to_string(), "123/udp");
        for text in ["", "123", "udp/123", "+1/tcp", "65536/tcp", "1/icmp", "1/TCP"] {
            assert!(text.parse::<Service>().is_err(), "{text}");
        }
    }
}
