//! The door: who may come in, and how many at a time. Whoever knocks has little room and little time until the hub
//! knows the key; then an agent has an agent's room, an operator an operator's, and everybody else a stranger's.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use khien_core::Sha256;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::converse;
use crate::{
    auth::{self, Peer, Role},
    hub::Hub,
    limits::Limits,
    routes,
    tally::{Taken, Tally},
};

/// File descriptors that are not for connections: the store's connections, evidence, the log.
const OTHER_FILES: u64 = 512;

/// Raises the number of files that may be open as far as it goes, and returns how many connections that leaves.
pub(super) fn room() -> anyhow::Result<u32> {
    let wanted = Limits::default().connections;
    let enough = u64::from(wanted) + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(enough).min(enough);
    let mut files = current.unwrap_or(enough);
    if files < most {
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum })
            .context("raise the number of open files")?;
        files = most;
    }
    let left = connections(files, wanted);
    if left < wanted {
        tracing::warn!(files, connections = left, "few files may be open, so fewer connections are taken");
    }
    Ok(left)
}

/// Returns how many connections so many open files leave; at least a quarter of the files is for them.
fn connections(files: u64, wanted: u32) -> u32 {
    let left = files.saturating_sub(OTHER_FILES).max(files / 4).max(1);
    u32::try_from(left).unwrap_or(wanted).min(wanted)
}

/// What all who come in pass.
pub(super) struct Door {
    acceptor: TlsAcceptor,
    router: Router,
    hub: Arc<Hub>,
    handshakes: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    left: Notify,
    knocking: Tally<IpAddr>,
    guests: Tally<IpAddr>,
    keys: Tally<Sha256>,
}

impl Door {
    /// Opens it.
    pub(super) fn new(acceptor: TlsAcceptor, hub: Arc<Hub>) -> Self {
        Self {
            acceptor,
            router: routes::all(Arc::clone(&hub)),
            handshakes: Arc::new(Semaphore::new(hub.limits.handshakes)),
            strangers: Arc::new(Semaphore::new(hub.limits.strangers)),
            left: Notify::new(),
            knocking: Tally::default(),
            guests: Tally::default(),
            keys: Tally::default(),
            hub,
        }
    }

    /// Takes one connection to its end. One that finds no room is closed without a word: the
    /// peer comes again. A stranger waits for a place first.
    pub(super) async fn receive(&self, tcp: TcpStream, from: SocketAddr) {
        let limits = &self.hub.limits;
        let until = Instant::now() + limits.handshake;
        let address = network(from.ip());
        let Some(knock) = self.knocking.take(address, limits.handshakes_per_address) else {
            return tracing::debug!(%from, "too many handshakes from one address");
        };
        let Ok(handshaking) = self.handshakes.try_acquire() else {
            return tracing::debug!(%from, "too many handshakes");
        };
        let Some(stream) = self.handshake(tcp, until).await else { return };
        let peer = Peer::of(stream.get_ref().1.peer_certificates());
        let Ok(role) = auth::role(&self.hub, peer).await else { return };
        let knock = (handshaking, knock);
        let most = match role {
            Role::Agent(_) => limits.per_agent,
            Role::Operator(_) => limits.per_operator,
            Role::Nobody => return self.stranger((stream, peer), address, knock, until).await,
        };
        drop(knock);
        let Some(_place) = peer.0.and_then(|key| self.keys.take(key, most)) else {
            return tracing::debug!(%from, "too many connections with one key");
        };
        self.serve(stream, peer, None).await;
    }

    /// Serves a stranger as soon as there is room: a whole agency may join at once. Whoever waits does so in the room
    /// and the time of a handshake, so waiting takes no more from others than a handshake that does not go on.
    async fn stranger(
        &self,
        (stream, peer): (TlsStream<TcpStream>, Peer),
        address: IpAddr,
        knock: impl Sized,
        until: Instant,
    ) {
        if let Ok(places) = timeout_at(until, self.places(address)).await {
            drop(knock);
            self.serve(stream, peer, Some(self.hub.limits.stranger)).await;
            drop(places);
        } else {
            tracing::debug!(%address, "no room for a stranger came free");
        }
        self.left.notify_waiters();
    }

    /// Waits for a stranger's place among those of its address, then among all.
    async fn places(&self, address: IpAddr) -> Option<(Taken<IpAddr>, SemaphorePermit<'_>)> {
        let most = self.hub.limits.strangers_per_address;
        loop {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if let Some(guest) = self.guests.take(address, most) {
                return Some((guest, self.strangers.acquire().await.ok()?));
            }
            left.await;
        }
    }

    async fn serve(&self, stream: TlsStream<TcpStream>, peer: Peer, patience: Option<Duration>) {
        converse(stream, peer, self.router.clone(), &self.hub, patience).await;
    }

    async fn handshake(&self, tcp: TcpStream, until: Instant) -> Option<TlsStream<TcpStream>> {
        let _ = tcp.set_nodelay(true);
        match timeout_at(until, self.acceptor.accept(tcp)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("handshake took too long");
                None
            }
        }
    }
}

/// Returns what counts as one address: a site has a whole /64 of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_site_count_as_one() {
        let of = |text: &str| network(text.parse().unwrap());

        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn the_store_always_has_files_left() {
        assert_eq!(connections(1_000_000, 4_096), 4_096);
        assert_eq!(connections(1_024, 4_096), 512);
        assert_eq!(connections(256, 4_096), 64);
    }
}
