//! Bytes of a file as they are needed: a buffer that slides.

use std::io::{self, ErrorKind, Read};

use super::MAX_BLOCK;

/// Bytes that are asked for at once: they stay in the processor's cache until they are looked at.
const CHUNK: usize = 256 << 10;

/// A file that is read from its start to its end.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes before `start`.
    passed: u64,
    is_over: bool,
    /// Why it cannot be read on.
    error: Option<io::Error>,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; CHUNK], start: 0, end: 0, passed: 0, is_over: false, error: None }
    }

    /// Returns what was read and not passed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Returns how many bytes were passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Returns why it could not be read to its end.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Reads until so many bytes are there, at most a block and a little; tells whether they are.
    pub(super) fn has(&mut self, wanted: usize) -> bool {
        while self.end - self.start < wanted {
            if wanted > MAX_BLOCK + CHUNK || !self.read_more(wanted) {
                return false;
            }
        }
        true
    }

    /// Passes over so many bytes, all of which were read.
    pub(super) fn pass(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.passed += count as u64;
    }

    /// Passes over bytes that may not have been read; tells whether they were all there.
    pub(super) fn pass_over(&mut self, mut count: u64) -> bool {
        loop {
            let here = (self.end - self.start) as u64;
            let now = here.min(count);
            self.pass(usize::try_from(now).unwrap_or(usize::MAX));
            count -= now;
            if count == 0 {
                return true;
            }
            if !self.has(1) {
                return false;
            }
        }
    }

    /// Moves what is left to the front and fills the rest.
    fn read_more(&mut self, wanted: usize) -> bool {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.next_multiple_of(CHUNK), 0);
        }
        while !self.is_over {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_over = true,
                Ok(count) => {
                    self.end += count;
                    return true;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // A compressed file that was cut: what came before is as good as in any other cut file.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => self.is_over = true,
                Err(e) => (self.is_over, self.error) = (true, Some(e)),
            }
        }
        false
    }
}
