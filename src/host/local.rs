//! This machine, without SSH: scripts are child processes, tunnels are plain TCP connections.

use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::transport::MOST_STDERR;
use super::{Duplex, HostError, Output, Running, Script, Stdin, TOOLS, Transport};
use crate::bounds::{self, Exceeded, Patience};
use crate::inventory::NodeName;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 * 1024;

/// `$0` is the seconds that the script may take where nobody waits for it (or nothing), and the rest is its command line.
const LOADER: &str = r#"if [ -n "$0" ] && timeout -k 1 1 true 2>/dev/null; then exec timeout -k 10 "$0" /bin/sh -c "$@"; fi
exec /bin/sh -c "$@""#;

/// Runs scripts on this machine with the rights of this program. As over SSH, a script whose `run` is given up goes on to
/// its end, with its input closed.
pub struct LocalTransport {
    node: NodeName,
    exchanges: AtomicU64,
}

impl LocalTransport {
    /// A transport for `node`, which is this machine.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            exchanges: AtomicU64::new(0),
        }
    }

    fn start(&self, script: &Script) -> Result<Child, HostError> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("/bin/sh");
        let there = script.limits.there.map(|limit| limit.as_secs().max(1).to_string());
        command.args(["-c", LOADER, &there.unwrap_or_default()]);
        command.arg(script.text).arg("quorate").args(&script.args);
        command.env_clear().env("PATH", TOOLS).env("LC_ALL", "C");
        // On the operator's own machine the operator says where what is temporary goes.
        command.envs(std::env::var_os("TMPDIR").map(|dir| ("TMPDIR", dir)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A process group of its own: Ctrl-C reaches this program, which then decides, and not a script half-way.
        command.process_group(0);
        command.spawn().map_err(|error| self.lost("starting sh", error))
    }

    fn lost(&self, operation: &str, error: impl std::fmt::Display) -> HostError {
        HostError::Lost {
            node: self.node.clone(),
            operation: operation.to_owned(),
            why: error.to_string(),
        }
    }
}

#[async_trait]
impl Transport for LocalTransport {
    async fn run(&self, script: &Script, mut stdin: Stdin) -> Result<Output, HostError> {
        let mut child = self.start(script)?;
        let (writer, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let patience = Patience::new(script.limits.time);
        let feed = async {
            let Some(mut writer) = writer else {
                return Ok::<_, io::Error>(());
            };
            let mut piece = BytesMut::new();
            loop {
                piece.reserve(CHUNK);
                if stdin.read_buf(&mut piece).await? == 0 {
                    return Ok(());
                }
                match writer.write_all(&piece.split()).await {
                    // A script that ends without reading everything has its reasons, and a status.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    taken => taken?,
                }
                patience.renew();
            }
        };
        let collect = async {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            tokio::try_join!(
                async {
                    let Some(stdout) = &mut stdout else { return Ok(()) };
                    let mut piece = BytesMut::with_capacity(CHUNK);
                    while stdout.read_buf(&mut piece).await? > 0 {
                        bounds::keep(&mut out, &piece.split(), script.limits.bytes)?;
                        piece.reserve(CHUNK);
                    }
                    Ok(())
                },
                async {
                    match &mut stderr {
                        Some(stderr) => bounds::read_last(stderr, &mut err, MOST_STDERR).await,
                        None => Ok(()),
                    }
                },
            )?;
            Ok::<_, io::Error>((out, err, child.wait().await?))
        };
        tokio::pin!(feed, collect);
        // The end of the script decides: it may end while there still is input that nobody will read.
        let work = async {
            tokio::select! {
                finished = &mut collect => Ok(finished),
                fed = &mut feed => match fed {
                    Ok(()) => Ok(collect.await),
                    Err(error) => {
                        // Its input is closed now: it cleans up and ends. What it says of that is not the cause.
                        let _ = collect.await;
                        Err(self.lost("reading the data to send", error))
                    }
                },
            }
        };
        let finished = tokio::select! {
            finished = work => finished?,
            over = patience.over() => Err(over.into()),
        };
        let (stdout, stderr, status) = match finished {
            Ok(finished) => finished,
            Err(error) => {
                return match error.get_ref().and_then(|inner| inner.downcast_ref::<Exceeded>()) {
                    Some(exceeded) => Ok(Output {
                        over: Some(*exceeded),
                        ..Output::default()
                    }),
                    None => Err(self.lost("running a script", error)),
                };
            }
        };
        Ok(Output {
            over: None,
            status: status.code(),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    async fn spawn(&self, script: &Script) -> Result<Running, HostError> {
        let mut child = self.start(script)?;
        let node = self.node.clone();
        let (stdin, mut to_child) = mpsc::channel::<Bytes>(16);
        let (from_child, stdout) = mpsc::channel::<Bytes>(16);
        let (writer, reader, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = tokio::spawn(async move {
            let Some(mut writer) = writer else { return };
            while let Some(bytes) = to_child.recv().await {
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        });
        let done = tokio::spawn(async move {
            let read_out = async {
                let Some(mut reader) = reader else { return };
                let mut buffer = BytesMut::with_capacity(CHUNK);
                while matches!(reader.read_buf(&mut buffer).await, Ok(n) if n > 0) {
                    if from_child.send(buffer.split().freeze()).await.is_err() {
                        return;
                    }
                    buffer.reserve(CHUNK);
                }
            };
            let read_err = async {
                let mut text = Vec::new();
                if let Some(mut errors) = errors {
                    // What was read until an error is still worth showing.
                    let _ = bounds::read_last(&mut errors, &mut text, MOST_STDERR).await;
                }
                text
            };
            let ((), stderr, status) = tokio::join!(read_out, read_err, child.wait());
            feed.abort();
            match status {
                Ok(status) => Ok(Output {
                    over: None,
                    status: status.code(),
                    stdout: Vec::new(),
                    stderr: String::from_utf8_lossy(&stderr).into_owned(),
                }),
                Err(error) => Err(HostError::Lost {
                    node,
                    operation: "running a script".to_owned(),
                    why: error.to_string(),
                }),
            }
        });
        Ok(Running { stdout, stdin, done })
    }

    async fn tunnel(&self, address: &str, port: u16) -> Result<Box<dyn Duplex>, HostError> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let refused = |why: String| HostError::Connect {
            node: self.node.clone(),
            target: format!("{address}:{port}"),
            why,
            hint: "is etcd running there? See `quorate logs`".to_owned(),
        };
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => {
                // Small gRPC frames must not wait for each other; without it they only come later.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
        }
    }

    fn round_trips(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::verbs::{input, no_input};
    use super::*;
    use crate::bounds::Limits;

    fn transport() -> LocalTransport {
        LocalTransport::new("here".parse().unwrap())
    }

    fn script(text: &'static str, args: &[&str]) -> Script {
        Script {
            text,
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            limits: Limits::answer(4 << 20, 60),
        }
    }

    #[tokio::test]
    async fn arguments_reach_the_script_as_they_are() {
        let hostile = "$(touch /tmp/x); 'a' \"b\" \\ \n * -e";
        let output = transport()
            .run(&script("printf '%s|' \"$@\"; cat; exit 3", &[hostile, ""]), input("in"))
            .await
            .unwrap();
        assert_eq!(output.stdout, format!("{hostile}||in").as_bytes());
        assert_eq!(output.status, Some(3));
    }

    #[tokio::test]
    async fn a_script_that_ignores_endless_input_still_ends() {
        let endless: Stdin = Box::pin(tokio::io::repeat(b'x'));
        let output = transport()
            .run(&script("echo early >&2; exit 7", &[]), endless)
            .await
            .unwrap();
        assert_eq!((output.status, output.stderr.as_str()), (Some(7), "early\n"));
    }

    #[tokio::test]
    async fn much_output_on_both_sides_does_not_block() {
        let text = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2";
        let output = transport().run(&script(text, &[]), no_input()).await.unwrap();
        assert_eq!((output.stdout.len(), output.stderr.len()), (3_000_000, MOST_STDERR));
    }

    #[tokio::test]
    async fn what_says_too_much_or_never_ends_is_given_up_and_does_not_stay() {
        let endless = transport()
            .run(&script("cat /dev/zero", &[]), no_input())
            .await
            .unwrap();
        assert_eq!(endless.over, Some(Exceeded::Bytes(4 << 20)));

        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let mut idle = script("sleep 600 & echo $! >\"$1\"; wait", &[pid.to_str().unwrap()]);
        idle.limits.time = Some(Duration::from_millis(300));
        idle.limits.there = Some(Duration::from_secs(1));
        let idle = transport().run(&idle, no_input()).await.unwrap();
        assert_eq!(idle.over, Some(Exceeded::Time(Duration::from_millis(300))));
        // The machine itself ends it, with what it has started.
        let child = std::fs::read_to_string(&pid).unwrap();
        let proc = format!("/proc/{}/stat", child.trim());
        let runs = || std::fs::read_to_string(&proc).is_ok_and(|stat| !stat.contains(") Z "));
        tokio::time::timeout(Duration::from_secs(20), async {
            while runs() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("it ends");
    }

    #[tokio::test]
    async fn a_spawned_script_talks_until_its_input_is_closed() {
        let mut running = transport()
            .spawn(&script("while read -r line; do echo \"<$line>\"; done; exit 4", &[]))
            .await
            .unwrap();
        running.stdin.send(Bytes::from_static(b"a\n")).await.unwrap();
        assert_eq!(running.stdout.recv().await.unwrap(), "<a>\n");
        drop(running.stdin);
        assert_eq!(running.stdout.recv().await, None);
        assert_eq!(running.done.await.unwrap().unwrap().status, Some(4));
    }

    #[tokio::test]
    async fn a_tunnel_reaches_a_port_or_says_why_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let transport = transport();
        let mut stream = transport.tunnel("127.0.0.1", port).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        other.write_all(b"hi").await.unwrap();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hi");

        // Bound, so that nobody else gets the port, and not listening.
        let mute = tokio::net::TcpSocket::new_v4().unwrap();
        mute.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let refused = transport
            .tunnel("127.0.0.1", mute.local_addr().unwrap().port())
            .await
            .err()
            .unwrap();
        assert!(matches!(refused, HostError::Connect { .. }), "{refused}");
        assert_eq!(transport.round_trips(), 2);
    }
}
