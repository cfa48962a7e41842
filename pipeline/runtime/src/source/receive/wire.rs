//! A connection over TCP, in plain text or by TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::connections::Stream;

/// A record of TLS has this many bytes at most (RFC 8446, section 5.1).
const RECORD_BYTES: usize = 16 << 10;

/// A connection, and what was read of it before its protocol asked for it: one record of TLS at most, and what tells one
/// protocol from another.
pub(super) struct Wire {
    io: Io,
    early: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    /// The other end sends no more.
    ended: bool,
}

enum Io {
    Plain(TcpStream),
    Secret(Box<SslStream<TcpStream>>),
}

impl Wire {
    pub(super) const fn plain(stream: TcpStream) -> Self {
        Self { io: Io::Plain(stream), early: Vec::new(), taken: 0, ended: false }
    }
    /// After the handshake.
    pub(super) fn secret(stream: SslStream<TcpStream>) -> Self {
        Self { io: Io::Secret(Box::new(stream)), early: Vec::new(), taken: 0, ended: false }
    }

    /// True when the other end has closed or broken the connection and everything it sent was read.
    pub(super) fn is_gone(&mut self) -> bool {
        if self.taken < self.early.len() {
            return false;
        }
        match &self.io {
            Io::Plain(stream) => {
                let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
                match rustix::net::recv(stream, &mut [0_u8; 1][..], flags) {
                    Ok((read, _)) => read == 0,
                    Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
                }
            }
            // The end is in a record of its own, so that the connection must be read.
            Io::Secret(_) => match self.poll_early(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(())) => self.ended && self.early.is_empty(),
                Poll::Ready(Err(_)) => true,
                Poll::Pending => false,
            },
        }
    }

    /// Whether what the other end sends first is `start`; waits for as many bytes as tell.
    pub(super) async fn begins_with(&mut self, start: &[u8]) -> io::Result<bool> {
        std::future::poll_fn(|cx| {
            loop {
                let came = &self.early[self.taken..];
                if came.len() >= start.len() || !start.starts_with(came) || self.ended {
                    return Poll::Ready(Ok(came.starts_with(start)));
                }
                ready!(self.poll_more(cx))?;
            }
        })
        .await
    }

    /// Waits until there are bytes that were not asked for yet, or the end.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.taken < self.early.len() || self.ended {
            return Poll::Ready(Ok(()));
        }
        self.poll_more(cx)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; RECORD_BYTES];
        let mut bytes = ReadBuf::new(&mut bytes);
        ready!(self.io.poll_read(cx, &mut bytes))?;
        self.ended = bytes.filled().is_empty();
        self.early.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(()))
    }

    /// What was read early goes first; the number of bytes.
    fn take_early(&mut self, to: &mut [u8]) -> usize {
        let left = &self.early[self.taken..];
        let count = left.len().min(to.len());
        to[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        if self.taken == self.early.len() {
            // One that is silent holds no memory for it.
            (self.early, self.taken) = (Vec::new(), 0);
        }
        count
    }
}

impl Io {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, to),
            Self::Secret(stream) => Pin::new(stream.as_mut()).poll_read(cx, to),
        }
    }
}

impl Stream for Wire {
    async fn readable(&mut self) -> io::Result<()> {
        match &self.io {
            Io::Plain(stream) if self.early.is_empty() => stream.ready(Interest::READABLE).await.map(drop),
            _ => std::future::poll_fn(|cx| self.poll_early(cx)).await,
        }
    }
    fn try_read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match &self.io {
            _ if !self.early.is_empty() => Ok(self.take_early(to)),
            _ if self.ended => Ok(0),
            Io::Plain(stream) => stream.try_read(to),
            Io::Secret(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return if self.ended { Poll::Ready(Ok(())) } else { self.io.poll_read(cx, to) };
        }
        let count = self.take_early(to.initialize_unfilled());
        to.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Secret(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Secret(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Secret(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
