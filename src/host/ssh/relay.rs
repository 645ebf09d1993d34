//! TCP streams through a command, for hosts whose sshd forbids forwarding (`AllowTcpForwarding no`, `PermitOpen`).
//!
//! bash is what nearly every host has that can open a connection. It needs no rights, so it runs as the login's own user.
//! Each stream takes a session.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use crate::bounds::Limits;
use crate::host::{Output, Running, Script};

/// What may wait in either direction.
const ROOM: usize = 256 << 10;

/// Exit statuses of [`RELAY`].
const NO_BASH: i32 = 66;
const NO_ANSWER: i32 = 67;

/// `$1` is the address, `$2` the port. Ends when either side does; what the other side still says after the end of our
/// input is passed on for a second. The first line is what scripts/clients.sh knows it by.
const RELAY: &str = r#"# Opening a stream without forwarding
command -v bash >/dev/null || exit 66
exec bash -c '# a stream of quorate
exec 3<>"/dev/tcp/$1/$2" || exit 67
echo ready
exec 4<&0
cat <&3 & r=$!
{ cat <&4 >&3; sleep 1; kill $r; } >/dev/null 2>&1 & w=$!
wait $r
kill $w 2>/dev/null
exit 0' relay "$@""#;

/// The script of a stream to `address:port`.
pub(super) fn script(address: &str, port: u16) -> Script {
    Script {
        text: RELAY,
        args: vec![address.to_owned(), port.to_string()],
        limits: Limits::ATTENDED,
    }
}

/// Why there is no stream.
pub(super) enum Failed {
    /// The host has nothing to make one with.
    NoBash,
    /// Nothing listens there.
    NoAnswer,
    /// Anything else, in a few words.
    Otherwise(String),
}

/// The stream, once the host has opened it.
pub(super) async fn stream(running: Running) -> Result<Relay, Failed> {
    let Running {
        mut stdout,
        stdin,
        done,
    } = running;
    let mut said = BytesMut::new();
    while !said.contains(&b'\n') {
        match stdout.recv().await {
            Some(bytes) => said.extend_from_slice(&bytes),
            None => {
                drop(stdin);
                return Err(match done.await {
                    Ok(Ok(output)) => failed(&output),
                    Ok(Err(error)) => Failed::Otherwise(error.to_string()),
                    Err(error) => Failed::Otherwise(error.to_string()),
                });
            }
        }
    }
    let ready = said.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let first = said.split_off(ready).freeze();
    let (ours, theirs) = tokio::io::duplex(ROOM);
    let (mut read, mut write) = tokio::io::split(theirs);
    let lost = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&lost);
    tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(bytes) = next {
            // A reader that is gone wants nothing any more.
            if write.write_all(&bytes).await.is_err() {
                return;
            }
            next = stdout.recv().await;
        }
        let orderly = matches!(done.await, Ok(Ok(output)) if output.ok());
        told.store(!orderly, Ordering::Release);
        // An error means that nobody reads.
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move { send_all(&mut read, &stdin).await });
    Ok(Relay { stream: ours, lost })
}

/// Until the writer is gone or the host is; then the host sees the end of its input.
async fn send_all(read: &mut (impl AsyncRead + Unpin), stdin: &mpsc::Sender<Bytes>) {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(ROOM);
        match read.read_buf(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if stdin.send(piece.split().freeze()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn failed(output: &Output) -> Failed {
    match output.status {
        Some(NO_BASH) => Failed::NoBash,
        Some(NO_ANSWER) => Failed::NoAnswer,
        _ => Failed::Otherwise(output.stderr.trim().to_owned()),
    }
}

/// A stream through a command.
pub(super) struct Relay {
    stream: DuplexStream,
    /// The connection was lost, which must not look like the stream's end. Set before the reader sees the end.
    lost: Arc<AtomicBool>,
}

impl AsyncRead for Relay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 && self.lost.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "SSH connection lost",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Relay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use crate::host::testbed::Testbed;

    #[tokio::test]
    async fn a_stream_of_quorates_own_is_no_client() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut relay = Command::new("sh")
            .args(["-c", super::RELAY, "sh", "127.0.0.1", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        relay.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
        let _accepted = listener.accept().unwrap();
        assert_eq!(Testbed::new().host().clients(port).await.unwrap(), []);

        // Another bash is one.
        let mut other = Command::new("bash")
            .args([
                "-c",
                "exec 3<>\"/dev/tcp/127.0.0.1/$1\"; echo ready; read -r _",
                "bash",
                &port.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        other.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        let _accepted = listener.accept().unwrap();
        let clients = Testbed::new().host().clients(port).await.unwrap();
        assert_eq!(clients.len(), 1, "{clients:?}");
        for mut process in [relay, other] {
            _ = process.kill();
            _ = process.wait();
        }
    }
}
