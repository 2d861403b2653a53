//! Lines of an input of any size, in one buffer of bounded size.

use std::io::{self, Read};

/// What a read asks for, and the size the buffer starts with.
const READ_BYTES: usize = 256 << 10;
/// Longest line that is held whole. The largest incident with all its alerts stays below; a stream without any newline
/// must not fill the memory.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not handed out yet.
    start: usize,
    end: usize,
    is_at_end: bool,
    /// In the middle of a line that is too long to be held.
    is_too_long: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'l> {
    /// Without its line break.
    Line(&'l [u8]),
    /// The next piece of a line that can't be held whole.
    TooLong {
        piece: &'l [u8],
        is_last: bool,
    },
    /// All complete lines have been handed out; the next call reads, and may wait.
    Pause,
    End,
}

impl<R: Read> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, buffer: vec![0; READ_BYTES], start: 0, end: 0, is_at_end: false, is_too_long: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let rest = &self.buffer[self.start..self.end];
        if let Some(length) = memchr::memchr(b'\n', rest) {
            return Ok(self.hand_out(length, 1));
        }
        if self.is_at_end {
            let length = rest.len();
            return Ok(if length > 0 || self.is_too_long { self.hand_out(length, 0) } else { Next::End });
        }
        if rest.len() >= LINE_BYTES_MAX {
            let range = self.start..self.end;
            self.start = self.end;
            self.is_too_long = true;
            return Ok(Next::TooLong { piece: &self.buffer[range], is_last: false });
        }
        self.read()?;
        Ok(Next::Pause)
    }

    /// The complete lines at hand, without the wish to read more.
    pub(super) fn at_hand(&self) -> &[u8] {
        let rest = &self.buffer[self.start..self.end];
        if self.is_too_long { &[] } else { &rest[..memchr::memrchr(b'\n', rest).map_or(0, |last| last + 1)] }
    }
    /// So many bytes of what is at hand are done with.
    pub(super) const fn advance(&mut self, length: usize) {
        self.start += length;
    }

    /// A line, or the last piece of one that is too long.
    fn hand_out(&mut self, length: usize, line_break: usize) -> Next<'_> {
        let range = self.start..self.start + length;
        self.start += length + line_break;
        if std::mem::take(&mut self.is_too_long) {
            return Next::TooLong { piece: &self.buffer[range], is_last: true };
        }
        let line = &self.buffer[range];
        Next::Line(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn read(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            let larger = (self.buffer.len() * 2).min(LINE_BYTES_MAX + READ_BYTES);
            self.buffer.resize(larger, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.is_at_end = read == 0;
        self.end += read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line; a long one as its length.
    fn lines(input: impl Read) -> Vec<String> {
        let mut lines = Lines::of(input);
        let (mut all, mut long) = (Vec::new(), 0);
        loop {
            match lines.next().unwrap() {
                Next::Line(line) => all.push(String::from_utf8(line.to_vec()).unwrap()),
                Next::TooLong { piece, is_last } => {
                    long += piece.len();
                    if is_last {
                        all.push(format!("long {}", std::mem::take(&mut long)));
                    }
                }
                Next::Pause => assert!(lines.buffer.len() <= LINE_BYTES_MAX + READ_BYTES),
                Next::End => return all,
            }
        }
    }

    #[test]
    fn lines_come_as_they_are_whatever_ends_them() {
        assert_eq!(lines(&b"a\nb\r\n\nc"[..]), ["a", "b", "", "c"]);
        assert_eq!(lines(&b"a\n"[..]), ["a"]);
        assert!(lines(&b""[..]).is_empty());
        let wide = "x".repeat(3 * READ_BYTES + 7);
        assert_eq!(lines(format!("{wide}\nb\n{wide}").as_bytes()), [&wide, "b", &wide]);
    }

    #[test]
    fn a_line_that_is_too_long_passes_in_pieces() {
        let length = 2 * LINE_BYTES_MAX as u64 + 5;
        let input = io::repeat(b'x').take(length).chain(&b"\nb\n"[..]).chain(io::repeat(b'y').take(length));
        assert_eq!(lines(input), [format!("long {length}"), "b".to_owned(), format!("long {length}")]);
    }
}
