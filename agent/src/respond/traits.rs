//! What a file is beside its bytes: owner, mode, times and extended attributes, access lists among them.

use std::{collections::BTreeMap, fs::File};

use khien_core::{Sha256, Timestamp, Untrusted, reason::Reason};
use rustix::{
    fs::{Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::os;

/// The longest list of attribute names and the longest value, which are the kernel's own limits.
const MAX_ATTRIBUTE: usize = 64 << 10;
/// More attributes than this are refused.
const MAX_ATTRIBUTES: usize = 256;

/// What must come back with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Traits {
    /// Where it was.
    pub(super) path: Untrusted,
    /// Its bytes.
    pub(super) sha256: Sha256,
    /// How many.
    pub(super) size: u64,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Permission bits.
    pub(super) mode: u32,
    /// Last read, seconds and nanoseconds.
    pub(super) accessed: (i64, i64),
    /// Last change of the content, seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// Extended attributes by name.
    pub(super) attributes: BTreeMap<Untrusted, Attribute>,
    /// When it was taken.
    pub(super) taken: Timestamp,
}

/// The value of an extended attribute, base64 when written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute(Vec<u8>);

impl Serialize for Attribute {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        data_encoding::BASE64.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Traits {
    /// Reads them from an open file.
    pub(super) fn of(file: &File, stat: &Stat, path: &Untrusted, sha256: Sha256) -> Result<Self, Reason> {
        #[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between architectures")]
        Ok(Self {
            path: path.clone(),
            sha256,
            size: stat.st_size.unsigned_abs(),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            accessed: (stat.st_atime as i64, stat.st_atime_nsec as i64),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            attributes: attributes(file).map_err(|e| Reason::CannotReadAttributes { error: os(e) })?,
            taken: Timestamp::now(),
        })
    }

    /// Gives them to an open file, and takes what it has beside them, such as an access list that its folder hands
    /// down. The order matters: a change of owner clears set-id bits and capabilities, an access list changes the mode,
    /// and everything but the times changes the times.
    pub(super) fn give(&self, file: &File) -> Result<(), Reason> {
        self.give_owner(file)?;
        self.take_other_attributes(file)?;
        for (name, value) in &self.attributes {
            rustix::fs::fsetxattr(file, name.raw(), &value.0, XattrFlags::empty())
                .map_err(|e| Reason::CannotSetAttribute { name: name.clone(), error: os(e) })?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))
            .map_err(|e| Reason::CannotSetMode { error: os(e) })?;
        self.give_times(file).map_err(|e| Reason::CannotSetTimes { error: os(e) })
    }

    fn give_owner(&self, file: &File) -> Result<(), Reason> {
        let stat = rustix::fs::fstat(file).map_err(|e| Reason::CannotLook { error: os(e) })?;
        if (stat.st_uid, stat.st_gid) == (self.uid, self.gid) {
            return Ok(());
        }
        rustix::fs::fchown(file, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .map_err(|e| Reason::CannotSetOwner { error: os(e) })
    }

    fn take_other_attributes(&self, file: &File) -> Result<(), Reason> {
        let there = attributes(file).map_err(|e| Reason::CannotReadAttributes { error: os(e) })?;
        for name in there.keys().filter(|name| !self.attributes.contains_key(name)) {
            match rustix::fs::fremovexattr(file, name.raw()) {
                Ok(()) => {}
                // The labels of the kernel's security modules are theirs to give and to keep.
                Err(_) if name.raw().starts_with(b"security.") => {}
                Err(error) => {
                    return Err(Reason::CannotSetAttribute { name: name.clone(), error: os(error) });
                }
            }
        }
        Ok(())
    }

    fn give_times(&self, file: &File) -> Result<(), Errno> {
        #[allow(clippy::useless_conversion, reason = "the type of `tv_nsec` differs between architectures")]
        let time = |(tv_sec, nanos): (i64, i64)| Timespec { tv_sec, tv_nsec: nanos.into() };
        let times = Timestamps { last_access: time(self.accessed), last_modification: time(self.modified) };
        rustix::fs::futimens(file, &times)
    }

    /// Tells whether a file looks as if these had been given to it; the time of the last read may have moved on, and
    /// the kernel may have given it labels.
    pub(super) fn fit(&self, other: &Self) -> bool {
        let own = (self.uid, self.gid, self.mode, self.modified, self.sha256);
        own == (other.uid, other.gid, other.mode, other.modified, other.sha256)
            && self.attributes.iter().all(|(name, value)| other.attributes.get(name) == Some(value))
    }
}

fn attributes(file: &File) -> Result<BTreeMap<Untrusted, Attribute>, Errno> {
    let mut list = vec![0_u8; MAX_ATTRIBUTE];
    let length = match rustix::fs::flistxattr(file, &mut list[..]) {
        Err(Errno::NOTSUP) => return Ok(BTreeMap::new()),
        other => other?,
    };
    let mut found = BTreeMap::new();
    for name in list[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; MAX_ATTRIBUTE];
        let length = match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            other => other?,
        };
        value.truncate(length);
        found.insert(Untrusted::new(name), Attribute(value));
        if found.len() > MAX_ATTRIBUTES {
            return Err(Errno::TOOBIG);
        }
    }
    Ok(found)
}
