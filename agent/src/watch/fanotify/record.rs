//! Reads what the kernel writes into a fanotify group's buffer. Pure and bounded: a length that does not fit ends it.
//!
//! ```text
//! event:  len u32 · version u8 · - u8 · head u16 · mask u64 · fd i32 · pid i32 · records…
//! record: type u8 · - u8 · len u16 · body
//!   1 = what it happened to: fsid 8 bytes · handle length u32 · handle kind i32 · handle
//!   2 = folder and name: fsid 8 bytes · handle length u32 · handle kind i32 · handle · name NUL
//!   10, 12 = the same before a move, and after it
//!   4 = process: pidfd i32
//! ```

use super::{places::Key, sys::Handle};

const HEAD: usize = 24;

/// One event.
#[derive(Debug)]
pub(super) struct Event<'b> {
    pub(super) mask: u64,
    /// The process; 0 if it is not in our namespace.
    pub(super) pid: i32,
    /// A file descriptor of the process, or a negative error; none if the kernel does not tell.
    pub(super) pidfd: Option<i32>,
    /// Where it happened; of a move, where to.
    pub(super) place: Option<Place<'b>>,
    /// Of a move, where from.
    pub(super) from: Option<Place<'b>>,
    /// What it happened to, whatever its name; older kernels do not tell.
    pub(super) target: Option<Key>,
}

/// A name in a folder.
#[derive(Debug)]
pub(super) struct Place<'b> {
    pub(super) folder: Key,
    pub(super) name: &'b [u8],
}

/// Returns the events of one read, in order.
pub(super) fn events(mut buffer: &[u8]) -> impl Iterator<Item = Event<'_>> {
    std::iter::from_fn(move || {
        let (event, rest) = event(buffer)?;
        buffer = rest;
        Some(event)
    })
}

fn event(buffer: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let length = u32_at(buffer, 0)? as usize;
    let head = usize::from(u16_at(buffer, 6)?);
    if length < head || head < HEAD || length > buffer.len() {
        return None;
    }
    let (this, rest) = buffer.split_at(length);
    let mask = u64_at(this, 8)?;
    let pid = i32_at(this, 20)?;
    let mut event = Event { mask, pid, pidfd: None, place: None, from: None, target: None };
    let mut records = &this[head..];
    while let Some((kind, body, left)) = record(records) {
        match kind {
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME | libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => {
                event.place = place(body);
            }
            libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => event.from = place(body),
            libc::FAN_EVENT_INFO_TYPE_FID => event.target = key(body).map(|(key, _)| key),
            libc::FAN_EVENT_INFO_TYPE_PIDFD => event.pidfd = i32_at(body, 0),
            _ => {}
        }
        records = left;
    }
    Some((event, rest))
}

fn record(buffer: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let length = usize::from(u16_at(buffer, 2)?);
    if length < 4 || length > buffer.len() {
        return None;
    }
    let (this, rest) = buffer.split_at(length);
    Some((this[0], &this[4..], rest))
}

fn place(body: &[u8]) -> Option<Place<'_>> {
    let (folder, name) = key(body)?;
    let name = name.split(|b| *b == 0).next()?;
    Some(Place { folder, name })
}

/// Returns a file system and a handle, and what comes after them.
fn key(body: &[u8]) -> Option<(Key, &[u8])> {
    let length = u32_at(body, 8)? as usize;
    let bytes = body.get(16..)?.get(..length)?;
    let handle = Handle::new(i32_at(body, 12)?, bytes)?;
    Some(((u64_at(body, 0)?, handle), body.get(16 + length..)?))
}

fn bytes<const N: usize>(buffer: &[u8], at: usize) -> Option<[u8; N]> {
    buffer.get(at..)?.first_chunk().copied()
}

fn u16_at(buffer: &[u8], at: usize) -> Option<u16> {
    bytes(buffer, at).map(u16::from_ne_bytes)
}

fn u32_at(buffer: &[u8], at: usize) -> Option<u32> {
    bytes(buffer, at).map(u32::from_ne_bytes)
}

fn i32_at(buffer: &[u8], at: usize) -> Option<i32> {
    bytes(buffer, at).map(i32::from_ne_bytes)
}

fn u64_at(buffer: &[u8], at: usize) -> Option<u64> {
    bytes(buffer, at).map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folder_name_and_process_are_read() {
        let mut name = vec![2, 0, 28, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 7, 7, 7, 7];
        name.extend_from_slice(b"x.p\0");
        let target = [1, 0, 24, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 8, 8, 8, 8];
        let process = [4, 0, 8, 0, 5, 0, 0, 0];
        let mut buffer =
            vec![84, 0, 0, 0, 3, 0, 24, 0, 8, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 42, 0, 0, 0];
        buffer.extend([name, target.to_vec(), process.to_vec()].concat());

        let events: Vec<_> = events(&buffer).collect();

        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((event.mask, event.pid, event.pidfd), (0x108, 42, Some(5)));
        let place = event.place.as_ref().unwrap();
        assert_eq!((place.folder.0, place.name), (1 | 2 << 32, &b"x.p"[..]));
        assert_eq!(Some(&place.folder.1), Handle::new(9, &[7; 4]).as_ref());
        assert_eq!(event.target, Some((1 | 2 << 32, Handle::new(9, &[8; 4]).unwrap())));
        assert!(event.from.is_none());
    }

    #[test]
    fn a_move_has_both_of_its_names() {
        let end = |kind: u8, handle: u8, name: u8| {
            let head = [kind, 0, 26, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0];
            [&head[..], &[handle; 4], &[name, 0]].concat()
        };
        let mut buffer =
            vec![76, 0, 0, 0, 3, 0, 24, 0, 0, 0, 0, 16, 0, 0, 0, 0, 255, 255, 255, 255, 42, 0, 0, 0];
        buffer.extend([end(10, 7, b'a'), end(12, 8, b'b')].concat());

        let events: Vec<_> = events(&buffer).collect();

        let [event] = events.as_slice() else { panic!("{events:?}") };
        let (from, to) = (event.from.as_ref().unwrap(), event.place.as_ref().unwrap());
        assert_eq!(event.mask, libc::FAN_RENAME);
        assert_eq!((from.name, to.name), (&b"a"[..], &b"b"[..]));
        assert_eq!(from.folder, (1 | 2 << 32, Handle::new(9, &[7; 4]).unwrap()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(buffer in prop::collection::vec(any::<u8>(), 0..256)) {
            events(&buffer).for_each(drop);
        }
    }
}
