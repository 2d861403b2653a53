//! A connection to a receiver: plain, or under TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::barrier::Assurance;
use super::error::{Step, SyslogError};
use super::kernel;
use crate::sinks::limits::{PROBE_ANSWER, WRITE_TIMEOUT};

#[derive(Debug)]
pub struct Wire {
    pub peer: SocketAddr,
    /// Which of the sink's addresses it leads to.
    pub target: usize,
    pub stream: Stream,
}

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            // Says close_notify first, then half-closes the connection below it.
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Wire {
    pub fn broken(&self, cause: io::Error) -> SyslogError {
        SyslogError::Broken { address: self.peer, cause }
    }

    pub fn slow(&self, step: Step, limit: Duration) -> SyslogError {
        SyslogError::Slow { address: self.peer, step, seconds: limit.as_secs() }
    }

    /// Writes all of it. A slow receiver may take long for all, but not for any part. Dropped, the connection is no more
    /// to be used.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), SyslogError> {
        while !bytes.is_empty() {
            match timeout(WRITE_TIMEOUT, self.stream.write(bytes)).await {
                Ok(Ok(0)) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(Ok(taken)) => bytes = &bytes[taken..],
                Ok(Err(cause)) => return Err(self.broken(cause)),
                Err(_) => return Err(self.slow(Step::Write, WRITE_TIMEOUT)),
            }
        }
        match timeout(WRITE_TIMEOUT, self.stream.flush()).await {
            Ok(flushed) => flushed.map_err(|cause| self.broken(cause)),
            Err(_) => Err(self.slow(Step::Write, WRITE_TIMEOUT)),
        }
    }

    /// Reads until the receiver ends its side, which it does not do while all is well. Dropping this loses nothing.
    pub async fn ended(&mut self) -> SyslogError {
        match drain(&mut self.stream).await {
            Ok(()) => SyslogError::ClosedByPeer { address: self.peer },
            Err(cause) => self.broken(cause),
        }
    }

    /// Half-closes, unless the receiver has ended its side before. Afterwards only `answered` makes sense.
    pub async fn half_close(&mut self) -> Result<SocketAddr, SyslogError> {
        tokio::select! {
            biased;
            ended = self.ended() => return Err(ended),
            () = std::future::ready(()) => {}
        }
        let local = self.stream.socket().local_addr().map_err(|cause| self.broken(cause))?;
        match timeout(WRITE_TIMEOUT, self.stream.shutdown()).await {
            Ok(done) => done.map_err(|cause| self.broken(cause))?,
            Err(_) => return Err(self.slow(Step::End, WRITE_TIMEOUT)),
        }
        Ok(local)
    }

    /// Ends our side, and finds out what the receiver can confirm: it closes too, or it does not.
    pub async fn judge(&mut self) -> Result<Assurance, SyslogError> {
        let local = self.half_close().await?;
        match timeout(PROBE_ANSWER, self.answered(local)).await {
            Ok(Ok(())) => Ok(Assurance::A2),
            // One that resets whatever is half-closed would reset a confirmation, too.
            Ok(Err(error)) if error.is_reset() => Ok(Assurance::A1),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Assurance::A1),
        }
    }

    /// Waits until the receiver has read everything and closed too. The end of a TLS session is not enough: whoever
    /// reads for the receiver's application might have said it. The end of the connection below is.
    pub async fn answered(&mut self, local: SocketAddr) -> Result<(), SyslogError> {
        match &mut self.stream {
            Stream::Plain(stream) => drain(stream).await,
            Stream::Tls(stream) => match drain(stream).await {
                // Many receivers close without saying so first.
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                Ok(()) => drain(stream.get_mut().0).await,
                Err(cause) => Err(cause),
            },
        }
        .map_err(|cause| self.broken(cause))?;
        if let Some(cause) = self.stream.socket().take_error().map_err(|cause| self.broken(cause))? {
            return Err(self.broken(cause));
        }
        match kernel::closes_crossed(local, self.peer) {
            true => Err(SyslogError::ClosedByPeer { address: self.peer }),
            false => Ok(()),
        }
    }
}

/// Reads until end-of-stream. Receivers say nothing on syslog; whatever one says is discarded.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut discarded = [0u8; 1024];
    while stream.read(&mut discarded).await? != 0 {}
    Ok(())
}
