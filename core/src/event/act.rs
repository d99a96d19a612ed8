//! What a process did shortly before and after something was found about it, so that one alert tells the whole of it:
//! `php-fpm(812) wrote /srv/www/shell.php, then connected to 203.0.113.7:443`.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize};

use super::Process;
use crate::{
    Timestamp, Untrusted,
    text::{Message, Words},
};

/// The most acts that are kept of a process.
pub const MAX_ACTS: usize = 4;
/// The longest path or name of an act; the rest is cut.
const MAX_TEXT: usize = 256;

/// Something that a process did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What a process did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Did {
    /// It wrote a file about which something was found.
    Wrote {
        /// The file.
        path: Untrusted,
    },
    /// It opened a connection.
    Connected {
        /// To whom.
        server: SocketAddr,
        /// Under which name, if one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Untrusted>,
    },
}

impl Did {
    /// Says that it wrote a file.
    #[must_use]
    pub fn wrote(path: &Untrusted) -> Self {
        Self::Wrote { path: cut(path) }
    }

    /// Says that it connected.
    #[must_use]
    pub fn connected(server: SocketAddr, name: Option<&Untrusted>) -> Self {
        Self::Connected { server, name: name.map(cut) }
    }

    fn words(&self) -> Words {
        match self {
            Self::Wrote { path } => WROTE.words_with(&[path]),
            Self::Connected { server, name: None } => CONNECTED.words_with(&[server]),
            Self::Connected { server, name: Some(name) } => CONNECTED_NAMED.words_with(&[server, name]),
        }
    }
}

fn cut(text: &Untrusted) -> Untrusted {
    Untrusted::cut(text.raw(), MAX_TEXT)
}

/// A hostile agent may send more, and longer ones.
pub(super) fn few<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Act>, D::Error> {
    let shorter = |act: Act| {
        let did = match act.did {
            Did::Wrote { path } => Did::wrote(&path),
            Did::Connected { server, name } => Did::connected(server, name.as_ref()),
        };
        Act { did, ..act }
    };
    let all = Vec::<Act>::deserialize(from)?;
    Ok(all.into_iter().take(MAX_ACTS).map(shorter).collect())
}

impl Process {
    /// Says what it did, one after the other; nothing if that is not more than one thing.
    #[must_use]
    pub fn story(&self) -> Option<Words> {
        let [first, then @ ..] = self.acts.as_slice() else { return None };
        let begin = || {
            let Words { vi, en } = first.did.words();
            Words { vi: format!("{} {vi}", self.short()), en: format!("{} {en}", self.short()) }
        };
        let next = |told: Words, act: &Act| THEN.words_with(&[&told, &act.did.words()]);
        (!then.is_empty()).then(|| then.iter().fold(begin(), next))
    }
}

const WROTE: Message = Message::new("ghi {}", "wrote {}");
const CONNECTED: Message = Message::new("kết nối tới {}", "connected to {}");
const CONNECTED_NAMED: Message = Message::new("kết nối tới {} ({})", "connected to {} ({})");
const THEN: Message = Message::new("{}, rồi {}", "{}, then {}");

#[cfg(test)]
mod tests {
    use super::*;

    fn php() -> Process {
        let at = "2026-11-23T07:00:00Z".parse().unwrap();
        let wrote = Act { at, did: Did::wrote(&"/srv/www/sh\u{1b}ell.php".into()) };
        let server = "203.0.113.7:443".parse().unwrap();
        let connected = Act { at, did: Did::connected(server, Some(&"c2.example".into())) };
        let acts = vec![wrote, connected];
        Process { exe: Some("/usr/sbin/php-fpm".into()), acts, ..Process::unknown(812) }
    }

    #[test]
    fn one_line_tells_what_a_process_did_and_hostile_names_stay_text() {
        let told = php().story().unwrap();

        assert_eq!(
            told.en,
            r"php-fpm(812) wrote /srv/www/sh\u{1b}ell.php, then connected to 203.0.113.7:443 (c2.example)"
        );
        assert!(told.vi.ends_with(", rồi kết nối tới 203.0.113.7:443 (c2.example)"), "{}", told.vi);
        let once = Process { acts: php().acts[..1].to_vec(), ..php() };
        assert_eq!(
            (once.story(), Process::unknown(7).story()),
            (None, None),
            "one act is in the alert itself"
        );
    }

    #[test]
    fn acts_survive_the_wire_and_more_or_longer_ones_are_cut() {
        let text = serde_json::to_string(&php()).unwrap();
        assert!(text.contains(r#""acts":[{"at":"2026-11-23T07:00:00Z","did":"wrote","path":"#), "{text}");
        assert_eq!(serde_json::from_str::<Process>(&text).unwrap(), php());

        let mut many = serde_json::to_value(php()).unwrap();
        let long =
            serde_json::json!({ "at": "2026-11-23T07:00:00Z", "did": "wrote", "path": "x".repeat(5_000) });
        many["acts"] = vec![long; 100].into();
        let read: Process = serde_json::from_value(many).unwrap();

        let is_short = |act: &Act| matches!(&act.did, Did::Wrote { path } if path.raw().len() == MAX_TEXT);
        assert!(read.acts.len() == MAX_ACTS && read.acts.iter().all(is_short));
    }
}
