use super::*;
use crate::inventory::Sudo;

fn target(host: &str) -> SshTarget {
    SshTarget {
        host: host.to_owned(),
        port: None,
        user: None,
        identity: vec![],
        known_hosts: "/pki/known_hosts".into(),
        jump: vec![],
        sudo: Sudo::Auto,
        use_config: true,
    }
}

/// An operator whose `~/.ssh/config` is `text`.
fn operator(text: &str) -> (tempfile::TempDir, SshEnvironment) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/config"), text).unwrap();
    let env = SshEnvironment::new(home.path(), Some("/agent".into()));
    (home, env)
}

fn labels(route: &Route) -> Vec<String> {
    route.jumps.iter().chain([&route.target]).map(Hop::label).collect()
}

#[tokio::test]
async fn without_a_configuration_the_defaults_hold() {
    let (home, env) = operator("# nothing\n");
    let hops = route(&target("fd00::1"), &env).await.unwrap();
    assert_eq!(labels(&hops), ["root@[fd00::1]:22"]);
    let ssh = home.path().join(".ssh");
    let expected = Identities {
        files: vec![ssh.join("id_ed25519"), ssh.join("id_ecdsa"), ssh.join("id_rsa")],
        certificates: vec![],
        only: false,
        named: false,
        agent: Some("/agent".into()),
    };
    assert_eq!(hops.target.identities, expected);
    assert_eq!(
        hops.target.known_hosts,
        [
            "/pki/known_hosts".into(),
            ssh.join("known_hosts"),
            ssh.join("known_hosts2")
        ]
    );
}

#[tokio::test]
async fn what_is_typed_wins_over_the_configuration() {
    let (_home, env) = operator(
        "Host web\n  HostName 10.0.0.9\n  User deploy\n  Port 2200\n  IdentityFile ~/.ssh/web\n  ProxyJump bast\n\
         Host bast\n  User jumper\n  HostName 192.0.2.1\n",
    );
    let from_config = route(&target("web"), &env).await.unwrap();
    assert_eq!(labels(&from_config), ["jumper@192.0.2.1:22", "deploy@10.0.0.9:2200"]);
    assert_eq!(from_config.target.id.names, ["web", "10.0.0.9"]);
    assert!(!from_config.target.identities.only && from_config.target.identities.named);

    let jump = Jump {
        host: "other".into(),
        port: Some(23),
        user: None,
    };
    let typed = SshTarget {
        user: Some("me".into()),
        port: Some(24),
        identity: vec!["/k".into()],
        jump: vec![jump],
        ..target("web")
    };
    let hops = route(&typed, &env).await.unwrap();
    assert_eq!(labels(&hops), ["me@other:23", "me@10.0.0.9:24"]);
    assert!(
        [&hops.jumps[0], &hops.target]
            .iter()
            .all(|hop| hop.identities.files == [PathBuf::from("/k")] && hop.identities.only)
    );

    let ignored = route(
        &SshTarget {
            use_config: false,
            ..target("web")
        },
        &env,
    )
    .await
    .unwrap();
    assert_eq!(labels(&ignored), ["root@web:22"]);
    assert_eq!(ignored.target.known_hosts, [PathBuf::from("/pki/known_hosts")]);
}

#[tokio::test]
async fn a_bastion_may_stand_behind_another_one() {
    let (_home, env) = operator("Host inner\n  ProxyJump outer\nHost web\n  ProxyJump inner\n");
    assert_eq!(
        labels(&route(&target("web"), &env).await.unwrap()),
        ["root@outer:22", "root@inner:22", "root@web:22"]
    );
}

#[tokio::test]
async fn a_loop_of_bastions_ends_in_an_error() {
    let (_home, env) = operator("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n");
    let trouble = route(&target("a"), &env).await.unwrap_err();
    assert!(
        matches!(&trouble, Trouble::Connect { why, .. } if why.contains("jump hosts")),
        "{trouble:?}"
    );
}

#[tokio::test]
async fn what_quorate_cannot_do_is_said_before_anything_is_dialled() {
    let (_home, env) = operator("Host a\n  ProxyCommand nc %h %p\n");
    let trouble = route(&target("a"), &env).await.unwrap_err();
    assert!(
        matches!(&trouble, Trouble::Connect { why, .. } if why.contains("ProxyCommand")),
        "{trouble:?}"
    );
    let jump = Jump {
        host: "j".into(),
        port: None,
        user: None,
    };
    let typed = SshTarget {
        jump: vec![jump],
        ..target("a")
    };
    assert_eq!(
        route(&typed, &env).await.unwrap().jumps.len(),
        1,
        "typed jumps replace it"
    );

    let (_home, env) = operator("Host a\n  Port nowhere\n");
    let trouble = route(&target("a"), &env).await.unwrap_err();
    assert!(
        matches!(&trouble, Trouble::Connect { why, .. } if why.contains("line 2")),
        "{trouble:?}"
    );
}

#[tokio::test]
async fn an_alias_is_the_only_name_a_key_is_looked_up_by() {
    let (_home, env) = operator("Host web\n  HostKeyAlias fleet\n  HostName 10.0.0.9\n  IdentityAgent none\n");
    let hops = route(&target("web"), &env).await.unwrap();
    assert_eq!(hops.target.id.names, ["fleet"]);
    assert_eq!(hops.target.identities.agent, None);
}
