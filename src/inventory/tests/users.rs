//! `etcd.auth`, `users` and `roles`.

use std::collections::BTreeSet;

use super::*;

fn with(more: &str) -> String {
    format!("cluster: a\netcd: {{version: 3.5.30, auth: true}}\nhosts:\n  - {{name: n1, address: 10.0.0.1}}\n{more}")
}

#[test]
fn users_have_roles_and_roles_have_permissions() {
    let text = with(
        "users:\n  - {name: app, roles: writer}\n  - {name: boss, roles: [root, writer]}\n  - name: idle\n\
         roles:\n  - name: writer\n    permissions:\n      - {access: readwrite, prefix: /app/}\n      \
         - {access: read, from: a, to: m}\n      - {access: write, key: /x}\n  - name: empty\n",
    );
    let auth = meaning(&text).auth;
    assert_eq!(auth.mode, AuthMode::On);
    let roles = |user: &str| auth.users[user].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        (roles("app"), roles("boss"), roles("idle")),
        (vec!["writer"], vec!["root", "writer"], vec![])
    );
    let expected = BTreeSet::from([
        Permission::prefix(Access::ReadWrite, "/app/"),
        Permission::range(Access::Read, "a", "m"),
        Permission::key(Access::Write, "/x"),
    ]);
    assert_eq!(auth.roles["writer"], expected);
    assert_eq!(auth.roles["empty"], BTreeSet::new());
}

#[test]
fn not_set_off_and_on_are_three_things() {
    let mode = |etcd: &str| {
        let text = format!("cluster: a\netcd: {{version: 3.5.30{etcd}}}\nhosts: [{{name: n1, address: 10.0.0.1}}]\n");
        meaning(&text).auth.mode
    };
    assert_eq!(mode(""), AuthMode::LeftAlone);
    assert_eq!(mode(", auth: false"), AuthMode::Off);
    assert_eq!(mode(", auth: true"), AuthMode::On);
}

#[test]
fn every_mistake_is_said_in_its_place() {
    let text = with(
        "users:\n  - {name: root}\n  - {name: app, roles: [wrter]}\n  - {name: app}\n  - {name: a b}\n  - {nam: x}\n\
         roles:\n  - name: writer\n    permissions:\n      - {access: all, key: /x}\n      - {access: read}\n      \
         - {access: read, key: /x, prefix: /y}\n      - {access: read, from: m, to: a}\n      - {access: read, key: /x}\n      \
         - {access: write, key: /x}\n  - {name: root}\n",
    );
    let said = mistakes(&text).join("\n");
    for mistake in [
        "the user `root` cannot be set in the inventory",
        "there is no role `wrter`",
        "the user `app` is listed twice",
        "`a b` cannot name a user or a role",
        "there is no key `nam` in a user",
        "`all` is not an access to keys",
        "a permission needs one of `key`, `prefix`, or `from` and `to`",
        "an empty range",
        "a second permission for the same keys",
        "the role `root` cannot be set in the inventory",
    ] {
        assert!(said.contains(mistake), "{mistake} is not among\n{said}");
    }
}

#[test]
fn users_without_authentication_are_warned_of() {
    let text = with("users: [{name: app}]\n").replace(", auth: true", "");
    let warnings = read(&text).unwrap().warnings;
    assert!(
        warnings
            .iter()
            .any(|w| w.message.contains("have no effect") && w.help.contains("auth: true"))
    );
}
