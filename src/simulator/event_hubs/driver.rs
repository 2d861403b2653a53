//! The shell around a connection: one loop that waits for the first thing to happen, and then lets the connection act.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::connection::{Connection, Phase};
use super::orders::Orders;
use super::output::{CHUNKS_AT_ONCE, OUT_BYTES_MAX};
use super::refusal::Refusal;
use super::serve::ConnectionError;
use super::wire::{Frame, FrameKind, next_frame, performative};

/// How often a connection looks at the time; fine enough for the shortest wait, and cheap.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long the last words may take to reach a peer that does not listen.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Room made for each read: many frames of requests, or a quarter of the largest frame.
pub(super) const READ_BYTES: usize = 64 << 10;

pub(super) struct Driver<Stream> {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    received: BytesMut,
    connection: Connection,
    orders: Arc<Orders>,
    tick: Interval,
    started: Instant,
    heard: Instant,
    closing_since: Option<Instant>,
    is_flushed: bool,
}

enum Happened {
    Received(usize),
    Sent(usize),
    Flushed,
    /// An order, an event to read, or the time to look for one.
    Woken,
    Ticked,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Driver<Stream> {
    pub(super) fn new(stream: Stream, received: BytesMut, connection: Connection) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (started, orders) = (Instant::now(), Arc::clone(&connection.registered.orders));
        Self {
            reader,
            writer,
            received,
            connection,
            orders,
            tick,
            started,
            heard: started,
            closing_since: None,
            is_flushed: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), ConnectionError> {
        self.take_frames();
        loop {
            self.connection.on_orders();
            let next_look = self.connection.pump();
            match self.connection.phase() {
                Phase::Opening | Phase::Open => {}
                Phase::Dropped => return Ok(()),
                Phase::Closing => {
                    let since = *self.closing_since.get_or_insert_with(Instant::now);
                    let is_said = self.connection.out.is_empty() && self.is_flushed;
                    if is_said || since.elapsed() > FAREWELL_MAX {
                        return Ok(self.writer.shutdown().await?);
                    }
                }
            }
            let happened = self.select(next_look).await?;
            self.apply(happened)?;
        }
    }

    /// Waits for the first thing to happen. Dropping this loses nothing: each wait is safe to drop.
    async fn select(&mut self, next_look: Option<Duration>) -> Result<Happened, ConnectionError> {
        let mut slices = [IoSlice::new(&[]); CHUNKS_AT_ONCE];
        let filled = self.connection.out.fill(&mut slices);
        let may_read = self.connection.out.bytes() < OUT_BYTES_MAX;
        let happened = tokio::select! {
            read = self.reader.read_buf(&mut self.received), if may_read => Happened::Received(read?),
            happened = send(&mut self.writer, &slices[..filled]), if filled > 0 || !self.is_flushed => happened?,
            () = self.orders.rung() => Happened::Woken,
            () = sleep(next_look.unwrap_or(TICK)), if next_look.is_some() => Happened::Woken,
            _ = self.tick.tick() => Happened::Ticked,
        };
        Ok(happened)
    }

    fn apply(&mut self, happened: Happened) -> Result<(), ConnectionError> {
        match happened {
            Happened::Received(0) | Happened::Sent(0) => return Err(ConnectionError::Left),
            Happened::Received(_) => {
                self.heard = Instant::now();
                self.take_frames();
                self.received.reserve(READ_BYTES);
            }
            Happened::Sent(bytes) => {
                self.connection.out.advance(bytes);
                self.connection.on_sent(self.started.elapsed());
                self.is_flushed = false;
            }
            Happened::Flushed => self.is_flushed = true,
            Happened::Woken => {}
            Happened::Ticked => {
                if self.heard.elapsed() > self.connection.namespace.patience().idle {
                    return Err(ConnectionError::Idle);
                }
                self.connection.on_tick(self.started.elapsed());
            }
        }
        Ok(())
    }

    /// Hands every whole frame received to the connection. A peer that breaks the protocol is told so, and closed.
    fn take_frames(&mut self) {
        loop {
            let taken = match next_frame(&mut self.received) {
                Ok(None) => return,
                Ok(Some(frame)) => take_frame(&mut self.connection, &frame),
                Err(why) => {
                    // Where one frame is broken, the next cannot be found.
                    self.received.clear();
                    Err(why)
                }
            };
            if let Err(why) = taken {
                self.connection.close(&why);
            }
        }
    }
}

/// Writes some of what waits or, where nothing waits, pushes out what the stream still holds. Safe to drop.
async fn send(writer: &mut (impl AsyncWrite + Unpin), slices: &[IoSlice<'_>]) -> io::Result<Happened> {
    if slices.is_empty() {
        writer.flush().await?;
        return Ok(Happened::Flushed);
    }
    writer.write_vectored(slices).await.map(Happened::Sent)
}

fn take_frame(connection: &mut Connection, frame: &Frame) -> Result<(), Refusal> {
    if frame.kind == FrameKind::Sasl {
        return Err(Refusal::Framing("a login frame after the login".to_owned()));
    }
    if frame.body.is_empty() {
        return Ok(());
    }
    let (said, payload) = performative(&frame.body)?;
    connection.on_frame(frame.channel, said, payload)
}
