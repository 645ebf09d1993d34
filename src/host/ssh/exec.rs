//! One running command: feeding it, reading it, and what its end means.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use russh::ChannelReadHalf;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::channel::{self, Ended, Writer};
use super::link::Link;
use crate::host::{HostError, Output, Stdin};
use crate::inventory::NodeName;

/// Data goes out in pieces of this size; larger ones are not faster, much smaller ones are slower.
const PIECE: usize = 256 << 10;

/// A command that has been started.
pub(super) struct Exec {
    pub(super) read: ChannelReadHalf,
    pub(super) write: Writer,
    /// Standard output that has come already.
    pub(super) first: Vec<u8>,
    pub(super) _seat: Seat,
    /// The command lives as long as its connection.
    pub(super) _link: Arc<Link>,
}

/// A place among the commands that run at a time.
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
    running: Arc<AtomicUsize>,
}

impl Seat {
    pub(super) fn take(permit: OwnedSemaphorePermit, running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self {
            _permit: permit,
            running: Arc::clone(running),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What came of a command.
pub(super) enum Outcome {
    /// It ended, or the connection did.
    Ended(Vec<u8>, Ended),
    /// The data to send could not be read. What the host has of it may be a part.
    Unread(io::Error),
}

/// Sends all of `stdin` and reads until the command ends. A command that ends before it has read everything is no error:
/// the reading half decides when it is over.
pub(super) async fn converse(mut exec: Exec, mut stdin: Stdin) -> Outcome {
    let mut stdout = std::mem::take(&mut exec.first);
    let mut ended = Ended::default();
    {
        let pump = pump(&exec.write, &mut stdin);
        let read = channel::collect(&mut exec.read, &mut stdout, &mut ended);
        tokio::pin!(pump, read);
        tokio::select! {
            () = &mut read => {}
            sent = &mut pump => match sent {
                Ok(()) => read.await,
                Err(error) => return Outcome::Unread(error),
            },
        }
    }
    if ended.closed {
        exec.write.forget();
    }
    Outcome::Ended(stdout, ended)
}

/// Only a source that cannot be read is an error here; a connection that is gone ends the reading half too.
async fn pump(write: &Writer, stdin: &mut Stdin) -> io::Result<()> {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(PIECE);
        if stdin.read_buf(&mut piece).await? == 0 {
            break;
        }
        if write.send(piece.split().freeze()).await.is_err() {
            return Ok(());
        }
    }
    let _ = write.finish().await;
    Ok(())
}

/// The same for a command that is left running: input as it comes, output as it is read.
pub(super) async fn attend(mut exec: Exec, mut stdin: mpsc::Receiver<Bytes>, stdout: mpsc::Sender<Bytes>) -> Outcome {
    let first = Bytes::from(std::mem::take(&mut exec.first));
    let mut ended = Ended::default();
    {
        let pump = async {
            while let Some(bytes) = stdin.recv().await {
                if exec.write.send(bytes).await.is_err() {
                    return;
                }
            }
            let _ = exec.write.finish().await;
        };
        let read = channel::forward(&mut exec.read, stdout, first, &mut ended);
        tokio::pin!(pump, read);
        tokio::select! {
            () = &mut read => {}
            () = &mut pump => read.await,
        }
    }
    if ended.closed {
        exec.write.forget();
    }
    Outcome::Ended(Vec::new(), ended)
}

/// Tells what the end of one command means.
pub(super) struct Judge {
    pub(super) node: NodeName,
    /// What the command was for.
    pub(super) operation: String,
    pub(super) link: Arc<Link>,
}

impl Judge {
    pub(super) fn output(&self, outcome: Outcome) -> Result<Output, HostError> {
        let (stdout, ended) = match outcome {
            Outcome::Ended(stdout, ended) => (stdout, ended),
            Outcome::Unread(error) => return Err(self.lost(format!("the data to send cannot be read: {error}"))),
        };
        if ended.refused {
            return Err(HostError::Script {
                node: self.node.clone(),
                operation: self.operation.clone(),
                why: "the host's sshd does not run commands for this login".to_owned(),
                hint: "look for restrictions in sshd_config and authorized_keys".to_owned(),
            });
        }
        let mut stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        match (ended.status, ended.signal) {
            (None, None) => return Err(self.lost(self.link.why_lost())),
            (None, Some(signal)) => stderr.push_str(&format!("ended by {signal}\n")),
            (Some(_), _) => {}
        }
        Ok(Output {
            status: ended.status,
            stdout,
            stderr,
        })
    }

    /// The error of an operation on the connection.
    pub(super) fn failed(&self, error: &russh::Error) -> HostError {
        match error {
            russh::Error::ChannelOpenFailure(failure) => self.lost(format!("the host opens no channel ({failure:?})")),
            _ => self.lost(self.link.why_lost()),
        }
    }

    pub(super) fn lost(&self, why: String) -> HostError {
        HostError::Lost {
            node: self.node.clone(),
            operation: self.operation.clone(),
            why,
        }
    }
}

/// A task that ends with whoever waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
