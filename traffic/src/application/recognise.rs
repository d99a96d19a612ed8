//! Tells by the first bytes what a TCP connection carries.
//!
//! By content, so that a service on another port is told all the same. A port alone makes nothing: it only settles what
//! content leaves open (a greeting with 220, a lone telnet option), and names those services of which nothing but TLS is seen.

use khien_core::event::Application;
use memchr::memmem;

use super::{Follow, Wants, dns, http, smtp, tls};

/// So much of a request's first line is enough to take it for one, also if its end is not there.
const SURE: usize = 256;
/// The longest method that is waited for.
const MAX_METHOD: usize = 32;
/// The longest greeting that is waited for; RFC 5321 allows 512 bytes a line.
const MAX_GREETING: usize = 512;
/// The longest head that is waited for before its connection is taken for HTTP.
const MAX_HEAD: usize = 2 << 10;
const DNS_HEADER: usize = 12;
const DNS_PORT: u16 = 53;
const NETBIOS_PORT: u16 = 139;
const FTP_PORT: u16 = 21;
const SMTP_PORTS: [u16; 3] = [25, 587, 2525];
const TELNET_PORTS: [u16; 2] = [23, 2323];
const RDP_PORT: u16 = 3389;
/// Messages and OCSP answers between X-Road's security servers.
const X_ROAD_PORTS: [u16; 2] = [5500, 5577];
/// Hosts' console and copies of disks, the appliance's administration, CIM; not 443, which says nothing.
const VMWARE_PORTS: [u16; 4] = [902, 903, 5480, 5989];

/// What a connection carries.
#[derive(Debug)]
pub enum Recognised {
    /// It takes more bytes to tell.
    More,
    /// This, and who follows it from its first byte, where anybody does.
    Known(Application, Option<Box<dyn Follow>>),
    /// Nothing that is known.
    Unknown,
}

/// What one kind of content says to the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Is(Application),
    MayBe,
    IsNot,
}

/// The first bytes of both sides.
#[derive(Debug, Clone, Copy)]
struct Opening<'a> {
    client: &'a [u8],
    server: &'a [u8],
    port: u16,
}

const KINDS: [fn(Opening<'_>) -> Verdict; 9] = [http, tls, greeting, smtp, ssh, smb, rdp, dns, telnet];

/// Looks at the first bytes of both directions. Whoever asks bounds them, and takes `More` for `Unknown` once they are full.
///
/// One side alone may say what it likes: what it says is nothing known only once the other has spoken, too, and it takes both
/// to make a connection opaque.
#[must_use]
pub fn recognise(to_server: &[u8], to_client: &[u8], server_port: u16, wants: Wants) -> Recognised {
    let opening = Opening { client: to_server, server: to_client, port: server_port };
    let is_alone = to_server.is_empty() || to_client.is_empty();
    let (mut may_be, mut may_be_other) = (is_alone, false);
    for kind in KINDS {
        match kind(opening) {
            Verdict::Is(application) => {
                let follower = follower(application, opening, wants);
                if follower.is_some() || !is_alone || !may_be_other {
                    return Recognised::Known(application, follower);
                }
            }
            Verdict::MayBe => (may_be, may_be_other) = (true, true),
            Verdict::IsNot => {}
        }
    }
    if may_be { Recognised::More } else { Recognised::Unknown }
}

fn follower(application: Application, opening: Opening<'_>, wants: Wants) -> Option<Box<dyn Follow>> {
    Some(match application {
        Application::Http => Box::new(http::Http::new(wants)),
        Application::Tls => Box::new(tls::Handshake::default()),
        Application::Dns => Box::new(dns::Stream::new(opening.port == DNS_PORT)),
        Application::Smtp => Box::new(smtp::Session::new(wants)),
        // Named by what is in their HTTP, or by a port on which there is nothing but TLS.
        Application::XRoad | Application::Vmware if http(opening) == Verdict::Is(application) => {
            Box::new(http::Http::new(wants))
        }
        Application::XRoad | Application::Vmware if tls(opening) == Verdict::Is(application) => {
            Box::new(tls::Handshake::default())
        }
        _ => return None,
    })
}

/// HTTP/1. Empty lines before a request are passed over, RFC 9112 section 2.2. The whole head is waited for, since it may name what speaks in it.
fn http(Opening { client, server, .. }: Opening<'_>) -> Verdict {
    if server.starts_with(b"HTTP/1.") {
        return Verdict::Is(in_http(client));
    }
    let request = client.trim_ascii_start();
    let Some(end) = memchr::memchr(b'\n', request) else {
        return match may_begin(request) {
            Some(true) if request.len() >= SURE => Verdict::Is(in_http(client)),
            Some(true) => Verdict::MayBe,
            Some(false) if server.is_empty() => Verdict::MayBe,
            Some(false) | None => may_become(server, b"HTTP/1."),
        };
    };
    let has_head = memmem::find(request, b"\n\r\n").is_some() || memmem::find(request, b"\n\n").is_some();
    match http::is_request(&request[..end]) {
        true if has_head || client.len() >= MAX_HEAD || !server.is_empty() => Verdict::Is(in_http(client)),
        true => Verdict::MayBe,
        false => Verdict::IsNot,
    }
}

/// Tells whether bytes without a line feed may begin a request, and whether they surely do: servers run scripts for any method.
fn may_begin(bytes: &[u8]) -> Option<bool> {
    if http::begins(bytes) {
        return Some(true);
    }
    let end = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    let (method, target) = bytes.split_at(end.unwrap_or(bytes.len()));
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(is_token) {
        return None;
    }
    let target = target.trim_ascii_start();
    Some([&b"/"[..], b"http://", b"https://"].iter().any(|begin| begins_with(target, begin)))
}

/// X-Road's message protocols, REST and SOAP, between information systems and their security servers; VMware's API.
fn in_http(client: &[u8]) -> Application {
    let text = client.to_ascii_lowercase();
    let has = |word: &[u8]| memmem::find(&text, word).is_some();
    if has(b"\nx-road-client:") || has(b"x-road.eu/xsd/xroad.xsd") {
        Application::XRoad
    } else if has(b"urn:vim25") || has(b"\nuser-agent: vmware vi client") {
        Application::Vmware
    } else {
        Application::Http
    }
}

/// A handshake's first record: ClientHello, or ServerHello where only that was seen.
fn tls(Opening { client, server, port }: Opening<'_>) -> Verdict {
    let verdict = |bytes: &[u8], kind: u8| match bytes {
        [0x16, 3, 0..=4, 0..=0x48, _, k, ..] if *k == kind => Verdict::Is(in_tls(port)),
        [0x16, 3, 0..=4, 0..=0x48, _]
        | [0x16, 3, 0..=4, 0..=0x48]
        | [0x16, 3, 0..=4]
        | [0x16, 3]
        | [0x16] => Verdict::MayBe,
        _ => Verdict::IsNot,
    };
    match verdict(client, 1) {
        Verdict::IsNot if client.is_empty() => verdict(server, 2),
        verdict => verdict,
    }
}

fn in_tls(port: u16) -> Application {
    match port {
        p if X_ROAD_PORTS.contains(&p) => Application::XRoad,
        p if VMWARE_PORTS.contains(&p) => Application::Vmware,
        _ => Application::Tls,
    }
}

/// A server that greets with 220: the client's first word tells most, then the greeting, then the port.
fn greeting(Opening { client, server, port }: Opening<'_>) -> Verdict {
    if !server.starts_with(b"220 ") && !server.starts_with(b"220-") {
        return may_become(server, b"220 ");
    }
    let text = server[..server.len().min(MAX_GREETING)].to_ascii_lowercase();
    let says = |word: &[u8]| memmem::find(&text, word).is_some();
    if says(b"vmware authentication daemon") {
        return Verdict::Is(Application::Vmware);
    }
    let asks = |words: &[&[u8]]| words.iter().any(|w| begins_with(client, w));
    if asks(&[b"EHLO", b"HELO", b"LHLO"]) || says(b"smtp") || SMTP_PORTS.contains(&port) {
        Verdict::Is(Application::Smtp)
    } else if asks(&[b"USER ", b"FEAT", b"AUTH TLS", b"AUTH SSL"]) || says(b"ftp") || port == FTP_PORT {
        Verdict::Is(Application::Ftp)
    } else if server.len() < MAX_GREETING && client.len() < "EHLO".len() {
        Verdict::MayBe
    } else {
        Verdict::IsNot
    }
}

/// A client of SMTP whose server was not seen to greet.
fn smtp(Opening { client, .. }: Opening<'_>) -> Verdict {
    let words: [&[u8]; 5] = [b"EHLO ", b"HELO ", b"LHLO ", b"MAIL FROM:", b"RCPT TO:"];
    match words.iter().any(|w| begins_with(client, w)) {
        true => Verdict::Is(Application::Smtp),
        false => Verdict::IsNot,
    }
}

/// Both banners: behind one alone anything may follow.
fn ssh(Opening { client, server, .. }: Opening<'_>) -> Verdict {
    match (client.starts_with(b"SSH-"), server.starts_with(b"SSH-")) {
        (true, true) => Verdict::Is(Application::Ssh),
        (true, false) => if_silent(server, b"SSH-"),
        (false, true) => if_silent(client, b"SSH-"),
        (false, false) => may_become(client, b"SSH-"),
    }
}

/// What one side says holds only until the other contradicts.
fn if_silent(other: &[u8], word: &[u8]) -> Verdict {
    if other.is_empty() { Verdict::MayBe } else { may_become(other, word) }
}

/// A NetBIOS frame with SMB 1, 2, or 3 (encrypted, packed) in it, or the call for a session before that.
fn smb(Opening { client, server, port }: Opening<'_>) -> Verdict {
    let verdict = |bytes: &[u8]| match bytes {
        [0, 0..=1, _, _, 0xfc..=0xff, b'S', b'M', b'B', ..] => Verdict::Is(Application::Smb),
        [0x81, 0, _, 68, ..] if port == NETBIOS_PORT => Verdict::Is(Application::Smb),
        [0, 0..=1, _, _, 0xfc..=0xff, ..] | [0, 0..=1, _, _] | [0, 0..=1, _] | [0, 0..=1] | [0]
            if bytes.len() < 8 =>
        {
            Verdict::MayBe
        }
        _ => Verdict::IsNot,
    };
    match verdict(client) {
        Verdict::IsNot => verdict(server),
        verdict => verdict,
    }
}

/// A connection request of X.224 in a TPKT, with RDP's cookie or what it asks to negotiate (others use X.224 too), and that the
/// server confirms it: behind a request alone anything may follow.
fn rdp(Opening { client, server, port }: Opening<'_>) -> Verdict {
    let [3, 0, _, _, _, 0xe0, ..] = client else {
        let begins = (1..6).contains(&client.len()) && [3, 0].starts_with(&client[..client.len().min(2)]);
        return if begins { Verdict::MayBe } else { Verdict::IsNot };
    };
    let length = usize::from(u16::from_be_bytes([client[2], client[3]]));
    let rest = client.get(11..length.min(client.len())).unwrap_or(b"");
    let has_cookie = rest.starts_with(b"Cookie: ");
    let negotiates = matches!(rest, [.., 1, _, 8, 0, _, _, _, _]);
    match server {
        _ if !(has_cookie || negotiates || port == RDP_PORT) => match client.len() < length.min(SURE) {
            true => Verdict::MayBe,
            false => Verdict::IsNot,
        },
        [3, 0, _, _, _, 0xd0, ..] => Verdict::Is(Application::Rdp),
        [] | [3] | [3, 0] | [3, 0, _] | [3, 0, _, _] | [3, 0, _, _, _] => Verdict::MayBe,
        _ => Verdict::IsNot,
    }
}

/// DNS behind its length. On its own port the header is enough, on others the whole question must be right.
fn dns(Opening { client, server, port }: Opening<'_>) -> Verdict {
    let (bytes, answers) = if client.is_empty() { (server, 0x80) } else { (client, 0) };
    let [high, low, message @ ..] = bytes else {
        return if port == DNS_PORT { Verdict::MayBe } else { Verdict::IsNot };
    };
    let [_, _, flags, _, 0, 1, rest @ ..] = message else {
        return if port == DNS_PORT && message.len() < 6 { Verdict::MayBe } else { Verdict::IsNot };
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // The shortest asks for the root; opcodes above 5 are not in use.
    let is_sound = length >= DNS_HEADER + 5 && flags & 0x80 == answers && flags >> 3 & 0xf <= 5;
    let is_whole = || {
        let question =
            message.get(DNS_HEADER..length).and_then(question_end).and_then(|at| message.get(at..at + 4));
        matches!((rest, question), ([0, 0, 0, 0, 0, 0..=1, ..], Some([0, _, 0, 1])))
    };
    match is_sound && (port == DNS_PORT || is_whole()) {
        true => Verdict::Is(Application::Dns),
        false => Verdict::IsNot,
    }
}

/// Returns where in a message the name that begins behind its header ends.
fn question_end(mut name: &[u8]) -> Option<usize> {
    let length = name.len();
    loop {
        let (label, rest) = name.split_first()?;
        match label {
            0 => return Some(DNS_HEADER + length - rest.len()),
            1..=63 => name = rest.get(usize::from(*label)..)?,
            _ => return None,
        }
    }
}

/// Options that are negotiated: one where telnet is at home, two elsewhere.
fn telnet(Opening { client, server, port }: Opening<'_>) -> Verdict {
    let needed = if TELNET_PORTS.contains(&port) { 1 } else { 2 };
    let is_option = |o: &&[u8]| matches!(o, [0xff, 0xfb..=0xfe, _]);
    let options = |bytes: &[u8]| bytes.chunks(3).take_while(is_option).count();
    let begins = |bytes: &[u8]| matches!(bytes, [0xff] | [0xff, 0xfb..=0xfe] | [0xff, 0xfb..=0xfe, _]);
    match options(client).max(options(server)) {
        found if found >= needed => Verdict::Is(Application::Telnet),
        _ if begins(client) || begins(server) => Verdict::MayBe,
        _ => Verdict::IsNot,
    }
}

fn may_become(bytes: &[u8], word: &[u8]) -> Verdict {
    match !bytes.is_empty() && word.starts_with(bytes) {
        true => Verdict::MayBe,
        false => Verdict::IsNot,
    }
}

fn begins_with(bytes: &[u8], word: &[u8]) -> bool {
    bytes.get(..word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
