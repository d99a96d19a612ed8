//! Joins a hub: makes a key that never leaves this host, and has the hub certify it with a token that works once.
//!
//! The operators' keys come from the token, that is from an operator and not from the hub: a captured hub cannot make
//! itself an operator.

use std::{
    io::{Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use data_encoding::BASE64;
use khien_core::{
    AgentId, Lang, Sha256, Untrusted,
    asset::HostFacts,
    protocol::{self, Token},
    text::{Message, agent as words},
};
use khien_scan::open::Opened;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use crate::{
    args,
    config::{Enrolment, Home},
    uplink::{Hub, Trouble},
};

/// The longest token: a CA certificate and a hundred operators are far less.
const MAX_TOKEN: usize = 64 << 10;
const MAX_OPERATORS: usize = 100;
/// What says which system this is; on most it is a link.
const SYSTEM: &str = "/etc/os-release";
/// More of it is not read.
const MAX_SYSTEM: u64 = 64 << 10;

/// Enrols and prints the agent's identity as one line of JSON. A folder that is enrolled with this hub is left alone.
pub(crate) async fn enroll(options: &args::Enroll, lang: Lang) -> anyhow::Result<ExitCode> {
    let home = Home::open(&options.home)?;
    let Some(_claim) = home.claim()? else {
        anyhow::bail!(words::LOCKED.with(lang, &[&home.path().display()]));
    };
    let token = read_token(&options.token)
        .map_err(|why| anyhow::anyhow!(words::BAD_TOKEN.with(lang, &[&why.get(lang)])))?;
    let already = match home.enrolment()? {
        Some(old) if old.ca == token.ca => true,
        Some(_) => anyhow::bail!(words::OTHER_HUB.with(lang, &[&home.path().display()])),
        None => false,
    };
    let key = own_key(&home)?;
    let agent = identity(&key);
    if !already {
        let address = options.hub.clone().unwrap_or_else(|| token.hub.clone());
        let certificate = certify(&token, &address, &key, agent, lang).await?;
        home.store_enrolment(&Enrolment {
            hub: address,
            ca: token.ca,
            certificate,
            operators: token.operators,
        })?;
    }
    writeln!(std::io::stdout(), "{}", serde_json::json!({ "agent": agent, "already": already }))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns who this agent is: its key, not what any certificate or hub says.
pub(crate) fn identity(key: &KeyPair) -> AgentId {
    AgentId(Sha256::of(&key.subject_public_key_info()).0)
}

/// Reads the agent's key, or makes one and stores it before anybody certifies it.
fn own_key(home: &Home) -> anyhow::Result<KeyPair> {
    if let Some(pem) = home.key()? {
        return KeyPair::from_pem(&pem).context("cannot read the agent's key");
    }
    let key = KeyPair::generate().context("cannot make a key")?;
    home.store_key(&key.serialize_pem())?;
    Ok(key)
}

async fn certify(
    token: &Token,
    address: &str,
    key: &KeyPair,
    agent: AgentId,
    lang: Lang,
) -> anyhow::Result<String> {
    let request = protocol::Enroll {
        secret: token.secret.clone(),
        csr: CertificateParams::default().serialize_request(key)?.pem()?,
        host: host_facts(),
    };
    let enrolled = async { Hub::connect(address, &token.ca, None).await?.enroll(&request).await };
    let enrolled = enrolled.await.map_err(|trouble| anyhow::anyhow!(explained(&trouble, address, lang)))?;
    match enrolled.agent == agent {
        true => Ok(enrolled.certificate),
        false => anyhow::bail!("hub certified agent {}, expected {agent}", enrolled.agent),
    }
}

fn explained(trouble: &Trouble, address: &str, lang: Lang) -> String {
    match trouble {
        Trouble::Refused { status: 400..=499, said } => words::TOKEN_REFUSED.with(lang, &[&said.get(lang)]),
        Trouble::Refused { said, .. } => words::HUB_FAILED.with(lang, &[&said.get(lang)]),
        other => words::UNREACHABLE.with(lang, &[&address, other]),
    }
}

fn read_token(line: &str) -> Result<Token, Message> {
    let line = line.trim();
    if line.len() > MAX_TOKEN {
        return Err(words::TOKEN_TOO_LONG);
    }
    let text = BASE64.decode(line.as_bytes()).map_err(|_| words::TOKEN_NOT_WHOLE)?;
    let token: Token = serde_json::from_slice(&text).map_err(|_| words::TOKEN_NOT_WHOLE)?;
    match token.operators.is_empty() || token.operators.len() > MAX_OPERATORS {
        true => Err(words::TOKEN_OPERATORS),
        false => Ok(token),
    }
}

/// Says what host this is.
pub(crate) fn host_facts() -> HostFacts {
    let uname = rustix::system::uname();
    let system = pretty_name(Path::new(SYSTEM)).unwrap_or_else(|| "Linux".to_owned());
    let kernel = uname.release().to_string_lossy();
    HostFacts {
        host: Untrusted::new(uname.nodename().to_bytes()),
        os: Untrusted::cut(format!("{system}, {kernel} {}", std::env::consts::ARCH).as_bytes(), 200),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn pretty_name(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    Opened::at_or_behind(path).ok()?.file.take(MAX_SYSTEM).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use khien_core::signature::OperatorKey;

    use super::*;

    fn token(operators: usize) -> String {
        let operator = OperatorKey { name: "thu".to_owned(), public: String::new() };
        let token = Token {
            hub: "hub.example:8443".to_owned(),
            ca: "PEM".to_owned(),
            operators: vec![operator; operators],
            secret: "00".repeat(32),
        };
        BASE64.encode(&serde_json::to_vec(&token).unwrap())
    }

    #[test]
    fn a_token_is_read_with_the_blanks_of_copying() {
        assert_eq!(read_token(&format!("  {}\n", token(1))).unwrap().hub, "hub.example:8443");
    }

    #[test]
    fn the_name_of_the_system_is_read_behind_a_link_and_from_no_more_than_a_bounded_regular_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().canonicalize().unwrap();
        let name = "PRETTY_NAME=\"Debian 13\"\n";
        std::fs::write(at.join("file"), name).unwrap();
        std::os::unix::fs::symlink("file", at.join("link")).unwrap();
        let long = format!("{}\n{name}", "#".repeat(usize::try_from(MAX_SYSTEM).unwrap()));
        std::fs::write(at.join("long"), long).unwrap();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, at.join("pipe"), fifo, mode, 0).unwrap();

        assert_eq!(pretty_name(&at.join("link")).as_deref(), Some("Debian 13"));
        // Who opens a pipe waits for somebody who writes to it.
        for name in ["long", "pipe", "none"] {
            assert_eq!(pretty_name(&at.join(name)), None, "{name}");
        }
    }

    #[test]
    fn a_cut_token_or_one_without_operators_is_refused() {
        let whole = token(1);

        assert!(read_token(&whole[..whole.len() - 8]).is_err());
        assert!(read_token(&token(0)).is_err());
        assert!(read_token(&"A".repeat(MAX_TOKEN + 4)).is_err());
    }
}
