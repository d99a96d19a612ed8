//! Which packets of the last seconds may be saved as evidence.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{IncidentId, Untrusted, evidence::MAX_EVIDENCE};

/// The most seconds back: no ring in memory holds more of a busy line.
pub const MOST_SECONDS: u32 = 3_600;
/// The most bytes of one file of packets: as much as any evidence may have.
pub const MOST_PACKET_BYTES: u64 = MAX_EVIDENCE;

/// Which packets to save, and for which incident. What alerts hold of their flows is saved with them, however old.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "PacketTargetText")]
pub struct PacketTarget {
    incident: IncidentId,
    seconds: u32,
    most_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

/// A [`PacketTarget`] as it is written.
#[derive(Deserialize)]
struct PacketTargetText {
    incident: IncidentId,
    seconds: u32,
    most_bytes: u64,
    #[serde(default)]
    host: Option<IpAddr>,
    #[serde(default)]
    port: Option<u16>,
}

/// Why packets cannot be saved so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPacketTarget {
    /// No seconds or too many.
    #[error("the seconds of packets to save must be 1 to {MOST_SECONDS}")]
    Seconds,
    /// No bytes or too many.
    #[error("the most bytes of packets to save must be 1 to {MOST_PACKET_BYTES}")]
    Bytes,
}

impl PacketTarget {
    /// Takes the incident, how many seconds back, and the most bytes of the file.
    ///
    /// # Errors
    /// [`BadPacketTarget`].
    pub fn new(incident: IncidentId, seconds: u32, most_bytes: u64) -> Result<Self, BadPacketTarget> {
        if !(1..=MOST_SECONDS).contains(&seconds) {
            return Err(BadPacketTarget::Seconds);
        }
        match (1..=MOST_PACKET_BYTES).contains(&most_bytes) {
            true => Ok(Self { incident, seconds, most_bytes, host: None, port: None }),
            false => Err(BadPacketTarget::Bytes),
        }
    }

    /// Narrows it to packets from or to an address and from or to a port.
    #[must_use]
    pub fn only(self, host: Option<IpAddr>, port: Option<u16>) -> Self {
        Self { host: host.map(|host| host.to_canonical()), port, ..self }
    }

    /// Returns the incident to which the evidence belongs.
    #[must_use]
    pub fn incident(&self) -> IncidentId {
        self.incident
    }

    /// Returns how many seconds back.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Returns the most bytes of the file.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Returns the address, if it is narrowed to one.
    #[must_use]
    pub fn host(&self) -> Option<IpAddr> {
        self.host
    }

    /// Returns the port, if it is narrowed to one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Names the file in custody records: `packets-60s-host-203.0.113.7-port-443.pcapng`.
    #[must_use]
    pub fn name(&self) -> Untrusted {
        Untrusted::from(self.to_string().as_str())
    }
}

impl fmt::Display for PacketTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packets-{}s", self.seconds)?;
        if let Some(host) = self.host {
            write!(f, "-host-{host}")?;
        }
        if let Some(port) = self.port {
            write!(f, "-port-{port}")?;
        }
        f.write_str(".pcapng")
    }
}

impl TryFrom<PacketTargetText> for PacketTarget {
    type Error = BadPacketTarget;

    fn try_from(text: PacketTargetText) -> Result<Self, BadPacketTarget> {
        Ok(Self::new(text.incident, text.seconds, text.most_bytes)?.only(text.host, text.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCIDENT: IncidentId = IncidentId { year: 2026, number: 3 };

    #[test]
    fn what_is_to_be_saved_reads_back_and_names_its_file() {
        let whole = PacketTarget::new(INCIDENT, 60, 1_000).unwrap();
        let some = whole.clone().only(Some("::ffff:203.0.113.7".parse().unwrap()), Some(443));

        let wire = serde_json::to_string(&some).unwrap();

        assert_eq!(
            wire,
            r#"{"incident":"SC-2026-0003","seconds":60,"most_bytes":1000,"host":"203.0.113.7","port":443}"#
        );
        assert_eq!(serde_json::from_str::<PacketTarget>(&wire).unwrap(), some);
        assert_eq!(some.to_string(), "packets-60s-host-203.0.113.7-port-443.pcapng");
        assert_eq!(whole.to_string(), "packets-60s.pcapng");
    }

    #[test]
    fn more_than_a_ring_or_the_hub_can_take_is_refused() {
        assert_eq!(PacketTarget::new(INCIDENT, 0, 1), Err(BadPacketTarget::Seconds));
        assert_eq!(PacketTarget::new(INCIDENT, MOST_SECONDS + 1, 1), Err(BadPacketTarget::Seconds));
        assert_eq!(PacketTarget::new(INCIDENT, 1, MOST_PACKET_BYTES + 1), Err(BadPacketTarget::Bytes));
        let wire = r#"{"incident":"SC-2026-0003","seconds":0,"most_bytes":1}"#;
        assert!(serde_json::from_str::<PacketTarget>(wire).is_err());
    }
}
