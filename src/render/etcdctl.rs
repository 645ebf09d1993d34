//! The environment file for an etcdctl on the host.
//!
//! It gives root nothing that root does not have (the member's keys and data are on the same disk), and no secret is in
//! it. The server pair serves as the client's because it carries `clientAuth`; its common name is no etcd user, so with
//! etcd's authentication on it is refused, which is as it should be.

use serde::Serialize;

use super::{RenderError, templates};
use crate::inventory::{Desired, DesiredHost, HostPath};

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    name: &'a str,
    user: &'a str,
    path: String,
    release: String,
    pki: &'a str,
    endpoint: String,
}

/// Beside the configuration file and named after it, so that two clusters on one host never share it:
/// `/etc/etcd/etcd-config.yml` has `/etc/etcd/etcd-config.etcdctl.env`.
pub fn path(host: &DesiredHost) -> Result<HostPath, RenderError> {
    let config = host.paths.config.as_str();
    let stem = config
        .strip_suffix(".yml")
        .or_else(|| config.strip_suffix(".yaml"))
        .unwrap_or(config);
    format!("{stem}.etcdctl.env")
        .parse()
        .map_err(|_| RenderError::EtcdctlPath {
            node: host.name.clone(),
            config: host.paths.config.clone(),
        })
}

/// The whole file.
pub(super) fn text(desired: &Desired, host: &DesiredHost) -> Result<String, RenderError> {
    let view = View {
        cluster: desired.cluster.as_str(),
        name: host.name.as_str(),
        user: host.user.as_str(),
        path: path(host)?.to_string(),
        release: host.paths.release(desired.version).to_string(),
        pki: host.paths.pki.as_str(),
        endpoint: host.client_url(),
    };
    templates::render(templates::ETCDCTL, &view)
}
