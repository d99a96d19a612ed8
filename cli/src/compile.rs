//! Compiles a pack in a process of its own, so that the memory that compiling takes goes with it.
//!
//! ```text
//! khien ── pack, JSON ──► khien compile ── what was built, one line of JSON, then its bytes ──► khien
//! ```
//! The process is this program again with the one argument [`ARGUMENT`]. It opens nothing and speaks to nobody else.

use std::{
    io::{Read, Write},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use khien_core::bundle::{Form, MAX_FORM, MAX_PACK, Pack};
use khien_rules::compiled::{self, Built};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

/// What makes this program the one that compiles.
pub(crate) const ARGUMENT: &str = "compile";
/// The longest line about what was built.
const MAX_LINE: usize = 16 << 10;

/// What was built, or why nothing was.
#[derive(Serialize, Deserialize)]
enum Said {
    Built(Form),
    Failed(String),
}

/// Tells whether this process was started to compile.
pub(crate) fn is_asked() -> bool {
    let mut args = std::env::args_os().skip(1);
    args.next().is_some_and(|a| a == ARGUMENT) && args.next().is_none()
}

/// Compiles the pack on standard input to standard output.
pub(crate) fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        // The parent says that there is no answer.
        Err(_) => ExitCode::FAILURE,
    }
}

fn compile() -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(MAX_PACK as u64 + 1).read_to_end(&mut text)?;
    let pack: Pack = serde_json::from_slice(&text)?;
    let (said, bytes) = match compiled::build(&pack) {
        Ok(Built { form, bytes }) => (Said::Built(form), bytes),
        Err(why) => (Said::Failed(why.to_string()), Vec::new()),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&said)?)?;
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// Has a pack compiled and returns its form.
///
/// # Errors
/// Says why there is none.
pub(crate) async fn build(pack: &Pack) -> Result<Built> {
    let text = serde_json::to_vec(pack)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ARGUMENT).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut stdin = stdin.context("no way to the compiling process")?;
    let stdout = stdout.context("no way from the compiling process")?;
    // It reads all before it answers. Where it ended early, its answer says more than the broken pipe.
    stdin.write_all(&text).await.ok();
    drop(stdin);
    let mut answer = Vec::new();
    stdout.take((MAX_LINE + MAX_FORM) as u64).read_to_end(&mut answer).await?;
    child.wait().await?;
    understood(&answer)
}

fn understood(answer: &[u8]) -> Result<Built> {
    let end = answer.iter().take(MAX_LINE).position(|b| *b == b'\n');
    let (line, rest) = answer.split_at(end.context("compiling process ended without an answer")?);
    match serde_json::from_slice(line)? {
        Said::Built(form) => Ok(Built { form, bytes: rest[1..].to_vec() }),
        Said::Failed(why) => bail!(why),
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;

    use super::*;

    #[test]
    fn an_answer_is_the_form_and_its_bytes_or_a_reason() {
        let pack = khien_rules::sample::marked_pack(1);
        let Built { form, bytes } = compiled::build(&pack).unwrap();
        let line = serde_json::to_string(&Said::Built(form.clone())).unwrap();

        let built = understood(&[line.as_bytes(), b"\n", &bytes].concat()).unwrap();

        assert_eq!((built.form, built.bytes), (form, bytes));
        assert_eq!(understood(b"{\"Failed\":\"no memory\"}\n").err().unwrap().to_string(), "no memory");
        for bad in [&b""[..], b"{}", b"{}\n", b"\n"] {
            assert!(understood(bad).is_err());
        }
    }

    #[test]
    fn a_pack_goes_to_the_compiling_process_as_it_is() {
        let pack = khien_rules::base_pack(Timestamp::UNIX_EPOCH);

        let read: Pack = serde_json::from_slice(&serde_json::to_vec(&pack).unwrap()).unwrap();

        assert_eq!(read.origin(), pack.origin());
    }
}
