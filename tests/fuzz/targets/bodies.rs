//! What HTTP and SMTP carry, and what a connection is taken for. The first letter says which, the second how it is cut.

use std::hash::{DefaultHasher, Hash, Hasher};

use khien_core::{Timestamp, event::Direction};
use khien_traffic::application::{
    Follow, Said, Wants,
    http::Http,
    recognise::{Recognised, recognise},
    smtp::Session,
};

/// A file that is kept whole in each direction, said once more, and what is unpacked at no cost.
pub(super) const MEMORY: usize = 64 << 20;
/// Where the client's bytes end and the server's begin.
const TURN: u8 = 0xf7;
/// No follower holds more than a file each way and what stands around it.
const MAX_HELD: usize = 20 << 20;

pub(super) const WORDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a.php HTTP/1.1\r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 \r\n\r\n",
    b"HTTP/1.1 101 \r\n\r\n",
    b"HTTP/1.1 204 \r\n",
    b"Host: a\r\n",
    b"Content-Length: 9\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: deflate, gzip\r\n",
    b"Content-Type: multipart/form-data; boundary=b\r\n",
    b"Content-Disposition: form-data; filename=\"a\"\r\n",
    b"\r\n\r\n",
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"\r\n5\r\nhello\r\n",
    b"0\r\n\r\n",
    b";x=y",
    b"\x1f\x8b\x08\0\0\0\0\0\0\0",
    b"\x78\x9c",
    b"\x03\0\0\0\0\0\0\0\0\0",
    b"\xf7",
    b"EHLO a\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b"BDAT 9 LAST\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN\r\n",
    b"220 a\r\n",
    b"250 a\r\n",
    b"354 a\r\n",
    b"Subject: =?utf-8?b?YQ==?=\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"=3D=\r\n",
    b"\r\n.\r\n",
    b"\r\n..",
];

/// Follows what two ends say in turns.
pub(super) fn follow(bytes: &[u8], _: bool) -> u64 {
    let [kind, cut, text @ ..] = bytes else { return 0 };
    let turns: Vec<_> = text.split(|b| *b == TURN).collect();
    let mut digest = DefaultHasher::new();
    match kind % 3 {
        0 => told(Http::new(Wants::ALL), &turns, *cut).hash(&mut digest),
        1 => told(Session::new(Wants::ALL), &turns, *cut).hash(&mut digest),
        _ => taken_for(&turns, *cut).hash(&mut digest),
    }
    digest.finish()
}

/// A file says the truth about itself, and no more is held than is said.
fn told(mut follower: impl Follow, turns: &[&[u8]], cut: u8) -> String {
    let mut out = Vec::new();
    for (n, turn) in turns.iter().enumerate() {
        let direction = if n % 2 == 0 { Direction::ToServer } else { Direction::ToClient };
        let size = if cut == 0 { usize::MAX } else { usize::from(cut) };
        for part in turn.chunks(size) {
            follower.take(direction, part, Timestamp::UNIX_EPOCH, &mut out);
            assert!(follower.held() <= MAX_HELD, "{}", follower.held());
        }
        // Two turns of one end in a row: something between them is lost.
        if turn.is_empty() {
            follower.lost(direction, u64::from(cut), &mut out);
        }
    }
    follower.end(Timestamp::UNIX_EPOCH, &mut out);
    for said in &out {
        if let Said::File(file) = said {
            assert!(file.bytes.len() as u64 <= file.size);
            assert!(!file.whole || file.bytes.len() as u64 == file.size);
        }
    }
    format!("{out:?} {}", follower.odd())
}

/// Anything is taken for something, or for nothing.
fn taken_for(turns: &[&[u8]], cut: u8) -> String {
    let of = |n: usize| turns.get(n).copied().unwrap_or_default();
    let (client, server) = (&of(0)[..of(0).len().min(4096)], &of(1)[..of(1).len().min(4096)]);
    let port = [21, 23, 25, 53, 80, 139, 443, 445, 902, 3389, 5500][usize::from(cut) % 11];
    match recognise(client, server, port, Wants::NOTHING) {
        Recognised::Known(application, _) => application.as_str().to_owned(),
        Recognised::More => "more".to_owned(),
        Recognised::Unknown => "unknown".to_owned(),
    }
}
