//! Base64 and hexadecimal of any length beside a word that decodes it, replaced by what it is.

use std::io::Read;

use super::{
    super::{blob, text},
    has_tag, has_word,
};

/// The shortest run that is read: `system` in hexadecimal.
const SHORTEST: usize = 12;
/// What decodes base64, as it is, turned by 13 letters, and backwards.
const BASE64: [&[u8]; 6] = [b"base64", b"onfr64", b"46esab", b"atob", b"b64", b"decoder"];
/// What decodes hexadecimal.
const HEX: [&[u8]; 6] = [b"hex2bin", b"unhex", b"fromhex", b"pack", b"parsehex", b"0x"];
/// Bytes that one deflated run may become, and all runs of a script together: text and not a bomb.
const MAX_INFLATED: u64 = 1 << 20;
const MAX_GROWTH: usize = 4 << 20;
/// Runs of a script that are inflated to see whether they are text, and the shortest such run.
const MAX_TRIED: usize = 512;
const MIN_DEFLATED: usize = 20;

/// Replaces the runs that are text, and counts them.
pub(super) fn decoded(script: &[u8]) -> (Vec<u8>, usize) {
    let has = |words: &[&[u8]]| words.iter().any(|word| has_word(script, word));
    let (base64, hex, page) = (has(&BASE64), has(&HEX), has_tag(script));
    if !base64 && !hex && !page {
        return (script.to_vec(), 0);
    }
    let (mut out, mut count, mut at) = (Vec::with_capacity(script.len()), 0, 0);
    let mut tried = 0;
    while let Some(from) = script[at..].iter().position(|b| text::is_base64(*b)).map(|n| at + n) {
        out.extend_from_slice(&script[at..from]);
        let len = script[from..].iter().take_while(|b| text::is_base64(**b)).count();
        let run = &script[from..from + len];
        at = from + len;
        let may_grow = out.len() < script.len() + MAX_GROWTH;
        let as_hex = || (hex || page && len >= blob::MIN_RUN).then(|| text::hex_digits(run)).flatten();
        let as_base64 = || (base64 || page && len >= blob::MIN_RUN).then(|| of_base64(run)).flatten();
        let bytes = (may_grow && len >= SHORTEST).then(|| as_hex().or_else(as_base64)).flatten();
        match bytes.and_then(|bytes| readable(bytes, &mut tried)) {
            Some(text) => {
                out.extend(text);
                count += 1;
                at += script[at..].iter().take(2).take_while(|b| **b == b'=').count();
            }
            None => out.extend_from_slice(run),
        }
    }
    out.extend_from_slice(&script[at..]);
    (out, count)
}

fn of_base64(run: &[u8]) -> Option<Vec<u8>> {
    (!blob::is_number_or_filler(run)).then(|| text::base64(run.iter().copied()))
}

/// Returns what is text, or becomes text when it is inflated.
fn readable(bytes: Vec<u8>, tried: &mut usize) -> Option<Vec<u8>> {
    let printable = bytes.iter().filter(|b| matches!(b, 9 | 10 | 13 | 32..=126)).count();
    if blob::is_text(&bytes) && printable * 4 >= bytes.len() * 3 {
        return Some(bytes);
    }
    if bytes.len() < MIN_DEFLATED || *tried >= MAX_TRIED {
        return None;
    }
    *tried += 1;
    let (deflated, skip) = blob::deflated(&bytes)?;
    let mut text = Vec::new();
    // What came before damage is worth as much.
    let _ = flate2::bufread::DeflateDecoder::new(&deflated[skip..]).take(MAX_INFLATED).read_to_end(&mut text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: String) -> (String, usize) {
        let (out, count) = decoded(script.as_bytes());
        (String::from_utf8(out).unwrap(), count)
    }

    #[test]
    fn short_runs_are_read_where_a_word_decodes_them() {
        let base64 = data_encoding::BASE64.encode(b"print(1+2);");
        let hex = data_encoding::HEXLOWER.encode(b"print(1);");

        assert_eq!(
            read(format!("base64_decode('{base64}')")),
            ("base64_decode('print(1+2);')".to_owned(), 1)
        );
        assert_eq!(read(format!("onfr64_qrpbqr('{base64}')")).1, 1);
        assert_eq!(read(format!("hex2bin('{hex}')")), ("hex2bin('print(1);')".to_owned(), 1));
        assert_eq!(read(format!("echo '{base64}' . '{hex}'")).1, 0);
    }

    #[test]
    fn words_and_digests_stay_as_they_are() {
        let script = "base64_decode(getElementsByClassName, d41d8cd98f00b204e9800998ecf8427e)";
        assert_eq!(read(script.to_owned()), (script.to_owned(), 0));
    }
}
