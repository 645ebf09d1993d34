//! Certificate, key and password of a user that logs in with one, as those who read them expect.

use serde::Serialize;

use super::endpoints::hosts;
use crate::inventory::{Address, Desired, DesiredHost};
use crate::render::{RenderError, templates};

/// What a client shows.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Its user, and the names of its files.
    pub user: &'a str,
    /// The password, where etcd's own authentication is to be on.
    pub password: Option<&'a str>,
}

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    hosts: Vec<String>,
    ca: String,
    cert: String,
    key: String,
    user: &'a str,
    password: Option<&'a str>,
}

/// Patroni's configuration of etcd; `dir` is where certificate and key lie for it.
///
/// # Errors
/// [`RenderError::Template`]: a mistake in the program.
pub fn patroni(desired: &Desired, login: Login<'_>, dir: &str) -> Result<String, RenderError> {
    let view = View {
        cluster: desired.cluster.as_str(),
        hosts: hosts(desired).map(host_and_port).collect(),
        ca: format!("{dir}/ca.crt"),
        cert: format!("{dir}/{}.crt", login.user),
        key: format!("{dir}/{}.key", login.user),
        user: login.user,
        password: login.password,
    };
    templates::render(templates::PATRONI, &view)
}

fn host_and_port(host: &DesiredHost) -> String {
    match &host.address {
        Address::Ip(ip) => std::net::SocketAddr::new(*ip, host.client_port).to_string(),
        Address::Dns(name) => format!("{name}:{}", host.client_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Version;
    use crate::inventory::samples::{cluster_of, host};

    #[test]
    fn patroni_is_told_every_member_and_where_its_files_are() {
        let members = vec![
            host("etcd-1", "10.0.0.11"),
            host("etcd-2", "etcd-2.example.com"),
            host("etcd-3", "fd00::3"),
        ];
        let desired = cluster_of(Version::new(3, 6, 16), members);
        let text = |password| {
            let user = "patroni";
            patroni(&desired, Login { user, password }, "/etc/patroni/etcd").unwrap()
        };
        let read: serde_json::Value = serde_yaml::from_str(&text(Some("x"))).unwrap();
        assert_eq!(read["etcd3"]["key"], "/etc/patroni/etcd/patroni.key");
        insta::assert_snapshot!(text(Some("a \"quoted\" one: #")));
        assert!(!text(None).contains("username") && !text(None).contains("password:"));
    }
}
