//! What installers leave behind: etcdadm, and autobase and pigsty for Patroni. Their members are all called `default`.

use std::time::Duration;

use super::{Client, Layout, all_healthy, etcdctl, hosts_of, started, their_files, theirs};
use crate::harness::{Host, current, wait_until};

/// Calls a member `default`, as one that was started without a name and joined.
fn forget_its_name(host: &Host, layout: Layout) {
    host.sh(&format!(
        "sed -i 's#^ETCD_NAME=.*#ETCD_NAME=default#; s#^name: .*#name: default#' {}; systemctl restart etcd",
        layout.options_in()
    ));
}

#[test]
fn members_of_three_installers_without_names_get_their_hosts_names_and_files_of_quorates_own() {
    let layouts = [Layout::Etcdadm, Layout::Autobase, Layout::Pigsty];
    let lab = theirs(&current(), layouts);
    for (host, layout) in lab.hosts().iter().zip(layouts) {
        forget_its_name(host, layout);
        wait_until("the member to be back", Duration::from_secs(60), || all_healthy(&lab));
    }
    let (before, files) = (started(&lab), their_files(&lab));
    let client = Client::begin(&lab);

    let addresses: Vec<&str> = lab.hosts().iter().map(|host| host.address.as_str()).collect();
    let from = |addresses: &[&str]| {
        let words = [
            "adopt",
            "--cluster",
            "lab",
            "--ca-key",
            "theirs/ca.key",
            "--yes",
            "--from",
        ];
        let words: Vec<String> = words.iter().chain(addresses).map(|word| (*word).to_owned()).collect();
        lab.quorate(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    from(&addresses[..2])
        .code(4)
        .says(&["the cluster has another member", "pass its host as well (--from"]);
    let twice = from(&[addresses[0], addresses[1], addresses[2], addresses[0]]);
    assert_ne!(twice.status, Some(0), "{twice}");
    assert!(!lab.dir().join("inventory.yml").exists());
    from(&addresses).ok().says(&[
        "n1: its member is called `default`, and n1 from its restart on",
        "n3: it logs to /var/log/etcd.log, and to the journal from its restart on",
        "config: /etc/quorate/etcd-config.yml",
        "pki: /etc/quorate/pki",
    ]);
    assert_eq!(started(&lab), before, "a member was restarted");
    assert_eq!(their_files(&lab), files, "something of theirs was changed");
    assert_eq!(lab.status()["healthy"], true);

    lab.quorate(&["up", "--yes"]).ok();
    lab.assert_converged();
    client.end();
    let listed = etcdctl(&lab, "member list").expect("a list");
    for host in hosts_of(&lab) {
        let name = host.split('=').next().expect("a name");
        assert!(listed.contains(&format!(", {name}, ")), "{listed}");
    }
    // Their own files stay what they were, but for the unit that was replaced.
    let kept = |files: &[String]| -> Vec<String> {
        let own = |file: &String| {
            file.lines()
                .filter(|line| line.contains("/etc/etcd/"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join(" ")
        };
        files.iter().map(own).collect()
    };
    assert_eq!(kept(&their_files(&lab)), kept(&files));
}
