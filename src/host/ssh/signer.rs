//! Who signs a login: the agent, an opened key, or nobody yet.
//!
//! russh can sign with key files by itself, but not for RSA certificates (it has no hash argument there), and not with an
//! agent that holds the key without its certificate. One signer for all cases covers both.

use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};
use tokio::net::UnixStream;

/// Signs one login request.
pub(super) enum LoginSigner<'a> {
    /// The agent, asked for this identity whatever the server was shown.
    Agent(&'a mut AgentClient<UnixStream>, &'a AgentIdentity),
    /// An opened key.
    Key(Arc<PrivateKey>),
    /// Does not sign: finds out whether the server would take the key, before anybody types a passphrase.
    Nobody,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    /// The server would take the key ([`LoginSigner::Nobody`]).
    #[error("acceptable")]
    Acceptable,
    /// The connection is gone.
    #[error("the connection was closed")]
    Gone,
    /// The key or the agent failed.
    #[error("{0}")]
    Failed(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        SignError::Gone
    }
}

impl russh::Signer for LoginSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _shown: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        match self {
            LoginSigner::Nobody => Err(SignError::Acceptable),
            LoginSigner::Key(key) => sign(key, hash, to_sign),
            LoginSigner::Agent(agent, identity) => {
                let signed = agent.sign_request(identity, hash, to_sign).await;
                signed.map_err(|error| SignError::Failed(format!("the agent did not sign: {error}")))
            }
        }
    }
}

/// `to_sign` followed by its signature as an SSH string (RFC 4252, section 7).
fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut to_sign: Vec<u8>) -> Result<Vec<u8>, SignError> {
    let failed = |why: String| SignError::Failed(format!("signing failed: {why}"));
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&to_sign),
        other => other.try_sign(&to_sign),
    };
    let signature = signature.map_err(|error| failed(error.to_string()))?;
    let mut blob = Vec::new();
    signature.encode(&mut blob).map_err(|error| failed(error.to_string()))?;
    blob.encode(&mut to_sign).map_err(|error| failed(error.to_string()))?;
    Ok(to_sign)
}
