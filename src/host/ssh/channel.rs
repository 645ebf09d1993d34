//! The two halves of a channel, handled so that one channel can neither hang nor freeze its connection.
//!
//! russh's session task waits for every channel's reader: an unread channel stops the whole connection, keepalives
//! included. So each channel has a task here that always takes what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::frame::{Frame, Verdict};
use crate::bounds::{self, Exceeded};
use crate::host::transport::MOST_STDERR;

/// What a slow consumer may leave unread before the connection has to wait for it.
const BACKLOG: usize = 64 << 20;

/// How long a login may go on after its command has ended.
const CLOSING: Duration = Duration::from_secs(2);

/// How a channel ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Around what a command says; a tunnel has none.
    pub(super) frame: Option<Frame>,
    /// When the end of the frame came, and the limit after it.
    limit: Option<Instant>,
    /// The exit status of the login, which need not be the script's.
    pub(super) status: Option<i32>,
    /// The signal that ended it, as `SIGKILL`.
    pub(super) signal: Option<String>,
    /// Standard error.
    pub(super) stderr: Vec<u8>,
    /// The server does not run commands.
    pub(super) refused: bool,
    /// The server has closed the channel.
    pub(super) closed: bool,
    /// The server said that no more data would come; else the connection was lost. Set before the data's receiver sees
    /// the end.
    pub(super) orderly: Arc<AtomicBool>,
}

/// One message, as far as a consumer is concerned.
pub(super) enum News {
    Data(Bytes),
    Eof,
    Nothing,
    End,
}

impl Ended {
    /// Of a command that says something inside `frame` only.
    pub(super) fn framed(frame: Frame) -> Self {
        Self {
            frame: Some(frame),
            ..Self::default()
        }
    }

    /// Whether the host's end of it runs, or has run.
    pub(super) fn begun(&self) -> bool {
        self.frame.as_ref().is_some_and(Frame::begun)
    }

    /// How the script ended, once it has said so.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.frame.as_ref().and_then(Frame::verdict)
    }

    /// The next message. Once the script has ended, its login is not waited for without a limit.
    pub(super) async fn next(&self, read: &mut ChannelReadHalf) -> Option<ChannelMsg> {
        match self.limit {
            None => read.wait().await,
            Some(limit) => tokio::time::timeout_at(limit, read.wait()).await.ok().flatten(),
        }
    }

    fn data(&mut self, data: Bytes) -> News {
        let Some(frame) = &mut self.frame else {
            return News::Data(data);
        };
        let said = frame.out(data);
        if frame.verdict().is_some() && self.limit.is_none() {
            self.limit = Some(Instant::now() + CLOSING);
        }
        match said.is_empty() {
            true => News::Nothing,
            false => News::Data(said),
        }
    }

    /// Notes what `message` tells and passes its data on; `None` is the end of the connection.
    pub(super) fn take(&mut self, message: Option<ChannelMsg>) -> News {
        match message {
            Some(ChannelMsg::Data { data }) => return self.data(data),
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                let said = match &mut self.frame {
                    Some(frame) => frame.err(data),
                    None => data,
                };
                self.stderr.extend_from_slice(&said);
                let excess = self.stderr.len().saturating_sub(MOST_STDERR);
                self.stderr.drain(..excess);
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => self.status = i32::try_from(exit_status).ok(),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => self.signal = Some(signal(&signal_name)),
            Some(ChannelMsg::Failure) => {
                self.refused = true;
                return News::End;
            }
            Some(ChannelMsg::Eof) => {
                self.orderly.store(true, Ordering::Release);
                return News::Eof;
            }
            Some(ChannelMsg::Close) => {
                self.orderly.store(true, Ordering::Release);
                self.closed = true;
                return News::End;
            }
            None => return News::End,
            Some(_) => {}
        }
        News::Nothing
    }
}

fn signal(name: &Sig) -> String {
    match name {
        Sig::Custom(name) => format!("SIG{name}"),
        known => format!("SIG{known:?}"),
    }
}

/// Reads to the end; standard output, no more than `most` bytes, goes to `stdout`.
pub(super) async fn collect(
    read: &mut ChannelReadHalf,
    stdout: &mut Vec<u8>,
    most: u64,
    ended: &mut Ended,
) -> Result<(), Exceeded> {
    loop {
        match ended.take(ended.next(read).await) {
            News::Data(data) => bounds::keep(stdout, &data, most)?,
            News::Eof | News::Nothing => {}
            News::End => return Ok(()),
        }
    }
}

/// Reads to the end; data goes to `out`, which is closed at end-of-file. A receiver that was dropped misses the rest.
pub(super) async fn forward(read: &mut ChannelReadHalf, out: mpsc::Sender<Bytes>, first: Bytes, ended: &mut Ended) {
    let mut backlog = BytesMut::from(first);
    let mut eof = ended.verdict().is_some();
    let mut out = Some(out);
    loop {
        if eof && backlog.is_empty() {
            out = None;
        }
        let ready = async {
            match &out {
                Some(out) => out.clone().reserve_owned().await.ok(),
                None => None,
            }
        };
        tokio::select! {
            permit = ready, if !backlog.is_empty() => match permit {
                Some(permit) => drop(permit.send(backlog.split().freeze())),
                None => {
                    out = None;
                    backlog.clear();
                }
            },
            message = ended.next(read), if backlog.len() < BACKLOG => {
                match ended.take(message) {
                    News::Data(data) if out.is_some() => backlog.extend_from_slice(&data),
                    News::Data(_) | News::Nothing => {}
                    News::Eof => eof = true,
                    News::End => break,
                }
                eof |= ended.verdict().is_some();
            }
        }
    }
    if let Some(out) = out.filter(|_| !backlog.is_empty()) {
        // A receiver that is gone wants nothing any more.
        let _ = out.send(backlog.freeze()).await;
    }
}

/// The writing half. Dropping it closes the channel, so that whatever runs there sees the end of its input.
pub(super) struct Writer {
    half: Option<ChannelWriteHalf<Msg>>,
}

impl Writer {
    pub(super) fn new(half: ChannelWriteHalf<Msg>) -> Self {
        Self { half: Some(half) }
    }

    /// Sends `bytes` as the server's window allows.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), russh::Error> {
        match &self.half {
            Some(half) => half.data_bytes(bytes).await,
            None => Err(russh::Error::SendError),
        }
    }

    /// Tells the other side that nothing more will come.
    pub(super) async fn finish(&self) -> Result<(), russh::Error> {
        match &self.half {
            Some(half) => half.eof().await,
            None => Err(russh::Error::SendError),
        }
    }

    /// The server has closed the channel already.
    pub(super) fn forget(mut self) {
        self.half = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let (Some(half), Ok(runtime)) = (self.half.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                // A connection that is gone has closed all its channels.
                let _ = half.close().await;
            });
        }
    }
}
