use std::collections::BTreeSet;

use super::fixture::World;
use crate::inventory::{AuthMode, ClientKind};
use crate::ops::authorization::{AuthChange, AuthState, Login, Told};
use crate::ops::model::{Fact, Intent, Membership};
use crate::ops::plan::waves::Draft;
use crate::ops::plan::{Action, Plan, Situation, authorize};
use crate::ops::safety::quorum::Strength;
use crate::ops::safety::{Blocked, Rule};

/// A cluster that is to have authentication with the user `app`.
fn world() -> World {
    let mut world = World::healthy(3);
    world.desired.auth.mode = AuthMode::On;
    world.desired.auth.users = [("app".to_owned(), BTreeSet::new())].into();
    world.seen.auth = Fact::Known(AuthState::default());
    world
}

/// The waves about users and roles alone.
fn waves(world: &World, prune: bool) -> Result<Draft, Vec<Blocked>> {
    let supplies = world.supplies();
    let situation = Situation {
        desired: &world.desired,
        observed: &world.seen,
        policy: world.policy,
        supplies: &supplies,
    };
    let membership: &Membership = world.seen.cluster.known().unwrap();
    let mut draft = Draft::new(Some(Strength::of(membership)));
    authorize::users_and_roles(situation, membership, prune, &mut draft)?;
    Ok(draft)
}

fn titles(draft: &Draft) -> Vec<&str> {
    draft.waves.iter().map(|wave| wave.title.as_str()).collect()
}

#[test]
fn the_switch_comes_last_alone_and_is_looked_at() {
    let draft = waves(&world(), false).unwrap();
    assert_eq!(
        titles(&draft),
        ["users and roles", "etcd's own authentication", "verify"]
    );
    let Action::Authorize { changes } = &draft.waves[1].steps[0].action else {
        panic!("{:?}", draft.waves[1]);
    };
    assert_eq!(changes, &[AuthChange::Enable]);
    assert_eq!(
        draft.waves[2].steps[0].ensures.len(),
        3,
        "every voter is healthy afterwards"
    );
}

#[test]
fn an_inventory_that_says_nothing_about_it_is_no_reason_to_look() {
    let mut world = world();
    world.desired.auth.mode = AuthMode::LeftAlone;
    world.seen.auth = Fact::Absent;
    assert_eq!(titles(&waves(&world, true).unwrap()), [] as [&str; 0]);
}

#[test]
fn what_could_not_be_read_is_not_taken_for_empty() {
    let mut world = world();
    world.seen.auth = Fact::Unknown("permission denied".into());
    let blocked = waves(&world, false).err().unwrap();
    assert_eq!(blocked[0].rule, Rule::Unknown);
    assert!(blocked[0].reason.contains("permission denied") && blocked[0].hint.contains("`root`"));
}

#[test]
fn known_clients_that_are_no_users_stop_the_switch_unless_that_is_meant() {
    let mut world = world();
    world.clients = vec![
        world.issued_by(&world.old, "app"),
        world.issued_by(&world.old, "prometheus"),
    ];
    let blocked = waves(&world, false).err().unwrap();
    assert_eq!(blocked[0].rule, Rule::LocksOut);
    assert!(blocked[0].reason.ends_with(": prometheus"), "{blocked:?}");
    world.policy.accept_outage = true;
    assert!(waves(&world, false).is_ok());
    // Once it is on, that has been decided.
    world.policy.accept_outage = false;
    world.seen.auth = Fact::Known(AuthState {
        enabled: true,
        ..AuthState::default()
    });
    assert_eq!(titles(&waves(&world, false).unwrap()), ["users and roles"]);
}

#[test]
fn whoever_is_not_listed_is_noted_and_deleted_only_with_prune() {
    let mut world = world();
    world.desired.auth.users.clear();
    let root = BTreeSet::from(["root".to_owned()]);
    world.seen.auth = Fact::Known(AuthState {
        enabled: true,
        users: [("root".to_owned(), root), ("bob".to_owned(), BTreeSet::new())].into(),
        roles: [("root".to_owned(), BTreeSet::new())].into(),
        ..AuthState::default()
    });
    let draft = waves(&world, false).unwrap();
    assert_eq!(titles(&draft), [] as [&str; 0]);
    assert!(draft.notes[0].contains("would delete: bob"), "{:?}", draft.notes);
    let draft = waves(&world, true).unwrap();
    assert_eq!((titles(&draft), draft.notes.len()), (vec!["users and roles"], 0));
}

#[test]
fn a_limit_to_some_hosts_leaves_users_alone() {
    let world = world();
    let intent = |limit: &[&str]| Intent::Converge {
        prune: false,
        limit: limit.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let about_users = |plan: &Plan| plan.steps().any(|s| matches!(s.action, Action::Authorize { .. }));
    // Hosts of this fixture have no config: other waves are there, too.
    let limited = world.plan(&intent(&["etcd-1"]));
    assert!(limited.as_ref().map_or(true, |plan| !about_users(plan)), "{limited:?}");
}

/// `app` logs in with a password; what etcd says to it.
fn with_a_password(told: Option<Told>) -> World {
    let mut world = world();
    world.desired.auth.passwords = BTreeSet::from(["app".to_owned()]);
    let root = BTreeSet::from(["root".to_owned()]);
    world.seen.auth = Fact::Known(AuthState {
        enabled: true,
        users: [("root".to_owned(), root), ("app".to_owned(), BTreeSet::new())].into(),
        roles: [("root".to_owned(), BTreeSet::new())].into(),
        logins: told
            .map(|told| ("app".to_owned(), Login { sealed: true, told }))
            .into_iter()
            .collect(),
    });
    world
}

#[test]
fn a_sealed_password_that_changed_is_set_and_one_that_was_not_tried_is_unknown() {
    assert_eq!(
        titles(&waves(&with_a_password(Some(Told::Accepted)), false).unwrap()),
        [] as [&str; 0]
    );
    let draft = waves(&with_a_password(Some(Told::Refused)), false).unwrap();
    assert_eq!(titles(&draft), ["users and roles"]);
    let blocked = waves(&with_a_password(None), false).err().unwrap();
    assert!(
        blocked[0].reason.contains("the password of `app` was not tried"),
        "{blocked:?}"
    );
    assert_eq!(blocked[0].rule, Rule::Unknown);

    let mut world = with_a_password(Some(Told::Refused));
    world.desired.auth.passwords.clear();
    let draft = waves(&world, false).unwrap();
    assert_eq!(titles(&draft), [] as [&str; 0]);
    assert!(
        draft.notes[0].contains("would take it from them: app"),
        "{:?}",
        draft.notes
    );
}

#[test]
fn patroni_is_asked_for_before_its_login_ends_and_a_new_cluster_has_no_one_to_ask_for() {
    let mut world = with_a_password(Some(Told::Refused));
    world.desired.clients.insert(ClientKind::Patroni);
    let blocked = waves(&world, false).err().unwrap();
    assert!(
        blocked[0].reason.contains("a new password ends every login of `app`"),
        "{blocked:?}"
    );
    world.policy.accept_outage = true;
    assert_eq!(titles(&waves(&world, false).unwrap()), ["users and roles"]);

    // Never switched on: nobody has a certificate in this fixture.
    let mut world = super::authorize::world();
    world.desired.clients.insert(ClientKind::Patroni);
    assert!(waves(&world, false).is_ok());
}
