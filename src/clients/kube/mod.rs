//! Certificates and configuration for Kubernetes and what runs beside it, under the names and in the form that each expects.
//!
//! Sources: kubeadm's API types v1beta3 and v1beta4; docs.k3s.io/datastore; k0s' "Configuration options"; the Cluster API book,
//! "Using external etcd"; Cilium's "Installation with external etcd"; Calico's "Configure calicoctl to connect to an etcd
//! datastore".

mod consumer;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::endpoints::endpoints;
use crate::inventory::Desired;
use crate::render::{RenderError, templates};

pub use consumer::Consumer;
use consumer::Content;

/// What a client is, PEM.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Every CA that it should trust.
    pub ca: &'a str,
    /// Its certificate, with those above it.
    pub cert: &'a str,
    /// Its key.
    pub key: &'a str,
}

/// What the inventory does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// Who reads the files.
    pub consumer: Consumer,
    /// Below which keys live, where that is not the usual place.
    pub prefix: Option<String>,
    /// The name of the Kubernetes cluster, for those who name objects after it.
    pub kubernetes: String,
    /// The namespace of those objects.
    pub namespace: String,
}

/// One file, by its path below the directory that it is written to.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenFile {
    /// Relative path.
    pub path: &'static str,
    /// A key is in it.
    pub secret: bool,
    /// Its content.
    pub text: String,
}

#[derive(Serialize)]
struct View<'a> {
    cluster: &'a str,
    endpoints: Vec<String>,
    joined: String,
    prefix: Option<&'a str>,
    kubernetes: &'a str,
    namespace: &'a str,
    dir: &'static str,
    ca: String,
    cert: String,
    key: String,
}

/// Every file for one consumer.
///
/// # Errors
/// [`RenderError::Template`]: a mistake in the program.
pub fn files(desired: &Desired, choices: &Choices, identity: Identity<'_>) -> Result<Vec<GivenFile>, RenderError> {
    let endpoints = endpoints(desired);
    let view = View {
        cluster: desired.cluster.as_str(),
        joined: endpoints.join(","),
        endpoints,
        prefix: choices.prefix.as_deref().or(choices.consumer.usual_prefix()),
        kubernetes: &choices.kubernetes,
        namespace: &choices.namespace,
        dir: choices.consumer.directory(),
        ca: STANDARD.encode(identity.ca),
        cert: STANDARD.encode(identity.cert),
        key: STANDARD.encode(identity.key),
    };
    let given = |(path, content, secret): &(&'static str, Content, bool)| {
        let text = match content {
            Content::Ca => identity.ca.to_owned(),
            Content::Certificate => identity.cert.to_owned(),
            Content::Key => identity.key.to_owned(),
            Content::Template(template) => templates::render(template, &view)?,
        };
        Ok(GivenFile {
            path,
            secret: *secret,
            text,
        })
    };
    choices.consumer.files().iter().map(given).collect()
}

/// The paths of [`files`], which are known before there is a certificate.
pub fn paths(consumer: Consumer) -> impl Iterator<Item = &'static str> {
    consumer.files().iter().map(|(path, ..)| *path)
}

/// What keeps the files with keys out of version control, wherever they are written.
pub fn gitignore(consumer: Consumer) -> String {
    let secret = consumer.files().iter().filter(|(.., secret)| *secret);
    let lines: String = secret.map(|(path, ..)| format!("/{path}\n")).collect();
    format!("# Keys. Written by `quorate kube files`.\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Version;
    use crate::inventory::samples::{cluster_of, host};

    fn all(consumer: Consumer, prefix: Option<&str>) -> String {
        let hosts = vec![
            host("etcd-1", "10.0.0.11"),
            host("etcd-2", "etcd-2.example.com"),
            host("etcd-3", "fd00::3"),
        ];
        let desired = cluster_of(Version::new(3, 6, 16), hosts);
        let choices = Choices {
            consumer,
            prefix: prefix.map(str::to_owned),
            kubernetes: "prod".to_owned(),
            namespace: "default".to_owned(),
        };
        let identity = Identity {
            ca: "CA\n",
            cert: "CERT\n",
            key: "KEY\n",
        };
        let files = files(&desired, &choices, identity).unwrap();
        files
            .iter()
            .map(|file| format!("==> {} secret={}\n{}\n", file.path, file.secret, file.text))
            .collect()
    }

    #[test]
    fn every_consumer_gets_its_files() {
        for consumer in Consumer::ALL {
            insta::assert_snapshot!(consumer.name(), all(consumer, None));
        }
    }

    #[test]
    fn a_prefix_of_its_own() {
        assert!(all(Consumer::Kubeadm, Some("/two")).contains("etcd-prefix"));
        assert!(all(Consumer::K0s, Some("/two")).contains("etcdPrefix: \"/two\""));
        assert!(!all(Consumer::Kubeadm, None).contains("etcd-prefix"));
    }

    #[test]
    fn a_key_is_never_in_a_file_that_is_not_secret() {
        let key = STANDARD.encode("KEY\n");
        for consumer in Consumer::ALL {
            let ignored = gitignore(consumer);
            for file in all(consumer, None).split("==> ").skip(1) {
                let (head, text) = file.split_once('\n').unwrap();
                let (path, secret) = head.split_once(" secret=").unwrap();
                let holds = text.contains("KEY\n") || text.contains(&key);
                assert_eq!(secret == "true", holds, "{path}");
                assert_eq!(ignored.contains(&format!("\n/{path}\n")), holds, "{path}");
            }
        }
    }
}
