//! Many pages made in a short time. Pure.

use std::collections::VecDeque;

use khien_core::{
    Timestamp, Untrusted,
    conduct::{Behaviour, Deed, behaviour::MAX_EXAMPLES},
    time::SignedDuration,
};

use super::{hand::Hand, verdict::Verdict, web::Deeds};

/// Pages are counted over this time.
const WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// So many by the web server are too many.
pub(super) const BY_SERVER: usize = 200;
/// So many by anybody are too many, but for a tool that deploys.
pub(super) const BY_ANYBODY: usize = 2_000;

/// The pages of one root that were made lately.
#[derive(Debug, Default)]
pub(super) struct Pages {
    by_server: Made,
    by_anybody: Made,
}

#[derive(Debug, Default)]
struct Made {
    times: VecDeque<Timestamp>,
    examples: VecDeque<Untrusted>,
    /// Since they were too many.
    count: u64,
}

impl Pages {
    /// Counts a page.
    pub(super) fn made(&mut self, it: &Deeds<'_>) -> Option<Verdict> {
        let (made, limit) = match it.hand {
            Hand::Server => (&mut self.by_server, BY_SERVER),
            _ => (&mut self.by_anybody, BY_ANYBODY),
        };
        let (count, examples) = made.more(&it.activity.path, it.activity.at, limit)?;
        let deed = Deed::ManyPages { seconds: WITHIN.as_secs().unsigned_abs() };
        Some(Verdict {
            path: Untrusted::new(it.root),
            behaviour: Behaviour { deed, count, examples },
            file: None,
            sha256: None,
            process: it.activity.process.as_deref().cloned(),
        })
    }
}

impl Made {
    fn more(&mut self, path: &Untrusted, at: Timestamp, limit: usize) -> Option<(u64, Vec<Untrusted>)> {
        self.times.push_back(at);
        self.examples.push_back(path.clone());
        if self.examples.len() > MAX_EXAMPLES {
            self.examples.pop_front();
        }
        while self.times.front().is_some_and(|old| at.duration_since(*old) > WITHIN) {
            self.times.pop_front();
        }
        if self.times.len() <= limit {
            self.count = self.times.len() as u64;
            return None;
        }
        // So the memory is bounded.
        self.times.pop_front();
        self.count += 1;
        Some((self.count, self.examples.iter().cloned().collect()))
    }
}
