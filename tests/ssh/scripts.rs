//! Scripts and streams over one connection.

use std::time::Instant;

use bytes::Bytes;
use futures::future::join_all;
use quorate::host::{HostError, Transport as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Server, run, script, stdin, within};

const MEGABYTE: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn output_status_and_signal_come_back_apart() {
    let server = Server::start();
    let host = server.connect().await;
    let output = run(&host, "cat; echo out; echo err >&2; exit 7", &[]).await.unwrap();
    assert_eq!(
        (output.status, output.stdout.as_slice(), output.stderr.as_str()),
        (Some(7), &b"out\n"[..], "err\n")
    );
    let killed = run(&host, "echo before; kill -9 $$", &[]).await.unwrap();
    // The login shell may report its script's signal as a status.
    assert!(killed.status.is_none_or(|status| status == 137), "{killed:?}");
    assert_eq!(killed.stdout, b"before\n");
    assert!(
        killed.status.is_some() || killed.stderr.contains("SIGKILL"),
        "{killed:?}"
    );
    assert_eq!(host.round_trips(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_arguments_arrive_as_they_are() {
    let server = Server::start();
    let host = server.connect().await;
    let hostile = [
        "",
        "-n",
        "a b",
        "it's",
        "\"",
        "$(id)",
        "`id`",
        "a\nb",
        "\\",
        "*",
        "~",
        "é漢",
        "; rm -rf /",
        "!",
        "$HOME",
    ];
    let output = run(&host, "printf '%s|' \"$@\"", &hostile).await.unwrap();
    let expected: String = hostile.iter().map(|arg| format!("{arg}|")).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let error = run(&host, "true", &["a\0b"]).await.unwrap_err();
    assert!(
        matches!(&error, HostError::Script { why, .. } if why.contains("NUL")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_go_and_come() {
    let server = Server::start();
    let host = server.connect().await;
    let data: Vec<u8> = (0..50 * MEGABYTE / 4)
        .flat_map(|i| u32::try_from(i).unwrap().to_le_bytes())
        .collect();
    let counted = host.run(&script("wc -c", &[]), stdin(data.clone())).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&counted.stdout).trim(), data.len().to_string());
    let echoed = within(60, host.run(&script("cat", &[]), stdin(data.clone())))
        .await
        .unwrap();
    assert!(echoed.stdout == data, "{} bytes came back", echoed.stdout.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_early_leaves_its_input_behind() {
    let server = Server::start();
    let host = server.connect().await;
    let endless = Box::pin(tokio::io::repeat(7));
    let output = within(20, host.run(&script("head -c 10 | wc -c; exit 3", &[]), endless))
        .await
        .unwrap();
    assert_eq!((output.status, output.stdout.as_slice()), (Some(3), &b"10\n"[..]));
    assert!(
        run(&host, "exit 0", &[]).await.unwrap().ok(),
        "the connection is still good"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_cannot_be_read_is_an_error_and_not_a_short_file() {
    let server = Server::start();
    let host = server.connect().await;
    let broken = tokio_util::io::StreamReader::new(futures::stream::iter([
        Ok(Bytes::from_static(b"first half")),
        Err(std::io::Error::other("disk on fire")),
    ]));
    let error = within(20, host.run(&script("# Writing a file\ncat", &[]), Box::pin(broken)))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "etcd-1: Writing a file: the data to send cannot be read: disk on fire"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_at_a_time_share_one_connection() {
    let server = Server::start();
    let host = server.connect().await;
    let numbered = async |number: usize| run(&host, "cat; echo $1", &[&number.to_string()]).await;
    for (number, output) in within(60, join_all((0..40).map(numbered)))
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            String::from_utf8(output.unwrap().stdout).unwrap().trim(),
            number.to_string()
        );
    }
    server.accepted(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_script_is_talked_to_and_ends_when_its_input_does() {
    let server = Server::start();
    let host = server.connect().await;
    let mut running = host
        .spawn(&script("while read -r line; do echo \"got $line\"; done; exit 5", &[]))
        .await
        .unwrap();
    for word in ["one", "two"] {
        running.stdin.send(Bytes::from(format!("{word}\n"))).await.unwrap();
        let answer = within(10, running.stdout.recv()).await.unwrap();
        assert_eq!(answer, format!("got {word}\n"));
    }
    drop(running.stdin);
    assert_eq!(within(10, running.stdout.recv()).await, None);
    assert_eq!(within(10, running.done).await.unwrap().unwrap().status, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_freezes_nobody_else() {
    let server = Server::start();
    let host = server.connect().await;
    let mut unread = host
        .spawn(&script("head -c 33554432 /dev/zero; echo $$ >&2", &[]))
        .await
        .unwrap();
    let started = Instant::now();
    for _ in 0..20 {
        assert!(within(20, run(&host, "exit 0", &[])).await.unwrap().ok());
    }
    assert!(started.elapsed().as_secs() < 10);
    let mut total = 0;
    while let Some(bytes) = unread.stdout.recv().await {
        total += bytes.len();
    }
    assert_eq!(total, 32 * MEGABYTE);
    assert!(unread.done.await.unwrap().unwrap().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_up_ends_on_the_host_too() {
    let server = Server::start();
    let host = server.connect().await;
    let mark = server.path("ended");
    let waiting = script("cat > /dev/null; : > \"$1\"", &[mark.to_str().unwrap()]);
    let (_never, endless) = tokio::io::duplex(1);
    let given_up = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        host.run(&waiting, Box::pin(endless)),
    );
    assert!(given_up.await.is_err());
    let ended = async {
        while !mark.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(10, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_carry_bytes_both_ways_while_a_push_is_under_way() {
    let server = Server::start();
    let host = server.connect().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    let count = script("wc -c", &[]);
    let push = host.run(&count, stdin(vec![1; 50 * MEGABYTE]));
    let talk = async {
        let mut stream = host.tunnel("127.0.0.1", port).await.unwrap();
        for round in 0..50_u8 {
            stream.write_all(&[round; 1000]).await.unwrap();
            let mut back = [0; 1000];
            within(5, stream.read_exact(&mut back)).await.unwrap();
            assert_eq!(back, [round; 1000]);
        }
        stream.shutdown().await.unwrap();
        assert_eq!(within(5, stream.read(&mut [0; 1])).await.unwrap(), 0, "an orderly end");
    };
    let (pushed, ()) = within(60, async { tokio::join!(push, talk) }).await;
    assert!(pushed.unwrap().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_is_an_error_that_says_so() {
    let server = Server::start();
    let host = server.connect().await;
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = within(10, host.tunnel("127.0.0.1", port)).await.err().unwrap();
    let expected = format!("etcd-1: cannot connect to 127.0.0.1:{port} from the host: nothing answers there");
    assert!(error.to_string().starts_with(&expected), "{error}");
}
