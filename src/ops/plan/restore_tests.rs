use super::*;
use crate::ops::model::{Fact, Intent, Observed};
use crate::ops::plan::{Plan, lint, plan};
use crate::ops::samples::{ACCEPTED, backup, desired, empty, facts, membership, name, observed, stop, supplies};
use crate::render::unit_path;

fn planned(seen: &Observed, order: RestoreOrder) -> Plan {
    let wanted = desired(seen.hosts.len());
    let intent = Intent::Restore(Box::new(order));
    let plan = plan(&intent, &wanted, seen, ACCEPTED, &supplies()).unwrap();
    let findings: Vec<_> = lint::lint(&plan, seen).into_iter().filter(|f| f.fatal).collect();
    assert!(findings.is_empty(), "the lint disagrees: {findings:?}");
    plan
}

fn titles(plan: &Plan) -> Vec<&str> {
    plan.waves.iter().map(|wave| wave.title.as_str()).collect()
}

/// The steps of the wave of that title.
fn wave<'a>(plan: &'a Plan, title: &str) -> &'a [Step] {
    let wave = plan.waves.iter().find(|wave| wave.title == title);
    &wave
        .unwrap_or_else(|| panic!("no wave {title}: {:?}", titles(plan)))
        .steps
}

/// What lies on a host when it was stopped in the middle, with this data and this note.
fn carry(facts: &mut HostFacts, wanted: &crate::inventory::Desired, n: usize, note: &RestoreNote, restored: bool) {
    let host = &wanted.hosts[&name(n)];
    let file = crate::host::FileFacts {
        sha256: String::new(),
        mode: 0o644,
        owner: "root".into(),
        content: Some(note.to_text()),
    };
    facts.files.insert(RestoreNote::path(host), file);
    stop(facts);
    let marker = Marker {
        cluster: wanted.cluster.clone(),
        cluster_id: note.cluster_id(wanted),
        member: host.name.clone(),
        complete: false,
    };
    facts.data.state = if restored {
        DataState::Bootstrapped
    } else {
        DataState::Empty
    };
    facts.data.marker = restored.then(|| marker.to_text());
}

#[test]
fn everything_is_brought_and_noted_before_anybody_stops_and_all_start_together() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    seen.cluster = Fact::Known(membership(&wanted));
    let plan = planned(&seen, backup());
    assert_eq!(
        titles(&plan),
        [
            "create the CA",
            "back up the current data",
            "mark every host as being restored",
            "prepare every host",
            "copy the snapshot to every host",
            "stop all members",
            "install the new members' configuration",
            "move the old data aside",
            "restore the same snapshot on every host",
            "start all members together",
            "verify",
            "compare the members",
            "mark the cluster as complete",
            "remove the restore markers",
        ]
    );
    assert!(
        plan.notes.iter().any(|note| note.contains("kube-apiserver")),
        "{:?}",
        plan.notes
    );
}

/// Mistake 18 of docs/etcd.md: one member restored while another goes on with its old data.
#[test]
fn no_data_is_touched_before_every_member_was_seen_to_be_down_and_none_starts_before_all_have_it() {
    let wanted = desired(3);
    let plan = planned(&observed(&wanted), backup());
    for title in ["move the old data aside", "restore the same snapshot on every host"] {
        for step in wave(&plan, title) {
            for n in 1..=3 {
                assert!(
                    step.requires.contains(&Check::Stopped { node: name(n) }),
                    "{title}: {step:?}"
                );
            }
        }
    }
    for step in wave(&plan, "start all members together") {
        let restored = step
            .requires
            .iter()
            .filter(|check| matches!(check, Check::Restored { .. }));
        assert_eq!(restored.count(), 3);
    }
    for step in wave(&plan, "stop all members") {
        let noted = step
            .requires
            .iter()
            .filter(|check| matches!(check, Check::RestoreNoted { .. }));
        assert_eq!(noted.count(), 3, "nobody else may come in between");
        let Target::Node(node) = step.target.clone() else {
            panic!("{step:?}")
        };
        let looks = Check::NobodyConnected { node };
        assert!(step.requires.contains(&looks), "clients may have come back: {step:?}");
    }
}

/// Whoever crashes before it is stopped comes up as the member that it was.
#[test]
fn what_a_member_is_started_with_is_exchanged_only_once_it_is_stopped() {
    let wanted = desired(3);
    let plan = planned(&observed(&wanted), backup());
    let read_at_a_start = |step: &Step, n: usize| {
        let host = &wanted.hosts[&name(n)];
        let Action::Provision { change } = &step.action else {
            panic!("{step:?}")
        };
        let read = |path: &crate::inventory::HostPath| *path == host.paths.config || *path == unit_path(&host.service);
        change.files.iter().filter(|file| read(&file.path)).count()
    };
    for (n, step) in (1..).zip(wave(&plan, "prepare every host")) {
        assert_eq!(read_at_a_start(step, n), 0, "{step:?}");
    }
    for (n, step) in (1..).zip(wave(&plan, "install the new members' configuration")) {
        assert_eq!(read_at_a_start(step, n), 2, "{step:?}");
        assert!(step.requires.contains(&Check::Stopped { node: name(n) }), "{step:?}");
    }
}

/// Mistakes 18 and 19 of docs/etcd.md: the same token and member list everywhere, raised revisions everywhere or
/// nowhere.
#[test]
fn every_host_restores_the_same_with_the_same_terms() {
    let wanted = desired(3);
    let plan = planned(&observed(&wanted), backup());
    let all: Vec<&RestoreData> = wave(&plan, "restore the same snapshot on every host")
        .iter()
        .filter_map(|step| match &step.action {
            Action::RestoreData(data) => Some(&**data),
            _ => None,
        })
        .collect();
    assert_eq!(all.len(), 3);
    for data in &all {
        assert_eq!(
            (&data.token, &data.initial_cluster, data.bump, &data.marker.cluster_id),
            (
                &all[0].token,
                &all[0].initial_cluster,
                Some(1_000_000_000),
                &all[0].marker.cluster_id
            )
        );
        assert!(data.checksum && !data.marker.complete);
    }
    assert!(all[0].initial_cluster.contains("n3=https://10.0.0.3:2380"));
}

#[test]
fn a_tool_that_cannot_raise_revisions_is_said_to_leave_caches_stale() {
    let mut wanted = desired(1);
    wanted.version = "3.5.9".parse().unwrap();
    let mut supplies = supplies();
    let files = supplies.releases.pop_first().unwrap().1;
    supplies.releases.insert(wanted.version, files);
    let order = RestoreOrder {
        manifest: None,
        ..backup()
    };
    let intent = Intent::Restore(Box::new(order));
    let plan = plan(&intent, &wanted, &observed(&wanted), ACCEPTED, &supplies).unwrap();
    let Action::RestoreData(data) = &wave(&plan, "restore the same snapshot on every host")[0].action else {
        panic!("{plan:?}")
    };
    assert_eq!(data.bump, None);
    assert!(plan.notes.iter().any(|note| note.contains("stale")), "{:?}", plan.notes);
}

#[test]
fn begun_again_only_the_rest_is_done() {
    let wanted = desired(3);
    let mut seen = observed(&wanted);
    let (note, _) = may_restore(&wanted, &seen, &backup(), ACCEPTED).unwrap();
    for n in 1..=3 {
        let mut host = facts(&wanted, n);
        carry(&mut host, &wanted, n, &note, n == 1);
        seen.hosts.insert(name(n), Fact::Known(host));
    }
    let later = RestoreOrder {
        begun: "2026-02-02T00:00:00Z".parse().unwrap(),
        ..backup()
    };
    let plan = planned(&seen, later);
    let targets = |title: &str| wave(&plan, title).iter().map(|s| s.target.clone()).collect::<Vec<_>>();
    let rest = [Target::Node(name(2)), Target::Node(name(3))];
    assert_eq!(targets("restore the same snapshot on every host"), rest);
    assert_eq!(targets("start all members together").len(), 3);
    assert!(!titles(&plan).contains(&"back up the current data"));
    assert!(!titles(&plan).contains(&"mark every host as being restored"));
    assert!(plan.notes.iter().any(|note| note.contains("continues the restore")));
}

#[test]
fn fresh_hosts_lose_nothing_and_a_bare_database_is_called_that() {
    let wanted = desired(2);
    let mut seen = observed(&wanted);
    for n in 1..=2 {
        seen.hosts.insert(name(n), Fact::Known(empty(&wanted, n)));
    }
    let plan = planned(&seen, RestoreOrder { bare: true, ..backup() });
    assert_eq!(plan.risk(), Risk::Reversible);
    assert!(!titles(&plan).contains(&"move the old data aside"));
    assert!(plan.notes.iter().any(|note| note.contains("no checksum")));
}
