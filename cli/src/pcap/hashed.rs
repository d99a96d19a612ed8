//! Hashes a file while it is looked at, so that the digest is of the very bytes that were seen.

use std::{
    cell::RefCell,
    io::{self, Read},
    rc::Rc,
};

use khien_core::Sha256;
use sha2::Digest;

/// Bytes that are read at once behind the last packet.
const AT_ONCE: usize = 256 << 10;

/// A source that is hashed while it is read; a clone is the same source.
#[derive(Clone)]
pub(super) struct Hashed(Rc<RefCell<Inner>>);

struct Inner {
    source: Box<dyn Read>,
    hash: sha2::Sha256,
}

impl Hashed {
    pub(super) fn new(source: Box<dyn Read>) -> Self {
        Self(Rc::new(RefCell::new(Inner { source, hash: sha2::Sha256::new() })))
    }

    /// Reads what is left, and returns the digest of all of it.
    ///
    /// # Errors
    /// The source could not be read to its end.
    pub(super) fn finish(mut self) -> io::Result<Sha256> {
        let mut rest = vec![0; AT_ONCE];
        loop {
            match self.read(&mut rest) {
                Ok(0) => return Ok(Sha256(self.0.borrow().hash.clone().finalize().into())),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Inner { source, hash } = &mut *self.0.borrow_mut();
        let read = source.read(buffer)?;
        hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_all_bytes_however_few_were_looked_at() {
        let bytes: Vec<u8> = (0..700_000).map(|n| n as u8).collect();
        let hashed = || Hashed::new(Box::new(io::Cursor::new(bytes.clone())));
        let begun = hashed();

        begun.clone().read_exact(&mut [0; 1_000]).unwrap();

        assert_eq!(begun.finish().unwrap(), Sha256::of(&bytes));
        assert_eq!(hashed().finish().unwrap(), Sha256::of(&bytes));
    }

    #[test]
    fn what_cannot_be_read_to_its_end_has_no_digest() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }

        let broken = io::Cursor::new(b"head").chain(Broken);

        assert_eq!(Hashed::new(Box::new(broken)).finish().unwrap_err().raw_os_error(), Some(5));
    }
}
