//! The mappings of a process: which of them are scanned, and what they are called. Pure.
//!
//! What belongs to a file that is there is scanned as a file; of such a mapping only the pages count that the process has
//! changed. Devices are never read: reading may have an effect. What a process has closed to itself is read all the same:
//! code that sleeps hides like that.

use std::collections::HashSet;

use khien_core::{Untrusted, event::Inside};

/// A region of so many bytes is looked at last: an address space that was only set aside.
const VAST: u64 = 16 << 30;
/// The longest name that is kept.
const MAX_NAME: usize = 160;
/// How the names of mappings begin that are not read: devices, and what the kernel makes up.
const DEVICES: [&[u8]; 6] = [b"/dev/", b"/proc/", b"/sys/", b"anon_inode:", b"socket:", b"/dmabuf:"];
/// Of these the ones that are memory all the same.
const MEMORY: [&[u8]; 3] = [b"/dev/shm/", b"/dev/zero", b"/dev/hugepages/"];
/// What the kernel puts into each process.
const KERNELS: [&[u8]; 4] = [b"[vdso]", b"[vvar]", b"[vvar_vclock]", b"[vsyscall]"];
/// How the name of a mapping ends whose file has no name any more.
const DELETED: &[u8] = b" (deleted)";
/// How a name begins that a process gave to shared memory of no file. A file's begins with a slash.
const NAMED: &[u8] = b"[anon_shmem:";
/// How the names begin of what is in memory and was never a file.
const NEVER_A_FILE: [&[u8]; 3] = [b"/memfd:", b"/dev/zero", NAMED];

/// One mapping that is scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) pages: Pages,
    /// Whether it was never a file, and is executed where a program would be: itself, or another part of the same memory.
    pub(super) may_be_program: bool,
    access: [u8; 4],
    /// The memory that it shows, if that was never a file and may be mapped more than once.
    shown: Option<Memory>,
    /// Whether that begins here.
    is_beginning: bool,
    name: Vec<u8>,
}

/// Memory that may be mapped more than once, by device and inode.
type Memory = ((u64, u64), u64);

/// Which pages of a mapping are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// All that are in memory.
    All,
    /// Those that are not the file's any more.
    Changed,
}

impl Region {
    /// Tells when it is looked at: the lowest first.
    pub(super) fn rank(&self) -> u8 {
        match () {
            // Most of what is closed and vast was only set aside, and to ask about it takes long.
            () if self.until - self.from > VAST => 2 + u8::from(self.access[0] != b'r'),
            () if self.is_executable() => 0,
            () => 1,
        }
    }

    fn is_executable(&self) -> bool {
        self.access[2] == b'x'
    }

    /// Returns it as a place: `rwxp 7f12b2c00000-7f12b2c01000 [heap]`.
    pub(super) fn inside(&self) -> Inside {
        let access = String::from_utf8_lossy(&self.access);
        let mut text = format!("{access} {:x}-{:x}", self.from, self.until).into_bytes();
        if !self.name.is_empty() {
            text.push(b' ');
            text.extend(&self.name);
        }
        Inside::new(vec![Untrusted::new(text)])
    }
}

/// Reads the text of `/proc/PID/maps` and returns what is scanned. A line that is none is passed over: the kernel writes
/// them, and a name can neither end a line nor begin one.
pub(super) fn regions(text: &[u8]) -> Vec<Region> {
    let mut regions: Vec<Region> = text.split(|b| *b == b'\n').filter_map(region).collect();
    let executed: HashSet<Memory> =
        regions.iter().filter(|region| region.is_executable()).filter_map(|region| region.shown).collect();
    for region in regions.iter_mut().filter(|region| region.is_beginning) {
        region.may_be_program |= region.shown.is_some_and(|memory| executed.contains(&memory));
    }
    regions
}

/// `from-until access offset device inode   NAME`.
fn region(line: &[u8]) -> Option<Region> {
    let mut words = line.splitn(6, |b| *b == b' ');
    let mut ends = words.next()?.split(|b| *b == b'-');
    let (from, until) = (address(ends.next()?)?, address(ends.next()?)?);
    let access: [u8; 4] = words.next()?.try_into().ok()?;
    let (offset, device, inode) = (words.next()?, words.next()?, words.next()?);
    let name = words.next().unwrap_or_default().trim_ascii_start();
    let is_bare = inode == b"0";
    let pages = pages(access, is_bare, name).filter(|_| from < until)?;
    let was_never_a_file = NEVER_A_FILE.iter().any(|begin| name.starts_with(begin)) && pages == Pages::All;
    Some(Region {
        from,
        until,
        pages,
        may_be_program: is_bare && access[2] == b'x',
        access,
        shown: memory(device, inode).filter(|_| !is_bare && was_never_a_file),
        is_beginning: address(offset) == Some(0),
        name: name[..name.len().min(MAX_NAME)].to_vec(),
    })
}

fn memory(device: &[u8], inode: &[u8]) -> Option<Memory> {
    let mut numbers = device.split(|b| *b == b':');
    let device = (address(numbers.next()?)?, address(numbers.next()?)?);
    Some((device, std::str::from_utf8(inode).ok()?.parse().ok()?))
}

fn address(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

fn pages(access: [u8; 4], is_bare: bool, name: &[u8]) -> Option<Pages> {
    let begins = |with: &&[u8]| name.starts_with(with);
    if KERNELS.contains(&name) || (DEVICES.iter().any(begins) && !MEMORY.iter().any(begins)) {
        return None;
    }
    match access[3] {
        _ if is_bare || name.ends_with(DELETED) || name.starts_with(NAMED) => Some(Pages::All),
        b's' => None,
        _ => Some(Pages::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Option<Region> {
        region(line.as_bytes())
    }

    #[test]
    fn what_belongs_to_no_file_is_scanned_whole_and_of_a_file_only_what_changed() {
        let all = |line: &str| one(line).map(|region| region.pages);

        assert_eq!(all("7f00-8f00 rw-p 00000000 00:00 0 "), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-p 00000000 00:00 0                          [heap]"), Some(Pages::All));
        assert_eq!(
            all("7f00-8f00 r-xp 00002000 08:01 77                 /usr/bin/bash"),
            Some(Pages::Changed)
        );
        assert_eq!(all("7f00-8f00 rw-s 00000000 08:01 77                 /srv/db/data"), None);
        assert_eq!(all("7f00-8f00 r-xp 00000000 00:01 9      /memfd:x (deleted)"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-s 00000000 00:05 9      /dev/zero (deleted)"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-s 00000000 00:1a 9      /dev/shm/a (deleted)"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-s 00000000 00:01 9      [anon_shmem:cache]"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-p 00000000 00:00 0      [anon:arena]"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 rw-s 00000000 08:01 9      /srv/[anon_shmem:x]"), None);
    }

    #[test]
    fn what_a_process_closed_to_itself_is_scanned_like_the_rest() {
        let all = |line: &str| one(line).map(|region| region.pages);

        assert_eq!(all("7f00-8f00 ---p 00000000 00:00 0 "), Some(Pages::All));
        assert_eq!(all("7f00-8f00 -w-p 00000000 00:00 0 "), Some(Pages::All));
        assert_eq!(all("7f00-8f00 ---s 00000000 00:01 9      /dev/zero (deleted)"), Some(Pages::All));
        assert_eq!(all("7f00-8f00 ---p 00000000 08:01 77     /usr/lib/libc.so"), Some(Pages::Changed));
        assert_eq!(all("7f00-8f00 ---s 00000000 08:01 77     /srv/db/data"), None);
    }

    #[test]
    fn a_program_may_begin_in_code_of_no_file_and_where_memory_begins_of_which_a_part_is_executed() {
        let text = b"1000-2000 rwxp 00000000 00:00 0 
2000-3000 r--p 00000000 00:01 7      /memfd:lib (deleted)
3000-4000 r-xp 00001000 00:01 7      /memfd:lib (deleted)
4000-5000 rw-p 00000000 00:01 8      /memfd:lib (deleted)
5000-6000 r-xp 00000000 08:01 7      /usr/lib/lib.so (deleted)
6000-7000 r-xs 00000000 00:01 9      [anon_shmem:lib]
7000-8000 r-xp - 00:01 10     /memfd:own (deleted)
8000-9000 rw-p 00000000 00:00 0 
";

        let may = regions(text).into_iter().filter(|region| region.may_be_program);

        assert_eq!(may.map(|region| region.from).collect::<Vec<_>>(), [0x1000, 0x2000, 0x6000]);
    }

    #[test]
    fn devices_and_the_kernels_own_are_not_read() {
        for line in [
            "7f00-8f00 rw-s 00000000 00:06 9      /dev/mem",
            "7f00-8f00 rw-s 00000000 00:06 9      /sys/devices/pci0000:00/resource0",
            "7f00-8f00 rw-s 00000000 00:0e 9      anon_inode:[io_uring]",
            "7f00-8f00 rw-s 00000000 00:0e 9      socket:[77]",
            "7f00-8f00 r-xp 00000000 00:00 0      [vdso]",
            "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
        ] {
            assert_eq!(one(line), None, "{line}");
        }
    }

    #[test]
    fn a_place_names_rights_addresses_and_a_hostile_name_safely() {
        let region = one("7f00-8f00 rwxp 00000000 08:01 77      /tmp/a b\\012\u{1b}[2J").unwrap();

        assert_eq!(region.inside().to_string(), "rwxp 7f00-8f00 /tmp/a b\\\\012\\u{1b}[2J");
        assert!(!region.may_be_program);
        let code = one("7f00-8f00 rwxp 00000000 00:00 0 ").unwrap();
        assert!(code.may_be_program);
        assert_eq!(code.inside().to_string(), "rwxp 7f00-8f00");
    }

    #[test]
    fn code_comes_first_and_what_was_only_set_aside_last() {
        let text = b"1-100000000000 ---p 0 00:00 0 \n0-100000000000 rw-p 0 00:00 0 \n1000-2000 rw-p 0 00:00 0 \n2000-3000 rwxp 0 00:00 0 \n";
        let mut all = regions(text);

        all.sort_by_key(Region::rank);

        assert_eq!(all.iter().map(|region| region.from).collect::<Vec<_>>(), [0x2000, 0x1000, 0, 1]);
    }

    #[test]
    fn a_line_that_is_cut_or_altered_anywhere_is_read_to_an_end() {
        let line = b"7f00-8f00 rwxp 00000000 08:01 77      /tmp/a (deleted)";
        for at in 0..line.len() {
            for byte in [0, b' ', b'-', b'\n', b'f', 0xff] {
                let mut altered = line.to_vec();
                altered[at] = byte;
                for text in [&altered[..], &line[..at]] {
                    assert!(regions(text).iter().all(|region| region.from < region.until));
                }
            }
        }
    }
}
