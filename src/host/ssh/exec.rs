//! One running command: feeding it, reading it, and what its end means.

use std::io;

use bytes::{Bytes, BytesMut};
use russh::ChannelReadHalf;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::channel::{self, Ended, Writer};
use super::judge::Judge;
use super::sessions::Seat;
use crate::bounds::{Exceeded, Limits, Patience};
use crate::host::Stdin;

/// Data goes out in pieces of this size; larger ones are not faster, much smaller ones are slower.
const PIECE: usize = 256 << 10;

/// A command that has been started.
pub(super) struct Exec {
    pub(super) read: ChannelReadHalf,
    pub(super) write: Writer,
    /// Standard output of the script that has come already.
    pub(super) first: Vec<u8>,
    /// What the loader reads: goes in front of everything that the script reads.
    pub(super) input: Bytes,
    /// What is known of its end.
    pub(super) ended: Ended,
    pub(super) judge: Judge,
    /// What it may say and take.
    pub(super) limits: Limits,
    /// The command lives as long as its connection.
    pub(super) _seat: Seat,
}

/// What came of a command.
pub(super) enum Outcome {
    /// It ended, or the connection did.
    Ended(Vec<u8>, Box<Ended>),
    /// The data to send could not be read. What the host has of it may be a part.
    Unread(io::Error),
    /// It said too much or took too long, and was given up; what it said on the side.
    Passed(Exceeded, Box<Ended>),
}

/// Sends all of `stdin` and reads until the command ends. A command that ends before it has read everything is no error:
/// the reading half decides when it is over.
pub(super) async fn converse(mut exec: Exec, mut stdin: Stdin) -> Outcome {
    let mut stdout = std::mem::take(&mut exec.first);
    let mut ended = std::mem::take(&mut exec.ended);
    let patience = Patience::new(exec.limits.time);
    let heard = {
        let pump = pump(&exec.write, std::mem::take(&mut exec.input), &mut stdin, &patience);
        let read = channel::collect(&mut exec.read, &mut stdout, exec.limits.bytes, &mut ended);
        let work = async {
            tokio::pin!(pump, read);
            tokio::select! {
                heard = &mut read => Ok(heard),
                sent = &mut pump => match sent {
                    Ok(()) => Ok(read.await),
                    Err(error) => Err(error),
                },
            }
        };
        tokio::select! {
            heard = work => heard,
            over = patience.over() => Ok(Err(over)),
        }
    };
    match heard {
        Ok(Ok(())) => {}
        Ok(Err(exceeded)) => return Outcome::Passed(exceeded, Box::new(ended)),
        Err(error) => return Outcome::Unread(error),
    }
    if ended.closed {
        exec.write.forget();
    }
    Outcome::Ended(stdout, Box::new(ended))
}

/// Only a source that cannot be read is an error here; a connection that is gone ends the reading half too.
/// Each piece that is taken renews the patience.
async fn pump(write: &Writer, first: Bytes, stdin: &mut Stdin, patience: &Patience) -> io::Result<()> {
    if write.send(first).await.is_err() {
        return Ok(());
    }
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(PIECE);
        if stdin.read_buf(&mut piece).await? == 0 {
            break;
        }
        if write.send(piece.split().freeze()).await.is_err() {
            return Ok(());
        }
        patience.renew();
    }
    let _ = write.finish().await;
    Ok(())
}

/// The same for a command that is left running: input as it comes, output as it is read.
pub(super) async fn attend(mut exec: Exec, mut stdin: mpsc::Receiver<Bytes>, stdout: mpsc::Sender<Bytes>) -> Outcome {
    let first = Bytes::from(std::mem::take(&mut exec.first));
    let mut ended = std::mem::take(&mut exec.ended);
    {
        let input = std::mem::take(&mut exec.input);
        let pump = async {
            if exec.write.send(input).await.is_err() {
                return;
            }
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
    Outcome::Ended(Vec::new(), Box::new(ended))
}

/// A task that ends with whoever waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
