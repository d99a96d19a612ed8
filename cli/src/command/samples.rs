//! Values that the tests of the commands draw.

use std::net::SocketAddr;

use khien_core::{
    AgentId, OrderId, RunId, Severity, Sha256, Untrusted,
    alert::{Alert, Status},
    api::OrderedScan,
    asset::{Agent, Coverage, Health, Presence, ScanProgress, Sensor, Sight, WalkProgress},
    capture::Capture,
    detection::{Pattern, TrafficSubject, builtin},
    event::{
        Ancestor, Application, Direction, Excerpt, FileFacts, FlowFacts, Process, ScanOutcome, Transport,
    },
    incident::{Entry, EntryKind, Incident, IncidentStatus},
    order::{FileTarget, Outcome, ScanScope, ScanTarget, ScanTotals},
    reason::Reason,
    run::{Run, RunState, RunSummary, StepProgress, StepState, Target, TargetResult},
    text::{Words, builtin::builtin_rule},
    traffic::{Tunnel, TunnelKind},
};

fn at(text: &str) -> khien_core::Timestamp {
    text.parse().unwrap()
}

fn words(vi: &str, en: &str) -> Words {
    Words { vi: vi.to_owned(), en: en.to_owned() }
}

pub(crate) fn file_alert() -> Alert {
    Alert {
        id: "A-1".parse().unwrap(),
        rule: "webshell.php.eval_request".parse().unwrap(),
        title: words("Webshell PHP", "PHP web shell"),
        severity: Severity::Critical,
        status: Status::New,
        verdict: None,
        reason: None,
        by: None,
        agent: AgentId([1; 32]),
        host: Untrusted::from("web1"),
        agency: "Sở Y tế".to_owned(),
        capture: None,
        path: Some(Untrusted::from("/srv/www/a.php")),
        sha256: Some(Sha256([2; 32])),
        file: Some(FileFacts {
            inside: khien_core::event::Inside::default(),
            size: 31,
            mode: 0o100_644,
            uid: 33,
            gid: 33,
            owner: Some(Untrusted::from("www-data")),
            modified: at("2026-11-22T03:00:00Z"),
        }),
        process: Some(Process {
            pid: 812,
            exe: Some(Untrusted::from("/usr/sbin/apache2")),
            command: Some(Untrusted::from("apache2 -k start")),
            uid: Some(33),
            user: Some(Untrusted::from("www-data")),
            parent: Some(700),
            started: Some(at("2026-11-20T01:00:00Z")),
            ancestors: vec![
                Ancestor::new(700, Some(Untrusted::from("/usr/sbin/apache2")), None),
                Ancestor::new(1, Some(Untrusted::from("/usr/lib/systemd/systemd")), None),
            ],
            container: Some(Untrusted::from("docker:4f6c0a1b2c3d")),
            own_mounts: true,
            acts: Vec::new(),
        }),
        flow: None,
        flows: Vec::new(),
        what: None,
        also: Default::default(),
        diff: None,
        excerpts: vec![Excerpt {
            offset: 6,
            before: Untrusted::from("<?php "),
            matched: Untrusted::from("noop($_POST['x\x1b[2J'])"),
            after: Untrusted::from(";"),
        }],
        technique: Some("T1505.003".to_owned()),
        explanation: words("Tệp chạy mã gửi từ ngoài.", "The file runs code sent from outside."),
        next_step: words(
            "Mở sự cố và chạy kịch bản webshell.",
            "Open an incident and run playbook webshell.",
        ),
        first_seen: at("2026-11-22T03:00:01Z"),
        last_seen: at("2026-11-22T03:05:01Z"),
        received: at("2026-11-22T03:00:02Z"),
        count: 2,
        incident: None,
        revision: 2,
    }
}

pub(crate) fn flow_alert() -> Alert {
    Alert {
        id: "A-12".parse().unwrap(),
        rule: "indicator.domain.c2".parse().unwrap(),
        title: words("Tên miền điều khiển", "Control server name"),
        severity: Severity::High,
        status: Status::Acknowledged,
        by: Some("thu".to_owned()),
        path: None,
        sha256: None,
        file: None,
        process: None,
        excerpts: Vec::new(),
        flow: Some(FlowFacts {
            transport: Transport::Udp,
            client: "[2001:db8::7]:40112".parse().unwrap(),
            server: "192.0.2.53:53".parse().unwrap(),
            direction: Direction::ToServer,
            interface: Untrusted::from("eth0"),
            vlan: Vec::new(),
            tunnel: None,
            application: Application::Dns,
            name: Some(Untrusted::from("c2.example")),
            url: None,
            listed: None,
            process: None,
        }),
        technique: Some("T1071".to_owned()),
        count: 1,
        ..file_alert()
    }
}

/// Returns an alert about a file that was carried in a file of packets.
pub(crate) fn capture_alert() -> Alert {
    let capture = Capture { name: Untrusted::from("mirror\u{1b}[2J.pcapng"), sha256: Sha256([9; 32]) };
    let flow = flow_alert().flow.map(|flow| FlowFacts { interface: Untrusted::none(), ..flow });
    Alert {
        id: "A-30".parse().unwrap(),
        agent: AgentId::NONE,
        host: capture.name.clone(),
        capture: Some(capture),
        path: Some(Untrusted::from("a.php")),
        sha256: Some(Sha256([8; 32])),
        flow,
        ..flow_alert()
    }
}

/// Returns an alert about how traffic goes, with two flows.
pub(crate) fn traffic_alert() -> Alert {
    let flow = |port: u16, process| FlowFacts {
        transport: Transport::Tcp,
        client: SocketAddr::new([10, 0, 0, 5].into(), port),
        server: "203.0.113.7:443".parse().unwrap(),
        direction: Direction::ToServer,
        interface: Untrusted::from("eth0"),
        vlan: Vec::new(),
        tunnel: None,
        application: Application::Tls,
        name: Some(Untrusted::from("c2.example")),
        url: None,
        listed: None,
        process,
    };
    let process = Process { exe: Some(Untrusted::from("/tmp/.x")), ..Process::unknown(4242) };
    let subject = TrafficSubject {
        what: Pattern::Beacon {
            times: 20,
            period_ms: 60_000,
            jitter_percent: 3,
            bytes: 310,
            seconds: 1_140,
            score: 97,
        },
        client: [10, 0, 0, 5].into(),
        server: Some([203, 0, 113, 7].into()),
        service: Some("443/tcp".parse().unwrap()),
        name: Some(Untrusted::from("c2.example")),
        flows: Vec::new(),
    };
    let (from, to) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let tunnel = Tunnel { kind: TunnelKind::Vxlan, from, to, id: Some(5_000) };
    let words = builtin_rule(builtin::NET_BEACON).unwrap();
    Alert {
        id: "A-13".parse().unwrap(),
        rule: builtin::NET_BEACON.parse().unwrap(),
        title: words.title.words(),
        severity: words.severity,
        explanation: words.explanation.words(),
        next_step: words.next_step.words(),
        technique: words.technique.map(str::to_owned),
        flow: Some(FlowFacts {
            vlan: vec![20, 30],
            tunnel: Some(Box::new(tunnel)),
            ..flow(40_112, Some(Box::new(process)))
        }),
        flows: vec![flow(40_110, None)],
        what: Some(subject.words()),
        ..flow_alert()
    }
}

pub(crate) fn run() -> Run {
    let target = Target {
        agent: AgentId([1; 32]),
        file: FileTarget { path: Untrusted::from("/srv/www/a.php"), sha256: Sha256([2; 32]) },
    };
    let step = |id: &str, vi: &str, en: &str, state, results| StepProgress {
        step: id.parse().unwrap(),
        title: words(vi, en),
        state,
        results,
    };
    let preserved = TargetResult {
        agent: target.agent,
        path: target.file.path.clone(),
        outcome: Outcome::Done { evidence: None },
        at: at("2026-11-22T03:10:01Z"),
    };
    Run {
        id: RunId([0xab; 16]),
        playbook: "webshell".to_owned(),
        playbook_hash: Sha256([4; 32]),
        incident: incident_id(),
        state: RunState::WaitingForApproval,
        targets: vec![target],
        steps: vec![
            step("preserve", "Lưu tệp", "Preserve the file", StepState::Done, vec![preserved]),
            step("approve", "Phê duyệt", "Approve", StepState::Active, Vec::new()),
            step("quarantine", "Cách ly", "Quarantine", StepState::Pending, Vec::new()),
        ],
        waiting_for: Some("approve".parse().unwrap()),
        can_undo: false,
        started_by: "thu".to_owned(),
        started: at("2026-11-22T03:10:00Z"),
    }
}

fn incident_id() -> khien_core::IncidentId {
    "SC-2026-0001".parse().unwrap()
}

pub(crate) fn incident() -> Incident {
    let entry = |time: &str, who: &str, kind, text: &str| Entry {
        at: at(time),
        who: who.to_owned(),
        kind,
        text: Words::same(text),
    };
    Incident {
        id: incident_id(),
        title: Words::same("Webshell trên cổng thông tin"),
        status: IncidentStatus::Open,
        severity: Severity::Critical,
        agencies: vec!["Sở Y tế".to_owned()],
        detected: at("2026-11-22T03:00:01Z"),
        opened: at("2026-11-22T03:09:00Z"),
        opened_by: "thu".to_owned(),
        alerts: vec!["A-1".parse().unwrap()],
        timeline: vec![
            entry(
                "2026-11-22T03:00:01Z",
                "agent web1",
                EntryKind::Detected,
                "A-1 Webshell PHP /srv/www/a.php",
            ),
            entry("2026-11-22T03:09:00Z", "thu", EntryKind::Opened, ""),
            entry("2026-11-22T03:09:30Z", "thu", EntryKind::Note, "đã gọi quản trị\n\u{202e}evil"),
        ],
        evidence: Vec::new(),
        runs: vec![RunSummary {
            id: run().id,
            playbook: "webshell".to_owned(),
            state: RunState::WaitingForApproval,
        }],
        revision: 7,
    }
}

pub(crate) fn agent() -> Agent {
    let coverage = |sensor, scope: &str, backend: &str, sight, reason| Coverage {
        sensor,
        scope: Untrusted::from(scope),
        backend: backend.to_owned(),
        sight,
        reason,
    };
    Agent {
        id: AgentId([1; 32]),
        host: Untrusted::from("web1"),
        agency: "Sở Y tế".to_owned(),
        os: Untrusted::from("Debian 12, Linux 6.18"),
        version: "0.1.0".to_owned(),
        presence: Presence::Online,
        last_seen: at("2026-11-22T03:11:00Z"),
        health: Health {
            coverage: vec![
                coverage(
                    Sensor::File,
                    "/srv/www",
                    "notify",
                    Sight::Reduced,
                    Some(Reason::WriterUnknown { because: Box::new(Reason::FanotifyOff) }),
                ),
                coverage(Sensor::Network, "lo", "af_packet", Sight::Full, None),
            ],
            backlog: 3,
            pack: 1,
            ..Health::default()
        },
    }
}

/// The same with a walk and an ordered scan that go on.
pub(crate) fn busy_agent() -> Agent {
    let mut agent = agent();
    let scan = ordered_scan();
    let outcomes = [(ScanOutcome::Matched, 2), (ScanOutcome::Clean, 310), (ScanOutcome::TooLarge, 1)].into();
    let totals =
        ScanTotals { outcomes: [(ScanOutcome::Clean, 12)].into(), known: 30, ..ScanTotals::default() };
    let (path, since, until) = ("/opt/cong-van".into(), scan.asked, scan.until);
    agent.health.scans = outcomes;
    agent.health.wires = vec![khien_core::asset::Wire {
        interface: Untrusted::from("lo"),
        packets: 1_204,
        bytes: 9 << 20,
        kernel: 4,
        forgotten: 17,
        uncertain: khien_core::asset::Uncertain { conflicts: 3, unclaimed: 12, ..Default::default() },
        ..Default::default()
    }];
    agent.health.records = Some(khien_core::asset::RecordsState {
        since: Some(at("2026-11-01T00:00:00Z")),
        bytes: 200 << 20,
        limit: 256 << 20,
        days: 90,
        policy_days: 90,
        lasts_days: Some(27),
    });
    agent.health.scans_with_pack = [(ScanOutcome::Matched, 1), (ScanOutcome::Clean, 40)].into();
    agent.health.ordered = Some(ScanProgress { order: scan.order, path, since, until, totals });
    agent.health.walk = Some(WalkProgress {
        looked: 300,
        of: 1_200,
        scanned: 30,
        unread: 2,
        pack: 1,
        ends: Some(at("2026-11-22T03:20:00Z")),
        ..WalkProgress::begun(at("2026-11-22T03:08:00Z"))
    });
    agent
}

pub(crate) fn ordered_scan() -> OrderedScan {
    OrderedScan {
        order: OrderId([0xcd; 16]),
        agent: AgentId([1; 32]),
        host: Untrusted::from("web1"),
        target: ScanScope::Files(ScanTarget::new("/opt/cong-van".into(), 1_000, false).unwrap()),
        by: "thu".to_owned(),
        stopped_by: None,
        asked: at("2026-11-22T03:10:00Z"),
        until: at("2026-11-22T03:25:00Z"),
        progress: None,
        answer: None,
        ended: None,
    }
}

pub(crate) fn blind_alert() -> Alert {
    Alert {
        id: "A-9".parse().unwrap(),
        rule: "khien.sensor.blind".parse().unwrap(),
        what: Some(words("/srv/www: mất 5 sự kiện", "/srv/www: 5 events lost")),
        ..file_alert()
    }
}
