//! `khien report`: drafts the papers of an incident. Nothing is sent; a person reads, completes and signs.

mod files;
pub(crate) mod pdf;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use khien_core::{
    Lang, Timestamp,
    alert::Alert,
    api::ReportDrafted,
    incident::Incident,
    run::Run,
    text::{command as t, trouble},
};
use khien_reports::{Answers, Case, DraftError, Drafted, MissingField, Organization, Stage, draft};
use serde::Serialize;

use self::{files::Folder, pdf::PdfError};
use super::Context;
use crate::{
    args,
    client::Client,
    config::Home,
    exit::{Exit, Stop},
    output::{print, print_json, say},
    told::Told,
};

/// The largest organization file that is read.
const MAX_ORGANIZATION: u64 = 64 << 10;
/// What the file about the team looks like before anybody filled it.
const ORGANIZATION_SAMPLE: &str = include_str!("report/organization.toml");

/// Runs its one verb.
pub(crate) async fn run(context: &Context, what: args::Report) -> Result<()> {
    let args::Report::Draft(what) = what;
    let client = context.client()?;
    let wanted = Wanted {
        form: what.form,
        stage: stage(what.stage.as_deref(), context.lang)?,
        answers: what.set.into_iter().collect(),
        out: what.out,
    };
    let incident = client.incident(what.incident).await?;
    let written = written(context, &client, incident, &wanted).await?;
    told(context, &written)
}

/// Which report is wanted, and where.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The form's id.
    pub(crate) form: String,
    /// Which report of the incident.
    pub(crate) stage: Stage,
    /// What a person answered.
    pub(crate) answers: Answers,
    /// The folder for the files.
    pub(crate) out: PathBuf,
}

/// What was written. `--json` prints this type as it is.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// The files.
    pub(crate) files: Vec<PathBuf>,
    /// What must still be filled; blank in the document.
    pub(crate) missing: Vec<MissingField>,
    /// Why there is no PDF, if there is none.
    pub(crate) without_pdf: Option<String>,
}

/// Drafts a report of an incident, writes its files and a line in the incident's timeline.
pub(crate) async fn written(
    context: &Context,
    client: &Client,
    incident: Incident,
    wanted: &Wanted,
) -> Result<Written> {
    let drafted = drafted(context, client, &incident, wanted).await?;
    let name = format!("{}-{}-{}", incident.id, wanted.form, wanted.stage.as_str());
    let folder = Folder::open(&wanted.out)?;
    let mut files = vec![
        folder.write(&name, "docx", &drafted.docx)?,
        folder.write(&name, "stix.json", drafted.stix.as_bytes())?,
    ];
    let mut without_pdf = None;
    match pdf::render(drafted.pdf_data.as_bytes()).await {
        Ok(bytes) => files.insert(1, folder.write(&name, "pdf", &bytes)?),
        Err(e) => without_pdf = Some(no_pdf(&e, context.lang)),
    }
    let line = ReportDrafted { form: wanted.form.as_str().into(), stage: wanted.stage.as_str().into() };
    client.report_drafted(incident.id, line).await?;
    Ok(Written { files, missing: drafted.missing, without_pdf })
}

async fn drafted(
    context: &Context,
    client: &Client,
    incident: &Incident,
    wanted: &Wanted,
) -> Result<Drafted> {
    let organization = organization(&context.home, context.lang)?;
    let case = Case {
        incident,
        alerts: &alerts(client, incident).await?,
        runs: &runs(client, incident).await?,
        organization: &organization,
        answers: &wanted.answers,
        stage: wanted.stage,
        now: Timestamp::now(),
    };
    draft(&wanted.form, &case).map_err(|e| refused(e, context.lang))
}

async fn alerts(client: &Client, incident: &Incident) -> Result<Vec<Alert>> {
    let mut alerts = Vec::new();
    for id in &incident.alerts {
        alerts.push(client.alert(*id).await?);
    }
    Ok(alerts)
}

async fn runs(client: &Client, incident: &Incident) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for run in &incident.runs {
        runs.push(client.run(run.id).await?);
    }
    Ok(runs)
}

/// Reads who we are; no file means that nothing is known.
fn organization(home: &Home, lang: Lang) -> Result<Organization> {
    let path = home.join("organization.toml");
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Organization::default()),
        Ok(meta) if meta.len() <= MAX_ORGANIZATION => {}
        _ => {
            let what = t::BAD_ORGANIZATION.with(lang, &[&path.display()]);
            return Err(Stop::new(Exit::Failed, what, t::NEXT_ORGANIZATION.get(lang)).into());
        }
    }
    let text = std::fs::read_to_string(&path).with_context(|| Told::path(trouble::CANNOT_READ, &path))?;
    Organization::parse(&text).with_context(|| Told::path(trouble::CANNOT_USE, &path))
}

/// Writes the file about the team, all of it commented out, if there is none yet.
pub(crate) fn write_organization_sample(home: &Home) -> Result<()> {
    let path = home.join("organization.toml");
    match crate::config::write_new(&path, ORGANIZATION_SAMPLE.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(e).with_context(|| Told::path(trouble::CANNOT_WRITE, &path))
        }
        _ => Ok(()),
    }
}

fn stage(word: Option<&str>, lang: Lang) -> Result<Stage> {
    let Some(word) = word else { return Ok(Stage::default()) };
    let found = Stage::ALL.into_iter().find(|s| s.as_str() == word);
    found.ok_or_else(|| {
        let known = Stage::ALL.map(Stage::as_str).join(", ");
        Stop::new(Exit::Usage, t::UNKNOWN_STAGE.with(lang, &[&word]), t::NEXT_STAGE.with(lang, &[&known]))
            .into()
    })
}

fn refused(error: DraftError, lang: Lang) -> anyhow::Error {
    let exit = match &error {
        DraftError::UnknownForm { .. } => Exit::NotFound,
        DraftError::Fill(_) => Exit::Usage,
        DraftError::Docx(_) | DraftError::Json(_) => Exit::Failed,
    };
    Stop::new(exit, error.words().get(lang), t::NEXT_FORM.get(lang)).into()
}

fn no_pdf(error: &PdfError, lang: Lang) -> String {
    match error {
        PdfError::NotBuilt(path) => t::PDF_NOT_BUILT.with(lang, &[&path.display()]),
        other => t::PDF_FAILED.with(lang, &[&other.shown(lang)]),
    }
}

fn told(context: &Context, written: &Written) -> Result<()> {
    let lang = context.lang;
    if let Some(why) = &written.without_pdf {
        say(why);
    }
    if context.json {
        return print_json(written);
    }
    for file in &written.files {
        print(&file.display().to_string())?;
    }
    missing(&written.missing, lang).iter().for_each(|l| say(l));
    Ok(())
}

/// Lists what a person must still fill, and how.
fn missing(missing: &[MissingField], lang: Lang) -> Vec<String> {
    if missing.is_empty() {
        return vec![t::NOTHING_MISSING.get(lang).to_owned()];
    }
    let line = |m: &MissingField| {
        let options =
            if m.options.is_empty() { String::new() } else { format!(" [{}]", m.options.join(" | ")) };
        format!("  {}: {}{options}", m.id, m.label.get(lang))
    };
    let head = t::MISSING.with(lang, &[&missing.len()]);
    let hint = t::MISSING_HINT.get(lang).to_owned();
    std::iter::once(head).chain(missing.iter().map(line)).chain(std::iter::once(hint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_of_the_organization_file_says_nothing_and_is_right_once_filled() {
        assert_eq!(Organization::parse(ORGANIZATION_SAMPLE).unwrap(), Organization::default());

        let is_setting = |l: &&str| l.starts_with('[') || l.contains(" = ");
        let filled: Vec<&str> = ORGANIZATION_SAMPLE.lines().map(|l| l.trim_start_matches("# ")).collect();
        let filled: Vec<&str> = filled.into_iter().filter(is_setting).collect();

        let organization = Organization::parse(&filled.join("\n")).unwrap();
        assert!(organization.name.is_some() && organization.system.level.is_some());
    }

    #[test]
    fn an_unknown_stage_names_the_known_ones() {
        let error = stage(Some("soon"), Lang::En).unwrap_err();

        let stop = error.downcast::<Stop>().unwrap();
        assert_eq!(stop.exit, Exit::Usage);
        assert!(stop.next.contains("24h, 72h"), "{}", stop.next);
    }
}
