//! `clients`: what each needs of the members, and what cannot work.

use std::collections::BTreeSet;

use super::authorization::{AuthMode, AuthPolicy};
use super::clients::ClientKind;
use super::problem::{Place, Problem};
use super::raw::{Field, RawEtcd, RawInventory};
use super::tree::Entry;

/// Resolves them.
pub fn clients(
    raw: &RawInventory,
    etcd: &RawEtcd,
    auth: &AuthPolicy,
    problems: &mut Vec<Problem>,
) -> BTreeSet<ClientKind> {
    let typed: Vec<&Field<ClientKind>> = raw.clients.iter().flat_map(|many| &many.0).collect();
    each_once(&typed, problems);
    if let Some(client) = typed.iter().find(|client| client.value.speaks_json()) {
        gateway_is_on(client, etcd, problems);
        if auth.mode == AuthMode::On {
            somebody_can_log_in(client, auth, problems);
            tokens_are_given(client, etcd, problems);
        }
    }
    if let Some(client) = typed.iter().find(|client| client.value == ClientKind::Patroni)
        && auth.mode == AuthMode::On
    {
        problems.push(patroni_with_users(client.at));
    }
    if let Some(client) = typed.iter().find(|client| client.value == ClientKind::Kubernetes)
        && auth.mode == AuthMode::On
    {
        problems.push(kubernetes_with_users(client.at, auth));
    }
    typed.iter().map(|client| client.value).collect()
}

fn each_once(typed: &[&Field<ClientKind>], problems: &mut Vec<Problem>) {
    for (index, client) in typed.iter().enumerate() {
        if let Some(first) = typed[..index].iter().find(|earlier| earlier.value == client.value) {
            let message = format!("`{}` is listed twice", client.value.name());
            let problem = Problem::error(client.at, message, "keep one of the two");
            problems.push(problem.also(first.at, "first here", "again here"));
        }
    }
}

fn gateway_is_on(client: &Field<ClientKind>, etcd: &RawEtcd, problems: &mut Vec<Problem>) {
    let Some(entry) = option(etcd, "enable-grpc-gateway").filter(|entry| is_false(entry)) else {
        return;
    };
    let name = client.value.name();
    let problem = Problem::error(
        entry.key_at,
        format!("`{name}` speaks JSON to etcd's gRPC gateway, which this turns off: etcd would answer 404"),
        format!("remove this line, since `clients` turns the gateway on; or remove `{name}` from `clients`"),
    );
    problems.push(problem.also(client.at, "needs it", "turned off here"));
}

fn somebody_can_log_in(client: &Field<ClientKind>, auth: &AuthPolicy, problems: &mut Vec<Problem>) {
    if auth.passwords.is_empty() {
        problems.push(Problem::error(
            client.at,
            format!(
                "`{}` could not log in: etcd ignores the common name of a certificate for JSON clients, and no user has a \
                 password",
                client.value.name()
            ),
            "give its entry below `users` the line `password: true`, or set `etcd.auth: false`",
        ));
    }
}

/// Without a kind of token etcd takes no password (`NewTokenProvider`, auth/store.go).
fn tokens_are_given(client: &Field<ClientKind>, etcd: &RawEtcd, problems: &mut Vec<Problem>) {
    let Some(entry) = option(etcd, "auth-token").filter(|entry| entry.value.text() == Some("")) else {
        return;
    };
    let name = client.value.name();
    let problem = Problem::error(
        entry.key_at,
        format!("`{name}` logs in with a password for a token, and this turns tokens off"),
        "remove this line: the default is `simple`",
    );
    problems.push(problem.also(client.at, "needs them", "turned off here"));
}

/// A member forgets the tokens that it gave, and Patroni does not log in again for the call that keeps its lease (tried with
/// 3.0.2: one second without a primary at each rolling restart; newer ones have the same code).
fn patroni_with_users(at: Place) -> Problem {
    Problem::warning(
        at,
        "with `etcd.auth: true`, Patroni's primary steps down for a moment whenever members restart",
        "set `etcd.auth: false` and give Patroni a cluster of its own; or run `patronictl pause` first (docs/patroni.md)",
    )
}

fn kubernetes_with_users(at: Place, auth: &AuthPolicy) -> Problem {
    let help = "set `etcd.auth: false`, or use a cluster of its own for Kubernetes";
    match auth.users.is_empty() {
        true => Problem::error(
            at,
            "API servers could not log in: `etcd.auth` is on, and there are no `users`",
            help,
        ),
        false => Problem::warning(at, "Kubernetes does not support `etcd.auth: true`", help),
    }
}

fn option<'a>(etcd: &'a RawEtcd, name: &str) -> Option<&'a Entry> {
    etcd.config.as_ref()?.0.iter().find(|entry| entry.key == name)
}

/// In any of YAML's spellings.
fn is_false(entry: &Entry) -> bool {
    entry
        .value
        .text()
        .is_some_and(|text| text.eq_ignore_ascii_case("false"))
}
