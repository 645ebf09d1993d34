//! Every value that counts for a cluster, and where it was said: in the inventory, in a file that it shares, or nowhere. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::authorization::AuthMode;
use super::desired::{Connection, Desired, DesiredHost, SshTarget};
use super::problem::Place;
use super::quantity::show_duration;
use super::tree::{Kind, Node};
use super::{Loaded, NodeName};

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its key, like `etcd.config.quota-backend-bytes`, or `hosts.etcd-1.client_port` where hosts differ.
    pub key: String,
    /// What counts; `null`: not set.
    pub value: Value,
    /// Where it was said; `None`: it is the program's default.
    pub origin: Option<Origin>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

type OfCluster = (&'static str, fn(&Desired) -> Value);

/// Below `etcd` and `ssh` for all hosts, and the same below one. `None`: such a host has no such thing.
type OfHosts = (&'static str, &'static str, fn(&DesiredHost) -> Option<Value>);

const CLUSTER: &[OfCluster] = &[
    ("cluster", |d| json!(d.cluster)),
    ("etcd.version", |d| json!(d.version)),
    ("etcd.auth", |d| match d.auth.mode {
        AuthMode::LeftAlone => Value::Null,
        mode => json!(mode == AuthMode::On),
    }),
    ("pki.dir", |d| path(&d.pki.dir)),
    ("pki.key_type", |d| json!(d.pki.key_type)),
    ("pki.ca_validity", |d| json!(show_duration(d.pki.ca_validity))),
    ("pki.leaf_validity", |d| json!(show_duration(d.pki.leaf_validity))),
    ("pki.renew_before", |d| json!(show_duration(d.pki.renew_before))),
    ("pki.crl", |d| json!(d.pki.crl)),
    ("pki.recipients", |d| json!(d.pki.recipients)),
    ("bundle.sha256", |d| json!(d.bundle.sha256)),
    ("bundle.signed_by", |d| json!(d.bundle.signed_by)),
    ("clients", |d| json!(d.clients)),
    ("kubernetes", |d| json!(d.kubernetes)),
];

/// Only where there is a section `backup`.
const BACKUP: &[OfCluster] = &[
    ("backup.schedule", |d| json!(d.backup.as_ref().map(|b| &b.schedule))),
    ("backup.to", |d| {
        let to = d.backup.iter().flat_map(|b| &b.to);
        json!(to.map(ToString::to_string).collect::<Vec<_>>())
    }),
    ("backup.keep.last", |d| keep(d, |keep| keep.last)),
    ("backup.keep.hourly", |d| keep(d, |keep| keep.hourly)),
    ("backup.keep.daily", |d| keep(d, |keep| keep.daily)),
    ("backup.keep.weekly", |d| keep(d, |keep| keep.weekly)),
    ("backup.keep.monthly", |d| keep(d, |keep| keep.monthly)),
    ("backup.max_age", |d| {
        json!(d.backup.as_ref().map(|b| show_duration(b.max_age)))
    }),
    ("backup.s3_credentials", |d| {
        json!(d.backup.as_ref().and_then(|b| b.s3_credentials.as_ref()))
    }),
    ("backup.s3_endpoint", |d| {
        json!(d.backup.as_ref().and_then(|b| b.s3_endpoint.as_ref()))
    }),
    ("backup.s3_region", |d| {
        json!(d.backup.as_ref().and_then(|b| b.s3_region.as_ref()))
    }),
    ("backup.identity", |d| {
        json!(d.backup.as_ref().and_then(|b| b.identity.as_ref()))
    }),
];

const HOSTS: &[OfHosts] = &[
    ("", "address", |h| Some(json!(h.address.to_string()))),
    ("", "connection", |h| {
        Some(json!(match h.connection {
            Connection::Local => "local",
            Connection::Ssh(_) => "ssh",
        }))
    }),
    ("", "service_manager", |h| Some(json!(h.service_manager))),
    ("", "listen", |h| Some(json!(h.listen))),
    ("etcd.client_port", "client_port", |h| Some(json!(h.client_port))),
    ("etcd.peer_port", "peer_port", |h| Some(json!(h.peer_port))),
    ("etcd.metrics_port", "metrics_port", |h| {
        Some(json!(h.metrics.map(|m| m.port)))
    }),
    ("etcd.metrics_address", "metrics_address", |h| {
        Some(json!(h.metrics?.address))
    }),
    ("etcd.service", "service", |h| Some(json!(h.service))),
    ("etcd.user", "user", |h| Some(json!(h.user))),
    ("etcd.paths.config", "paths.config", |h| Some(json!(h.paths.config))),
    ("etcd.paths.pki", "paths.pki", |h| Some(json!(h.paths.pki))),
    ("etcd.paths.data", "paths.data", |h| Some(json!(h.paths.data))),
    ("etcd.paths.wal", "paths.wal", |h| Some(json!(h.paths.wal))),
    ("etcd.paths.bin", "paths.bin", |h| Some(json!(h.paths.bin))),
    // Those of all and its own, together.
    ("pki.sans", "sans", |h| Some(json!(h.sans))),
    ("", "ssh.host", |h| Some(json!(ssh(h)?.host))),
    ("ssh.user", "ssh.user", |h| Some(json!(ssh(h)?.user))),
    ("ssh.port", "ssh.port", |h| Some(json!(ssh(h)?.port))),
    ("ssh.identity", "ssh.identity", |h| Some(json!(ssh(h)?.identity))),
    ("ssh.known_hosts", "ssh.known_hosts", |h| {
        Some(path(&ssh(h)?.known_hosts))
    }),
    ("ssh.jump", "ssh.jump", |h| {
        let jumps = ssh(h)?.jump.iter().map(|jump| {
            let user = jump.user.as_ref().map(|user| format!("{user}@"));
            let port = jump.port.map(|port| format!(":{port}"));
            format!("{}{}{}", user.unwrap_or_default(), jump.host, port.unwrap_or_default())
        });
        Some(json!(jumps.collect::<Vec<_>>()))
    }),
    ("ssh.sudo", "ssh.sudo", |h| Some(json!(ssh(h)?.sudo))),
    ("ssh.config", "ssh.config", |h| Some(json!(ssh(h)?.use_config))),
];

/// Lists whose meaning is what stands there.
const AS_TYPED: [&str; 2] = ["users", "roles"];

fn path(path: &Path) -> Value {
    json!(path)
}

fn ssh(host: &DesiredHost) -> Option<&SshTarget> {
    match &host.connection {
        Connection::Ssh(target) => Some(target),
        Connection::Local => None,
    }
}

/// How many; nothing where that kind is not kept.
fn keep(desired: &Desired, which: fn(&super::KeepPolicy) -> usize) -> Value {
    let keep = desired.backup.as_ref().and_then(|backup| backup.keep.as_ref());
    json!(keep.map(which).filter(|many| *many > 0))
}

/// All of them, in the order of docs/inventory.md.
pub fn explain(loaded: &Loaded) -> Vec<Setting> {
    let nothing = Node {
        at: Place::START,
        kind: Kind::Null,
    };
    let told = Told {
        document: loaded.document().unwrap_or(nothing),
        loaded,
    };
    let mut all: Vec<Setting> = CLUSTER.iter().map(|of| told.of_cluster(of)).collect();
    let options = loaded.desired.options.iter();
    all.extend(options.map(|(name, value)| told.setting(&["etcd", "config", name], value.clone())));
    match &loaded.desired.backup {
        None => all.push(told.setting(&["backup"], Value::Null)),
        Some(_) => all.extend(BACKUP.iter().map(|of| told.of_cluster(of))),
    }
    all.extend(AS_TYPED.iter().map(|key| {
        let typed = told
            .document
            .get(key)
            .map_or(Value::Null, |entry| entry.value.to_json());
        told.setting(&[key], if typed.is_null() { json!([]) } else { typed })
    }));
    all.extend(HOSTS.iter().flat_map(|of| told.of_hosts(of)));
    all
}

struct Told<'a> {
    document: Node,
    loaded: &'a Loaded,
}

impl Told<'_> {
    fn setting(&self, path: &[&str], value: Value) -> Setting {
        Setting {
            key: path.join("."),
            value,
            origin: self.origin(&self.document, path),
        }
    }

    fn of_cluster(&self, (key, value): &OfCluster) -> Setting {
        let path: Vec<&str> = key.split('.').collect();
        self.setting(&path, value(&self.loaded.desired))
    }

    /// One for all hosts where they are the same, else one a host.
    fn of_hosts(&self, (all, own, value): &OfHosts) -> Vec<Setting> {
        let hosts = self.loaded.desired.order.iter();
        let each: Vec<(&NodeName, Value, Option<Origin>)> = hosts
            .filter_map(|name| {
                let value = value(self.loaded.desired.hosts.get(name)?)?;
                Some((name, value, self.of_host(name, all, own)))
            })
            .collect();
        let same = each
            .windows(2)
            .all(|pair| (&pair[0].1, &pair[0].2) == (&pair[1].1, &pair[1].2));
        if let (true, false, Some((_, value, origin))) = (same, all.is_empty(), each.first()) {
            return vec![Setting {
                key: (*all).to_owned(),
                value: value.clone(),
                origin: origin.clone(),
            }];
        }
        each.into_iter()
            .map(|(name, value, origin)| Setting {
                key: format!("hosts.{name}.{own}"),
                value,
                origin,
            })
            .collect()
    }

    /// Where a host has it from: its own entry, else what is for all.
    fn of_host(&self, name: &NodeName, all: &str, own: &str) -> Option<Origin> {
        let Some(Kind::List(hosts)) = self.document.get("hosts").map(|entry| &entry.value.kind) else {
            return None;
        };
        let named = |host: &&Node| host.get("name").and_then(|entry| entry.value.text()) == Some(name.as_str());
        let path: Vec<&str> = own.split('.').collect();
        let typed = hosts.iter().find(named).and_then(|host| self.origin(host, &path));
        typed.or_else(|| self.origin(&self.document, &all.split('.').collect::<Vec<_>>()))
    }

    fn origin(&self, from: &Node, path: &[&str]) -> Option<Origin> {
        let (last, above) = path.split_last()?;
        let node = above.iter().try_fold(from, |node, key| Some(&node.get(key)?.value))?;
        let entry = node.get(last).filter(|entry| entry.value.kind != Kind::Null)?;
        Some(Origin {
            file: self.loaded.file(entry.key_at.file).to_owned(),
            line: entry.key_at.line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::section_schema;
    use super::*;

    #[test]
    fn every_key_of_an_inventory_is_explained() {
        let schema = super::super::schema();
        let explained: Vec<&str> = CLUSTER
            .iter()
            .chain(BACKUP)
            .map(|(key, _)| *key)
            .chain(HOSTS.iter().map(|(all, ..)| *all))
            .chain(AS_TYPED)
            .collect();
        let own: Vec<&str> = HOSTS.iter().map(|(_, own, _)| *own).collect();
        let keys = |section: &[&str]| -> Vec<String> {
            let properties = section_schema(&schema, section)["properties"].as_object().unwrap();
            properties.keys().cloned().collect()
        };
        let sections = [
            "etcd", "paths", "pki", "ssh", "bundle", "backup", "keep", "hosts", "config",
        ];
        for section in [
            &[][..],
            &["etcd"],
            &["etcd", "paths"],
            &["pki"],
            &["ssh"],
            &["bundle"],
            &["backup"],
            &["backup", "keep"],
        ] {
            for key in keys(section) {
                let path = [section, &[key.as_str()]].concat().join(".");
                let below = sections.contains(&key.as_str()) && path != "ssh.config";
                assert!(below || path == "ssh.host" || explained.contains(&&*path), "{path}");
            }
        }
        for key in keys(&["hosts"]) {
            let there = own.iter().any(|own| own.split('.').next() == Some(&key));
            assert!(there || key == "name", "{key}");
        }
    }
}
