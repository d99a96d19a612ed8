//! How what traffic does is called.

use super::{Lang, Message, Words};
use crate::detection::{Pattern, TrafficSubject};

/// The most bytes of a name that are shown.
const MAX_SHOWN: usize = 256;

const HORIZONTAL: Message = Message::new(
    "{} thử cổng {} của {} máy trong {}; {} % không trả lời",
    "{} tried port {} of {} hosts within {}; {} % gave no answer",
);
const VERTICAL: Message = Message::new(
    "{} thử {} cổng của {} trong {}; {} % không trả lời",
    "{} tried {} ports of {} within {}; {} % gave no answer",
);
const BRUTE_FORCE: Message =
    Message::new("{} thử đăng nhập {} {} lần trong {}{}", "{} tried to log in to {} {} times within {}{}");
const BEACON: Message = Message::new(
    "{} gọi {} {} lần trong {}, cứ {} một lần (lệch {} %), mỗi lần gửi khoảng {}; điểm {}/100",
    "{} called {} {} times in {}, every {} (off by {} %), sending about {} each time; score {}/100",
);
const SENT: Message = Message::new(
    "{} gửi {} tới {} trong một giờ; bình thường giờ này gửi ra ngoài {}",
    "{} sent {} to {} within an hour; at this hour it usually sends {} outside",
);
const SENT_FIRST: Message = Message::new(
    "{} gửi {} tới {} trong một giờ; chưa đủ số liệu về mức bình thường",
    "{} sent {} to {} within an hour; what is usual is not known yet",
);
const TUNNEL: Message = Message::new(
    "{} hỏi {} tên khác nhau dưới {} trong {}: trung bình {} ký tự trước tên miền, {} bit mỗi ký tự, tổng {}; {} % là loại TXT, NULL và tương tự",
    "{} asked for {} different names below {} within {}: {} characters before the domain on average, {} bits each, {} in all; {} % of types such as TXT and NULL",
);
const FIRST_SEEN: Message = Message::new(
    "{} thuộc vùng {} lần đầu liên lạc ra {}; vùng này đã biết {} nơi",
    "{} of zone {} spoke to {} outside for the first time; the zone knows {} places",
);
const NOT_ALLOWED: Message = Message::new(
    "{} thuộc vùng {} liên lạc tới {}, nơi vùng này không được phép",
    "{} of zone {} spoke to {}, to which the zone may not speak",
);
const EAST_WEST: Message = Message::new(
    "{} thuộc vùng {} mở kết nối tới {} thuộc vùng {}",
    "{} of zone {} opened a connection to {} of zone {}",
);
const EVASION: Message = Message::new(
    "giữa {} và {} trong {}: {} bản sao TCP và {} mảnh IP nói khác bản đầu, {} lệnh ngắt (RST) mà bên nhận không theo",
    "between {} and {} within {}: {} TCP copies and {} IP pieces that contradict the first, {} resets that their receiver would not obey",
);
const EVASION_SPREAD: Message = Message::new(
    "như vậy giữa thêm {} cặp máy trong {}, gần nhất là {} và {}; địa chỉ có thể là giả mạo",
    "the same between {} more pairs of hosts within {}, lately {} and {}; addresses may be forged",
);
const OTHER: Message = Message::new(
    "lưu lượng bất thường của {}; chương trình này chưa biết mẫu đó",
    "unusual traffic of {}, of a kind that this program does not know yet",
);
const UNKNOWN: Message = Message::new("không rõ", "unknown");

/// Says what traffic did.
#[must_use]
pub fn words(subject: &TrafficSubject) -> Words {
    Words { vi: text(subject, Lang::Vi), en: text(subject, Lang::En) }
}

fn text(subject: &TrafficSubject, lang: Lang) -> String {
    let client = subject.client;
    let place = place(subject, lang);
    match &subject.what {
        Pattern::HorizontalScan { servers, unanswered_percent, seconds } => {
            HORIZONTAL.with(lang, &[&client, &place, servers, &span(*seconds, lang), unanswered_percent])
        }
        Pattern::VerticalScan { ports, unanswered_percent, seconds } => {
            VERTICAL.with(lang, &[&client, ports, &place, &span(*seconds, lang), unanswered_percent])
        }
        Pattern::BruteForce { attempts, seconds, application } => {
            let spoken = application.name().map(|name| format!(" ({name})")).unwrap_or_default();
            BRUTE_FORCE.with(lang, &[&client, &place, attempts, &span(*seconds, lang), &spoken])
        }
        Pattern::Beacon { times, period_ms, jitter_percent, bytes, seconds, score } => BEACON.with(
            lang,
            &[
                &client,
                &place,
                times,
                &span(*seconds, lang),
                &period(*period_ms, lang),
                jitter_percent,
                &size(*bytes, lang),
                score,
            ],
        ),
        Pattern::Exfiltration { bytes, usual: Some(usual) } => {
            SENT.with(lang, &[&client, &size(*bytes, lang), &place, &size(*usual, lang)])
        }
        Pattern::Exfiltration { bytes, usual: None } => {
            SENT_FIRST.with(lang, &[&client, &size(*bytes, lang), &place])
        }
        Pattern::DnsTunnel { names, length, entropy_tenths, bytes, odd_types_percent, seconds } => {
            let bits = tenths(*entropy_tenths, lang);
            TUNNEL.with(
                lang,
                &[
                    &client,
                    names,
                    &place,
                    &span(*seconds, lang),
                    length,
                    &bits,
                    &size(*bytes, lang),
                    odd_types_percent,
                ],
            )
        }
        Pattern::FirstSeen { zone, known } => FIRST_SEEN.with(lang, &[&client, zone, &place, known]),
        Pattern::NotAllowed { zone } => NOT_ALLOWED.with(lang, &[&client, zone, &place]),
        Pattern::EastWest { from, to } => EAST_WEST.with(lang, &[&client, from, &place, to]),
        Pattern::Evasion { copies, pieces, resets, seconds } => {
            EVASION.with(lang, &[&client, &place, &span(*seconds, lang), copies, pieces, resets])
        }
        Pattern::EvasionSpread { pairs, seconds } => {
            EVASION_SPREAD.with(lang, &[pairs, &span(*seconds, lang), &client, &place])
        }
        Pattern::Other => OTHER.with(lang, &[&client]),
    }
}

/// Names the other side as far as it is one: `c2.example (203.0.113.9) 443/tcp`.
fn place(subject: &TrafficSubject, lang: Lang) -> String {
    let name = subject.name.as_ref().map(|n| crate::Untrusted::cut(n.raw(), MAX_SHOWN).to_string());
    let host = match (name, subject.server) {
        (Some(name), Some(server)) => Some(format!("{name} ({server})")),
        (Some(name), None) => Some(name),
        (None, server) => server.map(|s| s.to_string()),
    };
    let service = subject.service.map(|s| s.to_string());
    let parts: Vec<String> = host.into_iter().chain(service).collect();
    if parts.is_empty() { UNKNOWN.get(lang).to_owned() } else { parts.join(" ") }
}

/// `1.5` as a reader of the language writes it.
fn tenths(number: u64, lang: Lang) -> String {
    let point = match lang {
        Lang::Vi => ',',
        Lang::En => '.',
    };
    match number % 10 {
        0 => (number / 10).to_string(),
        rest => format!("{}{point}{rest}", number / 10),
    }
}

fn size(bytes: u64, lang: Lang) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} byte{}", if lang == Lang::En && bytes != 1 { "s" } else { "" }),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{} {name}", tenths(bytes / (unit / 10), lang))
}

fn period(ms: u64, lang: Lang) -> String {
    match ms {
        0..60_000 => format!("{} {}", tenths(ms / 100, lang), SECONDS.get(lang)),
        _ => span(ms / 1_000, lang),
    }
}

fn span(seconds: u64, lang: Lang) -> String {
    match seconds {
        0..120 => format!("{seconds} {}", SECONDS.get(lang)),
        120..7_200 => format!("{} {}", tenths(seconds / 6, lang), MINUTES.get(lang)),
        _ => format!("{} {}", tenths(seconds / 360, lang), HOURS.get(lang)),
    }
}

const SECONDS: Message = Message::new("giây", "s");
const MINUTES: Message = Message::new("phút", "min");
const HOURS: Message = Message::new("giờ", "h");

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(what: Pattern) -> TrafficSubject {
        TrafficSubject {
            what,
            client: "10.0.0.5".parse().unwrap(),
            server: None,
            service: None,
            name: None,
            flows: Vec::new(),
        }
    }

    fn said(subject: &TrafficSubject) -> [String; 2] {
        let Words { vi, en } = words(subject);
        assert!(!vi.contains("{}") && !en.contains("{}"), "{vi} {en}");
        [vi, en]
    }

    #[test]
    fn each_says_who_what_and_with_which_numbers() {
        let scan = Pattern::HorizontalScan { servers: 64, unanswered_percent: 93, seconds: 60 };
        let scan = TrafficSubject { service: Some("445/tcp".parse().unwrap()), ..subject(scan) };
        assert_eq!(
            said(&scan),
            [
                "10.0.0.5 thử cổng 445/tcp của 64 máy trong 60 giây; 93 % không trả lời",
                "10.0.0.5 tried port 445/tcp of 64 hosts within 60 s; 93 % gave no answer"
            ]
        );

        let beacon = Pattern::Beacon {
            times: 20,
            period_ms: 61_500,
            jitter_percent: 4,
            bytes: 1_540,
            seconds: 1_230,
            score: 97,
        };
        let beacon = TrafficSubject {
            server: Some("203.0.113.9".parse().unwrap()),
            service: Some("443/tcp".parse().unwrap()),
            name: Some("c2\u{1b}.example".into()),
            ..subject(beacon)
        };
        assert_eq!(
            said(&beacon),
            [
                r"10.0.0.5 gọi c2\u{1b}.example (203.0.113.9) 443/tcp 20 lần trong 20,5 phút, cứ 61 giây một lần (lệch 4 %), mỗi lần gửi khoảng 1,5 kB; điểm 97/100",
                r"10.0.0.5 called c2\u{1b}.example (203.0.113.9) 443/tcp 20 times in 20.5 min, every 61 s (off by 4 %), sending about 1.5 kB each time; score 97/100"
            ]
        );

        let sent = Pattern::Exfiltration { bytes: 2_140_000_000, usual: Some(3_000_000) };
        let sent = TrafficSubject { server: Some("2001:db8::9".parse().unwrap()), ..subject(sent) };
        assert_eq!(
            said(&sent)[1],
            "10.0.0.5 sent 2.1 GB to 2001:db8::9 within an hour; at this hour it usually sends 3 MB outside"
        );
    }

    #[test]
    fn every_pattern_has_words_for_all_its_numbers() {
        let zone = || crate::policy::GroupName::try_from("camera".to_owned()).unwrap();
        for what in [
            Pattern::VerticalScan { ports: 7_771, unanswered_percent: 77, seconds: 77 },
            Pattern::BruteForce { attempts: 7_771, seconds: 77, application: crate::event::Application::Ssh },
            Pattern::Exfiltration { bytes: 7_771, usual: None },
            Pattern::DnsTunnel {
                names: 7_771,
                length: 77,
                entropy_tenths: 45,
                bytes: 77,
                odd_types_percent: 77,
                seconds: 77,
            },
            Pattern::FirstSeen { zone: zone(), known: 7_771 },
            Pattern::NotAllowed { zone: zone() },
            Pattern::EastWest { from: zone(), to: zone() },
            Pattern::Evasion { copies: 7_771, pieces: 77, resets: 77, seconds: 77 },
            Pattern::EvasionSpread { pairs: 7_771, seconds: 77 },
            Pattern::Other,
        ] {
            let numbers = serde_json::to_string(&what).unwrap().matches("77").count();

            for text in said(&subject(what.clone())) {
                assert!(text.contains("10.0.0.5"), "{text}");
                // 7,771 bytes are said as 7.7 kB.
                let said = text.matches("77").count()
                    + text.matches("7.7 kB").count()
                    + text.matches("7,7 kB").count();
                assert_eq!(said, numbers, "{text}");
            }
        }
    }
}
