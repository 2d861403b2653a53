//! RELP's frames: what we write, and what a receiver answers. Pure.

use crate::event::id::Decimal;
use crate::sinks::limits::RELP_ANSWER_BYTES_MAX;

/// Transaction numbers go from 1 to this and start over.
pub const NUMBER_MAX: u32 = 999_999_999;
/// Digits of a number or a length.
const DIGITS_MAX: usize = 9;
const COMMAND_BYTES_MAX: usize = 32;
/// What is kept of a receiver's own words.
const TEXT_CHARACTERS_MAX: usize = 80;

/// Appends one frame.
pub fn write(number: u32, command: &str, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(Decimal::default().write(u64::from(number)));
    out.push(b' ');
    out.extend_from_slice(command.as_bytes());
    out.push(b' ');
    out.extend_from_slice(Decimal::default().write(data.len() as u64));
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// What a receiver sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Response {
        number: u32,
        code: Option<u16>,
        text: String,
        offers: Vec<String>,
    },
    /// It goes away.
    ServerClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("a frame begins with no number")]
    Number,
    #[error("a frame's command is none")]
    Command,
    #[error("a frame's length is no number")]
    Length,
    #[error("a frame is longer than {RELP_ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("a frame does not end where it says")]
    End,
    #[error("a frame is neither a response nor the end of the session")]
    Unexpected,
}

/// The first answer in `bytes` and how long it is, or nothing while it is incomplete.
pub fn read(bytes: &[u8]) -> Result<Option<(Answer, usize)>, BadFrame> {
    let Some((number, at)) = number(bytes, 0, BadFrame::Number)? else { return Ok(None) };
    let Some((command, at)) = command(bytes, at)? else { return Ok(None) };
    let Some((length, at)) = length(bytes, at)? else { return Ok(None) };
    let (data, end) = match length {
        0 => (at, at),
        length => (at + 1, at + 1 + length),
    };
    let Some(last) = bytes.get(end) else { return Ok(None) };
    if *last != b'\n' || (length > 0 && bytes[at] != b' ') {
        return Err(BadFrame::End);
    }
    let answer = match command {
        b"rsp" => response(number, &bytes[data..end]),
        b"serverclose" => Answer::ServerClose,
        _ => return Err(BadFrame::Unexpected),
    };
    Ok(Some((answer, end + 1)))
}

/// A number and where the space behind it ends.
fn number(bytes: &[u8], from: usize, bad: BadFrame) -> Result<Option<(u32, usize)>, BadFrame> {
    let (value, digits) = digits(&bytes[from..]);
    match bytes.get(from + digits) {
        None if digits <= DIGITS_MAX => Ok(None),
        Some(b' ') if (1..=DIGITS_MAX).contains(&digits) => Ok(Some((value, from + digits + 1))),
        _ => Err(bad),
    }
}

fn command(bytes: &[u8], from: usize) -> Result<Option<(&[u8], usize)>, BadFrame> {
    let letters = bytes[from..].iter().take(COMMAND_BYTES_MAX + 1).take_while(|b| b.is_ascii_alphabetic()).count();
    match bytes.get(from + letters) {
        None if letters <= COMMAND_BYTES_MAX => Ok(None),
        Some(b' ') if (1..=COMMAND_BYTES_MAX).contains(&letters) => {
            Ok(Some((&bytes[from..from + letters], from + letters + 1)))
        }
        _ => Err(BadFrame::Command),
    }
}

/// A length and where its digits end: no space follows the length 0.
fn length(bytes: &[u8], from: usize) -> Result<Option<(usize, usize)>, BadFrame> {
    let (value, digits) = digits(&bytes[from..]);
    match bytes.get(from + digits) {
        None if digits <= DIGITS_MAX => Ok(None),
        Some(b' ' | b'\n') if (1..=DIGITS_MAX).contains(&digits) => match value as usize {
            value if value > RELP_ANSWER_BYTES_MAX => Err(BadFrame::TooLong),
            // librelp writes a space behind a length of 0, too.
            0 if bytes[from + digits] == b' ' => Ok(Some((0, from + digits + 1))),
            value => Ok(Some((value, from + digits))),
        },
        _ => Err(BadFrame::Length),
    }
}

fn digits(bytes: &[u8]) -> (u32, usize) {
    let digits = bytes.iter().take(DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit());
    digits
        .fold((0u32, 0), |(value, count), b| (value.saturating_mul(10).saturating_add(u32::from(b - b'0')), count + 1))
}

fn response(number: u32, data: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let (code, said) = match first.split_at_checked(3) {
        Some((code, said)) if code.bytes().all(|b| b.is_ascii_digit()) => (code.parse().ok(), said),
        Some(_) | None => (None, first),
    };
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text = said.trim().chars().take(TEXT_CHARACTERS_MAX).map(visible).collect();
    Answer::Response { number, code, text, offers: lines.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(number: u32, code: Option<u16>, text: &str) -> Answer {
        Answer::Response { number, code, text: text.to_owned(), offers: vec![] }
    }

    #[test]
    fn frames_are_written_as_receivers_read_them() {
        let mut out = Vec::new();
        write(2, "syslog", b"<13>hi", &mut out);
        write(3, "close", b"", &mut out);
        assert_eq!(out, b"2 syslog 6 <13>hi\n3 close 0\n");
    }

    #[test]
    fn answers_are_read_at_every_cut() {
        let stream = b"2 rsp 6 200 OK\n3 rsp 0\n4 rsp 0 \n5 rsp 9 500 no\x07go\n0 serverclose 0\n";
        let mut at = 0;
        let mut answers = Vec::new();
        while at < stream.len() {
            let whole = (at..=stream.len()).find_map(|cut| read(&stream[at..cut]).unwrap());
            let (answer, length) = whole.unwrap();
            answers.push(answer);
            at += length;
        }
        let expected = [
            answered(2, Some(200), "OK"),
            answered(3, None, ""),
            answered(4, None, ""),
            answered(5, Some(500), "no go"),
            Answer::ServerClose,
        ];
        assert_eq!(answers, expected);
    }

    #[test]
    fn what_is_no_frame_is_named() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400"[..], BadFrame::Number),
            (b"1234567890 rsp 0\n", BadFrame::Number),
            (b"1 5 6", BadFrame::Command),
            (b"1 rsp x", BadFrame::Length),
            (b"1 rsp 99999 ", BadFrame::TooLong),
            (b"1 rsp 2 okay\n", BadFrame::End),
            (b"1 starttls 0\n", BadFrame::Unexpected),
        ] {
            assert_eq!(read(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }
}
