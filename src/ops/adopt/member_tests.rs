use serde_json::json;

use super::*;
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
        others: Vec::new(),
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
        ("--name=default", "called `default`"),
        ("--name=n9", "is called n9"),
        ("--force-new-cluster", "force-new-cluster"),
        ("--unsafe-no-fsync=true", "unsafe-no-fsync"),
        ("--peer-auto-tls", "peer-auto-tls"),
        ("--peer-cert-allowed-cn=etcd", "peer-cert-allowed-cn"),
        ("--client-cert-auth=false", "clients without a certificate"),
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
        with(process, "--name=default");
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
        "default",
        "force-new-cluster",
        "deletes files",
        "a.conf",
        "belongs to root",
    ] {
        assert!(both.contains(why), "{why}: {both}");
    }
}

#[test]
fn what_is_in_other_hands_stays_there() {
    let pod =
        refused(|process| process.groups = "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope".into());
    assert!(pod.contains("kubelet would start it again"), "{pod}");
    let by_hand = refused(|process| process.unit.clear());
    assert!(by_hand.contains("not a systemd unit"), "{by_hand}");
    let k3s = Running {
        etcd: Vec::new(),
        others: vec!["k3s-server".into()],
    };
    let hurdles = member(&name(1), &"10.0.0.1".parse().unwrap(), &k3s, &BTreeMap::new()).expect_err("a hurdle");
    assert!(hurdles[0].what.contains("part of k3s-server"));
    let two = Running {
        etcd: vec![process(), process()],
        others: Vec::new(),
    };
    assert!(member(&name(1), &"10.0.0.1".parse().unwrap(), &two, &BTreeMap::new()).is_err());
}
