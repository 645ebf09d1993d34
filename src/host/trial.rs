//! A machine on which an etcd is started on scratch data, to see whether it starts: on its loopback, as an account that
//! may write nothing else, below one directory that goes when the trials are over, however that comes about.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::timeout;

use super::trouble::{not_understood, passed, script_failed};
use super::{HostError, Opener, Running, Transport, Unpacker, scripts};
use crate::bounds::Exceeded;
use crate::inventory::{HostPath, NodeName, UserName};

const OPERATION: &str = "testing etcd";
const CHUNK: usize = 256 * 1024;
/// How long a machine may take until the program is there and has been seen to run.
const READY: Duration = Duration::from_secs(1800);
/// How long the script may take to its end once it has nothing more to say.
const FAREWELL: Duration = Duration::from_secs(60);
/// The script says less than this of a log.
const LONGEST: usize = 256 * 1024;

/// Where the program comes from.
#[derive(Clone)]
pub enum TrialProgram {
    /// It is on the machine already, known to be what it should be.
    Installed(HostPath),
    /// It is sent there.
    Sent {
        /// SHA-256 (hex) of the program itself, which is checked there.
        sha256: String,
        /// Opens its bytes.
        open: Opener,
        /// How many there are.
        len: u64,
        /// What unpacks them there; `None`: they are not packed.
        unpacker: Option<Unpacker>,
    },
}

/// How an etcd ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialEnd {
    /// As a shell has it: above 128 it was a signal.
    pub status: i32,
    /// The end of its log.
    pub log: String,
}

/// One etcd program on one machine, ready to be started over and over. It goes, with all that it left, when this is
/// dropped or the connection is lost.
pub struct TrialStand {
    node: NodeName,
    running: Running,
    heard: BytesMut,
}

impl TrialStand {
    /// Brings the program to the machine behind `transport`, and sees that it runs there. `account` is who etcd runs as
    /// (`nobody` where that does not exist yet); `None`: whoever scripts run as.
    ///
    /// # Errors
    /// When the machine cannot be reached, has no room, or cannot run the program.
    pub async fn set_up(
        node: &NodeName,
        transport: &Arc<dyn Transport>,
        account: Option<&UserName>,
        program: &TrialProgram,
    ) -> Result<Self, HostError> {
        let dash = || "-".to_owned();
        let (path, sha256, len, tool) = match program {
            TrialProgram::Installed(path) => (path.to_string(), dash(), 0, None),
            TrialProgram::Sent {
                sha256, len, unpacker, ..
            } => (dash(), sha256.clone(), *len, *unpacker),
        };
        let script = scripts::TRIAL.with(vec![
            account.map_or_else(dash, ToString::to_string),
            path,
            sha256,
            len.to_string(),
            tool.map_or_else(dash, |tool| tool.tool().to_owned()),
        ]);
        let mut stand = Self {
            node: node.clone(),
            running: transport.spawn(&script).await?,
            heard: BytesMut::new(),
        };
        let making_ready = async {
            if let TrialProgram::Sent { open, len, .. } = program {
                stand.send_program(open.clone(), *len).await?;
            }
            stand.line().await
        };
        let line = timeout(READY, making_ready).await;
        match line
            .map_err(|_| passed(node, OPERATION, Exceeded::Time(READY)))??
            .as_str()
        {
            "ready" => Ok(stand),
            _ => Err(not_understood(
                node,
                OPERATION,
                "the host did not report that it is ready",
            )),
        }
    }

    /// Puts a file where the next start finds it.
    ///
    /// # Errors
    /// When the script has ended.
    pub async fn file(&mut self, name: &str, content: &[u8]) -> Result<(), HostError> {
        self.send(format!("file {name} {}\n", content.len()).into()).await?;
        self.send(Bytes::copy_from_slice(content)).await
    }

    /// Starts it with what is there. Whatever comes of it, [`TrialStand::next`] follows.
    ///
    /// # Errors
    /// When the script has ended.
    pub async fn start(&mut self) -> Result<(), HostError> {
        self.send("try\n".into()).await
    }

    /// Waits until it has ended. May be given up, and asked again.
    ///
    /// # Errors
    /// When the script has ended.
    pub async fn ended(&mut self) -> Result<TrialEnd, HostError> {
        let line = self.line().await?;
        let mut words = line.split(' ');
        let parsed = (
            words.next(),
            words.next().map(str::parse),
            words.next().map(str::parse::<usize>),
        );
        let (Some("ended"), Some(Ok(status)), Some(Ok(bytes))) = parsed else {
            return Err(not_understood(
                &self.node,
                OPERATION,
                "the host did not report how etcd exited",
            ));
        };
        while self.heard.len() < bytes {
            self.hear().await?;
        }
        let log = self.heard.split_to(bytes);
        Ok(TrialEnd {
            status,
            log: String::from_utf8_lossy(&log).into_owned(),
        })
    }

    /// Ends it where it still runs, and makes room for the next start.
    ///
    /// # Errors
    /// When the script has ended.
    pub async fn next(&mut self) -> Result<(), HostError> {
        self.send("next\n".into()).await
    }

    /// Ends everything, and waits until nothing is left of it.
    pub async fn take_down(self) {
        // Whatever it has to say by now is of no interest: it was asked to go.
        let _ = self.running.end().await;
    }

    async fn send_program(&mut self, open: Opener, len: u64) -> Result<(), HostError> {
        let unreadable = |why: String| HostError::Script {
            node: self.node.clone(),
            operation: OPERATION.to_owned(),
            why: format!("cannot read the data to send: {why}"),
            hint: "check the bundle with `quorate bundle verify`".to_owned(),
        };
        let to = self.running.stdin.clone();
        let read = move || -> std::io::Result<()> {
            let mut source = open()?.take(len);
            loop {
                let mut chunk = Vec::with_capacity(CHUNK);
                source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
                // When nobody reads any more the script has ended, and says why.
                if chunk.is_empty() || to.blocking_send(Bytes::from(chunk)).is_err() {
                    return Ok(());
                }
            }
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unreadable(error.to_string())),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), HostError> {
        if self.running.stdin.send(bytes).await.is_ok() {
            return Ok(());
        }
        Err(self.why_it_ended().await)
    }

    /// The next line that it says.
    async fn line(&mut self) -> Result<String, HostError> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line = self.heard.split_to(end);
                self.heard.advance(1);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.hear().await?;
        }
    }

    async fn hear(&mut self) -> Result<(), HostError> {
        if self.heard.len() > LONGEST {
            return Err(not_understood(&self.node, OPERATION, "the host printed too much"));
        }
        match self.running.stdout.recv().await {
            Some(chunk) => {
                self.heard.extend_from_slice(&chunk);
                Ok(())
            }
            None => Err(self.why_it_ended().await),
        }
    }

    async fn why_it_ended(&mut self) -> HostError {
        let Ok(ended) = timeout(FAREWELL, &mut self.running.done).await else {
            return passed(&self.node, OPERATION, Exceeded::Time(FAREWELL));
        };
        match ended {
            Ok(Ok(output)) => script_failed(&self.node, OPERATION, &output),
            Ok(Err(error)) => error,
            Err(error) => not_understood(&self.node, OPERATION, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::LocalTransport;
    use super::*;

    /// A program that is etcd as far as the script can tell.
    fn fake(dir: &Path, start: &str) -> TrialProgram {
        let text =
            format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'etcd Version: 3.6.16'; exit; fi\n{start}\n");
        let path = dir.join("etcd");
        std::fs::write(&path, text).unwrap();
        let path: HostPath = path.to_str().unwrap().parse().unwrap();
        super::super::testbed::set_mode(&path, 0o755);
        TrialProgram::Installed(path)
    }

    async fn stand(program: &TrialProgram) -> Result<TrialStand, HostError> {
        let node: NodeName = "here".parse().unwrap();
        let transport: Arc<dyn Transport> = Arc::new(LocalTransport::new(node.clone()));
        TrialStand::set_up(&node, &transport, None, program).await
    }

    #[tokio::test]
    async fn each_start_has_an_empty_directory_and_tells_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        // It says where it is, what was there before, and what it was told.
        let program = fake(dir.path(), "pwd; ls; cat ../config.json; : >left-behind; exit 3");
        let mut stand = stand(&program).await.unwrap();
        let mut place = PathBuf::new();
        for config in ["{\"one\": 1}\n", "{}\n"] {
            stand.file("config.json", config.as_bytes()).await.unwrap();
            stand.start().await.unwrap();
            let end = stand.ended().await.unwrap();
            stand.next().await.unwrap();
            let (pwd, rest) = end.log.split_once('\n').unwrap();
            assert_eq!((end.status, rest), (3, config));
            place = PathBuf::from(pwd);
        }
        assert!(place.ends_with("run") && place.exists(), "{}", place.display());
        stand.take_down().await;
        assert!(!place.parent().unwrap().exists(), "{} is left", place.display());
    }

    #[tokio::test]
    async fn one_that_runs_on_is_ended_and_nothing_of_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let program = fake(dir.path(), "echo $$ >pid; pwd; exec sleep 600");
        let mut stand = stand(&program).await.unwrap();
        stand.file("config.json", b"{}").await.unwrap();
        stand.start().await.unwrap();
        stand.next().await.unwrap();
        let end = stand.ended().await.unwrap();
        assert_eq!(end.status, 128 + 9);
        // And one that still runs when the operator's program goes away.
        stand.start().await.unwrap();
        stand.take_down().await;
    }

    #[tokio::test]
    async fn a_program_that_cannot_run_or_arrives_damaged_is_said_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd");
        std::fs::write(&path, "\x7fELF of another machine").unwrap();
        let path: HostPath = path.to_str().unwrap().parse().unwrap();
        super::super::testbed::set_mode(&path, 0o755);
        let error = stand(&TrialProgram::Installed(path)).await.err().unwrap();
        assert!(error.to_string().contains("this etcd does not run here"), "{error}");
        let sent = TrialProgram::Sent {
            sha256: "00".repeat(32),
            open: Arc::new(|| Ok(Box::new(&b"#!/bin/sh\nexit 0\n"[..]))),
            len: 17,
            unpacker: None,
        };
        let error = stand(&sent).await.err().unwrap();
        assert!(error.to_string().contains("is not what was sent"), "{error}");
    }
}
