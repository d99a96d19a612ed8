//! `khien agent scan`: an order to scan, or to stop a scan, signed by the operator, and what became of it.

use std::{os::unix::ffi::OsStrExt, time::Duration};

use anyhow::Result;
use khien_core::{
    Lang, OrderId, Timestamp, Untrusted,
    api::OrderedScan,
    asset::Agent,
    order::{
        BadScanTarget, MOST_PROCESSES, MOST_SCANNED, MemoryTarget, Outcome, ScanEnd, ScanScope, ScanTarget,
    },
    text::{command as t, fleet as f, walk},
    time::{self, SignedDuration},
};

use super::{MIN_PREFIX, find};
use crate::{
    args::{self, Wait},
    client::Client,
    command::{Context, moment},
    exit::{Exit, Said, Stop},
    keys::Keys,
    output::{Facts, Table, print, print_json, say},
    response,
};

/// How long an answer may be on its way after the scan must have ended.
const PATIENCE: SignedDuration = SignedDuration::from_secs(90);
/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Signs an order to scan and gives it. It changes nothing on the host, so that nobody is asked again. Its end says what came of
/// it: whoever does not wait for that is told only that the order was given.
pub(super) async fn order(
    context: &Context,
    (client, keys): (&Client, &Keys),
    what: args::AgentScan,
) -> Result<()> {
    if let Some(typed) = &what.cancel {
        return cancel(context, (client, keys), (typed, what.wait)).await;
    }
    let lang = context.lang;
    let agent = find(client.agents().await?.agents, what.host.as_deref().unwrap_or_default(), lang)?;
    let scope = scope(&what).map_err(|_| {
        let wrong = f::BAD_TARGET.with(lang, &[&MOST_SCANNED, &MOST_PROCESSES]);
        Stop::new(Exit::Usage, wrong, f::NEXT_TARGET.get(lang))
    })?;
    say(f::SIGNED.get(lang));
    say(&line(&scope, &agent, what.minutes, lang));
    let scan = response::start_scan(client, keys, agent.id, scope, what.minutes).await?;
    if what.wait.no_wait {
        return show(context, &scan);
    }
    say(&f::HOW_TO_STOP.with(lang, &[&scan.order.short(), &scan.order.short()]));
    let scan = waited(lang, client, scan).await?;
    // That nobody reads the result does not make it a clean one.
    let shown = show(context, &scan);
    judged(&scan, lang)?;
    shown
}

/// Has a scan stopped. One that ended meanwhile is shown as it ended.
async fn cancel(
    context: &Context,
    (client, keys): (&Client, &Keys),
    (typed, wait): (&str, Wait),
) -> Result<()> {
    let lang = context.lang;
    let mut scan = find_scan(client, typed, lang).await?;
    if scan.answer.is_none() {
        say(f::SIGNED.get(lang));
        say(&f::STOP_LINE.with(lang, &[&scan.order.short(), &scan.host, &scan.agent]));
        scan = response::stop_scan(client, keys, &scan).await?;
    }
    if !wait.no_wait {
        scan = waited(lang, client, scan).await?;
    }
    show(context, &scan)?;
    match scan.answer.is_some() || wait.no_wait {
        true => Ok(()),
        false => Err(Said(Exit::Incomplete).into()),
    }
}

fn scope(what: &args::AgentScan) -> Result<ScanScope, BadScanTarget> {
    match &what.path {
        Some(path) => {
            let path = Untrusted::new(path.as_os_str().as_bytes());
            Ok(ScanScope::Files(ScanTarget::new(path, what.most, what.again)?))
        }
        None if what.processes => Ok(ScanScope::Memory(MemoryTarget::all())),
        None => Ok(ScanScope::Memory(MemoryTarget::of(what.pid.iter().copied())?)),
    }
}

/// Says what is signed. The host's name and its agent's id come from the hub: the id is what the order is bound to.
fn line(scope: &ScanScope, agent: &Agent, minutes: u32, lang: Lang) -> String {
    let what = match scope {
        ScanScope::Files(target) => {
            let again = if target.again() { f::SCAN_AGAIN.get(lang) } else { "" };
            format!("{}{again}", f::SCAN_FILES.with(lang, &[target.path(), &target.most()]))
        }
        ScanScope::Memory(target) => match target.pids() {
            Some(_) => f::SCAN_PIDS.with(lang, &[&pids(target)]),
            None => f::SCAN_PROCESSES.get(lang).to_owned(),
        },
    };
    f::SCAN_LINE.with(lang, &[&what, &agent.host, &agent.agency, &agent.id, &minutes])
}

fn pids(target: &MemoryTarget) -> String {
    let pids = target.pids().into_iter().flatten();
    pids.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds the one scan whose id begins as typed.
async fn find_scan(client: &Client, typed: &str, lang: Lang) -> Result<OrderedScan> {
    if let Ok(id) = typed.parse::<OrderId>() {
        return the_scan(client, id, lang).await;
    }
    one_of(client.scans().await?.scans, typed, lang)
}

/// Asks for a scan. What the hub says of another one is no answer: who stops a scan signs for the one that it names.
async fn the_scan(client: &Client, id: OrderId, lang: Lang) -> Result<OrderedScan> {
    let scan = client.scan(id).await?;
    if scan.order != id {
        let what = f::NO_SCAN.with(lang, &[&id]);
        return Err(Stop::new(Exit::NotFound, what, f::NEXT_SCAN.get(lang)).into());
    }
    Ok(scan)
}

fn one_of(scans: Vec<OrderedScan>, typed: &str, lang: Lang) -> Result<OrderedScan> {
    let prefix = typed.to_ascii_lowercase();
    let is_id = typed.len() >= MIN_PREFIX;
    let mut fitting = scans.into_iter().filter(|s| is_id && s.order.to_string().starts_with(&prefix));
    let stop = |exit, what: String| -> Result<OrderedScan> {
        Err(Stop::new(exit, what, f::NEXT_SCAN.get(lang)).into())
    };
    match (fitting.next(), fitting.next()) {
        (Some(scan), None) => Ok(scan),
        (None, _) => stop(Exit::NotFound, f::NO_SCAN.with(lang, &[&typed])),
        (Some(_), Some(_)) => stop(Exit::Usage, f::MANY_SCANS.with(lang, &[&typed])),
    }
}

/// Says how far it is until it ended.
async fn waited(lang: Lang, client: &Client, mut scan: OrderedScan) -> Result<OrderedScan> {
    let (mut said, until) = (None, scan.until);
    while scan.answer.is_none() {
        if Timestamp::now() > time::after(until, PATIENCE) {
            say(f::STILL_SCANS.get(lang));
            break;
        }
        let now = scan.progress.as_ref().map(|progress| walk::ordered(progress, lang));
        if let Some(line) = now.as_ref().filter(|_| now != said) {
            say(line);
        }
        said = now.or(said);
        tokio::time::sleep(ASK_EVERY).await;
        scan = the_scan(client, scan.order, lang).await?;
    }
    Ok(scan)
}

/// Ends the command as the scan ended: only where all was scanned and nothing was found it is done. What it is was shown.
fn judged(scan: &OrderedScan, lang: Lang) -> Result<()> {
    let not_all = |why: &str| -> Result<()> {
        say(&f::NOT_ALL.with(lang, &[&why]));
        Err(Said(Exit::Incomplete).into())
    };
    match &scan.answer {
        Some(Outcome::Failed { reason }) => {
            let what = f::FAILED.with(lang, &[&reason.text(lang)]);
            Err(Stop::new(Exit::Failed, what, f::NEXT_FAILED.with(lang, &[&scan.host])).into())
        }
        Some(Outcome::Scanned { totals, .. }) if totals.matched() > 0 => {
            say(&f::FOUND.with(lang, &[&totals.matched()]));
            say(f::NEXT_FOUND.get(lang));
            Err(Said(Exit::Matched).into())
        }
        Some(Outcome::Scanned { ended: ScanEnd::Whole, totals }) if totals.is_whole() => Ok(()),
        Some(Outcome::Scanned { ended, totals }) => not_all(walk::ended(*ended, totals).get(lang)),
        Some(Outcome::Done { .. } | Outcome::Searched { .. }) => not_all(f::DONE.get(lang)),
        None => not_all(f::NO_ANSWER_YET.get(lang)),
    }
}

fn show(context: &Context, scan: &OrderedScan) -> Result<()> {
    match context.json {
        true => print_json(scan),
        false => print(&whole(scan, context.lang)),
    }
}

/// Lists the ordered scans.
pub(super) fn list(context: &Context, scans: &[OrderedScan]) -> Result<()> {
    if context.json {
        return print_json(scans);
    }
    if scans.is_empty() {
        say(f::NO_SCANS.get(context.lang));
        return Ok(());
    }
    print(&table(scans, context.lang))
}

fn table(scans: &[OrderedScan], lang: Lang) -> String {
    let heads = [f::ORDER, t::HOST, f::PATH, t::STARTED, t::BY, f::RESULT];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for scan in scans {
        table.row(vec![
            scan.order.short(),
            scan.host.to_string(),
            place(&scan.target, lang),
            moment(scan.asked),
            scan.by.clone(),
            result(scan, lang),
        ]);
    }
    table.shown()
}

fn whole(scan: &OrderedScan, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(f::ORDER.get(lang), scan.order);
    facts.add(t::HOST.get(lang), &scan.host);
    facts.add(f::PATH.get(lang), place(&scan.target, lang));
    facts.add(t::STARTED.get(lang), format!("{} ({})", moment(scan.asked), scan.by));
    facts.maybe(f::STOPPED_BY.get(lang), scan.stopped_by.clone());
    facts.add(f::RESULT.get(lang), result(scan, lang));
    if let Some(Outcome::Scanned { totals, .. }) = &scan.answer {
        let missed = walk::missed(totals, lang);
        facts.maybe(f::MISSED.get(lang), Some(missed.join("\n")).filter(|text| !text.is_empty()));
    }
    facts.shown()
}

fn place(scope: &ScanScope, lang: Lang) -> String {
    match scope {
        ScanScope::Files(target) => target.path().to_string(),
        ScanScope::Memory(target) => match target.pids() {
            Some(_) => f::MEMORY_OF.with(lang, &[&pids(target)]),
            None => f::MEMORY.get(lang).to_owned(),
        },
    }
}

/// Says how it ended, or how far it is.
fn result(scan: &OrderedScan, lang: Lang) -> String {
    let now = match (&scan.answer, &scan.progress) {
        (Some(Outcome::Scanned { ended, totals }), _) => {
            return format!("{}; {}", walk::ended(*ended, totals).get(lang), walk::totals(totals, lang));
        }
        (Some(Outcome::Failed { reason }), _) => return f::FAILED.with(lang, &[&reason.text(lang)]),
        (Some(Outcome::Done { .. } | Outcome::Searched { .. }), _) => return f::DONE.get(lang).to_owned(),
        (None, Some(progress)) => walk::ordered(progress, lang),
        (None, None) => f::WAITS.get(lang).to_owned(),
    };
    match &scan.stopped_by {
        Some(by) => f::STOPPING.with(lang, &[&now, by]),
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use khien_core::{
        asset::ScanProgress,
        event::ScanOutcome,
        order::{Counted, Missed, ScanTotals},
        reason::Reason,
    };

    use super::*;
    use crate::command::samples;

    fn scans() -> [OrderedScan; 6] {
        let scan = samples::ordered_scan();
        let outcomes =
            [(ScanOutcome::Matched, 1), (ScanOutcome::Clean, 40), (ScanOutcome::Timeout, 2)].into();
        let missed = vec![Missed::file(&"/opt/cong-van/a.zip".into(), ScanOutcome::Timeout)];
        let totals = ScanTotals { outcomes, known: 7, missed, ..ScanTotals::default() };
        let (path, since, until) = ("/opt/cong-van".into(), scan.asked, scan.until);
        let progress = ScanProgress { order: scan.order, path, since, until, totals: totals.clone() };
        let answered = |answer| OrderedScan { answer: Some(answer), ended: Some(until), ..scan.clone() };
        let going_on = OrderedScan { progress: Some(progress), ..scan.clone() };
        let memory = ScanScope::Memory(MemoryTarget::of([4, 812]).unwrap());
        let mut processes = ScanTotals { own: 2, ..ScanTotals::of(Counted::Processes) };
        processes.count(ScanOutcome::Clean);
        let ended = Outcome::Scanned { ended: ScanEnd::Whole, totals: processes };
        [
            scan.clone(),
            going_on.clone(),
            answered(Outcome::Scanned { ended: ScanEnd::Expired, totals }),
            answered(Outcome::Failed { reason: Reason::ScanCutOff }),
            OrderedScan { target: memory, ..answered(ended) },
            OrderedScan { stopped_by: Some("minh".to_owned()), ..going_on },
        ]
    }

    #[test]
    fn an_ordered_scan_says_how_far_it_is_and_how_it_ended() {
        insta::assert_snapshot!(table(&scans(), Lang::En));
    }

    #[test]
    fn one_scan_in_vietnamese() {
        insta::assert_snapshot!(whole(&scans()[2], Lang::Vi));
    }

    #[test]
    fn only_a_scan_of_everything_that_found_nothing_ends_as_done() {
        let exit = |ended, change: fn(&mut ScanTotals)| {
            let mut totals = ScanTotals { known: 3, ..ScanTotals::default() };
            change(&mut totals);
            let answer = Some(Outcome::Scanned { ended, totals });
            exit(&OrderedScan { answer, ..samples::ordered_scan() })
        };
        let [whole, bound] = [ScanEnd::Whole, ScanEnd::Bound];

        assert_eq!(exit(whole, |_| ()), None);
        assert_eq!(exit(whole, |t| t.unread = 1), Some(Exit::Incomplete));
        assert_eq!(exit(whole, |t| t.gone = 1), Some(Exit::Incomplete));
        assert_eq!(exit(whole, |t| t.count(ScanOutcome::TooLarge)), Some(Exit::Incomplete));
        assert_eq!(exit(whole, |t| t.count(ScanOutcome::Matched)), Some(Exit::Matched));
        for end in [bound, ScanEnd::Expired, ScanEnd::Cut, ScanEnd::Cancelled] {
            assert_eq!(exit(end, |_| ()), Some(Exit::Incomplete));
            assert_eq!(exit(end, |t| t.count(ScanOutcome::Matched)), Some(Exit::Matched));
        }
    }

    #[test]
    fn without_an_answer_with_counts_nothing_reads_as_clean() {
        let with = |answer| exit(&OrderedScan { answer, ..samples::ordered_scan() });

        assert_eq!(with(None), Some(Exit::Incomplete));
        assert_eq!(with(Some(Outcome::Done { evidence: None })), Some(Exit::Incomplete));
        assert_eq!(with(Some(Outcome::Failed { reason: Reason::NoAnswer })), Some(Exit::Failed));
    }

    /// Returns how the command ends; none is done.
    fn exit(scan: &OrderedScan) -> Option<Exit> {
        let error = judged(scan, Lang::En).err()?;
        error.downcast_ref().map(|said: &Said| said.0).or_else(|| error.downcast_ref().map(|s: &Stop| s.exit))
    }

    #[test]
    fn a_scan_is_named_by_how_its_id_begins() {
        let [one, other] =
            [0xcd, 0xce].map(|byte| OrderedScan { order: OrderId([byte; 16]), ..scans()[0].clone() });
        let found = |typed: &str| one_of(vec![one.clone(), other.clone()], typed, Lang::En);
        let refused = |typed: &str| found(typed).unwrap_err().downcast::<Stop>().unwrap().exit;

        assert_eq!(found("CDCD").unwrap().order, one.order);
        assert_eq!(refused("cd"), Exit::NotFound, "so few characters name none");
        assert_eq!(refused("abcd"), Exit::NotFound);
        let same = one_of(vec![one.clone(), one.clone()], "cdcd", Lang::En).unwrap_err();
        assert_eq!(same.downcast::<Stop>().unwrap().exit, Exit::Usage);
    }

    #[test]
    fn what_is_signed_names_the_agent_whole_with_its_agency() {
        let agent = samples::agent();
        let memory = ScanScope::Memory(MemoryTarget::of([812, 4]).unwrap());

        let line = line(&memory, &agent, 15, Lang::En);

        let wanted = format!(
            "  scan the memory of the processes 4, 812, on web1 of Sở Y tế (agent {}), good for 15 minutes",
            "01".repeat(32)
        );
        assert_eq!(line, wanted);
    }
}
