use super::*;
use crate::backup::{Manifest, SnapshotDigest};
use crate::host::FileFacts;
use crate::ops::samples::{ACCEPTED, backup, desired, empty, facts, manifest, membership, name, observed, stop};
use crate::ops::sight::Sight;

fn refused(result: Result<(RestoreNote, bool), Vec<Blocked>>) -> Vec<(Rule, Option<String>)> {
    let refusals = result.unwrap_err();
    assert!(refusals.iter().all(|r| !r.hint.is_empty()));
    refusals
        .into_iter()
        .map(|r| (r.rule, r.node.map(|n| n.to_string())))
        .collect()
}

/// Lays a note on a host.
fn noted(desired: &Desired, seen: &mut Observed, n: usize, text: String) {
    let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(n)) else {
        panic!("n{n} is not known")
    };
    let file = FileFacts {
        sha256: String::new(),
        mode: 0o644,
        owner: "root".into(),
        content: Some(text),
    };
    facts.files.insert(RestoreNote::path(&desired.hosts[&name(n)]), file);
}

#[test]
fn older_data_takes_the_flag_and_fresh_hosts_take_none() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), Policy::default())),
        [(Rule::OlderData, None)]
    );
    let (note, resumed) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    assert!(!resumed && note.hosts.len() == 3 && note.token.starts_with("prod-a-restore-2026"));
    for n in 1..=3 {
        seen.hosts.insert(name(n), Fact::Known(empty(&wanted, n)));
    }
    assert!(may_restore(&wanted, &seen, &backup(), Policy::default()).is_ok());
}

#[test]
fn every_restore_has_a_token_and_so_a_cluster_id_of_its_own() {
    let wanted = desired(3);
    let seen = observed(&wanted);
    let (first, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    let later = RestoreOrder {
        begun: "2026-01-01T00:00:01Z".parse().unwrap(),
        ..backup()
    };
    let (second, _) = may_restore(&wanted, &seen, &later, ACCEPTED).unwrap();
    assert_ne!(first.cluster_id(&wanted), second.cluster_id(&wanted));
}

#[test]
fn a_host_that_does_not_answer_blocks_until_it_is_left_out_and_one_that_runs_cannot_be() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    seen.hosts.insert(name(3), Fact::Unknown("no route".into()));
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), ACCEPTED)),
        [(Rule::Unreachable, Some("n3".into()))]
    );
    let without = RestoreOrder {
        without: vec![name(3)],
        ..backup()
    };
    assert!(may_restore(&wanted, &seen, &without, ACCEPTED).is_ok());
    seen.hosts.insert(name(3), Fact::Known(facts(&wanted, 3)));
    assert_eq!(
        refused(may_restore(&wanted, &seen, &without, ACCEPTED)),
        [(Rule::NotSettled, Some("n3".into()))]
    );
}

#[test]
fn members_outside_the_inventory_that_are_a_quorum_would_go_on_by_themselves() {
    let all = desired(3);
    let mut seen = observed(&all);
    seen.cluster = Fact::Known(membership(&all));
    let mut wanted = desired(1);
    let refusals = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap_err();
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].reason.starts_with("n2, n3 run, "), "{}", refusals[0]);

    // One alone cannot go on, and nobody answers for two that are down.
    wanted = desired(2);
    assert!(may_restore(&wanted, &seen, &backup(), ACCEPTED).is_ok());
    wanted = desired(1);
    let mut alone = membership(&all);
    alone.by_quorum = false;
    seen.cluster = Fact::Known(alone);
    assert!(may_restore(&wanted, &seen, &backup(), ACCEPTED).is_ok());
}

#[test]
fn foreign_newer_or_too_large_backups_are_refused() {
    let wanted = desired(1);
    let mut seen = observed(&wanted);
    let with = |change: fn(&mut Manifest)| {
        let mut changed = manifest();
        change(&mut changed);
        RestoreOrder {
            manifest: Some(changed),
            ..backup()
        }
    };
    let foreign = with(|m| m.cluster = "prod-b".parse().unwrap());
    assert_eq!(
        refused(may_restore(&wanted, &seen, &foreign, ACCEPTED)),
        [(Rule::ForeignData, None)]
    );
    let meant = RestoreOrder {
        any_cluster: true,
        ..foreign
    };
    assert!(may_restore(&wanted, &seen, &meant, ACCEPTED).is_ok());
    let newer = with(|m| m.etcd_version = "3.6.0".parse().unwrap());
    assert_eq!(
        refused(may_restore(&wanted, &seen, &newer, ACCEPTED)),
        [(Rule::Version, None)]
    );
    let mut small = facts(&wanted, 1);
    small
        .system
        .disks
        .values_mut()
        .for_each(|disk| disk.free_bytes = 2 << 30);
    seen.hosts.insert(name(1), Fact::Known(small));
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), ACCEPTED)),
        [(Rule::Host, Some("n1".into()))]
    );
}

#[test]
fn a_restore_that_was_begun_goes_on_with_the_same_backup_and_nothing_else_may() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    assert_eq!(no_restore_under_way(&wanted, &seen.hosts), Ok(()));
    noted(&wanted, &mut seen, 2, note.to_text());
    assert_eq!(
        no_restore_under_way(&wanted, &seen.hosts).unwrap_err().rule,
        Rule::RestoreUnderWay
    );

    let later = RestoreOrder {
        begun: "2026-02-02T00:00:00Z".parse().unwrap(),
        file: "renamed".into(),
        ..backup()
    };
    let (again, resumed) = may_restore(&wanted, &seen, &later, ACCEPTED).unwrap();
    assert!(resumed && again == note, "the terms are those of the note");
    let other = RestoreOrder {
        snapshot: SnapshotDigest {
            sha256: "cd".repeat(32),
            size: 1,
        },
        ..backup()
    };
    assert_eq!(
        refused(may_restore(&wanted, &seen, &other, ACCEPTED)),
        [(Rule::RestoreUnderWay, None)]
    );
}

/// Members that were just started do not answer yet. Nothing else leads out, so it is said, unless a host is in the dark.
#[test]
fn how_to_finish_is_told_whoever_of_the_members_answers() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    noted(&wanted, &mut seen, 2, note.to_text());
    let told = |seen: &Observed| {
        let refusal = no_restore_under_way(&wanted, &seen.hosts).unwrap_err();
        Sight::of(&wanted, seen).complete(vec![refusal]).remove(0).hint
    };
    seen.cluster = Fact::Unknown("etcd-1: connection refused".into());
    assert!(!Sight::of(&wanted, &seen).is_clear());
    assert!(
        told(&seen).starts_with("finish it: `quorate restore"),
        "{}",
        told(&seen)
    );
    seen.hosts.insert(name(1), Fact::Unknown("no route to host".into()));
    assert!(!told(&seen).contains("quorate restore"), "{}", told(&seen));
}

#[test]
fn a_note_that_cannot_be_read_or_two_that_differ_keep_everybody_out() {
    let wanted = desired(2);
    let mut seen = observed(&wanted);
    noted(&wanted, &mut seen, 1, "{".into());
    let refusal = no_restore_under_way(&wanted, &seen.hosts).unwrap_err();
    assert_eq!((refusal.rule, refusal.node), (Rule::RestoreUnderWay, Some(name(1))));

    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    noted(&wanted, &mut seen, 1, note.to_text());
    let other = RestoreNote {
        sha256: "cd".repeat(32),
        ..note
    };
    noted(&wanted, &mut seen, 2, other.to_text());
    assert!(no_restore_under_way(&wanted, &seen.hosts).is_err());
    assert!(may_restore(&wanted, &seen, &backup(), ACCEPTED).is_err());
}

#[test]
fn whoever_finishes_a_restore_is_told_all_that_has_to_be_said_again() {
    let order = RestoreOrder {
        unsigned: true,
        bare: true,
        any_cluster: true,
        ..backup()
    };
    let wanted = desired(1);
    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &order, ACCEPTED).unwrap();
    noted(&wanted, &mut seen, 1, note.to_text());
    let refusal = no_restore_under_way(&wanted, &seen.hosts).unwrap_err();
    let said = format!("{refusal:?}");
    assert!(
        said.contains("--unsigned --bare --from-another-cluster --accept-data-loss"),
        "{said}"
    );
}

#[test]
fn all_left_out_is_nothing_to_restore_onto() {
    let wanted = desired(1);
    let mut seen = observed(&wanted);
    let mut last = facts(&wanted, 1);
    stop(&mut last);
    seen.hosts.insert(name(1), Fact::Known(last));
    let nobody = RestoreOrder {
        without: vec![name(1)],
        ..backup()
    };
    assert_eq!(
        refused(may_restore(&wanted, &seen, &nobody, ACCEPTED)),
        [(Rule::Inventory, None)]
    );
}

/// Somebody is connected to the member of the host.
fn connect(seen: &mut Observed, n: usize, clients: &[(&str, usize)]) {
    let clients = clients.iter().map(|(who, connections)| Client {
        who: (*who).to_owned(),
        connections: *connections,
    });
    seen.clients.insert(name(n), Fact::Known(clients.collect()));
}

/// Mistake 19 of docs/etcd.md: API servers that are up go on with what they remember.
#[test]
fn clients_that_are_connected_are_named_host_by_host_and_take_the_flag() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    connect(
        &mut seen,
        1,
        &[("10.0.0.5", 3), ("kube-apiserver (pid 812) on the host itself", 1)],
    );
    connect(&mut seen, 3, &[("10.0.0.6", 1)]);
    let refusals = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap_err();
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "n1: clients are connected to its member: 10.0.0.5 (3 connections), kube-apiserver (pid 812) on the host itself \
             (1 connection)",
            "n3: clients are connected to its member: 10.0.0.6 (1 connection)",
        ]
    );
    assert!(
        refusals
            .iter()
            .all(|r| r.rule == Rule::ClientsConnected && r.hint.contains("--accept-outage"))
    );
    let outage = Policy {
        accept_outage: true,
        ..ACCEPTED
    };
    assert!(may_restore(&wanted, &seen, &backup(), outage).is_ok());

    // Who has stopped, or takes no part, has nobody to lose.
    for n in [1, 3] {
        let mut down = facts(&wanted, n);
        stop(&mut down);
        seen.hosts.insert(name(n), Fact::Known(down));
    }
    assert!(may_restore(&wanted, &seen, &backup(), ACCEPTED).is_ok());
}

#[test]
fn who_is_connected_must_be_known_and_many_are_not_all_named() {
    let wanted = desired(1);
    let mut seen = observed(&wanted);
    seen.clients
        .insert(name(1), Fact::Unknown("cannot read /proc/net/tcp".into()));
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), ACCEPTED)),
        [(Rule::Unknown, Some("n1".into()))]
    );
    seen.clients.clear();
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), ACCEPTED)),
        [(Rule::Unknown, Some("n1".into()))]
    );
    connect(&mut seen, 1, &[("10.0.0.5", 1); 11]);
    let refusals = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap_err();
    assert!(
        refusals[0].reason.ends_with("10.0.0.5 (1 connection) and 3 more"),
        "{}",
        refusals[0]
    );
}

/// The new members of a restore that was begun may well have clients already.
#[test]
fn clients_of_what_was_restored_already_do_not_keep_it_from_being_finished() {
    let wanted = desired(1);
    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    noted(&wanted, &mut seen, 1, note.to_text());
    connect(&mut seen, 1, &[("10.0.0.5", 1)]);
    assert_eq!(
        refused(may_restore(&wanted, &seen, &backup(), ACCEPTED)),
        [(Rule::ClientsConnected, Some("n1".into()))],
        "it was not stopped yet"
    );
    let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(1)) else {
        panic!("n1 is not known")
    };
    let marker = Marker {
        cluster: wanted.cluster.clone(),
        cluster_id: note.cluster_id(&wanted),
        member: name(1),
        complete: false,
    };
    facts.data.marker = Some(marker.to_text());
    assert!(may_restore(&wanted, &seen, &backup(), ACCEPTED).is_ok());
}

#[test]
fn a_host_that_was_left_out_and_comes_back_keeps_a_restore_from_being_finished_while_its_member_runs() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    let without = RestoreOrder {
        without: vec![name(3)],
        ..backup()
    };
    seen.hosts.insert(name(3), Fact::Unknown("no route".into()));
    let (note, _) = may_restore(&wanted, &seen, &without, ACCEPTED).unwrap();
    for n in 1..=2 {
        noted(&wanted, &mut seen, n, note.to_text());
    }
    let resumed = may_restore(&wanted, &seen, &without, ACCEPTED).unwrap();
    assert!(resumed.1, "it goes on");
    seen.hosts.insert(name(3), Fact::Known(facts(&wanted, 3)));
    let refusals = may_restore(&wanted, &seen, &without, ACCEPTED).unwrap_err();
    let [refusal] = refusals.as_slice() else {
        panic!("{refusals:?}")
    };
    assert!(refusal.hint.contains("systemctl disable --now etcd"), "{refusal:?}");
}
