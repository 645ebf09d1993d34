//! The first inventory, as `quorate init` writes it.

use std::collections::BTreeMap;

use super::edit::scalar;
use super::import::ImportedHost;
use super::names::{ClusterName, Version};

/// The inventory's JSON schema beside it, for editors.
pub const SCHEMA: &str = "inventory.schema.json";

/// The `.gitignore` beside it. `pki/` is kept: its key is sealed.
pub const GITIGNORE: &str = "\
# Private keys of clients (`quorate pki issue`). The CA key in pki/ is encrypted and must be committed.
*.key
# Large, and made from upstream's releases.
*.qbundle
# Sealed backups, and snapshots.
backups/
*.qbackup
*.snap
# Plans are made for one moment.
*.plan.json
";

/// What the section `ssh` may say, where it says nothing.
const SSH: &str = "\
# ssh:                            # for every host; each can have its own `ssh`
#   user: root                    # others use sudo
#   identity: ~/.ssh/id_ed25519   # default: the agent, then the usual files
#   jump: ops@bastion.example.com
";

/// A commented inventory for `hosts`; three made-up ones when there are none. It parses without warnings for an odd
/// number of hosts.
pub fn starter(hosts: &[ImportedHost], version: Version, cluster: &ClusterName) -> String {
    let shared = shared(hosts);
    let ssh = match shared.is_empty() {
        true => SSH.to_owned(),
        false => section("", &shared),
    };
    let mut text = format!(
        "\
# yaml-language-server: $schema={SCHEMA}
# One etcd cluster. `quorate check` checks this file, `quorate up` brings the hosts in line with it.
# Keep it in git, together with pki/: the CA key in there is encrypted.
cluster: {}

etcd:
  version: \"{version}\"
  config:                         # any of etcd's own options
    quota-backend-bytes: 8GiB
    auto-compaction-mode: periodic
    auto-compaction-retention: 8h
  # metrics_port: 2381            # plain-HTTP /metrics and /health on 127.0.0.1

{ssh}
# pki:
#   recipients: []                # who can open the CA key; default: your SSH keys

# An odd number: 3 survive the loss of one, 5 of two.
hosts:
",
        scalar(cluster.as_str())
    );
    let entry = |name: &str, address: &str| format!("  - name: {}\n    address: {}\n", scalar(name), scalar(address));
    if hosts.is_empty() {
        for (name, address) in [
            ("etcd-1", "10.0.0.11"),
            ("etcd-2", "10.0.0.12"),
            ("etcd-3", "10.0.0.13"),
        ] {
            text.push_str(&entry(name, address));
        }
    }
    for host in hosts {
        text.push_str(&entry(host.name.as_str(), &host.address.to_string()));
        let own = host.ssh.iter().filter(|(key, _)| !shared.contains_key(*key));
        let own: BTreeMap<&str, String> = own.map(|(key, value)| (*key, value.clone())).collect();
        if !own.is_empty() {
            text.push_str(&section("    ", &own));
        }
    }
    text
}

/// What all hosts say alike of their logins.
fn shared(hosts: &[ImportedHost]) -> BTreeMap<&'static str, String> {
    let Some((first, rest)) = hosts.split_first() else {
        return BTreeMap::new();
    };
    let alike = |key: &str, value: &String| rest.iter().all(|host| host.ssh.get(key) == Some(value));
    let said = first
        .ssh
        .iter()
        .filter(|(key, value)| **key != "host" && alike(key, value));
    said.map(|(key, value)| (*key, value.clone())).collect()
}

/// A section `ssh`, indented.
fn section(indent: &str, keys: &BTreeMap<&str, String>) -> String {
    let lines = keys.iter().map(|(key, value)| format!("{indent}  {key}: {value}\n"));
    format!("{indent}ssh:\n{}", lines.collect::<String>())
}
