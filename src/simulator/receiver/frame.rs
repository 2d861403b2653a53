//! Cuts a TCP byte stream into syslog frames: octet counted, or one a line where a sender counts nothing. Pure.

/// The longest frame taken. Far above any event we send, so that only a lost framing ever reaches it.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Digits that `FRAME_BYTES_MAX` needs.
const COUNT_DIGITS_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub message: &'a [u8],
    /// What to drop from the stream to get past this frame.
    pub consumed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a frame starts with byte {0:#04x}, which is neither a count nor `<`")]
    Start(u8),
    #[error("a frame's count is not a number followed by a space")]
    Count,
    #[error("a frame is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
}

/// The first frame of `stream`, or nothing while it is incomplete. After an error the stream can't be trusted any more.
pub fn next(stream: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    match stream.first() {
        None => Ok(None),
        Some(b'<') => line(stream),
        Some(b'1'..=b'9') => counted(stream),
        Some(other) => Err(Broken::Start(*other)),
    }
}

fn counted(stream: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let digits = stream.iter().take(COUNT_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > COUNT_DIGITS_MAX {
        return Err(Broken::TooLong);
    }
    match stream.get(digits) {
        None => return Ok(None),
        Some(b' ') => {}
        Some(_) => return Err(Broken::Count),
    }
    let length = stream[..digits].iter().fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'));
    if length > FRAME_BYTES_MAX {
        return Err(Broken::TooLong);
    }
    let consumed = digits + 1 + length;
    Ok(stream.get(digits + 1..consumed).map(|message| Frame { message, consumed }))
}

fn line(stream: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    match memchr::memchr(b'\n', stream) {
        Some(end) => {
            let message = stream[..end].strip_suffix(b"\r").unwrap_or(&stream[..end]);
            Ok(Some(Frame { message, consumed: end + 1 }))
        }
        None if stream.len() > FRAME_BYTES_MAX => Err(Broken::TooLong),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut stream: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let mut frames = Vec::new();
        while let Some(frame) = next(stream).unwrap() {
            frames.push(frame.message.to_vec());
            stream = &stream[frame.consumed..];
        }
        (frames, stream.len())
    }

    #[test]
    fn counted_and_line_frames_are_told_apart_frame_by_frame() {
        let (frames, rest) = all(b"5 <1>a\n3 <1><2>line\r\n<3>x\n12 <4>tor");
        assert_eq!(frames, [b"<1>a\n".to_vec(), b"<1>".to_vec(), b"<2>line".to_vec(), b"<3>x".to_vec()]);
        assert_eq!(rest, b"12 <4>tor".len());
    }

    #[test]
    fn an_incomplete_frame_is_waited_for_at_every_cut() {
        let whole = b"11 <13>1 hello";
        for cut in 0..whole.len() {
            assert_eq!(next(&whole[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(next(whole).unwrap().unwrap().message, b"<13>1 hello");
    }

    #[test]
    fn a_stream_that_lost_its_framing_is_refused() {
        assert_eq!(next(b"x"), Err(Broken::Start(b'x')));
        assert_eq!(next(b"0 "), Err(Broken::Start(b'0')));
        assert_eq!(next(b"12x"), Err(Broken::Count));
        assert_eq!(next(b"999999999 "), Err(Broken::TooLong));
        assert_eq!(next(b"16777217 "), Err(Broken::TooLong));
        assert_eq!(next(b"16777216 <"), Ok(None));
    }
}
