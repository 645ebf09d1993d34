//! The way in: a connection to a node.

use std::sync::Arc;

use super::environment::SshEnvironment;
use super::jumps;
use super::route;
use super::session::SshTransport;
use super::trouble::Trouble;
use crate::host::{HostError, SecretSource};
use crate::inventory::{NodeName, SshTarget};

/// Connects to `target`, through its bastions if it has any, and logs in. Nothing is run there yet.
///
/// Where the host's sshd allows few sessions a connection, more are opened to it later, in the same way.
///
/// Connections made with the same `env` share bastions, opened keys and answers about `~/.ssh/config`.
///
/// # Errors
/// [`HostError::Connect`], [`HostError::HostKey`] or [`HostError::Login`], each naming the hop it happened at. Every wait
/// for the network is limited by [`SshEnvironment::connect_timeout`]; waiting for a person is not.
pub async fn connect(
    node: &NodeName,
    target: &SshTarget,
    env: &Arc<SshEnvironment>,
    secrets: Arc<dyn SecretSource>,
) -> Result<SshTransport, HostError> {
    let opened = async {
        let route = route::route(target, env).await?;
        let link = jumps::reach(&route, env, &secrets).await?;
        Ok::<_, Trouble>((route, link))
    };
    let (route, link) = opened.await.map_err(|trouble| trouble.on(node))?;
    Ok(SshTransport::new(
        node,
        route,
        target.sudo,
        link,
        Arc::clone(env),
        secrets,
    ))
}
