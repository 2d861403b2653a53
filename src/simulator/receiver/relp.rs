//! The receiving side of RELP, strict about numbers and lengths, with a reading of its own of what RELP is.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::{Open, room_to_read};
use super::{FRAME_BYTES_MAX, Shared};

const OFFERS: &str = "200 OK\nrelp_version=0\nrelp_software=siemgate-simulator,1,https://example.org\ncommands=syslog";
/// A message that holds this is refused, as a receiver refuses what it can't take.
pub const POISON: &[u8] = b"simulator-refuses-this";

struct Frame<'a> {
    number: u32,
    command: &'a [u8],
    data: &'a [u8],
    consumed: usize,
}

/// Answers every frame once it is counted, until the sender closes or breaks the rules.
pub async fn serve(shared: Arc<Shared>, mut stream: impl AsyncRead + AsyncWrite + Unpin, serial: u64) {
    let mut behaviour = shared.behaviour.subscribe();
    let (mut unread, mut answers, mut expected) = (BytesMut::new(), Vec::new(), 1);
    let _open = Open(&shared);
    loop {
        let Some(room) = room_to_read(&mut behaviour).await else { return };
        unread.reserve(room);
        let mut limited = (&mut stream).take(room as u64);
        let read = tokio::select! {
            read = limited.read_buf(&mut unread) => read,
            changed = behaviour.changed() => if changed.is_ok() { continue } else { return },
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        let mut consumed = 0;
        let going_on = loop {
            match next(&unread[consumed..]) {
                Ok(Some(frame)) if frame.number == expected => {
                    expected += 1;
                    consumed += frame.consumed;
                    if !answer(&shared, serial, &frame, &mut answers) {
                        break false;
                    }
                }
                Ok(None) => break true,
                Ok(Some(_)) | Err(()) => {
                    shared.malformed(serial, "the RELP session lost its order", &unread[consumed..]);
                    break false;
                }
            }
        };
        unread.advance(consumed);
        shared.arrived.notify_waiters();
        if stream.write_all(&answers).await.is_err() || stream.flush().await.is_err() || !going_on {
            return;
        }
        answers.clear();
    }
}

/// False once the session is over.
fn answer(shared: &Shared, serial: u64, frame: &Frame<'_>, answers: &mut Vec<u8>) -> bool {
    let said = match frame.command {
        b"open" => OFFERS,
        b"syslog" if memchr::memmem::find(frame.data, POISON).is_some() => "500 the message is not wanted",
        b"syslog" => {
            shared.take_message(serial, frame.data);
            "200 OK"
        }
        b"close" => {
            answers.extend_from_slice(format!("{} rsp 0\n0 serverclose 0\n", frame.number).as_bytes());
            return false;
        }
        _ => "500 command disabled",
    };
    answers.extend_from_slice(format!("{} rsp {} {said}\n", frame.number, said.len()).as_bytes());
    true
}

/// The first whole frame.
fn next(bytes: &[u8]) -> Result<Option<Frame<'_>>, ()> {
    let mut at = 0;
    let mut field = || {
        let end = bytes[at..].iter().take(33).position(|b| matches!(b, b' ' | b'\n'));
        let text = end.map(|end| &bytes[at..at + end]);
        at += end.map_or(0, |end| end + 1);
        text.ok_or(bytes.len() - at > 33)
    };
    let (Ok(number), Ok(command), Ok(length)) = (field(), field(), field()) else {
        return if bytes.len() > 99 { Err(()) } else { Ok(None) };
    };
    let parsed = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u32>().ok()).ok_or(());
    let (number, length) = (parsed(number)?, parsed(length)? as usize);
    if length > FRAME_BYTES_MAX {
        return Err(());
    }
    if length == 0 {
        return Ok(Some(Frame { number, command, data: b"", consumed: at }));
    }
    match bytes.get(at + length) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(Frame { number, command, data: &bytes[at..at + length], consumed: at + length + 1 })),
        Some(_) => Err(()),
    }
}
