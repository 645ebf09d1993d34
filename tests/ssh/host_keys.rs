//! Strict host keys, and pinning them.

use std::sync::Arc;

use quorate::host::HostError;
use quorate::host::ssh::{KeyState, pin, scan};
use quorate::inventory::SshTarget;

use crate::server::{Given, Server, Setup, keygen, node, tool};

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_refused_and_trusted_after_its_key_was_pinned() {
    let server = Server::start();
    let target = SshTarget {
        known_hosts: server.path("fresh/known_hosts"),
        ..server.target()
    };
    let env = server.operator();
    let error = server.connect_as(&target, &env).await.err().unwrap();
    let print = tool("ssh-keygen", &["-lf", server.path("host_key.pub").to_str().unwrap()]);
    let print = print.split(' ').nth(1).unwrap().to_owned();
    assert!(
        matches!(&error, HostError::HostKey { why, .. } if why.contains(&print)),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("quorate trust"));
    server.accepted(0).await;

    let secrets = Arc::new(Given::default());
    let keys = scan(&node(), &target, &env, secrets.clone()).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(
        (keys[0].state.clone(), keys[0].fingerprint.clone()),
        (KeyState::New, print)
    );
    assert_eq!(keys[0].kind, "ssh-ed25519");
    assert_eq!(pin(&target.known_hosts, &[keys[0].key.clone()]).unwrap(), 1);
    let again = scan(&node(), &target, &env, secrets).await.unwrap();
    assert_eq!(again[0].state, KeyState::Pinned);
    server.connect_as(&target, &env).await.unwrap();
    // OpenSSH reads the pinned line in the same way.
    let name = format!("[127.0.0.1]:{}", server.port);
    tool("ssh-keygen", &["-F", &name, "-f", target.known_hosts.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_names_the_line_that_holds_the_old_one() {
    let server = Server::start();
    keygen(&server.path("old"), "ed25519", "");
    let old = std::fs::read_to_string(server.path("old.pub")).unwrap();
    let line = format!("# pinned\n\n[127.0.0.1]:{} {old}", server.port);
    std::fs::write(server.path("known_hosts"), line).unwrap();
    let error = server
        .connect_as(&server.target(), &server.operator())
        .await
        .err()
        .unwrap();
    let HostError::HostKey { why, hint, .. } = &error else {
        panic!("{error}");
    };
    assert!(why.contains("line 3 of ") && why.contains("known_hosts"), "{why}");
    assert!(hint.contains("line 3 of "), "{hint}");
    server.accepted(0).await;

    let secrets = Arc::new(Given::default());
    let keys = scan(&node(), &server.target(), &server.operator(), secrets)
        .await
        .unwrap();
    assert!(
        matches!(&keys[0].state, KeyState::Changed(place) if place.contains("line 3")),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_known_by_its_rsa_key_is_asked_for_that_one() {
    let server = Server::with(Setup {
        config: "HostKey DIR/rsa".into(),
        wrapper: Some(with_rsa_key()),
        ..Setup::default()
    });
    let rsa = std::fs::read_to_string(server.path("rsa.pub")).unwrap();
    std::fs::write(server.path("known_hosts"), format!("[127.0.0.1]:{} {rsa}", server.port)).unwrap();
    server.connect().await;
}

fn with_rsa_key() -> String {
    "ssh-keygen -q -t rsa -b 2048 -N '' -f DIR/rsa && exec \"$@\"".into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_although_it_is_pinned() {
    let server = Server::start();
    let key = std::fs::read_to_string(server.path("host_key.pub")).unwrap();
    let known = format!("[127.0.0.1]:{0} {key}@revoked [127.0.0.1]:{0} {key}", server.port);
    std::fs::write(server.path("known_hosts"), known).unwrap();
    let error = server
        .connect_as(&server.target(), &server.operator())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, HostError::HostKey { why, .. } if why.contains("revoked")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_certificate_of_a_known_authority_is_enough() {
    let wrapper = "ssh-keygen -q -t ed25519 -N '' -f DIR/ca && \
                   ssh-keygen -q -s DIR/ca -I host -h -n 127.0.0.1 DIR/host_key.pub && exec \"$@\"";
    let config = "HostCertificate DIR/host_key-cert.pub".to_owned();
    let server = Server::with(Setup {
        config,
        wrapper: Some(wrapper.into()),
        ..Setup::default()
    });
    let ca = std::fs::read_to_string(server.path("ca.pub")).unwrap();
    std::fs::write(server.path("known_hosts"), format!("@cert-authority 127.0.0.* {ca}")).unwrap();
    server.connect().await;

    keygen(&server.path("other"), "ed25519", "");
    let other = std::fs::read_to_string(server.path("other.pub")).unwrap();
    std::fs::write(server.path("known_hosts"), format!("@cert-authority * {other}")).unwrap();
    let error = server
        .connect_as(&server.target(), &server.operator())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, HostError::HostKey { why, .. } if why.contains("not pinned")),
        "{error}"
    );
}
