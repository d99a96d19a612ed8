//! What carries what is found to the hub and brings orders back: spool, uplink, the desk of orders.

use std::sync::Arc;

use anyhow::Context;
use khien_core::{Timestamp, protocol::Report, reason::Reason};
use rcgen::KeyPair;
use tokio::sync::{mpsc, watch};

use super::{Agent, Joined};
use crate::{
    args,
    config::Home,
    enroll,
    health::Meter,
    orders::{self, Desk, Scans},
    respond::Responder,
    spool::{Spool, fresh_nonce},
    uplink::{self, Peer, Uplink},
};

impl Agent {
    pub(super) fn start_carriers(
        &mut self,
        home: &Home,
        joined: &Joined,
        scans: Scans,
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
        let desk = desk.scanning(scans).keeping(self.records.clone(), self.packets.clone());
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
}

/// Opens the spool; returns with it when the agent was seen alive last.
pub(super) async fn open_spool(
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
