use super::*;
use crate::host::FileFacts;
use crate::ops::samples::{desired, name, observed, stop};

/// Three members, of which these are down with a note.
fn with_notes(purpose: Purpose, down: &[usize]) -> (Desired, Observed) {
    let desired = desired(3);
    let mut seen = observed(&desired);
    for n in down {
        let spec = &desired.hosts[&name(*n)];
        let text = RestNote {
            purpose,
            since: seen.at,
            by: "alice@laptop".into(),
        };
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(*n)) {
            stop(facts);
            facts.files.insert(RestNote::path(spec), file(Some(text.to_text())));
        }
    }
    (desired, seen)
}

fn file(content: Option<String>) -> FileFacts {
    FileFacts {
        sha256: "00".repeat(32),
        mode: 0o644,
        owner: "root".into(),
        content,
    }
}

#[test]
fn what_was_stopped_with_the_cluster_closes_it_and_maintenance_does_not() {
    let (desired, seen) = with_notes(Purpose::Outage, &[1, 2, 3]);
    let refusal = not_stopped(&desired, &seen.hosts).expect_err("it is stopped");
    assert!(refusal.reason.contains("stopped on purpose") && refusal.reason.contains("alice@laptop"));
    let (desired, seen) = with_notes(Purpose::Outage, &[2]);
    assert!(
        not_stopped(&desired, &seen.hosts)
            .expect_err("one is")
            .reason
            .starts_with("n2 was stopped")
    );
    let (desired, seen) = with_notes(Purpose::Maintenance, &[2]);
    assert_eq!(not_stopped(&desired, &seen.hosts), Ok(()));
    let down = resting(&desired, &seen.hosts, Purpose::Maintenance);
    assert_eq!(down.map(|(host, _)| host.name.clone()).collect::<Vec<_>>(), [name(2)]);
}

/// Unknown is never absent: neither a note that says something else, nor a host that cannot be inspected.
#[test]
fn a_note_that_cannot_be_read_is_one_all_the_same() {
    let (desired, mut seen) = with_notes(Purpose::Maintenance, &[2]);
    assert_eq!(notes_are_readable(&desired, &seen.hosts), Ok(()));
    if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) {
        let path = RestNote::path(&desired.hosts[&name(2)]);
        facts
            .files
            .insert(path, file(Some(r#"{"purpose":"a holiday"}"#.into())));
    }
    let refusal = notes_are_readable(&desired, &seen.hosts).expect_err("a refusal");
    assert_eq!((refusal.rule, refusal.node), (Rule::DownOnPurpose, Some(name(2))));
}

#[test]
fn everybody_stops_only_with_consent_and_clients_are_named() {
    let (desired, mut seen) = with_notes(Purpose::Outage, &[]);
    let client = crate::host::Client {
        who: "10.0.0.9".into(),
        connections: 3,
    };
    seen.clients = desired
        .hosts
        .keys()
        .map(|n| (n.clone(), Fact::Known(Vec::new())))
        .collect();
    let refusals = may_stop_all(&desired, &seen, Policy::default()).expect_err("an outage");
    assert_eq!(refusals.len(), 1);
    seen.clients.insert(name(3), Fact::Known(vec![client.clone()]));
    let refusals = may_stop_all(&desired, &seen, Policy::default()).expect_err("an outage");
    let named = refusals
        .iter()
        .find(|refusal| refusal.node == Some(name(3)))
        .expect("its clients");
    assert!(
        named.reason.contains(&client.to_string()) && named.hint.contains("--accept-outage"),
        "{named:?}"
    );
    let accepted = Policy {
        accept_outage: true,
        ..Policy::default()
    };
    assert_eq!(may_stop_all(&desired, &seen, accepted), Ok(()));
    let (desired, seen) = with_notes(Purpose::Outage, &[1, 2, 3]);
    assert_eq!(may_stop_all(&desired, &seen, Policy::default()), Ok(()), "nobody runs");
}
