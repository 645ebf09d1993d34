//! The members together: the inventory that describes them, each line with where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::Hurdle;
use super::member::Member;
use crate::etcd::Member as Listed;
use crate::inventory::edit::scalar;
use crate::inventory::{ClusterName, NodeName, Version};

/// Whether the members can be in one inventory: what it has once must be the same for all.
pub fn together(members: &[Member]) -> Vec<Hurdle> {
    let names: BTreeSet<&String> = members.iter().flat_map(|member| member.options.keys()).collect();
    let differing = names.into_iter().filter_map(|option| {
        let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for member in members {
            let value = member.options.get(option);
            let told = value.map_or("not set".to_owned(), ToString::to_string);
            values.entry(told).or_default().push(member.name.as_str());
        }
        let each: Vec<String> = values
            .iter()
            .map(|(value, names)| format!("{value} on {}", names.join(", ")))
            .collect();
        (values.len() > 1).then(|| {
            Hurdle::of_all(
                format!("`{option}` differs between the members: {}", each.join("; ")),
                "set it alike on all of them, and restart them one by one",
            )
        })
    });
    differing.collect()
}

/// Whether these members are all of the cluster, and it has no others, as its member list says.
pub fn all_of(members: &[Member], listed: &[Listed]) -> Vec<Hurdle> {
    let url = |member: &Member| format!("https://{}:{}", member.address.in_url(), member.peer_port);
    let of = |member: &Member| {
        let url = url(member);
        listed.iter().find(|l| l.peer_urls.iter().any(|u| u.0 == url))
    };
    let mut hurdles = Vec::new();
    for member in members {
        match of(member) {
            None => hurdles.push(nowhere(member, &url(member), listed)),
            Some(l) if l.peer_urls.len() > 1 => hurdles.push(Hurdle::on(
                &member.name,
                format!(
                    "the member list has {} peer URLs of it, and an inventory has one",
                    l.peer_urls.len()
                ),
                "take the others out with `etcdctl member update`",
            )),
            Some(l) if l.learner => hurdles.push(Hurdle::on(
                &member.name,
                "it is a learner",
                "promote it (`etcdctl member promote`), or remove it, first",
            )),
            Some(_) => {}
        }
    }
    let ours: BTreeSet<String> = members.iter().map(url).collect();
    for other in listed
        .iter()
        .filter(|l| !l.peer_urls.iter().any(|u| ours.contains(&u.0)))
    {
        let urls: Vec<&str> = other.peer_urls.iter().map(|u| u.0.as_str()).collect();
        let name = if other.started() {
            other.name.as_str()
        } else {
            "one that never started"
        };
        hurdles.push(Hurdle::of_all(
            format!("the cluster has another member, {name} at {}", urls.join(", ")),
            "pass its host as well (--from, or --host NAME=ADDRESS), or remove the member from the cluster first",
        ));
    }
    hurdles
}

/// A member that the list does not have where it says that it is.
fn nowhere(member: &Member, url: &str, listed: &[Listed]) -> Hurdle {
    let what = format!("the member list has no member at {url}");
    match listed.iter().find(|l| l.name == member.name.as_str()) {
        Some(l) => {
            let urls: Vec<&str> = l.peer_urls.iter().map(|u| u.0.as_str()).collect();
            let urls = urls.join(",");
            let help = format!(
                "set `initial-advertise-peer-urls` to what the list has for {}, {urls}, and restart it",
                l.name
            );
            Hurdle::on(&member.name, what, help)
        }
        None => Hurdle::on(
            &member.name,
            what,
            "all hosts must have members of one cluster: take over each cluster with an inventory of its own",
        ),
    }
}

/// The inventory's text.
pub fn text(cluster: &ClusterName, version: Version, members: &[Member]) -> String {
    let mut text = format!(
        "# yaml-language-server: $schema={}\n# Taken over by `quorate adopt`. Each value is what the members ran with; `quorate plan` shows what the first\n\
         # `quorate up` changes. Keep this file in git, together with pki/: the CA key in there is encrypted.\ncluster: {}\n\netcd:\n  \
         version: \"{version}\"             # what they ran\n",
        crate::inventory::init::SCHEMA,
        scalar(cluster.as_str())
    );
    let shared = shared(members);
    for (key, value) in &shared {
        let _ = writeln!(text, "  {key}: {value}");
    }
    for (at, (name, value)) in members.iter().take(1).flat_map(|m| &m.options).enumerate() {
        if at == 0 {
            let _ = writeln!(text, "  config:                       # as set on every member");
        }
        let why = match name.as_str() {
            "enable-grpc-gateway" if *value == Value::Bool(true) => {
                "  # on unless it is turned off: JSON clients may use it"
            }
            _ => "",
        };
        let _ = writeln!(text, "    {name}: {value}{why}");
    }
    let _ = writeln!(text, "\nhosts:");
    for member in members {
        let _ = writeln!(text, "  # from {}", member.source);
        let _ = writeln!(text, "  - name: {}", scalar(member.name.as_str()));
        let _ = writeln!(text, "    address: {}", scalar(&member.address.to_string()));
        if member.reached_at != member.address {
            let _ = writeln!(text, "    ssh: {{host: {}}}", scalar(&member.reached_at.to_string()));
        }
        let listen: Vec<String> = member.listen.iter().map(|ip| scalar(&ip.to_string())).collect();
        match listen.as_slice() {
            [] => {}
            [one] => {
                let _ = writeln!(text, "    listen: {one}");
            }
            several => {
                let _ = writeln!(text, "    listen: [{}]", several.join(", "));
            }
        }
        for (key, value) in own(member).iter().filter(|(key, _)| !shared.contains_key(*key)) {
            let _ = writeln!(text, "    {key}: {value}");
        }
        let _ = writeln!(text, "    paths:");
        let _ = writeln!(text, "      data: {}", member.data);
        if let Some(wal) = &member.wal {
            let _ = writeln!(text, "      wal: {wal}");
        }
        if member.fills("/etc/etcd/") {
            let _ = writeln!(
                text,
                "      config: /etc/quorate/etcd-config.yml  # what installed it has its own files in /etc/etcd\n      pki: /etc/quorate/pki"
            );
        }
    }
    text
}

/// Keys that differ from quorate's defaults, by the name that they have for all hosts and for one.
fn own(member: &Member) -> BTreeMap<&'static str, String> {
    let mut own = BTreeMap::new();
    if member.client_port != 2379 {
        own.insert("client_port", member.client_port.to_string());
    }
    if member.peer_port != 2380 {
        own.insert("peer_port", member.peer_port.to_string());
    }
    if member.service.as_str() != "etcd" {
        own.insert("service", scalar(member.service.as_str()));
    }
    if member.user.as_str() != "etcd" {
        own.insert("user", scalar(member.user.as_str()));
    }
    if let Some((address, port)) = member.metrics {
        own.insert("metrics_port", port.to_string());
        if !address.is_loopback() {
            own.insert("metrics_address", scalar(&address.to_string()));
        }
    }
    own
}

/// What all members have alike.
fn shared(members: &[Member]) -> BTreeMap<&'static str, String> {
    let Some((first, rest)) = members.split_first() else {
        return BTreeMap::new();
    };
    let mut shared = own(first);
    shared.retain(|key, value| rest.iter().all(|member| own(member).get(key) == Some(value)));
    shared
}

/// The inventory with which the members are first asked: which options there are depends on their release.
pub fn to_ask_with(cluster: &ClusterName, version: Version, members: &[Member]) -> String {
    let mut bare = members.to_vec();
    bare.iter_mut().for_each(|member| member.options.clear());
    text(cluster, version, &bare)
}

/// The inventory with which the hosts are first connected to: names and addresses alone.
pub fn provisional(cluster: &ClusterName, version: Version, hosts: &[(NodeName, crate::inventory::Address)]) -> String {
    let mut text = format!(
        "cluster: {}\netcd:\n  version: \"{version}\"\nhosts:\n",
        scalar(cluster.as_str())
    );
    for (name, address) in hosts {
        let _ = writeln!(
            text,
            "  - name: {}\n    address: {}",
            scalar(name.as_str()),
            scalar(&address.to_string())
        );
    }
    text
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
