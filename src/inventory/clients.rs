//! `clients`: what uses the cluster, as far as the members have to be told. Who speaks gRPC needs nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::leaf::{Leaf, Refusal, nearest, one_of};

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ClientKind {
    Kubernetes,
    Cilium,
    Calico,
    Patroni,
    Apisix,
    Etcd3gw,
    /// Anything else that speaks JSON over HTTP to etcd.
    Json,
}

impl ClientKind {
    /// All of them.
    pub const ALL: [ClientKind; 7] = [
        ClientKind::Kubernetes,
        ClientKind::Cilium,
        ClientKind::Calico,
        ClientKind::Patroni,
        ClientKind::Apisix,
        ClientKind::Etcd3gw,
        ClientKind::Json,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            ClientKind::Kubernetes => "kubernetes",
            ClientKind::Cilium => "cilium",
            ClientKind::Calico => "calico",
            ClientKind::Patroni => "patroni",
            ClientKind::Apisix => "apisix",
            ClientKind::Etcd3gw => "etcd3gw",
            ClientKind::Json => "json",
        }
    }

    /// Whether it speaks JSON to etcd's gRPC gateway. To that gateway it is nobody by its certificate: etcd ignores the
    /// common name of such a request, and with its own authentication on refuses one (`AuthInfoFromTLS`, auth/store.go;
    /// `accessController.ServeHTTP`, embed/serve.go).
    pub fn speaks_json(self) -> bool {
        match self {
            ClientKind::Kubernetes | ClientKind::Cilium | ClientKind::Calico => false,
            ClientKind::Patroni | ClientKind::Apisix | ClientKind::Etcd3gw | ClientKind::Json => true,
        }
    }
}

impl Leaf for ClientKind {
    fn read(text: &str) -> Result<Self, Refusal> {
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.name() == text) {
            return Ok(kind);
        }
        let names = Self::ALL.map(Self::name);
        Err(Refusal {
            message: format!("`{}` is not a kind of client", text.escape_debug()),
            help: match nearest(text, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "write {}; a client that is not listed needs no entry if it speaks gRPC, and `json` if it speaks JSON",
                    one_of(&names)
                ),
            },
        })
    }

    fn schema() -> Value {
        json!({"enum": Self::ALL.map(Self::name)})
    }
}
