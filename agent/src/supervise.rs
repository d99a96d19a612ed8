//! Starts every part of the agent, watches over them, and stops them in order.
//!
//! A part that panics or ends by itself ends the agent, without the word that it stops: half an agent must not look
//! like a whole one. The hub then says that it is silent, and the service starts it again.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use khien_core::{Lang, Timestamp, asset::Sight, protocol::Report, reason::Reason, text::agent as words};
use khien_scan::Pool;
use rcgen::KeyPair;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    activity::{Activities, Heard, Observed},
    args,
    behaviour::{
        self,
        canary::{self, Canaries},
    },
    capture::{self, Links, NetConfig},
    config::{self, Enrolment, Home},
    detect, enroll,
    health::Meter,
    integrity,
    orders::{self, Desk},
    pack::Packs,
    respond::Responder,
    scan::{self, clean::Clean, files::Incoming, gate},
    spool::{Spool, fresh_nonce},
    uplink::{self, Line, Peer, Uplink},
    watch as files,
};

/// How long the start waits for a first pack before it says that it is ready.
const FIRST_PACK: Duration = Duration::from_secs(3);
/// How long the sensors may take to stop.
const SENSORS_STOP: Duration = Duration::from_secs(2);
/// How long the last words may take to the hub.
const FLUSH: Duration = Duration::from_secs(2);
/// From one walk over all watched files to the next.
const WALK_EVERY: Duration = Duration::from_secs(3_600);
/// How many file events may wait for the scanner.
const FILE_EVENTS: usize = 8_192;

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
            spool,
            meter,
            packs,
            line: watch::channel(None).1,
            sensors: JoinSet::new(),
            stop_sensors,
            carriers: JoinSet::new(),
            stop_carriers,
        };
        agent.start_carriers(&home, &joined, carriers_shutdown)?;
        agent.packs.load_last().await;
        let (reports, drain) = mpsc::channel(detect::QUEUE);
        let spool = agent.spool.clone();
        agent.sensors.spawn(async move { ("detect", detect::run(drain, spool).await.map_err(Into::into)) });
        let home_path = home.path().to_owned();
        let sensing = Sensing { home: home_path, reports, meter: Arc::clone(&agent.meter), shutdown };
        let config = watched(options, &home, since)?;
        let canaries = canary::prepare(&home, &config.dirs, options.canaries)?;
        // Who judges what happens listens before the watch starts.
        let mut activities = Activities::default();
        agent.start_behaviour(activities.listen(), config.dirs.clone(), canaries, &sensing);
        if !options.no_integrity {
            let heard = (activities.listen(), activities.observed());
            agent.start_integrity(options, (heard, since), &sensing);
        }
        agent.start_files((config, activities), &pool, &sensing)?;
        if !options.no_network {
            agent.start_network(options, &joined.address, &pool, sensing).await;
        }
        Ok(agent)
    }

    fn start_carriers(
        &mut self,
        home: &Home,
        joined: &Joined,
        shutdown: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let Joined { enrolment, key, address } = joined;
        let me = enroll::identity(&KeyPair::from_pem(key).context("cannot read the agent's key")?);
        tracing::info!(agent = %me, hub = address, "the agent starts");
        let responder = Responder {
            quarantine: home.folder("quarantine")?,
            evidence: home.folder("evidence")?,
            home: home.path().to_owned(),
        };
        let (line_out, line) = watch::channel(None);
        self.line = line.clone();
        let (asked, inbox) = mpsc::channel(orders::QUEUE);
        let uplink = Uplink {
            peer: Peer {
                address: address.clone(),
                ca: enrolment.ca.clone(),
                identity: format!("{}\n{key}", enrolment.certificate),
            },
            boot: fresh_nonce()?,
            host: enroll::host_facts(),
            spool: self.spool.clone(),
            meter: Arc::clone(&self.meter),
            packs: Arc::clone(&self.packs),
            orders: asked,
            line: line_out,
        };
        let desk = Desk::new(me, enrolment.operators.clone(), self.spool.clone(), responder, line);
        let (spool, told) = (self.spool.clone(), shutdown.clone());
        self.carriers.spawn(async move {
            uplink::note_life(spool, told).await;
            ("life", Ok(()))
        });
        self.carriers.spawn(async move {
            uplink.run(shutdown).await;
            ("uplink", Ok(()))
        });
        self.carriers.spawn(async move { ("orders", desk.run(inbox).await.map_err(Into::into)) });
        Ok(())
    }

    fn start_files(
        &mut self,
        (config, activities): (files::WatchConfig, Activities),
        pool: &Arc<Pool>,
        sensing: &Sensing,
    ) -> anyhow::Result<()> {
        let (events, changed) = mpsc::channel(FILE_EVENTS);
        // A walk hands over one file and waits for it.
        let (calm, waiting) = mpsc::channel(1);
        let Sensing { home, reports, meter, shutdown } = sensing;
        let clean = Arc::<Clean>::default();
        let incoming = Incoming { events: changed, calm: waiting };
        let (gate, gated) = watch::channel(true);
        let keeper = gate::Keeper::new(Arc::clone(pool), Arc::clone(meter), home);
        let told = shutdown.clone();
        self.sensors.spawn(async move {
            keeper.run(gate, told).await;
            ("gate", Ok(()))
        });
        let scanning = (reports.clone(), (Arc::clone(meter), Arc::clone(&clean)), (shutdown.clone(), gated));
        let pool = Arc::clone(pool);
        // First who takes the events, then who makes them: on a busy tree they come while the watch is still set up.
        self.sensors.spawn(async move {
            let (reports, memory, shutdown) = scanning;
            scan::files::run(incoming, pool, reports, memory, shutdown).await;
            ("scan", Ok(()))
        });
        let links = files::Links {
            events,
            calm,
            activities,
            reports: reports.clone(),
            meter: Arc::clone(meter),
            clean,
            pack: self.packs.version(),
            shutdown: shutdown.clone(),
        };
        let thread = files::start(config, links)?;
        self.sensors.spawn(async move {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            ("watch", ended.map_err(Into::into).and_then(|joined| joined.map_err(|_| anyhow!("it panicked"))))
        });
        Ok(())
    }

    fn start_integrity(
        &mut self,
        options: &args::Run,
        ((heard, observed), since): ((Heard, Arc<Observed>), Option<Timestamp>),
        sensing: &Sensing,
    ) {
        let links = integrity::Links {
            file: sensing.home.join("integrity.db"),
            every: Duration::from_secs(options.integrity_every),
            ran_before: since.is_some(),
            policy: self.packs.policy(),
            heard,
            observed,
            spool: self.spool.clone(),
            meter: Arc::clone(&sensing.meter),
            pack: self.packs.version(),
            shutdown: sensing.shutdown.clone(),
        };
        self.sensors.spawn(async move { ("integrity", integrity::run(links).await) });
    }

    fn start_behaviour(&mut self, heard: Heard, dirs: Vec<PathBuf>, canaries: Canaries, sensing: &Sensing) {
        let links = behaviour::Links {
            reports: sensing.reports.clone(),
            meter: Arc::clone(&sensing.meter),
            pack: self.packs.version(),
            shutdown: sensing.shutdown.clone(),
        };
        self.sensors.spawn(async move {
            behaviour::run(heard, dirs, canaries, links).await;
            ("behaviour", Ok(()))
        });
    }

    async fn start_network(&mut self, options: &args::Run, hub: &str, pool: &Arc<Pool>, sensing: Sensing) {
        let interfaces = match options.interface.is_empty() {
            true => capture::default_interfaces(),
            false => options.interface.clone(),
        };
        let hub: Vec<SocketAddr> = match tokio::net::lookup_host(hub).await {
            Ok(found) => found.collect(),
            Err(_) => Vec::new(),
        };
        let links = Links {
            domains: self.packs.domains(),
            pack: self.packs.version(),
            reports: sensing.reports,
            meter: sensing.meter,
            shutdown: sensing.shutdown,
        };
        let task = capture::start(NetConfig { interfaces, hub }, Arc::clone(pool), links).await;
        self.sensors.spawn(async move { ("capture", task.await.map_err(Into::into)) });
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
        self.spool.end_life(Timestamp::now()).await?;
        if self.line.borrow().is_some() && tokio::time::timeout(FLUSH, self.spool.drained()).await.is_err() {
            tracing::warn!("the hub did not take the last records in time, they stay in the spool");
        }
        self.stop_carriers.send_replace(true);
        Ok(ExitCode::SUCCESS)
    }
}

fn watched(options: &args::Run, home: &Home, since: Option<Timestamp>) -> anyhow::Result<files::WatchConfig> {
    let dirs = match options.watch.is_empty() {
        true => config::settled(&config::default_folders())?,
        false => config::settled(&options.watch)?,
    };
    let mut exclude = config::settled(&options.exclude)?;
    exclude.push(home.path().to_owned());
    Ok(files::WatchConfig { dirs, exclude, since, backend: files::Backend::default(), every: WALK_EVERY })
}

async fn open_spool(
    options: &args::Run,
    home: &Home,
    meter: &Arc<Meter>,
) -> anyhow::Result<(Spool, Option<Timestamp>)> {
    let opened = Spool::open(&home.join("spool.db"), options.spool_mib << 20, Arc::clone(meter))?;
    let now = Timestamp::now();
    let since = opened.spool.begin_life(now).await?;
    if opened.set_aside {
        let report = Report::Blind {
            scope: "spool".into(),
            cause: Reason::SpoolSetAside,
            from: now,
            until: now,
            lost: None,
        };
        opened.spool.append(vec![report], now).await?;
    }
    Ok((opened.spool, since))
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

/// Returns where the word to stop comes in: SIGTERM, SIGINT, or the end of standard input if that counts.
fn told_to_stop(stdin_too: bool) -> anyhow::Result<mpsc::Receiver<&'static str>> {
    let (out, told) = mpsc::channel(4);
    for (kind, why) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let (mut signals, out) = (signal(kind)?, out.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A full queue holds the word already.
                let _ = out.try_send(why);
            }
        });
    }
    if stdin_too {
        // A thread of its own: a read of standard input cannot be called off.
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            wait_for_end(&mut std::io::stdin().lock());
            let _ = out.try_send("end of standard input");
        })?;
    }
    Ok(told)
}

fn wait_for_end(input: &mut dyn Read) {
    let mut ignored = [0; 256];
    while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
}
