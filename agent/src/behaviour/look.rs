//! Looks at a file for the detectors: opens it safely, reads little of it, changes nothing.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::FileExt, fs::MetadataExt},
    path::Path,
};

use khien_core::{Sha256, Timestamp, Untrusted};
use khien_scan::{
    open::{Inode, Opened},
    users::Users,
};

use super::{
    content::Samples,
    names,
    verdict::{Ask, Facts},
    web::RELEASE_OF,
};

/// Bytes of each sample.
const SAMPLE: usize = 4 << 10;
/// A larger file has no digest in the alert and is not read whole.
const MAX_WHOLE: u64 = 1 << 20;
/// Of a larger sitemap only the beginning is counted.
const MAX_SITEMAP: u64 = 16 << 20;
/// Entries of a folder that are looked through for neighbours.
const MAX_ENTRIES: usize = 512;

/// Looks at a file; none if it is not there or may not be read.
pub(super) fn at(path: &Untrusted, ask: Ask, users: &Users) -> Option<Facts> {
    let place = Path::new(OsStr::from_bytes(path.raw()));
    let Opened { file, inode } = Opened::at_or_behind(place).ok()?;
    let samples = samples(&file, inode.size)?;
    let whole = match ask {
        Ask::Whole | Ask::Script => read(&file, inode.size.min(MAX_WHOLE))?,
        Ask::Samples | Ask::Sitemap => Vec::new(),
    };
    let all = inode.size <= MAX_WHOLE && matches!(ask, Ask::Whole | Ask::Script);
    Some(Facts {
        file: inode.facts(users.name(inode.owner())),
        changed: changed(&inode),
        samples,
        sha256: all.then(|| Sha256::of(&whole)),
        whole,
        neighbours: if ask == Ask::Script { neighbours(place) } else { Vec::new() },
        pages: if ask == Ask::Sitemap { pages(&read(&file, inode.size.min(MAX_SITEMAP))?) } else { 0 },
    })
}

fn changed(inode: &Inode) -> Timestamp {
    let (seconds, nanos) = inode.changed;
    Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The head and, of a longer file, its middle and its end: ransomware in a hurry encrypts only parts.
fn samples(file: &File, size: u64) -> Option<Samples> {
    let length = SAMPLE as u64;
    let head = read_at(file, 0, SAMPLE)?;
    let further = [size / 2, size.saturating_sub(length)];
    let further = further.into_iter().filter(|at| *at >= length).filter_map(|at| read_at(file, at, SAMPLE));
    Some(Samples { head, further: further.collect() })
}

fn read(file: &File, size: u64) -> Option<Vec<u8>> {
    read_at(file, 0, usize::try_from(size).ok()?)
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

/// Counts the addresses of a sitemap, or the lines of a text.
fn pages(text: &[u8]) -> u64 {
    let found = text.windows(4).filter(|w| *w == b"<loc").count();
    let lines = || text.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    if found > 0 { found as u64 } else { lines() as u64 }
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

    use super::*;

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

        assert_eq!((facts.samples.head[0], facts.samples.head.len()), (b'a', SAMPLE));
        assert_eq!(facts.samples.further.iter().map(|s| s[0]).collect::<Vec<_>>(), [b'b', b'b']);
        assert_eq!((facts.file.modified.as_second(), facts.sha256, facts.whole.len()), (1_000_000, None, 0));
        let after = fs::metadata(&path).unwrap();
        assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
        assert_eq!((before.atime(), before.atime_nsec()), (after.atime(), after.atime_nsec()));
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

        assert_eq!(look("sitemap.xml", Ask::Sitemap).unwrap().pages, 7);
        let script = look("a.php", Ask::Script).unwrap();
        assert_eq!((script.neighbours.len(), script.sha256), (1, Some(Sha256::of(b"x"))));
        assert_eq!(look("gone.php", Ask::Script), None);
    }
}
