//! Whose a server's certificate is: names and digest, as a responder compares them with a list.

use khien_core::{Sha256, Untrusted};
use x509_parser::{
    certificate::X509CertificateParser,
    nom::Parser,
    objects::{oid_registry, oid2abbrev},
    x509::{AttributeTypeAndValue, X509Name},
};

/// The most bytes of a name that are kept.
const MAX_NAME: usize = 1024;
/// The tag of text in UTF-16, as older authorities write it.
const BMP_STRING: u32 = 30;

/// What is told of the first certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Of the whole certificate, also of one that is none.
    pub digest: Sha256,
    /// Whose it is: `C=VN, O=Agency, CN=www.example`.
    pub subject: Option<Untrusted>,
    /// Who issued it.
    pub issuer: Option<Untrusted>,
}

/// Reads a certificate in DER. Extensions are not looked into.
pub fn leaf(der: &[u8]) -> Leaf {
    let digest = Sha256::of(der);
    match X509CertificateParser::new().with_deep_parse_extensions(false).parse(der) {
        Ok((_, certificate)) => Leaf {
            digest,
            subject: Some(name(certificate.subject())),
            issuer: Some(name(certificate.issuer())),
        },
        Err(_) => Leaf { digest, subject: None, issuer: None },
    }
}

/// Writes a name in its own order; values stand as they are, for whoever shows them escapes them.
fn name(name: &X509Name<'_>) -> Untrusted {
    let mut text = Vec::new();
    for attribute in name.iter_attributes() {
        if text.len() > MAX_NAME {
            break;
        }
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        write(attribute, &mut text);
    }
    Untrusted::cut(&text, MAX_NAME)
}

fn write(attribute: &AttributeTypeAndValue<'_>, text: &mut Vec<u8>) {
    let kind = attribute.attr_type();
    match oid2abbrev(kind, oid_registry()) {
        Ok(short) => text.extend_from_slice(short.as_bytes()),
        Err(_) => text.extend_from_slice(kind.to_id_string().as_bytes()),
    }
    text.push(b'=');
    let value = attribute.attr_value();
    match value.tag().0 {
        BMP_STRING => {
            let units = value.data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            let letters = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            text.extend_from_slice(letters.collect::<String>().as_bytes());
        }
        _ => text.extend_from_slice(value.data),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::application::tls::sample::CERTIFICATE;

    #[test]
    fn names_and_digest_are_read() {
        let leaf = leaf(CERTIFICATE);

        let name = "C=VN, O=Khiên thử, CN=www.example";
        assert_eq!(leaf.subject.map(|n| n.to_string()).as_deref(), Some(name));
        assert_eq!(leaf.issuer.map(|n| n.to_string()).as_deref(), Some("C=VN, O=Khiên thử, CN=www.example"));
        assert_eq!(leaf.digest, Sha256::of(CERTIFICATE));
    }

    #[test]
    fn what_is_no_certificate_has_a_digest() {
        let broken = leaf(&CERTIFICATE[1..]);

        assert_eq!(broken, Leaf { digest: Sha256::of(&CERTIFICATE[1..]), subject: None, issuer: None });
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            leaf(&bytes);
        }

        #[test]
        fn an_altered_certificate_is_taken(at in 0usize..1024, byte: u8) {
            let mut der = CERTIFICATE.to_vec();
            let at = at % der.len();
            der[at] = byte;
            let leaf = leaf(&der);
            for name in [leaf.subject, leaf.issuer].into_iter().flatten() {
                prop_assert!(name.raw().len() <= MAX_NAME);
            }
        }
    }
}
