//! The `initial-*` settings. etcd reads them at its very first start (while there is no WAL) and never again, so quorate
//! writes them right but never restarts a member for them.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::inventory::{ClusterName, PeerUrl};

/// Who a member expects at its first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialCluster {
    /// Whether the members found a cluster or join one.
    pub state: InitialState,
    /// Every member with its peer URL, the new one included. A member with several URLs stands here once for each.
    pub members: Vec<(String, PeerUrl)>,
    /// Goes into member and cluster ids: keeps clusters apart that once had the same addresses.
    pub token: String,
}

impl InitialCluster {
    /// The text of `initial-cluster`: `a=url,b=url`, in the order of names, so that every host gets the same text.
    pub fn text(&self) -> String {
        let mut members: Vec<String> = self.members.iter().map(|(name, url)| format!("{name}={url}")).collect();
        members.sort();
        members.join(",")
    }
}

/// `initial-cluster-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialState {
    /// The members found a cluster together.
    New,
    /// The member joins a cluster that knows it already (`MemberAdd` comes first).
    Existing,
}

impl InitialState {
    /// etcd's own word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            InitialState::New => "new",
            InitialState::Existing => "existing",
        }
    }
}

/// The token of a new cluster: its name and a digest over its first members.
///
/// The same inventory gives the same token, so a bootstrap that was cut off goes on as the same cluster. A former cluster
/// of the same members cannot be mixed up with it: a bootstrap needs every one of them to be known to carry no data.
pub fn initial_token(cluster: &ClusterName, members: &[(String, PeerUrl)]) -> String {
    let mut sorted: Vec<String> = members.iter().map(|(name, url)| format!("{name}={url}")).collect();
    sorted.sort();
    let digest = hex::encode(Sha256::digest(sorted.join(",")));
    format!("{cluster}-{}", &digest[..8])
}

/// Whether two configuration files mean the same to a member that has started before. Comments and the `initial-cluster*`
/// settings make no difference; texts that are no YAML map are compared as they stand.
pub fn same_but_initial(a: &str, b: &str) -> bool {
    match (settings(a), settings(b)) {
        (Some(a), Some(b)) => without_initial(a) == without_initial(b),
        _ => a == b,
    }
}

/// The `initial-*` settings of a configuration file; `None` when it names no members.
pub fn initial_of(config: &str) -> Option<InitialCluster> {
    let settings = settings(config)?;
    let word = |key: &str| settings.get(key).and_then(Value::as_str);
    let members = word("initial-cluster")?
        .split(',')
        .map(|entry| {
            let (name, url) = entry.trim().split_once('=')?;
            Some((name.to_owned(), PeerUrl(url.to_owned())))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(InitialCluster {
        state: match word("initial-cluster-state") {
            Some("existing") => InitialState::Existing,
            _ => InitialState::New,
        },
        members,
        // etcd's own default.
        token: word("initial-cluster-token").unwrap_or("etcd-cluster").to_owned(),
    })
}

/// What a configuration file gives an option; `None` where it does not name it.
pub fn option_in(config: &str, key: &str) -> Option<Value> {
    settings(config)?.remove(key)
}

fn settings(config: &str) -> Option<BTreeMap<String, Value>> {
    serde_yaml::from_str(config).ok()
}

fn without_initial(mut settings: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    settings.retain(|key, _| !key.starts_with("initial-cluster"));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_of_someone_else_is_read_with_etcds_defaults() {
        let read = initial_of("name: a\ninitial-cluster: a=https://[fd00::1]:2380, b=https://b:2380\n").unwrap();
        assert_eq!(read.state, InitialState::New);
        assert_eq!(read.token, "etcd-cluster");
        assert_eq!(read.text(), "a=https://[fd00::1]:2380,b=https://b:2380");
        assert_eq!(initial_of("name: a\n"), None);
        assert_eq!(initial_of("initial-cluster: nonsense\n"), None);
        assert_eq!(initial_of("[no map"), None);
    }

    #[test]
    fn only_what_a_running_member_reads_makes_a_difference() {
        let old = "# one\nname: a\ninitial-cluster: a=x\ninitial-cluster-state: new\ninitial-cluster-token: t\n";
        assert!(same_but_initial(
            old,
            "name: \"a\"\ninitial-cluster: a=x,b=y\ninitial-cluster-state: existing\n"
        ));
        assert!(!same_but_initial(old, "name: a\nsnapshot-count: 5\n"));
        assert!(!same_but_initial(old, "name: a\nname: b\n"));
        assert!(!same_but_initial(old, "initial-advertise-peer-urls: x\nname: a\n"));
        assert!(same_but_initial("[broken", "[broken"));
    }

    #[test]
    fn clusters_of_one_name_with_different_cas_have_different_tokens() {
        let name: ClusterName = "prod-a".parse().unwrap();
        // sha256("one") begins with 7692c3ad.
        let member = |name: &str| (name.to_owned(), PeerUrl(format!("https://{name}:2380")));
        let token = initial_token(&name, &[member("a"), member("b")]);
        assert!(token.starts_with("prod-a-") && token.len() == 15, "{token}");
        assert_eq!(
            token,
            initial_token(&name, &[member("b"), member("a")]),
            "the order of the file does not matter"
        );
        assert_ne!(token, initial_token(&name, &[member("a"), member("c")]));
    }
}
