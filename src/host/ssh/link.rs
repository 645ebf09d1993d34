//! One SSH connection: dialling, the handshake with its retries, the login.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::AlgorithmKind;
use russh::client::{self, Handle};
use tokio::net::TcpStream;

use super::auth;
use super::environment::SshEnvironment;
use super::handler::{self, Ending, HandshakeError, Shown, Watch};
use super::route::Hop;
use super::stall::StallGuard;
use super::trouble::Trouble;
use super::tunnel;
use crate::host::{Duplex, SecretSource};

/// Attempts at a handshake that is cut off. sshd drops connections at random while many are logging in (`MaxStartups`).
const ATTEMPTS: u32 = 5;

/// A connection with a finished login. Closed when the last user drops it.
pub(super) struct Link {
    pub(super) handle: Handle<Watch>,
    /// Why it ended, once it has.
    ending: Ending,
}

impl Link {
    /// Connects to `hop`, directly or through `via`, and logs in.
    pub(super) async fn open(
        hop: &Hop,
        via: Option<&Arc<Link>>,
        env: &SshEnvironment,
        secrets: &Arc<dyn SecretSource>,
    ) -> Result<Link, Trouble> {
        let (mut handle, ending) = shake_hands(hop, via, env).await?;
        let login = auth::login(&mut handle, hop, env, secrets).await;
        match (login, ending.get()) {
            (Ok(()), _) => Ok(Link { handle, ending }),
            // "Too many authentication failures" and its like say more than a list of keys.
            (
                Err(Trouble::Login {
                    target,
                    user,
                    tried,
                    hint,
                }),
                Some(why),
            ) => {
                let tried = format!("{tried}; then {why}");
                Err(Trouble::Login {
                    target,
                    user,
                    tried,
                    hint,
                })
            }
            (Err(trouble), _) => Err(trouble),
        }
    }

    /// Why the connection is of no more use.
    pub(super) fn why_lost(&self) -> String {
        let told = self.ending.get().cloned();
        told.unwrap_or_else(|| "the connection was closed".to_owned())
    }
}

/// The key that `hop` shows now; no login.
pub(super) async fn look_at_key(hop: &Hop, via: Option<&Arc<Link>>, env: &SshEnvironment) -> Result<Shown, Trouble> {
    for attempt in 1.. {
        match try_once(hop, via, env, true).await? {
            Err(Failed::Key(shown)) => return Ok(*shown),
            Err(Failed::Cut(_)) if attempt < ATTEMPTS => pause(attempt).await,
            Err(Failed::Cut(why)) => return Err(cannot_connect(hop, why)),
            // The handler accepts nothing in a scan.
            Ok(_) => break,
        }
    }
    Err(cannot_connect(hop, "it presented no host key".to_owned()))
}

async fn shake_hands(
    hop: &Hop,
    via: Option<&Arc<Link>>,
    env: &SshEnvironment,
) -> Result<(Handle<Watch>, Ending), Trouble> {
    let mut attempt = 1;
    loop {
        match try_once(hop, via, env, false).await? {
            Ok(connected) => return Ok(connected),
            Err(Failed::Key(shown)) => return Err(handler::untrusted(hop, &shown)),
            Err(Failed::Cut(_)) if attempt < ATTEMPTS => pause(attempt).await,
            Err(Failed::Cut(why)) => return Err(cannot_connect(hop, why)),
        }
        attempt += 1;
    }
}

enum Failed {
    /// The server's key was not accepted.
    Key(Box<Shown>),
    /// Cut off before the login: worth another attempt.
    Cut(String),
}

type Attempt = Result<(Handle<Watch>, Ending), Failed>;

async fn try_once(hop: &Hop, via: Option<&Arc<Link>>, env: &SshEnvironment, scan: bool) -> Result<Attempt, Trouble> {
    let (watch, ending) = Watch::new(hop, scan)?;
    let config = Arc::new(watch.config(env));
    let attempt = async {
        let stream = dial(hop, via, env.connect_timeout).await?;
        let stream = StallGuard::new(stream, env.patience());
        match client::connect_stream(config, stream, watch).await {
            Ok(handle) => Ok(Ok((handle, ending))),
            Err(HandshakeError::Key(shown)) => Ok(Err(Failed::Key(shown))),
            Err(HandshakeError::Ssh(error)) if was_cut(&error) => {
                Ok(Err(Failed::Cut("it closes the connection immediately".to_owned())))
            }
            Err(HandshakeError::Ssh(error)) => Err(no_handshake(hop, &error)),
        }
    };
    let limit = env.connect_timeout;
    let silent = |_| cannot_connect(hop, format!("no answer within {} s", limit.as_secs_f32()));
    tokio::time::timeout(limit, attempt).await.map_err(silent)?
}

async fn dial(hop: &Hop, via: Option<&Arc<Link>>, limit: Duration) -> Result<Box<dyn Duplex>, Trouble> {
    if let Some(link) = via {
        let opened = tunnel::open(link, &hop.host, hop.port, limit).await;
        return opened.map_err(|why| cannot_connect(hop, format!("through the jump host: {why}")));
    }
    let stream = TcpStream::connect((hop.host.as_str(), hop.port)).await;
    let stream = stream.map_err(|error| cannot_connect(hop, error.to_string()))?;
    // Only a matter of speed: a system that refuses it still works.
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

fn was_cut(error: &russh::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        russh::Error::HUP | russh::Error::Disconnect => true,
        russh::Error::IO(error) => {
            matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
            )
        }
        _ => false,
    }
}

/// 0.1 s, 0.2 s, 0.4 s, ... each up to twice as long, so that connections that were cut together do not return together.
async fn pause(attempt: u32) {
    let base = 100 << attempt.saturating_sub(1);
    // The standard library's hasher is seeded by the system: chance enough, without another dependency.
    let chance = RandomState::new().build_hasher().finish();
    tokio::time::sleep(Duration::from_millis(base + chance % base)).await;
}

/// Something answers there: whether the host is up is not the question.
fn no_handshake(hop: &Hop, error: &russh::Error) -> Trouble {
    let (why, hint) = match error {
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let (what, keyword) = match kind {
                AlgorithmKind::Kex => ("key exchange", "KexAlgorithms"),
                AlgorithmKind::Key => ("kind of host key", "HostKeyAlgorithms"),
                AlgorithmKind::Cipher => ("cipher", "Ciphers"),
                AlgorithmKind::Mac => ("MAC", "MACs"),
                AlgorithmKind::Compression => ("compression", "Compression"),
            };
            (
                format!("it offers no {what} that quorate supports, only {}", theirs.join(", ")),
                format!(
                    "allow one of these with `{keyword}` in its sshd_config: {}",
                    ours.join(", ")
                ),
            )
        }
        other => (
            format!("no SSH handshake: {other}"),
            format!(
                "check whether sshd listens on that port: `ssh -v {}@{} -p {}`",
                hop.user, hop.host, hop.port
            ),
        ),
    };
    Trouble::Connect {
        target: hop.place(),
        why,
        hint,
    }
}

fn cannot_connect(hop: &Hop, why: String) -> Trouble {
    Trouble::Connect {
        target: hop.place(),
        why,
        hint: format!(
            "is it up, and does sshd listen there? Try `ssh {}@{} -p {}`",
            hop.user, hop.host, hop.port
        ),
    }
}
