use super::*;
use crate::host::FileFacts;
use crate::inventory::NodeName;
use crate::ops::last_resort::LastResort;
use crate::ops::safety::bootstrap::data_belongs;
use crate::ops::samples;

fn refused(outcome: Result<(), Blocked>) -> Blocked {
    let refusal = outcome.expect_err("a refusal");
    // Whatever it is: nobody is told to move, delete or replace what lives.
    for word in ["mv ", "replace-node", "delete", "wipe"] {
        assert!(!refusal.hint.contains(word), "{}", refusal.hint);
    }
    refusal
}

fn one() -> (Desired, DesiredHost, HostFacts) {
    let desired = samples::desired(3);
    let host = desired.hosts[&samples::name(1)].clone();
    let facts = samples::facts(&desired, 1);
    (desired, host, facts)
}

#[test]
fn what_lies_at_another_place_is_not_lost() {
    let (desired, host, mut facts) = one();
    assert_eq!(in_its_place(&host, &facts), Ok(()));
    facts.data.state = DataState::Empty;
    facts.data.marker = None;
    facts.data.elsewhere.data = Some("/old/etcd".into());
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert!(
        refusal.reason.contains("its member runs with its data in /old/etcd"),
        "{refusal}"
    );
    assert!(
        refusal.hint.contains("put `paths.data: /old/etcd` back"),
        "{}",
        refusal.hint
    );
    facts.service.pid = None;
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert!(
        refusal.reason.contains("its configuration on the host says"),
        "{refusal}"
    );
}

#[test]
fn a_log_at_another_place_is_not_lost_either() {
    let (desired, mut host, mut facts) = one();
    facts.data.state = DataState::Aborted;
    host.paths.wal = Some("/fast".parse().unwrap());
    facts.data.elsewhere.log = Some(format!("{}/member/wal", host.paths.data));
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert!(
        refusal.hint.contains("put the entry without `paths.wal` back"),
        "{}",
        refusal.hint
    );
    facts.data.elsewhere.log = Some("/disk/wal".into());
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert!(refusal.hint.contains("put `paths.wal: /disk` back"), "{}", refusal.hint);
}

#[test]
fn a_disk_that_is_known_and_not_mounted_is_mounted_and_nothing_else() {
    let (desired, host, mut facts) = one();
    facts.data.state = DataState::Aborted;
    facts.data.elsewhere.unmounted = vec!["/var/lib/etcd-wal".into()];
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert_eq!(refusal.rule, Rule::DataGone);
    assert!(refusal.hint.contains("`mount /var/lib/etcd-wal`"), "{}", refusal.hint);
    facts.data.elsewhere.unmounted.clear();
    let refusal = data_belongs(&desired, &host, &facts).expect_err("a refusal");
    assert!(refusal.hint.contains("mount it"), "{}", refusal.hint);
    assert_eq!(
        refusal.last,
        Some(LastResort::joins_afresh("n1")),
        "only behind that, and only in full sight"
    );
}

#[test]
fn a_member_keeps_its_name() {
    let (desired, _, _) = one();
    // n1 and n2 were exchanged.
    let host = desired.hosts[&samples::name(1)].clone();
    let facts = samples::facts(&desired, 2);
    let refusal = refused(data_belongs(&desired, &host, &facts));
    assert!(
        refusal.reason.contains("has the member n2 of this same cluster"),
        "{refusal}"
    );
    assert!(
        refusal.hint.contains("put the names back: the host at"),
        "{}",
        refusal.hint
    );
    // One that was renamed.
    let mut renamed = desired.clone();
    let name: NodeName = "m1".parse().unwrap();
    let mut host = renamed.hosts.remove(&samples::name(1)).unwrap();
    host.name = name.clone();
    renamed.hosts.insert(name, host.clone());
    let refusal = refused(data_belongs(&renamed, &host, &samples::facts(&desired, 1)));
    assert!(refusal.reason.contains("has the member n1"), "{refusal}");
}

#[test]
fn data_under_a_process_are_left_alone() {
    let (desired, host, mut facts) = one();
    facts.data.marker = None;
    refused(data_belongs(&desired, &host, &facts));
    samples::stop(&mut facts);
    facts.system.other_etcd = vec!["77 etcd --data-dir /var/lib/etcd".into()];
    refused(data_belongs(&desired, &host, &facts));
    // Only once nobody runs there, and then with the condition that makes it safe.
    facts.system.other_etcd.clear();
    let refusal = data_belongs(&desired, &host, &facts).expect_err("a refusal");
    assert!(
        refusal.hint.contains("Only if no cluster lists that member any more"),
        "{}",
        refusal.hint
    );
}

#[test]
fn a_member_is_looked_for_where_it_listens() {
    let (_, mut host, mut facts) = one();
    let config = |url: &str, client: &str| {
        format!("name: n1\ninitial-advertise-peer-urls: {url}\nadvertise-client-urls: {client}\n")
    };
    let text = config(&host.peer_url().0, &host.client_url());
    let path = host.paths.config.clone();
    let file = crate::host::FileFacts {
        sha256: String::new(),
        mode: 0o640,
        owner: "etcd".into(),
        content: Some(text),
    };
    facts.files.insert(path, file);
    assert_eq!(reached_where_it_listens(&host, &facts), Ok(()));
    let port = host.client_port;
    host.client_port = 12379;
    let refusal = refused(reached_where_it_listens(&host, &facts));
    assert!(
        refusal.reason.contains(":12379") && refusal.reason.contains(&format!(":{port}")),
        "{refusal}"
    );
    host.client_port = port;
    host.peer_port = 12380;
    refused(reached_where_it_listens(&host, &facts));
}

#[test]
fn another_unit_or_another_account_is_no_new_member() {
    let (desired, host, mut facts) = one();
    let unit = |service: &str, member: &str, cluster: &str| MemberUnit {
        service: service.into(),
        member: member.into(),
        cluster: cluster.into(),
    };
    let cluster = desired.cluster.to_string();
    let own = host.name.to_string();
    facts.system.member_units = vec![
        unit("etcd", &own, &cluster),
        unit("etcd-b", &own, "b"),
        unit("etcd-2", "etcd-2", &cluster),
    ];
    assert_eq!(data_belongs(&desired, &host, &facts), Ok(()));
    let mut renamed = host.clone();
    renamed.service = "etcd-new".parse().unwrap();
    let refusal = refused(data_belongs(&desired, &renamed, &facts));
    assert!(refusal.hint.contains("`service: etcd`"), "{refusal:?}");
    let mut apart = host.clone();
    apart.service_manager = ServiceManager::Process;
    let refusal = refused(data_belongs(&desired, &apart, &facts));
    assert!(refusal.hint.contains("`service_manager: systemd`"), "{refusal:?}");

    let mut another = host.clone();
    another.user = "db".parse().unwrap();
    let file = FileFacts {
        sha256: String::new(),
        mode: 0o644,
        owner: "root".into(),
        content: Some("[Service]\nUser=etcd\n".into()),
    };
    facts.files.insert(unit_path(&host.service), file);
    assert_eq!(data_belongs(&desired, &host, &facts), Ok(()));
    let refusal = refused(data_belongs(&desired, &another, &facts));
    assert!(refusal.hint.contains("`user: etcd`"), "{refusal:?}");
    facts.data.state = DataState::Empty;
    assert_eq!(
        data_belongs(&desired, &another, &facts),
        Ok(()),
        "nothing is theirs yet"
    );
}
