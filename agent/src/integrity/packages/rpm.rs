//! What rpm's database says of files: an SQLite table of package headers, each an index of tags before its data.
//!
//! ```text
//! blob   = count of tags u32 │ bytes of data u32 │ tags │ data             all numbers big endian
//! tag    = number u32 │ kind u32 │ offset in data u32 │ count u32
//! path   = DIRNAMES[DIRINDEXES[n]] + BASENAMES[n], its digest in FILEDIGESTS[n]
//! ```
//! It is opened read-only as a file that nobody changes: rpm is never made to wait. What is still in its journal is not
//! seen, so that changes are told until rpm has ended. Every count and offset is held to what is there.

use std::path::Path;

use khien_core::Sha256;
use rusqlite::{Connection, OpenFlags};

/// The most packages that are read: the largest distributions have some tens of thousands in all.
const MAX_PACKAGES: u32 = 50_000;
/// The largest header that is read, in bytes; a kernel's with all its files has a few million.
const MAX_HEADER: u32 = 64 << 20;
/// The most tags of one header.
const MAX_TAGS: u32 = 4_096;
/// The bytes of a tag in the index.
const TAG: usize = 16;

const FILEMODES: u32 = 1030;
const FILEDIGESTS: u32 = 1035;
const DIRINDEXES: u32 = 1116;
const BASENAMES: u32 = 1117;
const DIRNAMES: u32 = 1118;
const FILEDIGESTALGO: u32 = 5011;

const INT16: u32 = 3;
const INT32: u32 = 4;
const STRING_ARRAY: u32 = 8;

/// The number of SHA-256 among digests, as OpenPGP has it; without a word it is MD5, which no system of today has.
const SHA256: u32 = 8;
/// The kind of file in a mode, and a regular file's.
const KIND: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;

/// Gives every regular file that a package names, with its digest. A header that cannot be read is passed over.
pub(super) fn read(db: &Path, take: &mut dyn FnMut(Vec<u8>, Sha256)) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(format!("file:{}?immutable=1", db.display()), flags)?;
    db.pragma_update(None, "trusted_schema", false)?;
    // A view of that name could hold anything.
    let table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'Packages'";
    if db.query_row(table, [], |row| row.get::<_, u32>(0))? != 1 {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    let mut headers = db.prepare("SELECT blob FROM Packages WHERE length(blob) <= ? LIMIT ?")?;
    let mut rows = headers.query([MAX_HEADER, MAX_PACKAGES])?;
    while let Some(row) = rows.next()? {
        if let Ok(blob) = row.get_ref(0)?.as_blob() {
            Header::of(blob).and_then(|header| header.files(take));
        }
    }
    Ok(())
}

/// One package.
struct Header<'a> {
    tags: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(blob: &'a [u8]) -> Option<Self> {
        let (count, bytes) = (number(blob, 0)?, number(blob, 4)?);
        let tags = usize::try_from(count).ok().filter(|_| count <= MAX_TAGS)? * TAG;
        let (tags, data) = blob.get(8..)?.split_at_checked(tags)?;
        Some(Self { tags, data: data.get(..usize::try_from(bytes).ok()?)? })
    }

    /// Gives the files; none if what belongs together does not fit.
    fn files(&self, take: &mut dyn FnMut(Vec<u8>, Sha256)) -> Option<()> {
        if self.numbers(FILEDIGESTALGO)?.next()? != SHA256 {
            return None;
        }
        let folders: Vec<&[u8]> = self.texts(DIRNAMES)?.collect();
        let named = self.texts(BASENAMES)?.zip(self.numbers(DIRINDEXES)?);
        let held = self.texts(FILEDIGESTS)?.zip(self.modes()?);
        for ((name, folder), (digest, mode)) in named.zip(held) {
            let mut sha256 = [0; 32];
            let is_digest = data_encoding::HEXLOWER_PERMISSIVE.decode_len(digest.len()) == Ok(sha256.len())
                && data_encoding::HEXLOWER_PERMISSIVE.decode_mut(digest, &mut sha256).is_ok();
            let folder = usize::try_from(folder).ok().and_then(|at| folders.get(at));
            if let (Some(folder), true, REGULAR) = (folder, is_digest, mode & KIND) {
                take([*folder, name].concat(), Sha256(sha256));
            }
        }
        Some(())
    }

    /// Returns how many values a tag has and the data from the first of them on.
    fn find(&self, tag: u32, kind: u32) -> Option<(usize, &'a [u8])> {
        let is_it = |entry: &&[u8]| number(entry, 0) == Some(tag) && number(entry, 4) == Some(kind);
        let entry = self.tags.chunks_exact(TAG).find(is_it)?;
        let (offset, count) = (number(entry, 8)?, number(entry, 12)?);
        Some((usize::try_from(count).ok()?, self.data.get(usize::try_from(offset).ok()?..)?))
    }

    fn numbers(&self, tag: u32) -> Option<impl Iterator<Item = u32> + 'a> {
        let (count, data) = self.find(tag, INT32)?;
        let data = data.get(..count.checked_mul(4)?)?;
        Some(data.chunks_exact(4).filter_map(|bytes| number(bytes, 0)))
    }

    fn modes(&self) -> Option<impl Iterator<Item = u16> + 'a> {
        let (count, data) = self.find(FILEMODES, INT16)?;
        let data = data.get(..count.checked_mul(2)?)?;
        Some(data.chunks_exact(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn texts(&self, tag: u32) -> Option<impl Iterator<Item = &'a [u8]> + 'a> {
        let (count, data) = self.find(tag, STRING_ARRAY)?;
        // What is behind the last end is no text.
        let end = data.iter().rposition(|byte| *byte == 0)?;
        Some(data[..end].split(|byte| *byte == 0).take(count))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header of one folder with the given files: name, digest in hexadecimal, mode.
    pub(crate) fn header(folder: &str, files: &[(&str, &str, u16)]) -> Vec<u8> {
        let texts =
            |all: Vec<&str>| all.iter().flat_map(|t| [t.as_bytes(), &[0]].concat()).collect::<Vec<u8>>();
        let count = files.len();
        let values: [(u32, u32, usize, Vec<u8>); 6] = [
            (FILEDIGESTALGO, INT32, 1, SHA256.to_be_bytes().to_vec()),
            (DIRINDEXES, INT32, count, vec![0; 4 * count]),
            (FILEMODES, INT16, count, files.iter().flat_map(|f| f.2.to_be_bytes()).collect()),
            (FILEDIGESTS, STRING_ARRAY, count, texts(files.iter().map(|f| f.1).collect())),
            (BASENAMES, STRING_ARRAY, count, texts(files.iter().map(|f| f.0).collect())),
            (DIRNAMES, STRING_ARRAY, 1, texts(vec![folder])),
        ];
        let (mut tags, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in values {
            for number in [tag, kind, data.len() as u32, count as u32] {
                tags.extend(number.to_be_bytes());
            }
            data.extend(bytes);
        }
        let sizes = [6_u32.to_be_bytes(), (data.len() as u32).to_be_bytes()].concat();
        [sizes, tags, data].concat()
    }

    /// Makes a database of such headers.
    pub(crate) fn database(at: &Path, headers: &[Vec<u8>]) {
        let db = Connection::open(at).unwrap();
        db.execute_batch("CREATE TABLE IF NOT EXISTS Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL); DELETE FROM Packages")
            .unwrap();
        for header in headers {
            db.execute("INSERT INTO Packages (blob) VALUES (?)", [header]).unwrap();
        }
    }

    fn files(blob: &[u8]) -> Vec<(Vec<u8>, Sha256)> {
        let mut found = Vec::new();
        Header::of(blob).and_then(|header| header.files(&mut |path, sha256| found.push((path, sha256))));
        found
    }

    fn hex(text: &str) -> String {
        Sha256::of(text.as_bytes()).to_string()
    }

    #[test]
    fn regular_files_are_told_with_their_digests() {
        let (a, b) = (hex("a"), hex("b"));
        let blob = header(
            "/usr/lib/systemd/system/",
            &[("a.service", &a, 0o100_644), ("link", "", 0o120_777), ("b.service", &b, 0o100_644)],
        );

        let want = [("a", "a.service"), ("b", "b.service")].map(|(text, name)| {
            (format!("/usr/lib/systemd/system/{name}").into_bytes(), Sha256::of(text.as_bytes()))
        });
        assert_eq!(files(&blob), want);
    }

    #[test]
    fn whatever_a_header_says_nothing_beyond_it_is_read() {
        let digest = hex("a");
        let good = header("/etc/", &[("a", &digest, 0o100_644), ("b", "short", 0o100_644)]);
        assert_eq!(files(&good).len(), 1);

        for end in 0..good.len() {
            assert!(files(&good[..end]).len() <= 1);
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                assert!(files(&bad).len() <= 2, "{at} {value}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(blob: Vec<u8>) {
            files(&blob);
        }
    }

    #[test]
    fn a_database_is_read_and_one_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (db, other) = (dir.path().join("rpmdb.sqlite"), dir.path().join("other"));
        let digest = hex("a");
        database(&db, &[header("/etc/", &[("a", &digest, 0o100_644)]), vec![0xff; 40], Vec::new()]);
        let view = "CREATE VIEW Packages AS SELECT x'00' AS blob";
        Connection::open(&other).unwrap().execute_batch(view).unwrap();
        let mut found = Vec::new();

        read(&db, &mut |path, _| found.push(path)).unwrap();

        assert_eq!(found, [b"/etc/a".to_vec()]);
        assert!(read(&other, &mut |_, _| {}).is_err());
        assert!(read(&dir.path().join("none"), &mut |_, _| {}).is_err());
    }
}
