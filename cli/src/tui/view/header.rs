//! The bar at the top: whether the hub is heard, what is open, who is there, and what cannot be seen.

use khien_core::{
    asset::{Coverage, Presence, Sensor, Sight},
    text::{Message, alert, tui as t},
    time::shown,
};
use ratatui::text::{Line, Span};

use super::{
    super::{
        app::{App, Link},
        clean::{cells, clean, fit},
        theme::Role,
    },
    span,
};

/// Returns the lines of the bar: two, and one more for each warning.
pub(super) fn lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let warnings = warnings(app, width).into_iter();
    let warned = warnings.map(|w| Line::styled(fit(&w, width), app.theme.style(Role::Warning)));
    [state(app, width), counts(app, width)].into_iter().chain(warned).collect()
}

fn state(app: &App, width: usize) -> Line<'static> {
    let link = match &app.link {
        Link::Connecting => app.say(t::LINK_CONNECTING).to_owned(),
        Link::Up => app.say(t::LINK_UP).to_owned(),
        Link::Down { since, .. } => t::LINK_DOWN.with(app.lang, &[&span::hour(*since)]),
    };
    let age = app.heard.map(|at| span::age(at, app.now, app.lang));
    let age = age.map(|age| format!(" · {}", t::DATA_AGE.with(app.lang, &[&age]))).unwrap_or_default();
    let left = format!(" {}  {link}{age}", app.say(t::PRODUCT));
    let right = t::CLOCK.with(app.lang, &[&shown(app.now)]);
    let role = if matches!(app.link, Link::Down { .. }) { Role::Critical } else { Role::Bar };
    Line::styled(spread(&left, &right, width), app.theme.style(role))
}

/// Puts one text left and one right; the right one only where there is room.
fn spread(left: &str, right: &str, width: usize) -> String {
    match cells(left) + cells(right) + 3 <= width {
        true => format!("{}{right} ", fit(left, width - cells(right) - 1)),
        false => fit(left, width),
    }
}

fn counts(app: &App, width: usize) -> Line<'static> {
    let counts = app.queue.open_by_severity();
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    let mut spans = vec![Span::raw(format!(" {} {total}: ", app.say(t::OPEN_ALERTS)))];
    for (severity, n) in counts {
        let text = format!(" {} {n} ", app.say(alert::severity(severity)));
        let style = if n > 0 { app.theme.severity(severity) } else { app.theme.style(Role::Muted) };
        spans.push(Span::styled(text, style));
    }
    let used: usize = spans.iter().map(|s| cells(&s.content)).sum();
    let fits = |text: &String| used + cells(text) + 2 <= width;
    if let Some(agents) = [agents(app), few_words(app)].into_iter().find(fits) {
        spans.push(Span::raw(" ".repeat(width - used - cells(&agents) - 1)));
        let silent = app.count(Presence::Silent) > 0;
        spans.push(Span::styled(agents, app.theme.style(if silent { Role::Warning } else { Role::Plain })));
    }
    Line::from(spans)
}

/// Says only how many of how many agents are heard.
fn few_words(app: &App) -> String {
    format!("{}: {}/{}", app.say(t::AGENTS_COUNT), app.count(Presence::Online), app.agents.len())
}

fn agents(app: &App) -> String {
    let named = [Presence::Online, Presence::Silent, Presence::Stopped];
    let counts =
        named.map(|p| (p, app.count(p))).into_iter().filter(|(p, n)| *n > 0 || *p == Presence::Online);
    let parts: Vec<_> =
        counts.map(|(p, n)| format!("{n} {}", app.say(alert::presence(p)).to_lowercase())).collect();
    let text = if app.agents.is_empty() { app.say(t::NO_AGENTS).to_owned() } else { parts.join(", ") };
    format!("{}: {text}", app.say(t::AGENTS_COUNT))
}

/// Says in plain words what is not seen. Never left out, only cut.
fn warnings(app: &App, width: usize) -> Vec<String> {
    let silent = app.count(Presence::Silent);
    let silent = (silent > 0).then(|| format!(" ! {}", t::SILENT_AGENTS.with(app.lang, &[&silent])));
    silent.into_iter().chain(reduced(app, width)).collect()
}

fn reduced(app: &App, width: usize) -> Option<String> {
    let all = app.reduced();
    let (agent, coverage) = all.first()?;
    let seen = if coverage.sight == Sight::Reduced { None } else { Some(coverage.sight) };
    let text = format!(" ! {}: {} – {}", app.say(t::REDUCED), agent.host, words(app, coverage, seen));
    let more = match all.len() - 1 {
        0 => String::new(),
        n => format!(" {}", t::AND_MORE.with(app.lang, &[&n])),
    };
    Some(format!("{}{more}", fit(&clean(&text), width.saturating_sub(cells(&more)))))
}

/// Says what a sensor sees of a scope, and why not more.
pub(super) fn coverage_words(app: &App, coverage: &Coverage) -> String {
    words(app, coverage, Some(coverage.sight))
}

fn words(app: &App, coverage: &Coverage, sight: Option<Sight>) -> String {
    let reason = coverage.reason.as_ref().map(|r| format!(": {}", r.text(app.lang))).unwrap_or_default();
    let sight = sight.map(|s| format!(", {}", app.say(alert::sight(s)).to_lowercase())).unwrap_or_default();
    let scope = &coverage.scope;
    let gap = if scope.raw().is_empty() { "" } else { " " };
    clean(&format!("{}{gap}{scope} ({}{sight}){reason}", app.say(sensor(coverage.sensor)), coverage.backend))
}

fn sensor(sensor: Sensor) -> Message {
    match sensor {
        Sensor::File => t::SENSOR_FILE,
        Sensor::Network => t::SENSOR_NETWORK,
        Sensor::Scan => t::SENSOR_SCAN,
        Sensor::Integrity => t::SENSOR_INTEGRITY,
        Sensor::Behaviour => t::SENSOR_BEHAVIOUR,
    }
}
