//! What is scanned and found in tests, each in a flow of its own.

use khien_core::{
    Timestamp,
    detection::{Detection, FlowSubject, Subject},
    event::{Application, Direction, FlowFacts, Transport},
};
use khien_traffic::sink::{Content, Job, Origin};

use super::{MARK, eyes};

/// Returns a piece of a stream, in which the mark is found.
pub(in crate::capture) fn job_of(flow: u64) -> Job {
    Job { origin: Origin { flow, exchange: 0 }, facts: facts(), offset: 0, bytes: MARK.to_vec() }
}

/// Returns a file that was carried, a page in which nothing is found.
pub(in crate::capture) fn content(flow: u64) -> Content {
    let bytes = b"no more than a page".to_vec();
    Content {
        origin: Origin { flow, exchange: 0 },
        facts: facts(),
        ends: eyes::ends(flow, &facts()),
        direction: Direction::ToClient,
        name: Some("page.html".into()),
        content_type: None,
        size: bytes.len() as u64,
        bytes,
        whole: true,
    }
}

/// Returns what is found in a flow.
pub(in crate::capture) fn detection() -> Detection {
    let subject = Subject::Flow(FlowSubject { flow: facts(), excerpts: Vec::new() });
    Detection { rule: "test.mark".parse().unwrap(), at: Timestamp::UNIX_EPOCH, pack: 7, subject }
}

pub(in crate::capture) fn facts() -> FlowFacts {
    FlowFacts {
        transport: Transport::Tcp,
        client: "10.77.0.5:40000".parse().unwrap(),
        server: "203.0.113.7:80".parse().unwrap(),
        direction: Direction::ToServer,
        interface: "lo".into(),
        vlan: Vec::new(),
        tunnel: None,
        application: Application::Unknown,
        name: None,
        url: None,
        listed: None,
        process: None,
    }
}
