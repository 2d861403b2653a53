//! What a connection has yet to write: chunks in order, written several at a time and never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bytes waiting to be written beyond which no more events are read. It keeps the socket busy, and bounds what one slow
/// reader holds.
pub(super) const OUT_BYTES_BUSY: usize = 1 << 20;

/// Bytes waiting to be written beyond which nothing more is taken from the peer, so that its requests cannot make the
/// answers pile up.
pub(super) const OUT_BYTES_MAX: usize = 4 * OUT_BYTES_BUSY;

/// Most chunks handed to the socket at once, well below what operating systems take.
pub(super) const CHUNKS_AT_ONCE: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Output {
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl Output {
    pub(super) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fills `slices` with what comes next, and says how many are filled.
    pub(super) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; CHUNKS_AT_ONCE]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// Forgets what was written.
    pub(super) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_forgotten_to_the_byte() {
        let mut out = Output::default();
        out.push(Bytes::from_static(b"abc"));
        out.push(Bytes::new());
        out.push(Bytes::from_static(b"defg"));
        out.advance(4);
        let mut slices = [IoSlice::new(&[]); CHUNKS_AT_ONCE];
        assert_eq!((out.fill(&mut slices), &slices[0][..], out.bytes()), (1, &b"efg"[..], 3));
        out.advance(3);
        assert!(out.is_empty());
    }
}
