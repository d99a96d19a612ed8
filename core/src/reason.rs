//! Why something was not seen, not scanned or not done: a stable code with arguments, never a sentence.
//!
//! The words for people are in [`text::reason`](crate::text::reason), both languages. On the wire a reason is
//! `{"code": "file_not_there", …arguments}`. Whoever sends one may be hostile: every text is cut as it is read, a
//! reason holds at most one other, and a code that is not known here is kept as [`Reason::Unknown`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentId, Lang, OrderId, Timestamp, Untrusted, mandate::Refusal, signature::SignatureError};
use read::{inner, is_zero, list, maybe_inner, short, usual_percent};

mod parts;
mod read;
#[cfg(test)]
pub(crate) mod tests;

pub use parts::{Lack, OsError, SandboxPart};

/// The longest text in a reason in bytes; the rest is cut.
pub const MAX_TEXT: usize = 1_024;
/// The longest code that is kept of a reason that is not known here, in bytes.
pub const MAX_CODE: usize = 64;
/// The most entries of a list in a reason; the rest is cut.
pub const MAX_LIST: usize = 32;

/// Why something was not seen, not scanned or not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case", remote = "Self")]
pub enum Reason {
    // Anywhere.
    /// The system said no, and nothing more is known.
    Os {
        /// What it said.
        error: OsError,
    },
    /// A part of the agent failed over it.
    AgentFailed,
    /// The agent stops.
    AgentStops,
    /// No thread could be started for it.
    NoThread {
        /// Why.
        error: OsError,
    },
    /// Words of a program that had no code for it.
    Said {
        /// The words.
        #[serde(deserialize_with = "short")]
        text: Untrusted,
    },

    // Watching files.
    /// The folder is missing.
    FolderMissing,
    /// fanotify is switched off.
    FanotifyOff,
    /// The agent may not use fanotify.
    FanotifyDenied {
        /// What the kernel said.
        error: OsError,
    },
    /// fanotify does not work on this file system.
    FanotifyUnsupported {
        /// What the kernel said.
        error: OsError,
    },
    /// fanotify worked and then failed for good.
    FanotifyFailed {
        /// What the kernel said.
        error: OsError,
    },
    /// The mount on which the folder lies is not known.
    MountUnknown,
    /// Some mounts below the folder are seen by notify only, or not at all.
    MountsWithoutFanotify {
        /// Those that notify sees.
        #[serde(deserialize_with = "list")]
        notify: Vec<Untrusted>,
        /// Those that nothing sees.
        #[serde(deserialize_with = "list")]
        unseen: Vec<Untrusted>,
    },
    /// Changes are seen, but not who made them.
    WriterUnknown {
        /// Why fanotify, which tells, is not at work.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },
    /// The kernel's limit of watched folders is reached; some are not seen.
    WatchLimit {
        /// Why fanotify, which has no such limit, is not at work.
        #[serde(default, deserialize_with = "maybe_inner", skip_serializing_if = "Option::is_none")]
        because: Option<Box<Reason>>,
    },
    /// Neither fanotify nor notify works.
    NotifyFailed {
        /// What notify said.
        #[serde(deserialize_with = "short")]
        error: Untrusted,
        /// Why fanotify is not at work.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },
    /// The kernel's queue of file events was full.
    EventQueueFull,
    /// File events could not be read.
    EventsUnreadable,
    /// Too many folders were moved at once.
    TooManyMoved,
    /// A folder with changes could not be opened.
    ChangedFolderNotOpened,
    /// A part could not be looked at again after events were lost.
    NotAllLookedAtAgain {
        /// Why events were lost.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },

    /// Folders that cannot be read, so that what is in them is not scanned. The scope is the first of them.
    FoldersUnread {
        /// How many.
        count: u64,
    },
    /// More files changed than could wait for a scan; all that changed since is looked for again.
    ScansBehind {
        /// How many changes found no room.
        count: u64,
    },
    /// Others need the processors: scans wait until the agent's share of them allows more.
    HostBusy {
        /// Of one processor, in percent.
        #[serde(default = "usual_percent")]
        percent: u32,
    },
    /// Others need a disk: scans wait until the agent's share of it allows more.
    DiskBusy {
        /// Of what is read, in a second.
        megabytes: u32,
    },
    /// The host is short of memory: scans wait until the agent's share of processors and disks allows more.
    MemoryShort,
    /// The sysadmin of the host has files wait for their scans.
    PausedBySysadmin {
        /// When the pause ends.
        until: Timestamp,
    },
    /// The sysadmin's pause named a time too far away and is cut.
    PauseCut {
        /// When it ends.
        until: Timestamp,
    },
    /// So much of what happened to files was not judged by the detectors of behaviour: too much came at once.
    ActivitiesMissed {
        /// How many activities or files.
        count: u64,
    },
    /// A file system from the network, or one that a program serves: the policy leaves it out.
    NetworkMount {
        /// Which file system: `nfs4`, `cifs`, `fuse.sshfs`.
        #[serde(deserialize_with = "short")]
        kind: Untrusted,
        /// How many more such mounts there are than are named.
        #[serde(default, skip_serializing_if = "is_zero")]
        others: u64,
    },
    /// Not all that happened to files reached the detectors of behaviour; how much is not known.
    ActivitiesLost,
    /// Not all folders were searched for web roots; those in the others are judged as ordinary folders.
    RootsBeyondLimit {
        /// How many folders of each watched one are searched.
        limit: u64,
    },
    /// So many processes may not be looked at: their memory is not scanned.
    ProcessesClosed {
        /// How many.
        count: u64,
    },
    /// So many processes with something odd wait for a later sweep.
    ProcessesWait {
        /// How many.
        count: u64,
    },
    /// Of so many processes with something odd a part of the memory could not be scanned.
    ProcessesPartly {
        /// How many.
        count: u64,
    },
    /// Below an observed folder are more folders than are watched for changes.
    ObservedBeyondLimit {
        /// How many are watched.
        limit: u64,
    },
    /// A link leads to a folder that is not watched; what is in it is not looked at.
    LinkLeadsOut {
        /// The folder.
        #[serde(deserialize_with = "short")]
        folder: Untrusted,
        /// How many more such links there are than are named.
        #[serde(default, skip_serializing_if = "is_zero")]
        others: u64,
    },
    /// Files or folders that are kept an eye on cannot be read; of the files only mode, owner and size are compared.
    FilesUnread {
        /// How many.
        count: u64,
    },
    /// More files are named than are kept an eye on.
    FilesBeyondLimit {
        /// How many are.
        limit: u64,
        /// The groups of the policy that have more.
        #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
        groups: Vec<Untrusted>,
    },
    /// More files changed than are told at once; the rest is told with the next looks.
    ChangesWait {
        /// How many were left for later.
        count: u64,
    },
    /// The database of the package manager cannot be asked what its files are, so an update is told as changes.
    PackagesUnverified,
    /// What files were before is not known any more; they are compared with what they are now.
    BaselineLost,

    // Watching packets.
    /// More interfaces were chosen than are watched.
    TooManyInterfaces {
        /// How many are watched.
        limit: u64,
    },
    /// The agent may not read packets.
    PacketsDenied,
    /// The interface is down.
    InterfaceDown,
    /// There is no such interface.
    NoInterface,
    /// No interface was chosen, and none has a default route: only loopback is watched.
    NoDefaultRoute,
    /// No memory for the packet ring.
    NoRingMemory,
    /// There is no packet ring here, so packets are read one by one from a plain socket.
    NoPacketRing {
        /// What the kernel said.
        error: OsError,
    },
    /// The sysadmin chose a plain socket in place of the packet ring.
    PacketRingOff,
    /// How many packets the kernel drops cannot be told here.
    LossesUnknown {
        /// Why packets are read in this way.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },
    /// The interface cannot be opened.
    InterfaceNotOpened {
        /// What the kernel said.
        error: OsError,
    },
    /// The interface was down or away.
    InterfaceAway,
    /// The agent failed while it looked at packets, and began anew: what it knew of flows is gone.
    LookingFailed {
        /// The program's own words.
        #[serde(deserialize_with = "short")]
        text: Untrusted,
        /// How long it rests, in seconds, because it failed again and again.
        #[serde(default, skip_serializing_if = "is_zero")]
        seconds: u64,
    },
    /// Packets or what they carried were not looked at.
    PacketsLost {
        /// Packets that the kernel dropped.
        #[serde(default, skip_serializing_if = "is_zero")]
        kernel: u64,
        /// Packets shed because the agent was busy.
        #[serde(default, skip_serializing_if = "is_zero")]
        queue: u64,
        /// Pieces of streams and files not scanned, and findings not told, because too much waited.
        #[serde(default, skip_serializing_if = "is_zero")]
        busy: u64,
        /// Pieces of streams and files whose scan did not end.
        #[serde(default, skip_serializing_if = "is_zero")]
        failed: u64,
        /// Conversations forgotten to make room.
        #[serde(default, skip_serializing_if = "is_zero")]
        evicted: u64,
        /// Flows of which the process was not looked for, because too many were new, and alerts that did not wait for it.
        #[serde(default, skip_serializing_if = "is_zero")]
        unowned: u64,
    },

    /// Records of the network found no room, or could not be written.
    RecordsLost,

    // Scanning.
    /// No rule pack is loaded.
    NoPack,
    /// Parts of the sandbox are not in force here.
    SandboxLacks {
        /// Which, and why.
        #[serde(deserialize_with = "list")]
        parts: Vec<Lack>,
    },
    /// This kernel knows only a part of it.
    KernelHasPart,
    /// This kernel does not have it.
    KernelLacks,
    /// The process cannot see its own size.
    OwnSizeUnknown,
    /// It is not made for this processor.
    UnknownProcessor,
    /// No socket for a scan worker.
    NoSocket {
        /// Why.
        error: OsError,
    },
    /// The scan worker does not start.
    WorkerNotStarted {
        /// Why.
        error: OsError,
    },
    /// The scan worker gave a wrong answer to a pack.
    WorkerWrongAnswer,
    /// The scan worker died while it compiled the pack.
    WorkerDied,

    // Packs.
    /// The pack is not newer than the loaded one.
    PackNotNewer {
        /// The version that came.
        offered: u64,
        /// The version that is loaded.
        loaded: u64,
    },
    /// The pack cannot be loaded.
    PackNotLoaded {
        /// Its version.
        version: u64,
        /// Why.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },
    /// The pack has no room in memory.
    NoMemoryForPack {
        /// Why.
        error: OsError,
    },
    /// The pack does not compile in time.
    PackTooSlow {
        /// The time, in seconds.
        seconds: u64,
    },
    /// The pack is too large.
    PackTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// The pack cannot be read.
    PackUnreadable {
        /// What the parser said.
        #[serde(deserialize_with = "short")]
        error: Untrusted,
    },
    /// The rules do not compile.
    RulesBroken {
        /// What the compiler said.
        #[serde(deserialize_with = "short")]
        error: Untrusted,
    },

    // The way to the hub.
    /// The spool was damaged and set aside; what waited in it did not reach the hub.
    SpoolSetAside,
    /// The note of an order that was begun cannot be read any more.
    OrderNoteUnreadable,

    // What is signed: mandates and packs.
    /// Nobody signed it.
    Unsigned,
    /// It is signed by a key that is not trusted here.
    UnknownKey,
    /// The signature does not fit, the text was altered.
    Altered,
    /// The signed text cannot be read.
    SignedUnreadable {
        /// What the parser said.
        #[serde(deserialize_with = "short")]
        error: Untrusted,
    },
    /// The mandate expired.
    MandateExpired {
        /// When.
        at: Timestamp,
    },
    /// The mandate is dated in the future.
    MandateNotYet {
        /// When.
        at: Timestamp,
    },
    /// The mandate lives longer than allowed.
    MandateTooLong,
    /// The order is meant for another agent.
    WrongTarget {
        /// Which.
        agent: AgentId,
    },
    /// The mandate has no such entry.
    OutOfBounds {
        /// The index.
        index: u32,
    },
    /// The order was carried out before.
    Replayed {
        /// Which.
        order: OrderId,
    },
    /// Other refusals came before this one and were not reported.
    OthersUnreported {
        /// How many.
        others: u64,
        /// This refusal.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },
    /// The mandate expired before the order was carried out.
    ExpiredBefore,
    /// The mandate expired before the agent answered.
    NoAnswer,
    /// The mandate does not allow this order.
    NotInMandate,
    /// The agent refused the order.
    RefusedByAgent {
        /// Why.
        #[serde(deserialize_with = "inner")]
        because: Box<Reason>,
    },

    // Ordered scans.
    /// The agent was started anew during the scan; how far it was is not known any more.
    ScanCutOff,
    /// As many ordered scans wait as may.
    TooManyScans {
        /// How many.
        limit: u64,
    },
    /// The file system holds no files that anyone stored.
    NoStoredFiles,
    /// The agent has nothing that could scan.
    NoScanner,
    /// The sysadmin of the host has the agent leave the memory of processes alone.
    MemoryOff,
    /// Not even the agent's own process is among those that the host shows.
    NoProcesses,
    /// The agent answered what this order cannot end with.
    OtherAnswer,

    // Evidence.
    /// The agent says that it preserved the file, but did not upload it.
    EvidenceMissing,
    /// The hub refused the evidence.
    EvidenceRefused {
        /// What the hub said, Vietnamese.
        #[serde(deserialize_with = "short")]
        vi: Untrusted,
        /// The same, English.
        #[serde(deserialize_with = "short")]
        en: Untrusted,
    },
    /// The hub did not take the evidence.
    EvidenceNotTaken,
    /// The hub gave no key to which evidence could be sealed.
    NoEvidenceKey,
    /// A file is preserved with the hub's help only.
    NeedsHub,
    /// The agent keeps no packets in memory.
    PacketsNotKept,
    /// None of the packets that are kept are those that were asked for.
    NoSuchPackets,
    /// The agent keeps no records of the network.
    RecordsNotKept,
    /// As many searches of the records wait as may.
    TooManySearches {
        /// How many.
        limit: u64,
    },

    // Files that orders are about.
    /// The path is not a plain absolute one.
    NotPlainPath,
    /// The path lies in the agent's own folder.
    OwnFolder,
    /// The sysadmin of the host keeps the agent out of the folder.
    FolderExcluded,
    /// The file is not there.
    FileNotThere,
    /// The file is still there.
    FileStillThere,
    /// The file has other content than the order names.
    OtherContent,
    /// It is not a regular file.
    NotRegularFile,
    /// The file has several names.
    ManyNames {
        /// How many.
        names: u64,
    },
    /// The file changed while it was copied.
    ChangedWhileCopied,
    /// The file is too large.
    FileTooLarge {
        /// The most, in bytes.
        limit: u64,
    },
    /// No space is left that the host can spare.
    NoSpareSpace,
    /// The copy of the file is gone.
    CopyGone,
    /// The file is not in quarantine.
    NotInQuarantine,
    /// The quarantine is damaged.
    QuarantineDamaged,
    /// The folder of the file is gone.
    FolderGone,
    /// Another file is at the path.
    AnotherFileThere,
    /// The root folder cannot be opened.
    CannotOpenRoot {
        /// What the system said.
        error: OsError,
    },
    /// The folder cannot be opened.
    CannotOpenFolder {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be opened.
    CannotOpenFile {
        /// What the system said.
        error: OsError,
    },
    /// The file's inode cannot be looked at.
    CannotLook {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be read.
    CannotRead {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be copied.
    CannotCopy {
        /// What the system said.
        error: OsError,
    },
    /// The copy of the file cannot be read.
    CannotReadCopy {
        /// What the system said.
        error: OsError,
    },
    /// It cannot be seen how much space is free.
    CannotSeeSpace {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be copied into quarantine.
    CannotQuarantine {
        /// What the system said.
        error: OsError,
    },
    /// The quarantine cannot be read.
    CannotReadQuarantine {
        /// What the system said.
        error: OsError,
    },
    /// The quarantine cannot be cleared.
    CannotClearQuarantine {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be taken away.
    CannotTakeAway {
        /// What the system said.
        error: OsError,
    },
    /// The folder cannot be written to.
    CannotWriteFolder {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be written.
    CannotWrite {
        /// What the system said.
        error: OsError,
    },
    /// The file cannot be put in its place.
    CannotPutBack {
        /// What the system said.
        error: OsError,
    },
    /// The extended attributes cannot be read.
    CannotReadAttributes {
        /// What the system said.
        error: OsError,
    },
    /// An extended attribute cannot be set.
    CannotSetAttribute {
        /// Its name.
        #[serde(deserialize_with = "short")]
        name: Untrusted,
        /// What the system said.
        error: OsError,
    },
    /// The mode cannot be set.
    CannotSetMode {
        /// What the system said.
        error: OsError,
    },
    /// The times cannot be set.
    CannotSetTimes {
        /// What the system said.
        error: OsError,
    },
    /// The owner cannot be set.
    CannotSetOwner {
        /// What the system said.
        error: OsError,
    },

    /// A newer program's code that is not known here, or one whose arguments cannot be read. The arguments are lost.
    #[serde(skip)]
    Unknown {
        /// The code.
        code: Untrusted,
    },
}

impl Reason {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> String {
        let written = serde_json::to_value(self).ok();
        let code = written.as_ref().and_then(|w| w.get("code")?.as_str());
        code.unwrap_or_default().to_owned()
    }

    /// Tells whether it holds another reason.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        match self {
            Self::WatchLimit { because } => because.is_some(),
            Self::WriterUnknown { .. }
            | Self::NotifyFailed { .. }
            | Self::NotAllLookedAtAgain { .. }
            | Self::SandboxLacks { .. }
            | Self::PackNotLoaded { .. }
            | Self::OthersUnreported { .. }
            | Self::RefusedByAgent { .. } => true,
            _ => false,
        }
    }
}

/// In English, for logs.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

impl std::error::Error for Reason {}

impl From<&SignatureError> for Reason {
    fn from(error: &SignatureError) -> Self {
        match error {
            SignatureError::Unsigned => Self::Unsigned,
            SignatureError::UnknownKey => Self::UnknownKey,
            SignatureError::Altered => Self::Altered,
            SignatureError::Unreadable(why) => Self::SignedUnreadable { error: quoted(why) },
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Signature(error) => error.into(),
            Refusal::Expired(at) => Self::MandateExpired { at: *at },
            Refusal::NotYet(at) => Self::MandateNotYet { at: *at },
            Refusal::TooLong => Self::MandateTooLong,
            Refusal::WrongTarget(agent) => Self::WrongTarget { agent: *agent },
            Refusal::OutOfBounds(index) => Self::OutOfBounds { index: *index },
            Refusal::Replayed(order) => Self::Replayed { order: *order },
        }
    }
}

/// Takes another program's words as an argument, cut to [`MAX_TEXT`].
#[must_use]
pub fn quoted(text: &str) -> Untrusted {
    Untrusted::cut(text.as_bytes(), MAX_TEXT)
}
