//! Ethernet, with VLAN tags in any number up to [`MAX_TAGS`]. The kernel strips the outer tag of what it receives.

use pnet::packet::{
    ethernet::{EtherTypes, EthernetPacket},
    vlan::VlanPacket,
};

use super::Skipped;

/// More tags than any network stacks.
const MAX_TAGS: usize = 4;
const ETHERNET_HEADER: usize = 14;
const TAG: usize = 4;
const QINQ: u16 = 0x88a8;
const OLD_QINQ: u16 = 0x9100;

/// Returns the IP packet of an Ethernet frame.
pub(super) fn ethernet(frame: &[u8]) -> Result<&[u8], Skipped> {
    let header = EthernetPacket::new(frame).ok_or(Skipped::Malformed)?;
    let mut kind = header.get_ethertype();
    let mut rest = &frame[..0];
    let mut at = ETHERNET_HEADER;
    for _ in 0..=MAX_TAGS {
        rest = frame.get(at..).ok_or(Skipped::Malformed)?;
        if !matches!(kind.0, QINQ | OLD_QINQ) && kind != EtherTypes::Vlan {
            break;
        }
        kind = VlanPacket::new(rest).ok_or(Skipped::Malformed)?.get_ethertype();
        at += TAG;
    }
    match kind {
        EtherTypes::Ipv4 | EtherTypes::Ipv6 => Ok(rest),
        _ => Err(Skipped::NotIp),
    }
}
