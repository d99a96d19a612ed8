//! Evidence that a person brings: sealed here to the hub's key, sent in pieces, then named.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use khien_core::{
    IncidentId, Nonce, SealKey, Sha256, Timestamp, Untrusted,
    api::{BringEvidence, EvidenceKey, Have, MAX_EVIDENCE_NAME},
    evidence::{Evidence, MAX_EVIDENCE},
    protocol::EVIDENCE_CHUNK,
    seal::{Plain, Sealer},
    text::{Words, pcap, trouble},
};
use reqwest::Method;

use super::{Client, ClientError, MAX_REPLY, TRANSFER, decoded, encoded};
use crate::{keys, told::Told};

/// A file once it is sealed. The whole is in memory: so it is one state of the file, and nothing of it is written anywhere.
struct Sealed {
    bytes: Vec<u8>,
    plain: Plain,
    at: Timestamp,
}

impl Client {
    /// Brings a file as evidence of an incident, at most [`MAX_EVIDENCE`] bytes, and returns what the hub keeps of it. With a
    /// digest only if the file still has it.
    ///
    /// # Errors
    /// What is no regular file, too large or has another digest is refused before anything is sent; else as the hub answers.
    pub(crate) async fn add_evidence(
        &self,
        incident: IncidentId,
        path: &Path,
        only: Option<Sha256>,
    ) -> Result<Evidence> {
        let EvidenceKey { key } = self.get("/v1/evidence-key").await?;
        let file = path.to_owned();
        let sealed = tokio::task::spawn_blocking(move || sealed_only(&file, &key, only)).await??;
        let upload = keys::nonce()?;
        self.upload(upload, &sealed.bytes).await?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = Untrusted::cut(name.as_encoded_bytes(), MAX_EVIDENCE_NAME);
        let brought = BringEvidence { upload, name, sha256: sealed.plain.sha256, at: sealed.at };
        let path = format!("/v1/incidents/{incident}/evidence");
        // The hub opens all of it before it answers.
        let reply = self.send(Method::POST, &path, Some(encoded(&brought)?), TRANSFER).await?;
        Ok(decoded(reply, MAX_REPLY).await?)
    }

    async fn upload(&self, upload: Nonce, bytes: &[u8]) -> Result<(), ClientError> {
        let mut sent = 0;
        for piece in bytes.chunks(EVIDENCE_CHUNK) {
            let path = format!("/v1/uploads/{upload}?offset={sent}");
            let reply = self.send(Method::PUT, &path, Some(piece.to_vec()), TRANSFER).await?;
            let Have { have } = decoded(reply, MAX_REPLY).await?;
            sent += piece.len() as u64;
            if have != sent {
                return Err(ClientError::Reply(Words::same(format!("{have} != {sent}"))));
            }
        }
        Ok(())
    }
}

fn sealed_only(path: &Path, key: &SealKey, only: Option<Sha256>) -> Result<Sealed> {
    let sealed = sealed(path, key)?;
    match only.is_some_and(|sha256| sealed.plain.sha256 != sha256) {
        true => Err(Told::path(pcap::CHANGED_MEANWHILE, path).into()),
        false => Ok(sealed),
    }
}

fn sealed(path: &Path, key: &SealKey) -> Result<Sealed> {
    let cannot = || Told::path(trouble::CANNOT_READ, path);
    let too_large = |size: u64| Told::new(trouble::FILE_TOO_LARGE, &[&path.display(), &size, &MAX_EVIDENCE]);
    // To open a pipe or a device could hold the command up.
    let found = std::fs::metadata(path).with_context(cannot)?;
    if !found.is_file() {
        return Err(Told::path(trouble::NO_FILE, path).into());
    }
    if found.len() > MAX_EVIDENCE {
        return Err(too_large(found.len()).into());
    }
    let (file, at) = (File::open(path).with_context(cannot)?, Timestamp::now());
    let mut sealer = Sealer::new(Vec::new(), key, &keys::fresh_seed()?)?;
    // One byte more than there may be shows that it grew.
    let size = io::copy(&mut file.take(MAX_EVIDENCE + 1), &mut sealer).with_context(cannot)?;
    if size > MAX_EVIDENCE {
        return Err(too_large(size).into());
    }
    sealer.flush()?;
    let (bytes, plain) = sealer.finish()?;
    Ok(Sealed { bytes, plain, at })
}

#[cfg(test)]
mod tests {
    use khien_core::seal::{self, OpenKey, SEED};

    use super::*;

    #[test]
    fn a_file_that_changed_after_it_was_looked_at_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let key = OpenKey::from_seed(&[1; SEED]).public();
        let file = dir.path().join("a.pcap");
        std::fs::write(&file, b"as it was").unwrap();
        let seen = Sha256::of(b"as it was");

        assert!(sealed_only(&file, &key, Some(seen)).is_ok());
        std::fs::write(&file, b"as it is now").unwrap();
        let Err(refused) = sealed_only(&file, &key, Some(seen)) else { panic!("it is taken") };

        assert!(refused.to_string().contains("changed"), "{refused}");
        assert!(sealed_only(&file, &key, None).is_ok());
    }

    #[test]
    fn a_file_is_sealed_whole_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let key = OpenKey::from_seed(&[1; SEED]);
        let file = dir.path().join("disk.img");
        std::fs::write(&file, b"what was found").unwrap();
        let sparse = dir.path().join("large");
        File::create(&sparse).unwrap().set_len(MAX_EVIDENCE + 1).unwrap();

        let done = sealed(&file, &key.public()).unwrap();

        let mut plain = Vec::new();
        assert_eq!(seal::open(&done.bytes[..], &key, &mut plain).unwrap(), done.plain);
        assert_eq!(
            (plain.as_slice(), done.plain.sha256),
            (&b"what was found"[..], Sha256::of(b"what was found"))
        );
        for wrong in [dir.path(), &sparse, &dir.path().join("missing"), Path::new("/dev/zero")] {
            assert!(sealed(wrong, &key.public()).is_err(), "{}", wrong.display());
        }
    }
}
