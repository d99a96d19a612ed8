//! Link headers, with VLAN tags in any number up to [`MAX_INSIDE`]. The kernel strips the outer tag of what it receives.

use super::{Link, MAX_TAGS, Skipped, Tags};

/// More tags than any network stacks.
const MAX_INSIDE: usize = MAX_TAGS - 1;
const ETHERNET_HEADER: usize = 14;
const SLL_HEADER: usize = 16;
const SLL2_HEADER: usize = 20;
const NULL_HEADER: usize = 4;
const TAG: usize = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const OLD_QINQ: u16 = 0x9100;
const VLAN_ID: u16 = 0x0fff;
/// AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD and macOS.
const FAMILIES: [u32; 5] = [2, 10, 24, 28, 30];

/// Returns the IP packet of a frame and adds the tags that stood before it.
pub(crate) fn strip<'a>(link: Link, frame: &'a [u8], tags: &mut Tags) -> Result<&'a [u8], Skipped> {
    match link {
        Link::Ip => Ok(frame),
        Link::Ethernet => past_tags(number(frame, 12)?, frame, ETHERNET_HEADER, tags),
        Link::Sll => past_tags(number(frame, 14)?, frame, SLL_HEADER, tags),
        Link::Sll2 => past_tags(number(frame, 0)?, frame, SLL2_HEADER, tags),
        Link::Null => {
            let (family, rest) = frame.split_first_chunk::<NULL_HEADER>().ok_or(Skipped::Malformed)?;
            let (big, little) = (u32::from_be_bytes(*family), u32::from_le_bytes(*family));
            let is_ip = FAMILIES.contains(&big) || FAMILIES.contains(&little);
            is_ip.then_some(rest).ok_or(Skipped::NotIp)
        }
    }
}

fn past_tags<'a>(
    mut kind: u16,
    frame: &'a [u8],
    mut at: usize,
    tags: &mut Tags,
) -> Result<&'a [u8], Skipped> {
    for _ in 0..MAX_INSIDE {
        if !matches!(kind, VLAN | QINQ | OLD_QINQ) {
            break;
        }
        tag(tags, number(frame, at)?);
        kind = number(frame, at + 2)?;
        at += TAG;
    }
    match kind {
        IPV4 | IPV6 => frame.get(at..).ok_or(Skipped::Malformed),
        _ => Err(Skipped::NotIp),
    }
}

/// Adds a tag, but for one that says a priority alone: hosts take such frames as if they had none, IEEE 802.1Q §6.9.
pub(crate) fn tag(tags: &mut Tags, control: u16) {
    if control & VLAN_ID != 0 {
        tags.push(control & VLAN_ID);
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u16, Skipped> {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Skipped::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_link_leads_to_the_same_packet() {
        let ip = [0x45, 1, 2, 3];
        let sll = [&[0; 14][..], &[8, 0], &ip].concat();
        let sll2 = [&[8, 0][..], &[0; 18], &ip].concat();
        let ethernet = [&[2; 12][..], &[0x81, 0, 0x30, 20, 8, 0], &ip].concat();
        let frames = [
            (Link::Ip, ip.to_vec()),
            (Link::Sll, sll),
            (Link::Sll2, sll2),
            (Link::Null, [&[2, 0, 0, 0][..], &ip].concat()),
            (Link::Null, [&[0, 0, 0, 2][..], &ip].concat()),
            (Link::Ethernet, ethernet),
        ];

        for (link, frame) in frames {
            let mut tags = Tags::default();
            assert_eq!(strip(link, &frame, &mut tags), Ok(&ip[..]), "{link:?}");
            assert_eq!(tags.ids(), if link == Link::Ethernet { &[20][..] } else { &[] });
        }
    }

    #[test]
    fn a_tag_that_says_a_priority_alone_is_none() {
        let frame = [&[2; 12][..], &[0x81, 0, 0xe0, 0, 0x81, 0, 0x20, 7, 8, 0], &[0x45]].concat();
        let mut tags = Tags::default();

        assert_eq!(strip(Link::Ethernet, &frame, &mut tags), Ok(&[0x45][..]));
        assert_eq!(tags.ids(), [7]);
    }

    #[test]
    fn what_is_not_ip_and_what_is_cut_is_told_apart() {
        let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
        let many = [&[2; 12][..], &[0x81, 0, 0, 1].repeat(MAX_TAGS), &[8, 0]].concat();

        assert_eq!(strip(Link::Ethernet, &arp, &mut Tags::default()), Err(Skipped::NotIp));
        assert_eq!(strip(Link::Ethernet, &many, &mut Tags::default()), Err(Skipped::NotIp));
        assert_eq!(strip(Link::Ethernet, &[2; 13], &mut Tags::default()), Err(Skipped::Malformed));
        assert_eq!(strip(Link::Null, &[7, 0, 0, 0], &mut Tags::default()), Err(Skipped::NotIp));
        assert_eq!(strip(Link::Null, &[2], &mut Tags::default()), Err(Skipped::Malformed));
    }
}
