//! The operator's key: one Ed25519 key that shows the hub who asks and signs what agents obey.
//!
//! The hub never has it. It lies in `operator/key.pem` as PKCS#8 v1, readable by its owner only.

use std::{fmt, fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use khien_core::{
    Nonce, RunId,
    seal::SEED,
    signature::{OperatorKey, operator_key},
    text::trouble,
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};

use crate::{
    config::{Config, Home, write_new},
    told::Told,
};

/// What stands before the 32 bytes of the seed in a PKCS#8 v1 Ed25519 key (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The largest key or certificate file that is read.
const MAX_PEM: u64 = 64 << 10;

/// The operator's name, key and certificate. Cheap to clone; the key is never printed.
#[derive(Clone)]
pub(crate) struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    signing: SigningKey,
    identity: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.inner.name)
    }
}

impl Keys {
    /// Reads key and certificate as the connection file names them.
    pub(crate) fn load(config: &Config) -> Result<Self> {
        let key = read_pem(&config.key)?;
        let cert = read_pem(&config.cert)?;
        let signing = SigningKey::from_bytes(
            &seed(&key).with_context(|| Told::path(trouble::CANNOT_USE, &config.key))?,
        );
        let inner = Inner { name: config.operator.clone(), signing, identity: format!("{key}\n{cert}") };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the operator's name at the hub.
    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns the key that signs mandates and packs.
    pub(crate) fn signing(&self) -> &SigningKey {
        &self.inner.signing
    }

    /// Returns the public half as agents are told to trust it.
    pub(crate) fn public(&self) -> OperatorKey {
        operator_key(self.name(), self.signing())
    }

    /// Returns key and certificate, PEM, for the TLS client.
    pub(crate) fn identity_pem(&self) -> &str {
        &self.inner.identity
    }

    #[cfg(test)]
    pub(crate) fn for_tests(seed: [u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(&seed);
        Self { inner: Arc::new(Inner { name: "thu".to_owned(), signing, identity: String::new() }) }
    }
}

/// Makes `operator/key.pem` if there is none yet.
pub(crate) fn create_key(home: &Home) -> Result<()> {
    let path = home.join("operator/key.pem");
    let text = pem("PRIVATE KEY", &pkcs8(&random()?));
    match write_new(&path, text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(e).with_context(|| Told::path(trouble::CANNOT_WRITE, &path))
        }
        _ => Ok(()),
    }
}

/// Writes the request for an operator certificate, PEM.
pub(crate) fn request(home: &Home, name: &str) -> Result<String> {
    let key = read_pem(&home.join("operator/key.pem"))?;
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(&key, &PKCS_ED25519)
        .context(Told::new(trouble::BAD_KEY, &[]))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let request = params.serialize_request(&key).context(Told::new(trouble::NO_REQUEST, &[]))?;
    request.pem().context(Told::new(trouble::NO_REQUEST, &[]))
}

/// Returns a fresh nonce for a mandate.
pub(crate) fn nonce() -> Result<Nonce> {
    random().map(Nonce)
}

/// Returns a fresh run id.
pub(crate) fn run_id() -> Result<RunId> {
    random().map(RunId)
}

/// Returns random bytes to seal with; they are used once.
pub(crate) fn fresh_seed() -> Result<[u8; SEED]> {
    random()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Told::new(trouble::NO_RANDOM, &[]))?;
    Ok(bytes)
}

fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    [&PKCS8_PREFIX[..], &seed[..]].concat()
}

/// Reads the seed out of a PKCS#8 v1 Ed25519 key.
fn seed(text: &str) -> Result<[u8; 32]> {
    let body: String = text.lines().filter(|l| !l.starts_with("-----")).map(str::trim).collect();
    let der = BASE64.decode(body.as_bytes()).ok();
    let seed = der.as_deref().and_then(|d| d.strip_prefix(&PKCS8_PREFIX)).and_then(|s| s.try_into().ok());
    seed.context(Told::new(trouble::BAD_KEY, &[]))
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn read_pem(path: &Path) -> Result<String> {
    let size = fs::metadata(path).with_context(|| Told::path(trouble::CANNOT_READ, path))?.len();
    if size > MAX_PEM {
        return Err(Told::new(trouble::FILE_TOO_LARGE, &[&path.display(), &size, &MAX_PEM]).into());
    }
    fs::read_to_string(path).with_context(|| Told::path(trouble::CANNOT_READ, path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::PublicKeyData;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().to_owned())).unwrap();
        home.create().unwrap();
        (dir, home)
    }

    #[test]
    fn the_tls_key_and_the_mandate_key_are_one() {
        let (_dir, home) = home();
        create_key(&home).unwrap();

        let text = read_pem(&home.join("operator/key.pem")).unwrap();
        let signing = SigningKey::from_bytes(&seed(&text).unwrap());
        let tls = KeyPair::from_pkcs8_pem_and_sign_algo(&text, &PKCS_ED25519).unwrap();

        assert_eq!(tls.der_bytes(), signing.verifying_key().as_bytes());
        assert!(request(&home, "thu").unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let (_dir, home) = home();
        create_key(&home).unwrap();
        let first = read_pem(&home.join("operator/key.pem")).unwrap();

        create_key(&home).unwrap();

        assert_eq!(read_pem(&home.join("operator/key.pem")).unwrap(), first);
        let mode = fs::metadata(home.join("operator/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "ä"] {
            assert!(seed(text).is_err(), "{text}");
        }
    }
}
