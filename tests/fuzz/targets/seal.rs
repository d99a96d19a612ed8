//! What agents and people send as sealed evidence. The first letter says how it is read, and whether it is sealed here first: a
//! fuzzer finds no tag by itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};

use khien_core::seal::{self, HEAD, OpenKey, Opener, SEED, Sealer};

pub(super) const WORDS: &[&[u8]] = &[b"KHSEAL\0\x01", b"KHSEAL\0\x02"];

/// Reads in pieces, as a line may give them.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(self.1).min(self.0.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// What is sealed comes back, what is altered never comes back as something else, and what is no stream is refused.
pub(super) fn open(bytes: &[u8], _: bool) -> u64 {
    let [how, at, text @ ..] = bytes else { return 0 };
    let key = OpenKey::from_seed(&[1; SEED]);
    let mut digest = DefaultHasher::new();
    let sealed = if how % 2 == 0 { text.to_vec() } else { sealed(text, &key) };
    let altered = altered(&sealed, usize::from(how / 2), usize::from(*at));
    for stream in [&sealed, &altered] {
        let mut plain = Vec::new();
        let known = seal::open(Slow(stream, usize::from(*at) + 1), &key, &mut plain);
        assert!(known.is_err() || how % 2 == 0 || plain == text, "it opens to other bytes");
        assert!(known.is_ok() || how % 2 == 0 || *stream != sealed, "what was sealed opens");
        format!("{known:?}").hash(&mut digest);
        // An error is never an end.
        if let (Err(_), Ok(mut opener)) = (known, Opener::new(&stream[..], &key)) {
            assert!((0..stream.len() + 2).any(|_| opener.next_chunk().is_err()));
        }
    }
    seal::sealed_to(&text[..text.len().min(HEAD)]).is_ok().hash(&mut digest);
    digest.finish()
}

fn sealed(text: &[u8], key: &OpenKey) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), &key.public(), &[2; SEED]).unwrap();
    sealer.write_all(text).unwrap();
    sealer.finish().unwrap().0
}

fn altered(stream: &[u8], how: usize, at: usize) -> Vec<u8> {
    let mut out = stream.to_vec();
    let at = at % out.len().max(1);
    match how % 4 {
        0 => out.truncate(at),
        1 => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
        2 => out.rotate_left(at),
        _ => out.extend_from_slice(&stream[at..]),
    }
    out
}
