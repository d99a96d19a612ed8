//! The words of every [`Reason`]. What is quoted in them came from outside and is escaped.

use super::{Lang, Message, Words};
use crate::{
    reason::{OsError, Reason},
    time,
};
use parts::{LOST, lacks, lost, mounts};

mod parts;

impl Reason {
    /// Returns it in both languages.
    #[must_use]
    pub fn words(&self) -> Words {
        Words { vi: self.text(Lang::Vi), en: self.text(Lang::En) }
    }

    /// Returns it in one language.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        if let Self::PacketsLost { kernel, queue, busy, failed, evicted, unowned } = self {
            return lost(lang, [*kernel, *queue, *busy, *failed, *evicted, *unowned]);
        }
        let values = self.values(lang);
        let shown: Vec<&dyn std::fmt::Display> = values.iter().map(|v| v as _).collect();
        self.message().with(lang, &shown)
    }

    /// Returns the values in the places of its message.
    fn values(&self, lang: Lang) -> Vec<String> {
        match self {
            Self::Said { text } | Self::Unknown { code: text } | Self::LookingFailed { text, seconds: 0 } => {
                vec![text.to_string()]
            }
            Self::LookingFailed { text, seconds } => vec![seconds.to_string(), text.to_string()],
            Self::PackUnreadable { error }
            | Self::RulesBroken { error }
            | Self::SignedUnreadable { error } => vec![error.to_string()],
            Self::EvidenceRefused { vi, en } => {
                vec![if lang == Lang::Vi { vi } else { en }.to_string()]
            }
            Self::MountsWithoutFanotify { notify, unseen } => vec![mounts(lang, notify, unseen)],
            Self::WriterUnknown { because }
            | Self::NotAllLookedAtAgain { because }
            | Self::RefusedByAgent { because }
            | Self::LossesUnknown { because }
            | Self::WatchLimit { because: Some(because) } => vec![because.text(lang)],
            Self::NotifyFailed { error, because } => vec![because.text(lang), error.to_string()],
            Self::PackNotLoaded { version, because } => vec![version.to_string(), because.text(lang)],
            Self::OthersUnreported { others, because } => vec![because.text(lang), others.to_string()],
            Self::SandboxLacks { parts } => vec![lacks(lang, parts)],
            Self::FilesBeyondLimit { limit, groups } if !groups.is_empty() => {
                let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
                vec![limit.to_string(), groups.join(", ")]
            }
            Self::TooManyInterfaces { limit: n }
            | Self::PackTooLarge { limit: n }
            | Self::FileTooLarge { limit: n }
            | Self::TooManyScans { limit: n }
            | Self::TooManySearches { limit: n }
            | Self::FoldersUnread { count: n }
            | Self::FilesUnread { count: n }
            | Self::FilesBeyondLimit { limit: n, .. }
            | Self::ChangesWait { count: n }
            | Self::RootsBeyondLimit { limit: n }
            | Self::ActivitiesMissed { count: n }
            | Self::ProcessesClosed { count: n }
            | Self::ProcessesWait { count: n }
            | Self::ProcessesPartly { count: n }
            | Self::ObservedBeyondLimit { limit: n }
            | Self::ScansBehind { count: n }
            | Self::PackTooSlow { seconds: n }
            | Self::ManyNames { names: n } => vec![n.to_string()],
            Self::HostBusy { percent: n } | Self::DiskBusy { megabytes: n } => vec![n.to_string()],
            Self::PackNotNewer { offered, loaded } => vec![offered.to_string(), loaded.to_string()],
            Self::MandateExpired { at }
            | Self::MandateNotYet { at }
            | Self::PausedBySysadmin { until: at }
            | Self::PauseCut { until: at } => vec![time::shown(*at)],
            Self::WrongTarget { agent } => vec![agent.to_string()],
            Self::NetworkMount { kind, others: 0 } => vec![kind.to_string()],
            Self::NetworkMount { kind, others } => vec![kind.to_string(), others.to_string()],
            Self::LinkLeadsOut { folder, others: 0 } => vec![folder.to_string()],
            Self::LinkLeadsOut { folder, others } => vec![folder.to_string(), others.to_string()],
            Self::OutOfBounds { index } => vec![index.to_string()],
            Self::Replayed { order } => vec![order.to_string()],
            Self::CannotSetAttribute { name, error } => vec![name.to_string(), error.text(lang)],
            other => other.error().map(|e| e.text(lang)).into_iter().collect(),
        }
    }

    /// Returns what the system said.
    fn error(&self) -> Option<&OsError> {
        match self {
            Self::Os { error }
            | Self::NoThread { error }
            | Self::FanotifyDenied { error }
            | Self::FanotifyUnsupported { error }
            | Self::FanotifyFailed { error }
            | Self::NoPacketRing { error }
            | Self::InterfaceNotOpened { error }
            | Self::NoSocket { error }
            | Self::WorkerNotStarted { error }
            | Self::NoMemoryForPack { error }
            | Self::CannotOpenRoot { error }
            | Self::CannotOpenFolder { error }
            | Self::CannotOpenFile { error }
            | Self::CannotLook { error }
            | Self::CannotRead { error }
            | Self::CannotCopy { error }
            | Self::CannotReadCopy { error }
            | Self::CannotSeeSpace { error }
            | Self::CannotQuarantine { error }
            | Self::CannotReadQuarantine { error }
            | Self::CannotClearQuarantine { error }
            | Self::CannotTakeAway { error }
            | Self::CannotWriteFolder { error }
            | Self::CannotWrite { error }
            | Self::CannotPutBack { error }
            | Self::CannotReadAttributes { error }
            | Self::CannotSetMode { error }
            | Self::CannotSetTimes { error }
            | Self::CannotSetOwner { error } => Some(error),
            _ => None,
        }
    }

    /// Returns the text with places for its values.
    fn message(&self) -> Message {
        match self {
            Self::Os { .. } | Self::Said { .. } => both("{}", "{}"),
            Self::Unknown { .. } => {
                both("lý do chưa có trong phiên bản này: {}", "reason unknown to this version: {}")
            }
            Self::AgentFailed => both("tác tử gặp lỗi khi đang làm", "the agent failed over it"),
            Self::AgentStops => both("tác tử đang dừng", "the agent stops"),
            Self::NoThread { .. } => both("không tạo được luồng xử lý: {}", "no thread for it: {}"),

            Self::FolderMissing => both("thư mục không tồn tại", "the folder is missing"),
            Self::FanotifyOff => both("fanotify bị tắt", "fanotify is switched off"),
            Self::FanotifyDenied { .. } => {
                both("không có quyền dùng fanotify ({})", "no privilege for fanotify ({})")
            }
            Self::FanotifyUnsupported { .. } => both(
                "fanotify không dùng được trên hệ thống tệp này ({})",
                "fanotify does not work on this file system ({})",
            ),
            Self::FanotifyFailed { .. } => both("fanotify bị lỗi ({})", "fanotify failed ({})"),
            Self::MountUnknown => {
                both("không rõ thư mục nằm trên hệ thống tệp nào", "the folder's mount is not known")
            }
            Self::MountsWithoutFanotify { .. } => {
                both("điểm gắn không có fanotify: {}", "mounts without fanotify: {}")
            }
            Self::WriterUnknown { .. } => {
                both("{}: không biết tiến trình nào đã ghi", "{}: the writing process is not known")
            }
            Self::WatchLimit { because: None } => both(
                "đã hết giới hạn số thư mục theo dõi (fs.inotify.max_user_watches), một số thư mục không được theo dõi",
                "the limit of watched folders is reached (fs.inotify.max_user_watches), some are not seen",
            ),
            Self::WatchLimit { because: Some(_) } => both(
                "{}; đã hết giới hạn số thư mục theo dõi (fs.inotify.max_user_watches), một số thư mục không được theo dõi",
                "{}; the limit of watched folders is reached (fs.inotify.max_user_watches), some are not seen",
            ),
            Self::NotifyFailed { .. } => both("{}; notify: {}", "{}; notify: {}"),
            Self::EventQueueFull => both(
                "hàng đợi sự kiện tệp của nhân hệ điều hành bị đầy",
                "the kernel's queue of file events was full",
            ),
            Self::EventsUnreadable => both("không đọc được sự kiện tệp", "file events could not be read"),
            Self::TooManyMoved => {
                both("quá nhiều thư mục được di chuyển cùng lúc", "too many folders were moved at once")
            }
            Self::ChangedFolderNotOpened => {
                both("không mở được một thư mục có thay đổi", "a folder with changes could not be opened")
            }
            Self::NotAllLookedAtAgain { .. } => {
                both("{}; có phần không kiểm tra lại được", "{}; a part could not be looked at again")
            }

            Self::ActivitiesMissed { .. } => both(
                "{} việc với tệp xảy ra quá nhanh, chưa được xét hành vi; nội dung tệp vẫn được quét",
                "{} things done to files came too fast and were not judged by behaviour; the files are scanned all the same",
            ),
            Self::ActivitiesLost => both(
                "mất một phần sự kiện tệp, hành vi trong lúc đó chưa được xét đủ; nội dung tệp vẫn được quét",
                "some file events were lost and what was done meanwhile was not all judged; the files are scanned all the same",
            ),
            Self::RootsBeyondLimit { .. } => both(
                "quá nhiều thư mục: chỉ tìm thư mục gốc web trong {} thư mục của mỗi thư mục theo dõi",
                "too many folders: web roots are looked for in {} folders of each watched one only",
            ),
            Self::ProcessesClosed { .. } => both(
                "có {} tiến trình không được phép xem, bộ nhớ của chúng không được quét",
                "{} processes may not be looked at, their memory is not scanned",
            ),
            Self::ProcessesWait { .. } => both(
                "có {} tiến trình bất thường đang chờ quét bộ nhớ",
                "{} processes with something odd wait for the scan of their memory",
            ),
            Self::ProcessesPartly { .. } => both(
                "có {} tiến trình bất thường không quét được hết bộ nhớ",
                "of {} processes with something odd a part of the memory could not be scanned",
            ),
            Self::ObservedBeyondLimit { .. } => both(
                "bên dưới có quá nhiều thư mục: thay đổi chỉ thấy ngay trong {} thư mục, phần còn lại đợi lượt xem sau",
                "too many folders below it: changes are seen at once in {} of them, the others wait for the next look",
            ),
            Self::ScansBehind { .. } => both(
                "tệp thay đổi nhanh hơn tốc độ quét: {} lần thay đổi không còn chỗ trong hàng đợi quét và được tìm lại",
                "files changed faster than they are scanned: {} changes found no room among those that wait and were looked for again",
            ),
            Self::FoldersUnread { .. } => both(
                "có {} thư mục không đọc được, tệp trong đó không được quét",
                "{} folders cannot be read, what is in them is not scanned",
            ),
            Self::HostBusy { .. } => both(
                "máy chủ đang bận bộ xử lý: tệp mới được quét chậm lại, tối đa {} % một nhân xử lý",
                "the host's processors are busy: new files are scanned more slowly, with {} % of one processor at most",
            ),
            Self::DiskBusy { .. } => both(
                "máy chủ đang bận ổ đĩa: tệp mới được quét chậm lại, đọc từ đĩa tối đa {} MB mỗi giây",
                "the host's disk is busy: new files are scanned more slowly, with {} MB a second read from disks at most",
            ),
            Self::MemoryShort => both(
                "máy chủ đang thiếu bộ nhớ: tệp mới được quét chậm lại, bằng ít tiến trình quét hơn",
                "the host is short of memory: new files are scanned more slowly, by fewer workers",
            ),
            Self::PausedBySysadmin { .. } => both(
                "quản trị viên máy chủ tạm dừng quét tệp đến {}",
                "the host's sysadmin paused the scanning of files until {}",
            ),
            Self::PauseCut { .. } => both(
                "yêu cầu tạm dừng quét nêu thời điểm quá xa; chỉ tạm dừng đến {}",
                "the wish for a pause of scanning names a time too far away; it ends at {}",
            ),
            Self::FilesUnread { .. } => both(
                "có {} tệp hoặc thư mục cần canh giữ không đọc được",
                "{} files or folders to keep an eye on cannot be read",
            ),
            Self::FilesBeyondLimit { groups, .. } if !groups.is_empty() => both(
                "chính sách nêu nhiều tệp hơn mức canh giữ được ({}); chưa đủ ở nhóm: {}",
                "the policy names more files than are kept an eye on ({}); not whole: {}",
            ),
            Self::FilesBeyondLimit { .. } => both(
                "chính sách nêu hơn {} tệp, phần còn lại không được canh giữ",
                "the policy names more than {} files, the rest is not kept an eye on",
            ),
            Self::ChangesWait { .. } => both(
                "quá nhiều tệp thay đổi cùng lúc: {} thay đổi chờ lượt xem sau",
                "too many files changed at once: {} changes wait for the next look",
            ),
            Self::PackagesUnverified => both(
                "không đối chiếu được với cơ sở dữ liệu gói của máy này; cập nhật gói cũng bị báo là thay đổi",
                "the package database of this host cannot be asked; updates of packages are told as changes",
            ),
            Self::BaselineLost => both(
                "không còn bản ghi tệp trước đây; thay đổi trước lúc này không phát hiện được",
                "what files were before is not known; changes before now cannot be found",
            ),
            Self::NetworkMount { others: 0, .. } => both(
                "hệ thống tệp từ mạng hoặc do chương trình cung cấp ({}), chính sách không theo dõi",
                "a file system from the network or of a program ({}), left out by the policy",
            ),
            Self::NetworkMount { .. } => both(
                "hệ thống tệp từ mạng hoặc do chương trình cung cấp ({}), chính sách không theo dõi; còn {} điểm gắn khác như vậy",
                "a file system from the network or of a program ({}), left out by the policy; {} more such mounts",
            ),
            Self::LinkLeadsOut { others: 0, .. } => both(
                "liên kết dẫn tới thư mục không được theo dõi: {}",
                "the link leads to a folder that is not watched: {}",
            ),
            Self::LinkLeadsOut { .. } => both(
                "liên kết dẫn tới thư mục không được theo dõi: {}; còn {} liên kết khác như vậy",
                "the link leads to a folder that is not watched: {}; {} more such links",
            ),

            Self::TooManyInterfaces { .. } => {
                both("đã chọn hơn {} giao diện mạng", "more than {} interfaces were chosen")
            }
            Self::PacketsDenied => both(
                "không có quyền đọc gói tin: cần root hoặc CAP_NET_RAW",
                "no privilege to read packets: needs root or CAP_NET_RAW",
            ),
            Self::InterfaceDown => both("giao diện mạng đang tắt", "the interface is down"),
            Self::NoInterface => both("không có giao diện mạng này", "there is no such interface"),
            Self::NoDefaultRoute => both(
                "chưa giao diện mạng nào có đường mặc định: mới theo dõi lo; có thể chọn bằng --interface",
                "no interface has a default route yet: only lo is watched; --interface names one",
            ),
            Self::NoRingMemory => both("không đủ bộ nhớ để đọc gói tin", "no memory for the packet ring"),
            Self::NoPacketRing { .. } => both(
                "không có vùng đệm vòng cho gói tin ({}); đọc từng gói, dễ mất gói khi lưu lượng tăng vọt",
                "no packet ring here ({}); packets are read one by one, more are lost in bursts",
            ),
            Self::PacketRingOff => both(
                "người quản trị máy chọn không dùng vùng đệm vòng; đọc từng gói, dễ mất gói khi lưu lượng tăng vọt",
                "the packet ring is switched off on this host; packets are read one by one, more are lost in bursts",
            ),
            Self::LossesUnknown { .. } => both(
                "{}; không biết nhân hệ điều hành bỏ bao nhiêu gói",
                "{}; how many packets the kernel drops is not known here",
            ),
            Self::InterfaceNotOpened { .. } => {
                both("không mở được giao diện mạng: {}", "cannot be opened: {}")
            }
            Self::InterfaceAway => {
                both("giao diện mạng đã tắt hoặc biến mất", "the interface was down or away")
            }
            Self::LookingFailed { seconds: 0, .. } => both(
                "gặp lỗi khi xem gói tin, đã bắt đầu lại và quên các luồng đang theo dõi: {}",
                "looking at packets failed and began anew, the flows that were followed are forgotten: {}",
            ),
            Self::LookingFailed { .. } => both(
                "liên tục gặp lỗi khi xem gói tin, nghỉ {} giây rồi thử lại: {}",
                "looking at packets failed again and again, it rests for {} s and tries again: {}",
            ),
            Self::PacketsLost { .. } => LOST,
            Self::RecordsLost => both(
                "bản ghi mạng đến nhanh hơn mức lưu kịp, hoặc không ghi được xuống đĩa; tìm lại khoảng thời gian này sẽ không thấy hết",
                "records of the network came faster than they can be kept, or could not be written; hunts of that time do not find all",
            ),

            Self::NoPack => both("chưa nạp gói luật nào", "no rule pack is loaded"),
            Self::SandboxLacks { .. } => both("hộp cát trên máy này thiếu: {}", "not in force here: {}"),
            Self::KernelHasPart => {
                both("nhân hệ điều hành chỉ hỗ trợ một phần", "this kernel knows a part of it")
            }
            Self::KernelLacks => both("nhân hệ điều hành không hỗ trợ", "this kernel does not have it"),
            Self::OwnSizeUnknown => {
                both("không biết kích thước của chính tiến trình", "own size is not known")
            }
            Self::UnknownProcessor => both("chưa hỗ trợ loại bộ xử lý này", "unknown processor"),
            Self::NoSocket { .. } => {
                both("không tạo được socket cho tiến trình quét: {}", "no socket for a scan worker: {}")
            }
            Self::WorkerNotStarted { .. } => {
                both("tiến trình quét không khởi động được: {}", "scan worker does not start: {}")
            }
            Self::WorkerWrongAnswer => both(
                "tiến trình quét trả lời sai khi nhận gói luật",
                "scan worker gave a wrong answer to a pack",
            ),
            Self::WorkerDied => both(
                "tiến trình quét chết khi đang biên dịch gói luật",
                "scan worker died while it compiled the pack",
            ),

            Self::PackNotNewer { .. } => both(
                "gói luật {} không mới hơn gói {} đang dùng",
                "pack {} is not newer than pack {}, which is loaded",
            ),
            Self::PackNotLoaded { .. } => {
                both("không nạp được gói luật {}: {}", "pack {} cannot be loaded: {}")
            }
            Self::NoMemoryForPack { .. } => {
                both("không đủ bộ nhớ cho gói luật: {}", "pack has no room in memory: {}")
            }
            Self::PackTooSlow { .. } => {
                both("gói luật không biên dịch xong trong {} giây", "pack does not compile within {} s")
            }
            Self::PackTooLarge { .. } => both("gói luật lớn hơn {} byte", "pack is larger than {} bytes"),
            Self::PackUnreadable { .. } => both("không đọc được gói luật: {}", "pack cannot be read: {}"),
            Self::RulesBroken { .. } => both("luật không biên dịch được: {}", "rules do not compile: {}"),
            Self::SpoolSetAside => both(
                "bộ đệm của tác tử bị hỏng và được để riêng ra, những gì chờ trong đó đã không tới trung tâm",
                "spool was damaged and set aside, what waited in it did not reach the hub",
            ),
            Self::OrderNoteUnreadable => both(
                "không đọc được ghi chép về một lệnh đang làm dở; lệnh ấy chờ trung tâm gửi lại",
                "the note of an order that was begun cannot be read; the order waits until the hub repeats it",
            ),

            Self::Unsigned => both("không có chữ ký", "not signed"),
            Self::UnknownKey => {
                both("ký bằng khóa không được tin cậy ở đây", "signed by a key that is not trusted here")
            }
            Self::Altered => {
                both("chữ ký không khớp, nội dung đã bị sửa", "signature does not fit, the text was altered")
            }
            Self::SignedUnreadable { .. } => {
                both("không đọc được nội dung đã ký: {}", "signed text cannot be read: {}")
            }
            Self::MandateExpired { .. } => {
                both("lệnh ủy quyền đã hết hạn lúc {} (giờ Việt Nam)", "mandate expired at {} (Vietnam time)")
            }
            Self::MandateNotYet { .. } => both(
                "lệnh ủy quyền ghi ngày giờ {} (giờ Việt Nam), là lúc chưa tới",
                "mandate is dated {} (Vietnam time), which is not yet",
            ),
            Self::MandateTooLong => both(
                "lệnh ủy quyền có hiệu lực dài hơn mười lăm phút",
                "mandate lives longer than fifteen minutes",
            ),
            Self::WrongTarget { .. } => both("lệnh dành cho tác tử {}", "order is meant for agent {}"),
            Self::OutOfBounds { .. } => both("lệnh ủy quyền không có lệnh số {}", "mandate has no order {}"),
            Self::Replayed { .. } => {
                both("lệnh {} đã được thực hiện trước đó", "order {} was carried out before")
            }
            Self::OthersUnreported { .. } => both(
                "{}; {} lần từ chối khác trước đó không được báo",
                "{}; {} other refusals before it were not reported",
            ),
            Self::ExpiredBefore => both(
                "lệnh ủy quyền hết hạn trước khi lệnh được thực hiện",
                "the mandate expired before the order was carried out",
            ),
            Self::NoAnswer => both(
                "lệnh ủy quyền hết hạn trước khi tác tử trả lời",
                "mandate expired before the agent answered",
            ),
            Self::NotInMandate => {
                both("lệnh ủy quyền không cho phép lệnh này", "mandate does not allow this order")
            }
            Self::RefusedByAgent { .. } => both("tác tử từ chối lệnh: {}", "agent refused the order: {}"),

            Self::EvidenceMissing => both("chứng cứ không được tải lên", "evidence was not uploaded"),
            Self::EvidenceRefused { .. } => {
                both("trung tâm từ chối chứng cứ: {}", "the hub refused the evidence: {}")
            }
            Self::EvidenceNotTaken => {
                both("trung tâm không nhận chứng cứ", "the hub did not take the evidence")
            }
            Self::NoEvidenceKey => both(
                "trung tâm chưa cấp khóa niêm phong chứng cứ dùng được; hãy nâng cấp trung tâm, chứng cứ không bao giờ được lưu dạng mở",
                "the hub gave no usable key to seal evidence with; upgrade the hub, evidence is never kept open",
            ),
            Self::ScanCutOff => both(
                "tác tử khởi động lại khi đang quét; không còn biết đã quét tới đâu",
                "the agent was started anew during the scan, and how far it was is not known any more",
            ),
            Self::TooManyScans { .. } => {
                both("đã có {} lần quét theo lệnh đang chờ", "{} ordered scans wait already")
            }
            Self::NoStoredFiles => both(
                "hệ thống tệp này không chứa tệp nào do ai lưu",
                "this file system holds no files that anyone stored",
            ),
            Self::NoScanner => both("tác tử không có gì để quét", "the agent has nothing that could scan"),
            Self::MemoryOff => both(
                "quản trị viên máy chủ đã tắt việc xem bộ nhớ tiến trình (--no-memory)",
                "the server's administrator switched looking into the memory of processes off (--no-memory)",
            ),
            Self::NoProcesses => {
                both("không liệt kê được tiến trình nào trong /proc", "no processes can be listed in /proc")
            }
            Self::OtherAnswer => both(
                "tác tử trả lời điều không hợp với lệnh này; không biết đã làm gì",
                "the agent answered what does not fit this order, and what it did is not known",
            ),
            Self::NeedsHub => both(
                "chỉ lưu được tệp làm chứng cứ khi có trung tâm",
                "a file is preserved with the hub's help",
            ),
            Self::PacketsNotKept => both(
                "tác tử không giữ gói tin trong bộ nhớ (đang tắt; bật bằng --packets-mib)",
                "the agent keeps no packets in memory (switched off; --packets-mib switches it on)",
            ),
            Self::NoSuchPackets => both(
                "trong số gói tin đang giữ không có gói nào như yêu cầu",
                "none of the packets that are kept are those that were asked for",
            ),
            Self::RecordsNotKept => {
                both("tác tử không lưu bản ghi mạng", "the agent keeps no records of the network")
            }
            Self::TooManySearches { .. } => both(
                "đã có {} lần tìm đang chờ; hãy ra lệnh lại sau vài phút",
                "{} searches wait already; order it again in some minutes",
            ),

            Self::NotPlainPath => {
                both("không phải đường dẫn tuyệt đối thông thường", "not a plain absolute path")
            }
            Self::OwnFolder => both(
                "đường dẫn nằm trong thư mục của chính tác tử",
                "the path lies in the agent's own folder",
            ),
            Self::FolderExcluded => both(
                "quản trị viên máy chủ không cho tác tử xem thư mục này",
                "the sysadmin of the host keeps the agent out of this folder",
            ),
            Self::FileNotThere => both("tệp không có ở đó", "the file is not there"),
            Self::FileStillThere => both("tệp vẫn còn đó", "the file is still there"),
            Self::OtherContent => both(
                "nội dung tệp khác với nội dung ghi trong lệnh",
                "the file has other content than the order names",
            ),
            Self::NotRegularFile => both("không phải tệp thông thường", "not a regular file"),
            Self::ManyNames { .. } => {
                both("tệp có {} tên, chỉ chấp nhận một", "the file has {} names, expected one")
            }
            Self::ChangedWhileCopied => {
                both("tệp thay đổi trong khi sao chép", "the file changed while it was copied")
            }
            Self::FileTooLarge { .. } => both("tệp lớn hơn {} byte", "the file is larger than {} bytes"),
            Self::NoSpareSpace => {
                both("máy chủ không còn đủ chỗ trống trên đĩa", "no space left that the host can spare")
            }
            Self::CopyGone => both("bản sao của tệp đã mất", "the copy of the file is gone"),
            Self::NotInQuarantine => both("tệp không có trong vùng cách ly", "the file is not in quarantine"),
            Self::QuarantineDamaged => both("vùng cách ly bị hỏng", "the quarantine is damaged"),
            Self::FolderGone => both("thư mục chứa tệp không còn", "the folder of the file is gone"),
            Self::AnotherFileThere => both("đã có tệp khác ở đường dẫn này", "another file is at the path"),
            Self::CannotOpenRoot { .. } => both("không mở được /: {}", "cannot open /: {}"),
            Self::CannotOpenFolder { .. } => both("không mở được thư mục: {}", "cannot open the folder: {}"),
            Self::CannotOpenFile { .. } => both("không mở được tệp: {}", "cannot open the file: {}"),
            Self::CannotLook { .. } => {
                both("không xem được thông tin tệp: {}", "cannot look at the file: {}")
            }
            Self::CannotRead { .. } => both("không đọc được tệp: {}", "cannot read the file: {}"),
            Self::CannotCopy { .. } => both("không sao chép được tệp: {}", "cannot copy the file: {}"),
            Self::CannotReadCopy { .. } => {
                both("không đọc được bản sao của tệp: {}", "cannot read the copy of the file: {}")
            }
            Self::CannotSeeSpace { .. } => {
                both("không xem được đĩa còn trống bao nhiêu: {}", "cannot see how much space is free: {}")
            }
            Self::CannotQuarantine { .. } => {
                both("không chép được tệp vào vùng cách ly: {}", "cannot copy the file into quarantine: {}")
            }
            Self::CannotReadQuarantine { .. } => {
                both("không đọc được vùng cách ly: {}", "cannot read the quarantine: {}")
            }
            Self::CannotClearQuarantine { .. } => {
                both("không dọn được vùng cách ly: {}", "cannot clear the quarantine: {}")
            }
            Self::CannotTakeAway { .. } => both("không lấy tệp đi được: {}", "cannot take the file away: {}"),
            Self::CannotWriteFolder { .. } => {
                both("không ghi được vào thư mục: {}", "cannot write to the folder: {}")
            }
            Self::CannotWrite { .. } => both("không ghi được tệp: {}", "cannot write the file: {}"),
            Self::CannotPutBack { .. } => {
                both("không đặt được tệp về chỗ cũ: {}", "cannot put the file in its place: {}")
            }
            Self::CannotReadAttributes { .. } => {
                both("không đọc được thuộc tính mở rộng: {}", "cannot read the attributes: {}")
            }
            Self::CannotSetAttribute { .. } => {
                both("không đặt được thuộc tính {}: {}", "cannot set the attribute {}: {}")
            }
            Self::CannotSetMode { .. } => both("không đặt được quyền của tệp: {}", "cannot set the mode: {}"),
            Self::CannotSetTimes { .. } => {
                both("không đặt được thời gian của tệp: {}", "cannot set the times: {}")
            }
            Self::CannotSetOwner { .. } => both("không đặt được chủ sở hữu: {}", "cannot set the owner: {}"),
        }
    }
}

const fn both(vi: &'static str, en: &'static str) -> Message {
    Message::new(vi, en)
}

#[cfg(test)]
mod tests;
