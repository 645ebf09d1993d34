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
use super::proxy::{self, Said};
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
            Err(Failed::Cut(why)) => return Err(cut_off(hop, why)),
            // The handler accepts nothing in a scan.
            Ok(_) => break,
        }
    }
    Err(cut_off(hop, "it presented no host key".to_owned()))
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
            Err(Failed::Cut(why)) => return Err(cut_off(hop, why)),
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
    let said = Said::default();
    let attempt = async {
        let stream = dial(hop, via, &said, env.connect_timeout).await?;
        let stream = StallGuard::new(stream, env.patience());
        match client::connect_stream(config, stream, watch).await {
            Ok(handle) => Ok(Ok((handle, ending))),
            Err(HandshakeError::Key(shown)) => Ok(Err(Failed::Key(shown))),
            Err(HandshakeError::Ssh(error)) if was_cut(&error) => {
                let why = "it closes the connection immediately".to_owned();
                Ok(Err(Failed::Cut(with_said(why, &said).await)))
            }
            Err(HandshakeError::Ssh(error)) => Err(no_handshake(hop, &error)),
        }
    };
    let limit = env.connect_timeout;
    match tokio::time::timeout(limit, attempt).await {
        Ok(ended) => ended,
        Err(_) => {
            let why = format!("no answer within {} s", limit.as_secs_f32());
            Err(cannot_connect(hop, with_said(why, &said).await))
        }
    }
}

/// What went wrong, with what a `ProxyCommand` says of it.
async fn with_said(why: String, said: &Said) -> String {
    match said.last().await {
        Some(line) => format!("{why}; its ProxyCommand says: {line}"),
        None => why,
    }
}

async fn dial(hop: &Hop, via: Option<&Arc<Link>>, said: &Said, limit: Duration) -> Result<Box<dyn Duplex>, Trouble> {
    if let Some(command) = &hop.proxy {
        let proxy = proxy::start(command, said);
        return match proxy {
            Ok(proxy) => Ok(Box::new(proxy)),
            Err(error) => {
                let hint = "correct `ProxyCommand` in ~/.ssh/config".to_owned();
                Err(refused(hop, format!("its ProxyCommand does not start: {error}"), hint))
            }
        };
    }
    if let Some(link) = via {
        let opened = tunnel::open(link, &hop.host, hop.port, limit).await;
        return opened.map_err(|why| {
            let said = format!("through the jump host: {why}");
            match why {
                tunnel::Refused::Forbidden => {
                    let hint = "the jump host has to allow it: `AllowTcpForwarding yes` in its sshd_config, and no `PermitOpen` \
                                that leaves this host out";
                    refused(hop, said, hint.to_owned())
                }
                tunnel::Refused::Otherwise(_) => cannot_connect(hop, said),
            }
        });
    }
    let stream = TcpStream::connect((hop.host.as_str(), hop.port)).await;
    let stream = stream.map_err(|error| not_dialled(hop, &error))?;
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
            format!("check whether sshd listens on that port: `ssh -v {}`", hop.by_hand()),
        ),
    };
    Trouble::Connect {
        target: hop.place(),
        why,
        hint,
    }
}

/// Nothing answers there.
fn cannot_connect(hop: &Hop, why: String) -> Trouble {
    let hint = format!("is it up, and does sshd listen there? Try `ssh {}`", hop.by_hand());
    refused(hop, why, hint)
}

/// Something answers and hangs up before a login: whether the host is up is not the question.
fn cut_off(hop: &Hop, why: String) -> Trouble {
    if let Some(command) = &hop.proxy {
        let hint = format!(
            "check `ProxyCommand {command}` of ~/.ssh/config: `ssh {}`",
            hop.by_hand()
        );
        return refused(hop, why, hint);
    }
    let hint = format!(
        "its sshd log says why (`journalctl -u ssh`): too many logins at once (MaxStartups), or this address is refused; \
         try `ssh {}`",
        hop.by_hand()
    );
    refused(hop, why, hint)
}

/// What the system says when a connection does not come about, with what to do about that.
fn not_dialled(hop: &Hop, error: &io::Error) -> Trouble {
    // The standard library gives look-ups of names no kind of their own.
    let text = error.to_string();
    if text.contains("failed to lookup address") {
        let hint = format!(
            "correct the host's `address` or `ssh.host`, or this machine's name resolution: `getent hosts {}`",
            hop.host
        );
        return refused(hop, text, hint);
    }
    if error.kind() == io::ErrorKind::ConnectionRefused {
        let hint = format!(
            "the host is up, and no sshd listens on port {}: start it, or correct `ssh.port`",
            hop.port
        );
        return refused(hop, text, hint);
    }
    cannot_connect(hop, text)
}

fn refused(hop: &Hop, why: String, hint: String) -> Trouble {
    Trouble::Connect {
        target: hop.place(),
        why,
        hint,
    }
}
