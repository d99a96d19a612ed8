//! The server: TLS 1.3 with client certificates of the hub's own CA, every wait and every count limited.

mod door;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, io::Write, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, body::Body, http};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt;

use crate::{
    auth::Peer,
    bundles,
    config::Home,
    evidence, fleet,
    hub::{Hub, Keys},
    limits::{Limits, MAX_HEAD, MAX_STREAMS, WINDOW},
    stop,
    store::sqlite::Store,
};
use door::Door;

/// Streams that a peer opened and reset before the hub saw them, after which its connection is closed.
const MAX_RESETS: usize = 32;
/// Errors of a peer that the hub answers with a reset, after which its connection is closed.
const MAX_ERRORS: usize = 128;
/// How often a quiet connection is asked whether it still lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long requests at work may take when the hub stops.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Threads for work that blocks, each of which may hold a connection to the store.
const BLOCKING: usize = 64;

/// Serves until told to stop.
pub(crate) fn run(home: &Path, listen: SocketAddr, until_stdin_closes: bool) -> anyhow::Result<()> {
    let home = Home::prepare(home)?;
    let _lock = home.lock()?;
    let (store, writer) = Store::open(&home.store()).context("open the store")?;
    let limits = Limits { connections: door::room()?, ..Limits::default() };
    let parts = Parts { keys: Keys::load(&home)?, tls: tls(&home)?, home, store, limits };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING).build()?;
    let result = runtime.block_on(serve(parts, listen, until_stdin_closes));
    runtime.shutdown_timeout(LAST_WORDS);
    // Every sender of writes is gone with the runtime: the writer does what waits, then ends.
    if writer.join().is_err() {
        anyhow::bail!("the store's thread panicked");
    }
    tracing::info!("stopped");
    result
}

/// What stands before anything is served.
struct Parts {
    home: Home,
    keys: Keys,
    tls: ServerConfig,
    store: Store,
    limits: Limits,
}

async fn serve(parts: Parts, listen: SocketAddr, until_stdin_closes: bool) -> anyhow::Result<()> {
    let Parts { home, keys, tls, store, limits } = parts;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let failed = store.failed();
    let pack = store.read(|tx| Ok(bundles::stored(tx))).await?;
    let hub = Arc::new(Hub::new(home, store, keys, stopping, limits));
    if let Some(pack) = pack {
        hub.set_pack(pack);
    }
    if let Err(why) = evidence::sweep(&hub, Duration::ZERO).await {
        tracing::warn!(%why, "what came in for ended orders cannot be cleared away");
    }
    let watcher = tokio::spawn(fleet::watch(Arc::clone(&hub)));
    let clearing = tokio::spawn(evidence::keep_clear(Arc::clone(&hub)));
    let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&hub)));
    say_ready(address)?;

    let result = stop::asked(until_stdin_closes, failed).await;
    stop.send_replace(true);
    let _ = watcher.await;
    let _ = clearing.await;
    let _ = accepting.await;
    result
}

fn say_ready(address: SocketAddr) -> anyhow::Result<()> {
    tracing::info!(%address, "serving");
    let line = serde_json::json!({ "ready": true, "address": address });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn tls(home: &Home) -> anyhow::Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(home.ca()).context("read the CA's certificate")?)?;
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?;
    let chain = vec![CertificateDer::from_pem_file(home.tls()).context("read the server's certificate")?];
    let key = PrivateKeyDer::from_pem_file(home.tls_key()).context("read the server's key")?;
    let builder = ServerConfig::builder_with_protocol_versions(&[&TLS13]).with_client_cert_verifier(clients);
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes connections and lets each through the door in a task of its own, so that a slow one holds up nobody.
async fn accept(listener: TcpListener, tls: ServerConfig, hub: Arc<Hub>) {
    let most = hub.limits.connections;
    let room = Arc::new(Semaphore::new(most as usize));
    let door = Arc::new(Door::new(TlsAcceptor::from(Arc::new(tls)), Arc::clone(&hub)));
    let mut stopping = hub.stopping.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let tcp = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop::begun(&mut stopping) => break,
        };
        let (tcp, from) = match tcp {
            Ok(it) => it,
            Err(error) => {
                // Out of file descriptors or the like: give others time to end.
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            door.receive(tcp, from).await;
            drop(permit);
        });
    }
    drop(listener);
    // Room for all again means that every connection has ended.
    if timeout(LAST_WORDS, room.acquire_many(most)).await.is_err() {
        tracing::warn!("some requests were cut at the end");
    }
}

/// Serves one connection until it ends, `patience` is over or the hub stops.
async fn converse(
    stream: TlsStream<TcpStream>,
    peer: Peer,
    router: Router,
    hub: &Hub,
    patience: Option<Duration>,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut stopping = hub.stopping.clone();
    let server = builder(if patience.is_none() { MAX_STREAMS } else { 1 }, hub.limits.head);
    let mut conversation = pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = timeout(patience.unwrap_or(Duration::MAX), conversation.as_mut()) => ended.unwrap_or(Ok(())),
        () = stop::begun(&mut stopping) => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(streams: u32, head: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEAD)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}
