//! The operator's side of every SSH connection, and what connections of one run share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use super::config_file;
use super::jumps::JumpPool;
use super::keys::KeyRing;
use super::settings::{Settings, Subject};
use super::ssh_g;
use crate::host::TOOLS;
use crate::inventory::NodeName;

/// A configuration's answer about one host, asked for once: host, and login and port where typed.
type Question = (String, Option<String>, Option<u16>);

/// Hears of a wait: the host, and what it is for.
pub type Told = Arc<dyn Fn(&NodeName, &str) + Send + Sync>;

/// Where keys, agent and configuration are, and how patient to be. One per run: connections share bastions, opened key
/// files and answers of `ssh -G` through it.
pub struct SshEnvironment {
    /// The operator's home directory: `~/.ssh/config`, `~/.ssh/known_hosts` and the default keys are below it.
    pub home: PathBuf,
    /// Where the machine's `ssh_config` and `ssh_known_hosts` are: `/etc/ssh`.
    pub system: PathBuf,
    /// The SSH agent's socket (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// Longest wait for a TCP connection with key exchange, and for each answer during the login.
    pub connect_timeout: Duration,
    /// How long a connection may be silent before the host is asked for a sign of life. After four such times without
    /// an answer the connection counts as lost.
    pub keepalive: Duration,
    /// How long all sessions that a host allows may stay occupied before a command that waits for one is given up.
    pub session_patience: Duration,
    /// Where programs are looked for on hosts ([`TOOLS`]).
    pub tools: String,
    /// Told of a wait that takes its time, with the host and what it is for.
    pub told: Told,
    /// Ends waits when it is cancelled.
    pub stop: CancellationToken,
    pub(super) jumps: JumpPool,
    pub(super) keys: KeyRing,
    answers: Mutex<BTreeMap<Question, Arc<OnceCell<Settings>>>>,
}

impl SshEnvironment {
    /// With the usual patience: 10 s to connect, signs of life every 5 s, so that a host which loses power in the middle
    /// of a run is missed after 20 s.
    pub fn new(home: impl Into<PathBuf>, agent: Option<PathBuf>) -> Self {
        Self {
            home: home.into(),
            system: SYSTEM.into(),
            agent,
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(5),
            session_patience: Duration::from_secs(60),
            tools: TOOLS.to_owned(),
            told: Arc::new(|_, _| {}),
            stop: CancellationToken::new(),
            jumps: JumpPool::default(),
            keys: KeyRing::default(),
            answers: Mutex::default(),
        }
    }

    /// How long a login's start-up files may take until the first command runs.
    pub(super) fn login_patience(&self) -> Duration {
        self.connect_timeout * 3
    }

    /// How long nothing may go out or come in before a connection counts as lost.
    pub(super) fn patience(&self) -> Duration {
        self.keepalive * 4
    }

    /// What the operator's configuration and the machine's say of `host`, asked once per run. OpenSSH's `ssh -G` answers
    /// where there is an `ssh`.
    pub(super) async fn settings(&self, host: &str, user: Option<&str>, port: Option<u16>) -> Result<Settings, String> {
        let question = (host.to_owned(), user.map(str::to_owned), port);
        let cell = Arc::clone(self.answers.lock().await.entry(question).or_default());
        let asked = cell.get_or_try_init(|| async {
            let (home, system) = (self.home.clone(), self.system.clone());
            let (host, user) = (host.to_owned(), user.map(str::to_owned));
            tokio::task::spawn_blocking(move || look_up(&home, &system, &host, user.as_deref(), port))
                .await
                .map_err(|error| error.to_string())?
        });
        asked.await.cloned()
    }
}

/// Where OpenSSH keeps what is for all users of a machine.
pub(super) const SYSTEM: &str = "/etc/ssh";

/// What the configurations say of `host`. Blocks for as long as `ssh` takes.
///
/// # Errors
/// What cannot be read in them, as a sentence.
pub(super) fn look_up(
    home: &Path,
    system: &Path,
    host: &str,
    user: Option<&str>,
    port: Option<u16>,
) -> Result<Settings, String> {
    let files = [home.join(".ssh/config"), system.join("ssh_config")];
    if !files.iter().any(|file| config_file::says_something(file)) {
        return Ok(Settings::default());
    }
    let subject = Subject { host, home };
    match ssh_g::ask(subject, system, user, port)? {
        Some(settings) => Ok(settings),
        None => config_file::read(&files, subject),
    }
}
