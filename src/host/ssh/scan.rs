//! Looking at host keys without trusting them: the first half of `quorate trust`.

use std::sync::Arc;

use russh::keys::HashAlg;

use super::environment::SshEnvironment;
use super::handler;
use super::jumps;
use super::known_hosts::Verdict;
use super::link;
use super::pin::HostKey;
use super::route;
use super::trouble::Trouble;
use crate::host::{HostError, SecretSource};
use crate::inventory::{NodeName, SshTarget};

/// A host key as a host shows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedKey {
    /// What [`super::pin`] would write.
    pub key: HostKey,
    /// `SHA256:...`, as `ssh-keygen -lf` prints it.
    pub fingerprint: String,
    /// Its type, `ssh-ed25519`.
    pub kind: String,
    /// Whether it is trusted.
    pub state: KeyState,
}

/// What the `known_hosts` files say of a scanned key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// Trusted already.
    Pinned,
    /// Nothing is known of the host.
    New,
    /// Another key is pinned: where, `line 3 of FILE`. That line has to be removed by a person first.
    Changed(String),
}

/// The host keys on the way to `target`, outermost bastion first.
///
/// A key behind a bastion can only be seen through a login there, so the list ends with the first key that is not pinned:
/// pin it and scan again until every key of the list is [`KeyState::Pinned`].
///
/// # Errors
/// A host cannot be reached, a bastion refuses the login, a key is revoked or its certificate unacceptable.
pub async fn scan(
    node: &NodeName,
    target: &SshTarget,
    env: &SshEnvironment,
    secrets: Arc<dyn SecretSource>,
) -> Result<Vec<ScannedKey>, HostError> {
    look(target, env, &secrets).await.map_err(|trouble| trouble.on(node))
}

async fn look(
    target: &SshTarget,
    env: &SshEnvironment,
    secrets: &Arc<dyn SecretSource>,
) -> Result<Vec<ScannedKey>, Trouble> {
    let route = route::route(target, env).await?;
    let mut keys = Vec::new();
    for (index, hop) in route.jumps.iter().chain([&route.target]).enumerate() {
        let via = jumps::jump_link(&route.jumps[..index], env, secrets).await?;
        let shown = link::look_at_key(hop, via.as_ref(), env).await?;
        let state = match &shown.verdict {
            Verdict::Trusted => KeyState::Pinned,
            Verdict::Unknown => KeyState::New,
            Verdict::Changed(place) => KeyState::Changed(place.to_string()),
            Verdict::Revoked(_) | Verdict::BadCertificate(_) => return Err(handler::untrusted(hop, &shown)),
        };
        let text = shown.key.to_openssh().map_err(|error| Trouble::HostKey {
            why: format!("the host key of {} cannot be recorded: {error}", hop.place()),
            hint: "pin it by hand with ssh-keyscan".to_owned(),
        })?;
        let words: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
        let pinned = state == KeyState::Pinned;
        keys.push(ScannedKey {
            key: HostKey {
                host: hop.id.names[0].clone(),
                port: hop.id.port,
                key: words.join(" "),
            },
            fingerprint: shown.key.fingerprint(HashAlg::Sha256).to_string(),
            kind: shown.key.algorithm().to_string(),
            state,
        });
        if !pinned {
            break;
        }
    }
    Ok(keys)
}
