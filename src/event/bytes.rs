//! Looking for the few bytes that matter, eight at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where the next `A`, `B`, `C` or control character below 0x20 is at or after `from`, or the end.
#[inline]
pub(crate) fn next_special<const A: u8, const B: u8, const C: u8>(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let found = specials::<A, B, C>(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| *byte != A && *byte != B && *byte != C && *byte >= 0x20) {
        at += 1;
    }
    at
}

/// The high bit of each byte that is special. A borrow can mark bytes after the first one wrongly, so that only the
/// first is to be believed.
#[inline]
const fn specials<const A: u8, const B: u8, const C: u8>(word: u64) -> u64 {
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    (low | zeros(word ^ (ONES * A as u64)) | zeros(word ^ (ONES * B as u64)) | zeros(word ^ (ONES * C as u64)))
        & HIGH_BITS
}

const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specials_are_found_at_every_offset() {
        for length in 0..40 {
            for at in 0..length {
                for special in [b'"', b'\\', b'\n', 0, 0x1f] {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = special;
                    assert_eq!(next_special::<b'"', b'\\', b'"'>(&bytes, 0), at);
                    assert_eq!(next_special::<b'"', b'\\', b'"'>(&bytes, at + 1), length);
                }
            }
            for plain in [0xff, 0x80, b' ', 0x7f, b'!', b'#'] {
                assert_eq!(next_special::<b'"', b'\\', b'"'>(&vec![plain; length], 0), length);
            }
        }
    }
}
