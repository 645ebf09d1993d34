//! TCP streams through a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::channel::{self, Ended, Writer};
use super::link::Link;
use crate::host::Duplex;

/// Opens a stream to `host:port` as dialled from the far end of `link`.
///
/// # Errors
/// Why it cannot be opened.
pub(super) async fn open(link: &Arc<Link>, host: &str, port: u16, limit: Duration) -> Result<Box<dyn Duplex>, Refused> {
    let opening = link
        .handle
        .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
    let opened = tokio::time::timeout(limit, opening).await;
    let channel = opened
        .map_err(|_| Refused::Otherwise(format!("no answer within {} s", limit.as_secs_f32())))?
        .map_err(|error| match error {
            russh::Error::ChannelOpenFailure(failure) => refusal(&failure),
            _ => Refused::Otherwise(link.why_lost()),
        })?;
    let (mut read, write) = channel.split();
    let (sender, receiver) = mpsc::channel(16);
    let mut ended = Ended::default();
    let orderly = Arc::clone(&ended.orderly);
    let sink = write.make_writer();
    tokio::spawn(async move { channel::forward(&mut read, sender, Bytes::new(), &mut ended).await });
    Ok(Box::new(Tunnel {
        receiver,
        rest: Bytes::new(),
        orderly,
        sink,
        _close: Writer::new(write),
        _link: Arc::clone(link),
    }))
}

/// How it is said that the SSH server opens no stream to anybody, whoever listens there.
pub const FORWARDING_FORBIDDEN: &str = "sshd forbids forwarding (AllowTcpForwarding, PermitOpen)";

/// Why there is no stream, in a few words.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// By the server's rules; another way may lead there.
    #[error("its {FORWARDING_FORBIDDEN}")]
    Forbidden,
    /// By whatever is there, or is not.
    #[error("{0}")]
    Otherwise(String),
}

/// Nothing listens at the far end.
pub(super) const NO_ANSWER: &str = "nothing answers there (connection refused or unreachable)";

fn refusal(failure: &ChannelOpenFailure) -> Refused {
    match failure {
        ChannelOpenFailure::ConnectFailed => Refused::Otherwise(NO_ANSWER.to_owned()),
        ChannelOpenFailure::AdministrativelyProhibited => Refused::Forbidden,
        other => Refused::Otherwise(format!("its sshd refuses the forwarding ({other:?})")),
    }
}

struct Tunnel<W> {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
    /// The server said that the stream ends. A connection that was lost must not look like that.
    orderly: Arc<AtomicBool>,
    sink: W,
    _close: Writer,
    /// The stream lives as long as its connection.
    _link: Arc<Link>,
}

impl<W: Unpin> AsyncRead for Tunnel<W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(bytes) => self.rest = bytes,
                None if self.orderly.load(Ordering::Acquire) => return Poll::Ready(Ok(())),
                None => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::ConnectionReset,
                        "SSH connection lost",
                    )));
                }
            }
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Tunnel<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // russh takes an empty write for an error.
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.sink).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.sink).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.sink).poll_shutdown(cx)
    }
}
