//! The narrow waist between quorate and a machine.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::bounds::{Exceeded, Limits};
use crate::inventory::NodeName;

/// Where a script finds its programs, whatever the login has set: the usual places of a Linux system, NixOS included.
pub const TOOLS: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/wrappers/bin:/run/current-system/sw/bin";

/// Standard error is for the operator's eyes: its end, of so many bytes, is kept.
pub(super) const MOST_STDERR: usize = 1 << 20;

/// A POSIX shell script and its positional parameters.
///
/// The script is a constant of this program; every value travels in `args` (quoted by the transport) or on standard
/// input, never spliced into the text. Neither may hold a secret: argv is readable by everyone on the host.
///
/// It runs in an environment of `PATH` ([`TOOLS`]) and `LC_ALL=C` and nothing else: what a login or a service has set
/// changes nothing.
#[derive(Debug, Clone)]
pub struct Script {
    /// The script's text, run by `sh -c`.
    pub text: &'static str,
    /// `$1`, `$2`, ...
    pub args: Vec<String>,
    /// What it may say and how long it may take; also how long it goes on when nobody waits for it any more.
    pub limits: Limits,
}

/// What a script reads on its standard input.
pub type Stdin = Pin<Box<dyn AsyncRead + Send>>;

/// Everything a finished script left behind.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit status, 128 and more for a signal; `None` when the script or the connection was cut off.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, for the operator's eyes: the last MiB of it.
    pub stderr: String,
    /// The limit that it passed; it was given up then.
    pub over: Option<Exceeded>,
}

impl Output {
    /// True for exit status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
}

/// A script that is still running: its output as it comes, its input as it is sent.
pub struct Running {
    /// Chunks of standard output; ends when the script does or the connection is lost.
    pub stdout: mpsc::Receiver<Bytes>,
    /// Chunks for standard input; dropping it sends end-of-file.
    pub stdin: mpsc::Sender<Bytes>,
    /// Resolves when the script has ended (`Output.stdout` stays empty).
    pub done: tokio::task::JoinHandle<Result<Output, HostError>>,
}

impl Running {
    /// How long a script may take to its end that has nothing more to say, or was told to go.
    const FAREWELL: Duration = Duration::from_secs(60);

    /// Closes its input and waits for its end; `None` where that does not come within a minute. The host's own deadline is what
    /// ends it then.
    pub async fn end(self) -> Option<Result<Output, HostError>> {
        let Self { stdin, stdout, done } = self;
        drop((stdin, stdout));
        tokio::time::timeout(Self::FAREWELL, done).await.ok()?.ok()
    }
}

/// A byte stream to a TCP port, as dialled from the host.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// How scripts and streams reach one machine. One connection, many channels.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Runs `script` (as root unless the transport was told never to) until it ends, `stdin` streamed to it.
    ///
    /// # Errors
    /// Only for trouble in reaching the host; a script that fails is an [`Output`] with its status.
    async fn run(&self, script: &Script, stdin: Stdin) -> Result<Output, HostError>;

    /// Starts `script` and leaves it running.
    async fn spawn(&self, script: &Script) -> Result<Running, HostError>;

    /// Opens a stream to `address:port` from the host's point of view.
    async fn tunnel(&self, address: &str, port: u16) -> Result<Box<dyn Duplex>, HostError>;

    /// How many request/answer exchanges (runs, spawns, tunnels) this connection has carried, for `-v` and tests.
    fn round_trips(&self) -> u64;
}

/// What went wrong between the operator's machine and a host. One variant per operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostError {
    /// The TCP connection or the SSH handshake failed or took too long.
    #[error("{node}: cannot connect to {target}: {why}")]
    #[allow(missing_docs)]
    Connect {
        node: NodeName,
        target: String,
        why: String,
        hint: String,
    },
    /// The host's key is not pinned, or is not the one that is pinned.
    #[error("{node}: {why}")]
    #[allow(missing_docs)]
    HostKey { node: NodeName, why: String, hint: String },
    /// No offered key or certificate was accepted.
    #[error("{node}: {user}@{target} refused the login (tried: {tried})")]
    #[allow(missing_docs)]
    Login {
        node: NodeName,
        target: String,
        user: String,
        tried: String,
        hint: String,
    },
    /// Root could not be had.
    #[error("{node}: {why}")]
    #[allow(missing_docs)]
    Sudo { node: NodeName, why: String, hint: String },
    /// The connection was lost, or a step took longer than its limit.
    #[error("{node}: {operation}: {why}")]
    #[allow(missing_docs)]
    Lost {
        node: NodeName,
        operation: String,
        why: String,
    },
    /// A script of quorate's own failed.
    #[error("{node}: {operation} failed: {why}")]
    #[allow(missing_docs)]
    Script {
        node: NodeName,
        operation: String,
        why: String,
        hint: String,
    },
}

impl HostError {
    /// The host it happened on.
    pub fn node(&self) -> &NodeName {
        match self {
            HostError::Connect { node, .. }
            | HostError::HostKey { node, .. }
            | HostError::Login { node, .. }
            | HostError::Sudo { node, .. }
            | HostError::Lost { node, .. }
            | HostError::Script { node, .. } => node,
        }
    }

    /// What happened, without the host's name in front of it.
    pub fn what(&self) -> String {
        let text = self.to_string();
        let what = text.strip_prefix(&format!("{}: ", self.node()));
        what.map(str::to_owned).unwrap_or(text)
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            HostError::Connect { hint, .. }
            | HostError::HostKey { hint, .. }
            | HostError::Login { hint, .. }
            | HostError::Sudo { hint, .. }
            | HostError::Script { hint, .. } => Some(hint),
            HostError::Lost { .. } => None,
        }
    }
}
