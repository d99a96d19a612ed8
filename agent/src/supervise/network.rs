//! What looks at packets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use khien_scan::Pool;
use tokio::time::timeout;

use super::{Agent, Sensing};
use crate::{
    args,
    capture::{self, Links, NetConfig, Roaming},
    config::Home,
};

/// How long the hub's name may take to be found. Without its addresses the agent's own traffic is looked at like any other.
const LOOK_UP: Duration = Duration::from_secs(3);

impl Agent {
    pub(super) async fn start_network(
        &mut self,
        options: &args::Run,
        (home, hub): (Home, &str),
        pool: &Arc<Pool>,
        sensing: Sensing,
    ) {
        let hub: Vec<SocketAddr> = match timeout(LOOK_UP, tokio::net::lookup_host(hub)).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let links = Links {
            lists: self.packs.lists(),
            policy: self.packs.policy(),
            pack: self.packs.version(),
            reports: sensing.reports,
            meter: sensing.meter,
            records: self.records.clone(),
            packets: self.packets.clone(),
            stories: sensing.stories,
            home: Some(home),
            shutdown: sensing.shutdown,
        };
        let config = NetConfig {
            interfaces: options.interface.clone(),
            promiscuous: options.promiscuous.clone(),
            hub,
            trusted: options.trust.clone(),
            threads: options.capture_threads.into(),
            way: options.capture,
        };
        let pool = Arc::clone(pool);
        let task = match config.interfaces.is_empty() && config.promiscuous.is_empty() {
            true => Roaming::new(config, pool, links, capture::interfaces).start().await,
            false => capture::start(config, pool, links).await,
        };
        if let Some(task) = task {
            self.sensors.spawn(async move { ("capture", task.await.map_err(Into::into)) });
        }
    }
}
