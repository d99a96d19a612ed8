//! A file system in user space that stops answering: what reads from it cannot be killed until it is gone.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::fs::OFlags;

/// The nodes: the folder, a file whose opening is not answered, and one whose reading is not.
const ROOT: u64 = 1;
const OPENS: u64 = 2;
const READS: u64 = 3;
/// Bytes of a request before what it is about, and how large each file is said to be.
const HEAD: usize = 40;
const SIZE: u64 = 100;
/// What the kernel asks (`linux/fuse.h`).
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
/// Questions that have no answer: forget, interrupt, forget many.
const UNANSWERED: [u32; 3] = [2, 36, 42];

/// The file system; it lets go of everybody when it is dropped.
pub(crate) struct Asleep {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Asleep {
    /// Mounts it; none where that is not allowed, which is said.
    pub(crate) fn mount() -> Option<Self> {
        let mounted = Self::try_mount();
        if mounted.is_none() {
            let test = thread::current();
            println!("cannot run here: {}: no file system in user space", test.name().unwrap_or("test"));
        }
        mounted
    }

    fn try_mount() -> Option<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let device = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/fuse").ok()?;
        let folder = tempfile::tempdir().unwrap();
        // The device is the standard input of `mount`.
        let mount = Command::new("mount")
            .args([
                "-i",
                "-t",
                "fuse",
                "-o",
                "fd=0,rootmode=40000,user_id=0,group_id=0,allow_other",
                "asleep",
            ])
            .arg(folder.path())
            .stdin(Stdio::from(device.try_clone().unwrap()))
            .stderr(Stdio::null())
            .status();
        if !mount.is_ok_and(|status| status.success()) {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let server = thread::spawn(move || serve(device, &stopped));
        Some(Self { folder, stop, server: Some(server) })
    }

    /// Returns the path of `opens`, whose opening is not answered, or of `reads`, which can be opened: its reading is not
    /// answered, nor what is asked of it after that.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // With the device the connection ends, and all who wait get an error.
        let _ = self.server.take().map(JoinHandle::join);
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

fn serve(mut device: File, stop: &AtomicBool) {
    let (mut request, mut was_read) = (vec![0; 1 << 20], false);
    while !stop.load(Relaxed) {
        match device.read(&mut request) {
            Ok(len) => answer(&mut device, &request[..len], &mut was_read),
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}

fn answer(device: &mut File, request: &[u8], was_read: &mut bool) {
    let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
    let node = u64::from_le_bytes(request[16..24].try_into().unwrap());
    let body = match (word(4), node) {
        (INIT, _) => Ok(init()),
        (LOOKUP, ROOT) => match request[HEAD..].split(|b| *b == 0).next().unwrap() {
            b"opens" => Ok(entry(OPENS)),
            b"reads" => Ok(entry(READS)),
            _ => Err(2),
        },
        (GETATTR, READS) if *was_read => return,
        (GETATTR, node) => Ok([&[0; 16], &attributes(node)[..]].concat()),
        (OPEN, OPENS) => return,
        (OPEN, _) => Ok(vec![0; 16]),
        (READ, _) => {
            *was_read = true;
            return;
        }
        (op, _) if UNANSWERED.contains(&op) => return,
        // Not implemented.
        _ => Err(38),
    };
    let (error, body) = match body {
        Ok(body) => (0, body),
        Err(error) => (-error, Vec::new()),
    };
    let length = 16 + u32::try_from(body.len()).unwrap();
    // Nobody may wait for the answer any more.
    let _ = device.write(&[&length.to_le_bytes(), &i32::to_le_bytes(error), &request[8..16], &body].concat());
}

/// Version 7.31, no more than 64 KiB at a time.
fn init() -> Vec<u8> {
    let mut body: Vec<u8> =
        [7_u32, 31, 1 << 16, 0, 6 << 16 | 8, 1 << 16, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    body.resize(64, 0);
    body
}

/// A node with attributes that are asked for again each time.
fn entry(node: u64) -> Vec<u8> {
    [&node.to_le_bytes()[..], &[0; 32], &attributes(node)].concat()
}

fn attributes(node: u64) -> Vec<u8> {
    let mode: u32 = if node == ROOT { 0o40755 } else { 0o100_644 };
    let numbers = [node, SIZE, 1, 0, 0, 0].into_iter().flat_map(u64::to_le_bytes);
    let words = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].into_iter().flat_map(u32::to_le_bytes);
    numbers.chain(words).collect()
}
