//! Who belongs to the team: admitted on the hub's own machine, never over the network.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, bail};
use data_encoding::BASE64;
use khien_core::signature::OperatorKey;
use rusqlite::TransactionBehavior;

use crate::{
    authority::{Authority, Request},
    config::Home,
    store::{
        Operator, Read,
        sqlite::{self, View},
    },
};

/// The longest operator's name in bytes.
const MAX_NAME: usize = 64;

/// Admits an operator and prints the client certificate. Again with the same key, it prints a new certificate.
pub(crate) fn add(home: &Path, name: &str, csr: &Path) -> anyhow::Result<()> {
    let home = Home::prepare(home)?;
    let authority = Authority::load(&home)?;
    let csr = fs::read_to_string(csr).with_context(|| format!("read {}", csr.display()))?;
    let request = Request::read(&csr)?;
    let Some(public) = request.ed25519 else {
        bail!("an operator's key must be Ed25519, it also signs mandates")
    };
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(khien_core::untrusted::hides) {
        bail!("an operator's name has 1 to {MAX_NAME} bytes and no control characters");
    }
    let key = OperatorKey { name: name.to_owned(), public: BASE64.encode(&public) };
    admit(&home, &Operator { id: request.id, key, revoked: false })?;
    let certificate = authority.certify(&request, name)?;
    std::io::stdout().write_all(certificate.as_bytes())?;
    Ok(())
}

fn admit(home: &Home, operator: &Operator) -> anyhow::Result<()> {
    let mut conn = sqlite::migrate(&home.store())?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = View::of(&tx).operators()?;
    if let Some(old) = known.iter().find(|o| o.id == operator.id || o.name() == operator.name()) {
        if old.id != operator.id || old.name() != operator.name() || old.revoked {
            bail!("operator `{}` is known with another key, another name, or is shut out", old.name());
        }
        return Ok(());
    }
    let sql = "INSERT INTO operators (id, name, public) VALUES (?1, ?2, ?3)";
    tx.execute(sql, rusqlite::params![operator.id.0, operator.key.name, operator.key.public])?;
    tx.commit()?;
    Ok(())
}
