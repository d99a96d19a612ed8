//! `khien hunt` and `khien packets`.

use std::net::IpAddr;

use clap::{ArgGroup, Args, Subcommand};
use khien_core::{
    IncidentId, Sha256, Timestamp,
    order::{MOST_FOUND, MOST_SECONDS, Network},
    time::{self, SignedDuration},
    traffic::Ja4,
};

/// `khien hunt`.
#[derive(Debug, Subcommand)]
pub(crate) enum Hunt {
    Net(HuntNet),
}

/// `khien hunt net`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sought").required(true).args(["domain", "ip", "url", "ja4", "certificate", "sha256"]))]
pub(crate) struct HuntNet {
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip: Option<Network>,
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[arg(long, value_name = "JA4", value_parser = ja4)]
    pub(crate) ja4: Option<Ja4>,
    #[arg(long, value_name = "SHA256")]
    pub(crate) certificate: Option<Sha256>,
    #[arg(long, value_name = "SHA256")]
    pub(crate) sha256: Option<Sha256>,
    #[arg(long, value_name = "AGO|MOMENT", default_value = "30d")]
    pub(crate) since: Since,
    #[arg(long, value_name = "HOST", num_args = 1..)]
    pub(crate) agents: Vec<String>,
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_FOUND)))]
    pub(crate) most: u32,
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) patience: u32,
}

/// `khien packets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Packets {
    Save(PacketsSave),
}

/// `khien packets save`.
#[derive(Debug, Args)]
pub(crate) struct PacketsSave {
    #[arg(long, value_name = "HOST")]
    pub(crate) agent: String,
    #[arg(long)]
    pub(crate) incident: IncidentId,
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SECONDS)))]
    pub(crate) seconds: u32,
    #[arg(long, value_name = "IP")]
    pub(crate) host: Option<IpAddr>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) mib: u64,
}

/// How far back: so long ago, or since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(SignedDuration),
    Moment(Timestamp),
}

impl Since {
    /// Returns the moment.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(long) => time::after(now, -long),
            Self::Moment(at) => at.min(now),
        }
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::Moment(at));
        }
        let seconds = [("d", 86_400), ("h", 3_600), ("m", 60)].into_iter().find_map(|(unit, seconds)| {
            let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
            (count > 0).then(|| i64::from(count) * seconds)
        });
        let ago = seconds.filter(|s| *s <= MOST_AGO).map(|s| Self::Ago(SignedDuration::from_secs(s)));
        ago.ok_or_else(|| "expected a time such as 30d, 12h or 90m, or a moment".to_owned())
    }
}

/// Ten years: nothing is kept longer.
const MOST_AGO: i64 = 3_660 * 86_400;

fn ja4(text: &str) -> Result<Ja4, String> {
    Ja4::new(text.as_bytes()).ok_or_else(|| "expected a JA4 fingerprint of 36 characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_back_is_typed_as_a_time_or_as_a_moment() {
        let now: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
        let before = |text: &str| text.parse::<Since>().map(|since| since.before(now).to_string());

        assert_eq!(before("30d").as_deref(), Ok("2026-10-24T07:00:00Z"));
        assert_eq!(before("90m").as_deref(), Ok("2026-11-23T05:30:00Z"));
        assert_eq!(before("2026-11-01T00:00:00Z").as_deref(), Ok("2026-11-01T00:00:00Z"));
        assert_eq!(before("2027-01-01T00:00:00Z").as_deref(), Ok("2026-11-23T07:00:00Z"), "not yet");
        for wrong in ["", "d", "0d", "-1d", "30", "30y", "99999999d"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
