//! Who tells the agent to stop.

use std::io::Read;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Returns where the word to stop comes in: SIGTERM, SIGINT, or the end of standard input if that counts.
pub(super) fn told_to_stop(stdin_too: bool) -> anyhow::Result<mpsc::Receiver<&'static str>> {
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
