//! One alert, whole. No line has a frame, so that a hash or a path can be copied from the terminal.

use khien_core::{
    alert::Alert,
    capture::Capture,
    event::{Direction, FileFacts, FlowFacts, Process},
    text::{Message, alert, hub::who, tui as t},
    time::shown,
};
use ratatui::{Frame, layout::Rect, text::Line};

use super::{
    super::{app::App, theme::Role},
    diff, empty, excerpt, field, field_of_data, put_scrolled, title,
};

/// Draws the detail screen.
pub(super) fn draw(app: &App, frame: &mut Frame, area: Rect) {
    let alert = app.shown_alert();
    let width = usize::from(area.width);
    let head = alert.map(|a| heading(app, a)).unwrap_or_default();
    put_scrolled(frame, area, title(app, &head, width), lines(app, alert, width), app.scroll);
}

/// Names an alert in one line.
pub(super) fn heading(app: &App, a: &Alert) -> String {
    super::clean(&format!("{} – {}", t::DETAIL.with(app.lang, &[&a.id]), a.title.get(app.lang)))
}

/// Writes everything that is known of an alert.
pub(super) fn lines(app: &App, alert: Option<&Alert>, width: usize) -> Vec<Line<'static>> {
    let Some(a) = alert else { return empty(app, app.say(t::GONE), width) };
    let form = Form { app, width };
    let mut out = form.what(a);
    out.extend(form.place(a));
    out.extend(a.file.iter().flat_map(|f| form.file(f)));
    // Of what was carried over the wire nobody is known who wrote it.
    if a.path.is_some() && a.capture.is_none() || a.process.is_some() {
        out.extend(form.process(a.process.as_ref()));
    }
    out.extend(a.flow.iter().flat_map(|f| form.flow(f)));
    out.extend(a.flows.iter().flat_map(|f| form.ends(f)));
    out.extend(form.times(a));
    out.extend(a.diff.iter().flat_map(|d| diff::lines(app, d, width)));
    out.extend(a.excerpts.iter().flat_map(|e| excerpt::lines(app, e, width)));
    out
}

/// A form that is filled in line by line.
struct Form<'a> {
    app: &'a App,
    width: usize,
}

impl Form<'_> {
    fn say(&self, label: Message, value: &str) -> Vec<Line<'static>> {
        field(self.app, self.app.say(label), value, self.width)
    }

    fn say_some<T: ToString>(&self, label: Message, value: Option<T>) -> Vec<Line<'static>> {
        value.map(|v| self.say(label, &v.to_string())).unwrap_or_default()
    }

    fn data(&self, label: Message, value: &str, role: Role) -> Vec<Line<'static>> {
        field_of_data(self.app, self.app.say(label), value, self.app.theme.style(role), self.width)
    }

    fn what(&self, a: &Alert) -> Vec<Line<'static>> {
        let lang = self.app.lang;
        let severity = self.app.say(alert::severity(a.severity));
        let style = self.app.theme.severity(a.severity);
        let verdict = a.verdict.map(|v| format!(" – {}", alert::verdict(v).get(lang))).unwrap_or_default();
        let status = format!("{}{verdict}", alert::status(a.status).get(lang));
        [
            field_of_data(self.app, self.app.say(t::SEVERITY), severity, style, self.width),
            self.say(t::STATUS, &status),
            self.say_some(t::REASON, a.reason.as_ref()),
            self.say_some(t::BY, a.by.as_ref().map(|by| who(by, lang))),
            self.say_some(t::INCIDENT, a.incident),
            self.say(t::MEANING, a.explanation.get(lang)),
            self.say(t::NEXT_STEP, a.next_step.get(lang)),
            self.say(t::RULE, a.rule.as_str()),
            self.say_some(t::TECHNIQUE, a.technique.as_ref().map(|x| format!("MITRE ATT&CK {x}"))),
        ]
        .concat()
    }

    fn place(&self, a: &Alert) -> Vec<Line<'static>> {
        let path = a.place().map(|p| self.data(t::PATH, &p, Role::Strong));
        let hash = a.sha256.map(|h| self.data(t::SHA256, &h.to_string(), Role::Plain));
        [
            self.say(t::HOST, &a.host.to_string()),
            self.say(t::AGENCY, &a.agency),
            a.reporter().map(|x| self.data(t::AGENT, &x.to_string(), Role::Muted)).unwrap_or_default(),
            a.capture.as_ref().map(|c| self.capture(c)).unwrap_or_default(),
            path.unwrap_or_default(),
            hash.unwrap_or_default(),
            self.say_some(t::STORY, self.story(a)),
            self.say_some(t::WHAT, a.what.as_ref().map(|w| w.get(self.app.lang))),
        ]
        .concat()
    }

    fn capture(&self, c: &Capture) -> Vec<Line<'static>> {
        let name = self.data(t::CAPTURE, &c.name.to_string(), Role::Strong);
        [name, self.data(t::CAPTURE_SHA256, &c.sha256.to_string(), Role::Muted)].concat()
    }

    fn file(&self, f: &FileFacts) -> Vec<Line<'static>> {
        let owner = f.owner.as_ref().map(|o| format!("{o} ")).unwrap_or_default();
        [
            self.say(t::SIZE, &t::BYTES.with(self.app.lang, &[&f.size])),
            self.say(t::OWNER, &format!("{owner}(uid {}, gid {})", f.uid, f.gid)),
            self.say(t::MODE, &format!("{} ({:04o})", permissions(f.mode), f.mode & 0o7777)),
            self.say(t::MODIFIED, &shown(f.modified)),
        ]
        .concat()
    }

    fn process(&self, process: Option<&Process>) -> Vec<Line<'static>> {
        let Some(p) = process else {
            return self.say(t::PROCESS, self.app.say(t::PROCESS_UNKNOWN));
        };
        let exe = p.exe.as_ref().map(|e| format!(" {e}")).unwrap_or_default();
        let parent = p.parent.map(|id| format!(" ({})", t::PARENT.with(self.app.lang, &[&id])));
        let user = match (&p.user, p.uid) {
            (Some(name), Some(uid)) => Some(format!("{name} (uid {uid})")),
            (Some(name), None) => Some(name.to_string()),
            (None, uid) => uid.map(|uid| format!("uid {uid}")),
        };
        [
            self.say(t::PROCESS, &format!("{}{exe}{}", p.pid, parent.unwrap_or_default())),
            self.say_some(t::COMMAND, p.command.as_ref()),
            self.say_some(t::USER, user),
            self.say_some(t::STARTED, p.started.map(shown)),
            self.say_some(t::LINEAGE, p.lineage()),
            self.say_some(t::CONTAINER, self.container(p)),
        ]
        .concat()
    }

    fn story(&self, a: &Alert) -> Option<String> {
        let owner = a.process.as_ref().or(a.flow.as_ref().and_then(|flow| flow.process.as_deref()));
        owner.and_then(Process::story).map(|told| told.get(self.app.lang).to_owned())
    }

    fn container(&self, p: &Process) -> Option<String> {
        let own_mounts = p.own_mounts.then(|| self.app.say(t::OWN_MOUNTS).to_owned());
        let parts: Vec<String> = p.container.iter().map(ToString::to_string).chain(own_mounts).collect();
        (!parts.is_empty()).then(|| parts.join(" – "))
    }

    fn flow(&self, f: &FlowFacts) -> Vec<Line<'static>> {
        let direction = match f.direction {
            Direction::ToServer => t::TO_SERVER,
            Direction::ToClient => t::TO_CLIENT,
        };
        [
            self.ends(f),
            self.say(t::DIRECTION, self.app.say(direction)),
            self.say_some(t::NAME, f.name.as_ref()),
            f.url.as_ref().map(|u| self.data(t::URL, &u.to_string(), Role::Strong)).unwrap_or_default(),
            f.listed.as_ref().map(|l| self.data(t::LISTED, &l.to_string(), Role::Strong)).unwrap_or_default(),
            self.say_some(t::INTERFACE, Some(&f.interface).filter(|name| !name.raw().is_empty())),
            self.say_some(t::VLAN, f.vlans()),
            self.say_some(t::TUNNEL, f.tunnel.as_ref()),
            f.process.as_ref().map(|p| self.process(Some(p))).unwrap_or_default(),
        ]
        .concat()
    }

    fn ends(&self, f: &FlowFacts) -> Vec<Line<'static>> {
        let carried = f.application.name().map(|name| format!(" {name}")).unwrap_or_default();
        self.say(t::FLOW, &format!("{}{carried} {} → {}", f.transport.name(), f.client, f.server))
    }

    fn times(&self, a: &Alert) -> Vec<Line<'static>> {
        [
            self.say(t::FIRST_SEEN, &shown(a.first_seen)),
            self.say(t::LAST_SEEN, &shown(a.last_seen)),
            self.say(t::RECEIVED, &shown(a.received)),
            self.say(t::COUNT, &a.count.to_string()),
        ]
        .concat()
    }
}

/// Writes permission bits as `ls` does: `rwsr-xr-t`.
fn permissions(mode: u32) -> String {
    let triple = |shift: u32, special: u32, sign: [char; 2]| {
        let bits = mode >> shift;
        let last = match (bits & 1 != 0, mode & special != 0) {
            (true, true) => sign[0],
            (false, true) => sign[1],
            (true, false) => 'x',
            (false, false) => '-',
        };
        [if bits & 4 != 0 { 'r' } else { '-' }, if bits & 2 != 0 { 'w' } else { '-' }, last]
    };
    let groups =
        [triple(6, 0o4000, ['s', 'S']), triple(3, 0o2000, ['s', 'S']), triple(0, 0o1000, ['t', 'T'])];
    groups.iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_in_a_listing() {
        assert_eq!(permissions(0o100644), "rw-r--r--");
        assert_eq!(permissions(0o104755), "rwsr-xr-x");
        assert_eq!(permissions(0o041777), "rwxrwxrwt");
    }
}
