//! Servers that forbid TCP forwarding.

use quorate::host::{HostError, Transport as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Server, Setup, run, within};

const FORBIDDEN: [&str; 3] = [
    "AllowTcpForwarding no",
    "PermitOpen none",
    "DisableForwarding yes\nMaxSessions 1",
];

fn server(config: &str) -> Server {
    Server::with(Setup {
        config: config.into(),
        ..Setup::default()
    })
}

/// Gives back what it gets, until it has got `bye`.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut piece = vec![0; 1 << 16];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    stream.write_all(&piece[..length]).await.unwrap();
                    if piece[..length].ends_with(b"bye") {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_go_through_a_command_where_forwarding_is_forbidden() {
    for config in FORBIDDEN {
        let server = server(config);
        let host = server.connect().await;
        let port = echo().await;
        let mut first = within(10, host.tunnel("127.0.0.1", port)).await.unwrap();
        let mut second = within(10, host.tunnel("127.0.0.1", port)).await.unwrap();
        let data: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        for stream in [&mut first, &mut second] {
            let (mut read, mut write) = tokio::io::split(stream);
            let mut back = vec![0; data.len()];
            let (sent, got) = within(30, async {
                tokio::join!(write.write_all(&data), read.read_exact(&mut back))
            })
            .await;
            sent.unwrap();
            got.unwrap();
            assert!(back == data, "{config}");
        }
        assert!(run(&host, "exit 0", &[]).await.unwrap().ok());
        // The far end's end is an end, and ours ends what runs on the host.
        first.write_all(b"bye").await.unwrap();
        let mut rest = Vec::new();
        within(10, first.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"bye");
        drop(second);
        let gone = async {
            let text = "for f in /proc/[0-9]*/cmdline; do { tr '\\0' ' ' <$f; echo; } 2>/dev/null; done | grep \" relay 127.0.0.1 $1 \" | grep -v grep";
            while run(&host, text, &[&port.to_string()]).await.unwrap().ok() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        within(20, gone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_is_told_as_such_here_too() {
    let server = server(FORBIDDEN[0]);
    let host = server.connect().await;
    let error = within(10, host.tunnel("127.0.0.1", 1)).await.err().unwrap();
    assert!(
        matches!(&error, HostError::Connect { why, .. } if why.contains("nothing answers there")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bash_the_setting_is_named() {
    let server = server(FORBIDDEN[0]);
    let bin = server.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let env = server.operator_with(|env| env.tools = bin.display().to_string());
    let host = server.connect_as(&server.target(), &env).await.unwrap();
    let error = within(10, host.tunnel("127.0.0.1", 1)).await.err().unwrap();
    assert!(
        matches!(&error, HostError::Script { why, hint, .. }
            if why.contains("AllowTcpForwarding") && hint.contains("PermitOpen 127.0.0.1:1") && hint.contains("bash")),
        "{error}"
    );
}
