//! Every file of examples/inventories parses without a warning and means what its comments say.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::*;

const DAY: u64 = 86_400;

fn example(name: &str) -> Desired {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/inventories")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let loaded = parse(&path, &text, &environment()).unwrap_or_else(|e| panic!("{name}: {:#?}", e.problems()));
    assert!(loaded.warnings.is_empty(), "{name}: {:#?}", loaded.warnings);
    assert_eq!(loaded.desired.version, Version::new(3, 6, 16), "{name}");
    loaded.desired
}

fn host<'a>(desired: &'a Desired, name: &str) -> &'a DesiredHost {
    &desired.hosts[&name.parse::<NodeName>().unwrap()]
}

fn ssh<'a>(desired: &'a Desired, name: &str) -> &'a SshTarget {
    match &host(desired, name).connection {
        Connection::Ssh(target) => target,
        Connection::Local => panic!("{name} is local"),
    }
}

#[test]
fn no_example_is_untested() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/inventories");
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".yml"));
    names.sort();
    let tested = [
        "five-bastion-sudo.yml",
        "ipv6.yml",
        "kubernetes.yml",
        "local.yml",
        "shared-hosts-a.yml",
        "shared-hosts-b.yml",
        "single.yml",
        "three-ssh.yml",
        "users-and-roles.yml",
    ];
    assert_eq!(names, tested);
}

#[test]
fn single_has_every_default() {
    let desired = example("single.yml");
    let host = host(&desired, "etcd-1");
    let path = |text: &str| text.parse::<HostPath>().unwrap();
    assert_eq!(
        *host,
        DesiredHost {
            name: "etcd-1".parse().unwrap(),
            address: "10.0.0.11".parse().unwrap(),
            listen: vec!["10.0.0.11".parse().unwrap()],
            sans: vec![],
            client_port: 2379,
            peer_port: 2380,
            metrics: None,
            service: "etcd".parse().unwrap(),
            user: "etcd".parse().unwrap(),
            paths: Paths {
                config: path("/etc/etcd/etcd-config.yml"),
                pki: path("/etc/etcd/pki"),
                data: path("/var/lib/etcd"),
                wal: None,
                bin: path("/opt/quorate/etcd"),
                run: path("/run/quorate-etcd"),
                lock: path("/run/quorate/etcd.lock"),
            },
            connection: Connection::Ssh(SshTarget {
                host: "10.0.0.11".to_owned(),
                port: None,
                user: None,
                identity: vec![],
                known_hosts: "/work/infra/pki/known_hosts".into(),
                jump: vec![],
                sudo: Sudo::Auto,
                use_config: true,
            }),
            service_manager: ServiceManager::Systemd,
        }
    );
    assert_eq!(
        desired.pki,
        PkiPolicy {
            dir: "/work/infra/pki".into(),
            key_type: KeyType::EcdsaP256,
            ca_validity: Duration::from_secs(3650 * DAY),
            leaf_validity: Duration::from_secs(365 * DAY),
            renew_before: Duration::from_secs(30 * DAY),
            crl: false,
            recipients: vec![],
            identities: vec![],
        }
    );
}

#[test]
fn three_over_ssh_with_options_as_etcd_reads_them() {
    let desired = example("three-ssh.yml");
    assert_eq!(
        desired.order.iter().map(NodeName::as_str).collect::<Vec<_>>(),
        ["etcd-1", "etcd-2", "etcd-3"]
    );
    assert_eq!(desired.options["quota-backend-bytes"], json!(8_589_934_592_u64));
    assert_eq!(desired.options["auto-compaction-retention"], json!("8h"));
    assert_eq!(host(&desired, "etcd-3").peer_url().0, "https://10.0.0.13:2380");
}

#[test]
fn five_go_through_the_bastion_and_sudo() {
    let desired = example("five-bastion-sudo.yml");
    assert_eq!(desired.hosts.len(), 5);
    let target = ssh(&desired, "etcd-4");
    assert_eq!(target.user.as_deref(), Some("ops"));
    assert_eq!(target.identity, [PathBuf::from("/home/me/.ssh/id_ed25519")]);
    let bastion = Jump {
        host: "bastion.example.com".to_owned(),
        port: Some(2222),
        user: Some("ops".to_owned()),
    };
    assert_eq!(target.jump, [bastion]);
    assert_eq!(target.sudo, Sudo::Always);
    let host = host(&desired, "etcd-4");
    assert_eq!(host.metrics.unwrap().port, 2381);
    assert!(host.metrics.unwrap().address.is_loopback());
    assert_eq!(host.paths.wal_files().as_str(), "/var/lib/etcd-wal/wal");
    assert_eq!(host.sans, ["etcd.example.com".parse().unwrap()]);
    assert_eq!(desired.options["election-timeout"], json!(1000));
    assert_eq!(desired.pki.renew_before, Duration::from_secs(45 * DAY));
}

#[test]
fn two_clusters_on_the_same_hosts_share_nothing_but_binaries() {
    let (a, b) = (example("shared-hosts-a.yml"), example("shared-hosts-b.yml"));
    assert_ne!(a.cluster, b.cluster);
    assert_ne!(a.pki.dir, b.pki.dir);
    for (name, one) in &a.hosts {
        let other = &b.hosts[name];
        assert_eq!(one.address, other.address);
        let ports = [one.client_port, one.peer_port, other.client_port, other.peer_port];
        let unique: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(unique.len(), 4);
        assert_ne!(one.service, other.service);
        assert_eq!(one.paths.bin, other.paths.bin);
        let own = |p: &Paths| [&p.config, &p.pki, &p.data, &p.run, &p.lock].map(|p| p.as_str().to_owned());
        assert!(own(&one.paths).iter().all(|path| !own(&other.paths).contains(path)));
    }
}

#[test]
fn ipv6_members_have_brackets_in_urls_and_ssh_elsewhere() {
    let desired = example("ipv6.yml");
    let host = host(&desired, "etcd-2");
    assert_eq!(host.client_url(), "https://[fd00:10::12]:2379");
    assert_eq!(host.listen, ["fd00:10::12".parse::<IpAddr>().unwrap()]);
    assert_eq!(ssh(&desired, "etcd-2").host, "etcd-2.example.com");
}

#[test]
fn local_members_need_no_root_and_share_nothing() {
    let desired = example("local.yml");
    for (name, host) in &desired.hosts {
        assert_eq!(host.connection, Connection::Local);
        assert_eq!(host.service_manager, ServiceManager::Process);
        assert_eq!(host.user.as_str(), "me");
        let base = format!("/home/me/.local/state/quorate/local/{name}");
        assert_eq!(host.paths.config.as_str(), format!("{base}/etcd-config.yml"));
        assert_eq!(host.paths.lock.as_str(), format!("{base}/run/lock"));
        assert_eq!(host.paths.bin.as_str(), "/home/me/.local/state/quorate/bin");
        assert!(host.client_port > 1024 && host.peer_port > 1024);
    }
}

#[test]
fn kubernetes_leaves_compaction_to_the_api_server() {
    let desired = example("kubernetes.yml");
    assert_eq!(desired.options["auto-compaction-retention"], json!("0"));
    assert_eq!(
        desired.pki.recipients, [""; 0],
        "a key that is not there could open nothing"
    );
    let host = host(&desired, "etcd-1.k8s.example.com");
    let everywhere = [IpAddr::from([0, 0, 0, 0])];
    assert_eq!(host.listen, everywhere, "a DNS name is no address to listen on");
}

#[test]
fn the_starter_is_an_inventory() {
    let version = Version::new(3, 5, 30);
    let hosts = |n: usize| -> Vec<import::ImportedHost> {
        let odd_names = ["no", "1e3", "c"];
        (0..n)
            .map(|i| {
                let address: Address = format!("fd00::{}", i + 1).parse().unwrap();
                (odd_names[i].parse().unwrap(), address).into()
            })
            .collect()
    };
    for (given, count) in [(0, 3), (1, 1), (3, 3)] {
        let text = init::starter(&hosts(given), version, &"prod-a".parse().unwrap());
        let loaded = read(&text).unwrap_or_else(|e| panic!("{:#?}\n{text}", e.problems()));
        assert!(loaded.warnings.is_empty(), "{:#?}", loaded.warnings);
        assert_eq!(loaded.desired.hosts.len(), count);
    }
    // The commented keys are right as well.
    let text = init::starter(&[], version, &"prod-a".parse().unwrap());
    let uncommented: String = text
        .lines()
        .map(|l| l.replacen("# ", "", usize::from(is_sample(l))) + "\n")
        .collect();
    let desired = meaning(&uncommented);
    assert_eq!(ssh(&desired, "etcd-1").jump.len(), 1, "{uncommented}");
    assert!(host(&desired, "etcd-1").metrics.is_some());
}

fn is_sample(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("# ") else {
        return false;
    };
    rest.trim_start()
        .split_once(':')
        .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

#[test]
fn users_and_roles_and_a_revocation_list() {
    let desired = example("users-and-roles.yml");
    assert!(desired.pki.crl);
    assert_eq!(desired.auth.mode, AuthMode::On);
    assert_eq!(desired.auth.users["reporter"].iter().collect::<Vec<_>>(), ["reader"]);
    let everything = Permission::prefix(Access::Read, "");
    assert_eq!(desired.auth.roles["reader"].iter().collect::<Vec<_>>(), [&everything]);
    assert_eq!(desired.auth.roles["billing"].len(), 2);
}
