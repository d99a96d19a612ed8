//! What a worker gets of a process: its memory, which pages of it there are, and its mappings.
//!
//! A mapping of a file whose file system another host or a program serves is left out: to read a page of it that is not
//! in memory any more waits for them, maybe for ever, and nobody can end that wait. That holds for every file system that
//! is not known to answer by itself, since anybody may mount one where only his own processes see it.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use khien_core::{
    Untrusted,
    event::{Inside, NotSeen, Unseen},
};
use rustix::fs::{AtFlags, fstat, major, minor, readlinkat, statat};

use super::{MEMFD, opened};
use crate::{
    filesystem::{Answers, answers},
    memory_file,
};

/// The most of a list of mappings that is read. What is beyond is told.
const MAX_MAPS: u64 = (16 << 20) - 1;
/// The longest name of a mapping that is told.
const MAX_NAME: usize = 160;

/// What a worker gets, and what it does not.
pub(super) struct Parts {
    /// The memory, then the list of mappings, then that of pages.
    pub(super) files: Vec<OwnedFd>,
    pub(super) missed: Vec<Unseen>,
}

/// A file system, by its device.
type Device = (u32, u32);

/// A file, by its file system and inode.
type Place = (Device, u64);

/// Opens and reads them below the folder of a process. All belong to one program: each is of the memory that the process
/// had when it was opened, or is gone.
pub(super) fn of(folder: &OwnedFd) -> io::Result<Parts> {
    let [maps, pages, memory] = ["maps", "pagemap", "mem"].map(|name| opened(folder, name));
    let (mut text, mut missed) = (Vec::new(), Vec::new());
    File::from(maps?).take(MAX_MAPS).read_to_end(&mut text)?;
    if text.len() as u64 == MAX_MAPS {
        text.truncate(text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
        missed.push(Unseen { inside: Inside::default(), why: NotSeen::Entries });
    }
    let (kept, left_out) = readable(&text, &local()?, program(folder));
    if let Some(name) = left_out {
        let inside = Inside::new(vec![Untrusted::cut(name, MAX_NAME)]);
        missed.push(Unseen { inside, why: NotSeen::Unreadable });
    }
    Ok(Parts { files: vec![memory?, memory_file(&kept)?.into(), pages?], missed })
}

/// Returns the program, if that is in memory only. Any other one's file is not asked for: that may lie anywhere.
fn program(folder: &OwnedFd) -> Option<Place> {
    readlinkat(folder, "exe", Vec::new()).ok().filter(|exe| exe.as_bytes().starts_with(MEMFD))?;
    let exe = statat(folder, "exe", AtFlags::empty()).ok()?;
    Some(((major(exe.st_dev), minor(exe.st_dev)), exe.st_ino))
}

/// Returns the lines that may be read, and the name of the first mapping that may not. What is mapped of the program has
/// no offset in them: that it begins like a program says nothing.
fn readable<'t>(
    text: &'t [u8],
    local: &HashSet<Device>,
    program: Option<Place>,
) -> (Vec<u8>, Option<&'t [u8]>) {
    let (mut kept, mut left_out) = (Vec::with_capacity(text.len()), None);
    for line in text.split_inclusive(|b| *b == b'\n') {
        match name_of_other(line, local) {
            None if program.is_some() && place_of(line) == program => kept.extend(without_offset(line)),
            None => kept.extend(line),
            Some(name) => left_out = left_out.or(Some(name)),
        }
    }
    (kept, left_out)
}

fn place_of(line: &[u8]) -> Option<Place> {
    let mut words = line.splitn(6, |b| *b == b' ').skip(3);
    let (device, inode) = (device_of(words.next()?, 16)?, words.next()?);
    Some((device, std::str::from_utf8(inode).ok()?.parse().ok()?))
}

fn without_offset(line: &[u8]) -> Vec<u8> {
    let mut words: Vec<&[u8]> = line.splitn(4, |b| *b == b' ').collect();
    if let Some(offset) = words.get_mut(2) {
        *offset = b"-";
    }
    words.join(&b' ')
}

/// Returns the name of a mapping whose file lies on another file system than these: `from-until access offset device inode
/// NAME`, with inode 0 where there is no file.
fn name_of_other<'t>(line: &'t [u8], local: &HashSet<Device>) -> Option<&'t [u8]> {
    let mut words = line.splitn(6, |b| *b == b' ').skip(3);
    let (device, inode) = (words.next()?, words.next()?);
    let is_local = || device_of(device, 16).is_some_and(|device| local.contains(&device));
    (inode != b"0" && !is_local()).then(|| words.next().unwrap_or_default().trim_ascii())
}

fn device_of(text: &[u8], radix: u32) -> Option<Device> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((u32::from_str_radix(major, radix).ok()?, u32::from_str_radix(minor, radix).ok()?))
}

/// Returns the file systems that answer by themselves: those that are mounted here, and that of memory without a name.
fn local() -> io::Result<HashSet<Device>> {
    let nameless = fstat(memory_file(b"")?)?.st_dev;
    let mut local = mounted(&std::fs::read("/proc/self/mountinfo")?);
    local.insert((major(nameless), minor(nameless)));
    Ok(local)
}

/// `id parent DEVICE root point options… - KIND source options`
fn mounted(text: &[u8]) -> HashSet<Device> {
    let device = |line: &[u8]| {
        let mut words = line.split(|b| *b == b' ').skip(2);
        let device = device_of(words.next()?, 10)?;
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        let is_local = std::str::from_utf8(kind).is_ok_and(|kind| answers(kind) == Answers::Local);
        is_local.then_some(device)
    };
    text.split(|b| *b == b'\n').filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw
31 22 0:44 / /home/user/far rw - fuse.sshfs host:/ rw
32 22 0:45 / /srv/nfs rw - nfs4 host:/ rw
";

    #[test]
    fn only_files_on_file_systems_that_answer_by_themselves_are_read() {
        let text: &[u8] = b"7f00-8f00 rw-p 00000000 00:00 0 
8f00-9f00 r-xp 00000000 fe:00 77                 /usr/bin/bash
9f00-af00 rw-p 00000000 00:2c 9      /home/user/far/x (deleted)
af00-bf00 rw-p 00000000 00:63 9      /memfd:x (deleted)
";

        let (kept, left_out) = readable(text, &mounted(MOUNTS), None);

        let kept: Vec<&[u8]> = kept.split_inclusive(|b| *b == b'\n').collect();
        assert_eq!(kept.len(), 2);
        assert!(kept[1].ends_with(b"/usr/bin/bash\n"));
        assert_eq!(left_out, Some(&b"/home/user/far/x (deleted)"[..]));
    }

    #[test]
    fn what_is_mapped_of_a_program_that_was_never_a_file_has_no_offset() {
        let text = b"7f00-8f00 r--p 00000000 00:01 7      /memfd:a b (deleted)
8f00-9f00 r--p 00000000 00:01 77     /memfd:a b (deleted)
";

        let (kept, _) = readable(text, &[(0, 1)].into(), Some(((0, 1), 77)));

        let whole: &[u8] = b"7f00-8f00 r--p 00000000 00:01 7      /memfd:a b (deleted)
8f00-9f00 r--p - 00:01 77     /memfd:a b (deleted)
";
        assert_eq!(kept, whole, "{}", String::from_utf8_lossy(&kept));
    }

    #[test]
    fn memory_without_a_name_and_what_is_mounted_here_is_read() {
        let local = local().unwrap();
        let device = |dev| (major(dev), minor(dev));

        assert!(local.contains(&device(fstat(memory_file(b"x").unwrap()).unwrap().st_dev)));
        assert!(!local.contains(&device(rustix::fs::stat("/proc").unwrap().st_dev)));
    }

    #[test]
    fn a_line_that_is_none_is_kept_for_the_worker_to_judge() {
        for line in [&b""[..], b"x", b"7f00-8f00 rw-p", b"7f00-8f00 rw-p 0 zz:zz"] {
            assert_eq!(name_of_other(line, &HashSet::new()), None);
        }
        assert_eq!(name_of_other(b"7f00-8f00 rw-p 0 zz:zz 7 /a b\n", &HashSet::new()), Some(&b"/a b"[..]));
    }
}
