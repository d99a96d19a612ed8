//! Sealed evidence: bytes that only the hub opens, wherever they lie.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. The info text is
//! `khien evidence v1`, so that nothing sealed for another purpose opens here.
//!
//! ```text
//!  0   7  magic "KHSEAL\0"
//!  7   1  version, 1
//!  8   8  id of the key: the first eight bytes of the SHA-256 of its public half
//! 16  32  encapsulated key
//! 48      chunks: 64 KiB, sealed one after the other (the context counts them), each followed by its tag of 16 bytes;
//!         the last one has 1 B to 64 KiB, or none where nothing at all was sealed
//! ```
//! What is bound to each chunk is the word `more` or `last`: a stream that was cut between two chunks does not open to its
//! end. Nothing says who sealed it: whoever knows the hub's public half can. Who sent it is known from the connection.
//!
//! Pure: callers pass the random bytes, and read and write.

use std::{
    convert::Infallible,
    io::{self, Read, Write},
};

use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, AeadTag, ChaCha20Poly1305},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng, utils::next_word_via_fill},
};
use sha2::Digest;

use crate::{SealKey, SealKeyId, Sha256};

mod key;
#[cfg(test)]
mod tests;

pub use key::{NoKey, OpenKey, SEED};

type Kem = X25519HkdfSha256;
type Kdf = HkdfSha256;
type Aead = ChaCha20Poly1305;

const MAGIC: &[u8; 7] = b"KHSEAL\0";
const VERSION: u8 = 1;
const INFO: &[u8] = b"khien evidence v1";
/// What stands before the chunks, in bytes.
pub const HEAD: usize = 48;
/// The plaintext of a chunk, in bytes; only the last one may have less.
pub const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// Why sealed bytes cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// They do not begin as sealed evidence does.
    #[error("not sealed evidence")]
    NotSealed,
    /// They are of a version that this program does not know.
    #[error("sealed evidence of version {0}, expected {VERSION}")]
    Version(u8),
    /// They are sealed to another key.
    #[error("sealed to key {to}, but this is key {have}")]
    OtherKey {
        /// The key that opens them.
        to: SealKeyId,
        /// The key that was tried.
        have: SealKeyId,
    },
    /// A public half is no point that a key can be agreed on with.
    #[error("no usable public key")]
    BadKey,
    /// They end before their end.
    #[error("cut off")]
    Cut,
    /// They are not as they were sealed.
    #[error("chunk {0} is altered, out of place or cut off")]
    Damaged(u64),
    /// They cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is known of the plaintext once all of it was sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
}

/// Returns how many bytes plaintext has once it is sealed.
#[must_use]
pub const fn sealed_size(plain: u64) -> u64 {
    let chunks = plain.div_ceil(CHUNK as u64);
    let chunks = if chunks == 0 { 1 } else { chunks };
    plain.saturating_add(HEAD as u64).saturating_add(chunks.saturating_mul(TAG as u64))
}

/// Returns to which key bytes are sealed, by their first [`HEAD`] bytes.
///
/// # Errors
/// [`SealError::NotSealed`], [`SealError::Version`]; [`SealError::Cut`] for fewer bytes that do begin so.
pub fn sealed_to(head: &[u8]) -> Result<SealKeyId, SealError> {
    if !MAGIC.starts_with(&head[..head.len().min(MAGIC.len())]) {
        return Err(SealError::NotSealed);
    }
    match head {
        [_, _, _, _, _, _, _, version, ..] if *version != VERSION => Err(SealError::Version(*version)),
        [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h, ..] if head.len() >= HEAD => {
            Ok(SealKeyId([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        _ => Err(SealError::Cut),
    }
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    Last,
}

impl Place {
    /// What is bound to the chunk.
    fn word(self) -> &'static [u8] {
        match self {
            Self::Inside => b"more",
            Self::Last => b"last",
        }
    }
}

/// Seals what is written to it. What was written is whole only after [`Sealer::finish`]; after an error it is worth nothing.
pub struct Sealer<W> {
    out: W,
    context: AeadCtxS<Aead, Kdf, Kem>,
    /// The plaintext of the chunk that is being filled. A full one waits: it may be the last.
    held: Vec<u8>,
    hash: sha2::Sha256,
    size: u64,
}

impl<W: Write> Sealer<W> {
    /// Begins with 32 random bytes that are used for nothing else, ever.
    ///
    /// # Errors
    /// [`SealError::BadKey`], [`SealError::Io`].
    pub fn new(mut out: W, key: &SealKey, seed: &[u8; SEED]) -> Result<Self, SealError> {
        let bad = |_| SealError::BadKey;
        let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&key.0).map_err(bad)?;
        let mut dice = Once(Some(seed));
        let (encapsulated, context) =
            hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &public, INFO, &mut dice)
                .map_err(bad)?;
        out.write_all(MAGIC)?;
        out.write_all(&[VERSION])?;
        out.write_all(&key.id().0)?;
        out.write_all(&encapsulated.to_bytes())?;
        let held = Vec::with_capacity(CHUNK);
        Ok(Self { out, context, held, hash: sha2::Sha256::new(), size: 0 })
    }

    /// Seals the last chunk, and returns the output with what is known of the plaintext.
    ///
    /// # Errors
    /// As the output's.
    pub fn finish(mut self) -> io::Result<(W, Plain)> {
        self.put(Place::Last)?;
        self.out.flush()?;
        Ok((self.out, Plain { sha256: Sha256(self.hash.finalize().into()), size: self.size }))
    }

    fn put(&mut self, place: Place) -> io::Result<()> {
        let sealed = self.context.seal_inout_detached(InOutBuf::from(self.held.as_mut_slice()), place.word());
        // The context counts to 2^64, a chunk is far below what the cipher takes.
        let tag = sealed.map_err(io::Error::other)?;
        self.out.write_all(&self.held)?;
        self.out.write_all(&tag.to_bytes())?;
        self.held.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() == CHUNK && !bytes.is_empty() {
            self.put(Place::Inside)?;
        }
        let taken = &bytes[..bytes.len().min(CHUNK - self.held.len())];
        self.held.extend_from_slice(taken);
        self.hash.update(taken);
        self.size += taken.len() as u64;
        Ok(taken.len())
    }

    /// Flushes the output; a chunk that is not full stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// How far an [`Opener`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Inside,
    Ended,
    Failed,
}

/// Opens sealed bytes chunk by chunk. Each chunk is as it was sealed and where it was; that nothing is missing behind it is
/// known only after [`Opener::next_chunk`] said that there is no more.
pub struct Opener<R> {
    from: R,
    context: AeadCtxR<Aead, Kdf, Kem>,
    /// What was read of the next chunk: one byte more than it may have tells whether it is the last.
    ahead: Vec<u8>,
    chunk: u64,
    state: State,
}

impl<R: Read> Opener<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// All of [`SealError`] but [`SealError::Damaged`].
    pub fn new(mut from: R, key: &OpenKey) -> Result<Self, SealError> {
        let mut head = Vec::with_capacity(HEAD);
        (&mut from).take(HEAD as u64).read_to_end(&mut head)?;
        let (to, have) = (sealed_to(&head)?, key.public().id());
        if to != have {
            return Err(SealError::OtherKey { to, have });
        }
        let bad = |_| SealError::BadKey;
        let encapsulated = <Kem as hpke::Kem>::EncappedKey::from_bytes(&head[16..]).map_err(bad)?;
        let context =
            hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &key.secret, &encapsulated, INFO)
                .map_err(bad)?;
        Ok(Self { from, context, ahead: Vec::new(), chunk: 0, state: State::Inside })
    }

    /// Returns the plaintext of the next chunk; none after the last one.
    ///
    /// # Errors
    /// [`SealError::Cut`], [`SealError::Damaged`], [`SealError::Io`]. After one it is an error to ask again.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, SealError> {
        match self.state {
            State::Inside => {}
            State::Ended => return Ok(None),
            State::Failed => return Err(SealError::Cut),
        }
        self.state = State::Failed;
        let (sealed, place) = self.read()?;
        let plain = self.open(&sealed, place)?;
        self.state = if place == Place::Last { State::Ended } else { State::Inside };
        self.chunk += 1;
        Ok(Some(plain))
    }

    /// Reads a chunk, and the first byte of the one behind it if there is one.
    fn read(&mut self) -> io::Result<(Vec<u8>, Place)> {
        const WHOLE: usize = CHUNK + TAG;
        let missing = (WHOLE + 1).saturating_sub(self.ahead.len()) as u64;
        (&mut self.from).take(missing).read_to_end(&mut self.ahead)?;
        let place = if self.ahead.len() > WHOLE { Place::Inside } else { Place::Last };
        let rest = self.ahead.split_off(self.ahead.len().min(WHOLE));
        Ok((std::mem::replace(&mut self.ahead, rest), place))
    }

    fn open(&mut self, sealed: &[u8], place: Place) -> Result<Vec<u8>, SealError> {
        let (bytes, tag) = sealed.split_last_chunk::<TAG>().ok_or(SealError::Cut)?;
        match self.try_as(place, bytes, tag) {
            // Only nothing at all is sealed as an empty chunk.
            Some(plain) if plain.is_empty() && self.chunk > 0 => Err(SealError::Damaged(self.chunk)),
            Some(plain) => Ok(plain),
            None if place == Place::Last && self.try_as(Place::Inside, bytes, tag).is_some() => {
                Err(SealError::Cut)
            }
            None => Err(SealError::Damaged(self.chunk)),
        }
    }

    fn try_as(&mut self, place: Place, bytes: &[u8], tag: &[u8; TAG]) -> Option<Vec<u8>> {
        let mut plain = vec![0; bytes.len()];
        let both = InOutBuf::new(bytes, plain.as_mut_slice()).ok()?;
        let tag = AeadTag::<Aead>::from_bytes(tag).ok()?;
        self.context.open_inout_detached(both, place.word(), &tag).ok()?;
        Some(plain)
    }
}

/// Opens all of it into an output, and returns what is known of the plaintext.
///
/// # Errors
/// [`SealError`]; what was written by then is worth nothing.
pub fn open(from: impl Read, key: &OpenKey, out: &mut impl Write) -> Result<Plain, SealError> {
    let mut opener = Opener::new(from, key)?;
    let (mut hash, mut size) = (sha2::Sha256::new(), 0);
    while let Some(chunk) = opener.next_chunk()? {
        hash.update(&chunk);
        size += chunk.len() as u64;
        out.write_all(&chunk)?;
    }
    Ok(Plain { sha256: Sha256(hash.finalize().into()), size })
}

/// Gives random bytes out once. Encapsulation draws exactly 32 for its own key (RFC 9180, 4.1); to give the same ones twice
/// would break the seal, so that this rather panics.
struct Once<'a>(Option<&'a [u8; SEED]>);

impl TryRng for Once<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let seed = self.0.take().expect("a key is drawn once");
        out.copy_from_slice(seed);
        Ok(())
    }
}

impl TryCryptoRng for Once<'_> {}
