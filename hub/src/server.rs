//! The server: TLS 1.3 with client certificates of the hub's own CA, every wait and every count limited.

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
    auth::Peer, authority::Authority, bundles, config::Home, fleet, hub::Hub, routes, stop,
    store::sqlite::Store,
};

/// Connections at a time.
const MAX_CONNECTIONS: u32 = 4_096;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection without a client certificate may last: it is only good for joining.
const STRANGER: Duration = Duration::from_secs(15);
/// Connections at a time without a client certificate, so that strangers never take the room of agents and operators.
const MAX_STRANGERS: usize = 256;
/// How long the head of an HTTP/1 request may take.
const HEAD: Duration = Duration::from_secs(10);
/// Requests at a time on one connection.
const MAX_STREAMS: u32 = 32;
/// The largest head of a request.
const MAX_HEAD: u32 = 16 << 10;
/// How often a quiet connection is asked whether it still lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long requests at work may take when the hub stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Serves until told to stop.
pub(crate) fn run(home: &Path, listen: SocketAddr, until_stdin_closes: bool) -> anyhow::Result<()> {
    let home = Home::prepare(home)?;
    let _lock = home.lock()?;
    let (store, writer) = Store::open(&home.store()).context("open the store")?;
    let parts = Parts { authority: Authority::load(&home)?, tls: tls(&home)?, home, store };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
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
    authority: Authority,
    tls: ServerConfig,
    store: Store,
}

async fn serve(parts: Parts, listen: SocketAddr, until_stdin_closes: bool) -> anyhow::Result<()> {
    let Parts { home, authority, tls, store } = parts;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let failed = store.failed();
    let pack = store.read(|tx| Ok(bundles::stored(tx))).await?;
    let hub = Arc::new(Hub::new(home, store, authority, pack, stopping));
    let watcher = tokio::spawn(fleet::watch(Arc::clone(&hub)));
    let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&hub)));
    say_ready(address)?;

    let result = stop::asked(until_stdin_closes, failed).await;
    stop.send_replace(true);
    let _ = watcher.await;
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

/// Takes connections; the handshake is done in the connection's own task, so that a slow one holds up nobody.
async fn accept(listener: TcpListener, tls: ServerConfig, hub: Arc<Hub>) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let router = routes::all(Arc::clone(&hub));
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    let mut stopping = hub.stopping.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let tcp = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop::begun(&mut stopping) => break,
        };
        let (tcp, _) = match tcp {
            Ok(it) => it,
            Err(error) => {
                // Out of file descriptors or the like: give others time to end.
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, router, stopping) = (acceptor.clone(), router.clone(), stopping.clone());
        let strangers = Arc::clone(&strangers);
        tokio::spawn(async move {
            if let Some(stream) = handshake(&acceptor, tcp).await {
                let peer = Peer::of(stream.get_ref().1.peer_certificates());
                let guest = peer.0.is_none().then(|| strangers.try_acquire_owned());
                if !matches!(guest, Some(Err(_))) {
                    converse(stream, peer, router, stopping).await;
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    // Room for all again means that every connection has ended.
    if timeout(LAST_WORDS, room.acquire_many(MAX_CONNECTIONS)).await.is_err() {
        tracing::warn!("some requests were cut at the end");
    }
}

async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream) -> Option<TlsStream<TcpStream>> {
    let _ = tcp.set_nodelay(true);
    match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
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

async fn converse(
    stream: TlsStream<TcpStream>,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let server = builder(if peer.0.is_some() { MAX_STREAMS } else { 1 });
    let mut conversation = pin!(server.serve_connection(TokioIo::new(stream), service));
    let patience = if peer.0.is_some() { Duration::MAX } else { STRANGER };
    let ended = tokio::select! {
        ended = timeout(patience, conversation.as_mut()) => ended.unwrap_or(Ok(())),
        () = stop::begun(&mut stopping) => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(streams: u32) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}
