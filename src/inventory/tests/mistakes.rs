//! What is wrong is said where it is wrong, all of it at once, with a way out.

use super::*;

const FIVE_MISTAKES: &str = "\
cluster: prod-a
etcd:
  version: \"3.5.30\"
  clinet_port: 2379
  peer_port: 99999
  config:
    qouta-backend-bytes: 8GiB
hosts:
  - name: Etcd_1
    address: 10.0.0.11
  - name: etcd-2
    address: 10.0.0.12
  - name: etcd-3
    address: 10.0.0.12
";

#[test]
fn five_mistakes_are_five_problems_in_one_run() {
    assert_eq!(
        mistakes(FIVE_MISTAKES),
        [
            "4:3 there is no key `clinet_port` in `etcd`",
            "5:14 `99999` is not a port",
            "7:5 etcd 3.5.30 has no option `qouta-backend-bytes`",
            "9:11 `Etcd_1` cannot name a host",
            "14:14 two hosts share the address `10.0.0.12`",
        ]
    );
}

#[test]
fn the_report_underlines_each_of_them() {
    let error = read(FIVE_MISTAKES).unwrap_err();
    insta::assert_snapshot!(drawn(&error));
}

#[test]
fn problems_are_data_for_other_programs() {
    let error = read("cluster: prod-a\netcd: {version: 3.5.30}\nhosts: [{name: a, address: 10.0.0.1, sanz: []}]\n");
    let json = serde_json::to_value(error.unwrap_err().problems()).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "line": 3, "column": 38, "severity": "error",
            "message": "there is no key `sanz` in a host", "help": "did you mean `sans`?",
        }])
    );
}

#[test]
fn what_is_wrong_for_every_host_in_one_place_is_said_once() {
    let text = "\
cluster: a
etcd: {version: 3.5.30, peer_port: 2379, paths: {data: /var}}
hosts: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}, {name: c, address: 10.0.0.3}]
";
    assert_eq!(
        mistakes(text),
        [
            "2:36 `client_port` and `peer_port` are both 2379",
            "2:56 `/var` belongs to the system; quorate owns what is in `paths.data`",
        ]
    );
}

/// One mistake each: the text, and what is said about it.
#[test]
fn every_single_mistake_has_its_own_message() {
    let h = with_hosts;
    let top = |lines: &str| format!("{lines}\n{}", with_hosts(&["name: a, address: 10.0.0.1"]));
    let etcd = |etcd: &str| format!("cluster: a\netcd: {{{etcd}}}\nhosts: [{{name: a, address: 10.0.0.1}}]\n");
    let cases = [
        // Missing, empty, of the wrong kind, given twice.
        (
            "cluster: a\nhosts: []\n".to_owned(),
            "1:1 `etcd` is missing in the inventory",
        ),
        ("etcd: {}\n".to_owned(), "1:1 `cluster` is missing in the inventory"),
        (etcd("client_port: 1"), "2:8 `version` is missing in `etcd`"),
        (etcd("version: "), "2:8 `version` has no value in `etcd`"),
        (h(&[]), "3:1 `hosts` has no value in the inventory"),
        (h(&["name: a"]), "4:6 `address` is missing in a host"),
        (etcd("version: [3.5.30]"), "2:17 expected a single value, not a list"),
        (top("ssh: 5"), "1:6 expected a mapping (`ssh`), not a single value"),
        ("- a\n".to_owned(), "1:1 expected a mapping (the inventory), not a list"),
        (
            etcd("version: 3.5.30, config: [a]"),
            "2:33 expected a mapping (etcd's options), not a list",
        ),
        (top("cluster: b"), "2:1 `cluster` is set twice in the inventory"),
        (
            etcd("version: 3.5.30, config: {max-wals: 1, max-wals: 2}"),
            "2:47 `max-wals` is set twice in etcd's options",
        ),
        // Names, numbers, places.
        (etcd("version: 3.5"), "2:17 `3.5` is not an etcd version"),
        (etcd("version: 3.9.1"), "2:17 quorate does not know etcd 3.9"),
        (etcd("version: 3.5.30, client_port: 0"), "2:38 `0` is not a port"),
        (etcd("version: 3.5.30, service: a b"), "2:34 `a b` cannot name a unit"),
        (etcd("version: 3.5.30, user: -x"), "2:31 `-x` cannot name an account"),
        (
            etcd("version: 3.5.30, paths: {data: rel}"),
            "2:39 `rel` cannot be used as a path",
        ),
        (
            etcd("version: 3.5.30, paths: {data: /var/lib}"),
            "2:39 `/var/lib` belongs to the system; quorate owns what is in `paths.data`",
        ),
        (
            etcd("version: 3.5.30, paths: {data: /d, pki: /d/pki}"),
            "2:48 `paths.pki` (/d/pki) is inside `paths.data` (/d), which quorate may empty",
        ),
        (
            etcd("version: 3.5.30, paths: {data: /d, wal: /d}"),
            "2:48 `paths.wal` (/d) is inside `paths.data` (/d), which quorate may empty",
        ),
        (
            etcd("version: 3.5.30, client_port: 2380"),
            "2:38 `client_port` and `peer_port` are both 2380",
        ),
        (
            etcd("version: 3.5.30, metrics_port: 2379"),
            "2:39 `client_port` and `metrics_port` are both 2379",
        ),
        (
            h(&["name: a, address: 10.0.0.1:2379"]),
            "4:24 `10.0.0.1:2379` is not an address",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: host"]),
            "4:42 `host` is not an IP address to listen on",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: [10.0.0.1, 10.0.0.1]"]),
            "4:53 `listen` has `10.0.0.1` twice",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: [127.0.0.1, 0.0.0.0]"]),
            "4:54 `listen` has `0.0.0.0`, which is every address, and `127.0.0.1` beside it",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: ['::', 10.0.0.1]"]),
            "4:49 `listen` has `::`, which is every address, and `10.0.0.1` beside it",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: []"]),
            "4:6 `listen` is an empty list",
        ),
        (
            h(&["name: a, address: 10.0.0.1, listen: [127.0.0.1, '::1']"]),
            "4:43 nobody can connect to `10.0.0.1`: `a` listens on loopback alone",
        ),
        (
            top("pki: {sans: [10.0.0.1:80]}"),
            "1:14 `10.0.0.1:80` is not an address",
        ),
        (
            h(&["name: a, address: 10.0.0.1, connection: telnet"]),
            "4:46 `telnet` is not a way to reach a host",
        ),
        (top("ssh: {jump: 'a b'}"), "1:13 `a b` is not a jump host"),
        (
            top("ssh: {host: bastion}"),
            "1:13 `ssh.host` is for one host, not for all",
        ),
        (
            top("ssh: {identity: ~other/key}"),
            "1:17 `~other/key` cannot be expanded",
        ),
        (top("ssh: {config: maybe}"), "1:15 `maybe` is neither true nor false"),
        // Certificates.
        (top("pki: {renew_before: 30}"), "1:21 `30` has no unit"),
        (top("pki: {leaf_validity: 1 year}"), "1:22 `1 year` is not a duration"),
        (
            top("pki: {leaf_validity: 20d}"),
            "1:22 certificates valid for 20d and renewed 30d before they expire would be renewed by every `up`",
        ),
        (
            top("pki: {ca_validity: 100d}"),
            "1:20 certificates valid for 1y outlive their CA, which is valid for 100d",
        ),
        (top("pki: {key_type: dsa}"), "1:17 `dsa` is not a key type"),
        (
            top("pki: {recipients: [AGE-SECRET-KEY-1X]}"),
            "1:20 the inventory contains a private key",
        ),
        // etcd's options.
        (
            etcd("version: 3.5.30, config: {data-dir: /x}"),
            "2:34 quorate sets `data-dir` itself",
        ),
        (
            etcd("version: 3.6.1, config: {experimental-memory-mlock: true}"),
            "2:33 `experimental-memory-mlock` is called `memory-mlock` in etcd 3.6.1",
        ),
        (
            etcd("version: 3.5.30, config: {snapshot-count: 'x'}"),
            "2:50 `x` is not a whole number, as `snapshot-count` requires",
        ),
        // Hosts against each other.
        (
            h(&[
                "name: a, address: 10.0.0.1",
                "name: a, address: 10.0.0.2",
                "name: c, address: 10.0.0.3",
            ]),
            "5:12 two hosts are called `a`",
        ),
        (
            h(&[
                "name: a, address: 10.0.0.1",
                "name: b, address: 10.0.0.2",
                "name: c, address: 127.0.0.1",
            ]),
            "6:24 the other members cannot reach `127.0.0.1`: it is this host's loopback",
        ),
    ];
    for (text, wanted) in cases {
        let said = mistakes(&text);
        assert!(
            said.iter().any(|m| m == wanted),
            "{text}\nwanted {wanted}\nsaid {said:#?}"
        );
        for problem in read(&text).unwrap_err().problems() {
            assert!(!problem.help.is_empty(), "{problem:?}");
        }
    }
}

#[test]
fn members_on_one_machine_must_not_share_sockets_units_or_directories() {
    let local = |name: &str, more: &str| format!("name: {name}, address: 127.0.0.1, connection: local{more}");
    let three = |b: &str| {
        let c = local("c", ", client_port: 32379, peer_port: 32380");
        let hosts = [local("a", ", client_port: 12379, peer_port: 12380"), local("b", b), c];
        with_hosts(&hosts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let good = ", client_port: 22379, peer_port: 22380";
    assert_eq!(meaning(&three(good)).hosts.len(), 3);
    assert_eq!(
        mistakes(&three(", client_port: 22379, peer_port: 12379")),
        ["5:85 `a` and `b` are on one machine and share port 12379"]
    );
    let same = format!("{good}, paths: {{data: /home/me/.local/state/quorate/a/a/data/x}}");
    assert_eq!(
        mistakes(&three(&same)),
        ["5:12 `a` and `b` are on one machine and share `/home/me/.local/state/quorate/a/a/data`"]
    );
    // Other loopback addresses may have the same ports.
    let spread: Vec<String> = (1..=3)
        .map(|i| format!("name: n{i}, address: 127.0.0.1{i}, connection: local"))
        .collect();
    let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
    assert_eq!(meaning(&with_hosts(&spread)).hosts.len(), 3);
    // One address over SSH, other ports: the unit is the same.
    let units = with_hosts(&[
        "name: a, address: 10.0.0.1",
        "name: b, address: 10.0.0.1, client_port: 12379, peer_port: 12380",
        "name: c, address: 10.0.0.3",
    ]);
    assert_eq!(
        mistakes(&units),
        ["5:12 `a` and `b` are on one machine and share the unit `etcd`"]
    );
}

#[test]
fn numbers_of_hosts_that_help_nobody_are_warnings() {
    let warnings = |count: usize| {
        let hosts: Vec<String> = (1..=count)
            .map(|i| format!("name: n{i}, address: 10.0.0.{i}"))
            .collect();
        let loaded = read(&with_hosts(&hosts.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
        assert_eq!(loaded.warning_report().is_some(), !loaded.warnings.is_empty());
        loaded
            .warnings
            .into_iter()
            .map(|w| w.message)
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert!(warnings(2).contains("losing or restarting either one is an outage"));
    assert_eq!(warnings(4), "4 members survive no more failures than 3");
    assert!(warnings(9).contains("waits for 5 of them"));
    for fine in [1, 3, 5, 7] {
        assert_eq!(warnings(fine), "");
    }
    let none = "cluster: a\netcd: {version: 3.5.30}\nhosts: []\n";
    assert_eq!(mistakes(none), ["3:1 there are no hosts"]);
}

#[test]
fn a_host_overrides_what_is_typed_for_all() {
    let text = "\
cluster: a
etcd: {version: v3.5.30, client_port: 4000, service: etcd-x, paths: {data: /data}}
ssh: {user: ops, port: 2200, jump: [b1, 'b2:22'], sudo: never, config: false, known_hosts: ../kh}
hosts:
  - name: a
    address: a.example.com
    client_port: 4001
    service: etcd-y
    user: db
    listen: 10.0.0.1
    metrics_port: 9000
    metrics_address: 10.0.0.1
    paths: {pki: /p}
    ssh: {user: root, jump: [], identity: [k1, ~/k2]}
";
    let desired = meaning(text);
    let host = desired.hosts.values().next().unwrap();
    assert_eq!(
        (host.client_port, host.service.as_str(), host.user.as_str()),
        (4001, "etcd-y", "db")
    );
    assert_eq!(host.listen, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(
        host.metrics.map(|m| (m.address.to_string(), m.port)),
        Some(("10.0.0.1".to_owned(), 9000))
    );
    assert_eq!(host.paths.data.as_str(), "/data");
    assert_eq!(host.paths.pki.as_str(), "/p");
    assert_eq!(host.paths.config.as_str(), "/etc/etcd-y/etcd-config.yml");
    assert_eq!(host.paths.run.as_str(), "/run/quorate-etcd-y");
    let Connection::Ssh(ssh) = &host.connection else {
        panic!()
    };
    assert_eq!(ssh.user.as_deref(), Some("root"));
    assert_eq!(ssh.port, Some(2200));
    assert!(ssh.jump.is_empty() && !ssh.use_config);
    assert_eq!(
        ssh.identity,
        [PathBuf::from("/work/infra/k1"), PathBuf::from("/home/me/k2")]
    );
    assert_eq!(ssh.known_hosts, Path::new("/work/infra/../kh"));
}

#[test]
fn a_supervised_member_runs_as_the_operator_or_not_at_all() {
    let text = with_hosts(&["name: a, address: 127.0.0.1, connection: local, user: etcd"]);
    assert_eq!(
        mistakes(&text),
        ["4:60 a member under `process` runs as you (`me`), not as `etcd`"]
    );
    let text = with_hosts(&["name: a, address: 127.0.0.1, connection: local, user: etcd, service_manager: systemd"]);
    assert_eq!(
        meaning(&text).hosts.values().next().unwrap().paths.data.as_str(),
        "/var/lib/etcd"
    );
    let remote = with_hosts(&["name: a, address: 10.0.0.1, service_manager: process"]);
    let remote = meaning(&remote);
    let host = remote.hosts.values().next().unwrap();
    assert_eq!(host.paths.data.as_str(), "/var/lib/quorate/a/a/data");
    assert_eq!(host.user.as_str(), "etcd");
}

/// The schema, the reader and the reference are about the same keys.
#[test]
fn the_reader_takes_exactly_the_keys_of_the_schema() {
    let schema = schema();
    let known = |text: &str, what: &str| {
        let error = read(text).unwrap_err();
        let problem = error
            .problems()
            .iter()
            .find(|p| p.message.contains("`qqqqqqqqqqqq`"))
            .unwrap();
        assert!(problem.message.ends_with(what), "{problem:?}");
        let list = problem
            .help
            .strip_prefix("known keys: ")
            .unwrap()
            .replace(" and ", ", ")
            .replace('`', "");
        let mut list: Vec<String> = list.split(", ").map(str::to_owned).collect();
        list.sort();
        list
    };
    let keys = |path: &[&str]| -> Vec<String> {
        let object = reference::section_schema(&schema, path);
        assert_eq!(object["additionalProperties"], false, "{path:?}");
        let mut keys: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(known("qqqqqqqqqqqq: 1", "the inventory"), keys(&[]));
    assert_eq!(known("etcd: {qqqqqqqqqqqq: 1}", "`etcd`"), keys(&["etcd"]));
    assert_eq!(
        known("etcd: {paths: {qqqqqqqqqqqq: 1}}", "`paths`"),
        keys(&["etcd", "paths"])
    );
    assert_eq!(known("pki: {qqqqqqqqqqqq: 1}", "`pki`"), keys(&["pki"]));
    assert_eq!(known("ssh: {qqqqqqqqqqqq: 1}", "`ssh`"), keys(&["ssh"]));
    assert_eq!(known("hosts: [{qqqqqqqqqqqq: 1}]", "a host"), keys(&["hosts"]));
    assert_eq!(keys(&["hosts", "ssh"]), keys(&["ssh"]));
}
