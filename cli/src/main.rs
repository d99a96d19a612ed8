//! `khien`: what responders type and see.
//!
//! It speaks to the hub only over the API, signs with the operator's own key, and starts hub and agent beside it for
//! `khien up`.

mod args;
mod client;
mod command;
mod compile;
mod config;
mod exit;
mod keys;
mod output;
mod pcap;
mod response;
mod scan;
mod told;
mod tui;
mod up;

use std::process::ExitCode;

use args::Typed;
use exit::{Exit, Said, Stop};
use khien_core::{
    Lang,
    text::{command as t, usage},
};

fn main() -> ExitCode {
    if is_worker() {
        // Before any runtime, log or key: the worker sandboxes itself as one thread that holds nothing.
        return khien_scan::worker::main();
    }
    if compile::is_asked() {
        return compile::main();
    }
    let typed = match args::parse() {
        Ok(typed) => typed,
        Err(e) => return usage(&e),
    };
    let (lang, json) = (typed.global.lang, typed.global.json);
    let typed = match typed.command {
        // Their exit codes are their own, and alone they need neither home nor hub.
        args::Command::Scan(what) => return scanned(scan::run(lang, json, what), lang, json),
        args::Command::Pcap(args::Pcap::Scan(what)) => {
            return scanned(pcap::run(typed.global, &what), lang, json);
        }
        command => Typed { command, ..typed },
    };
    match run(typed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if exit::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => match e.downcast_ref() {
            Some(Said(exit)) => ExitCode::from(*exit as u8),
            None => stopped(&exit::explain(&e, lang), lang, json),
        },
    }
}

/// Tells whether this process was started by its own scan pool.
fn is_worker() -> bool {
    let mut typed = std::env::args_os().skip(1);
    typed.next().is_some_and(|word| word == "worker") && typed.next().is_none()
}

/// Ends a scan. Where it could not be done nothing may read as clean or as a match.
fn scanned(ended: anyhow::Result<scan::Ended>, lang: Lang, json: bool) -> ExitCode {
    match ended {
        Ok(ended) => ExitCode::from(ended as u8),
        Err(e) if exit::is_broken_pipe(&e) => ExitCode::from(Exit::Usage as u8),
        Err(e) => {
            let stop = exit::explain(&e, lang);
            let exit = if stop.exit == Exit::Unreachable { Exit::Unreachable } else { Exit::Usage };
            stopped(&Stop { exit, ..stop }, lang, json)
        }
    }
}

fn run(typed: Typed) -> anyhow::Result<()> {
    // An error only says that a provider is installed already, which is what is wanted.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(command::run(typed));
    // A reader of the terminal may still be blocked; it must not keep the program.
    runtime.shutdown_background();
    done
}

/// Prints help, version or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        output::say(usage::told(&error.to_string(), args::language()).trim_end());
        return ExitCode::from(Exit::Usage as u8);
    }
    // Nobody is left to tell if this cannot be printed.
    error.print().ok();
    ExitCode::SUCCESS
}

fn stopped(stop: &Stop, lang: Lang, json: bool) -> ExitCode {
    if json {
        output::say_json(&stop.written());
    } else {
        output::say(&t::ERROR.with(lang, &[&stop.what]));
        output::say(&t::NEXT.with(lang, &[&stop.next]));
    }
    ExitCode::from(stop.exit as u8)
}
