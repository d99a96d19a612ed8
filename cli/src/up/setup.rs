//! What `khien up` sets up: CA, operator, first pack, the local agent's enrolment.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use khien_core::{
    Timestamp,
    api::NewToken,
    asset::{NO_AGENCY, Presence},
    text::{command as t, trouble},
};
use tokio::{process::Command, task::JoinHandle, time::timeout};

use super::{AGENT_AGAIN, AGENT_START, HUB_AGAIN, HUB_START, beside, child::Program, did_not_start};
use crate::{
    args,
    client::Client,
    command::{Context, agent, rules},
    config::{Config, Home, write_private},
    keys::{self, Keys},
    told::Told,
};

/// Any free port of this machine only.
pub(super) const ANY_PORT: &str = "127.0.0.1:0";
/// How long a step of the set-up may take.
const STEP: Duration = Duration::from_secs(15);
/// How long the old port is waited for: a hub that was left behind ends within this time.
const OLD_PORT: Duration = Duration::from_secs(2);
/// How long the agent's first health report is waited for.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// What an agent's folder holds once the agent is enrolled.
const ENROLMENT: &str = "agent/enrolment.json";

/// A hub that serves, and how to speak to it.
pub(super) struct Ready {
    /// The connection.
    pub(super) client: Client,
    /// The operator's keys.
    pub(super) keys: Keys,
    /// The connection's settings.
    pub(super) config: Config,
    /// The newest revision before the agent started.
    pub(super) revision: u64,
}

/// Makes the hub's CA and store, the operator's key and certificate; returns the operator's name.
pub(super) async fn prepare_hub(context: &Context) -> Result<String> {
    let home = &context.home;
    tool(context, "khien-hub", &["init".into(), "--home".into(), home.join("hub").into()], &[]).await?;
    keys::create_key(home)?;
    let name = match Config::load(home) {
        Ok(config) => config.operator,
        Err(e) if e.is::<crate::config::NotSetUp>() => operator_name(),
        Err(e) => return Err(e),
    };
    let cert = home.join("operator/cert.pem");
    if !cert.is_file() {
        admit(context, &name, &cert).await?;
    }
    Ok(name)
}

/// Has the hub sign the operator's certificate.
async fn admit(context: &Context, name: &str, cert: &Path) -> Result<()> {
    let request = context.home.join("operator/request.pem");
    write_private(&request, keys::request(&context.home, name)?.as_bytes())?;
    let args: [OsString; 8] = [
        "operator".into(),
        "add".into(),
        "--home".into(),
        context.home.join("hub").into(),
        "--name".into(),
        name.into(),
        "--csr".into(),
        request.into(),
    ];
    let pem = tool(context, "khien-hub", &args, &[]).await?;
    write_private(cert, &pem)
}

/// Waits until the hub has heard from the agent that its rules are loaded, so that the first look at it is true. An
/// agent that takes longer is shown as it is.
pub(super) async fn heard(client: &Client) {
    let begun = Instant::now();
    while begun.elapsed() < FIRST_WORD {
        let agents = client.agents().await.map(|a| a.agents).unwrap_or_default();
        if agents.iter().any(|a| a.presence == Presence::Online && a.health.pack > 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns where the hub shall listen: at its old port if that is free, so that agents and other terminals find it.
pub(super) async fn address(home: &Home) -> String {
    let Ok(config) = Config::load(home) else { return ANY_PORT.to_owned() };
    // For this machine only: whoever serves other machines runs `khien-hub` by itself.
    let old = config.hub.parse::<SocketAddr>().ok().filter(|a| a.ip().is_loopback());
    let Some(old) = old else { return ANY_PORT.to_owned() };
    let begun = Instant::now();
    while TcpListener::bind(old).is_err() {
        if begun.elapsed() > OLD_PORT {
            return ANY_PORT.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    config.hub
}

/// Returns how to start the hub.
pub(super) fn hub(context: &Context, address: &str) -> Result<Program> {
    let home = context.home.join("hub");
    Ok(Program {
        name: "khien-hub",
        exe: beside("khien-hub")?,
        args: vec![
            "run".into(),
            "--home".into(),
            home.into(),
            "--listen".into(),
            address.into(),
            "--until-stdin-closes".into(),
        ],
        log: context.home.join("log/hub.log"),
        within: HUB_START,
        again: HUB_AGAIN,
    })
}

/// Returns how to start the agent.
pub(super) fn agent(context: &Context, address: &str, what: &args::Up) -> Result<Program> {
    let home = context.home.join("agent");
    let mut args: Vec<OsString> = vec!["run".into(), "--home".into(), home.into()];
    args.extend(["--hub".into(), address.into(), "--until-stdin-closes".into()]);
    // What hub and agent keep, excerpts of web shells among it, is never itself a finding.
    args.extend(["--exclude".into(), context.home.path().into()]);
    for dir in &what.watch {
        args.extend(["--watch".into(), std::path::absolute(dir)?.into()]);
    }
    let named =
        [("--interface", &what.interface), ("--promiscuous", &what.promiscuous), ("--trust", &what.trust)];
    for (option, values) in named {
        args.extend(values.iter().flat_map(|value| [option.into(), value.into()]));
    }
    args.extend(what.packets_mib.iter().flat_map(|mib| ["--packets-mib".into(), mib.to_string().into()]));
    Ok(Program {
        name: "khien-agent",
        exe: beside("khien-agent")?,
        args,
        log: context.home.join("log/agent.log"),
        within: AGENT_START,
        again: AGENT_AGAIN,
    })
}

/// Writes the connection file and connects.
pub(super) async fn connect(context: &Context, address: &str, name: String) -> Result<Ready> {
    Config::local(address.to_owned(), name).save(&context.home)?;
    let config = Config::load(&context.home)?;
    let keys = Keys::load(&config)?;
    let client = Client::new(&config, &keys)?;
    let revision = client.alerts(None, Some(1)).await?.revision;
    Ok(Ready { client, keys, config, revision })
}

/// The pack that came with this program, while it is compiled beside other work.
pub(super) struct BasePack {
    version: u64,
    building: Option<JoinHandle<rules::Ready>>,
}

impl BasePack {
    /// Begins. On a first start it is certain that the pack is needed, and compiling begins at once.
    pub(super) fn begin(context: &Context) -> Self {
        let is_first = !context.home.join("hub/hub.sqlite").is_file();
        let pack = khien_rules::base_pack(Timestamp::now());
        let version = pack.version;
        Self { version, building: is_first.then(|| tokio::spawn(rules::build(pack))) }
    }

    /// Signs it and hands it over if the hub's is older.
    pub(super) async fn push(self, context: &Context, ready: &Ready) -> Result<()> {
        if ready.client.pack_state().await?.version >= self.version {
            return Ok(());
        }
        let build = || tokio::spawn(rules::build(khien_rules::base_pack(Timestamp::now())));
        let built = self.building.unwrap_or_else(build).await?;
        rules::hand_over(context, &ready.client, &ready.keys, built).await.map(|_| ())
    }
}

/// Invites the local agent and lets it join, once.
pub(super) async fn enrol(context: &Context, ready: &Ready, agency: Option<&str>) -> Result<()> {
    if context.home.join(ENROLMENT).is_file() {
        return Ok(());
    }
    let agency = agency.unwrap_or(NO_AGENCY).to_owned();
    let what = NewToken { agency, hours: 1 };
    let hub = ready.config.hub.clone();
    let token = agent::token(&ready.client, &ready.keys, &ready.config, what, hub).await?;
    let args: [OsString; 3] = ["enroll".into(), "--home".into(), context.home.join("agent").into()];
    // In the environment, since a command line can be read by everybody on the machine.
    tool(context, "khien-agent", &args, &[("KHIEN_TOKEN", &token)]).await.map(|_| ())
}

/// Runs one of our programs to its end and returns what it printed.
async fn tool(context: &Context, name: &str, args: &[OsString], env: &[(&str, &str)]) -> Result<Vec<u8>> {
    let exe = beside(name)?;
    let mut command = Command::new(&exe);
    command.args(args).envs(env.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| Told::path(trouble::CANNOT_START, &exe))?;
    let log = context.home.join("log");
    let fail = |what, detail: &str| did_not_start(context.lang, what, name, detail, &log);
    match timeout(STEP, child.wait_with_output()).await {
        Ok(output) => {
            let output = output?;
            match output.status.success() {
                true => Ok(output.stdout),
                false => Err(fail(t::CHILD_ENDED, String::from_utf8_lossy(&output.stderr).trim())),
            }
        }
        Err(_) => Err(fail(t::CHILD_LATE, &format!("{} s", STEP.as_secs()))),
    }
}

fn operator_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let fits = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = user.chars().filter(fits).take(64).collect();
    if name.is_empty() { "operator".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(hub: &str) -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path().join("khien"))).unwrap();
        home.create().unwrap();
        Config::local(hub.to_owned(), "thu".to_owned()).save(&home).unwrap();
        (dir, home)
    }

    #[tokio::test]
    async fn whatever_the_connection_file_says_the_hub_is_for_this_machine_only() {
        let edited = [
            "0.0.0.0:8443",
            "[::]:8443",
            "192.0.2.1:8443",
            "[::ffff:192.0.2.1]:8443",
            "hub.example:8443",
            "",
        ];
        for hub in edited {
            let (_dir, home) = home(hub);

            assert_eq!(address(&home).await, ANY_PORT, "{hub}");
        }
        assert!(ANY_PORT.parse::<SocketAddr>().unwrap().ip().is_loopback());
    }

    #[tokio::test]
    async fn the_old_port_of_this_machine_is_kept_while_it_is_free() {
        let old = TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap().to_string();
        let (_dir, home) = home(&old);

        assert_eq!(address(&home).await, old);
    }
}
