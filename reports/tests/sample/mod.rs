//! A made-up incident with hostile names, for tests and for the example.

use std::collections::BTreeMap;

use khien_core::{
    AgentId, AlertId, IncidentId, Nonce, OrderId, RunId, Severity, Sha256, Timestamp, Untrusted,
    alert::{Alert, Status, Verdict},
    event::{Application, Direction, Excerpt, FileFacts, FlowFacts, Transport},
    evidence::{Custody, CustodyAction, Evidence, Origin},
    incident::{Entry, EntryKind, Incident, IncidentStatus},
    order::Outcome,
    run::{Run, RunState, RunSummary, StepProgress, StepState, TargetResult},
    text::Words,
};
use khien_reports::{Answers, Case, Organization, Stage};

/// A file name that tries to leave XML, Markdown and typst, and to reorder and ring.
pub(crate) const NASTY: &[u8] =
    b"/srv/www/</w:t><evil a=\"'&]]>#panic(\"x\")*_$|\x1b]0;x\x07\x00\xe2\x80\xaefdp.php\xff\xef\xbf\xbf";

/// All that a case borrows.
pub(crate) struct Sample {
    pub(crate) incident: Incident,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) runs: Vec<Run>,
    pub(crate) organization: Organization,
    pub(crate) answers: Answers,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self {
            incident: incident(),
            alerts: vec![
                webshell(1, "/srv/www/tải lên/shell.php".as_bytes()),
                webshell(2, NASTY),
                lookup(),
                mistake(),
            ],
            runs: vec![run()],
            organization: organization(),
            answers: BTreeMap::new(),
        }
    }

    pub(crate) fn case(&self, stage: Stage) -> Case<'_> {
        Case {
            incident: &self.incident,
            alerts: &self.alerts,
            runs: &self.runs,
            organization: &self.organization,
            answers: &self.answers,
            stage,
            now: at("2026-11-22T09:30:00Z"),
        }
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment of the sample")
}

fn words(vi: &str, en: &str) -> Words {
    Words { vi: vi.to_owned(), en: en.to_owned() }
}

fn agent() -> AgentId {
    AgentId([7; 32])
}

fn organization() -> Organization {
    Organization::parse(
        r#"
        name = "Đội Ứng cứu sự cố an ninh mạng tỉnh"
        parent = "Ủy ban nhân dân tỉnh Đắk Lắk"
        place = "Đắk Lắk"
        copies = ["Như trên;", "UBND tỉnh (để báo cáo);", "Lưu: VT, ĐƯCSC."]
        [document]
        symbol = "BC-ĐƯCSC"
        [contact]
        name = "Trần Thị Hạnh"
        phone = "0262 3000 000"
        [signer]
        title = "Đội trưởng"
        name = "Nguyễn Hữu Ẩn"
        [system]
        owner = "Sở Khoa học và Công nghệ"
        name = "Cổng thông tin điện tử tỉnh"
        level = "3"
        "#,
    )
    .expect("the sample's organization")
}

fn incident() -> Incident {
    Incident {
        id: IncidentId { year: 2026, number: 7 },
        title: Words::same("Webshell trên cổng thông tin \u{202e}<b>"),
        status: IncidentStatus::Open,
        severity: Severity::Critical,
        agencies: vec!["Sở Khoa học và Công nghệ".to_owned()],
        detected: at("2026-11-22T03:07:00Z"),
        opened: at("2026-11-22T03:20:11.250Z"),
        opened_by: "hanh".to_owned(),
        alerts: vec![AlertId(1), AlertId(2), AlertId(3), AlertId(4)],
        timeline: vec![Entry {
            at: at("2026-11-22T03:21:00Z"),
            who: "hanh".to_owned(),
            kind: EntryKind::Note,
            text: Words::same("Gọi quản trị viên"),
        }],
        evidence: vec![evidence()],
        runs: vec![RunSummary { id: RunId([1; 16]), playbook: "webshell".to_owned(), state: RunState::Done }],
        revision: 9,
    }
}

fn evidence() -> Evidence {
    let sha256 = Sha256::of(b"shell");
    let custody = |when, who: &str, action| Custody {
        at: at(when),
        who: who.to_owned(),
        action,
        tool: "khien-agent 0.1.0".to_owned(),
        sha256,
        late: false,
    };
    Evidence {
        sha256,
        size: 5,
        path: "/srv/www/tải lên/shell.php".into(),
        origin: Origin::Taken { agent: agent(), host: "web-01".into(), order: OrderId([2; 16]) },
        incident: IncidentId { year: 2026, number: 7 },
        custody: vec![
            custody("2026-11-22T03:25:00Z", "agent web-01", CustodyAction::Collected),
            custody("2026-11-22T03:25:01Z", "hub", CustodyAction::Received),
        ],
    }
}

fn webshell(id: i64, path: &[u8]) -> Alert {
    let mut alert = alert(id, "webshell.php.eval_request", words("Webshell PHP", "PHP webshell"));
    alert.path = Some(Untrusted::new(path));
    alert.sha256 = Some(Sha256::of(if id == 1 { b"shell" } else { b"other" }));
    alert.file = Some(FileFacts {
        inside: khien_core::event::Inside::default(),
        size: 5,
        mode: 0o100_644,
        uid: 33,
        gid: 33,
        owner: Some("www-data".into()),
        modified: at("2026-11-22T03:06:59Z"),
    });
    alert
}

fn lookup() -> Alert {
    let mut alert = alert(3, "c2.domains", words("Hỏi tên miền độc hại", "Malicious name asked for"));
    alert.flow = Some(FlowFacts {
        transport: Transport::Udp,
        client: "10.1.2.3:50123".parse().expect("an address"),
        server: "[2001:db8::53]:53".parse().expect("an address"),
        direction: Direction::ToServer,
        interface: "eth0".into(),
        vlan: Vec::new(),
        tunnel: None,
        application: Application::Dns,
        name: Some("C2.evil.example".into()),
        url: None,
        listed: None,
        process: None,
    });
    alert
}

fn mistake() -> Alert {
    let mut alert = webshell(4, b"/srv/www/an-toan.php");
    alert.verdict = Some(Verdict::FalsePositive);
    alert
}

fn alert(id: i64, rule: &str, title: Words) -> Alert {
    Alert {
        id: AlertId(id),
        rule: rule.parse().expect("a rule of the sample"),
        title,
        severity: Severity::Critical,
        status: Status::Acknowledged,
        verdict: None,
        reason: None,
        by: None,
        agent: agent(),
        host: "web-01".into(),
        agency: "Sở Khoa học và Công nghệ".to_owned(),
        capture: None,
        path: None,
        sha256: None,
        file: None,
        process: None,
        flow: None,
        flows: Vec::new(),
        what: None,
        also: Default::default(),
        diff: None,
        excerpts: vec![Excerpt {
            offset: 0,
            before: "".into(),
            matched: "SECRET-EXCERPT".into(),
            after: "".into(),
        }],
        technique: Some("T1505.003".to_owned()),
        explanation: words("Kẻ tấn công chạy lệnh qua web.", "An attacker runs commands over the web."),
        next_step: words("Giữ tệp làm chứng cứ.", "Keep the file as evidence."),
        first_seen: at("2026-11-22T03:07:00Z"),
        last_seen: at("2026-11-22T03:09:00Z"),
        received: at("2026-11-22T03:07:00.400Z"),
        count: 3,
        incident: Some(IncidentId { year: 2026, number: 7 }),
        revision: 1,
    }
}

fn run() -> Run {
    let result = TargetResult {
        agent: agent(),
        path: "/srv/www/tải lên/shell.php".into(),
        outcome: Outcome::Done { evidence: None },
        at: at("2026-11-22T03:26:00Z"),
    };
    let step = |id: &str, title: Words, state, results| StepProgress {
        step: id.parse().expect("a step of the sample"),
        title,
        state,
        results,
    };
    Run {
        id: RunId([1; 16]),
        playbook: "webshell".to_owned(),
        playbook_hash: Sha256::of(b"playbook"),
        incident: IncidentId { year: 2026, number: 7 },
        state: RunState::Running,
        targets: Vec::new(),
        steps: vec![
            step(
                "preserve",
                words("Giữ tệp làm chứng cứ", "Preserve the file"),
                StepState::Done,
                vec![result],
            ),
            step("quarantine", words("Cách ly tệp", "Quarantine the file"), StepState::Active, Vec::new()),
        ],
        waiting_for: None,
        can_undo: false,
        started_by: Nonce([0; 16]).short(),
        started: at("2026-11-22T03:24:00Z"),
    }
}
