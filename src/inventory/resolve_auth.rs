//! `etcd.auth`, `users` and `roles`: what they mean, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use super::authorization::{AuthMode, AuthPolicy, Permission, ROOT};
use super::leaf::{KeyText, PrincipalName, nearest};
use super::problem::{Place, Problem};
use super::raw::{Field, RawEtcd, RawInventory, RawPermission, RawRole, RawUser};

/// Resolves them.
pub fn auth(raw: &RawInventory, etcd: &RawEtcd, problems: &mut Vec<Problem>) -> AuthPolicy {
    let none = (Vec::new(), Vec::new());
    let users = raw.users.as_ref().unwrap_or(&none.0);
    let roles = raw.roles.as_ref().unwrap_or(&none.1);
    let mode = match etcd.auth.as_ref().map(|auth| auth.value) {
        None => AuthMode::LeftAlone,
        Some(false) => AuthMode::Off,
        Some(true) => AuthMode::On,
    };
    let first = users.iter().map(|u| u.at).chain(roles.iter().map(|r| r.at)).next();
    if let (Some(at), true) = (first, mode != AuthMode::On) {
        let help = "set `auth: true` below `etcd`; without it every certificate of the CA has full access";
        problems.push(Problem::warning(at, "`users` and `roles` have no effect", help));
    }
    let mut policy = AuthPolicy {
        mode,
        ..AuthPolicy::default()
    };
    let mut seen = BTreeMap::new();
    for role in roles {
        self::role(role, &mut seen, &mut policy, problems);
    }
    let mut seen = BTreeMap::new();
    for user in users {
        self::user(user, &mut seen, &mut policy, problems);
    }
    policy
}

/// The name, unless it is missing (reported by the reader), taken or quorate's own.
fn own_name<'a>(
    what: &str,
    name: &'a Option<Field<PrincipalName>>,
    seen: &mut BTreeMap<String, Place>,
    problems: &mut Vec<Problem>,
) -> Option<&'a Field<PrincipalName>> {
    let name = name.as_ref()?;
    let text = &name.value.0;
    if text == ROOT {
        let help = "remove the entry: with `etcd.auth: true` quorate manages the user and the role `root`, and connects as that user";
        problems.push(Problem::error(
            name.at,
            format!("the {what} `root` cannot be set in the inventory"),
            help,
        ));
        return None;
    }
    if let Some(first) = seen.insert(text.clone(), name.at) {
        let problem = Problem::error(
            name.at,
            format!("the {what} `{text}` is listed twice"),
            "keep one of the two",
        );
        problems.push(problem.also(first, "first here", "again here"));
        return None;
    }
    Some(name)
}

fn role(raw: &RawRole, seen: &mut BTreeMap<String, Place>, policy: &mut AuthPolicy, problems: &mut Vec<Problem>) {
    let listed = raw.permissions.as_deref().unwrap_or_default();
    let mut permissions: BTreeSet<Permission> = BTreeSet::new();
    for typed in listed {
        let Some(permission) = permission(typed, problems) else {
            continue;
        };
        if permissions.iter().any(|known| known.same_keys(&permission)) {
            let help = "keep one of the two; `readwrite` is both";
            problems.push(Problem::error(typed.at, "a second permission for the same keys", help));
            continue;
        }
        permissions.insert(permission);
    }
    if let Some(name) = own_name("role", &raw.name, seen, problems) {
        policy.roles.insert(name.value.0.clone(), permissions);
    }
}

fn permission(raw: &RawPermission, problems: &mut Vec<Problem>) -> Option<Permission> {
    let access = raw.access.as_ref()?.value;
    let text = |field: &Option<Field<KeyText>>| field.as_ref().map(|f| f.value.0.clone());
    let mut refuse = |at: Place, message: &str, help: &str| {
        problems.push(Problem::error(at, message, help));
        None
    };
    match (text(&raw.key), text(&raw.prefix), text(&raw.from), text(&raw.to)) {
        (Some(key), None, None, None) if !key.is_empty() => Some(Permission::key(access, &key)),
        (None, Some(prefix), None, None) => Some(Permission::prefix(access, &prefix)),
        (None, None, Some(from), Some(to)) if !from.is_empty() && from < to => {
            Some(Permission::range(access, &from, &to))
        }
        (None, None, Some(_), Some(_)) => refuse(
            raw.at,
            "an empty range",
            "`from` is the first key, `to` the first that is not in it any more: `{from: a, to: m}`",
        ),
        (Some(_), None, None, None) => refuse(
            raw.at,
            "a permission for an empty key",
            "for all keys write `prefix: \"\"`",
        ),
        _ => refuse(
            raw.at,
            "a permission needs one of `key`, `prefix`, or `from` and `to`",
            "write it like `{access: readwrite, prefix: /app/}`",
        ),
    }
}

fn user(raw: &RawUser, seen: &mut BTreeMap<String, Place>, policy: &mut AuthPolicy, problems: &mut Vec<Problem>) {
    let mut roles = BTreeSet::new();
    for role in raw.roles.iter().flat_map(|many| &many.0) {
        let name = &role.value.0;
        if name != ROOT && !policy.roles.contains_key(name) {
            let known = policy.roles.keys().map(String::as_str);
            let help = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "define it below `roles`".to_owned(),
            };
            problems.push(Problem::error(role.at, format!("there is no role `{name}`"), help));
            continue;
        }
        roles.insert(name.clone());
    }
    let Some(name) = own_name("user", &raw.name, seen, problems) else {
        return;
    };
    let user = name.value.0.clone();
    if raw.password.as_ref().is_some_and(|password| password.value) {
        if !names_a_file(&user) {
            let help = "use letters, digits, `.`, `_` and `-`, beginning with a letter or a digit";
            let message = format!("`{user}` cannot have a password: it is the name of the file that holds it, too");
            problems.push(Problem::error(name.at, message, help));
        }
        policy.passwords.insert(user.clone());
    }
    policy.users.insert(user, roles);
}

fn names_a_file(user: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    user.chars().all(fits) && !user.starts_with(['.', '-', '_'])
}
