//! Looks at a file for the detectors: opens it safely, reads little of it, judges the bytes and lets them go, changes
//! nothing.

use std::{
    ffi::OsStr,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    os::unix::{ffi::OsStrExt, fs::FileExt, fs::MetadataExt},
    path::Path,
};

use khien_core::{Sha256, Timestamp, Untrusted, time::SignedDuration};
use khien_scan::{
    open::{Inode, Opened},
    users::Users,
};

use super::{
    content::{Samples, Says},
    names,
    ransom::WITHIN,
    structure::{self, PART, Source, places},
    verdict::{Ask, Facts, Release},
    web::RELEASE_OF,
};

/// Bytes of the first sample.
const HEAD: usize = 4 << 10;
/// Who writes a file by and by pauses for less than this.
const REST: SignedDuration = SignedDuration::from_millis(1_200);
/// A larger file has no digest in the alert and is not read whole.
pub(super) const MAX_WHOLE: u64 = 1 << 20;
/// Of a larger sitemap only the beginning is counted.
const MAX_SITEMAP: u64 = 16 << 20;
/// A sitemap is read in pieces of so many bytes.
const PIECE: usize = 64 << 10;
/// Entries of a folder that are looked through for neighbours.
const MAX_ENTRIES: usize = 512;

/// Looks at a file; none if it is not there, may not be read, or is not what was asked about.
///
/// What it read is freed before it returns: at most [`MAX_WHOLE`] and what judging it takes, while the look goes on.
pub(super) fn at(path: &Untrusted, ask: Ask, users: &Users) -> Option<Facts> {
    let place = Path::new(OsStr::from_bytes(path.raw()));
    let Opened { file, inode } = Opened::at_or_behind(place).ok()?;
    let (born, now) = (born(&file), Timestamp::now());
    if ask == Ask::Linked && born.is_none_or(|born| now.duration_since(born) < WITHIN) {
        return None;
    }
    let seed = RandomState::new().hash_one(path.raw());
    let samples = samples(&file, inode.size, seed)?;
    let is_broken = structure::is_broken(&Disk { file: &file, length: inode.size }, seed);
    let changed = changed(&inode);
    let unsettled = is_broken && now.duration_since(changed).abs() < REST;
    let wanted = matches!(ask, Ask::Whole | Ask::Script);
    let fits = inode.size <= MAX_WHOLE;
    let whole = match wanted && fits {
        true => Some(read_at(&file, 0, usize::try_from(inode.size).ok()?)?),
        false => None,
    };
    Some(Facts {
        file: inode.facts(users.name(inode.owner())),
        changed,
        born,
        says: Says::of(path.raw(), &samples, inode.size, is_broken && !unsettled, whole.as_deref()),
        unsettled,
        sha256: whole.as_deref().map(Sha256::of),
        too_large: wanted && !fits,
        release: if ask == Ask::Script { Release::of(&neighbours(place)) } else { None },
        pages: if ask == Ask::Sitemap { Some(pages(&file)?) } else { None },
    })
}

fn changed(inode: &Inode) -> Timestamp {
    let (seconds, nanos) = inode.changed;
    Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn born(file: &File) -> Option<Timestamp> {
    Timestamp::try_from(file.metadata().ok()?.created().ok()?).ok()
}

/// The head and, of a longer file, places behind it and its end: ransomware in a hurry encrypts only parts.
fn samples(file: &File, size: u64, seed: u64) -> Option<Samples> {
    let length = HEAD as u64;
    let head = read_at(file, 0, HEAD)?;
    let further = places(length, size, seed).chain([size.saturating_sub(PART as u64)]);
    let further = further.filter(|at| (length..size).contains(at)).filter_map(|at| read_at(file, at, PART));
    Some(Samples { head, further: further.collect() })
}

/// A file whose structure is looked at.
struct Disk<'a> {
    file: &'a File,
    length: u64,
}

impl Source for Disk<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, at: u64, length: usize) -> Vec<u8> {
        read_at(self.file, at, length).unwrap_or_default()
    }
}

/// Reads so many bytes, or fewer where the file ends. The file's own position is left alone.
fn read_at(file: &File, mut at: u64, length: usize) -> Option<Vec<u8>> {
    let (mut bytes, mut filled) = (vec![0; length], 0);
    while filled < length {
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) => break,
            Ok(read) => (filled, at) = (filled + read, at + read as u64),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    Some(bytes)
}

/// Counts the addresses of a sitemap, or the lines of a text, piece by piece.
fn pages(file: &File) -> Option<u64> {
    let (mut count, mut at) = (Pages::default(), 0);
    while at < MAX_SITEMAP {
        let piece = read_at(file, at, PIECE)?;
        at += piece.len() as u64;
        count.take(&piece);
        if piece.len() < PIECE {
            break;
        }
    }
    Some(count.all())
}

/// Counts over the edges of pieces.
#[derive(Debug, Default)]
struct Pages {
    addresses: u64,
    lines: u64,
    /// How much of the mark stands at the end of what was taken.
    begun: usize,
    /// Whether the line so far has more than blanks.
    filled: bool,
}

impl Pages {
    const MARK: &[u8] = b"<loc";

    fn take(&mut self, piece: &[u8]) {
        for byte in piece {
            self.begun = match *byte {
                b if b == Self::MARK[self.begun] => self.begun + 1,
                b'<' => 1,
                _ => 0,
            };
            if self.begun == Self::MARK.len() {
                self.addresses += 1;
                self.begun = 0;
            }
            if *byte == b'\n' {
                self.lines += u64::from(std::mem::take(&mut self.filled));
            } else {
                self.filled |= !byte.is_ascii_whitespace();
            }
        }
    }

    fn all(&self) -> u64 {
        if self.addresses > 0 { self.addresses } else { self.lines + u64::from(self.filled) }
    }
}

/// Returns when the other scripts of the folder changed; if there are few, with those of the folder above.
fn neighbours(path: &Path) -> Vec<Timestamp> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let mut found = scripts(folder, path);
    if found.len() < RELEASE_OF
        && let Some(above) = folder.parent()
    {
        found.extend(scripts(above, path));
    }
    found
}

fn scripts(folder: &Path, but: &Path) -> Vec<Timestamp> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let others = entries.filter(|e| names::is_script(e.file_name().as_bytes()) && e.path() != but);
    others.filter_map(|e| Timestamp::from_second(e.metadata().ok()?.mtime()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs::FileTimes, time::SystemTime};

    use super::{
        super::sample::documents::{document, encrypted},
        *,
    };

    #[test]
    fn a_look_reads_parts_and_does_not_change_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("a.txt");
        fs::write(&path, [vec![b'a'; 10_000], vec![b'b'; 10_000]].concat()).unwrap();
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let times = FileTimes::new().set_accessed(old).set_modified(old);
        File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
        let before = fs::metadata(&path).unwrap();

        let name = Untrusted::new(path.as_os_str().as_bytes());
        let facts = at(&name, Ask::Samples, &Users::default()).unwrap();

        assert_eq!(
            (facts.file.modified.as_second(), facts.sha256, facts.too_large),
            (1_000_000, None, false)
        );
        let after = fs::metadata(&path).unwrap();
        assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
        assert_eq!((before.atime(), before.atime_nsec()), (after.atime(), after.atime_nsec()));
        let taken = samples(&File::open(&path).unwrap(), 20_000, 7).unwrap();
        assert_eq!((taken.head[0], taken.head.len()), (b'a', HEAD));
        assert!(taken.further.len() >= 2 && taken.further.iter().all(|part| part.len() == PART));
        assert_eq!(taken.further.last(), Some(&vec![b'b'; PART]));
    }

    #[test]
    fn what_is_being_written_is_not_judged_by_its_structure_and_a_new_file_is_no_older_than_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("a.jpg");
        let name = Untrusted::new(path.as_os_str().as_bytes());
        fs::write(&path, encrypted(document("jpg", 300_000), std::iter::once(16_384..usize::MAX))).unwrap();

        let facts = at(&name, Ask::Samples, &Users::default()).unwrap();

        assert_eq!((facts.unsettled, facts.says.scrambled, facts.says.cipher), (true, false, false));
        assert_eq!(at(&name, Ask::Linked, &Users::default()), None);
    }

    #[test]
    fn a_sitemap_is_counted_and_neighbours_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::write(dir.join("sitemap.xml"), "<url><loc>a</loc></url>".repeat(7)).unwrap();
        for name in ["a.php", "b.php", "c.txt"] {
            fs::write(dir.join(name), "x").unwrap();
        }
        let look = |name: &str, ask| {
            at(&Untrusted::new(dir.join(name).as_os_str().as_bytes()), ask, &Users::default())
        };

        assert_eq!(look("sitemap.xml", Ask::Sitemap).unwrap().pages, Some(7));
        let script = look("a.php", Ask::Script).unwrap();
        assert_eq!((script.release.map(|r| r.scripts), script.sha256), (Some(1), Some(Sha256::of(b"x"))));
        assert_eq!(look("gone.php", Ask::Script), None);
    }

    #[test]
    fn addresses_and_lines_are_counted_over_the_edges_of_pieces() {
        let list = "<url><loc>a</loc></url>\n".repeat(20_000);
        let lines = "\n a\n\nb\n \nc".repeat(20_000);
        let count = |text: &str, piece: usize| {
            let mut count = Pages::default();
            text.as_bytes().chunks(piece).for_each(|piece| count.take(piece));
            count.all()
        };

        for piece in [1, 3, 7, PIECE] {
            assert_eq!(count(&list, piece), 20_000, "{piece}");
            assert_eq!(count(&lines, piece), 60_000, "{piece}");
        }
        assert_eq!(count("<<loc> <lo <loc>", 1), 2);
    }

    #[test]
    fn what_a_look_leaves_behind_is_small_however_large_the_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let most = usize::try_from(MAX_WHOLE).unwrap();
        let look = |name: &str, size: usize| {
            fs::write(dir.join(name), [b"SetHandler x-httpd-php\n".to_vec(), vec![b'a'; size]].concat())
                .unwrap();
            at(&Untrusted::new(dir.join(name).as_os_str().as_bytes()), Ask::Whole, &Users::default()).unwrap()
        };

        let (config, large) = (look(".htaccess", most - 100), look("web.config", most));

        assert_eq!(
            (config.says.runs.as_ref().map(|line| line.raw().len()), config.too_large),
            (Some(22), false)
        );
        assert_eq!((large.says.runs, large.sha256, large.too_large), (None, None, true));
        let at_once = super::super::LOOKS * super::super::BATCHES;
        assert!(at_once * size_of::<Facts>() <= 1 << 20, "{}", size_of::<Facts>());
    }
}
