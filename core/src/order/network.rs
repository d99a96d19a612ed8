//! A network of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A network, such as `203.0.113.0/24`; a single address is one with the longest prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no address or network, expected one such as 203.0.113.7 or 203.0.113.0/24")]
pub struct BadNetwork;

impl Network {
    /// Returns the first and the last address.
    #[must_use]
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        match self.address {
            IpAddr::V4(address) => {
                let hosts = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let first = address.to_bits() & !hosts;
                (Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(first | hosts).into())
            }
            IpAddr::V6(address) => {
                let hosts = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let first = address.to_bits() & !hosts;
                (Ipv6Addr::from_bits(first).into(), Ipv6Addr::from_bits(first | hosts).into())
            }
        }
    }

    /// Tells whether an address lies in it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let (first, last) = self.bounds();
        let address = address.to_canonical();
        address.is_ipv4() == first.is_ipv4() && (first..=last).contains(&address)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| BadNetwork);
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let prefix: u8 = prefix.parse().map_err(|_| BadNetwork)?;
        match prefix <= if address.is_ipv4() { 32 } else { 128 } {
            true => Ok(Self { address, prefix }),
            false => Err(BadNetwork),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_network(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().has(address.parse().unwrap())
    }

    #[test]
    fn networks_have_the_addresses_between_their_bounds() {
        assert!(in_network("0.0.0.0/0", "255.255.255.255") && in_network("::/0", "ffff::"));
        assert!(!in_network("0.0.0.0/0", "::1"));
        assert!(in_network("10.1.2.3/9", "10.0.0.1") && !in_network("10.1.2.3/9", "10.128.0.0"));
        assert!(in_network("192.0.2.1", "::ffff:192.0.2.1"));
        for wrong in ["", "1.2.3.4/33", "::/129", "1.2.3.4/x", "1.2.3", "1.2.3.4/-1"] {
            assert_eq!(wrong.parse::<Network>(), Err(BadNetwork), "{wrong}");
        }
    }
}
