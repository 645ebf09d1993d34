//! Who can be given files, and which.

use crate::render::templates as t;

/// Who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Consumer {
    Kubeadm,
    K3s,
    Rke2,
    K0s,
    Capi,
    Cilium,
    Calico,
}

/// What is in a file.
pub(super) enum Content {
    Ca,
    Certificate,
    Key,
    Template(&'static str),
}

use Content::{Ca, Certificate, Key, Template};

const OPEN: bool = false;
const SECRET: bool = true;

/// Path, content, whether a key is in it.
type Entry = (&'static str, Content, bool);

const KUBEADM: &[Entry] = &[
    ("pki/etcd/ca.crt", Ca, OPEN),
    ("pki/apiserver-etcd-client.crt", Certificate, OPEN),
    ("pki/apiserver-etcd-client.key", Key, SECRET),
    ("kubeadm-v1beta4.yaml", Template(t::KUBEADM_V1BETA4), OPEN),
    ("kubeadm-v1beta3.yaml", Template(t::KUBEADM_V1BETA3), OPEN),
];
const K3S: &[Entry] = &[
    ("etcd/ca.crt", Ca, OPEN),
    ("etcd/client.crt", Certificate, OPEN),
    ("etcd/client.key", Key, SECRET),
    ("config.yaml.d/etcd.yaml", Template(t::K3S), OPEN),
];
const K0S: &[Entry] = &[
    ("etcd/ca.crt", Ca, OPEN),
    ("etcd/client.crt", Certificate, OPEN),
    ("etcd/client.key", Key, SECRET),
    ("k0s.yaml", Template(t::K0S), OPEN),
];
const CAPI: &[Entry] = &[
    ("secrets.yaml", Template(t::CAPI_SECRETS), SECRET),
    ("kubeadm-control-plane.yaml", Template(t::CAPI), OPEN),
];
const CILIUM: &[Entry] = &[
    ("secret.yaml", Template(t::CILIUM_SECRET), SECRET),
    ("etcd.config", Template(t::CILIUM_CONFIG), OPEN),
    ("values.yaml", Template(t::CILIUM_VALUES), OPEN),
];
const CALICO: &[Entry] = &[
    ("etcd/ca.crt", Ca, OPEN),
    ("etcd/client.crt", Certificate, OPEN),
    ("etcd/client.key", Key, SECRET),
    ("calicoctl.cfg", Template(t::CALICOCTL), OPEN),
    ("secret.yaml", Template(t::CALICO_SECRET), SECRET),
    ("calico-config.yaml", Template(t::CALICO_CONFIG), OPEN),
];

impl Consumer {
    /// All of them.
    pub const ALL: [Consumer; 7] = [
        Consumer::Kubeadm,
        Consumer::K3s,
        Consumer::Rke2,
        Consumer::K0s,
        Consumer::Capi,
        Consumer::Cilium,
        Consumer::Calico,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Consumer::Kubeadm => "kubeadm",
            Consumer::K3s => "k3s",
            Consumer::Rke2 => "rke2",
            Consumer::K0s => "k0s",
            Consumer::Capi => "capi",
            Consumer::Cilium => "cilium",
            Consumer::Calico => "calico",
        }
    }

    pub(super) fn files(self) -> &'static [Entry] {
        match self {
            Consumer::Kubeadm => KUBEADM,
            Consumer::K3s | Consumer::Rke2 => K3S,
            Consumer::K0s => K0S,
            Consumer::Capi => CAPI,
            Consumer::Cilium => CILIUM,
            Consumer::Calico => CALICO,
        }
    }

    /// Where the files belong on the machine that reads them; for those that Kubernetes is given, the tool that takes them.
    pub fn directory(self) -> &'static str {
        match self {
            Consumer::Kubeadm => "/etc/kubernetes",
            Consumer::K3s => "/etc/rancher/k3s",
            Consumer::Rke2 => "/etc/rancher/rke2",
            Consumer::K0s => "/etc/k0s",
            Consumer::Calico => "/etc/calico",
            Consumer::Capi | Consumer::Cilium => "",
        }
    }

    /// What to do with the files.
    pub fn next(self, out: &str) -> String {
        match self {
            Consumer::Kubeadm => format!(
                "copy {out}/pki to /etc/kubernetes/pki of every control plane host, and run `kubeadm init --config \
                 {out}/kubeadm-v1beta4.yaml` (v1beta3 for kubeadm before 1.31)"
            ),
            Consumer::K3s | Consumer::Rke2 | Consumer::K0s => {
                format!(
                    "copy what is in {out} to {} of every server before it is started",
                    self.directory()
                )
            }
            Consumer::Capi => format!(
                "run `kubectl apply -f {out}/secrets.yaml` in the management cluster before the Cluster is made, and put \
                 {out}/kubeadm-control-plane.yaml into its KubeadmControlPlane"
            ),
            Consumer::Cilium => format!(
                "run `kubectl apply -f {out}/secret.yaml`, then install with `helm install -f {out}/values.yaml` (etcd.config is \
                 the same for agents that run without Helm)"
            ),
            Consumer::Calico => format!(
                "run `kubectl apply -f {out}/secret.yaml`, put {out}/calico-config.yaml into the manifest (the operator cannot use \
                 etcd), and copy {out}/etcd and calicoctl.cfg to /etc/calico where calicoctl runs"
            ),
        }
    }

    /// The etcd user that the certificate stands for, where nothing else is asked for.
    pub fn user(self) -> &'static str {
        match self {
            Consumer::Cilium => "cilium",
            Consumer::Calico => "calico",
            _ => "kube-apiserver-etcd-client",
        }
    }

    /// What it writes to its configuration although nobody asked: k0s wants one always.
    pub(super) fn usual_prefix(self) -> Option<&'static str> {
        (self == Consumer::K0s).then_some("/registry")
    }

    /// Why it cannot have a prefix of its own, if so.
    ///
    /// # Errors
    /// The reason.
    pub fn takes_prefix(self) -> Result<(), &'static str> {
        match self {
            Consumer::Kubeadm | Consumer::K0s | Consumer::Capi => Ok(()),
            Consumer::K3s | Consumer::Rke2 => Err("it has no option for the prefix of its datastore"),
            Consumer::Cilium => Err("it writes below `cilium/` always"),
            Consumer::Calico => Err("it writes below `/calico/` always"),
        }
    }
}
