//! Keys, passphrases, agents, certificates; and what a refused login tells.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use quorate::host::HostError;
use quorate::host::ssh::{SshEnvironment, connect};
use quorate::inventory::SshTarget;

use crate::server::{Given, Server, Setup, keygen, node, run, tool, within};

/// An SSH agent of our own.
pub struct Agent {
    child: Child,
    pub socket: PathBuf,
}

impl Agent {
    pub async fn start(server: &Server) -> Self {
        let socket = server.path("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("install openssh-client");
        let connected = async {
            while tokio::net::UnixStream::connect(&socket).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        within(10, connected).await;
        Self { child, socket }
    }

    fn add(&self, key: &std::path::Path) {
        let output = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that accepts `name`, a fresh key of this kind.
fn accepting(name: &str, kind: &str, passphrase: &str) -> (Server, SshTarget) {
    let server = Server::start();
    keygen(&server.path(name), kind, passphrase);
    std::fs::copy(server.path(&format!("{name}.pub")), server.path("authorized_keys")).unwrap();
    let target = SshTarget {
        identity: vec![server.path(name)],
        ..server.target()
    };
    (server, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_log_in() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (server, target) = accepting("mine", kind, "");
        let host = server.connect_as(&target, &server.operator()).await;
        let host = host.unwrap_or_else(|error| panic!("{kind}: {error}\n{}", server.log()));
        assert!(run(&host, "exit 0", &[]).await.unwrap().ok(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_for_once_and_only_for_a_key_that_the_host_takes() {
    let (server, mut target) = accepting("mine", "ed25519", "open sesame");
    keygen(&server.path("other"), "ed25519", "never typed");
    target.identity.insert(0, server.path("other"));
    let env = server.operator();
    let secrets = Arc::new(Given {
        passphrase: Some("open sesame"),
        ..Given::default()
    });
    for _ in 0..2 {
        connect(&node(), &target, &env, secrets.clone()).await.unwrap();
    }
    assert_eq!(secrets.asked(), ["passphrase of mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_passphrase_is_said_in_the_error() {
    let (server, target) = accepting("mine", "rsa", "open sesame");
    for (passphrase, why) in [(Some("nonsense"), "wrong passphrase"), (None, "cannot prompt for it")] {
        let secrets = Arc::new(Given {
            passphrase,
            ..Given::default()
        });
        let error = connect(&node(), &target, &server.operator(), secrets)
            .await
            .err()
            .unwrap();
        assert!(
            matches!(&error, HostError::Login { tried, .. } if tried.contains(why)),
            "{error}"
        );
        assert!(!error.to_string().contains("nonsense"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_pem_files_work_too() {
    let (server, target) = accepting("mine", "rsa", "open sesame");
    let path = server.path("mine");
    let path = path.to_str().unwrap();
    tool(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-m",
            "PEM",
            "-P",
            "open sesame",
            "-N",
            "open sesame",
            "-f",
            path,
        ],
    );
    assert!(std::fs::read_to_string(path).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    std::fs::remove_file(server.path("mine.pub")).unwrap();
    let secrets = Arc::new(Given {
        passphrase: Some("open sesame"),
        ..Given::default()
    });
    connect(&node(), &target, &server.operator(), secrets).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_signs_for_a_locked_key_so_that_nobody_is_asked() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (server, target) = accepting("mine", kind, "");
        let agent = Agent::start(&server).await;
        agent.add(&server.path("mine"));
        let path = server.path("mine");
        tool(
            "ssh-keygen",
            &["-q", "-p", "-a", "2", "-N", "locked now", "-f", path.to_str().unwrap()],
        );
        let env = Arc::new(SshEnvironment::new(server.path("home"), Some(agent.socket.clone())));
        let secrets = Arc::new(Given::default());
        // By its file, by its public half alone, and as any key of the agent.
        for identity in [vec![path.clone()], vec![server.path("mine.pub")], vec![]] {
            let target = SshTarget {
                identity,
                ..target.clone()
            };
            let host = connect(&node(), &target, &env, secrets.clone()).await;
            host.unwrap_or_else(|error| panic!("{kind}: {error}\n{}", server.log()));
        }
        assert!(secrets.asked().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_full_of_keys_does_not_use_up_the_attempts() {
    let (server, target) = accepting("mine", "ed25519", "");
    let agent = Agent::start(&server).await;
    for number in 0..8 {
        let path = server.path(&format!("foreign{number}"));
        keygen(&path, "ed25519", "");
        agent.add(&path);
    }
    let env = Arc::new(SshEnvironment::new(server.path("home"), Some(agent.socket.clone())));
    server.connect_as(&target, &env).await.unwrap();

    let error = server
        .connect_as(
            &SshTarget {
                identity: vec![],
                ..target
            },
            &env,
        )
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, HostError::Login { tried, .. } if tried.contains("Too many authentication failures")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_agent_is_no_obstacle() {
    let (server, target) = accepting("mine", "ed25519", "");
    let env = Arc::new(SshEnvironment::new(server.path("home"), Some(server.path("no-agent"))));
    server.connect_as(&target, &env).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn user_certificates_log_in_from_files_and_from_the_agent() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let server = Server::with(Setup {
            config: "TrustedUserCAKeys DIR/ca.pub\nAuthorizedKeysFile none".into(),
            ..Setup::default()
        });
        keygen(&server.path("ca"), "ed25519", "");
        keygen(&server.path("mine"), kind, "");
        let (ca, user) = (server.path("ca"), tool("id", &["-un"]));
        let public = server.path("mine.pub");
        tool(
            "ssh-keygen",
            &[
                "-q",
                "-s",
                ca.to_str().unwrap(),
                "-I",
                "me",
                "-n",
                &user,
                public.to_str().unwrap(),
            ],
        );
        let target = SshTarget {
            identity: vec![server.path("mine")],
            ..server.target()
        };
        let host = server.connect_as(&target, &server.operator()).await;
        host.unwrap_or_else(|error| panic!("{kind}: {error}\n{}", server.log()));

        let agent = Agent::start(&server).await;
        agent.add(&server.path("mine"));
        let env = Arc::new(SshEnvironment::new(server.path("home"), Some(agent.socket.clone())));
        let target = SshTarget {
            identity: vec![],
            ..target
        };
        let host = server.connect_as(&target, &env).await;
        host.unwrap_or_else(|error| panic!("{kind}: {error}\n{}", server.log()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_tells_what_was_tried() {
    let server = Server::start();
    keygen(&server.path("wrong"), "ed25519", "");
    let target = SshTarget {
        identity: vec![server.path("absent"), server.path("wrong")],
        ..server.target()
    };
    let error = server.connect_as(&target, &server.operator()).await.err().unwrap();
    let HostError::Login { node, tried, hint, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(node.as_str(), "etcd-1");
    assert!(
        tried.contains("absent: no such file") && tried.contains("key /"),
        "{tried}"
    );
    assert!(hint.contains("publickey") && hint.contains("ssh.identity"), "{hint}");

    let nothing = SshTarget {
        identity: vec![],
        ..server.target()
    };
    let error = server.connect_as(&nothing, &server.operator()).await.err().unwrap();
    assert!(error.to_string().contains("no agent and no key file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_honoured_and_can_be_switched_off() {
    let server = Server::start();
    std::fs::create_dir_all(server.path("home/.ssh")).unwrap();
    let user = tool("id", &["-un"]);
    let config = format!(
        "Host etcd-alias\n  HostName 127.0.0.1\n  Port {}\n  User {user}\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
        server.port,
        server.path("id").display(),
        server.path("known_hosts").display()
    );
    std::fs::write(server.path("home/.ssh/config"), config).unwrap();
    let target = SshTarget {
        host: "etcd-alias".into(),
        port: None,
        user: None,
        identity: vec![],
        known_hosts: server.path("empty"),
        use_config: true,
        ..server.target()
    };
    server.connect_as(&target, &server.operator()).await.unwrap();
    let without = SshTarget {
        use_config: false,
        ..target
    };
    let error = server.connect_as(&without, &server.operator()).await.err().unwrap();
    assert!(matches!(error, HostError::Connect { .. }), "{error}");
}
