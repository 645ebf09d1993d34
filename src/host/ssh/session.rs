//! The transport: scripts and streams over one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::{OnceCell, Semaphore, mpsc};

use super::channel::{Ended, News, Writer};
use super::command;
use super::exec::{self, AbortOnDrop, Exec, Judge, Seat};
use super::link::Link;
use super::route::Hop;
use super::sudo::{self, Elevation, Finding};
use super::tunnel;
use crate::host::{Duplex, HostError, Output, Running, Script, SecretSource, Stdin, Transport};
use crate::inventory::{NodeName, Sudo};

/// Commands at a time on one connection; OpenSSH's default `MaxSessions` is 10.
const COMMANDS: usize = 8;

/// How often, and after what pause, a session is asked for again that was refused although none of ours runs any more:
/// sshd counts a session off a moment after it told us of its end.
const REFUSALS: u32 = 100;
const COUNTED_OFF: Duration = Duration::from_millis(20);

/// How long sudo may take over a password (PAM may have a directory behind it).
const SUDO_PATIENCE: Duration = Duration::from_secs(60);

/// One host over SSH.
///
/// A script whose connection is lost is not killed by sshd: it sees the end of its standard input and, once it writes, a
/// broken pipe. A script that must not outlive its connection has to watch its standard input. When only the network is
/// gone, the host's sshd notices no sooner than its own `ClientAliveInterval` or TCP keepalive says.
///
/// The login shell of the account must read POSIX quoting (sh, bash, dash, ksh, zsh).
pub struct SshTransport {
    node: NodeName,
    /// `user@host:port`.
    who: String,
    root_login: bool,
    sudo: Sudo,
    link: Arc<Link>,
    secrets: Arc<dyn SecretSource>,
    /// Found out once, failures too: a wrong password must not be tried again and again.
    elevation: OnceCell<Result<Elevation, HostError>>,
    seats: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    /// The server has opened a session on this connection before.
    served: AtomicBool,
    round_trips: AtomicU64,
    tunnel_timeout: Duration,
}

impl SshTransport {
    pub(super) fn new(
        node: &NodeName,
        hop: &Hop,
        sudo: Sudo,
        link: Link,
        secrets: Arc<dyn SecretSource>,
        tunnel_timeout: Duration,
    ) -> Self {
        Self {
            node: node.clone(),
            who: hop.label(),
            root_login: hop.user == "root",
            sudo,
            link: Arc::new(link),
            secrets,
            elevation: OnceCell::new(),
            seats: Arc::new(Semaphore::new(COMMANDS)),
            running: Arc::default(),
            served: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
            tunnel_timeout,
        }
    }

    /// `user@host:port` of the login.
    pub fn who(&self) -> &str {
        &self.who
    }

    fn judge(&self, operation: &str) -> Judge {
        Judge {
            node: self.node.clone(),
            operation: operation.to_owned(),
            link: Arc::clone(&self.link),
        }
    }

    /// Starts `script` as root, or as whom the transport was told.
    async fn start(&self, script: &Script, judge: &Judge) -> Result<Exec, HostError> {
        let elevation = self.elevation.get_or_init(|| self.find_elevation()).await.clone()?;
        let line = elevation.command(script).map_err(|why| HostError::Script {
            node: self.node.clone(),
            operation: judge.operation.clone(),
            why,
            hint: "shorten or correct the value in the inventory".to_owned(),
        })?;
        let mut exec = self.exec(line, judge).await?;
        if let Elevation::Password(password) = &elevation {
            let opening = self.open_gate(&mut exec, password, judge);
            let opened = tokio::time::timeout(SUDO_PATIENCE, opening).await;
            opened.map_err(|_| sudo::wrong_password(&self.node, &self.who, "no answer"))??;
        }
        Ok(exec)
    }

    /// Starts `line` in the login shell.
    async fn exec(&self, line: String, judge: &Judge) -> Result<Exec, HostError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let mut refusals = 0;
        loop {
            let permit = Arc::clone(&self.seats).acquire_owned().await;
            let permit = permit.map_err(|_| judge.failed(&russh::Error::Disconnect))?;
            let channel = match self.link.handle.channel_open_session().await {
                Ok(channel) => channel,
                // A server with a low MaxSessions: one seat fewer from now on, and wait for the others.
                Err(russh::Error::ChannelOpenFailure(_)) if self.running.load(Ordering::Relaxed) > 0 => {
                    permit.forget();
                    continue;
                }
                // The others have ended in the meantime, but sshd has not counted them off yet: this seat is kept.
                Err(russh::Error::ChannelOpenFailure(_))
                    if refusals < REFUSALS && self.served.load(Ordering::Relaxed) =>
                {
                    refusals += 1;
                    tokio::time::sleep(COUNTED_OFF).await;
                    continue;
                }
                Err(error) => return Err(judge.failed(&error)),
            };
            self.served.store(true, Ordering::Relaxed);
            let seat = Seat::take(permit, &self.running);
            let (read, write) = channel.split();
            write.exec(true, line).await.map_err(|error| judge.failed(&error))?;
            let write = Writer::new(write);
            return Ok(Exec {
                read,
                write,
                first: Vec::new(),
                _seat: seat,
                _link: Arc::clone(&self.link),
            });
        }
    }

    async fn find_elevation(&self) -> Result<Elevation, HostError> {
        let mode = match self.sudo {
            Sudo::Never => return Ok(Elevation::None),
            Sudo::Auto if self.root_login => return Ok(Elevation::None),
            Sudo::Auto => "auto",
            Sudo::Always => "always",
        };
        let judge = self.judge("looking how to become root");
        let probe = Script {
            text: sudo::PROBE,
            args: vec![mode.to_owned()],
        };
        let line = command::line(&[], &probe).map_err(|why| judge.lost(why))?;
        let output = self.exchange(line, Bytes::new(), &judge).await?;
        match sudo::finding(&output) {
            Finding::Root => Ok(Elevation::None),
            Finding::Free => Ok(Elevation::Free),
            Finding::Asks => self.try_password(&judge).await,
            other => Err(sudo::refusal(&self.node, &self.who, &other)),
        }
    }

    async fn try_password(&self, judge: &Judge) -> Result<Elevation, HostError> {
        let (secrets, who) = (Arc::clone(&self.secrets), self.who.clone());
        let asked = tokio::task::spawn_blocking(move || secrets.sudo_password(&who)).await;
        let Some(password) = asked.ok().flatten() else {
            return Err(sudo::refusal(&self.node, &self.who, &Finding::Asks));
        };
        let output = self
            .exchange(sudo::TRIAL.to_owned(), sudo::password_line(&password), judge)
            .await?;
        match sudo::was_right(&output) {
            true => Ok(Elevation::Password(password)),
            false => Err(sudo::wrong_password(&self.node, &self.who, &output.stderr)),
        }
    }

    /// Runs `line` as the login user, under a time limit.
    async fn exchange(&self, line: String, input: Bytes, judge: &Judge) -> Result<Output, HostError> {
        let work = async {
            let exec = self.exec(line, judge).await?;
            judge.output(exec::converse(exec, Box::pin(std::io::Cursor::new(input))).await)
        };
        let finished = tokio::time::timeout(SUDO_PATIENCE, work).await;
        finished.map_err(|_| judge.lost(format!("no answer within {} s", SUDO_PATIENCE.as_secs())))?
    }

    /// Gives sudo the password and waits for the gate behind it.
    async fn open_gate(&self, exec: &mut Exec, password: &SecretString, judge: &Judge) -> Result<(), HostError> {
        let lost = |error: russh::Error| judge.failed(&error);
        exec.write.send(sudo::password_line(password)).await.map_err(lost)?;
        let mut ended = Ended::default();
        loop {
            let found = exec
                .first
                .windows(sudo::READY.len())
                .position(|window| window == sudo::READY);
            if let Some(at) = found {
                exec.first.drain(..at + sudo::READY.len());
                return exec.write.send(Bytes::from_static(sudo::OPEN)).await.map_err(lost);
            }
            match ended.take(exec.read.wait().await) {
                News::Data(data) => exec.first.extend_from_slice(&data),
                News::Nothing => {}
                News::End if !ended.closed => return Err(lost(russh::Error::Disconnect)),
                News::Eof | News::End => {
                    let said = String::from_utf8_lossy(&ended.stderr);
                    return Err(sudo::wrong_password(&self.node, &self.who, &said));
                }
            }
        }
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, script: &Script, stdin: Stdin) -> Result<Output, HostError> {
        let judge = self.judge(&command::operation(script));
        let exec = self.start(script, &judge).await?;
        // A task of its own: a caller that does not poll must not leave the channel unread.
        let mut work = AbortOnDrop(tokio::spawn(exec::converse(exec, stdin)));
        let outcome = (&mut work.0).await.map_err(|error| judge.lost(error.to_string()))?;
        judge.output(outcome)
    }

    async fn spawn(&self, script: &Script) -> Result<Running, HostError> {
        let judge = self.judge(&command::operation(script));
        let exec = self.start(script, &judge).await?;
        let (out, stdout) = mpsc::channel(64);
        let (stdin, input) = mpsc::channel(4);
        let done = tokio::spawn(async move { judge.output(exec::attend(exec, input, out).await) });
        Ok(Running { stdout, stdin, done })
    }

    async fn tunnel(&self, address: &str, port: u16) -> Result<Box<dyn Duplex>, HostError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let opened = tunnel::open(&self.link, address, port, self.tunnel_timeout).await;
        opened.map_err(|why| match self.link.handle.is_closed() {
            true => self.judge("opening a tunnel").lost(why),
            false => HostError::Connect {
                node: self.node.clone(),
                target: format!("{address}:{port} from the host"),
                why,
                hint: "look whether the service runs there and listens on that address".to_owned(),
            },
        })
    }

    fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }
}
