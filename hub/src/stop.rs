//! When to stop: a signal, the end of stdin, or a store that failed.

use std::{io::Read, thread};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// Waits for SIGTERM, SIGINT or, if asked, the end of stdin; or until the store has failed.
pub(crate) async fn asked(until_stdin_closes: bool, mut failed: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let stdin = stdin_end(until_stdin_closes)?;
    tokio::select! {
        _ = term.recv() => tracing::info!("stopping on SIGTERM"),
        _ = int.recv() => tracing::info!("stopping on SIGINT"),
        Ok(()) = stdin => tracing::info!("stopping, stdin has ended"),
        _ = failed.wait_for(|f| *f) => anyhow::bail!("the store failed, nothing more is acknowledged"),
    }
    Ok(())
}

/// Waits until the hub stops.
pub(crate) async fn begun(stopping: &mut watch::Receiver<bool>) {
    // An error means that the one who says so is gone, which is the same.
    let _ = stopping.wait_for(|s| *s).await;
}

/// Reads stdin to its end in a thread of its own: a blocked read must not hold up the end of the runtime.
fn stdin_end(wanted: bool) -> anyhow::Result<oneshot::Receiver<()>> {
    let (end, ended) = oneshot::channel();
    if wanted {
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut sink = [0; 256];
            while matches!(std::io::stdin().lock().read(&mut sink), Ok(n) if n > 0) {}
            let _ = end.send(());
        })?;
    }
    Ok(ended)
}
