use std::path::Path;

use serde_json::json;

use super::*;
use crate::inventory::{Environment, Version};
use crate::ops::adopt::inventory::text as text_of;
use crate::ops::samples::name;

/// A member with all flags in its unit, as it should be.
fn flags() -> Vec<String> {
    [
        "etcd",
        "--name=n1",
        "--data-dir=/var/lib/etcd",
        "--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379",
        "--advertise-client-urls=https://10.0.0.1:2379",
        "--listen-peer-urls=https://10.0.0.1:2380",
        "--initial-advertise-peer-urls=https://10.0.0.1:2380",
        "--heartbeat-interval=250",
        "--cert-file=/a.crt",
        "--key-file=/a.key",
        "--trusted-ca-file=/ca.crt",
        "--client-cert-auth",
        "--peer-cert-file=/a.crt",
        "--peer-key-file=/a.key",
        "--peer-trusted-ca-file=/ca.crt",
        "--peer-client-cert-auth=true",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn process() -> RunningEtcd {
    let unit = [
        ("Id", "etcd.service"),
        ("LoadState", "loaded"),
        ("FragmentPath", "/etc/systemd/system/etcd.service"),
    ];
    RunningEtcd {
        pid: 7,
        user: "etcd".into(),
        arguments: flags(),
        groups: "0::/system.slice/etcd.service".into(),
        unit: unit.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        opened: vec![
            "/data/etcd/member/snap/db".into(),
            "/data/etcd/member/wal/0-0.wal".into(),
        ],
        owner: Some("etcd".into()),
        ..RunningEtcd::default()
    }
}

fn taken(process: RunningEtcd) -> Result<Member, Vec<Hurdle>> {
    let running = Running {
        etcd: vec![process],
        ..Running::default()
    };
    member(&name(1), &"10.0.0.1".parse().unwrap(), &running, &BTreeMap::new())
}

/// The same with other flags, and why it cannot be taken over.
fn refused(change: impl FnOnce(&mut RunningEtcd)) -> String {
    let mut process = process();
    change(&mut process);
    let hurdles = taken(process).expect_err("a hurdle");
    assert!(
        hurdles.iter().all(|h| h.node == Some(name(1)) && !h.help.is_empty()),
        "{hurdles:?}"
    );
    hurdles.iter().map(|h| h.what.clone()).collect::<Vec<_>>().join("\n")
}

fn with(process: &mut RunningEtcd, flag: &str) {
    let name = flag.split('=').next().unwrap_or(flag).to_owned();
    process.arguments.retain(|a| a.split('=').next() != Some(&name));
    process.arguments.push(flag.to_owned());
}

fn ips(texts: &[&str]) -> Vec<std::net::IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_member_is_described_as_it_runs() {
    let member = taken(process()).expect("a member");
    assert_eq!(member.address, "10.0.0.1".parse().unwrap());
    assert_eq!(member.listen, ips(&["10.0.0.1", "127.0.0.1"]), "loopback as well");
    assert_eq!(
        member.data.as_str(),
        "/data/etcd",
        "where it is, not what a link is called"
    );
    assert_eq!(member.wal, None);
    let kept = json!({"heartbeat-interval": 250, "enable-grpc-gateway": true});
    assert_eq!(serde_json::to_value(&member.options).unwrap(), kept);
    let mut alone = process();
    with(&mut alone, "--listen-client-urls=https://10.0.0.1:2379");
    alone.opened[1] = "/fast/wal/0-0.wal".into();
    let alone = taken(alone).expect("a member");
    assert_eq!((alone.listen, alone.wal), (Vec::new(), Some("/fast".parse().unwrap())));
    let mut open = process();
    with(
        &mut open,
        "--listen-client-urls=https://0.0.0.0:2379,https://[::1]:2379",
    );
    assert_eq!(
        taken(open).expect("a member").listen,
        ips(&["0.0.0.0", "::1"]),
        "its peers' port, too"
    );
    let mut six = process();
    with(
        &mut six,
        "--listen-client-urls=https://[fd00::1]:2379,https://localhost:2379",
    );
    with(&mut six, "--advertise-client-urls=https://[fd00::1]:2379");
    with(&mut six, "--listen-peer-urls=https://[fd00::1]:2380");
    with(&mut six, "--initial-advertise-peer-urls=https://[fd00::1]:2380");
    let six = taken(six).expect("a member");
    assert_eq!(
        (six.address.to_string(), six.listen),
        ("fd00::1".into(), ips(&["fd00::1", "127.0.0.1"]))
    );
}

/// Each with its reason, and none hides another.
#[test]
fn what_cannot_be_taken_over_says_why() {
    let cases: [(&str, &str); 14] = [
        ("--made-up=1", "does not have"),
        ("--name=n9", "is called n9"),
        ("--force-new-cluster", "force-new-cluster"),
        ("--unsafe-no-fsync=true", "unsafe-no-fsync"),
        ("--peer-auto-tls", "peer-auto-tls"),
        ("--peer-cert-allowed-cn=etcd", "peer-cert-allowed-cn"),
        ("--trusted-ca-file=", "clients without a certificate"),
        ("--peer-trusted-ca-file=", "peers without a certificate"),
        ("--listen-client-urls=http://10.0.0.1:2379", "plain HTTP to clients"),
        ("--listen-peer-urls=http://10.0.0.1:2380", "plain HTTP to peers"),
        (
            "--initial-advertise-peer-urls=https://10.0.0.1:2380,https://10.1.0.1:2380",
            "has 2 URLs",
        ),
        ("--advertise-client-urls=https://10.9.9.9:2379", "one address for both"),
        ("--listen-metrics-urls=https://10.0.0.1:2381", "listen-metrics-urls"),
        ("--proxy=on", "it is a proxy"),
    ];
    for (flag, why) in cases {
        let said = refused(|process| with(process, flag));
        assert!(said.contains(why), "{flag}: {said}");
    }
    let both = refused(|process| {
        with(process, "--name=n9");
        with(process, "--force-new-cluster");
        process.unit.insert(
            "ExecStartPre".into(),
            "{ path=/bin/sh ; argv[]=/bin/sh -c rm -rf /var/lib/etcd/* }".into(),
        );
        process
            .unit
            .insert("DropInPaths".into(), "/etc/systemd/system/etcd.service.d/a.conf".into());
        process.owner = Some("root".into());
    });
    for why in [
        "called n9",
        "force-new-cluster",
        "deletes files",
        "a.conf",
        "belongs to root",
    ] {
        assert!(both.contains(why), "{why}: {both}");
    }
}

/// A unit may say something else than what it started: a host that reboots before the member's turn starts that.
#[test]
fn what_the_next_start_would_be_is_looked_at() {
    let unit = |key: &str, value: &str| {
        let (key, value) = (key.to_owned(), value.to_owned());
        move |process: &mut RunningEtcd| drop(process.unit.insert(key, value))
    };
    let exec = "{ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd --name=n1 --force-new-cluster ; ignore_errors=no }";
    assert!(refused(unit("ExecStart", exec)).contains("etcd.service has `force-new-cluster` for its next start"));
    let wrapped = "{ path=/bin/bash ; argv[]=/bin/bash -c \"/bin/rm -rf /data/*; exec etcd\" }";
    assert!(refused(unit("ExecStart", wrapped)).contains("deletes files before each start (`ExecStart=`)"));
    let find = "{ path=/usr/bin/find ; argv[]=/usr/bin/find /data -name x -delete }";
    assert!(refused(unit("ExecStartPre", find)).contains("deletes files"));
    assert!(refused(unit("NeedDaemonReload", "yes")).contains("since systemd read it"));
    let harmless = "{ path=/bin/chown ; argv[]=/bin/chown etcd: /var/lib/alarm/etcd }";
    let mut process = process();
    unit("ExecStartPre", harmless)(&mut process);
    let member = taken(process).expect("a member");
    assert!(member.notes[0].contains("not taken over"), "{:?}", member.notes);
}

#[test]
fn variables_for_the_next_start_are_read_as_well() {
    for (line, forced) in [
        ("ETCD_FORCE_NEW_CLUSTER=true", true),
        (" ETCD_FORCE_NEW_CLUSTER=\"1\"", true),
        ("ETCD_FORCE_NEW_CLUSTER=false", false),
        ("#ETCD_FORCE_NEW_CLUSTER=true", false),
    ] {
        let mut process = process();
        let files = "/etc/etcd.env (ignore_errors=no)";
        process.unit.insert("EnvironmentFiles".into(), files.into());
        let running = Running {
            etcd: vec![process],
            ..Running::default()
        };
        let texts = BTreeMap::from([("/etc/etcd.env".to_owned(), format!("ETCD_NAME=n1\n{line}\n"))]);
        let result = member(&name(1), &"10.0.0.1".parse().unwrap(), &running, &texts);
        assert_eq!(result.is_err(), forced, "{line}: {result:?}");
    }
}

#[test]
fn a_name_that_no_host_can_have_and_logs_in_a_file_change_with_its_turn() {
    let mut process = process();
    with(&mut process, "--name=default");
    with(&mut process, "--log-outputs=stderr,/var/log/etcd.log");
    with(&mut process, "--enable-log-rotation=true");
    with(&mut process, "--client-cert-auth=false");
    let member = taken(process).expect("a member");
    assert_eq!(member.name, name(1));
    assert!(member.notes[0].contains("called `default`") && member.notes[1].contains("to the journal"));
    assert!(
        member.options.keys().all(|option| !option.contains("log")),
        "{:?}",
        member.options
    );
}

#[test]
fn a_member_is_taken_over_by_a_peer_url_with_a_name() {
    let mut process = process();
    with(&mut process, "--initial-advertise-peer-urls=https://n1.example:2380");
    with(&mut process, "--advertise-client-urls=https://n1.example:2379");
    let member = taken(process).expect("a member");
    assert_eq!(member.address.to_string(), "n1.example");
    assert_eq!(member.listen, ips(&["10.0.0.1", "127.0.0.1"]));
    assert_eq!(member.reached_at.to_string(), "10.0.0.1");
}

/// docs/operate.md, "Out of a container": kubeadm's command, word by word, in a unit.
#[test]
fn the_command_of_kubeadms_pod_is_taken_over_as_a_unit() {
    let mut process = process();
    process.arguments = "etcd --advertise-client-urls=https://10.0.0.1:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt \
         --client-cert-auth=true --data-dir=/var/lib/etcd --feature-gates=InitialCorruptCheck=true \
         --initial-advertise-peer-urls=https://10.0.0.1:2380 --initial-cluster=n1=https://10.0.0.1:2380 \
         --key-file=/etc/kubernetes/pki/etcd/server.key --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.1:2379 \
         --listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://10.0.0.1:2380 --name=n1 \
         --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt --peer-client-cert-auth=true \
         --peer-key-file=/etc/kubernetes/pki/etcd/peer.key --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt \
         --snapshot-count=10000 --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt --watch-progress-notify-interval=5s"
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    (process.user, process.owner) = ("root".into(), Some("root".into()));
    let member = taken(process).expect("a member");
    assert_eq!(member.metrics, Some((ips(&["127.0.0.1"])[0], 2381)));
    assert_eq!(member.listen, ips(&["127.0.0.1", "10.0.0.1"]));
    assert_eq!(member.pairs[1][0], "/etc/kubernetes/pki/etcd/peer.crt");
    let cluster = "lab".parse().unwrap();
    let text = text_of(&cluster, Version::new(3, 6, 16), &[member]);
    let environment = Environment {
        home: None,
        state_dir: "/state".into(),
        user: "me".into(),
        dir: "/cluster".into(),
        shared: Vec::new(),
    };
    let read = crate::inventory::parse(Path::new("inventory.yml"), &text, &environment);
    assert!(read.is_ok(), "{text}\n{read:?}");
}

#[test]
fn a_restart_meanwhile_is_noticed() {
    let seen = |process: RunningEtcd| Running {
        etcd: vec![process],
        ..Running::default()
    };
    let before = taken(process()).expect("a member");
    assert_eq!(restarted_since(&before, &seen(process())), None);
    let again = RunningEtcd {
        started: 1,
        ..process()
    };
    assert!(restarted_since(&before, &seen(again)).is_some());
    assert!(restarted_since(&before, &Running::default()).is_some(), "it is down");
}

#[test]
fn what_is_in_other_hands_stays_there() {
    let pod =
        refused(|process| process.groups = "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope".into());
    assert!(pod.contains("kubelet would start it again"), "{pod}");
    let by_hand = refused(|process| process.unit.clear());
    assert!(by_hand.contains("not a systemd unit"), "{by_hand}");
    let k3s = Running {
        others: vec!["k3s-server".into()],
        ..Running::default()
    };
    let hurdles = member(&name(1), &"10.0.0.1".parse().unwrap(), &k3s, &BTreeMap::new()).expect_err("a hurdle");
    assert!(hurdles[0].what.contains("part of k3s-server"));
    let two = Running {
        etcd: vec![process(), process()],
        ..Running::default()
    };
    assert!(member(&name(1), &"10.0.0.1".parse().unwrap(), &two, &BTreeMap::new()).is_err());
}
