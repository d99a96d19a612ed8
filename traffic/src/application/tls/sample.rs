//! Handshakes for tests: made by hand, and captured from real programs on one machine.
//!
//! curl 7.88 and `openssl s_client` 3.0 spoke to `openssl s_server`; what follows the part that is open is cut off.

/// The certificate of every captured server.
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("../samples/certificate.der");

/// What a client and a server said.
pub(crate) type Talk = (&'static [u8], &'static [u8]);

pub(crate) const CURL_1_3: Talk =
    (include_bytes!("../samples/curl.tls13.client"), include_bytes!("../samples/curl.tls13.server"));
pub(crate) const CURL_1_2: Talk =
    (include_bytes!("../samples/curl.tls12.client"), include_bytes!("../samples/curl.tls12.server"));
/// A client of TLS 1.0.
pub(crate) const OLD: Talk =
    (include_bytes!("../samples/openssl.tls10.client"), include_bytes!("../samples/openssl.tls10.server"));
/// The server takes none of the client's keys and asks for another hello.
pub(crate) const RETRY: Talk =
    (include_bytes!("../samples/retry.client"), include_bytes!("../samples/retry.server"));
/// The client wants TLS 1.3 only, the server has 1.2.
pub(crate) const REFUSED: Talk =
    (include_bytes!("../samples/refused.client"), include_bytes!("../samples/refused.server"));
/// A client of TLS 1.2 that asks for no name.
pub(crate) const NAMELESS: &[u8] = include_bytes!("../samples/openssl.tls12.client");

/// Puts bytes behind their length in two bytes.
pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Makes an extension.
pub(crate) fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(content)].concat()
}

/// Makes the extension that asks for names, each with its kind.
pub(crate) fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> = names.iter().map(|(kind, name)| [&[*kind][..], &sized(name)].concat()).collect();
    extension(0, &sized(&entries.concat()))
}

/// Makes a ClientHello, with its header, of TLS 1.2 with some extensions.
pub(crate) fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let suites = sized(&[0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2b]);
    message(1, &[&[3, 3][..], &[9; 32], &[0], &suites, &[1, 0], &sized(&extensions.concat())].concat())
}

/// Makes a handshake message.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, a, b, c], body].concat()
}

/// Puts handshake messages into records of at most so many bytes.
pub(crate) fn records(messages: &[u8], size: usize) -> Vec<u8> {
    messages.chunks(size).flat_map(|part| [&[22, 3, 1][..], &sized(part)].concat()).collect()
}
