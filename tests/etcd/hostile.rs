//! A member that answers as no etcd does: without an end, byte by byte, with thousands of members. On a clock that jumps to
//! whatever is waited for, so the limits are those that count, and nobody waits for them.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use h2::SendStream;
use quorate::etcd::{Dial, Endpoint, EtcdClient, EtcdError, Stream};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certs::{Ca, Client};

const ADDRESS: [u8; 4] = [127, 9, 9, 9];

/// What it answers to every call.
#[derive(Clone, Copy)]
enum Answer {
    /// A snapshot that announces 1 MiB, and goes on.
    Endless,
    /// One that announces `u64::MAX` bytes, and brings a byte every so often.
    Trickle(Duration),
    /// One that begins, and stops.
    Silent,
    /// A list of so many members.
    Members(usize),
}

/// Leads to it, through memory.
struct Fake {
    tls: TlsAcceptor,
    answer: Answer,
}

#[async_trait]
impl Dial for Fake {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let (ours, theirs) = duplex(64 << 10);
        tokio::spawn(serve(self.tls.clone(), theirs, self.answer));
        Ok(Box::new(ours))
    }
}

async fn serve(tls: TlsAcceptor, stream: DuplexStream, answer: Answer) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let headers = http::Response::builder()
            .header("content-type", "application/grpc")
            .body(())
            .expect("headers");
        let Ok(stream) = respond.send_response(headers, false) else {
            continue;
        };
        tokio::spawn(say(stream, answer));
    }
}

async fn say(mut stream: SendStream<Bytes>, answer: Answer) -> Option<()> {
    match answer {
        Answer::Endless => loop {
            send(&mut stream, &snapshot(1 << 20, &[7; 32 << 10])).await?;
        },
        Answer::Trickle(pause) => loop {
            send(&mut stream, &snapshot(i64::MAX as u64, &[7])).await?;
            sleep(pause).await;
        },
        Answer::Silent => {
            send(&mut stream, &snapshot(1 << 20, &[7; 1000])).await?;
            std::future::pending::<()>().await;
        }
        Answer::Members(count) => {
            send(&mut stream, &members(count)).await?;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            stream.send_trailers(trailers).ok()?;
        }
    }
    Some(())
}

/// One message in a frame of gRPC, as fast as it is taken.
async fn send(stream: &mut SendStream<Bytes>, message: &[u8]) -> Option<()> {
    let mut rest = Bytes::from([&[0][..], &(message.len() as u32).to_be_bytes(), message].concat());
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context))
            .await?
            .ok()?;
        stream.send_data(rest.split_to(room.min(rest.len())), false).ok()?;
    }
    Some(())
}

/// `SnapshotResponse` of `rpc.proto`: a header, what remains, a blob.
fn snapshot(remains: u64, blob: &[u8]) -> Vec<u8> {
    [bytes_of(1, &header()), number(2, remains), bytes_of(3, blob)].concat()
}

/// `MemberListResponse`: a header, then members with an id and a name.
fn members(count: usize) -> Vec<u8> {
    let member = |n: usize| {
        bytes_of(
            2,
            &[number(1, n as u64 + 1), bytes_of(2, format!("m{n}").as_bytes())].concat(),
        )
    };
    let members: Vec<u8> = (0..count).flat_map(member).collect();
    [bytes_of(1, &header()), members].concat()
}

fn header() -> Vec<u8> {
    [number(1, 11), number(2, 12), number(3, 1), number(4, 2)].concat()
}

fn number(field: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    varint(&mut bytes, value);
    bytes
}

fn bytes_of(field: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(field << 3) | 2];
    varint(&mut bytes, value.len() as u64);
    bytes.extend_from_slice(value);
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn client(answer: Answer) -> EtcdClient {
    let ca = Ca::new();
    let leaf = ca.member(IpAddr::from(ADDRESS));
    let chain = vec![CertificateDer::from_pem_slice(leaf.cert.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let endpoint = Endpoint {
        host: IpAddr::from(ADDRESS).to_string(),
        port: 2379,
    };
    let fake = Fake {
        tls: TlsAcceptor::from(Arc::new(config)),
        answer,
    };
    EtcdClient::connect(Arc::new(fake), endpoint, &ca.client(&Client::default())).expect("a client")
}

/// Reads a snapshot until it is given up: why, after how many bytes.
async fn given_up(answer: Answer) -> (EtcdError, u64) {
    let client = client(answer);
    let mut came = 0;
    let mut stream = client.snapshot().await.expect("it begins");
    loop {
        match stream.chunk().await {
            Ok(Some(chunk)) => came += chunk.len() as u64,
            Ok(None) => panic!("it ended"),
            Err(error) => return (error, came),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_never_ends_is_held_to_what_it_announced() {
    let (error, came) = given_up(Answer::Endless).await;
    let told = error.to_string();
    assert!(
        told.contains("the answer is longer than 1 MiB, which is the limit"),
        "{told}"
    );
    assert!(came <= (1 << 20) + (33 << 10), "{came}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_trickles_or_stops_is_given_up() {
    let begun = Instant::now();
    let (error, came) = given_up(Answer::Trickle(Duration::from_secs(20))).await;
    assert!(
        error.to_string().contains("bytes came in 120 s; the limit is 1 MiB"),
        "{error}"
    );
    assert!(
        came < 10 && begun.elapsed() < Duration::from_secs(200),
        "{came}, {:?}",
        begun.elapsed()
    );

    let begun = Instant::now();
    let (error, came) = given_up(Answer::Silent).await;
    assert!(error.to_string().contains("nothing came for 30 s"), "{error}");
    assert!(
        came == 1000 && begun.elapsed() < Duration::from_secs(60),
        "{came}, {:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_of_more_members_than_any_cluster_has_is_refused() {
    let listed = client(Answer::Members(256)).members(true).await.expect("a list").value;
    assert_eq!(
        listed.iter().map(|member| member.id).collect::<BTreeSet<_>>().len(),
        256
    );
    for count in [257, 60_000] {
        let error = client(Answer::Members(count))
            .members(true)
            .await
            .expect_err("too many");
        let told = error.to_string();
        assert!(told.contains(&format!("lists {count}; the limit is 256")), "{told}");
    }
    // 100 MB of them: not even taken in.
    let error = client(Answer::Members(8_000_000))
        .members(true)
        .await
        .expect_err("too many");
    assert!(error.to_string().contains("which is the limit"), "{error}");
}
