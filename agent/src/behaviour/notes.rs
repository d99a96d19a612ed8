//! Ransom notes: what one says, and in how many folders the same one lies. Pure; the text is hostile and only compared.

use std::collections::HashSet;

use khien_core::{Sha256, Timestamp, Untrusted, conduct::behaviour::MAX_EXAMPLES, time::SignedDuration};

use super::{actor::short, lru::Lru, names};

/// Different notes that are counted at once.
const MAX_NOTES: usize = 256;
/// Folders of one note that are counted.
const MAX_FOLDERS: usize = 1_024;
/// Those of one note are counted over this time.
const WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// More of a note is not read.
const MAX_READ: usize = 64 << 10;
/// Words for what was done.
const LOCKED: [&str; 9] =
    ["encrypt", "decrypt", "ransom", "locked", "mã hóa", "mã hoá", "giải mã", "ma hoa", "giai ma"];
/// Words for how to pay, and whom to ask for the price.
const PAY: [&str; 18] = [
    "bitcoin",
    "btc",
    "monero",
    ".onion",
    "tor browser",
    "torproject",
    "protonmail",
    "proton.me",
    "tutanota",
    "onionmail",
    "tox id",
    "qtox",
    "pay us",
    "payment",
    "chuộc",
    "thanh toán",
    "tien chuoc",
    "tiền ảo",
];

/// Notes by their names and what is in them.
#[derive(Debug)]
pub(super) struct Notes(Lru<(Vec<u8>, Sha256), Note>);

#[derive(Debug, Default)]
struct Note {
    first: Option<Timestamp>,
    folders: HashSet<u64>,
    examples: Vec<Untrusted>,
}

impl Default for Notes {
    fn default() -> Self {
        Self(Lru::new(MAX_NOTES))
    }
}

impl Notes {
    /// Takes a note. Returns in how many folders it lies, and some of its paths, if this folder is another one. Of too many
    /// different notes the one goes that rested longest, so that noise does not hide the one that goes on.
    pub(super) fn take(
        &mut self,
        path: &Untrusted,
        sha256: Sha256,
        at: Timestamp,
    ) -> Option<(usize, Vec<Untrusted>)> {
        self.0.retain(|note| note.first.is_some_and(|first| at.duration_since(first) < WITHIN));
        let note = self.0.touch((names::name(path.raw()).to_ascii_lowercase(), sha256));
        note.first.get_or_insert(at);
        if note.folders.len() >= MAX_FOLDERS || !note.folders.insert(short(names::folder(path.raw()))) {
            return None;
        }
        if note.examples.len() < MAX_EXAMPLES {
            note.examples.push(path.clone());
        }
        Some((note.folders.len(), note.examples.clone()))
    }
}

/// Tells whether a text says both. In UTF-16 every other byte of Latin text is zero.
pub(super) fn demands(text: &[u8]) -> bool {
    let plain: Vec<u8> = text.iter().take(MAX_READ).copied().filter(|b| *b != 0).collect();
    let text = String::from_utf8_lossy(&plain).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    says(&LOCKED) && says(&PAY)
}

#[cfg(test)]
mod tests {
    use super::{super::sample::at, *};

    #[test]
    fn noise_of_other_notes_does_not_hide_the_one_that_goes_on() {
        let mut notes = Notes::default();
        let mut put =
            |path: String, text: &str| notes.take(&path.as_str().into(), Sha256::of(text.as_bytes()), at(0));
        for n in 0..300 {
            put(format!("/noise/{n}/README.txt"), &n.to_string());
        }

        let told: Vec<_> = (0..5)
            .map(|n| {
                (0..200).for_each(|m| drop(put(format!("/more/{n}/{m}/README.txt"), &format!("{n} {m}"))));
                put(format!("/{n}/README.txt"), "pay").map(|(folders, _)| folders)
            })
            .collect();

        assert_eq!(told, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    }

    #[test]
    fn a_note_says_what_was_done_and_how_to_pay() {
        let wide: Vec<u8> =
            "Your files are ENCRYPTED. Pay in Bitcoin".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(demands(b"All your files are encrypted. Install Tor Browser."));
        assert!(demands("Tệp đã bị mã hóa. Muốn lấy lại hãy thanh toán.".as_bytes()));
        assert!(demands(&wide));
    }

    #[test]
    fn a_readme_does_not() {
        for text in [
            "Read the manual. Contact us at support@example.vn",
            "Encrypts your disk. See LICENSE.",
            "Payment module 2.1",
            "",
        ] {
            assert!(!demands(text.as_bytes()), "{text}");
        }
        let late = [vec![b' '; MAX_READ], b"encrypted bitcoin".to_vec()].concat();
        assert!(!demands(&late));
    }
}
