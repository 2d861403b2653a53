//! Looking for the few bytes that matter, eight at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where the next `A`, `B`, `C` or control character below 0x20 is at or after `from`, or the end.
#[inline]
pub(crate) fn next_special<const A: u8, const B: u8, const C: u8>(bytes: &[u8], from: usize) -> usize {
    next(bytes, from, |word| {
        marks(word, word.wrapping_sub(ONES * 0x20) | less_one::<A>(word) | less_one::<B>(word) | less_one::<C>(word))
    })
}

/// The same for what ends a piece of a JSON string: a quote, a backslash or a control character. This is where most of
/// the time goes that reading takes, so that one question stands for two: with its second bit turned the quote comes
/// right after the control characters, and nothing else comes among them.
#[inline]
pub(crate) fn next_in_string(bytes: &[u8], from: usize) -> usize {
    next(bytes, from, |word| marks(word, (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21) | less_one::<b'\\'>(word)))
}

/// `specials` has the high bit of each byte that is special. A borrow can mark bytes after the first one wrongly, so
/// that only the first is to be believed.
#[inline(always)]
fn next(bytes: &[u8], from: usize, specials: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = bytes[from..].as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let found = specials(u64::from_le_bytes(*word));
        if found != 0 {
            return from + place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    bytes.len() - rest.len() + specials(last_word(bytes, rest.len())).trailing_zeros() as usize / 8
}

/// The last bytes, fewer than eight of them, and zeros after them: these are control characters, so that what looks for
/// something special finds the end.
fn last_word(bytes: &[u8], length: usize) -> u64 {
    match bytes.last_chunk::<8>() {
        _ if length == 0 => 0,
        Some(chunk) => u64::from_le_bytes(*chunk) >> (64 - 8 * length),
        None => bytes[bytes.len() - length..].iter().rfold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Each byte minus one after its bits were turned by `BYTE`: below zero if it was that byte.
#[inline]
const fn less_one<const BYTE: u8>(word: u64) -> u64 {
    (word ^ (ONES * BYTE as u64)).wrapping_sub(ONES)
}

/// The high bits that a subtraction made, and that weren't there before.
#[inline]
const fn marks(word: u64, subtracted: u64) -> u64 {
    subtracted & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_special_or_not_as_json_says() {
        for byte in 0..=u8::MAX {
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            for length in [1, 8, 13] {
                assert_eq!(next_in_string(&vec![byte; length], 0), if is_special { 0 } else { length }, "{byte:#x}");
            }
        }
    }

    #[test]
    fn specials_are_found_at_every_offset() {
        for length in 0..40 {
            for at in 0..length {
                for special in [b'"', b'\\', b'\n', 0, 0x1f] {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = special;
                    assert_eq!(next_special::<b'"', b'\\', b'"'>(&bytes, 0), at);
                    assert_eq!(next_special::<b'"', b'\\', b'"'>(&bytes, at + 1), length);
                    assert_eq!((next_in_string(&bytes, 0), next_in_string(&bytes, at + 1)), (at, length));
                    // These differ from a special byte by one bit, which a borrow from it could reach.
                    bytes[at + 1..].iter_mut().zip(b"]#]#!].]#]".iter().cycle()).for_each(|(to, byte)| *to = *byte);
                    assert_eq!((next_in_string(&bytes, at), next_in_string(&bytes, at + 1)), (at, length));
                }
            }
            for plain in [0xff, 0x80, b' ', 0x7f, b'!', b'#'] {
                assert_eq!(next_special::<b'"', b'\\', b'"'>(&vec![plain; length], 0), length);
                assert_eq!(next_in_string(&vec![plain; length], 0), length);
            }
        }
    }
}
