//! What the incident itself knows for a field. Only facts that stand in the hub's store; never a judgement.

use std::collections::BTreeSet;

use khien_core::{
    Lang,
    alert::{Alert, Verdict},
    asset::NO_AGENCY,
    event::FlowFacts,
    evidence::{Evidence, Origin},
    incident::{Entry, EntryKind},
    order::Outcome,
    run::{Run, StepState},
    text,
    time::shown,
};

use super::{
    Table, Value,
    fill::Value::{Choice, Lines, Text},
};
use crate::{document::number::moment, draft::Case};

/// The most lines of a list; more are counted in a last line.
const MAX_LINES: usize = 60;

/// Returns what the case knows for a field of a form.
pub(super) fn of(case: &Case<'_>, field: &str) -> Option<Value> {
    match field {
        "report.stage" => Some(Choice(case.stage.as_str().to_owned())),
        "incident.code" => Some(Text(case.incident.id.to_string())),
        "incident.detected" => Some(Text(moment(case.incident.detected))),
        "incident.title" => some_text(case.incident.title.vi.clone()),
        "incident.found_by" => found_by(case),
        "incident.signs" => signs(case),
        "scope.assets" => lines(assets(case)),
        "measures.done" => lines(measures(case)),
        "measures.doing" => lines(under_way(case)),
        "evidence" => evidence(case),
        _ => None,
    }
}

fn some_text(text: String) -> Option<Value> {
    (!text.trim().is_empty()).then_some(Text(text))
}

fn lines(mut all: Vec<String>) -> Option<Value> {
    let more = all.len().saturating_sub(MAX_LINES);
    all.truncate(MAX_LINES);
    if more > 0 {
        all.push(format!("… và {more} dòng khác trong hồ sơ sự cố"));
    }
    (!all.is_empty()).then_some(Lines(all))
}

/// Alerts that the team did not call wrong.
fn right<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Alert> + use<'a> {
    case.alerts.iter().filter(|a| a.verdict != Some(Verdict::FalsePositive))
}

fn found_by(case: &Case<'_>) -> Option<Value> {
    let mut ways = Vec::new();
    if right(case).any(|a| a.path.is_some()) {
        ways.push("tác tử Khiên trên máy chủ quét tệp bằng luật YARA");
    }
    if right(case).any(|a| a.flow.is_some()) {
        ways.push("tác tử Khiên giám sát lưu lượng mạng");
    }
    if right(case).any(|a| a.path.is_none() && a.flow.is_none()) {
        ways.push("Khiên giám sát hoạt động của chính các tác tử");
    }
    (!ways.is_empty()).then(|| Text(ways.join("; ")))
}

fn signs(case: &Case<'_>) -> Option<Value> {
    let rows: Vec<_> = right(case).enumerate().map(|(i, a)| sign(i, a)).collect();
    (!rows.is_empty()).then(|| {
        Value::Table(Table {
            columns: vec![
                ("TT", 6),
                ("Phát hiện lúc", 15),
                ("Dấu hiệu", 27),
                ("Máy, cơ quan", 20),
                ("Vị trí", 32),
            ],
            rows,
        })
    })
}

fn sign(index: usize, alert: &Alert) -> Vec<String> {
    let technique = alert.technique.as_ref().map(|t| format!(", {t}")).unwrap_or_default();
    vec![
        (index + 1).to_string(),
        shown(alert.first_seen),
        format!("{} ({}{technique}); số lần: {}", alert.title.vi, alert.rule, alert.count),
        host(alert),
        place(alert),
    ]
}

/// Names a host, and its agency if somebody has named that. Where a file of packets is all there is, that is named.
fn host(alert: &Alert) -> String {
    let file = alert.capture.as_ref().filter(|_| alert.system().is_none());
    let host = file.map_or_else(|| alert.host.to_string(), |file| format!("tệp gói tin {}", file.name));
    match alert.agency.as_str() {
        NO_AGENCY => host,
        agency => format!("{host}, {agency}"),
    }
}

fn place(alert: &Alert) -> String {
    match (&alert.path, &alert.flow, &alert.what) {
        (Some(_), _, _) => alert.place().unwrap_or_default(),
        (None, Some(flow), None) => flow_line(flow),
        (None, Some(flow), Some(what)) => format!("{}: {}", flow_line(flow), what.vi),
        (None, None, Some(what)) => what.vi.clone(),
        (None, None, None) => String::new(),
    }
}

fn flow_line(flow: &FlowFacts) -> String {
    let what = flow.url.as_ref().or(flow.name.as_ref());
    let what = what.map(|w| format!(" ({w})")).unwrap_or_default();
    format!("{} → {}{what}", flow.client, flow.server)
}

fn assets(case: &Case<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let asset = |a: &Alert| match &a.path {
        // What a flow carried need not lie on that host.
        Some(path) if a.capture.is_none() => format!("Máy {}: tệp {path}", host(a)),
        _ => format!("Máy {}", host(a)),
    };
    // A file of packets is no asset of anybody.
    right(case).filter(|a| a.system().is_some()).map(asset).filter(|line| seen.insert(line.clone())).collect()
}

fn measures(case: &Case<'_>) -> Vec<String> {
    let runs = case.runs.iter().flat_map(done_steps);
    let kept = case.incident.timeline.iter().filter(|e| case.runs.is_empty() && is_measure(e));
    runs.chain(kept.map(entry_line)).collect()
}

fn done_steps(run: &Run) -> impl Iterator<Item = String> + '_ {
    run.steps.iter().filter(|s| s.state == StepState::Done).map(|step| {
        let done = step.results.iter().filter(|r| matches!(r.outcome, Outcome::Done { .. }));
        let last = done.clone().map(|r| r.at).max().map(|at| format!(", lúc {}", shown(at)));
        let on = done.map(|r| r.path.to_string()).collect::<BTreeSet<_>>();
        let on = on.into_iter().take(8).collect::<Vec<_>>().join("; ");
        let on = if on.is_empty() { on } else { format!(": {on}") };
        format!("{}{on}{}", step.title.vi, last.unwrap_or_default())
    })
}

fn is_measure(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::StepDone | EntryKind::EvidenceStored)
}

fn entry_line(entry: &Entry) -> String {
    let kind = text::alert::entry(entry.kind).get(Lang::Vi);
    let who = text::hub::who(&entry.who, Lang::Vi);
    format!("{} – {kind}: {} ({who})", shown(entry.at), entry.text.vi)
}

fn under_way(case: &Case<'_>) -> Vec<String> {
    let steps = case.runs.iter().flat_map(|r| &r.steps).filter(|s| s.state == StepState::Active);
    steps.map(|s| s.title.vi.clone()).collect()
}

/// Says from where evidence came.
fn source(origin: &Origin) -> String {
    match origin {
        Origin::Taken { host, .. } => format!("Máy {host}"),
        Origin::Brought { by, .. } => format!("{by} cung cấp"),
    }
}

fn evidence(case: &Case<'_>) -> Option<Value> {
    let row = |(i, e): (usize, &Evidence)| {
        let taken = e.custody.iter().map(|c| c.at).min().map(shown).unwrap_or_default();
        vec![
            (i + 1).to_string(),
            format!("{}: {} ({} byte)", source(&e.origin), e.path, e.size),
            e.sha256.to_string(),
            taken,
        ]
    };
    let rows: Vec<_> = case.incident.evidence.iter().enumerate().map(row).collect();
    if rows.is_empty() {
        return Some(Text("Hệ thống chưa lưu chứng cứ nào tính đến lúc lập báo cáo.".to_owned()));
    }
    let columns = vec![("TT", 6), ("Chứng cứ", 35), ("SHA-256", 42), ("Thu lúc", 17)];
    Some(Value::Table(Table { columns, rows }))
}
