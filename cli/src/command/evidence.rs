//! `khien evidence`: lists what is kept of an incident, takes a copy out, or brings something in. The hub writes both into the
//! custody record.

use std::path::Path;

use anyhow::{Context as _, Result};
use khien_core::{
    IncidentId, Sha256,
    evidence::Evidence,
    text::{command as t, trouble},
};
use serde::Serialize;

use super::{Context, incident::evidence_table};
use crate::{
    args,
    config::write_new,
    exit::{Exit, Stop},
    output::{print, print_json, say},
    told::Told,
};

/// Runs its one verb.
pub(crate) async fn run(context: &Context, what: args::Evidence) -> Result<()> {
    match what {
        args::Evidence::Get { sha256, incident, out } => get(context, sha256, incident, &out).await,
        args::Evidence::Add { file, incident } => add(context, incident, &file).await,
        args::Evidence::List { incident } => list(context, incident).await,
    }
}

async fn add(context: &Context, incident: IncidentId, file: &Path) -> Result<()> {
    let added = context.client()?.add_evidence(incident, file, None).await?;
    match context.json {
        true => print_json(&added),
        false => {
            let Evidence { path, size, sha256, .. } = &added;
            print(&t::EVIDENCE_ADDED.with(context.lang, &[path, size, sha256, &incident]))
        }
    }
}

async fn list(context: &Context, incident: IncidentId) -> Result<()> {
    let incident = context.client()?.incident(incident).await?;
    if context.json {
        return print_json(&incident.evidence);
    }
    if incident.evidence.is_empty() {
        say(&t::NO_EVIDENCE.with(context.lang, &[&incident.id]));
        return Ok(());
    }
    print(&evidence_table(&incident, context.lang))
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
