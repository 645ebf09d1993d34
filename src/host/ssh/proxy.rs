//! `ProxyCommand`: a command of this machine in place of a TCP connection.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

/// Most that is kept of what the command writes on standard error.
const MOST_SAID: u64 = 4 << 10;

/// What the command wrote on standard error, for whoever asks why nothing came.
#[derive(Clone, Default)]
pub(super) struct Said {
    text: Arc<Mutex<String>>,
    /// Cancelled once all of it was read; `None` before a command runs.
    read: Arc<OnceLock<CancellationToken>>,
}

/// How long a command that has ended may take until its last words are here.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Said {
    /// Its last line; `None` when it was silent, or there is none.
    pub(super) async fn last(&self) -> Option<String> {
        // The end of the stream may be seen before what was said in front of it.
        let _ = tokio::time::timeout(LAST_WORDS, self.read.get()?.cancelled()).await;
        let said = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let line = said.lines().rfind(|line| !line.trim().is_empty())?;
        Some(line.trim().escape_debug().to_string())
    }
}

/// Starts `command` as OpenSSH does: in the operator's own shell, which it replaces. It ends with the stream.
///
/// # Errors
/// Why it does not start.
pub(super) fn start(command: &str, said: &Said) -> std::io::Result<Proxy> {
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let read = child.stdout.take().ok_or_else(gone)?;
    let write = child.stdin.take().ok_or_else(gone)?;
    if let Some(mut errors) = child.stderr.take() {
        let said = said.clone();
        let read = said.read.get_or_init(CancellationToken::new).clone().drop_guard();
        tokio::spawn(async move {
            let _read = read;
            let mut text = Vec::new();
            let mut piece = [0; 512];
            // Read to its end, so that the command is never held up; kept up to a limit.
            while let Ok(read @ 1..) = errors.read(&mut piece).await {
                if (text.len() as u64) < MOST_SAID {
                    text.extend_from_slice(&piece[..read]);
                    *said.text.lock().unwrap_or_else(PoisonError::into_inner) =
                        String::from_utf8_lossy(&text).into_owned();
                }
            }
        });
    }
    Ok(Proxy {
        read,
        write,
        _child: child,
    })
}

/// The stream through a running command.
pub(super) struct Proxy {
    read: ChildStdout,
    write: ChildStdin,
    _child: Child,
}

impl AsyncRead for Proxy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buf)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}
