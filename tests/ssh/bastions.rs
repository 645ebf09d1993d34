//! Hosts behind other hosts.

use std::sync::Arc;

use futures::future::join_all;
use quorate::host::ssh::{KeyState, pin, scan};
use quorate::host::{HostError, Transport as _};
use quorate::inventory::{Jump, SshTarget};

use crate::server::{Given, Server, Setup, node, run, script, stdin, tool, within};

/// `inner` as seen through `bastions`, all with the inner server's key and known hosts.
fn behind(inner: &Server, bastions: &[&Server]) -> SshTarget {
    let mut known = std::fs::read_to_string(inner.path("known_hosts")).unwrap();
    for bastion in bastions {
        known.push_str(&std::fs::read_to_string(bastion.path("known_hosts")).unwrap());
        std::fs::copy(inner.path("id.pub"), bastion.path("authorized_keys")).unwrap();
    }
    std::fs::write(inner.path("all_known_hosts"), known).unwrap();
    let jump = |bastion: &&Server| Jump {
        host: "127.0.0.1".into(),
        port: Some(bastion.port),
        user: None,
    };
    SshTarget {
        jump: bastions.iter().map(jump).collect(),
        known_hosts: inner.path("all_known_hosts"),
        ..inner.target()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_bastions_lead_to_a_host_and_carry_bulk_data() {
    let (outer, middle, inner) = (Server::start(), Server::start(), Server::start());
    let target = behind(&inner, &[&outer, &middle]);
    let env = inner.operator();
    let host = inner.connect_as(&target, &env).await.unwrap();
    let output = within(60, host.run(&script("wc -c", &[]), stdin(vec![1; 20 << 20])))
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), (20 << 20).to_string());
    for server in [&outer, &middle, &inner] {
        server.accepted(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_hosts_behind_a_bastion_share_one_connection_to_it() {
    // With more than five logins at a time these servers would start to drop some.
    let setup = || Setup {
        config: "MaxStartups 6:100:6".into(),
        ..Setup::default()
    };
    let (bastion, inner) = (Server::with(setup()), Server::with(setup()));
    let (target, env) = (behind(&inner, &[&bastion]), inner.operator());
    let hosts = within(60, join_all((0..12).map(|_| inner.connect_as(&target, &env)))).await;
    let hosts: Vec<_> = hosts.into_iter().map(Result::unwrap).collect();
    for output in join_all(hosts.iter().map(|host| run(host, "exit 0", &[]))).await {
        assert!(output.unwrap().ok());
    }
    bastion.accepted(1).await;
    inner.accepted(12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_the_bastion_is_told_as_such() {
    let (bastion, inner) = (Server::start(), Server::start());
    let (target, env) = (behind(&inner, &[&bastion]), inner.operator());
    std::fs::write(bastion.path("authorized_keys"), "").unwrap();
    let errors = within(30, join_all((0..3).map(|_| inner.connect_as(&target, &env)))).await;
    for error in errors {
        let error = error.err().unwrap();
        assert!(
            matches!(&error, HostError::Login { target, .. } if target.contains("jump host")),
            "{error}"
        );
    }
    bastion.logged("Failed publickey", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_forbids_forwarding_says_so() {
    let bastion = Server::with(Setup {
        config: "AllowTcpForwarding no".into(),
        ..Setup::default()
    });
    let inner = Server::start();
    let target = behind(&inner, &[&bastion]);
    let error = inner.connect_as(&target, &inner.operator()).await.err().unwrap();
    assert!(
        matches!(&error, HostError::Connect { why, .. } if why.contains("AllowTcpForwarding")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_behind_a_bastion_are_pinned_from_the_outside_in() {
    let (bastion, inner) = (Server::start(), Server::start());
    let target = SshTarget {
        known_hosts: inner.path("new"),
        ..behind(&inner, &[&bastion])
    };
    let (env, secrets) = (inner.operator(), Arc::new(Given::default()));
    let mut seen = Vec::new();
    loop {
        let keys = scan(&node(), &target, &env, secrets.clone()).await.unwrap();
        seen.push(
            keys.iter()
                .map(|key| (key.key.port, key.state == KeyState::Pinned))
                .collect::<Vec<_>>(),
        );
        match keys.last().unwrap().state {
            KeyState::Pinned => break,
            _ => pin(&target.known_hosts, &[keys.last().unwrap().key.clone()]).unwrap(),
        };
    }
    let (outside, inside) = (bastion.port, inner.port);
    assert_eq!(
        seen,
        [
            vec![(outside, false)],
            vec![(outside, true), (inside, false)],
            vec![(outside, true), (inside, true)]
        ]
    );
    inner.connect_as(&target, &env).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_may_name_the_bastion() {
    let (bastion, inner) = (Server::start(), Server::start());
    let target = SshTarget {
        jump: vec![],
        host: "inner".into(),
        port: None,
        use_config: true,
        ..behind(&inner, &[&bastion])
    };
    std::fs::create_dir_all(inner.path("home/.ssh")).unwrap();
    let user = tool("id", &["-un"]);
    let config = format!(
        "Host inner\n  HostName 127.0.0.1\n  Port {}\n  ProxyJump bast\nHost bast\n  HostName 127.0.0.1\n  Port {}\n  User {user}\n",
        inner.port, bastion.port
    );
    std::fs::write(inner.path("home/.ssh/config"), config).unwrap();
    inner.connect_as(&target, &inner.operator()).await.unwrap();
    bastion.accepted(1).await;
    inner.accepted(1).await;
}
