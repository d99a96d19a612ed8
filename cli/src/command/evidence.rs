//! `khien evidence`: takes a copy of preserved bytes out, which the hub writes into the custody record.

use std::path::Path;

use anyhow::{Context as _, Result};
use khien_core::{
    IncidentId, Sha256,
    text::{command as t, trouble},
};
use serde::Serialize;

use super::Context;
use crate::{
    args,
    config::write_new,
    exit::{Exit, Stop},
    output::{print, print_json},
    told::Told,
};

/// Runs its one verb.
pub(crate) async fn run(context: &Context, what: args::Evidence) -> Result<()> {
    let args::Evidence::Get { sha256, incident, out } = what;
    get(context, sha256, incident, &out).await
}

#[derive(Serialize)]
struct Written<'a> {
    sha256: Sha256,
    size: usize,
    file: &'a Path,
}

async fn get(context: &Context, sha256: Sha256, incident: IncidentId, out: &Path) -> Result<()> {
    let lang = context.lang;
    if out.exists() {
        let what = t::FILE_EXISTS.with(lang, &[&out.display()]);
        return Err(Stop::new(Exit::Refused, what, t::NEXT_OTHER_FILE.get(lang)).into());
    }
    let bytes = context.client()?.evidence(sha256, incident).await?;
    write_new(out, &bytes).with_context(|| Told::path(trouble::CANNOT_WRITE, out))?;
    match context.json {
        true => print_json(&Written { sha256, size: bytes.len(), file: out }),
        false => print(&t::EVIDENCE_WRITTEN.with(lang, &[&out.display(), &bytes.len(), &sha256])),
    }
}
