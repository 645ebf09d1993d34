use super::*;
use crate::inventory::Access;

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

fn policy() -> AuthPolicy {
    AuthPolicy {
        mode: AuthMode::On,
        users: [
            ("app".to_owned(), names(&["writer"])),
            ("prometheus".to_owned(), names(&[])),
        ]
        .into(),
        passwords: BTreeSet::new(),
        roles: [(
            "writer".to_owned(),
            BTreeSet::from([
                Permission::prefix(Access::ReadWrite, "/app/"),
                Permission::key(Access::Read, "/config"),
            ]),
        )]
        .into(),
    }
}

/// What etcd has once everything was done.
fn state() -> AuthState {
    let policy = policy();
    let mut state = AuthState {
        enabled: true,
        users: policy.users,
        roles: policy.roles,
        logins: BTreeMap::new(),
    };
    state.users.insert("root".into(), names(&["root"]));
    state.roles.insert("root".into(), BTreeSet::new());
    state
}

fn lines(changes: &[AuthChange]) -> Vec<String> {
    changes.iter().map(AuthChange::describe).collect()
}

/// etcd, as far as these changes go.
fn done(mut state: AuthState, changes: &[AuthChange]) -> AuthState {
    for change in changes.iter().cloned() {
        match change {
            AuthChange::AddRole { role } => drop(state.roles.insert(role, BTreeSet::new())),
            AuthChange::Grant { role, permission } => {
                let of_role = state.roles.get_mut(&role).expect("a role");
                of_role.retain(|old| !old.same_keys(&permission));
                of_role.insert(permission);
            }
            AuthChange::Revoke { role, permission } => {
                let of_role = state.roles.get_mut(&role).expect("a role");
                assert!(
                    of_role.iter().any(|old| old.same_keys(&permission)),
                    "nothing to revoke"
                );
                of_role.retain(|old| !old.same_keys(&permission));
            }
            AuthChange::DeleteRole { role } => {
                state.roles.remove(&role).expect("a role");
                state
                    .users
                    .values_mut()
                    .for_each(|roles| roles.retain(|own| *own != role));
            }
            AuthChange::SealPassword { user } => {
                let told = state.logins.get(&user).map_or(Told::Nothing, |login| login.told);
                state.logins.insert(user, Login { sealed: true, told });
            }
            AuthChange::SetPassword { user } => {
                let login = state.logins.get_mut(&user).expect("a user");
                assert!(login.sealed && login.told != Told::NoPassword, "etcd would ignore it");
                login.told = Told::Accepted;
            }
            AuthChange::AddUser { user, password } | AuthChange::ReplaceUser { user, password } => {
                let sealed = state.logins.get(&user).is_some_and(|login| login.sealed);
                assert!(sealed || !password, "it is sealed first");
                let told = match (password, state.enabled) {
                    (_, false) => Told::Nothing,
                    (true, true) => Told::Accepted,
                    (false, true) => Told::NoPassword,
                };
                state.logins.insert(user.clone(), Login { sealed, told });
                drop(state.users.insert(user, BTreeSet::new()));
            }
            AuthChange::GrantRole { user, role } => {
                assert!(state.roles.contains_key(&role), "{role} comes first");
                state.users.get_mut(&user).expect("a user").insert(role);
            }
            AuthChange::RevokeRole { user, role } => {
                assert!(state.users.get_mut(&user).expect("a user").remove(&role));
            }
            AuthChange::DeleteUser { user } => drop(state.users.remove(&user).expect("a user")),
            AuthChange::Enable => state.enabled = true,
            AuthChange::Disable => state.enabled = false,
        }
    }
    state
}

#[test]
fn from_nothing_roles_come_before_users_and_root_is_among_them() {
    let changes = principals(&policy(), &AuthState::default(), false);
    assert_eq!(
        lines(&changes),
        [
            "+ role writer",
            "+ role writer: read /config",
            "+ role writer: readwrite /app/*",
            "+ role root",
            "+ user app",
            "+ user app: role writer",
            "+ user prometheus",
            "+ user root",
            "+ user root: role root",
        ]
    );
    assert_eq!(switch(&policy(), &AuthState::default()), Some(AuthChange::Enable));
    let then = done(AuthState::default(), &changes);
    assert!(changes.iter().all(|change| change.holds(&then)));
    assert_eq!(principals(&policy(), &then, true), []);
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    assert_eq!(principals(&policy(), &state(), true), []);
    assert_eq!(switch(&policy(), &state()), None);
    // The role may do everything: what permissions it has besides says nothing.
    let mut odd = state();
    let all = Permission::prefix(Access::Read, "");
    odd.roles.insert("root".into(), BTreeSet::from([all]));
    odd.users.insert("root".into(), names(&["root", "writer"]));
    assert_eq!(principals(&policy(), &odd, true), []);
}

#[test]
fn what_is_given_comes_before_what_is_taken() {
    let mut have = state();
    have.roles.insert(
        "writer".into(),
        BTreeSet::from([
            Permission::prefix(Access::Read, "/app/"),
            Permission::prefix(Access::ReadWrite, "/old/"),
            Permission::key(Access::Read, "/config"),
        ]),
    );
    have.roles.insert("admin".into(), BTreeSet::new());
    have.users.insert("app".into(), names(&["admin"]));
    let changes = principals(&policy(), &have, false);
    assert_eq!(
        lines(&changes),
        [
            "+ role writer: readwrite /app/*",
            "+ user app: role writer",
            "- role writer: readwrite /old/*",
            "- user app: role admin",
        ]
    );
    let then = done(have, &changes);
    assert_eq!(principals(&policy(), &then, false), []);
    assert!(changes.iter().all(|change| change.holds(&then)));
}

#[test]
fn another_access_to_one_of_two_ranges_with_the_same_start_is_taken_away_first() {
    let mut have = state();
    let wanted = Permission::prefix(Access::ReadWrite, "/app/");
    have.roles.insert(
        "writer".into(),
        BTreeSet::from([
            Permission::prefix(Access::Read, "/app/"),
            Permission::key(Access::Read, "/app/"),
            Permission::key(Access::Read, "/config"),
        ]),
    );
    let changes = principals(&policy(), &have, false);
    assert_eq!(
        lines(&changes),
        [
            "- role writer: read /app/*",
            "+ role writer: readwrite /app/*",
            "- role writer: read /app/",
        ]
    );
    assert!(done(have, &changes).roles["writer"].contains(&wanted));
}

#[test]
fn whoever_is_not_listed_is_named_and_goes_only_when_asked() {
    let mut have = state();
    have.users.insert("bob".into(), names(&["guest"]));
    have.roles.insert("guest".into(), BTreeSet::new());
    assert_eq!(
        unlisted(&policy(), &have),
        (vec!["bob".to_owned()], vec!["guest".to_owned()])
    );
    assert_eq!(principals(&policy(), &have, false), []);
    let pruned = principals(&policy(), &have, true);
    assert_eq!(lines(&pruned), ["- user bob", "- role guest"]);
    assert_eq!(done(have, &pruned), state());
}

#[test]
fn off_only_switches_off_and_left_alone_does_nothing() {
    let off = AuthPolicy {
        mode: AuthMode::Off,
        ..policy()
    };
    assert_eq!(switch(&off, &state()), Some(AuthChange::Disable));
    assert_eq!(principals(&off, &AuthState::default(), true), []);
    let alone = AuthPolicy::default();
    assert_eq!(switch(&alone, &state()), None);
    assert_eq!(principals(&alone, &state(), true), []);
}

#[test]
fn what_takes_something_away_is_known_as_such() {
    let user = "app".to_owned();
    assert!(AuthChange::Enable.takes_away());
    assert!(AuthChange::DeleteUser { user: user.clone() }.takes_away());
    assert!(!AuthChange::AddUser { user, password: false }.takes_away());
    assert!(!AuthChange::Disable.describe().is_empty());
}

/// The policy in which `app` logs in with a password.
fn with_a_password() -> AuthPolicy {
    AuthPolicy {
        passwords: BTreeSet::from(["app".to_owned()]),
        ..policy()
    }
}

fn login(sealed: bool, told: Told) -> BTreeMap<String, Login> {
    [("app".to_owned(), Login { sealed, told })].into()
}

/// From whatever etcd has, one run leads to the sealed password, and the next has nothing to do.
#[test]
fn every_way_to_a_password_ends_with_the_sealed_one() {
    let policy = with_a_password();
    let (seal, set) = (
        "+ user app: a random password, sealed",
        "~ user app: the sealed password replaces",
    );
    let (again, role) = ("~ user app: created again, with the sealed", "+ user app: role writer");
    for (sealed, told, expected) in [
        (true, Told::Accepted, vec![]),
        (true, Told::Refused, vec![set]),
        (true, Told::NoPassword, vec![again, role]),
        (true, Told::Nothing, vec![again, role]),
        (false, Told::Refused, vec![seal, set]),
        (false, Told::Accepted, vec![seal, set]),
        (false, Told::NoPassword, vec![seal, again, role]),
        (false, Told::Nothing, vec![seal, again, role]),
    ] {
        let before = AuthState {
            logins: login(sealed, told),
            ..state()
        };
        let changes = principals(&policy, &before, false);
        let said = lines(&changes);
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, expected) in said.iter().zip(&expected) {
            assert!(said.starts_with(expected), "{said} is not {expected}");
        }
        assert_eq!(changes.iter().any(AuthChange::takes_away), !expected.is_empty());
        let after = done(before, &changes);
        assert!(changes.iter().all(|change| change.holds(&after)), "{said:?}");
        assert_eq!(principals(&policy, &after, false), []);
        assert_eq!(after.refused(&policy), None);
    }
}

#[test]
fn a_new_user_is_made_with_its_password() {
    let before = AuthState {
        logins: login(false, Told::Nothing),
        ..AuthState::default()
    };
    let said = lines(&principals(&with_a_password(), &before, false));
    let at = said
        .iter()
        .position(|line| line == "+ user app, with the sealed password")
        .unwrap();
    assert!(
        said[at - 1].contains("a random password") && said[at + 1] == "+ user app: role writer",
        "{said:?}"
    );
}

#[test]
fn a_password_that_is_not_accepted_is_no_success() {
    let policy = with_a_password();
    for told in [Told::Refused, Told::NoPassword, Told::Nothing] {
        let mut after = AuthState {
            logins: login(true, told),
            ..state()
        };
        assert_eq!(after.refused(&policy), Some("app"), "{told:?}");
        after.enabled = false;
        assert_eq!(after.refused(&policy), None, "while it is off etcd tells nothing");
    }
    let set = AuthChange::SetPassword { user: "app".into() };
    let after = |told| AuthState {
        logins: login(true, told),
        ..state()
    };
    assert!(set.holds(&after(Told::Accepted)) && !set.holds(&after(Told::Refused)));
}

/// `password: true` was removed: the password still lets in, which is said, and taken with `--prune`.
#[test]
fn a_password_that_nobody_asks_for_is_taken_only_with_prune() {
    let before = AuthState {
        logins: login(false, Told::Refused),
        ..state()
    };
    assert_eq!(before.password_unasked(&policy()), ["app"]);
    assert_eq!(principals(&policy(), &before, false), []);
    let changes = principals(&policy(), &before, true);
    assert_eq!(
        lines(&changes),
        [
            "~ user app: created again, without a password",
            "+ user app: role writer"
        ]
    );
    let after = done(before, &changes);
    assert_eq!(after.password_unasked(&policy()), [] as [String; 0]);
    assert!(changes.iter().all(|change| change.holds(&after)));
}
