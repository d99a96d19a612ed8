//! The variables that rules of others expect to be told of each file: `filename`, `filepath`, `extension`, `filetype`
//! and `owner`.
//!
//! Names come from the file system or from inside an archive. They are only ever compared; nothing is opened by them.

use khien_core::{Untrusted, event::Inside};
use serde::{Deserialize, Serialize};

use crate::unpack;

/// The variables, each a string.
pub const NAMES: [&str; 5] = ["filename", "filepath", "extension", "filetype", "owner"];

/// The first bytes of a file, and the name that scanners of hosts give to its kind.
const KINDS: &[(&[u8], &str)] = &[
    (b"MZ", "EXE"),
    (b"\x7fELF", "ELF"),
    (b"PK\x03\x04", "ZIP"),
    (b"Rar!", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7ZIP"),
    (b"\x1f\x8b", "GZIP"),
    (b"MSCF", "CAB"),
    (b"GIF8", "GIF"),
    (b"\xff\xd8\xff", "JPG"),
    (b"\x89PNG", "PNG"),
    (b"%PDF", "PDF"),
    (b"{\\rtf", "RTF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"),
    (b"L\0\0\0\x01\x14\x02\0", "LNK"),
    (b"CWS", "SWF"),
    (b"FWS", "SWF"),
    (b"\xca\xfe\xba\xbe", "CLASS"),
    (b"MDMP", "MDMP"),
    (b"regf", "REG"),
];

/// What is known of a file beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Externals {
    /// Its path.
    pub path: Untrusted,
    /// The name of its owner, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Untrusted>,
}

impl Externals {
    /// Returns the values for the file itself, or for one inside it. That one has a name and an extension of its own,
    /// and its path goes on behind that of the outermost file.
    pub(crate) fn of(&self, inside: &Inside, bytes: &[u8]) -> [(&'static str, String); 5] {
        let mut path = text(&self.path);
        // A file that is read in another way has the name that it had.
        for name in inside.names().iter().filter(|name| !unpack::is_view(name.raw())) {
            path.push('/');
            path.push_str(&text(name));
        }
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let extension = extension(&name);
        let owner = self.owner.as_ref().map(text).unwrap_or_default();
        let [filename, filepath, ext, filetype, whose] = NAMES;
        [(filename, name), (filepath, path), (ext, extension), (filetype, kind(bytes).into()), (whose, owner)]
    }
}

fn text(of: &Untrusted) -> String {
    String::from_utf8_lossy(of.raw()).into_owned()
}

/// Returns the ending with its dot, in lower case. A name that only begins with a dot has none.
fn extension(name: &str) -> String {
    match name.rfind('.') {
        None | Some(0) => String::new(),
        Some(dot) => name[dot..].to_lowercase(),
    }
}

fn kind(bytes: &[u8]) -> &'static str {
    KINDS.iter().find(|(head, _)| bytes.starts_with(head)).map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(path: &str, inside: &[&str], bytes: &[u8]) -> [String; 5] {
        let externals = Externals { path: path.into(), owner: Some("www-data".into()) };
        let inside = Inside::new(inside.iter().map(|n| Untrusted::from(*n)).collect());
        externals.of(&inside, bytes).map(|(_, value)| value)
    }

    #[test]
    fn a_file_is_told_of_by_name_path_ending_kind_and_owner() {
        let told = values("/srv/www/A.PHP", &[], b"GIF89a");

        assert_eq!(told, ["A.PHP", "/srv/www/A.PHP", ".php", "GIF", "www-data"]);
    }

    #[test]
    fn a_file_inside_another_has_its_own_name_and_ending() {
        let told = values("/srv/a.zip", &["in/x.tar", "shell.jsp"], b"<%");

        assert_eq!(told, ["shell.jsp", "/srv/a.zip/in/x.tar/shell.jsp", ".jsp", "", "www-data"]);
        assert_eq!(values("/srv/.htaccess", &[], b"")[2], "");
    }

    #[test]
    fn a_file_that_is_read_in_another_way_keeps_its_name() {
        let told = values("/srv/a.zip", &["shell.jsp"], b"<%");

        assert_eq!(values("/srv/a.zip", &["shell.jsp", "[decoded]"], b"<%"), told);
        assert_eq!(values("/srv/x.py", &["[utf-16]", "[decoded]"], b""), values("/srv/x.py", &[], b""));
    }
}
