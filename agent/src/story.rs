//! Joins what was found about one process: the files that it wrote, and where it connected to. A bounded memory of what
//! processes did lately; a process is known again by its id and by when it was started.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use khien_core::{
    Timestamp, Untrusted,
    detection::{Detection, Subject},
    event::{Act, Did, Process},
    protocol::Report,
    time::SignedDuration,
};

use crate::scan::recent::Recent;

/// Processes of which is remembered what they did.
const REMEMBERED: usize = 8_192;
/// Of writing and of connecting so many are remembered: the newest.
const OF_EACH: usize = 2;
/// What lies further apart is not told in one breath.
const TOGETHER: SignedDuration = SignedDuration::from_mins(10);

/// By its id and its start: the id may be another's later.
type Key = (u32, Timestamp);

/// What processes did lately.
#[derive(Debug, Clone)]
pub(crate) struct Stories(Arc<Mutex<Recent<Key, Vec<Act>>>>);

impl Default for Stories {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Recent::new(REMEMBERED))))
    }
}

impl Stories {
    /// Notes that a process opened a connection.
    pub(crate) fn connected(
        &self,
        process: &Process,
        server: SocketAddr,
        name: Option<&Untrusted>,
        at: Timestamp,
    ) {
        self.note(process, Act { at, did: Did::connected(server, name) });
    }

    /// Adds to what was found what else its process did; a file that was found is remembered.
    pub(crate) fn tell(&self, report: &mut Report) {
        let Report::Detection(detection) = report else { return };
        let Detection { at, subject, .. } = &mut **detection;
        let (process, path) = match subject {
            Subject::File(file) => (file.process.as_mut(), Some(&file.path)),
            Subject::Conduct(conduct) => (conduct.process.as_mut(), Some(&conduct.path)),
            Subject::Flow(flow) => (flow.flow.process.as_deref_mut(), None),
            Subject::Process(_) | Subject::Traffic(_) | Subject::Agent(_) => (None, None),
        };
        let Some(process) = process else { return };
        if let Some(path) = path {
            self.note(process, Act { at: *at, did: Did::wrote(path) });
        }
        process.acts = self.of(process, *at);
    }

    fn note(&self, process: &Process, act: Act) {
        let Some(key) = key(process) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut acts = known.get(&key).cloned().unwrap_or_default();
        if let Some(before) = acts.iter_mut().find(|before| is_same(&before.did, &act.did)) {
            // Under which name is learnt later than to whom.
            if !matches!(act.did, Did::Connected { name: None, .. }) {
                before.did = act.did;
                known.put(key, acts);
            }
            return;
        }
        let is_alike = |other: &Act| is_write(other) == is_write(&act);
        if acts.iter().filter(|other| is_alike(other)).count() >= OF_EACH
            && let Some(oldest) = acts.iter().position(is_alike)
        {
            acts.remove(oldest);
        }
        acts.push(act);
        acts.sort_by_key(|act| act.at);
        known.put(key, acts);
    }

    /// Returns what a process did around a moment, the oldest first.
    pub(crate) fn of(&self, process: &Process, at: Timestamp) -> Vec<Act> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let acts = key(process).and_then(|key| known.get(&key)).into_iter().flatten();
        acts.filter(|act| at.duration_since(act.at).abs() <= TOGETHER).cloned().collect()
    }
}

fn key(process: &Process) -> Option<Key> {
    process.started.map(|started| (process.pid, started))
}

/// Tells whether one is the other, of which perhaps less was known.
fn is_same(before: &Did, now: &Did) -> bool {
    match (before, now) {
        (Did::Connected { server, name }, Did::Connected { server: again, name: named }) => {
            server == again && (name == named || name.is_none() || named.is_none())
        }
        _ => before == now,
    }
}

fn is_write(act: &Act) -> bool {
    matches!(act.did, Did::Wrote { .. })
}

#[cfg(test)]
mod tests {
    use khien_core::{
        Sha256,
        detection::{FileSubject, FlowSubject},
        event::{Application, Direction, FileFacts, FlowFacts, Inside, MAX_ACTS, Transport},
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + second).unwrap()
    }

    fn php(started: i64) -> Process {
        let exe = Some("/usr/sbin/php-fpm".into());
        Process { exe, started: Some(at(started)), ..Process::unknown(812) }
    }

    fn found(second: i64, subject: Subject) -> Report {
        let rule = "webshell.php.test".parse().unwrap();
        Report::Detection(Box::new(Detection { rule, at: at(second), pack: 1, subject }))
    }

    fn file(second: i64, path: &str, process: Process) -> Report {
        let file = FileFacts {
            size: 1,
            mode: 0o100_644,
            uid: 33,
            gid: 33,
            owner: None,
            modified: at(second),
            inside: Inside::default(),
        };
        let (path, process) = (path.into(), Some(process));
        let sha256 = Sha256([1; 32]);
        found(second, Subject::File(FileSubject { path, sha256, file, process, excerpts: Vec::new() }))
    }

    fn flow(second: i64, process: Process) -> Report {
        let flow = FlowFacts {
            transport: Transport::Tcp,
            client: "192.0.2.1:5000".parse().unwrap(),
            server: "203.0.113.7:443".parse().unwrap(),
            direction: Direction::ToServer,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            application: Application::Tls,
            name: None,
            url: None,
            listed: None,
            process: Some(Box::new(process)),
        };
        found(second, Subject::Flow(FlowSubject { flow, excerpts: Vec::new() }))
    }

    fn told(stories: &Stories, mut report: Report) -> Option<String> {
        stories.tell(&mut report);
        let Report::Detection(detection) = report else { panic!("no detection") };
        let process = match detection.subject {
            Subject::File(file) => file.process,
            Subject::Flow(flow) => flow.flow.process.map(|process| *process),
            _ => None,
        };
        assert!(process.as_ref().unwrap().acts.len() <= MAX_ACTS);
        process.unwrap().story().map(|words| words.en)
    }

    fn server() -> SocketAddr {
        "203.0.113.7:443".parse().unwrap()
    }

    #[test]
    fn a_flow_of_a_process_that_wrote_a_bad_file_tells_both() {
        let stories = Stories::default();
        assert_eq!(told(&stories, file(0, "/srv/www/shell.php", php(-9))), None);
        stories.connected(&php(-9), server(), None, at(2));

        let told = told(&stories, flow(3, php(-9)));

        let both = "php-fpm(812) wrote /srv/www/shell.php, then connected to 203.0.113.7:443";
        assert_eq!(told.as_deref(), Some(both));
    }

    #[test]
    fn a_bad_file_of_a_process_that_connected_out_tells_both() {
        let stories = Stories::default();
        stories.connected(&php(-9), server(), None, at(0));

        let told = told(&stories, file(1, "/srv/www/shell.php", php(-9)));

        let both = "php-fpm(812) connected to 203.0.113.7:443, then wrote /srv/www/shell.php";
        assert_eq!(told.as_deref(), Some(both));
    }

    #[test]
    fn a_connection_whose_name_is_learnt_later_is_one_connection() {
        let stories = Stories::default();
        told(&stories, file(0, "/srv/www/shell.php", php(-9)));
        for name in [None, Some("c2.example".into()), None] {
            stories.connected(&php(-9), server(), name.as_ref(), at(1));
        }

        let told = told(&stories, flow(2, php(-9))).unwrap();

        assert!(told.ends_with("shell.php, then connected to 203.0.113.7:443 (c2.example)"), "{told}");
    }

    #[test]
    fn another_process_with_the_same_id_and_what_was_long_ago_are_left_out() {
        let stories = Stories::default();
        told(&stories, file(0, "/srv/www/shell.php", php(-9)));
        stories.connected(&php(5), server(), None, at(6));
        assert_eq!(told(&stories, flow(7, php(5))), None, "the id was given to another one");

        stories.connected(&php(-9), server(), None, at(3_600));
        assert_eq!(told(&stories, flow(3_601, php(-9))), None, "an hour lies between");
    }

    #[test]
    fn many_connections_do_not_crowd_the_file_out() {
        let stories = Stories::default();
        told(&stories, file(0, "/srv/www/shell.php", php(-9)));
        for port in 1..200 {
            stories.connected(&php(-9), SocketAddr::new(server().ip(), port), None, at(1));
        }

        let told = told(&stories, flow(2, php(-9))).unwrap();

        assert!(told.contains("wrote /srv/www/shell.php, then connected to 203.0.113.7:198, then"), "{told}");
    }
}
