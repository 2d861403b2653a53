//! One sender's connection: reads, cuts into frames, counts, and closes only when all of it is counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::history::History;
use super::ledger::Ledger;
use super::{Behaviour, Line, Protocol, Shared, frame, relp};
use crate::clock::Timestamp;

/// What one read takes at most: many frames under one lock of the counts.
const READ_BYTES: usize = 256 << 10;
/// A slow reader reads this often.
const SLOW_READS_PER_SECOND: u64 = 20;

/// Agrees on TLS where it is asked for, then serves. A handshake that fails ends the connection.
pub async fn accept(shared: Arc<Shared>, stream: TcpStream, serial: u64) {
    match shared.tls.clone() {
        None => choose(shared, stream, serial).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                choose(shared, stream, serial).await;
            }
        }
    }
}

async fn choose(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin, serial: u64) {
    match shared.protocol {
        Protocol::Stream => serve(shared, stream, serial).await,
        Protocol::Relp => relp::serve(shared, stream, serial).await,
    }
}

/// Reads until the sender half-closes, then closes in turn; a lost framing or a broken connection ends it at once.
async fn serve(shared: Arc<Shared>, mut stream: impl AsyncRead + AsyncWrite + Unpin, serial: u64) {
    let mut behaviour = shared.behaviour.subscribe();
    let mut unread = BytesMut::with_capacity(READ_BYTES);
    let _open = Open(&shared);
    loop {
        let Some(room) = room_to_read(&mut behaviour).await else { return };
        unread.reserve(room);
        let mut limited = (&mut stream).take(room as u64);
        let read = tokio::select! {
            read = limited.read_buf(&mut unread) => read,
            changed = behaviour.changed() => if changed.is_ok() { continue } else { return },
        };
        match read {
            Err(_) => return,
            Ok(0) => break,
            Ok(_) if !shared.take_frames(serial, &mut unread) => return,
            Ok(_) => {}
        }
    }
    if !unread.is_empty() {
        shared.malformed(serial, "the connection ended within a frame", &unread);
    }
    // Everything sent is counted by now, so the end of our stream is a true acknowledgement.
    let _ = stream.shutdown().await;
}

/// How much may be read now; waits while nothing may. Nothing when the receiver is gone.
pub async fn room_to_read(behaviour: &mut watch::Receiver<Behaviour>) -> Option<usize> {
    loop {
        let now = *behaviour.borrow_and_update();
        match now {
            Behaviour::Read => return Some(READ_BYTES),
            Behaviour::Slow { bytes_per_second } => {
                tokio::time::sleep(Duration::from_millis(1_000 / SLOW_READS_PER_SECOND)).await;
                let room = usize::try_from(bytes_per_second / SLOW_READS_PER_SECOND).unwrap_or(READ_BYTES);
                return Some(room.clamp(1, READ_BYTES));
            }
            Behaviour::Freeze | Behaviour::Refuse => behaviour.changed().await.ok()?,
        }
    }
}

/// Counts a connection as open for as long as it is served.
pub struct Open<'a>(pub &'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.ledger.lock().disconnected();
        self.0.arrived.notify_waiters();
    }
}

impl Shared {
    /// Counts all complete frames of `unread` and drops them from it. False when the framing is lost.
    fn take_frames(&self, connection: u64, unread: &mut BytesMut) -> bool {
        let mut consumed = 0;
        let broken = self.count_frames(connection, unread, &mut consumed);
        unread.advance(consumed);
        if let Some(reason) = &broken {
            self.malformed(connection, reason, unread);
        }
        self.arrived.notify_waiters();
        broken.is_none()
    }

    fn count_frames(&self, connection: u64, stream: &[u8], consumed: &mut usize) -> Option<String> {
        let at = self.clock.now();
        let tailed = self.tail.receiver_count() > 0;
        let mut ledger = self.ledger.lock();
        let mut history = self.history.as_ref().map(|history| history.lock());
        let broken = loop {
            let frame = match frame::next(&stream[*consumed..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break None,
                Err(broken) => break Some(broken.to_string()),
            };
            *consumed += frame.consumed;
            count(&mut ledger, history.as_deref_mut(), connection, frame.message, at);
            if tailed {
                // An error only says that the last tail went away meanwhile.
                let _ = self.tail.send(Line { connection, message: frame.message.into() });
            }
        };
        if let Some(history) = &mut history {
            history.flush();
        }
        broken
    }

    /// Counts one message that came by itself.
    pub fn take_message(&self, connection: u64, message: &[u8]) {
        let mut history = self.history.as_ref().map(|history| history.lock());
        count(&mut self.ledger.lock(), history.as_deref_mut(), connection, message, self.clock.now());
        if let Some(history) = &mut history {
            history.flush();
        }
        if self.tail.receiver_count() > 0 {
            // An error only says that the last tail went away meanwhile.
            let _ = self.tail.send(Line { connection, message: message.into() });
        }
    }

    pub fn malformed(&self, connection: u64, reason: &str, bytes: &[u8]) {
        let at = self.clock.now();
        self.ledger.lock().malformed(reason, bytes);
        if let Some(history) = &self.history {
            let mut history = history.lock();
            history.malformed(connection, reason, at);
            history.flush();
        }
    }
}

fn count(ledger: &mut Ledger, history: Option<&mut History>, connection: u64, message: &[u8], at: Timestamp) {
    match (ledger.receive(message), history) {
        (Ok(seen), Some(history)) => history.received(connection, &seen, at),
        (Err(bad), Some(history)) => history.malformed(connection, &bad.to_string(), at),
        (Ok(_) | Err(_), None) => {}
    }
}
