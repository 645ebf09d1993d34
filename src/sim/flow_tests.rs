//! The one way on which anything is changed (`ops/flow.rs`): two who ask at once, hosts that change while a plan is being
//! read, answers that never come.

use std::time::Duration;

use super::chaos::Fault;
use super::drive::{Aftermath, Outcome, together};
use super::operator::Operator;
use super::scenes::{Scene, all, node};
use crate::ops::flow::Stale;
use crate::report::Event;

/// Three members, and another option in the inventory: a roll.
fn changed_option() -> Scene {
    let (_, _, scene) = all().into_iter().find(|(name, ..)| *name == "changed-option").unwrap();
    scene.led_by(1)
}

fn who_reads_for(minutes: u64) -> Operator {
    Operator {
        reads: Some(Duration::from_secs(60 * minutes)),
        ..Operator::default()
    }
}

fn asked_by(scene: Scene, operators: Vec<Operator>) -> (Vec<Outcome>, Aftermath) {
    let (outcomes, after) = together(scene.world, &scene.desired, &scene.intent, scene.policy, operators);
    assert!(after.violations.is_empty(), "{:?}", after.violations);
    (outcomes, after)
}

fn there_was_a_new_plan(after: &Aftermath) -> bool {
    let said = |event: &Event| matches!(event, Event::Note { text } if *text == Stale::WhileReviewed.to_string());
    after.reporter.events().iter().any(said)
}

#[test]
fn of_two_who_ask_at_once_one_is_told_to_wait() {
    let (outcomes, after) = asked_by(changed_option(), vec![who_reads_for(1), who_reads_for(1)]);
    assert!(matches!(outcomes[..], [Outcome::Done, Outcome::Locked]), "{outcomes:?}");
    assert_eq!(after.plans.len(), 1);
}

/// What they see is the other one's member that is just being restarted; that is no reason to mend anything.
#[test]
fn whoever_asks_in_the_middle_is_told_who_holds_the_lock() {
    let (outcomes, after) = asked_by(changed_option(), vec![Operator::quick(), who_reads_for(1)]);
    assert!(matches!(outcomes[..], [Outcome::Done, Outcome::Locked]), "{outcomes:?}");
    assert_eq!(after.plans.len(), 1);
}

#[test]
fn whoever_reads_for_longer_finds_it_done() {
    let (outcomes, after) = asked_by(changed_option(), vec![who_reads_for(30), Operator::quick()]);
    assert!(matches!(outcomes[..], [Outcome::Done, Outcome::Done]), "{outcomes:?}");
    assert!(there_was_a_new_plan(&after));
    assert_eq!(after.plans.len(), 1, "nothing was left for the first one");
}

#[test]
fn hosts_that_change_while_the_plan_is_read_are_planned_for_again() {
    let meanwhile = vec![Fault::Crash(node(2))];
    let (outcomes, after) = asked_by(
        changed_option(),
        vec![Operator {
            meanwhile,
            ..Operator::quick()
        }],
    );
    assert!(
        there_was_a_new_plan(&after) || matches!(outcomes[..], [Outcome::Blocked(_)]),
        "{outcomes:?}"
    );
}

#[test]
fn a_saved_plan_is_stale_when_the_hosts_have_changed_before_or_while_it_was_read() {
    let scene = changed_option();
    let saved = scene.clone().plan().unwrap();
    let with = |meanwhile: Vec<Fault>| Operator {
        meanwhile,
        saved: Some(saved.clone()),
        ..Operator::quick()
    };
    let (outcomes, _) = asked_by(scene.clone(), vec![with(Vec::new())]);
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");

    let (outcomes, before) = asked_by(scene.clone().stopped(2), vec![with(Vec::new())]);
    assert!(matches!(outcomes[..], [Outcome::Stale(Stale::Hosts)]), "{outcomes:?}");
    assert_eq!(before.strokes, 0);

    let (outcomes, after) = asked_by(scene.clone(), vec![with(vec![Fault::Crash(node(2))])]);
    assert!(
        matches!(outcomes[..], [Outcome::Stale(Stale::WhileReviewed)]),
        "{outcomes:?}"
    );
    assert_eq!(after.strokes, 0);
}

#[test]
fn an_answer_that_is_no_or_never_comes_keeps_nobody_waiting() {
    let no = Operator {
        declines: true,
        ..Operator::quick()
    };
    let (outcomes, after) = asked_by(changed_option(), vec![no]);
    assert!(matches!(outcomes[..], [Outcome::Declined]), "{outcomes:?}");
    assert_eq!((after.strokes, after.plans.len()), (0, 0));

    let (outcomes, after) = asked_by(changed_option(), vec![Operator::default(), Operator::quick()]);
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
    assert_eq!(after.plans.len(), 1);
}
