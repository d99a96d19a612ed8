//! Writes packets as pcapng: a file says what was asked for, and how much did not fit.

use std::io::{self, Write};

use khien_core::order::PacketTarget;
use khien_traffic::{
    decode::{self, Link},
    pcap::write::{self, Writer},
};

use super::Frame;

/// The bytes before the first packet, at the most: a section, and interfaces with names of at most [`MAX_NAME`] bytes.
pub(super) const HEAD: u64 = 8 << 10;
/// More interfaces are not described; the agent watches fewer.
const MAX_INTERFACES: usize = 64;
/// An interface has a name of at most 15 bytes.
const MAX_NAME: usize = 15;

/// What a file says of itself.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// What was asked for.
    pub(super) target: &'a PacketTarget,
    /// How many older packets did not fit.
    pub(super) left_out: u64,
    /// How many frames made room while the others were copied, whatever they were.
    pub(super) overwritten: u64,
    /// The interfaces, in the order of their numbers.
    pub(super) names: &'a [String],
}

/// Writes a file.
pub(super) fn write(out: &mut impl Write, about: &About<'_>, frames: &[Frame]) -> io::Result<()> {
    let mut comment = format!("{}; {} older packets did not fit", about.target, about.left_out);
    if about.overwritten > 0 {
        comment += &format!("; {} more were overwritten before they were looked at", about.overwritten);
    }
    let program = concat!("khien-agent ", env!("CARGO_PKG_VERSION"));
    let said = write::About { program, comment: &comment, ..write::About::default() };
    let mut writer = Writer::new(out, &said)?;
    let kinds = interfaces(frames);
    for (place, link) in &kinds {
        let unnamed = format!("interface {place}");
        let name = about.names.get(*place).unwrap_or(&unnamed).as_bytes();
        writer.interface(&name[..name.len().min(MAX_NAME)], *link)?;
    }
    for (facts, bytes) in frames {
        // One of more interfaces than are described is left out.
        let Some(interface) = kinds.iter().position(|kind| *kind == (facts.interface, facts.link)) else {
            continue;
        };
        // A tag that the kernel took out was put back when the frame was kept.
        let (link, at, length) = (facts.link, facts.at, facts.length);
        writer.packet(&decode::Frame { interface, link, at, vlan: None, bytes, length })?;
    }
    Ok(())
}

/// Returns the interfaces, each with how its frames begin.
fn interfaces(frames: &[Frame]) -> Vec<(usize, Link)> {
    let mut kinds = Vec::new();
    for (facts, _) in frames {
        let kind = (facts.interface, facts.link);
        if kinds.len() < MAX_INTERFACES && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}
