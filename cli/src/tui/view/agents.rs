//! The agents: who is heard, and what each of them cannot see.

use khien_core::{
    alert::Alert,
    asset::{Agent, Presence, Sight},
    text::{Message, alert, fleet as f, hub, integrity, records, tui as t, walk},
    time::shown,
};
use ratatui::{Frame, layout::Rect, style::Style, text::Line};

use super::{
    super::{
        app::App,
        clean::{clean, wrap},
        theme::Role,
    },
    empty, field, field_of_data, first_row, header, put, put_scrolled, row, span, title,
};

/// Times of blindness that are listed.
const MAX_BLIND: usize = 3;

/// Draws the list and, below it, the agent under the cursor.
pub(super) fn draw(app: &App, frame: &mut Frame, area: Rect) {
    let list_rows = app.agents.len().saturating_add(2);
    let list = Rect { height: area.height / 2, ..area };
    let list = Rect { height: list.height.min(u16::try_from(list_rows).unwrap_or(u16::MAX)), ..list };
    put(frame, list, lines(app, list.width.into(), list.height.into()));
    if let Some(agent) = app.agents.get(app.agent_row()) {
        let below = Rect { y: area.y + list.height, height: area.height - list.height, ..area };
        let width = usize::from(below.width);
        let head = title(app, &clean(&format!("{} – {}", agent.host, agent.agency)), width);
        put_scrolled(frame, below, head, detail(app, agent, width), 0);
    }
}

fn lines(app: &App, width: usize, height: usize) -> Vec<Line<'static>> {
    let count = app.agents.len();
    let mut out = vec![title(app, &format!("{} – {count}", app.say(t::AGENTS)), width)];
    if count == 0 {
        let why = if app.heard.is_none() { t::LOADING } else { t::NO_AGENTS_YET };
        out.extend(empty(app, app.say(why), width));
        return out;
    }
    out.push(heads(app, width));
    let rows = height.saturating_sub(2);
    let at = app.agent_row();
    let from = first_row(at, rows, count);
    let visible = app.agents.iter().enumerate().skip(from).take(rows);
    out.extend(visible.map(|(i, a)| agent_row(app, a, width, i == at)));
    out
}

/// Returns the widths of sign, host, agency, presence, last heard, coverage, backlog, pack, version.
fn widths(width: usize) -> [usize; 9] {
    let (sign, presence, seen, sight, backlog, pack, version) = match width {
        100.. => (1, 10, 18, 10, 8, 10, 8),
        _ => (1, 10, 13, 10, 5, 8, 5),
    };
    let free = width.saturating_sub(sign + presence + seen + sight + backlog + pack + version + 8);
    [sign, free - free / 2, free / 2, presence, seen, sight, backlog, pack, version]
}

fn heads(app: &App, width: usize) -> Line<'static> {
    let names: [Option<Message>; 9] = [
        None,
        Some(t::COL_HOST),
        Some(t::COL_AGENCY),
        Some(t::COL_PRESENCE),
        Some(t::COL_SEEN),
        Some(t::COL_SIGHT),
        Some(t::COL_BACKLOG),
        Some(t::COL_PACK),
        Some(t::COL_VERSION),
    ];
    let style = app.theme.style(Role::Muted);
    let head = |(name, width): (Option<Message>, usize)| {
        (name.map(|m| app.say(m)).unwrap_or_default().to_owned(), width, style)
    };
    row(&names.into_iter().zip(widths(width)).map(head).collect::<Vec<_>>())
}

fn agent_row(app: &App, agent: &Agent, width: usize, selected: bool) -> Line<'static> {
    let [sign, host, agency, presence, seen, sight, backlog, pack, version] = widths(width);
    let (least, role) = least_sight(app, agent);
    let ago = span::age(agent.last_seen, app.now, app.lang);
    let line = row(&[
        (if selected { ">" } else { "" }.to_owned(), sign, Style::new()),
        (clean(&agent.host.to_string()), host, Style::new()),
        (clean(&agent.agency), agency, Style::new()),
        (app.say(alert::presence(agent.presence)).to_owned(), presence, presence_style(app, agent.presence)),
        (ago, seen, Style::new()),
        (least.to_owned(), sight, app.theme.style(role)),
        (agent.health.backlog.to_string(), backlog, Style::new()),
        (pack_words(app, agent), pack, Style::new()),
        (clean(&agent.version), version, Style::new()),
    ]);
    if selected { line.style(app.theme.style(Role::Selected)) } else { line }
}

fn presence_style(app: &App, presence: Presence) -> Style {
    app.theme.style(match presence {
        Presence::Online => Role::Good,
        Presence::Stopped => Role::Warning,
        Presence::Silent => Role::Error,
    })
}

fn least_sight(app: &App, agent: &Agent) -> (&'static str, Role) {
    match agent.health.coverage.iter().map(|c| c.sight).max() {
        None => (app.say(t::NO_COVERAGE), Role::Warning),
        Some(Sight::Full) => (app.say(alert::sight(Sight::Full)), Role::Good),
        Some(less) => (app.say(alert::sight(less)), Role::Warning),
    }
}

fn pack_words(app: &App, agent: &Agent) -> String {
    match agent.health.pack {
        0 => app.say(t::NO_PACK).to_owned(),
        version => version.to_string(),
    }
}

fn detail(app: &App, agent: &Agent, width: usize) -> Vec<Line<'static>> {
    let health = &agent.health;
    let packets = t::PACKETS_LINE.with(app.lang, &[&health.packets, &health.packets_dropped]);
    let scans = hub::scans(health, app.lang);
    let mut out = coverage(app, agent, width);
    if let Some(walk) = &health.walk {
        out.extend(field(app, app.say(t::WALK), &walk::progress(walk, app.lang), width));
    }
    if let Some(scan) = &health.ordered {
        out.extend(field(app, app.say(t::ORDERED), &walk::ordered(scan, app.lang), width));
    }
    out.extend(blind(app, agent, width));
    if let Some(state) = &health.integrity {
        out.extend(field(app, app.say(t::INTEGRITY), &integrity::kept(state, app.lang), width));
    }
    out.extend(
        [
            field_of_data(app, app.say(t::AGENT), &agent.id.to_string(), app.theme.style(Role::Muted), width),
            field(app, app.say(t::OS), &agent.os.to_string(), width),
            field(app, app.say(t::COL_VERSION), &agent.version, width),
            field(app, app.say(t::LAST_SEEN), &shown(agent.last_seen), width),
            field(app, app.say(t::SCANS), &scans, width),
            field(app, app.say(t::PACKETS), &packets, width),
            health.wires.iter().flat_map(|w| field(app, "", &f::wire(w, app.lang), width)).collect(),
            health
                .records
                .iter()
                .flat_map(|r| field(app, app.say(records::RECORDS), &records::kept(r, app.lang), width))
                .collect(),
            field(app, app.say(t::MEMORY), &format!("{} MiB", health.memory >> 20), width),
        ]
        .concat(),
    );
    out
}

/// Lists when the agent, or one of its senses, saw nothing: the last times, newest first.
fn blind(app: &App, agent: &Agent, width: usize) -> Vec<Line<'static>> {
    let mut times: Vec<_> =
        app.queue.all().iter().filter(|a| a.agent == agent.id && a.is_blindness()).collect();
    times.sort_by_key(|a| std::cmp::Reverse((a.last_seen, a.id)));
    let line = |a: &&Alert| {
        let what = a.what.as_ref().map_or(a.rule.as_str(), |what| what.get(app.lang));
        f::BLIND_LINE.with(app.lang, &[&a.id, &shown(a.last_seen), &what])
    };
    let lines = times.iter().take(MAX_BLIND).map(line);
    lines.flat_map(|text| field(app, app.say(f::BLIND), &text, width)).collect()
}

fn coverage(app: &App, agent: &Agent, width: usize) -> Vec<Line<'static>> {
    let mut all: Vec<_> = agent.health.coverage.iter().collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.sight));
    if all.is_empty() {
        return field(app, app.say(t::SIGHT), app.say(t::NO_COVERAGE), width);
    }
    let style = |sight| match sight {
        Sight::Full => Role::Good,
        Sight::Reduced | Sight::Blind => Role::Warning,
    };
    let lines = all.into_iter().flat_map(|c| {
        let sign = if c.sight == Sight::Full { "" } else { "! " };
        let text = format!("{sign}{}", header::coverage_words(app, c));
        let role = style(c.sight);
        wrap(&text, width).into_iter().map(move |l| (l, role)).collect::<Vec<_>>()
    });
    lines.map(|(l, role)| Line::styled(l, app.theme.style(role))).collect()
}
