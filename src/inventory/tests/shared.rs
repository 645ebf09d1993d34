//! Settings that several inventories share: what wins, what each file is told, and what is relative to what.

use super::super::shared::Shared;
use super::*;

/// An inventory below `/work/infra/eu`, with what lies there and, nearer, beside it.
fn loaded(text: &str, files: &[(&str, &str)]) -> Result<Loaded, InventoryError> {
    let shared = files.iter().map(|(dir, text)| Shared {
        path: Path::new(dir).join("defaults.yml"),
        dir: PathBuf::from("/work").join(dir),
        text: (*text).to_owned(),
    });
    let environment = Environment {
        shared: shared.collect(),
        ..environment()
    };
    parse(Path::new("infra/a.yml"), text, &environment)
}

fn meaning(text: &str, files: &[(&str, &str)]) -> Desired {
    match loaded(text, files) {
        Ok(loaded) => loaded.desired,
        Err(error) => panic!("{:#?}", error.problems()),
    }
}

/// `FILE:LINE:COLUMN message`.
fn mistakes(text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let error = loaded(text, files).expect_err("there is a mistake");
    let told = error.problems().iter().map(|p| {
        let file = p.file.as_deref().unwrap_or("-");
        format!("{file}:{}:{} {}", p.line, p.column, p.message)
    });
    told.collect()
}

const OWN: &str = "cluster: a\nhosts: [{name: n1, address: 10.0.0.1}]\n";

const SHARED: &str = "\
etcd:
  version: \"3.6.16\"
  user: etcd-prod
  config:
    quota-backend-bytes: 8GiB
    auto-compaction-retention: 8h
ssh: {user: ops, jump: [bastion-1, bastion-2], identity: keys/ops}
pki: {recipients: [ops.pub], sans: [lb.example.com]}
backup: {schedule: daily, to: /srv/backup, keep: {daily: 7, weekly: 4}}
";

#[test]
fn an_inventory_needs_only_what_is_its_own() {
    let desired = meaning(OWN, &[("infra", SHARED)]);
    assert_eq!(desired.version.to_string(), "3.6.16");
    assert_eq!(desired.options.len(), 2);
    let host = desired.hosts.values().next().unwrap();
    assert_eq!(host.user.as_str(), "etcd-prod");
    assert_eq!(desired.backup.unwrap().keep.unwrap().weekly, 4);
}

#[test]
fn the_nearest_wins_sections_are_merged_and_lists_are_replaced() {
    let own = "\
cluster: a
etcd:
  config: {quota-backend-bytes: 2GiB}
ssh: {jump: bastion-9}
backup: {keep: {daily: 1}}
hosts: [{name: n1, address: 10.0.0.1}]
";
    let nearer = "etcd: {version: 3.5.30, user: etcd-eu}\nssh: {jump: [bastion-eu], port: 2222}\n";
    let desired = meaning(own, &[("infra/eu", nearer), ("infra", SHARED)]);
    assert_eq!(desired.version.to_string(), "3.5.30");
    assert_eq!(
        desired.options["quota-backend-bytes"],
        serde_json::json!(2_147_483_648_u64)
    );
    assert!(desired.options.contains_key("auto-compaction-retention"));
    let keep = desired.backup.unwrap().keep.unwrap();
    assert_eq!((keep.daily, keep.weekly), (1, 4));
    let host = desired.hosts.values().next().unwrap();
    assert_eq!(host.user.as_str(), "etcd-eu");
    let Connection::Ssh(ssh) = &host.connection else {
        panic!()
    };
    let jumps: Vec<&str> = ssh.jump.iter().map(|jump| jump.host.as_str()).collect();
    assert_eq!(
        (jumps, ssh.port, ssh.user.as_deref()),
        (vec!["bastion-9"], Some(2222), Some("ops"))
    );
}

#[test]
fn a_key_without_a_value_is_the_programs_default_again() {
    let own = format!("{OWN}backup:\nssh: {{user: null}}\nclients:\n");
    let desired = meaning(&own, &[("infra", &format!("{SHARED}clients: patroni\n"))]);
    assert_eq!(desired.backup, None);
    assert!(desired.clients.is_empty());
    let Connection::Ssh(ssh) = &desired.hosts.values().next().unwrap().connection else {
        panic!()
    };
    assert_eq!((ssh.user.as_deref(), ssh.jump.len()), (None, 2));
}

#[test]
fn paths_are_relative_to_the_file_that_they_stand_in() {
    let own = format!("{OWN}backup: {{to: 's3://b/p', s3_credentials: mine}}\n");
    let desired = meaning(&own, &[("infra/eu", "pki: {dir: shared-pki}\n"), ("", SHARED)]);
    assert_eq!(desired.pki.dir, Path::new("/work/infra/eu/shared-pki"));
    assert_eq!(desired.pki.recipients, ["/work/ops.pub"]);
    assert_eq!(desired.pki.identities, [Path::new("/work/keys/ops")]);
    let credentials = desired.backup.unwrap().s3_credentials.unwrap();
    assert_eq!(credentials, Path::new("/work/infra/mine"));
    let Connection::Ssh(ssh) = &desired.hosts.values().next().unwrap().connection else {
        panic!()
    };
    assert_eq!(ssh.known_hosts, Path::new("/work/infra/eu/shared-pki/known_hosts"));
}

#[test]
fn every_problem_of_every_file_is_said_at_once_in_its_own_place() {
    let own = "cluster: a\nclinets: kubernetes\netcd: {user: etcd}\nhosts: [{name: n1, address: 10.0.0.1}]\n";
    // What the inventory does not use of it is wrong all the same.
    let shared = "\
etcd: {version: \"3.6.16\", user: 'no one', config: {qouta-backend-bytes: 1}}
cluster: b
hosts: []
sssh: {}
ssh: [x]
";
    let all = [
        "-:2:1 there is no key `clinets` in the inventory",
        "defaults.yml:1:33 `no one` cannot name an account",
        "defaults.yml:1:52 etcd 3.6.16 has no option `qouta-backend-bytes`",
        "defaults.yml:2:1 `cluster` is of one cluster, and this file is for several",
        "defaults.yml:3:1 `hosts` is of one cluster, and this file is for several",
        "defaults.yml:4:1 there is no key `sssh` in the inventory",
        "defaults.yml:5:6 expected a mapping (`ssh`), not a list",
    ];
    assert_eq!(mistakes(own, &[("", shared)]), all);
    // What cannot be read may be what seems to be missing.
    assert_eq!(
        mistakes(OWN, &[("", "etcd: {version\n")])
            .iter()
            .map(|told| told.split(" not readable").next().unwrap().to_owned())
            .collect::<Vec<_>>(),
        ["defaults.yml:1:7"]
    );
    assert_eq!(
        mistakes(OWN, &[("", "# nothing\n")]),
        ["-:1:1 `etcd` is missing in the inventory"]
    );
}

#[test]
fn a_problem_is_shown_in_the_file_it_is_in_and_names_the_other_half() {
    let own = "\
cluster: a
hosts:
  - {name: n1, address: 127.0.0.1, connection: local, client_port: 4001, peer_port: 5000, bogus: 1}
  - {name: n2, address: 127.0.0.1, connection: local, client_port: 5001}
";
    let shared = "etcd:\n  version: \"3.6.16\"\n  peer_port: 4001\n  peer_port: 4002\n  metrics_adress: 10.0.0.1\n";
    let error = loaded(own, &[("infra", shared)]).unwrap_err();
    insta::assert_snapshot!(drawn(&error));
    let json = serde_json::to_value(error.problems()).unwrap();
    assert_eq!(
        (json[0].get("file"), &json[2]["file"]),
        (None, &serde_json::json!("infra/defaults.yml"))
    );
}

#[test]
fn a_warning_is_of_its_file_and_what_is_shared_is_part_of_what_a_plan_was_made_for() {
    let own = "cluster: a\nhosts:\n  - {name: n1, address: 10.0.0.1}\n  - {name: n2, address: 10.0.0.2}\n";
    let config = "{quota-backend-bytes: 9GiB}";
    let two = loaded(
        own,
        &[("infra", &format!("etcd: {{version: 3.5.30, config: {config}}}\n"))],
    );
    let Ok(loaded) = two else { panic!("{two:?}") };
    let files: Vec<Option<&str>> = loaded.warnings.iter().map(|warning| warning.file.as_deref()).collect();
    assert_eq!(files[0], None, "two members: {:?}", loaded.warnings);
    assert!(
        files[1..].iter().all(|file| *file == Some("infra/defaults.yml")) && files.len() > 1,
        "{files:?}"
    );
    let other = meaning(OWN, &[("infra", &SHARED.replace("8h", "9h"))]);
    assert_ne!(
        other.wherever_it_is(),
        meaning(OWN, &[("infra", SHARED)]).wherever_it_is()
    );
}

#[test]
fn each_value_is_explained_by_the_line_that_says_it() {
    use super::super::explain::explain;
    let own = "\
cluster: a
etcd:
  config: {quota-backend-bytes: 2GiB}
ssh: {user: null}
hosts:
  - {name: n1, address: 10.0.0.1, client_port: 4000}
  - {name: n2, address: 10.0.0.2, ssh: {port: 23}}
";
    let Ok(loaded) = loaded(own, &[("infra/eu", "ssh: {port: 22}\n"), ("infra", SHARED)]) else {
        panic!()
    };
    let settings = explain(&loaded);
    let told = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key);
        let setting = setting.unwrap_or_else(|| panic!("{key}: {settings:#?}"));
        let from = setting
            .origin
            .as_ref()
            .map(|from| format!("{}:{}", from.file.display(), from.line));
        format!("{} {}", setting.value, from.unwrap_or_else(|| "default".to_owned()))
    };
    for (key, expected) in [
        ("cluster", "\"a\" infra/a.yml:1"),
        ("etcd.version", "\"3.6.16\" infra/defaults.yml:2"),
        ("etcd.config.quota-backend-bytes", "2147483648 infra/a.yml:3"),
        ("etcd.config.auto-compaction-retention", "\"8h\" infra/defaults.yml:6"),
        ("etcd.user", "\"etcd-prod\" infra/defaults.yml:3"),
        ("etcd.peer_port", "2380 default"),
        ("hosts.n1.client_port", "4000 infra/a.yml:6"),
        ("hosts.n2.client_port", "2379 default"),
        ("hosts.n1.ssh.port", "22 infra/eu/defaults.yml:1"),
        ("hosts.n2.ssh.port", "23 infra/a.yml:7"),
        ("ssh.user", "null default"),
        ("ssh.jump", "[\"bastion-1\",\"bastion-2\"] infra/defaults.yml:7"),
        ("backup.keep.weekly", "4 infra/defaults.yml:9"),
        ("backup.max_age", "\"1d2h\" default"),
        ("users", "[] default"),
        ("pki.dir", "\"/work/infra/pki\" default"),
    ] {
        assert_eq!(told(key), expected, "{key}");
    }
}
