use super::*;
use crate::host::{Client, FileFacts};
use crate::ops::rest::{Purpose, RestNote};
use crate::ops::samples::{desired, empty, membership, name, observed, stop};

const CONSENT: Policy = Policy {
    accept_outage: false,
    accept_data_loss: true,
    no_snapshot: false,
    way_chosen: false,
    clients_ready: false,
};

fn note(seen: &Observed) -> RestNote {
    RestNote {
        purpose: Purpose::End,
        since: seen.at,
        by: "alice@laptop".into(),
    }
}

fn order(seen: &Observed, without: &[usize]) -> DestroyOrder {
    DestroyOrder {
        note: note(seen),
        without: without.iter().map(|n| name(*n)).collect(),
        wipe: false,
    }
}

/// Three healthy members that nobody is connected to.
fn well() -> (Desired, Observed) {
    let desired = desired(3);
    let mut seen = observed(&desired);
    seen.cluster = Fact::Known(membership(&desired));
    (desired, seen)
}

fn noted(desired: &Desired, seen: &mut Observed, n: usize) {
    let note = note(seen);
    if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(n)) {
        stop(facts);
        let file = FileFacts {
            sha256: "00".repeat(32),
            mode: 0o644,
            owner: "root".into(),
            content: Some(note.to_text()),
        };
        facts.files.insert(RestNote::path(&desired.hosts[&name(n)]), file);
    }
}

fn rules(refused: Result<LastBackup, Vec<Blocked>>) -> Vec<Rule> {
    refused
        .expect_err("a refusal")
        .iter()
        .map(|refusal| refusal.rule)
        .collect()
}

#[test]
fn a_cluster_that_works_ends_with_consent_and_a_last_backup() {
    let (desired, seen) = well();
    let asked = order(&seen, &[]);
    assert_eq!(may_destroy(&desired, &seen, &asked, CONSENT), Ok(LastBackup::Taken));
    assert_eq!(
        rules(may_destroy(&desired, &seen, &asked, Policy::default())),
        [Rule::OlderData]
    );
    let waived = Policy {
        no_snapshot: true,
        ..CONSENT
    };
    assert_eq!(may_destroy(&desired, &seen, &asked, waived), Ok(LastBackup::NotDue));
}

#[test]
fn without_a_quorum_there_is_no_last_backup_unless_it_was_taken_when_this_began() {
    let (desired, mut seen) = well();
    seen.cluster = Fact::Unknown("the cluster has no quorum".into());
    let asked = order(&seen, &[]);
    let refused = may_destroy(&desired, &seen, &asked, CONSENT).expect_err("a refusal");
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].rule == Rule::LastBackup && refused[0].hint.contains("--no-snapshot"),
        "{refused:?}"
    );
    noted(&desired, &mut seen, 2);
    assert_eq!(may_destroy(&desired, &seen, &asked, CONSENT), Ok(LastBackup::NotDue));
    // Whoever has started everybody again has written since.
    seen.cluster = Fact::Known(membership(&desired));
    assert_eq!(may_destroy(&desired, &seen, &asked, CONSENT), Ok(LastBackup::Taken));
}

#[test]
fn clients_are_named_and_an_outage_may_be_accepted() {
    let (desired, mut seen) = well();
    let client = Client {
        who: "10.0.0.9".into(),
        connections: 3,
    };
    seen.clients.insert(name(3), Fact::Known(vec![client]));
    let asked = order(&seen, &[]);
    let refused = may_destroy(&desired, &seen, &asked, CONSENT).expect_err("a refusal");
    assert_eq!(
        (refused[0].rule, &refused[0].node),
        (Rule::ClientsConnected, &Some(name(3)))
    );
    assert!(refused[0].reason.contains("10.0.0.9") && refused[0].hint.contains("--accept-outage"));
    // Unknown is not nobody.
    seen.clients.insert(name(3), Fact::Unknown("no /proc".into()));
    assert_eq!(rules(may_destroy(&desired, &seen, &asked, CONSENT)), [Rule::Unknown]);
    let accepted = Policy {
        accept_outage: true,
        ..CONSENT
    };
    assert!(may_destroy(&desired, &seen, &asked, accepted).is_ok());
}

#[test]
fn a_host_that_cannot_be_inspected_is_excluded_by_name_or_holds_everything_up() {
    let (desired, mut seen) = well();
    seen.hosts.insert(name(3), Fact::Unknown("no route to host".into()));
    let refused = may_destroy(&desired, &seen, &order(&seen, &[]), CONSENT).expect_err("a refusal");
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].rule == Rule::Unreachable && refused[0].hint.contains("--without n3"),
        "{refused:?}"
    );
    assert!(may_destroy(&desired, &seen, &order(&seen, &[3]), CONSENT).is_ok());
    // Of a cluster that nobody can look at nothing is known to be gone.
    let mut dark = seen.clone();
    for n in 1..=3 {
        dark.hosts.insert(name(n), Fact::Unknown("no route to host".into()));
    }
    assert_eq!(
        rules(may_destroy(&desired, &dark, &order(&dark, &[1, 2, 3]), CONSENT)),
        [Rule::Unreachable; 3]
    );
    // One that is there is not excluded.
    assert_eq!(
        rules(may_destroy(&desired, &seen, &order(&seen, &[2, 3]), CONSENT)),
        [Rule::Inventory]
    );
}

#[test]
fn what_is_not_this_clusters_is_not_destroyed_with_it() {
    let (desired, mut seen) = well();
    if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) {
        facts.data.marker = Some(r#"{"cluster":"prod-b","cluster_id":"bad","member":"b-1","complete":true}"#.into());
    }
    let refused = may_destroy(&desired, &seen, &order(&seen, &[]), CONSENT).expect_err("a refusal");
    assert!(
        refused
            .iter()
            .any(|refusal| refusal.rule == Rule::ForeignData && refusal.node == Some(name(2))),
        "{refused:?}"
    );
}

#[test]
fn a_member_outside_the_inventory_would_keep_its_data() {
    let (mut desired, seen) = well();
    desired.hosts.remove(&name(3));
    desired.order.retain(|node| *node != name(3));
    assert_eq!(
        rules(may_destroy(&desired, &seen, &order(&seen, &[]), CONSENT)),
        [Rule::NotSettled]
    );
}

#[test]
fn where_nothing_is_left_nothing_is_asked_for() {
    let (desired, mut seen) = well();
    seen.cluster = Fact::Absent;
    for n in 1..=3 {
        let mut facts = empty(&desired, n);
        facts.service.enabled = false;
        seen.hosts.insert(name(n), Fact::Known(facts));
    }
    assert_eq!(
        may_destroy(&desired, &seen, &order(&seen, &[]), Policy::default()),
        Ok(LastBackup::NotDue)
    );
}
