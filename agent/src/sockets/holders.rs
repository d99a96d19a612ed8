//! Which process holds a socket: the one that has `socket:[INODE]` among its open files.
//!
//! To look through all open files of a host takes tens of milliseconds on a busy one. So what was seen on the way is
//! remembered, those that had the last sockets are looked at first, then the newest processes, and a walk is followed by a
//! pause ten times as long as the time of a processor that it took. To be kept waiting by others costs the host nothing and makes
//! no pause: on a busy host there would be no time to look at all.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::scan::recent::Recent;

/// Sockets of which the holder is remembered.
const REMEMBERED: usize = 65_536;
/// Processes that are looked at first.
const FIRST: usize = 16;
/// A walk looks at no more open files.
const MOST_FILES: usize = 500_000;
/// And at no more of one process: one with very many takes not all of the walk.
const MOST_OF_ONE: usize = 50_000;
/// A walk takes no more time of a processor.
const WALK: Duration = Duration::from_millis(250);
/// So many times as long as a walk took none begins.
const REST: u32 = 10;

/// A process and its open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    /// The process.
    pub(super) pid: u32,
    /// The number of the open file.
    file: u32,
}

impl Holder {
    /// Tells whether it holds a socket still.
    pub(super) fn has(&self, inode: u32) -> bool {
        let link = fs::read_link(format!("/proc/{}/fd/{}", self.pid, self.file));
        link.is_ok_and(|link| link.to_str().and_then(socket) == Some(inode))
    }
}

/// Knows who holds sockets.
#[derive(Debug)]
pub(super) struct Holders {
    known: Recent<u32, Holder>,
    first: VecDeque<u32>,
    next_walk: Instant,
}

impl Default for Holders {
    fn default() -> Self {
        Self { known: Recent::new(REMEMBERED), first: VecDeque::new(), next_walk: Instant::now() }
    }
}

impl Holders {
    /// Finds who holds these sockets. Those that nobody has, or for which there is no time now, are left out.
    pub(super) fn find(&mut self, wanted: &HashSet<u32>) -> HashMap<u32, Holder> {
        let mut found = HashMap::new();
        let mut left: HashSet<u32> = wanted.clone();
        let remembered =
            |inode: &u32| self.known.get(inode).filter(|h| h.has(*inode)).map(|holder| (*inode, *holder));
        found.extend(wanted.iter().filter_map(remembered));
        left.retain(|inode| !found.contains_key(inode));
        if !left.is_empty() && Instant::now() >= self.next_walk {
            let began = used();
            self.walk(began + WALK, &mut left, &mut found);
            self.next_walk = Instant::now() + used().saturating_sub(began) * REST;
        }
        found
    }

    /// Lets no walk begin before.
    #[cfg(test)]
    pub(super) fn rest_until(&mut self, next: Instant) {
        self.next_walk = next;
    }

    /// Returns when open files may be looked through again.
    pub(super) fn next_walk(&self) -> Instant {
        self.next_walk
    }

    /// Looks through processes until all is found or the time is over: those that had the last sockets may have as many open
    /// files as all others.
    fn walk(&mut self, until: Duration, left: &mut HashSet<u32>, found: &mut HashMap<u32, Holder>) {
        let mut files = 0;
        let first: Vec<u32> = self.first.iter().copied().collect();
        // All are listed only if it comes to that.
        for pid in first.into_iter().chain(std::iter::once_with(newest_first).flatten()) {
            if left.is_empty() || files > MOST_FILES || used() > until {
                break;
            }
            self.look(pid, left, found, &mut files);
        }
    }

    /// Looks through the open files of a process.
    fn look(
        &mut self,
        pid: u32,
        left: &mut HashSet<u32>,
        found: &mut HashMap<u32, Holder>,
        files: &mut usize,
    ) {
        let mut is_one = false;
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for entry in open.take(MOST_OF_ONE) {
            *files += 1;
            if *files > MOST_FILES {
                break;
            }
            let inode = fs::read_link(entry.path()).ok().and_then(|link| link.to_str().and_then(socket));
            let file = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let (Some(inode), Some(file)) = (inode, file) else { continue };
            let holder = Holder { pid, file };
            self.known.put(inode, holder);
            if left.remove(&inode) {
                found.insert(inode, holder);
                is_one = true;
            }
        }
        if is_one {
            self.first.retain(|first| *first != pid);
            self.first.push_front(pid);
            self.first.truncate(FIRST);
        }
    }
}

/// Returns how much time of processors this thread has used.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Lists the processes: what opens a short connection was often started for it.
fn newest_first() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut pids: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    order(&mut pids, last_given());
    pids
}

/// Returns the id that was given last: the end of `0.20 0.18 0.12 1/80 11206`.
fn last_given() -> u32 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next_back().and_then(|last| last.parse().ok()).unwrap_or(u32::MAX)
}

/// Puts the newest first. Ids are given in turn, and begin anew when all were given: those above the last one are the older
/// ones.
fn order(pids: &mut [u32], last: u32) {
    pids.sort_unstable_by_key(|pid| last.wrapping_sub(*pid));
}

/// Reads `socket:[12345]`.
fn socket(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::fd::AsRawFd};

    use super::*;

    fn inode_of(file: &impl AsRawFd) -> u32 {
        let link = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        socket(link.to_str().unwrap()).unwrap()
    }

    #[test]
    fn who_holds_a_socket_is_found_and_once_it_is_closed_nobody() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = inode_of(&held);
        let mut holders = Holders::default();

        let found = holders.find(&[inode].into());
        assert_eq!(found[&inode].pid, std::process::id());
        drop(held);
        let after = holders.find(&[inode].into());

        assert!(after.is_empty(), "{after:?}");
    }

    #[test]
    fn the_newest_processes_come_first_also_when_ids_have_begun_anew() {
        let ordered = |mut pids: Vec<u32>, last| {
            order(&mut pids, last);
            pids
        };

        assert_eq!(ordered(vec![1, 40, 7, 39], 41), [40, 39, 7, 1]);
        assert_eq!(ordered(vec![1, 32_000, 7, 900, 31_999], 8), [7, 1, 32_000, 31_999, 900]);
        assert_eq!(ordered(vec![1, 2], u32::MAX), [2, 1], "nobody says which was the last");
        assert!(last_given() > 0 && last_given() < u32::MAX);
    }

    #[test]
    fn time_in_which_others_ran_is_not_counted() {
        let (began, used_before) = (Instant::now(), used());
        while began.elapsed() < Duration::from_millis(50) {
            std::thread::park_timeout(Duration::from_millis(10));
        }

        assert!(used() - used_before < began.elapsed() / 2);
    }

    #[test]
    fn a_walk_is_followed_by_a_pause_but_what_is_remembered_is_answered_all_the_same() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = inode_of(&held);
        let mut holders = Holders::default();
        holders.find(&[inode].into());
        holders.next_walk = Instant::now() + Duration::from_secs(3_600);
        assert_eq!(holders.first, [std::process::id()], "those are not looked through either");

        let later = UdpSocket::bind("127.0.0.1:0").unwrap();
        let both = [inode, inode_of(&later)].into();
        let found = holders.find(&both);

        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [inode]);
    }
}
