//! A process as it was when it did something: what it is, who started it, and where it runs.

use serde::{Deserialize, Deserializer, Serialize};

use super::act::{self, Act};
use crate::{Timestamp, Untrusted};

/// The most ancestors that are kept: the nearest ones.
pub const MAX_ANCESTORS: usize = 8;
/// The longest path of an ancestor's program and the longest command line of it in bytes; the rest is cut.
pub const MAX_ANCESTOR_TEXT: usize = 256;

/// A process, as captured when the event was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// The path of its program, if it was still there to ask.
    pub exe: Option<Untrusted>,
    /// Its command line, arguments separated by spaces, cut at 512 bytes.
    pub command: Option<Untrusted>,
    /// Its real user id.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<Untrusted>,
    /// The id of its parent.
    pub parent: Option<u32>,
    /// When it was started: another process that gets the same id later was started later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Who started it, the nearest first, at most [`MAX_ANCESTORS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nearest")]
    pub ancestors: Vec<Ancestor>,
    /// The container in which it runs, such as `docker:4f6c…`, as the name of its control group says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Untrusted>,
    /// Whether it sees other mounts than the agent: its own paths may mean other files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_mounts: bool,
    /// What else it did shortly before and after, the oldest first, at most [`MAX_ACTS`](super::MAX_ACTS).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "act::few")]
    pub acts: Vec<Act>,
}

/// A process from which another one comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its process id.
    pub pid: u32,
    /// The path of its program; none if it was gone.
    pub exe: Option<Untrusted>,
    /// Its command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Untrusted>,
}

impl Process {
    /// Returns a process of which only the id is known.
    #[must_use]
    pub fn unknown(pid: u32) -> Self {
        Self {
            pid,
            exe: None,
            command: None,
            uid: None,
            user: None,
            parent: None,
            started: None,
            ancestors: Vec::new(),
            container: None,
            own_mounts: false,
            acts: Vec::new(),
        }
    }

    /// Names it in a line: `php-fpm(812)`. A program that is not known is a question mark.
    #[must_use]
    pub fn short(&self) -> String {
        named(self.exe.as_ref(), self.pid)
    }

    /// Draws where it comes from, the oldest first: `sshd(812) › bash(900) › curl(1044)`. A program that is not known
    /// is a question mark. None if no ancestor is known.
    #[must_use]
    pub fn lineage(&self) -> Option<String> {
        if self.ancestors.is_empty() {
            return None;
        }
        let oldest_first = self.ancestors.iter().rev().map(|a| named(a.exe.as_ref(), a.pid));
        let all: Vec<String> = oldest_first.chain([named(self.exe.as_ref(), self.pid)]).collect();
        Some(all.join(" › "))
    }
}

impl Ancestor {
    /// Makes one, and cuts what is too long.
    #[must_use]
    pub fn new(pid: u32, exe: Option<Untrusted>, command: Option<Untrusted>) -> Self {
        Self { pid, exe: exe.map(short), command: command.map(short) }
    }
}

/// A hostile agent may send more, and longer ones.
fn nearest<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Ancestor>, D::Error> {
    let all = Vec::<Ancestor>::deserialize(from)?;
    Ok(all.into_iter().take(MAX_ANCESTORS).map(|a| Ancestor::new(a.pid, a.exe, a.command)).collect())
}

fn short(text: Untrusted) -> Untrusted {
    match text.raw().len() {
        ..=MAX_ANCESTOR_TEXT => text,
        _ => Untrusted::cut(text.raw(), MAX_ANCESTOR_TEXT),
    }
}

/// The last name of a program's path and the process id.
fn named(exe: Option<&Untrusted>, pid: u32) -> String {
    let name = exe.and_then(|exe| exe.raw().rsplit(|b| *b == b'/').next()).filter(|name| !name.is_empty());
    match name {
        Some(name) => format!("{}({pid})", Untrusted::new(name)),
        None => format!("?({pid})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"pid":812,"exe":"/usr/sbin/apache2","command":"apache2 -k start","uid":33,
        "user":"www-data","parent":1}"#;

    #[test]
    fn a_record_of_an_older_agent_still_parses_and_is_written_as_it_was() {
        let process: Process = serde_json::from_str(OLD).unwrap();

        assert_eq!((process.pid, process.parent), (812, Some(1)));
        assert_eq!((process.lineage(), process.started, process.own_mounts), (None, None, false));
        let (was, is): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(OLD).unwrap(), serde_json::to_value(&process).unwrap());
        assert_eq!(is, was);
    }

    #[test]
    fn a_lineage_is_drawn_from_the_oldest_and_what_is_gone_is_a_question_mark() {
        let ancestors = vec![
            Ancestor::new(900, Some("/usr/bin/ba\x1bsh".into()), None),
            Ancestor::new(812, Some("/usr/sbin/sshd".into()), None),
            Ancestor::new(700, None, None),
        ];
        let curl = Process { exe: Some("/usr/bin/curl".into()), ancestors, ..Process::unknown(1044) };

        let drawn = curl.lineage().unwrap();

        assert!(!drawn.contains('\x1b'), "{drawn}");
        assert!(drawn.starts_with("?(700) › sshd(812) › ba"), "{drawn}");
        assert!(drawn.ends_with("sh(900) › curl(1044)"), "{drawn}");
    }

    #[test]
    fn more_ancestors_than_any_agent_tells_are_cut_to_the_nearest() {
        let long = "x".repeat(5_000);
        let many: Vec<_> =
            (0..100).map(|pid| serde_json::json!({ "pid": pid, "exe": long, "command": long })).collect();
        let mut record: serde_json::Value = serde_json::from_str(OLD).unwrap();
        record["ancestors"] = many.into();

        let process: Process = serde_json::from_value(record).unwrap();

        assert_eq!(process.ancestors.len(), MAX_ANCESTORS);
        assert_eq!(process.ancestors[0].pid, 0);
        assert!(
            process.ancestors.iter().all(|a| a.exe.as_ref().unwrap().raw().len() <= MAX_ANCESTOR_TEXT + 8)
        );
    }

    #[test]
    fn what_is_told_of_a_process_survives_the_wire() {
        let process = Process {
            started: Some("2026-11-22T03:00:00Z".parse().unwrap()),
            ancestors: vec![Ancestor::new(1, Some("/sbin/init".into()), Some("init".into()))],
            container: Some("docker:4f6c".into()),
            own_mounts: true,
            ..Process::unknown(7)
        };

        let text = serde_json::to_string(&process).unwrap();

        assert_eq!(serde_json::from_str::<Process>(&text).unwrap(), process);
    }
}
