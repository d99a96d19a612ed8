//! `kill -9` of the hub and of the agent before each of their durable writes during a run: strace follows the program and
//! kills it before the n-th call of a kind, for n = 1, 2, … until a run passes unharmed. After each kill the program is
//! started again plainly, the run goes on, and at its end every step was done once.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    harness::{PATIENCE, Site, is_at, lines, web_shell},
    place::cannot_run,
};

/// More kills than any kind of call needs; a bound for a test that never ends.
const TOO_MANY: usize = 60;
/// Steps of the playbook: three of the agent and a person's yes forward, two of the agent back.
const STEPS: usize = 6;

/// The calls after which something is on disk or bears a name, and every how many of them the program is killed.
const HUB: [(&str, usize); 3] =
    [("fsync,fdatasync", 1), ("?rename,?renameat,?renameat2", 1), ("pwrite64", 13)];
const AGENT: [(&str, usize); 4] = [
    ("fsync,fdatasync", 1),
    ("?linkat", 1),
    ("?rename,?renameat,?renameat2", 1),
    ("?unlink,?unlinkat,?rmdir", 1),
];
/// Between two looks at a run, so that looking does not take the processor from what is looked at.
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn a_run_survives_a_kill_of_the_hub_before_each_durable_write() {
    survives("khien-hub", &HUB);
}

#[test]
fn a_run_survives_a_kill_of_the_agent_before_each_durable_write() {
    survives("khien-agent", &AGENT);
}

fn survives(victim: &str, calls: &[(&str, usize)]) {
    let site = Site::new();
    let mut case = 0;
    let incidents = prepared(&site);
    let mut house = House::open(&site);
    for (call, every) in calls {
        let mut kills = 0;
        for n in (1..).step_by(*every).take(TOO_MANY) {
            let incident = &incidents[case];
            case += 1;
            house.renew_agent();
            let Some(hunter) = Hunter::set_on(&house, victim, call, n) else { return };
            let run = house.run_through(incident);
            let killed = house.was_killed(victim, hunter);
            house.check(incident, &run);
            if !killed {
                break;
            }
            kills += 1;
        }
        assert!(kills > 0, "{victim} was never killed before {call}");
        eprintln!("{victim} was killed {kills} times before {call}");
    }
    house.check_all(case);
}

/// An incident and the file it is about.
struct Incident {
    id: String,
    name: String,
}

/// Sets everything up as a person does, and opens an incident for each kill that may come.
fn prepared(site: &Site) -> Vec<Incident> {
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let names: Vec<_> = (0..TOO_MANY).map(|n| format!("shell-{n}.php")).collect();
    names.iter().for_each(|name| drop(site.write(name, &web_shell(name))));
    let open = |name: String| {
        let path = site.web.join(&name);
        let alert = up.alert(&format!("alert for {name}"), |a| is_at(a, &path));
        let incident = site.json(&["incident", "open", alert["id"].as_str().unwrap()]);
        Incident { id: incident["id"].as_str().unwrap().to_owned(), name }
    };
    let incidents = names.into_iter().map(open).collect();
    assert_eq!(up.stop(), 0);
    // Nothing is scanned from here on, and an agent that has rules compiles them at each start.
    let store = Connection::open(site.home.join("hub/hub.sqlite")).unwrap();
    assert_eq!(store.execute("DELETE FROM pack", []).unwrap(), 1);
    fs::remove_file(site.home.join("agent/pack.json")).unwrap();
    incidents
}

/// Hub and agent, each started again at once when it was killed.
struct House<'a> {
    site: &'a Site,
    hub: Part,
    agent: Part,
}

impl<'a> House<'a> {
    fn open(site: &'a Site) -> Self {
        let config = fs::read_to_string(site.home.join("khien.toml")).unwrap();
        let address =
            config.lines().find_map(|l| l.strip_prefix("hub = ")).unwrap().trim_matches('"').to_owned();
        let hub = Part::start(site, "khien-hub", &["--listen", &address]);
        let web = site.web.to_str().unwrap();
        let agent = Part::start(site, "khien-agent", &["--watch", web, "--no-network"]);
        Self { site, hub, agent }
    }

    fn part(&self, name: &str) -> &Part {
        if self.hub.name == name { &self.hub } else { &self.agent }
    }

    /// Works the case as a person does who asks again when there is no answer, and looks first at what is done.
    fn run_through(&mut self, incident: &Incident) -> String {
        let id = incident.id.as_str();
        let run = self.until(&["playbook", "run", "webshell", "--incident", id, "--no-wait"], |house| {
            let runs = house.ask(&["run", "list"])?;
            let run = runs.as_array()?.iter().find(|r| r["incident"] == id)?;
            Some(run["id"].as_str()?.to_owned())
        });
        self.until(&["run", "approve", &run, "--yes", "--no-wait"], |house| {
            house.stands(&run, "done", "waiting_for_approval")
        });
        self.until(&["run", "undo", &run, "--yes", "--no-wait"], |house| {
            house.stands(&run, "undone", "done")
        });
        run
    }

    /// Does what has to be done until it is seen to be done.
    fn until<T>(&mut self, order: &[&str], is_done: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            self.keep_up();
            if let Some(done) = is_done(self) {
                return done;
            }
            // It may fail while the hub is away; whether it took is looked at next.
            let said = self.site.cli(order);
            assert!(begun.elapsed() < PATIENCE, "{order:?} was never done: {said:?}");
        }
    }

    /// Waits while the run is on its way; then tells whether it stands where it should.
    fn stands(&self, run: &str, wanted: &str, before: &str) -> Option<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let state = self.ask(&["run", "show", run])?["state"].as_str()?.to_owned();
            assert!(!state.contains("failed"), "{state}: {:?}", self.ask(&["run", "show", run]));
            if state == wanted {
                return Some(());
            }
            if state == before || self.agent.is_dead() {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
        None
    }

    fn ask(&self, args: &[&str]) -> Option<Value> {
        let (code, out, _) = self.site.cli(&[args, &["--json"]].concat());
        (code == 0).then(|| serde_json::from_str(&out).ok()).flatten()
    }

    /// Starts the agent anew: one that has lost its hub again and again waits ever longer before it asks again.
    fn renew_agent(&mut self) {
        self.agent.end();
        self.keep_up();
    }

    /// Starts again what was killed.
    fn keep_up(&mut self) {
        for part in [&mut self.hub, &mut self.agent] {
            if part.is_dead() {
                *part = part.again(self.site);
            }
        }
    }

    /// Calls the hunter off and tells whether it had killed.
    fn was_killed(&mut self, victim: &str, hunter: Hunter) -> bool {
        let alive = self.part(victim).pid() == hunter.prey && !self.part(victim).is_dead();
        drop(hunter);
        self.keep_up();
        !alive
    }

    /// Checks that every step was done once and the file is back.
    fn check(&self, incident: &Incident, run: &str) {
        let name = &incident.name;
        assert_eq!(fs::read_to_string(self.site.web.join(name)).unwrap(), web_shell(name));
        let shown = self.site.json(&["incident", "show", &incident.id]);
        let told =
            |kind: &str| shown["timeline"].as_array().unwrap().iter().filter(|e| e["kind"] == kind).count();
        let kinds =
            ["run_started", "approval_asked", "approved", "step_done", "undo_asked", "evidence_stored"];
        assert_eq!(kinds.map(told), [1, 1, 1, STEPS, 1, 1], "{shown}");
        assert_eq!(["step_failed", "note"].map(told), [0, 0], "{shown}");
        assert_eq!(shown["evidence"].as_array().unwrap().len(), 1, "{shown}");
        let custody = shown["evidence"][0]["custody"].as_array().unwrap();
        for action in ["ordered", "collected", "received"] {
            assert_eq!(custody.iter().filter(|c| c["action"] == action).count(), 1, "{shown}");
        }
        assert_eq!(self.site.json(&["run", "show", run])["state"], "undone");
    }

    /// Checks what no single run tells: each order was answered once, and nothing half done is left anywhere.
    fn check_all(self, runs: usize) {
        let Self { site, hub, agent } = self;
        let refused = site.json(&["alert", "list"]);
        let refused =
            refused.as_array().unwrap().iter().filter(|a| a["rule"] == "khien.order.refused").count();
        assert_eq!(refused, 0, "no order came twice");
        drop((agent, hub));
        let orders: i64 = Connection::open(site.home.join("hub/hub.sqlite"))
            .unwrap()
            .query_row("SELECT count(*) FROM orders WHERE receipt IS NOT NULL", [], |r| r.get(0))
            .unwrap();
        assert_eq!(usize::try_from(orders).unwrap(), runs * (STEPS - 1));
        for folder in ["agent/quarantine", "agent/evidence", "hub/incoming"] {
            let left: Vec<_> = fs::read_dir(site.home.join(folder)).unwrap().flatten().collect();
            assert!(left.is_empty(), "left in {folder}: {left:?}");
        }
    }
}

/// The hub or the agent, started plainly.
struct Part {
    name: &'static str,
    args: Vec<String>,
    child: std::cell::RefCell<Child>,
    /// Keeps the pipe open, so that a further line does not end the program.
    _stdout: BufReader<ChildStdout>,
}

impl Part {
    /// Starts it. A hub serves when this returns; an agent takes orders before it is ready to watch.
    fn start(site: &Site, name: &'static str, args: &[&str]) -> Self {
        let home = site.home.join(name.trim_start_matches("khien-"));
        let log = site.home.join("log").join(format!("{name}.direct.log"));
        let mut command = site.command(name);
        command.arg("run").arg("--home").arg(home).args(args).arg("--until-stdin-closes");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        if name == "khien-hub" {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert!(line.contains("ready"), "it did not start: {line}");
        }
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        Self { name, args, child: child.into(), _stdout: stdout }
    }

    fn again(&self, site: &Site) -> Self {
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        Self::start(site, self.name, &args)
    }

    fn pid(&self) -> u32 {
        self.child.borrow().id()
    }

    fn is_dead(&self) -> bool {
        self.child.borrow_mut().try_wait().unwrap().is_some()
    }
}

impl Part {
    fn end(&mut self) {
        let child = self.child.get_mut();
        child.kill().ok();
        child.wait().ok();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.end();
    }
}

/// strace, which follows a program and kills it before a call.
struct Hunter {
    strace: Child,
    prey: u32,
    _said: Receiver<String>,
}

impl Hunter {
    /// Returns when it follows every thread of its prey; none, said aloud, where that is not allowed.
    fn set_on(house: &House<'_>, victim: &str, call: &str, n: usize) -> Option<Self> {
        let prey = house.part(victim).pid();
        let mut strace = Command::new("setpriv");
        strace.args(["--pdeathsig", "KILL", "--", "strace", "-f", "-o", "/dev/null", "-e", "signal=none"]);
        strace.args(["-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
        strace.args(["-p", &prey.to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut strace = strace.spawn().unwrap();
        let said = lines(strace.stderr.take().unwrap(), |l| Some(l.to_owned()));
        let first = said.recv_timeout(PATIENCE).unwrap_or_default();
        let hunter = Self { strace, prey, _said: said };
        if first.contains("attached") {
            return Some(hunter);
        }
        assert!(["not permitted", "not implemented"].iter().any(|why| first.contains(why)), "{first}");
        cannot_run("no process may be followed");
        None
    }
}

impl Drop for Hunter {
    fn drop(&mut self) {
        // The kernel lets its prey go on when it dies. Asked to end, strace would wait for each thread to stop, and for ever
        // for one that waits until its child, which strace has stopped already, runs another program (vfork).
        self.strace.kill().ok();
        self.strace.wait().ok();
    }
}
