//! The hub's own certificate authority: it certifies keys, never names that somebody asks for.

use std::{fs, path::Path};

use anyhow::Context;
use khien_core::{
    Sha256, Timestamp,
    problem::Cause,
    protocol,
    time::{self, SignedDuration},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    PublicKeyData, date_time_ymd,
};

use crate::{
    config::{self, Home},
    fault::Fault,
    store::sqlite,
};

/// How long the CA and the server's certificate are good: there is no renewal yet.
const YEARS_CA: i64 = 10;
/// How long an agent's or an operator's certificate is good: there is no renewal yet.
const YEARS_CLIENT: i64 = 1;
/// The largest certificate signing request in bytes.
const MAX_CSR: usize = 8 << 10;

/// Makes all that a hub needs in its folder; leaves alone what stands.
pub(crate) fn init(home: &Path) -> anyhow::Result<()> {
    let home = Home::prepare(home)?;
    if !home.ca().exists() {
        make_ca(&home)?;
    }
    if !home.tls().exists() {
        make_server(&home)?;
    }
    sqlite::migrate(&home.store()).context("make the store")?;
    Ok(())
}

/// The CA with its key.
pub(crate) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Reads it from the folder.
    pub(crate) fn load(home: &Home) -> anyhow::Result<Self> {
        let key =
            fs::read_to_string(home.ca_key()).context("read the CA's key, run `khien-hub init` first")?;
        let cert =
            fs::read_to_string(home.ca()).context("read the CA's certificate, run `khien-hub init` first")?;
        Ok(Self(Issuer::from_ca_cert_pem(&cert, KeyPair::from_pem(&key)?)?))
    }

    /// Certifies a key as a client under a name that the hub chose; returns PEM.
    pub(crate) fn certify(&self, request: &Request, name: &str) -> Result<String, Fault> {
        let mut params = named(name, YEARS_CLIENT);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&request.key, &self.0);
        cert.map(|c| c.pem()).map_err(|e| Fault::Internal(format!("sign a certificate: {e}")))
    }
}

/// What is taken from a certificate signing request: its key, of which the sender proved possession.
pub(crate) struct Request {
    key: rcgen::PublicKey,
    /// SHA-256 of the SubjectPublicKeyInfo: the identity.
    pub(crate) id: Sha256,
    /// The 32 bytes of the key if it is Ed25519.
    pub(crate) ed25519: Option<[u8; 32]>,
}

impl Request {
    /// Reads one; only Ed25519 and P-256 are taken.
    pub(crate) fn read(pem: &str) -> Result<Self, Fault> {
        if pem.len() > MAX_CSR {
            return Err(Fault::Bad(Cause::CsrTooLarge { limit: MAX_CSR as u64 }));
        }
        let key = CertificateSigningRequestParams::from_pem(pem)
            .map_err(|_| Fault::Bad(Cause::CsrUnreadable))?
            .public_key;
        let algorithm = key.algorithm();
        if *algorithm != PKCS_ED25519 && *algorithm != PKCS_ECDSA_P256_SHA256 {
            return Err(Fault::Bad(Cause::CsrKeyKind));
        }
        let ed25519 = match *algorithm == PKCS_ED25519 {
            true => key.der_bytes().try_into().ok(),
            false => None,
        };
        Ok(Self { id: Sha256::of(&key.subject_public_key_info()), ed25519, key })
    }
}

fn make_ca(home: &Home) -> anyhow::Result<()> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = named("Khien Hub CA", YEARS_CA);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key)?;
    save(&home.ca_key(), &key, &home.ca(), &cert)
}

fn make_server(home: &Home) -> anyhow::Result<()> {
    let authority = Authority::load(home)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = named(protocol::HUB_NAME, YEARS_CA);
    params.subject_alt_names = CertificateParams::new(vec![protocol::HUB_NAME.to_owned()])?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cert = params.signed_by(&key, &authority.0)?;
    save(&home.tls_key(), &key, &home.tls(), &cert)
}

/// Writes the key first: a certificate without a key must never stand, `init` would take it for done.
fn save(key_path: &Path, key: &KeyPair, cert_path: &Path, cert: &Certificate) -> anyhow::Result<()> {
    config::write_private(key_path, key.serialize_pem().as_bytes())?;
    config::write_private(cert_path, cert.pem().as_bytes())
}

/// Begins a certificate: valid from yesterday, as clocks differ.
fn named(name: &str, years: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    let (year, month, day) = date(-1);
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(years * 365);
    params.not_after = date_time_ymd(year, month, day);
    params
}

/// Returns year, month and day that many days from now.
fn date(days_from_now: i64) -> (i32, u8, u8) {
    let at = time::in_vietnam(time::after(Timestamp::now(), SignedDuration::from_hours(24 * days_from_now)));
    (i32::from(at.year()), at.month().unsigned_abs(), at.day().unsigned_abs())
}
