use super::fixture::{DAY, World};
use crate::host::{DataState, ServiceState};
use crate::inventory::NodeName;
use crate::ops::model::{Fact, Intent};
use crate::ops::plan::{Action, Plan, Risk};
use crate::ops::safety::{Blocked, Rule};

fn renew(limit: &[&str]) -> Intent {
    Intent::RotateLeaves {
        limit: limit.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

/// Each wave as `action of hosts`.
fn waves(plan: &Plan) -> Vec<String> {
    let wave = |steps: &[crate::ops::plan::Step]| {
        let what = match &steps[0].action {
            Action::Provision { change } if change.certificates => "certificates",
            Action::Start => "start",
            Action::LookAgain { .. } => "look",
            other => panic!("{other:?}"),
        };
        let ids: Vec<&str> = steps.iter().map(|s| s.id.split('.').nth(1).unwrap()).collect();
        format!("{what} {}", ids.join(" "))
    };
    plan.waves.iter().map(|w| wave(&w.steps)).collect()
}

fn reasons(blocked: &[Blocked]) -> String {
    blocked.iter().map(|b| format!("{b} / {}\n", b.hint)).collect()
}

#[test]
fn everybody_gets_new_certificates_at_once_and_nobody_is_restarted() {
    let mut world = World::healthy(3);
    let plan = world.plan(&renew(&[])).unwrap();
    assert_eq!(waves(&plan), ["certificates etcd-1 etcd-2 etcd-3", "look cluster"]);
    assert_eq!(plan.risk(), Risk::Reversible);
    for step in plan.steps() {
        world.perform(step);
        assert!(world.everybody_talks());
    }
    assert_eq!(world.restarts, 0);
}

#[test]
fn a_limit_is_kept() {
    let world = World::healthy(3);
    assert_eq!(
        waves(&world.plan(&renew(&["etcd-2"])).unwrap()),
        ["certificates etcd-2", "look cluster"]
    );
}

#[test]
fn it_needs_no_etcd_and_starts_who_is_down() {
    let mut world = World::healthy(3);
    world.seen.cluster = Fact::Unknown("no member answers".into());
    for node in ["etcd-1", "etcd-3"] {
        let service = &mut world.facts(node).service;
        (service.state, service.pid) = (ServiceState::Failed, None);
    }
    let plan = world.plan(&renew(&[])).unwrap();
    assert_eq!(
        waves(&plan),
        [
            "certificates etcd-1 etcd-2 etcd-3",
            "start etcd-1 etcd-3",
            "look cluster"
        ]
    );
    // With some of them left out there is nothing that could be looked at as a whole.
    assert_eq!(
        waves(&world.plan(&renew(&["etcd-1"])).unwrap()),
        ["certificates etcd-1", "start etcd-1"]
    );
}

#[test]
fn a_stopped_member_whose_config_is_gone_gets_certificates_and_is_left_to_up() {
    let mut world = World::healthy(3);
    for node in ["etcd-1", "etcd-3"] {
        let service = &mut world.facts(node).service;
        (service.state, service.pid) = (ServiceState::Stopped, None);
    }
    let config = world.desired.hosts[&"etcd-3".parse::<NodeName>().unwrap()]
        .paths
        .config
        .clone();
    world.facts("etcd-3").files.remove(&config);
    let plan = world.plan(&renew(&[])).unwrap();
    let expected = ["certificates etcd-1 etcd-2 etcd-3", "start etcd-1", "look cluster"];
    assert_eq!(waves(&plan), expected);
    let told = |note: &String| note.contains("etcd-3 will not be started") && note.contains("`quorate up` restores it");
    assert!(plan.notes.iter().any(told), "{:?}", plan.notes);
}

#[test]
fn hosts_without_a_member_are_none_of_its_business() {
    let mut world = World::healthy(3);
    world.facts("etcd-3").data.state = DataState::Empty;
    assert_eq!(
        waves(&world.plan(&renew(&[])).unwrap())[0],
        "certificates etcd-1 etcd-2"
    );
}

#[test]
fn a_ca_that_cannot_sign_is_refused_with_the_way_out() {
    let mut world = World::healthy(1);
    world.at += 3651 * DAY;
    let expired = world.plan(&renew(&[])).unwrap_err();
    assert!(reasons(&expired).contains("the CA expired at"), "{expired:?}");
    assert!(expired[0].hint.contains("pki rotate-ca"));
    world.trusted.clear();
    let none = world.plan(&renew(&[])).unwrap_err();
    assert!(reasons(&none).contains("there is no CA yet"), "{none:?}");
}

#[test]
fn a_ca_that_a_member_does_not_trust_signs_nothing_and_all_reasons_are_given_at_once() {
    let mut world = World::healthy(3);
    world.trusted = vec![world.new.certificate().clone()];
    world.facts("etcd-2").system.clock_offset_seconds = -86_400.0;
    world.lose("etcd-3");
    let blocked = world.plan(&renew(&[])).unwrap_err();
    let who = |rule: Rule| -> Vec<&NodeName> {
        let of_rule = blocked.iter().filter(|b| b.rule == rule);
        of_rule.filter_map(|b| b.node.as_ref()).collect()
    };
    assert_eq!(who(Rule::Unreachable), [&"etcd-3".parse().unwrap()]);
    assert_eq!(who(Rule::Host), [&"etcd-2".parse().unwrap()]);
    assert_eq!(who(Rule::Certificates).len(), 2, "{}", reasons(&blocked));
    assert!(reasons(&blocked).contains("86400 s behind"), "{}", reasons(&blocked));
}

#[test]
fn a_ca_that_lies_on_the_disk_only_does_not_sign() {
    let mut world = World::healthy(3);
    // The process was started before ca.crt changed: etcd reads it once.
    world.facts("etcd-1").service.started_with.clear();
    let blocked = world.plan(&renew(&[])).unwrap_err();
    assert_eq!(blocked.len(), 1, "{}", reasons(&blocked));
    assert_eq!(blocked[0].node, Some("etcd-1".parse().unwrap()));
}
