//! What russh asks of a client: is this the right server, and what became of the connection.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use russh::Preferred;
use russh::client::{Config, DisconnectReason, Handler};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};

use super::algorithms;
use super::environment::SshEnvironment;
use super::known_hosts::{KnownHosts, Verdict};
use super::route::Hop;
use super::trouble::Trouble;

/// Why a connection ended, once it has.
pub(super) type Ending = Arc<OnceLock<String>>;

/// The host key a server showed, with the verdict on it.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) key: PublicKey,
    pub(super) verdict: Verdict,
}

/// The client's side of one connection.
pub(super) struct Watch {
    hop: Hop,
    known: KnownHosts,
    ending: Ending,
    /// Only look at the key: end the connection before a login.
    scan: bool,
}

/// How a handshake can fail.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The network or the protocol.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    /// The server's key; for a scan, always.
    #[error("host key")]
    Key(Box<Shown>),
}

impl Watch {
    /// # Errors
    /// A `known_hosts` file cannot be read.
    pub(super) fn new(hop: &Hop, scan: bool) -> Result<(Self, Ending), Trouble> {
        let unchecked = |why| Trouble::HostKey {
            why: format!("the key of {} cannot be checked: {why}", hop.place()),
            hint: "make the file readable".to_owned(),
        };
        let mut known = KnownHosts::read(&hop.known_hosts).map_err(unchecked)?;
        if let Some(file) = &hop.revoked {
            known.revoke(file).map_err(|why| Trouble::HostKey {
                why: format!("the key of {} cannot be checked: {why}", hop.place()),
                hint: "correct `RevokedHostKeys` in ~/.ssh/config".to_owned(),
            })?;
        }
        let ending = Ending::default();
        Ok((
            Self {
                hop: hop.clone(),
                known,
                ending: Arc::clone(&ending),
                scan,
            },
            ending,
        ))
    }

    /// The connection's settings: fast ciphers first, a window for long distances, and the key types that are known.
    pub(super) fn config(&self, env: &SshEnvironment) -> Config {
        Config {
            nodelay: true,
            // With less, a download over 50 ms of round trip takes three times as long.
            window_size: 16 << 20,
            channel_buffer_size: 1024,
            keepalive_interval: Some(env.keepalive),
            keepalive_max: 3,
            preferred: self.preferred(),
            ..Config::default()
        }
    }

    fn preferred(&self) -> Preferred {
        algorithms::preferred(
            &self.known.types(&self.hop.id),
            self.known.has_authority(&self.hop.id),
            &self.hop.algorithms,
        )
    }

    fn judge(&self, shown: &PublicKeyOrCertificate) -> Shown {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => Shown {
                key: key.clone(),
                verdict: self.known.judge(&self.hop.id, key),
            },
            PublicKeyOrCertificate::Certificate(certificate) => {
                let now = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                Shown {
                    key: PublicKey::from(certificate.public_key().clone()),
                    verdict: self.known.judge_certificate(&self.hop.id, certificate, now.as_secs()),
                }
            }
        }
    }
}

impl Handler for Watch {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        let shown = self.judge(shown);
        match shown.verdict == Verdict::Trusted && !self.scan {
            true => Ok(true),
            false => Err(HandshakeError::Key(Box::new(shown))),
        }
    }

    fn disconnected(
        &mut self,
        reason: DisconnectReason<HandshakeError>,
    ) -> impl Future<Output = Result<(), HandshakeError>> + Send {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("the host ended the connection: {}", info.message),
            DisconnectReason::Error(HandshakeError::Ssh(error)) => ending(error),
            DisconnectReason::Error(other) => other.to_string(),
        };
        // Only the first reason is the reason.
        let _ = self.ending.set(why);
        async move {
            match reason {
                DisconnectReason::ReceivedDisconnect(_) => Ok(()),
                DisconnectReason::Error(error) => Err(error),
            }
        }
    }
}

fn ending(error: &russh::Error) -> String {
    match error {
        russh::Error::KeepaliveTimeout => "the host no longer answers".to_owned(),
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            format!("the host no longer answers: {error}")
        }
        russh::Error::Disconnect | russh::Error::HUP => "the host closed the connection".to_owned(),
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the host closed the connection".to_owned()
        }
        other => format!("the connection broke: {other}"),
    }
}

/// The sentence and the advice for a key that was not accepted.
pub(super) fn untrusted(hop: &Hop, shown: &Shown) -> Trouble {
    let place = hop.place();
    let kind = shown.key.algorithm();
    let print = shown.key.fingerprint(HashAlg::Sha256);
    let (why, hint) = match &shown.verdict {
        Verdict::Unknown | Verdict::Trusted => (
            format!("the host key of {place} is not pinned ({kind} {print})"),
            "compare the fingerprint on the host (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then run `quorate trust`"
                .to_owned(),
        ),
        Verdict::Changed(known) => (
            format!("the host key of {place} is not the pinned one: it presents {kind} {print}, but {known} has a different one"),
            format!(
                "the connection may be intercepted. If the host was reinstalled: remove {known}, then run `quorate trust`"
            ),
        ),
        Verdict::Revoked(known) => (
            format!("the host key of {place} was revoked ({kind} {print}; {known})"),
            "do not connect; give the host a new key, then run `quorate trust`".to_owned(),
        ),
        Verdict::BadCertificate(reason) => (
            format!("the host certificate of {place} is not accepted: {reason}"),
            "have the host's certificate issued again by its authority".to_owned(),
        ),
    };
    Trouble::HostKey { why, hint }
}
