//! Where packets of an interface come from: the kernel's ring, or a plain socket where there is none.

use std::{io, str::FromStr, time::Duration};

use khien_core::reason::Reason;
use khien_traffic::decode::Link;

use super::{
    plain::Plain,
    ring::{Frame, Refused, Ring, Wanted},
    socket::Counted,
};

/// How packets are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Way {
    /// From the kernel's ring, or from a plain socket where there is none.
    #[default]
    Auto,
    /// From the ring alone.
    Ring,
    /// From a plain socket.
    Plain,
}

/// What is no way to read packets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to read packets, expected auto, ring or plain")]
pub(crate) struct NoWay(String);

/// An open interface.
#[derive(Debug)]
pub(super) enum Source {
    /// Through shared memory.
    Ring(Ring),
    /// One by one.
    Plain(Plain),
}

impl FromStr for Way {
    type Err = NoWay;

    fn from_str(text: &str) -> Result<Self, NoWay> {
        match text {
            "auto" => Ok(Self::Auto),
            "ring" => Ok(Self::Ring),
            "plain" => Ok(Self::Plain),
            _ => Err(NoWay(text.to_owned())),
        }
    }
}

impl Source {
    /// Opens an interface that is up, and says why less is seen of it than could be.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW, else whatever the kernel says of the interface; without a ring, too, if that alone
    /// is wanted.
    pub(super) fn open(wanted: &Wanted<'_>) -> io::Result<(Self, Option<Reason>)> {
        let because = match wanted.way {
            Way::Plain => Reason::PacketRingOff,
            way => match Ring::open(wanted) {
                Ok(ring) => return Ok((Self::Ring(ring), None)),
                Err(Refused::Ring(error)) if way == Way::Auto => {
                    Reason::NoPacketRing { error: (&error).into() }
                }
                Err(refused) => return Err(refused.into()),
            },
        };
        let plain = Plain::open(wanted)?;
        let less = match plain.tells_losses() {
            true => because,
            false => Reason::LossesUnknown { because: Box::new(because) },
        };
        Ok((Self::Plain(plain), Some(less)))
    }

    /// Tells how its frames begin.
    pub(super) fn link(&self) -> Link {
        match self {
            Self::Ring(ring) => ring.link(),
            Self::Plain(plain) => plain.link(),
        }
    }

    /// Tells whether outgoing frames come in again.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_loopback(),
            Self::Plain(plain) => plain.is_loopback(),
        }
    }

    /// Waits until there is something to read or its time is over.
    ///
    /// # Errors
    /// `NetworkDown` when the interface went down or away.
    pub(super) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Ring(ring) => ring.wait(limit),
            Self::Plain(plain) => plain.wait(limit),
        }
    }

    /// Tells whether there is something to read.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_ready(),
            Self::Plain(plain) => plain.is_ready(),
        }
    }

    /// Hands over the frames of a block, or as many as one would hold; `false` if there are none.
    pub(super) fn read(&mut self, handle: impl FnMut(Frame<'_>)) -> bool {
        match self {
            Self::Ring(ring) => ring.read(handle),
            Self::Plain(plain) => plain.read(handle),
        }
    }

    /// Returns what the kernel counted since the last call.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        match self {
            Self::Ring(ring) => ring.counted(),
            Self::Plain(plain) => plain.counted(),
        }
    }
}

#[cfg(test)]
mod tests;
