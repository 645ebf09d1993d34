//! Servers that allow few sessions a connection.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use quorate::host::{HostError, Transport as _};

use crate::server::{Server, Setup, run, script, within};

fn allowing(sessions: u32) -> Server {
    Server::with(Setup {
        config: format!("MaxSessions {sessions}"),
        ..Setup::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_and_work_get_on_where_a_connection_has_one_session() {
    let server = allowing(1);
    let host = server.connect().await;
    let lock = host.spawn(&script("echo locked; cat", &[])).await.unwrap();
    for _ in 0..20 {
        assert_eq!(
            within(10, run(&host, "echo done", &[])).await.unwrap().stdout,
            b"done\n"
        );
    }
    drop(lock.stdin);
    assert!(within(10, lock.done).await.unwrap().unwrap().ok());
    server.accepted(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_allows_few_sessions_is_waited_for() {
    for sessions in [1, 2] {
        let server = allowing(sessions);
        let host = server.connect().await;
        let runs = (0..20).map(|_| run(&host, "sleep 0.05; echo done", &[]));
        for output in within(60, join_all(runs)).await {
            assert_eq!(output.unwrap().stdout, b"done\n");
        }
    }
}

/// Everything that one host allows is in use, and stays so.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_waited_for_without_a_limit_and_the_wait_is_told() {
    let server = allowing(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let env = server.operator_with(|env| {
        env.session_patience = Duration::from_secs(4);
        env.told = Arc::new(move |node, what| tell.lock().unwrap().push(format!("{node}: {what}")));
    });
    let host = server.connect_as(&server.target(), &env).await.unwrap();
    let holding = join_all((0..8).map(|_| async { host.spawn(&script("cat", &[])).await.unwrap() })).await;
    let error = within(20, run(&host, "# Looking\ntrue", &[])).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Script { why, hint, .. }
            if why.contains("no session was free for 4 s") && why.contains("allows 1 a connection") && hint.contains("MaxSessions")),
        "{error}"
    );
    assert_eq!(told.lock().unwrap().len(), 1, "{told:?}");
    assert!(told.lock().unwrap()[0].starts_with("etcd-1: waiting for a session: its sshd allows 1 a connection"));
    server.accepted(8).await;

    // What waits when the operator stops ends at once.
    let started = Instant::now();
    let (error, ()) = tokio::join!(run(&host, "true", &[]), async { env.stop.cancel() });
    assert!(
        error.unwrap_err().to_string().contains("stopped"),
        "{:?}",
        started.elapsed()
    );
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(holding);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_opens_no_session_at_all_is_named_with_the_setting() {
    let server = allowing(0);
    let host = server.connect().await;
    let error = within(10, run(&host, "true", &[])).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Script { hint, .. } if hint.contains("MaxSessions")),
        "{error}"
    );
}
