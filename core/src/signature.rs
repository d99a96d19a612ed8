//! Ed25519 signatures over exact bytes, bound to a purpose (RFC 8032; the purpose is a prefix, so that a signature
//! made for one kind of thing never verifies for another).

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::id::Sha256;

/// More signatures than any rule asks for are refused before they are checked.
pub const MAX_SIGNATURES: usize = 8;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Orders to agents.
    Mandate,
    /// A rule pack.
    Pack,
}

impl Purpose {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Mandate => b"khien mandate v1\0",
            Self::Pack => b"khien pack v1\0",
        }
    }

    fn message(self, body: &str) -> Vec<u8> {
        [self.prefix(), body.as_bytes()].concat()
    }
}

/// An operator's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorKey {
    /// Whose it is, for people.
    pub name: String,
    /// The 32 bytes of the Ed25519 public key, base64.
    pub public: String,
}

impl OperatorKey {
    /// Returns the key's name in signatures: the SHA-256 of its 32 bytes.
    #[must_use]
    pub fn id(&self) -> Option<Sha256> {
        Some(Sha256::of(self.verifying()?.as_bytes()))
    }

    fn verifying(&self) -> Option<VerifyingKey> {
        let bytes: [u8; 32] = BASE64.decode(self.public.as_bytes()).ok()?.try_into().ok()?;
        VerifyingKey::from_bytes(&bytes).ok()
    }
}

/// A text and the signatures over its exact bytes. The text is read only after a signature holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The signed text, JSON.
    pub body: String,
    /// Who signed.
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The SHA-256 of the signer's public key.
    pub key: Sha256,
    /// The 64 bytes of the signature, base64.
    pub value: String,
}

/// Why a signed text is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nobody signed.
    #[error("not signed")]
    Unsigned,
    /// No signer is known here.
    #[error("signed by a key that is not trusted here")]
    UnknownKey,
    /// A known signer's signature does not fit the text.
    #[error("signature does not fit, the text was altered")]
    Altered,
    /// The signature holds but the text cannot be read.
    #[error("signed text cannot be read: {0}")]
    Unreadable(String),
}

impl Signed {
    /// Signs a text for a purpose.
    #[must_use]
    pub fn new(body: String, purpose: Purpose, key: &SigningKey) -> Self {
        let signature = Signature {
            key: Sha256::of(key.verifying_key().as_bytes()),
            value: BASE64.encode(&key.sign(&purpose.message(&body)).to_bytes()),
        };
        Self { body, signatures: vec![signature] }
    }

    /// Returns the text and its signers if every signature by a trusted key holds and there is at least one.
    ///
    /// # Errors
    /// [`SignatureError`] says which of the three it is; a single signature that does not fit spoils all.
    pub fn verify(
        &self,
        purpose: Purpose,
        trusted: &[OperatorKey],
    ) -> Result<(&str, Vec<Sha256>), SignatureError> {
        if self.signatures.is_empty() || self.signatures.len() > MAX_SIGNATURES {
            return Err(SignatureError::Unsigned);
        }
        let message = purpose.message(&self.body);
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let Some(key) = trusted.iter().find(|k| k.id() == Some(signature.key)) else { continue };
            if !signature.fits(key, &message) {
                return Err(SignatureError::Altered);
            }
            signers.push(signature.key);
        }
        signers.sort_unstable();
        signers.dedup();
        match signers.is_empty() {
            true => Err(SignatureError::UnknownKey),
            false => Ok((&self.body, signers)),
        }
    }
}

impl Signature {
    fn fits(&self, key: &OperatorKey, message: &[u8]) -> bool {
        let bytes = BASE64.decode(self.value.as_bytes()).ok().and_then(|b| <[u8; 64]>::try_from(b).ok());
        match (key.verifying(), bytes) {
            (Some(key), Some(bytes)) => {
                key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
            }
            _ => false,
        }
    }
}

/// Returns the public half of a key under a name.
#[must_use]
pub fn operator_key(name: &str, key: &SigningKey) -> OperatorKey {
    OperatorKey { name: name.to_owned(), public: BASE64.encode(key.verifying_key().as_bytes()) }
}
