//! Members that live get other ports, listeners, addresses and names: one after the other under writes, with their data and
//! their ids, killed on the way and finished by the same command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::{Host, Lab};

fn inventory(lab: &Lab) -> String {
    fs::read_to_string(lab.dir().join("inventory.yml")).expect("the inventory")
}

/// Ids and peer URLs, as etcd lists them.
fn listed(lab: &Lab) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let list = lab.quorate(&["ctl", "--", "member", "list", "-w", "json"]).ok();
    let list: serde_json::Value = serde_json::from_str(list.stdout.trim()).expect("etcdctl's JSON");
    let members = list["members"].as_array().expect("members");
    let one = |member: &serde_json::Value| {
        let urls = member["peerURLs"].as_array().expect("URLs");
        let urls = urls.iter().filter_map(|url| url.as_str()).map(str::to_owned);
        (
            member["name"].as_str().expect("a name").to_owned(),
            (member["ID"].to_string(), urls.collect()),
        )
    };
    members.iter().map(one).collect()
}

/// Everybody is whom it was, at `url` and nowhere else.
#[track_caller]
fn everybody_is_at(lab: &Lab, before: &BTreeMap<String, (String, BTreeSet<String>)>, url: impl Fn(&Host) -> String) {
    let now = listed(lab);
    for host in lab.hosts() {
        let (id, urls) = &now[&host.name];
        assert_eq!(*id, before[&host.name].0, "{} is another member", host.name);
        assert_eq!(*urls, BTreeSet::from([url(host)]), "{now:?}");
    }
}

#[test]
fn ports_and_listeners_of_a_living_cluster_change_under_writes() {
    let lab = Lab::cluster(3);
    let (text, before) = (inventory(&lab), listed(&lab));
    let mut changed = text.replace("etcd:\n", "etcd:\n  client_port: 12379\n  peer_port: 12380\n");
    for host in lab.hosts() {
        let entry = format!("    address: {}\n", host.address);
        changed = changed.replace(&entry, &format!("{entry}    listen: [{}, 127.0.0.1]\n", host.address));
    }
    // While nobody runs the refusal leads out, word by word.
    for host in lab.hosts() {
        host.sh("systemctl stop etcd");
    }
    lab.write("inventory.yml", &changed);
    lab.quorate(&["up", "--yes"]).code(4).says(&[
        "no member answers",
        ":2380, but the inventory has it at",
        "put `address` and `peer_port` back",
    ]);
    lab.write("inventory.yml", &text);
    lab.quorate(&["up", "--yes"]).ok();

    let ports = ["2379", "12379"];
    let endpoints = lab
        .hosts()
        .iter()
        .flat_map(|h| ports.map(|port| format!("https://{}:{port}", h.address)));
    let writes = lab.begin_writing_to(&endpoints.collect::<Vec<_>>());
    let since = lab.host("n1").now();
    lab.write("inventory.yml", &changed);
    let plan = lab.quorate(&["plan"]).code(10);
    for text in [
        "tell the cluster that n1 is at https://",
        ":2380 and https://",
        "3 voters, survives 1 failure now, 0 during, 1 after",
    ] {
        assert!(plan.stdout.contains(text), "{plan}");
    }
    // Killed with the new files in place, and nobody has read them.
    let restarts: Vec<&str> = plan
        .stdout
        .lines()
        .filter(|line| line.contains(". restart n"))
        .collect();
    let first = restarts
        .first()
        .and_then(|line| line.trim().split(['.', ' ']).collect::<Vec<_>>().first().copied());
    let node = restarts
        .first()
        .and_then(|line| line.split("restart ").nth(1)?.split(' ').next());
    let point = format!("in-place:w{}.{}", first.expect("a wave"), node.expect("a host"));
    let mut run = lab.hold(&["up", "--yes"], &point);
    run.kill();
    drop(run.wait());
    writes.goes_on();
    // It is seen where it listens, which is not where the file says.
    assert_eq!(lab.status()["healthy"], true);
    lab.quorate(&["up", "--yes"]).ok();
    everybody_is_at(&lab, &before, |host| format!("https://{}:12380", host.address));
    assert_eq!(lab.one_down_at_a_time(since).len(), 3);
    writes.goes_on();
    writes.end_with_nothing_lost();
    lab.assert_converged();
    let local = "ETCDCTL_ENDPOINTS=https://127.0.0.1:12379";
    let n1 = lab.host("n1");
    n1.sh(&format!(
        "set -a; . /etc/etcd/etcd-config.etcdctl.env; {local}; PATH=$PATH:$(ls -d /opt/quorate/etcd/*) etcdctl endpoint health"
    ));
}

#[test]
fn members_go_from_addresses_to_names() {
    let lab = Lab::cluster(3);
    let (text, before) = (inventory(&lab), listed(&lab));
    let mut changed = text.clone();
    let name = |host: &Host| format!("etcd-{}.lab", host.name);
    let known: Vec<String> = lab
        .hosts()
        .iter()
        .map(|host| format!("{} {}", host.address, name(host)))
        .collect();
    for host in lab.hosts() {
        host.sh(&format!("echo '{}' >>/etc/hosts", known.join("\n")));
        let entry = format!("address: {}\n", host.address);
        // The writer goes on using the addresses.
        let old = format!("    ssh: {{host: {0}}}\n    sans: {0}\n", host.address);
        changed = changed.replace(&entry, &format!("address: {}\n{old}", name(host)));
    }
    let writes = lab.begin_writing();
    let since = lab.host("n1").now();
    lab.write("inventory.yml", &changed);
    // Their members work, and the file and the cluster differ.
    let glance = lab.quorate(&["status"]).code(11);
    assert!(glance.stdout.contains("`quorate up` moves it"), "{glance}");
    // After the certificates, and after the cluster has been told of the first member.
    for point in ["after:w1.n1", "after:w2.cluster"] {
        let mut run = lab.hold(&["up", "--yes"], point);
        run.kill();
        drop(run.wait());
        writes.goes_on();
    }
    lab.quorate(&["up", "--yes"]).ok();
    everybody_is_at(&lab, &before, |host| format!("https://{}:2380", name(host)));
    assert_eq!(lab.one_down_at_a_time(since).len(), 3);
    writes.goes_on();
    writes.end_with_nothing_lost();
    lab.assert_converged();
}

#[test]
fn a_host_with_another_address_keeps_its_member() {
    let lab = Lab::cluster(3);
    let before = listed(&lab);
    lab.lead("n2");
    let n1 = lab.host("n1");
    let elsewhere = {
        let (net, _) = n1.address.rsplit_once('.').expect("an IPv4 address");
        format!("{net}.211")
    };
    let old = n1.address.clone();
    n1.sh(&format!(
        "dev=$(ip -o -4 addr show to {old} | awk '{{print $2}}'); ip addr del {old}/24 dev $dev; ip addr add {elsewhere}/24 dev $dev"
    ));
    lab.edit(&old, &elsewhere);
    lab.quorate(&["trust", "--yes"]).ok();
    lab.quorate(&["up", "--yes"]).ok();
    assert_eq!(lab.status()["healthy"], true);
    everybody_is_at(&lab, &before, |host| match host.name.as_str() {
        "n1" => format!("https://{elsewhere}:2380"),
        _ => format!("https://{}:2380", host.address),
    });
    lab.assert_converged();
}
