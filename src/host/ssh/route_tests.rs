use super::*;
use crate::host::ssh::tokens::local_user;
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
    let mut env = SshEnvironment::new(home.path(), Some("/agent".into()));
    env.system = home.path().join("etc");
    (home, env)
}

/// As whom OpenSSH logs in on a bastion for which nothing says it.
fn me() -> String {
    local_user().expect("an account")
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
        files: ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"]
            .map(|name| ssh.join(name))
            .to_vec(),
        certificates: vec![],
        only: false,
        named: false,
        agent: Some("/agent".into()),
        pkcs11: None,
    };
    assert_eq!(hops.target.identities, expected);
    assert_eq!(
        hops.target.known_hosts,
        [
            "/pki/known_hosts".into(),
            ssh.join("known_hosts"),
            ssh.join("known_hosts2"),
            home.path().join("etc/ssh_known_hosts"),
            home.path().join("etc/ssh_known_hosts2"),
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
        [
            format!("{}@outer:22", me()),
            format!("{}@inner:22", me()),
            "root@web:22".to_owned()
        ]
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
async fn a_command_may_lead_to_the_outermost_hop() {
    let (_home, env) = operator(
        "Host a b\n  ProxyCommand nc -X %r %h %p %%\nHost c\n  ProxyJump b\nHost d\n  ProxyCommand none\n\
         Host *\n  ProxyCommand never\n",
    );
    let proxies = async |target: &SshTarget| {
        let hops = route(target, &env).await.unwrap();
        let all = hops.jumps.iter().chain([&hops.target]);
        all.map(|hop| hop.proxy.clone()).collect::<Vec<_>>()
    };
    let nc = |user: &str, host: &str| Some(format!("nc -X {user} {host} 22 %"));
    assert_eq!(proxies(&target("a")).await, [nc("root", "a")]);
    assert_eq!(proxies(&target("c")).await, [nc(&me(), "b"), None]);
    assert_eq!(proxies(&target("d")).await, [None]);
    let typed = SshTarget {
        jump: vec![Jump {
            host: "d".into(),
            port: None,
            user: None,
        }],
        ..target("a")
    };
    assert_eq!(proxies(&typed).await, [None, None], "typed jumps replace it");
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_before_anything_is_dialled() {
    for (text, said) in [
        ("Host a\n  Port nowhere\n", "line 2"),
        ("Host a\n  IdentityFile ~/%Z\n", "%Z"),
        (
            "Host a\n  CertificateFile ${QUORATE_NEVER_SET}/x\n",
            "QUORATE_NEVER_SET",
        ),
    ] {
        let (_home, env) = operator(text);
        let trouble = route(&target("a"), &env).await.unwrap_err();
        assert!(
            matches!(&trouble, Trouble::Connect { why, .. } if why.contains(said)),
            "{trouble:?}"
        );
    }
}

#[tokio::test]
async fn the_machines_configuration_follows_the_operators() {
    let (home, env) = operator("Host web\n  Port 2201\n");
    std::fs::create_dir(&env.system).unwrap();
    std::fs::write(
        env.system.join("ssh_config"),
        "Host web\n  Port 22\n  User deploy\nMatch final user deploy\n  IdentityFile ~/.ssh/%r\n",
    )
    .unwrap();
    let hop = route(&target("web"), &env).await.unwrap().target;
    assert_eq!(hop.label(), "deploy@web:2201");
    assert_eq!(hop.identities.files, [home.path().join(".ssh/deploy")]);
    // Also where the operator has none.
    let mut other = SshEnvironment::new("/nonexistent", None);
    other.system = env.system.clone();
    let hop = route(&target("web"), &other).await.unwrap().target;
    assert_eq!(hop.label(), "deploy@web:22");
}

#[tokio::test]
async fn match_user_sees_the_login_that_is_used() {
    let (_home, env) = operator("Match user root\n  Port 2203\n");
    let hop = route(&target("web"), &env).await.unwrap().target;
    assert_eq!(hop.label(), "root@web:2203");
}

#[tokio::test]
async fn an_alias_is_the_only_name_a_key_is_looked_up_by() {
    let (_home, env) = operator("Host web\n  HostKeyAlias fleet\n  HostName 10.0.0.9\n  IdentityAgent none\n");
    let hops = route(&target("web"), &env).await.unwrap();
    assert_eq!(hops.target.id.names[0], "fleet");
    assert_eq!(hops.target.identities.agent, None);
}
