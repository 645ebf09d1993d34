//! The transport: scripts and streams over one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::{OnceCell, mpsc};

use super::channel::{Ended, News, Writer};
use super::command;
use super::environment::SshEnvironment;
use super::exec::{self, AbortOnDrop, Exec};
use super::frame::{Frame, Nonce};
use super::judge::Judge;
use super::link::Link;
use super::password;
use super::relay::{self, Failed};
use super::route::Route;
use super::sessions::Sessions;
use super::sudo::{self, Elevation, Finding};
use super::tunnel::{self, Refused};
use crate::bounds::Limits;
use crate::host::{Duplex, HostError, Output, Running, Script, SecretSource, Stdin, Transport};
use crate::inventory::{NodeName, Sudo};

/// How long sudo may take over a password (PAM may have a directory behind it).
const SUDO_PATIENCE: Duration = Duration::from_secs(60);

/// One host over SSH.
///
/// A script whose connection is lost is not killed by sshd: it sees the end of its standard input and, once it writes, a
/// broken pipe. A script that must not outlive its connection has to watch its standard input. When only the network is
/// gone, the host's sshd notices no sooner than its own `ClientAliveInterval` or TCP keepalive says.
///
/// The login shell of the account may be any that can start `/bin/sh`, and may print what it likes.
pub struct SshTransport {
    node: NodeName,
    /// `user@host:port`.
    who: String,
    root_login: bool,
    sudo: Sudo,
    sessions: Arc<Sessions>,
    env: Arc<SshEnvironment>,
    secrets: Arc<dyn SecretSource>,
    /// Found out once, failures too: a wrong password must not be tried again and again.
    elevation: OnceCell<Result<Elevation, HostError>>,
    password: Arc<OnceLock<SecretString>>,
    /// A command has run here before: what is sent goes to our own scripts.
    proven: AtomicBool,
    /// The server has not forbidden forwarding.
    forwards: AtomicBool,
    round_trips: AtomicU64,
}

impl SshTransport {
    pub(super) fn new(
        node: &NodeName,
        route: Route,
        sudo: Sudo,
        link: Link,
        env: Arc<SshEnvironment>,
        secrets: Arc<dyn SecretSource>,
    ) -> Self {
        Self {
            node: node.clone(),
            who: route.target.label(),
            root_login: route.target.user == "root",
            sudo,
            sessions: Sessions::new(node, route, link, Arc::clone(&env), Arc::clone(&secrets)),
            env,
            secrets,
            elevation: OnceCell::new(),
            password: Arc::default(),
            proven: AtomicBool::new(false),
            forwards: AtomicBool::new(true),
            round_trips: AtomicU64::new(0),
        }
    }

    /// `user@host:port` of the login.
    pub fn who(&self) -> &str {
        &self.who
    }

    fn judge(&self, operation: &str) -> Judge {
        Judge {
            node: self.node.clone(),
            who: self.who.clone(),
            operation: operation.to_owned(),
            link: self.sessions.link(),
            password: Arc::clone(&self.password),
        }
    }

    /// Starts `script` as root, or as whom the transport was told.
    async fn start(&self, script: &Script) -> Result<Exec, HostError> {
        let elevation = self.elevation.get_or_init(|| self.find_elevation()).await.clone()?;
        self.start_as(&elevation, script).await
    }

    /// Starts `script`. Nothing is sent to a login that has not shown that it runs what it is given.
    async fn start_as(&self, elevation: &Elevation, script: &Script) -> Result<Exec, HostError> {
        let judge = self.judge(&command::operation(script));
        let nonce = Nonce::new();
        let unsendable = |why: String| judge.script(&why, "shorten or fix the value in the inventory");
        let input = command::input(&nonce, script).map_err(unsendable)?;
        let line = command::line(&nonce, &self.env.tools, elevation.sudo(), script.limits.there);
        let mut exec = self.exec(line, &nonce, judge, script.limits).await?;
        if let Elevation::Password(password) = elevation {
            let told = tokio::time::timeout(SUDO_PATIENCE, password::tell(&mut exec, password)).await;
            told.map_err(|_| {
                exec.judge
                    .wrong_password(&format!("no answer within {} s", SUDO_PATIENCE.as_secs()))
            })??;
        } else if !self.proven.load(Ordering::Relaxed) {
            let limit = self.env.login_patience();
            let begun = tokio::time::timeout(limit, begin(&mut exec)).await;
            begun.map_err(|_| exec.judge.mute(&exec.ended, limit))??;
        }
        self.proven.store(true, Ordering::Relaxed);
        // Sent by whoever reads: a connection that is lost meanwhile ends the reading, and not the writing.
        exec.input = input;
        Ok(exec)
    }

    /// Starts `line` in the login shell.
    async fn exec(&self, line: String, nonce: &Nonce, judge: Judge, limits: Limits) -> Result<Exec, HostError> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let (channel, seat) = self.sessions.open(&judge).await?;
        let judge = Judge {
            link: Arc::clone(&seat.link),
            ..judge
        };
        let (read, write) = channel.split();
        write.exec(true, line).await.map_err(|error| judge.failed(&error))?;
        Ok(Exec {
            read,
            write: Writer::new(write),
            first: Vec::new(),
            input: Bytes::new(),
            ended: Ended::framed(Frame::new(nonce)),
            judge,
            limits,
            _seat: seat,
        })
    }

    async fn find_elevation(&self) -> Result<Elevation, HostError> {
        let mode = match self.sudo {
            Sudo::Never => return Ok(Elevation::None),
            Sudo::Auto if self.root_login => return Ok(Elevation::None),
            Sudo::Auto => "auto",
            Sudo::Always => "always",
        };
        match self.find(&Elevation::None, &sudo::script(sudo::PROBE, &[mode])).await? {
            Finding::Root => Ok(Elevation::None),
            Finding::Free => Ok(Elevation::Free),
            Finding::Asks => self.try_password().await,
            other => Err(sudo::refusal(&self.node, &self.who, &other)),
        }
    }

    async fn try_password(&self) -> Result<Elevation, HostError> {
        let (secrets, who) = (Arc::clone(&self.secrets), self.who.clone());
        let asked = tokio::task::spawn_blocking(move || secrets.sudo_password(&who)).await;
        let Some(password) = asked.ok().flatten() else {
            return Err(sudo::refusal(&self.node, &self.who, &Finding::Asks));
        };
        if let Some(why) = sudo::unfit(&password) {
            return Err(HostError::Sudo {
                node: self.node.clone(),
                why,
                hint: "pass the right one (--sudo-password-fd takes the first line of what it reads), or give the account a shorter \
                       one"
                    .to_owned(),
            });
        }
        let elevation = Elevation::Password(self.password.get_or_init(|| password).clone());
        match self.find(&elevation, &sudo::script(sudo::TRIAL, &[])).await? {
            Finding::Free => Ok(elevation),
            other => Err(sudo::refusal(&self.node, &self.who, &other)),
        }
    }

    /// A stream where the server forbids to forward one.
    async fn relay(&self, address: &str, port: u16) -> Result<Box<dyn Duplex>, HostError> {
        let script = relay::script(address, port);
        let running = attended(self.start_as(&Elevation::None, &script).await?);
        let limit = self.env.connect_timeout;
        let opened = tokio::time::timeout(limit, relay::stream(running)).await;
        let silent = |_| self.no_stream(address, port, format!("no answer within {} s", limit.as_secs_f32()));
        match opened.map_err(silent)? {
            Ok(stream) => Ok(Box::new(stream)),
            Err(Failed::NoAnswer) => Err(self.no_stream(address, port, tunnel::NO_ANSWER.to_owned())),
            Err(Failed::Otherwise(why)) => Err(self.no_stream(address, port, why)),
            Err(Failed::NoBash) => Err(self.judge("opening a stream to etcd").script(
                "the host's sshd forbids forwarding (AllowTcpForwarding, PermitOpen), and without it a stream needs bash, which is not \
                 installed",
                &format!("allow it for this login (`AllowTcpForwarding local`, `PermitOpen {address}:{port}`), or install bash"),
            )),
        }
    }

    fn no_stream(&self, address: &str, port: u16, why: String) -> HostError {
        HostError::Connect {
            node: self.node.clone(),
            target: format!("{address}:{port} from the host"),
            why,
            hint: "check whether the service runs there and listens on that address".to_owned(),
        }
    }

    async fn find(&self, elevation: &Elevation, script: &Script) -> Result<Finding, HostError> {
        let exec = self.start_as(elevation, script).await?;
        let judge = exec.judge.clone();
        let work = exec::converse(exec, Box::pin(tokio::io::empty()));
        let outcome = tokio::time::timeout(SUDO_PATIENCE, work).await;
        let slow = |_| judge.lost(format!("no answer within {} s", SUDO_PATIENCE.as_secs()));
        Ok(sudo::finding(&judge.output(outcome.map_err(slow)?)?))
    }
}

/// Leaves a command running.
fn attended(exec: Exec) -> Running {
    let judge = exec.judge.clone();
    let (out, stdout) = mpsc::channel(64);
    let (stdin, input) = mpsc::channel(4);
    let done = tokio::spawn(async move { judge.output(exec::attend(exec, input, out).await) });
    Running { stdout, stdin, done }
}

/// Waits until our own loader says that it runs.
async fn begin(exec: &mut Exec) -> Result<(), HostError> {
    while !exec.ended.begun() {
        match exec.ended.take(exec.read.wait().await) {
            News::Data(data) => exec.first.extend_from_slice(&data),
            News::Eof | News::Nothing => {}
            News::End => return Err(exec.judge.without_frame(&exec.ended)),
        }
    }
    Ok(())
}

#[async_trait]
impl Transport for SshTransport {
    async fn run(&self, script: &Script, stdin: Stdin) -> Result<Output, HostError> {
        let exec = self.start(script).await?;
        let judge = exec.judge.clone();
        // A task of its own: a caller that does not poll must not leave the channel unread.
        let mut work = AbortOnDrop(tokio::spawn(exec::converse(exec, stdin)));
        let outcome = (&mut work.0).await.map_err(|error| judge.lost(error.to_string()))?;
        judge.output(outcome)
    }

    async fn spawn(&self, script: &Script) -> Result<Running, HostError> {
        Ok(attended(self.start(script).await?))
    }

    async fn tunnel(&self, address: &str, port: u16) -> Result<Box<dyn Duplex>, HostError> {
        if !self.forwards.load(Ordering::Relaxed) {
            return self.relay(address, port).await;
        }
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let link = self.sessions.link();
        match tunnel::open(&link, address, port, self.env.connect_timeout).await {
            Ok(stream) => Ok(stream),
            Err(Refused::Forbidden) => {
                self.forwards.store(false, Ordering::Relaxed);
                self.relay(address, port).await
            }
            Err(Refused::Otherwise(why)) if link.handle.is_closed() => Err(self.judge("opening a tunnel").lost(why)),
            Err(Refused::Otherwise(why)) => Err(self.no_stream(address, port, why)),
        }
    }

    fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }
}
