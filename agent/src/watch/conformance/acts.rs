//! What no shell can do, done in another process: this test program, called again with a name.
#![allow(unsafe_code, reason = "system calls for which there is no safe library at hand")]

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    ptr, thread,
    time::Duration,
};

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags};

/// What a row leaves behind, put together here so that this file carries it no more often than it must.
pub(in crate::watch) const MARK: &str = "KHIEN-TEST-MARK";
/// The variable that names the act.
pub(in crate::watch) const NAME: &str = "KHIEN_ACT";
/// The variable that says not to stay.
pub(in crate::watch) const ONCE: &str = "KHIEN_ACT_ONCE";
/// What a process says when it has done a step; the next begins with a line from whoever started it.
pub(in crate::watch) const DONE: &str = "done";
/// The test that does it.
pub(in crate::watch) const TEST: &str = "watch::conformance::acts::what_another_program_does";

const SIZE: usize = 4_096;

#[test]
fn what_another_program_does() {
    let Ok(name) = env::var(NAME) else { return };
    let at = |name: &str| PathBuf::from(env::var_os(name).unwrap());
    let _open = act(&name, &at("I"), &at("O"));
    if env::var_os(ONCE).is_none() {
        pause();
    }
}

/// Says that a step is done and waits for a line, or for the end of who started this.
fn pause() {
    println!("\n{DONE}");
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    assert!(!line.is_empty(), "who started this is gone");
}

/// Does it, and returns what stays open.
fn act(name: &str, inside: &Path, outside: &Path) -> Box<dyn std::any::Any> {
    let file = inside.join("f");
    match name {
        "exchange" => {
            let flags = RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(CWD, outside.join("f"), CWD, &file, flags).unwrap();
        }
        "exchange inside" => {
            let flags = RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(CWD, inside.join("g"), CWD, &file, flags).unwrap();
        }
        "setxattr" => {
            rustix::fs::setxattr(&file, c"user.khien", b"x", rustix::fs::XattrFlags::empty()).unwrap();
        }
        "tmpfile" => tmpfile(inside, |fd| {
            write(fd);
            named(fd, &file);
        }),
        "tmpfile named first" => tmpfile(inside, |fd| {
            named(fd, &file);
            pause();
            write(fd);
        }),
        "without end" => {
            let to = open(&file);
            thread::spawn(move || {
                loop {
                    write(&to);
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
        "copy_file_range" => {
            let (from, to) = (File::open(outside.join("f")).unwrap(), File::create(&file).unwrap());
            rustix::fs::copy_file_range(&from, None, &to, None, MARK.len()).unwrap();
        }
        "sendfile" => {
            let (from, to) = (File::open(outside.join("f")).unwrap(), File::create(&file).unwrap());
            rustix::fs::sendfile(&to, &from, None, MARK.len()).unwrap();
        }
        "splice" => splice(&file),
        "mmap" => drop(Mapped::written(&file)),
        "mmap and stay" => return Box::new(Mapped::written(&file)),
        "fallocate" => {
            let to = File::create(&file).unwrap();
            rustix::fs::fallocate(&to, FallocateFlags::empty(), 0, 1 << 20).unwrap();
            to.write_all_at(MARK.as_bytes(), 70_000).unwrap();
        }
        "direct" => direct(&file),
        "sync" => {
            let flags = OFlags::DSYNC.bits().cast_signed();
            let options = OpenOptions::new().write(true).create(true).custom_flags(flags).open(&file);
            write(&options.unwrap());
        }
        "grow" => {
            let to = open(&file);
            to.set_len(1 << 20).unwrap();
            to.write_all_at(MARK.as_bytes(), 500_000).unwrap();
        }
        "pwritev" => {
            let to = open(&file);
            let parts = [std::io::IoSlice::new(MARK.as_bytes())];
            rustix::io::pwritev(&to, &parts, 3).unwrap();
        }
        "io_uring" => super::uring::write(&file, MARK.as_bytes()),
        "rename while open" => {
            let moved = File::create(outside.join("f")).unwrap();
            fs::rename(outside.join("f"), &file).unwrap();
            pause();
            write(&moved);
            return Box::new(moved);
        }
        "unlinked and linked again" => {
            let known = OpenOptions::new().append(true).open(&file).unwrap();
            fs::hard_link(&file, outside.join("other")).unwrap();
            fs::remove_file(&file).unwrap();
            fs::hard_link(outside.join("other"), inside.join("g")).unwrap();
            pause();
            write(&known);
            return Box::new(known);
        }
        other => panic!("{other} is no act"),
    }
    Box::new(())
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn write(mut file: &File) {
    file.write_all(MARK.as_bytes()).unwrap();
}

fn tmpfile<T>(folder: &Path, with: impl FnOnce(&File) -> T) {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).unwrap());
    with(&file);
}

fn named(file: &File, path: &Path) {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW).unwrap();
}

fn splice(path: &Path) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(MARK.as_bytes()).unwrap();
    let to = File::create(path).unwrap();
    let (from, to_fd) = (reader.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both are open, and offsets are not given.
    let moved = unsafe { libc::splice(from, ptr::null_mut(), to_fd, ptr::null_mut(), MARK.len(), 0) };
    assert_eq!(moved.cast_unsigned(), MARK.len());
}

/// A shared mapping of a file that is closed already.
pub(in crate::watch) struct Mapped(*mut libc::c_void);

impl Mapped {
    fn written(path: &Path) -> Self {
        let mapped = Self::of(path);
        mapped.write();
        mapped
    }

    /// Reads from it, so that the kernel asks nothing more when it is written to.
    pub(in crate::watch) fn read_from(path: &Path) -> Self {
        let mapped = Self::of(path);
        // SAFETY: the mapping is a page long and ours alone.
        unsafe { ptr::read_volatile(mapped.0.cast::<u8>()) };
        mapped
    }

    pub(in crate::watch) fn write(&self) {
        // SAFETY: the mapping is a page long and ours alone.
        unsafe { ptr::copy_nonoverlapping(MARK.as_ptr(), self.0.cast::<u8>(), MARK.len()) };
    }

    fn of(path: &Path) -> Self {
        let file = open(path);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of a file that is at least a page long.
        let at = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED);
        drop(file);
        Self(at)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing points into it any more.
        unsafe { libc::munmap(self.0, SIZE) };
    }
}

/// Past the page cache, in whole blocks; where the file system has no such way, through it.
fn direct(path: &Path) {
    #[repr(align(4096))]
    struct Block([u8; SIZE]);
    let mut block = Box::new(Block([0; SIZE]));
    block.0[..MARK.len()].copy_from_slice(MARK.as_bytes());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let flags = OFlags::DIRECT.bits().cast_signed();
    let direct = options.clone().custom_flags(flags).open(path);
    let mut file = direct.or_else(|_| options.open(path)).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&block.0).unwrap();
}
