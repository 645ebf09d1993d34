//! From plain HTTP to TLS, as docs/operate.md says it: no client is cut off on the way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, PATIENCE, SOON, current};

const ALL: [u8; 3] = [1, 2, 3];

/// Whether a client without TLS is served, with a quorum behind it.
fn serves_plainly(cluster: &Cluster, member: u8) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((cluster.address(member), 2379))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().is_ok_and(|answer: String| answer.contains(" 200 ") && answer.contains("\"true\""))
}

async fn all_serve_plainly(cluster: &Cluster) {
    let deadline = Instant::now() + PATIENCE;
    while !ALL.iter().all(|member| serves_plainly(cluster, *member)) {
        assert!(Instant::now() < deadline, "clients without TLS are cut off");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The turn of one member.
fn restart(cluster: &mut Cluster, member: u8) {
    cluster.kill(member);
    cluster.start(member, "new", &ALL);
}

#[tokio::test]
async fn plain_http_becomes_tls_one_member_at_a_time_and_no_client_is_cut_off() {
    let mut cluster = Cluster::prepared(current(), &[]);
    cluster.speak(&["http"], "http");
    for member in ALL {
        cluster.start(member, "new", &ALL);
    }
    all_serve_plainly(&cluster).await;

    // On the same port, both: clients move when they like.
    cluster.speak(&["http", "https"], "http");
    for member in ALL {
        restart(&mut cluster, member);
        all_serve_plainly(&cluster).await;
    }
    cluster.healthy(&ALL).await;

    // The list first: with it the others know where the member will be.
    cluster.speak(&["http", "https"], "https");
    for member in ALL {
        let client = cluster.client(member);
        let id = client.status(SOON).await.unwrap().header.member_id;
        client.member_update(id, &[cluster.peer_url(member)]).await.unwrap();
        restart(&mut cluster, member);
        all_serve_plainly(&cluster).await;
        cluster.healthy(&ALL).await;
    }

    cluster.speak(&["https"], "https");
    for member in ALL {
        restart(&mut cluster, member);
        cluster.healthy(&ALL).await;
    }
    let members = cluster.client(1).members(true).await.unwrap().value;
    let urls = members
        .iter()
        .flat_map(|m| m.peer_urls.iter().map(|url| url.0.clone()).chain(m.client_urls.clone()));
    assert!(
        urls.clone().all(|url| url.starts_with("https://")),
        "{:?}",
        urls.collect::<Vec<_>>()
    );
    assert!(!serves_plainly(&cluster, 1));
}
