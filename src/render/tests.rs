//! Every file, byte for byte, for inventories that people really have. After a wanted change of a template:
//! `cargo insta review`, or `INSTA_UPDATE=always cargo test --lib render`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::inventory::samples::host;
use crate::inventory::{KeyType, MetricsListen, Paths, PeerUrl, PkiPolicy, Version};

fn cluster(version: Version, hosts: Vec<DesiredHost>) -> Desired {
    Desired {
        cluster: "prod-a".parse().unwrap(),
        version,
        options: BTreeMap::new(),
        pki: PkiPolicy {
            dir: PathBuf::from("/home/op/prod-a/pki"),
            key_type: KeyType::EcdsaP256,
            ca_validity: Duration::from_secs(10 * 365 * 86400),
            leaf_validity: Duration::from_secs(365 * 86400),
            renew_before: Duration::from_secs(30 * 86400),
            crl: false,
            recipients: vec![],
            identities: vec![],
        },
        kubernetes: None,
        clients: Default::default(),
        auth: Default::default(),
        bundle: Default::default(),
        backup: None,
        order: hosts.iter().map(|h| h.name.clone()).collect(),
        hosts: hosts.into_iter().map(|h| (h.name.clone(), h)).collect(),
    }
}

fn three(version: Version) -> Desired {
    cluster(
        version,
        vec![
            host("etcd-1", "10.0.0.11"),
            host("etcd-2", "10.0.0.12"),
            host("etcd-3", "10.0.0.13"),
        ],
    )
}

fn founding(desired: &Desired) -> InitialCluster {
    InitialCluster {
        state: InitialState::New,
        members: desired
            .hosts
            .values()
            .map(|h| (h.name.to_string(), h.peer_url()))
            .collect(),
        token: "prod-a-7692c3ad".to_owned(),
    }
}

/// All files of the first host as one text.
fn first_host(desired: &Desired) -> String {
    let host = &desired.hosts[&desired.order[0]];
    let files = render_host(desired, host, &founding(desired)).unwrap();
    let show = |f: &RenderedFile| format!("===== {} {:o} {}\n{}", f.path, f.mode, f.owner, f.text);
    files.iter().map(show).collect()
}

/// Only its configuration.
fn first_config(desired: &Desired) -> String {
    let host = &desired.hosts[&desired.order[0]];
    let files = render_host(desired, host, &founding(desired)).unwrap();
    files.into_iter().find(|f| f.path == host.paths.config).unwrap().text
}

#[test]
fn three_members_of_3_5_every_file() {
    insta::assert_snapshot!(first_host(&three(Version::new(3, 5, 30))));
}

#[test]
fn config_of_3_4() {
    insta::assert_snapshot!(first_config(&three(Version::new(3, 4, 23))));
}

#[test]
fn config_of_3_6_with_options() {
    let mut desired = three(Version::new(3, 6, 14));
    desired.options = BTreeMap::from([
        ("quota-backend-bytes".to_owned(), json!(8_589_934_592_u64)),
        ("auto-compaction-mode".to_owned(), json!("periodic")),
        ("auto-compaction-retention".to_owned(), json!("8h")),
        (
            "cipher-suites".to_owned(),
            json!(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
        ),
        ("feature-gates".to_owned(), json!("SetMemberLocalAddr=true")),
        ("pre-vote".to_owned(), json!(false)),
    ]);
    insta::assert_snapshot!(first_config(&desired));
}

#[test]
fn config_of_3_7() {
    insta::assert_snapshot!(first_config(&three(Version::new(3, 7, 1))));
}

#[test]
fn one_ipv6_member_with_metrics_and_a_wal_disk_in_its_own_places() {
    let mut only = host("etcd-1.example.com", "fd00::11");
    only.metrics = Some(MetricsListen {
        address: "::1".parse().unwrap(),
        port: 2381,
    });
    only.service = "etcd-events".parse().unwrap();
    only.user = "events".parse().unwrap();
    only.paths = Paths {
        config: "/srv/events/etcd".parse().unwrap(),
        pki: "/srv/events/pki".parse().unwrap(),
        data: "/home/events/data".parse().unwrap(),
        wal: Some("/var/tmp/wal".parse().unwrap()),
        bin: "/opt/etcd".parse().unwrap(),
        run: "/run/quorate-etcd-events".parse().unwrap(),
        lock: "/run/quorate/etcd-events.lock".parse().unwrap(),
    };
    insta::assert_snapshot!(first_host(&cluster(Version::new(3, 5, 30), vec![only])));
}

#[test]
fn a_supervised_process_needs_no_unit_and_no_root() {
    let mut only = host("m1", "127.0.0.1");
    only.service_manager = ServiceManager::Process;
    only.user = "op".parse().unwrap();
    only.paths.run = "/home/op/run".parse().unwrap();
    insta::assert_snapshot!(first_host(&cluster(Version::new(3, 5, 30), vec![only])));
}

#[test]
fn a_host_with_a_dns_name_listens_everywhere_and_advertises_the_name() {
    let text = first_config(&cluster(Version::new(3, 5, 30), vec![host("a", "a.example.com")]));
    assert!(
        text.contains("listen-client-urls: \"https://0.0.0.0:2379\"\n"),
        "{text}"
    );
    assert!(
        text.contains("advertise-client-urls: \"https://a.example.com:2379\"\n"),
        "{text}"
    );
}

#[test]
fn the_same_inventory_gives_the_same_bytes_and_initial_settings_read_back() {
    let desired = three(Version::new(3, 5, 30));
    assert_eq!(first_host(&desired), first_host(&desired.clone()));

    let mut shuffled = founding(&desired);
    shuffled.members.reverse();
    let host = &desired.hosts[&desired.order[0]];
    let files = render_host(&desired, host, &shuffled).unwrap();
    let config = files.iter().find(|f| f.path == host.paths.config).unwrap();
    assert_eq!(config.text, first_config(&desired));
    assert_eq!(initial_of(&config.text), Some(founding(&desired)));
    assert_eq!(config.sha256, hex::encode(Sha256::digest(&config.text)));
}

#[test]
fn joining_a_cluster_changes_only_what_a_running_member_does_not_read() {
    let desired = three(Version::new(3, 5, 30));
    let host = &desired.hosts[&desired.order[0]];
    let joining = InitialCluster {
        state: InitialState::Existing,
        members: vec![("etcd-1".to_owned(), host.peer_url())],
        token: "other".to_owned(),
    };
    let files = render_host(&desired, host, &joining).unwrap();
    let config = files.iter().find(|f| f.path == host.paths.config).unwrap();
    let before = first_config(&desired);
    assert_ne!(config.text, before);
    assert!(same_but_initial(&config.text, &before));
    let diff = unified_diff(Some(&before), config);
    assert!(diff.contains("\n-initial-cluster-state: \"new\"\n"), "{diff}");
    assert!(diff.contains("\n+initial-cluster-state: \"existing\"\n"), "{diff}");
    assert!(unified_diff(None, config).starts_with("--- /dev/null\n+++ /etc/etcd/etcd-config.yml\n"));
    assert_eq!(unified_diff(Some(&config.text), config), "");
}

#[test]
fn what_etcd_or_systemd_could_not_use_is_refused() {
    let desired = three(Version::new(3, 5, 30));
    let host = desired.hosts[&desired.order[0]].clone();
    let initial = founding(&desired);

    let mut typed = desired.clone();
    typed.options.insert("initial-cluster".to_owned(), json!("x"));
    let error = render_host(&typed, &host, &initial).unwrap_err();
    assert!(matches!(&error, RenderError::Managed { option, .. } if option == "initial-cluster"));

    let mut hostile = desired.clone();
    hostile.options.insert("a: b\nname".to_owned(), json!("x"));
    let error = render_host(&hostile, &host, &initial).unwrap_err();
    assert!(matches!(&error, RenderError::OptionName { option, .. } if option == "a: b\\nname"));

    let mut stranger = initial.clone();
    stranger.members[0].1 = PeerUrl("https://10.0.0.99:2380".to_owned());
    let error = render_host(&desired, &host, &stranger).unwrap_err();
    assert!(matches!(error, RenderError::NotInInitialCluster { .. }));

    let mut elsewhere = host.clone();
    elsewhere.paths.run = "/tmp/run".parse().unwrap();
    let error = render_host(&desired, &elsewhere, &initial).unwrap_err();
    assert!(matches!(error, RenderError::RunDirectory { .. }));

    let mut long = host;
    long.paths.config = format!("/{}", "c".repeat(190)).parse().unwrap();
    let error = render_host(&desired, &long, &initial).unwrap_err();
    assert!(matches!(error, RenderError::EtcdctlPath { .. }));
}

#[test]
fn hostile_values_stay_values() {
    let mut desired = three(Version::new(3, 5, 30));
    desired.options.insert(
        "cors".to_owned(),
        json!("x\"\nname: evil\u{2028}client-transport-security: {}"),
    );
    let config: BTreeMap<String, serde_json::Value> = serde_yaml::from_str(&first_config(&desired)).unwrap();
    assert_eq!(config["name"], "etcd-1");
    assert_eq!(config["cors"], desired.options["cors"]);
    assert_eq!(config["client-transport-security"]["client-cert-auth"], true);
}

/// 3.6 as well: the structures have these names in every release.
#[test]
fn a_revocation_list_is_named_where_every_release_finds_it() {
    for version in [Version::new(3, 4, 23), Version::new(3, 5, 30), Version::new(3, 6, 14)] {
        let mut desired = three(version);
        assert!(!first_host(&desired).contains("CRLFile"));
        desired.pki.crl = true;
        let text = first_host(&desired);
        for section in ["ClientTLSInfo:", "PeerTLSInfo:"] {
            let entry = format!("{section}\n  CRLFile: ");
            let at = text.find(&entry).unwrap_or_else(|| panic!("{entry} in\n{text}"));
            assert!(
                text[at + entry.len()..]
                    .trim_start_matches(['"', '\''])
                    .starts_with("/etc/etcd/pki/crl.der")
            );
        }
    }
}

/// Unit and timer of scheduled backups, with every kind of place.
#[test]
fn scheduled_backups() {
    let mut desired = three(Version::new(3, 5, 30));
    let policy = crate::inventory::BackupPolicy {
        schedule: "*-*-* 03:00:00".into(),
        to: ["s3://b/etcd", "ssh://keeper@10.0.0.9/srv", "/mnt/nfs/etcd"]
            .map(|place| place.parse().unwrap())
            .to_vec(),
        keep: None,
        max_age: Duration::from_secs(86_400),
        s3_credentials: Some("/home/op/aws".into()),
        s3_endpoint: Some("https://s3.example.com".into()),
        s3_region: None,
        identity: Some("/home/op/key".into()),
    };
    desired.backup = Some(policy.clone());
    let first = &desired.hosts[&desired.order[0]];
    let program = "/opt/quorate/etcd/quorate-etcd/0123456789abcdef/quorate"
        .parse()
        .unwrap();
    let files = render_schedule(&desired, first, &policy, &program).unwrap();
    let text: Vec<String> = files
        .iter()
        .map(|f| format!("==> {} <==\n{}", f.path, f.text))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
    let secret = ["/home/op/aws", "/home/op/key"];
    assert!(
        files
            .iter()
            .all(|file| secret.iter().all(|path| !file.text.contains(path)))
    );
}
