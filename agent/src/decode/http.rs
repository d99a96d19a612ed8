//! The head of an HTTP/1 request.

use httparse::{EMPTY_HEADER, ParserConfig, Request, Status};

/// Larger heads are refused by every server that is known.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// As many as the common servers take.
const MAX_HEADERS: usize = 128;
const METHODS: [&[u8]; 22] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
    b"PROPFIND ",
    b"PROPPATCH ",
    b"MKCOL ",
    b"COPY ",
    b"MOVE ",
    b"LOCK ",
    b"UNLOCK ",
    b"SEARCH ",
    b"REPORT ",
    b"DEBUG ",
    b"TRACK ",
    b"RPC_IN_DATA ",
    b"RPC_OUT_DATA ",
];

/// What a request asks of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The name in the Host header or in the target, without port.
    pub(crate) host: Option<Vec<u8>>,
    /// The whole address: `http://host/path`.
    pub(crate) url: Vec<u8>,
}

/// What the beginning of a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// More bytes are needed.
    Partial,
    /// No request.
    Not,
    /// A whole head.
    Whole(Asked),
}

/// Tells whether bytes begin like a request, as far as they go.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    let fits = |method: &&[u8]| method.iter().zip(bytes).all(|(m, b)| m == b);
    !bytes.is_empty() && METHODS.iter().any(fits)
}

/// Tells whether bytes begin like an answer.
pub(crate) fn begins_answer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.")
}

/// Reads the head of a request; `server` stands in where the request does not name a host.
pub(crate) fn request(bytes: &[u8], server: &str) -> Head {
    if !begins(bytes) {
        return Head::Not;
    }
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let mut lenient = ParserConfig::default();
    // One header that is odd must not hide where the request goes; most servers pass over it too.
    lenient.ignore_invalid_headers_in_requests(true).allow_multiple_spaces_in_request_line_delimiters(true);
    match lenient.parse_request(&mut request, bytes) {
        Ok(Status::Complete(_)) => Head::Whole(asked(&request, server)),
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => Head::Partial,
        Ok(Status::Partial) | Err(_) => Head::Not,
    }
}

fn asked(request: &Request<'_, '_>, server: &str) -> Asked {
    let target = request.path.unwrap_or("/");
    let authority = target.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next());
    let header =
        request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("host")).map(|h| h.value.trim_ascii());
    let host = authority.map(str::as_bytes).or(header).filter(|h| !h.is_empty());
    let url = match authority {
        Some(_) => target.as_bytes().to_vec(),
        None => [b"http://", host.unwrap_or(server.as_bytes()), target.as_bytes()].concat(),
    };
    Asked { host: host.map(|h| without_port(h).to_vec()), url }
}

/// Cuts the port and the user off an authority; an IPv6 address keeps its brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or(authority);
    let from = host.iter().position(|b| *b == b']').unwrap_or(0);
    match host[from..].iter().position(|b| *b == b':') {
        Some(colon) => &host[..from + colon],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_and_url_are_read() {
        let head = request(
            b"POST /up.php?a=1 HTTP/1.1\r\nX: y\r\nhOst: Web.example:8080\r\n\r\nbody",
            "192.0.2.1:80",
        );

        let Head::Whole(asked) = head else { panic!("{head:?}") };
        assert_eq!(asked.host.as_deref(), Some(&b"Web.example"[..]));
        assert_eq!(asked.url, b"http://Web.example:8080/up.php?a=1");
    }

    #[test]
    fn the_target_of_a_proxy_request_wins_over_the_header() {
        let head = request(b"GET http://u@c2.example:81/x HTTP/1.1\r\nHost: other\r\n\r\n", "192.0.2.1:80");

        let Head::Whole(asked) = head else { panic!("{head:?}") };
        assert_eq!(asked.host.as_deref(), Some(&b"c2.example"[..]));
        assert_eq!(asked.url, b"http://u@c2.example:81/x");
    }

    #[test]
    fn without_a_host_the_server_stands_in() {
        let head = request(b"GET / HTTP/1.0\r\n\r\n", "[2001:db8::1]:80");

        assert_eq!(head, Head::Whole(Asked { host: None, url: b"http://[2001:db8::1]:80/".to_vec() }));
    }

    #[test]
    fn an_odd_header_does_not_hide_the_host() {
        let head = request(b"GET / HTTP/1.1\r\nBad Header\x01: 1\r\nHost: web.example\r\n\r\n", "");

        assert!(matches!(head, Head::Whole(a) if a.host.as_deref() == Some(b"web.example")));
    }

    #[test]
    fn a_cut_head_asks_for_more_and_other_streams_are_refused() {
        assert_eq!(request(b"GE", ""), Head::Partial);
        assert_eq!(request(b"GET / HTTP/1.1\r\nHost: w", ""), Head::Partial);
        assert_eq!(request(b"SSH-2.0-x\r\n", ""), Head::Not);
        assert_eq!(request(b"", ""), Head::Not);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            request(&bytes, "x");
            request(&[b"GET ", &bytes[..]].concat(), "x");
            request(&[b"GET / HTTP/1.1\r\nHost:", &bytes[..], b"\r\n\r\n"].concat(), "x");
            without_port(&bytes);
        }
    }
}
