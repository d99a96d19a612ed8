//! The name in a TLS ClientHello (SNI, RFC 6066 §3), also when the hello is split over records.

use tls_parser::{
    SNIType, TlsExtension, TlsExtensionType, parse_tls_extension_sni_content,
    parse_tls_handshake_client_hello,
};

const HANDSHAKE: u8 = 22;
const MAJOR: u8 = 3;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// A ClientHello with post-quantum keys is about 2 KiB; larger than this is refused.
pub(crate) const MAX_HELLO: usize = 16 << 10;

/// What the beginning of a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// More bytes are needed.
    Partial,
    /// No ClientHello.
    Not,
    /// A ClientHello, with the name if it has one.
    Whole(Option<Vec<u8>>),
}

/// Tells whether a stream may begin with a TLS handshake record.
pub(crate) fn begins(stream: &[u8]) -> bool {
    matches!(stream, [HANDSHAKE] | [HANDSHAKE, MAJOR, ..])
}

/// Reads a ClientHello from the beginning of a stream.
pub(crate) fn client_hello(stream: &[u8]) -> Hello {
    if !begins(stream) {
        return Hello::Not;
    }
    let message = records(stream);
    let Some((header, body)) = message.split_at_checked(MESSAGE_HEADER) else { return Hello::Partial };
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if header[0] != CLIENT_HELLO || length > MAX_HELLO {
        return Hello::Not;
    }
    let Some(body) = body.get(..length) else { return Hello::Partial };
    match parse_tls_handshake_client_hello(body) {
        Ok((_, hello)) => Hello::Whole(hello.ext.and_then(server_name)),
        Err(_) => Hello::Not,
    }
}

/// Joins what the handshake records at the beginning of a stream carry; the last may be cut.
fn records(mut stream: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    while let Some((&[HANDSHAKE, MAJOR, _, high, low], rest)) = stream.split_first_chunk::<RECORD_HEADER>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        message.extend_from_slice(rest.get(..length).unwrap_or(rest));
        let Some(next) = rest.get(length..) else { break };
        if length == 0 || message.len() > MAX_HELLO + MESSAGE_HEADER {
            break;
        }
        stream = next;
    }
    message
}

/// Finds the server name among the extensions. Each is taken by itself: one that is odd does not hide the others.
fn server_name(mut extensions: &[u8]) -> Option<Vec<u8>> {
    loop {
        let (&[k1, k2, l1, l2], rest) = extensions.split_first_chunk::<4>()?;
        let (content, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([l1, l2])))?;
        if TlsExtensionType(u16::from_be_bytes([k1, k2])) == TlsExtensionType::ServerName {
            let Ok((_, TlsExtension::SNI(names))) = parse_tls_extension_sni_content(content) else {
                return None;
            };
            return names
                .into_iter()
                .find(|(kind, _)| *kind == SNIType::HostName)
                .map(|(_, name)| name.to_vec());
        }
        extensions = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::sample::client_hello as sample;

    #[test]
    fn the_name_is_read() {
        assert_eq!(client_hello(&sample("c2.evil.example")), Hello::Whole(Some(b"c2.evil.example".to_vec())));
    }

    #[test]
    fn a_hello_that_is_cut_anywhere_asks_for_more() {
        let hello = sample("c2.evil.example");

        for end in 1..hello.len() {
            assert_eq!(client_hello(&hello[..end]), Hello::Partial, "{end}");
        }
    }

    #[test]
    fn a_hello_that_is_split_over_records_is_read() {
        let hello = sample("c2.evil.example");
        let split: Vec<u8> = hello[RECORD_HEADER..]
            .chunks(7)
            .flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat())
            .collect();

        assert_eq!(client_hello(&split), Hello::Whole(Some(b"c2.evil.example".to_vec())));
    }

    #[test]
    fn other_streams_are_not_taken_for_tls() {
        assert_eq!(client_hello(b"GET / HTTP/1.1\r\n\r\n"), Hello::Not);
        assert_eq!(client_hello(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), Hello::Not);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            client_hello(&bytes);
            client_hello(&[&[22, 3, 1, 0, 200, 1, 0, 0, 190][..], &bytes].concat());
        }

        #[test]
        fn an_altered_hello_is_taken(at in 0usize..140, byte: u8) {
            let mut hello = sample("c2.evil.example");
            if let Some(b) = hello.get_mut(at) {
                *b = byte;
            }
            client_hello(&hello);
        }
    }
}
