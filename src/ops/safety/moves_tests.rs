use super::*;
use crate::host::FileFacts;
use crate::ops::samples;

/// A healthy cluster of three, and the first host with the configuration that its member was made with.
fn living() -> (Desired, Membership, HostFacts) {
    let desired = samples::desired(3);
    let membership = samples::membership(&desired);
    let mut facts = samples::facts(&desired, 1);
    let host = &desired.hosts[&samples::name(1)];
    let marker = Marker {
        cluster: desired.cluster.clone(),
        cluster_id: membership.cluster_id,
        member: host.name.clone(),
        complete: true,
    };
    facts.data.marker = Some(marker.to_text());
    let config = FileFacts {
        sha256: String::new(),
        mode: 0o644,
        owner: "root".into(),
        content: Some(format!("initial-advertise-peer-urls: {}\n", host.peer_url())),
    };
    facts.files.insert(host.paths.config.clone(), config);
    (desired, membership, facts)
}

#[test]
fn a_member_is_known_by_its_note_its_configuration_and_the_list_together() {
    let (desired, membership, facts) = living();
    let old = desired.hosts[&samples::name(1)].clone();
    let lives = |host: &DesiredHost, facts: &HostFacts| lives_there(&desired, &membership, host, facts).map(|m| m.id);
    assert_eq!(lives(&old, &facts), None, "it is where the inventory has it");
    let mut moved = old.clone();
    moved.address = "etcd-1.example.com".parse().unwrap();
    assert_eq!(lives(&moved, &facts), Some(membership.members[0].id));
    moved.peer_port = 12380;
    assert_eq!(lives(&moved, &facts), Some(membership.members[0].id));

    let mut lost = facts.clone();
    lost.data.marker = None;
    assert_eq!(lives(&moved, &lost), None, "no note");
    let mut another = facts.clone();
    let marker = Marker::on(&facts).expect("a note");
    let member = samples::name(2);
    another.data.marker = Some(Marker { member, ..marker }.to_text());
    assert_eq!(lives(&moved, &another), None, "another member's note");
    let mut elsewhere = facts.clone();
    if let Some(config) = elsewhere.files.get_mut(&old.paths.config) {
        config.content = Some("initial-advertise-peer-urls: https://10.9.9.9:2380\n".into());
    }
    assert_eq!(lives(&moved, &elsewhere), None, "the cluster has never heard of that");
    let mut learning = membership.clone();
    learning.members[0].learner = true;
    assert_eq!(lives_there(&desired, &learning, &moved, &facts), None, "a learner");
}

#[test]
fn addresses_that_were_exchanged_are_told_apart() {
    let (desired, membership, facts) = living();
    let host = desired.hosts[&samples::name(1)].clone();
    assert_eq!(at_its_own_url(&desired, &host, &membership.members[0], &facts), Ok(()));
    let mut exchanged = host;
    exchanged.address = desired.hosts[&samples::name(2)].address.clone();
    let theirs = membership.of(&exchanged).expect("the other one");
    let refusal = at_its_own_url(&desired, &exchanged, theirs, &facts).expect_err("a refusal");
    assert!(refusal.reason.contains("is the peer URL of the member"), "{refusal}");
}

#[test]
fn urls_change_only_while_nothing_else_does() {
    let (_, membership, _) = living();
    let id = membership.members[0].id;
    let new = [PeerUrl("https://10.0.9.1:2380".into())];
    assert_eq!(may_change_urls(&membership, id, &new), Ok(()));
    let taken = may_change_urls(&membership, id, &membership.members[1].peer_urls).expect_err("taken");
    assert!(taken.reason.contains("has that address and port"), "{taken}");
    let mut joining = membership.clone();
    joining.members[2].learner = true;
    may_change_urls(&joining, id, &new).expect_err("somebody is joining");
    let mut alone = membership.clone();
    alone.by_quorum = false;
    assert_eq!(
        may_change_urls(&alone, id, &new).expect_err("no quorum").rule,
        Rule::QuorumLost
    );
    may_change_urls(&membership, MemberId(77), &new).expect_err("gone");
}
