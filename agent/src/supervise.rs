//! Starts every part of the agent, watches over them, and stops them in order.
//!
//! A part that panics or ends by itself ends the agent, without the word that it stops: half an agent must not look
//! like a whole one. The hub then says that it is silent, and the service starts it again.

use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use khien_core::{Lang, Timestamp, asset::Sight, protocol::Report, text::agent as words};
use khien_scan::Pool;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    activity::Activities,
    args,
    behaviour::canary,
    config::{Enrolment, Home},
    detect,
    health::Meter,
    orders::Scans,
    pack::Packs,
    packets::Packets,
    records::{self, Records},
    scan::clean::Clean,
    spool::Spool,
    story::Stories,
    uplink::Line,
};
use carriers::open_spool;
use sensors::watched;
use told::told_to_stop;

mod carriers;
mod network;
mod sensors;
mod told;

/// How long the start waits for a first pack before it says that it is ready.
const FIRST_PACK: Duration = Duration::from_secs(3);
/// How long the sensors may take to stop.
const SENSORS_STOP: Duration = Duration::from_secs(2);
/// How long the last words may take to the hub.
const FLUSH: Duration = Duration::from_secs(2);

type Parts = JoinSet<(&'static str, anyhow::Result<()>)>;

/// Runs the agent until it is told to stop.
pub(crate) async fn run(options: &args::Run, lang: Lang) -> anyhow::Result<ExitCode> {
    let home = Home::open(&options.home)?;
    let Some(_claim) = home.claim()? else {
        bail!(words::LOCKED.with(lang, &[&home.path().display()]));
    };
    let (Some(enrolment), Some(key)) = (home.enrolment()?, home.key()?) else {
        bail!(words::NOT_ENROLLED.with(lang, &[&home.path().display(), &home.path().display()]));
    };
    let address = options.hub.clone().unwrap_or_else(|| enrolment.hub.clone());
    let agent = Agent::start(options, home, Joined { enrolment, key, address }).await?;
    let told = told_to_stop(options.until_stdin_closes)?;
    agent.ready(lang).await;
    agent.until(told).await
}

/// The running agent.
struct Agent {
    spool: Spool,
    meter: Arc<Meter>,
    packs: Arc<Packs>,
    line: Line,
    /// What is kept of the network.
    records: Option<Records>,
    /// The packets of the last moments.
    packets: Option<Packets>,
    /// What finds things, and the drain behind it; they stop first.
    sensors: Parts,
    stop_sensors: watch::Sender<bool>,
    /// What carries it to the hub; it stops last.
    carriers: Parts,
    stop_carriers: watch::Sender<bool>,
}

/// As whom the agent joined, and where.
struct Joined {
    enrolment: Enrolment,
    /// The agent's private key, PEM.
    key: String,
    /// `host:port` of the hub.
    address: String,
}

/// What every sensor gets.
struct Sensing {
    /// The agent's folder.
    home: PathBuf,
    reports: mpsc::Sender<Report>,
    /// What processes did lately.
    stories: Stories,
    meter: Arc<Meter>,
    shutdown: watch::Receiver<bool>,
}

impl Agent {
    async fn start(options: &args::Run, home: Home, joined: Joined) -> anyhow::Result<Self> {
        let meter = Arc::new(Meter::default());
        let (spool, since) = open_spool(options, &home, &meter).await?;
        let pool = Arc::new(Pool::start(Arc::clone(&meter) as _));
        let operators = joined.enrolment.operators.clone();
        let packs = Arc::new(Packs::new(
            home.clone(),
            operators,
            Arc::clone(&pool),
            spool.clone(),
            Arc::clone(&meter),
        ));
        let (stop_sensors, shutdown) = watch::channel(false);
        let (stop_carriers, carriers_shutdown) = watch::channel(false);
        let mut agent = Self {
            records: records::kept(options, &home, packs.policy(), &meter),
            spool,
            meter,
            packs,
            line: watch::channel(None).1,
            packets: Packets::kept(options),
            sensors: JoinSet::new(),
            stop_sensors,
            carriers: JoinSet::new(),
            stop_carriers,
        };
        let (scans, ordered) = Scans::channel();
        agent.start_carriers(&home, &joined, scans, carriers_shutdown)?;
        agent.packs.load_last().await;
        let (reports, drain) = mpsc::channel(detect::QUEUE);
        let (spool, clean) = (agent.spool.clone(), Arc::<Clean>::default());
        let (doubted, stories) = (Arc::clone(&clean), Stories::default());
        let told = stories.clone();
        agent.sensors.spawn(async move {
            ("detect", detect::run(drain, spool, doubted, told).await.map_err(Into::into))
        });
        let home_path = home.path().to_owned();
        let sensing =
            Sensing { home: home_path, reports, stories, meter: Arc::clone(&agent.meter), shutdown };
        let config = watched(options, &home, since)?;
        let canaries = canary::prepare(&home, &config.dirs, options.canaries)?;
        // Who judges what happens listens before the watch starts.
        let mut activities = Activities::default();
        agent.start_behaviour(activities.listen(), config.dirs.clone(), canaries, &sensing);
        if !options.no_integrity {
            let heard = (activities.listen(), activities.observed());
            agent.start_integrity(options, (heard, since), &sensing);
        }
        let ordered = (ordered, !options.no_memory);
        let gate = agent.start_files((config, activities), ordered, (&pool, clean), &sensing)?;
        if !options.no_memory {
            agent.start_memory(&pool, gate, &sensing);
        }
        if !options.no_network {
            agent.start_network(options, (home, &joined.address), &pool, sensing).await;
        }
        Ok(agent)
    }

    /// Says once that the agent is ready, and what it does not see.
    async fn ready(&self, lang: Lang) {
        // Without a pack in time it is ready all the same: it watches, and scans when a pack comes.
        let _ = tokio::time::timeout(FIRST_PACK, self.packs.ready()).await;
        for coverage in self.meter.health(0).coverage.iter().filter(|c| c.sight != Sight::Full) {
            crate::tell(&format!("khien-agent: {}", words::reduced(coverage, lang)));
        }
        // Whoever started it may have closed its end; the agent runs all the same.
        let _ = writeln!(std::io::stdout(), "{}", serde_json::json!({ "ready": true }));
    }

    /// Works until told to stop, or until a part fails.
    async fn until(mut self, mut told: mpsc::Receiver<&'static str>) -> anyhow::Result<ExitCode> {
        let failed = tokio::select! {
            why = told.recv() => {
                tracing::info!(why = why.unwrap_or("told"), "the agent stops");
                None
            }
            ended = self.sensors.join_next() => Some(described(ended)),
            ended = self.carriers.join_next() => Some(described(ended)),
        };
        match failed {
            Some(error) => Err(error),
            None => self.stop().await,
        }
    }

    async fn stop(mut self) -> anyhow::Result<ExitCode> {
        self.stop_sensors.send_replace(true);
        let all_stopped = async { while self.sensors.join_next().await.is_some() {} };
        if tokio::time::timeout(SENSORS_STOP, all_stopped).await.is_err() {
            tracing::warn!("a sensor did not stop in time");
        }
        if let Some(records) = &self.records
            && tokio::time::timeout(FLUSH, records.flush()).await.is_err()
        {
            tracing::warn!("the last records of the network were not written in time");
        }
        self.spool.end_life(Timestamp::now()).await?;
        if self.line.borrow().is_some() && tokio::time::timeout(FLUSH, self.spool.drained()).await.is_err() {
            tracing::warn!("the hub did not take the last records in time, they stay in the spool");
        }
        self.stop_carriers.send_replace(true);
        Ok(ExitCode::SUCCESS)
    }
}

fn described(
    ended: Option<Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>>,
) -> anyhow::Error {
    match ended {
        Some(Ok((part, Ok(())))) => anyhow!("{part} ended by itself"),
        Some(Ok((part, Err(error)))) => error.context(format!("{part} failed")),
        Some(Err(error)) => anyhow!("a part of the agent panicked: {error}"),
        None => anyhow!("no part of the agent runs"),
    }
}
