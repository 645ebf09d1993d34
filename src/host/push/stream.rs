//! Orders as one stream of bytes, read from their sources only as fast as the host takes them.

use std::io::{self, Read};

use bytes::Bytes;
use futures::stream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::io::StreamReader;

use super::orders::Order;
use super::{Content, Opener};
use crate::host::Stdin;

const CHUNK: usize = 256 * 1024;

/// A stream on its way.
pub(super) struct Sending {
    pub(super) stdin: Stdin,
    /// Its length in bytes.
    pub(super) total: u64,
    /// Ends when everything was handed over or the other end stopped reading; an error is one of a source.
    pub(super) source: JoinHandle<io::Result<()>>,
}

/// Begins to send `orders`; `tell` is told how many bytes were taken so far.
pub(super) fn send(orders: Vec<Order>, tell: watch::Sender<u64>) -> Sending {
    let total = orders.iter().map(Order::bytes).sum();
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    let source = tokio::task::spawn_blocking(move || {
        for order in orders {
            match order.send(&sender) {
                Ok(()) => {}
                // The other end has stopped reading: it will say why.
                Err(Stopped::NobodyReads) => return Ok(()),
                Err(Stopped::Source(error)) => {
                    let cut_off = io::Error::new(error.kind(), error.to_string());
                    // When nobody reads any more, the error below is all that is needed.
                    let _ = sender.blocking_send(Err(cut_off));
                    return Err(error);
                }
            }
        }
        Ok(())
    });
    let chunks = stream::unfold((receiver, tell, 0), |(mut receiver, tell, mut done)| async move {
        let chunk = receiver.recv().await?;
        if let Ok(bytes) = &chunk {
            done += bytes.len() as u64;
            tell.send_replace(done);
        }
        Some((chunk, (receiver, tell, done)))
    });
    Sending {
        stdin: Box::pin(StreamReader::new(Box::pin(chunks))),
        total,
        source,
    }
}

/// All that `open` gives out, as standard input of a script. A source that fails ends it with that error.
pub(in crate::host) fn input_from(open: Opener) -> Stdin {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let read = || -> Result<(), Stopped> {
            let mut source = open()?;
            loop {
                let mut chunk = Vec::with_capacity(CHUNK);
                source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
                if chunk.is_empty() {
                    return Ok(());
                }
                sender
                    .blocking_send(Ok(chunk.into()))
                    .map_err(|_| Stopped::NobodyReads)?;
            }
        };
        if let Err(Stopped::Source(error)) = read() {
            let _ = sender.blocking_send(Err(error));
        }
    });
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    Box::pin(StreamReader::new(Box::pin(chunks)))
}

enum Stopped {
    NobodyReads,
    Source(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Source(error)
    }
}

impl Order {
    fn bytes(&self) -> u64 {
        self.line.len() as u64 + 1 + self.payload.as_ref().map_or(0, Content::sent)
    }

    fn send(self, to: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), Stopped> {
        let put = |bytes: Bytes| to.blocking_send(Ok(bytes)).map_err(|_| Stopped::NobodyReads);
        put(Bytes::from(format!("{}\n", self.line)))?;
        match self.payload {
            None | Some(Content::Existing(_)) => Ok(()),
            Some(Content::Plain(bytes)) => put(bytes),
            Some(Content::Secret(secret)) => put(Bytes::from_owner(Secret(secret))),
            Some(Content::Stream { open, len, .. }) => send_all(open()?, len, put),
        }
    }
}

/// A secret as a chunk: shared, not copied, so that it is wiped with its last owner.
struct Secret(std::sync::Arc<zeroize::Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Sends exactly `expected` bytes: the host was told that many.
fn send_all(source: impl Read, expected: u64, put: impl Fn(Bytes) -> Result<(), Stopped>) -> Result<(), Stopped> {
    // One more than expected shows a source that is too long.
    let mut source = source.take(expected.saturating_add(1));
    let mut sent = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        let length = chunk.len() as u64;
        sent += length;
        if sent > expected || (length == 0 && sent < expected) {
            let why = format!("it does not have the announced {expected} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why).into());
        }
        if length == 0 {
            return Ok(());
        }
        put(Bytes::from(chunk))?;
    }
}
