//! Hosts that do not answer, or stop answering.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate::bounds::{Exceeded, Limits};
use quorate::host::ssh::SshEnvironment;
use quorate::host::{HostError, Transport as _};
use quorate::inventory::SshTarget;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::server::{Server, Setup, run, script, stdin, within};

/// An operator who gives up soon.
fn impatient(server: &Server) -> Arc<SshEnvironment> {
    server.operator_with(|env| {
        env.connect_timeout = Duration::from_millis(500);
        env.keepalive = Duration::from_millis(200);
    })
}

/// sshd's process of one connection, thawed and ended when the test is over.
struct Session(String);

impl Session {
    async fn of(host: &quorate::host::ssh::SshTransport) -> Self {
        // The login shell may stand between sshd and the script, so look upward for sshd.
        let text = "p=$$; while [ \"$(cat /proc/$p/comm)\" != sshd ]; do p=$(awk '/^PPid/{print $2}' /proc/$p/status); done; echo $p";
        let output = run(host, text, &[]).await.unwrap();
        Self(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    fn signal(&self, name: &str) {
        let _ = std::process::Command::new("kill")
            .args([name, &self.0])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_port_is_given_up_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start();
    let target = SshTarget {
        port: Some(port),
        ..server.target()
    };
    let error = within(5, server.connect_as(&target, &impatient(&server)))
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!("etcd-1: cannot connect to 127.0.0.1:{port}: no answer within 0.5 s")
    );
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_refused_at_once() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Server::start();
    let target = SshTarget {
        port: Some(port),
        ..server.target()
    };
    let error = within(2, server.connect_as(&target, &server.operator()))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, HostError::Connect { why, .. } if why.contains("refused")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_not_ssh_is_said_to_be_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"SSH-2.0-x\r\nHTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1000]).await;
        }
    });
    let server = Server::start();
    let target = SshTarget {
        port: Some(port),
        ..server.target()
    };
    let error = within(10, server.connect_as(&target, &impatient(&server)))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, HostError::Connect { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_common_algorithm_is_not_said_to_be_down() {
    for (config, word) in [
        ("KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms"),
        ("Ciphers aes128-cbc", "Ciphers"),
    ] {
        let server = Server::with(Setup {
            config: config.into(),
            ..Setup::default()
        });
        let error = within(5, server.connect_as(&server.target(), &server.operator()))
            .await
            .err()
            .unwrap();
        let offered = config.split(' ').next_back().unwrap();
        assert!(
            matches!(&error, HostError::Connect { why, hint, .. }
                if why.contains(offered) && hint.contains(word) && !hint.contains("is it up")),
            "{error} {:?}",
            error.hint()
        );
    }
}

/// sshd drops connections at random while many log in. Here the first two attempts are cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_before_the_login_is_tried_again() {
    let server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = server.port;
    tokio::spawn(async move {
        for _ in 0..2 {
            drop(listener.accept().await);
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sshd = tokio::net::TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut sshd).await;
    });
    let known = std::fs::read_to_string(server.path("known_hosts")).unwrap();
    std::fs::write(
        server.path("known_hosts"),
        known.replace(&behind.to_string(), &port.to_string()),
    )
    .unwrap();
    let target = SshTarget {
        port: Some(port),
        ..server.target()
    };
    let host = within(10, server.connect_as(&target, &server.operator()))
        .await
        .unwrap();
    assert!(run(&host, "exit 0", &[]).await.unwrap().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_ends_everything_on_it_at_once() {
    let server = Server::start();
    let host = server.connect().await;
    let session = Session::of(&host).await;
    let running = host.spawn(&script("# Holding the lock\ncat", &[])).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = host
        .tunnel("127.0.0.1", listener.local_addr().unwrap().port())
        .await
        .unwrap();
    let long = script("# Doing something long\nsleep 60", &[]);
    let waiting = host.run(&long, stdin(""));
    let started = Instant::now();
    let (error, _) = within(10, async { tokio::join!(waiting, async { session.signal("-KILL") }) }).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, HostError::Lost { operation, .. } if operation == "Doing something long"),
        "{error}"
    );
    assert_eq!(error.node().as_str(), "etcd-1");
    let error = within(5, running.done).await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("etcd-1: Holding the lock: "), "{error}");
    assert!(
        within(5, stream.read(&mut [0; 1])).await.is_err(),
        "a lost tunnel must not look like an orderly end"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    let error = within(5, run(&host, "true", &[])).await.unwrap_err();
    assert!(matches!(error, HostError::Lost { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_freezes_is_given_up_after_four_silent_intervals() {
    let server = Server::start();
    let host = server.connect_as(&server.target(), &impatient(&server)).await.unwrap();
    let session = Session::of(&host).await;
    session.signal("-STOP");
    let started = Instant::now();
    let error = within(10, run(&host, "true", &[])).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Lost { why, .. } if why.contains("no longer answers")),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_freezes_in_the_middle_of_a_push_is_given_up_too() {
    let server = Server::start();
    let host = server.connect_as(&server.target(), &impatient(&server)).await.unwrap();
    let session = Session::of(&host).await;
    let endless = Box::pin(tokio::io::repeat(1));
    let push = script("# Pushing a file\ncat > /dev/null", &[]);
    let freeze = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        session.signal("-STOP");
        Instant::now()
    };
    let (error, frozen) = within(20, async { tokio::join!(host.run(&push, endless), freeze) }).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, HostError::Lost { operation, .. } if operation == "Pushing a file"),
        "{error}"
    );
    assert!(frozen.elapsed() < Duration::from_secs(5), "{:?}", frozen.elapsed());
}

/// What has been going on there for too long ends by itself, with all that it has started.
async fn ends(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    within(30, async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_too_much_is_given_up_and_its_connection_lives() {
    let server = Server::start();
    let host = server.connect().await;
    let mut endless = script("cat /dev/zero", &[]);
    endless.limits = Limits::answer(1 << 20, 60);
    let output = within(30, host.run(&endless, stdin(""))).await.unwrap();
    assert_eq!(output.over, Some(Exceeded::Bytes(1 << 20)));
    assert!(!output.ok());
    // On standard error nobody waits for the end, and the last of it is kept.
    let mut chatter = script("head -c 5000000 /dev/zero | tr '\\0' x >&2; echo done", &[]);
    chatter.limits = Limits::answer(1 << 20, 60);
    let output = within(30, host.run(&chatter, stdin(""))).await.unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.len()),
        (&b"done\n"[..], 1 << 20)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uname_that_never_ends_is_given_up_and_does_not_stay_on_the_host() {
    let server = Server::start();
    let host = server.connect().await;
    let dir = tempfile::tempdir().unwrap();
    let (seconds, pid) = (Duration::from_millis(700), dir.path().join("pid"));
    let text = "uname() { sleep 600 & echo $! >\"$1\"; wait; }; uname \"$1\"";
    let mut endless = script(text, &[pid.to_str().unwrap()]);
    endless.limits = Limits {
        time: Some(seconds),
        there: Some(Duration::from_secs(2)),
        ..Limits::answer(1 << 20, 1)
    };
    let output = within(20, host.run(&endless, stdin(""))).await.unwrap();
    assert_eq!(output.over, Some(Exceeded::Time(seconds)));
    ends(std::fs::read_to_string(&pid).unwrap().trim()).await;

    // The same where the connection is gone before.
    let mut left = script(text, &[pid.to_str().unwrap()]);
    left.limits.there = Some(Duration::from_secs(2));
    std::fs::remove_file(&pid).unwrap();
    let lost = tokio::time::timeout(Duration::from_secs(1), host.run(&left, stdin(""))).await;
    assert!(lost.is_err(), "it does not end");
    drop(host);
    ends(std::fs::read_to_string(&pid).unwrap().trim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_slowly_is_waited_for_as_long_as_it_comes_on() {
    let server = Server::start();
    let host = server.connect().await;
    let (mut to, from) = tokio::io::duplex(64);
    let mut count = script("wc -c", &[]);
    count.limits.time = Some(Duration::from_secs(1));
    let slowly = async {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tokio::io::AsyncWriteExt::write_all(&mut to, b"x").await.unwrap();
        }
        drop(to);
    };
    let (output, ()) = within(30, async { tokio::join!(host.run(&count, Box::pin(from)), slowly) }).await;
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap().trim(), "8");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_connection_names_its_own_cause() {
    let server = Server::start();
    std::fs::create_dir_all(server.path("home/.ssh")).unwrap();
    std::fs::write(
        server.path("home/.ssh/config"),
        "Host proxied\n  ProxyCommand sh -c \"echo no way to %h >&2; exit 1\"\n",
    )
    .unwrap();
    // A port of which nobody else can take hold.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap().port();
    drop(nobody);
    let target = |host: &str, port| SshTarget {
        host: host.into(),
        port: Some(port),
        use_config: true,
        ..server.target()
    };
    let env = server.operator_with(|env| env.system = server.path("etc"));
    for (target, says, helps) in [
        (target("127.0.0.1", closed), "refused", "no sshd listens on port"),
        (target("etcd-1.invalid", 22), "lookup", "name resolution"),
        (
            target("proxied", 22),
            "ProxyCommand says: no way to proxied",
            "check `ProxyCommand",
        ),
    ] {
        let error = server.connect_as(&target, &env).await.err().unwrap();
        let HostError::Connect { why, hint, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            why.contains(says) && hint.contains(helps) && !hint.contains("is it up"),
            "{why}: {hint}"
        );
    }
}
