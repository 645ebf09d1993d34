//! `clients`, and users with a password.

use super::*;

fn with(config: &str, auth: &str, more: &str) -> String {
    format!(
        "cluster: a\netcd:\n  version: 3.5.30\n  config: {{{config}}}\n{auth}hosts:\n  - {{name: n1, address: 10.0.0.1}}\n{more}"
    )
}

const AUTH: &str = "  auth: true\n";

#[test]
fn each_client_is_given_what_it_needs_and_no_more() {
    let json = |clients: &str| meaning(&with("", "", clients)).serves_json();
    assert!(!json(""));
    assert!(!json("clients: [kubernetes, cilium, calico]\n"));
    for kind in ["patroni", "apisix", "etcd3gw", "json"] {
        assert!(json(&format!("clients: {kind}\n")), "{kind}");
        assert!(json(&format!("clients: [kubernetes, {kind}]\n")), "{kind}");
    }
    // What is said twice is no mistake.
    meaning(&with("enable-grpc-gateway: true", "", "clients: [patroni]\n"));
}

#[test]
fn what_cannot_work_is_said_with_its_place_and_all_at_once() {
    let config = "enable-grpc-gateway: False, auth-token: \"\"";
    let text = with(
        config,
        AUTH,
        "clients: [patrini, apisix, apisix, kubernetes, mongodb]\n",
    );
    let said = mistakes(&text);
    for mistake in [
        "4:12 `apisix` speaks JSON to etcd's gRPC gateway, which this turns off",
        "4:40 `apisix` logs in with a password for a token, and this turns tokens off",
        "8:11 `patrini` is not a kind of client",
        "8:20 `apisix` could not log in",
        "8:28 `apisix` is listed twice",
        "8:36 API servers could not log in",
        "8:48 `mongodb` is not a kind of client",
    ] {
        assert!(
            said.iter().any(|said| said.starts_with(mistake)),
            "{mistake} is not among\n{said:#?}"
        );
    }
    assert_eq!(said.len(), 7, "{said:#?}");
    let helps: Vec<String> = read(&text)
        .unwrap_err()
        .problems()
        .iter()
        .map(|p| p.help.clone())
        .collect();
    for help in [
        "did you mean `patroni`?",
        "`json` if it speaks JSON",
        "`password: true`",
        "remove this line",
    ] {
        assert!(
            helps.iter().any(|said| said.contains(help)),
            "{help} is not among\n{helps:#?}"
        );
    }
}

#[test]
fn a_client_that_speaks_json_can_log_in_with_a_password() {
    let users = "clients: [patroni]\nusers:\n  - {name: patroni, password: true}\n  - {name: app, password: false}\n";
    let auth = meaning(&with("", AUTH, users)).auth;
    assert_eq!(auth.passwords.iter().collect::<Vec<_>>(), ["patroni"]);
    assert_eq!(auth.users.len(), 2);
    let warnings = read(&with("", AUTH, users)).unwrap().warnings;
    assert!(
        warnings.iter().any(|w| w.message.contains("steps down")),
        "{warnings:?}"
    );
    // Kubernetes beside it is no mistake, and not recommended.
    let both = users.replace("[patroni]", "[patroni, kubernetes]");
    let warnings = read(&with("", AUTH, &both)).unwrap().warnings;
    assert!(
        warnings
            .iter()
            .any(|w| w.message.contains("Kubernetes does not support")),
        "{warnings:?}"
    );
    // A name that leads out of the directory.
    let said = mistakes(&with("", AUTH, "users: [{name: ../x, password: true}, {name: a/b}]\n"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`../x` cannot have a password"), "{said:?}");
}
