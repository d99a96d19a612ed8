//! The two halves of the key to which evidence is sealed.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use hpke::{Deserializable, Kem as _, Serializable};

use super::Kem;
use crate::{SealKey, SealKeyId, Sha256};

/// What stands before the 64 hex digits in the file of a key, so that no other file is taken for one.
const PREFIX: &str = "khien-evidence-key-1:";

/// Random bytes from which a key is made: as many as the key has.
pub const SEED: usize = 32;

impl SealKey {
    /// Returns the key's name.
    #[must_use]
    pub fn id(&self) -> SealKeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&Sha256::of(&self.0).0[..8]);
        SealKeyId(id)
    }
}

/// The secret half. It is wiped when it is dropped, and nothing shows it but [`OpenKey::to_text`].
pub struct OpenKey {
    pub(super) secret: <Kem as hpke::Kem>::PrivateKey,
    public: SealKey,
}

/// The text is not that of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no evidence key, expected `{PREFIX}` and 64 hex digits")]
pub struct NoKey;

impl OpenKey {
    /// Makes one from random bytes (RFC 9180, 7.1.3).
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED]) -> Self {
        Self::of(Kem::derive_keypair(seed).0)
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> SealKey {
        self.public
    }

    /// Writes it as it stands in its file. Whoever reads this opens all evidence.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}\n", HEXLOWER.encode(&self.secret.to_bytes()))
    }

    fn of(secret: <Kem as hpke::Kem>::PrivateKey) -> Self {
        let mut public = [0; 32];
        Kem::sk_to_pk(&secret).write_exact(&mut public);
        Self { secret, public: SealKey(public) }
    }
}

impl FromStr for OpenKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let digits = text.trim_end().strip_prefix(PREFIX).ok_or(NoKey)?;
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| NoKey)?;
        let secret = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).map_err(|_| NoKey)?;
        Ok(Self::of(secret))
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenKey({})", self.public.id())
    }
}
