//! A connection whose large payloads go round the AMQP library; see `diversion` for what and why.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::diversion::{Carried, Diversion};

/// A stream to the service, as the library sees it.
#[derive(Debug)]
pub(super) struct Bypass<Io> {
    io: Io,
    diversion: Diversion,
}

impl<Io> Bypass<Io> {
    pub(super) fn new(io: Io, carried: Carried) -> Self {
        Self { io, diversion: Diversion::new(carried) }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Bypass<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = this.diversion.ready();
            if !ready.is_empty() {
                let now = ready.len().min(out.remaining());
                out.put_slice(&ready[..now]);
                ready.advance(now);
                return Poll::Ready(Ok(()));
            }
            match poll_read_buf(Pin::new(&mut this.io), cx, &mut this.diversion.space()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(count)) => this.diversion.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Bypass<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
