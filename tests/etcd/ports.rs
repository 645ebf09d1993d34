//! What the ports say over HTTP, and how they are secured.

use quorate::etcd::{EtcdError, TcpDial, bootstrap_cluster_id, bootstrap_member_id, port_security};

use crate::certs::Ca;
use crate::cluster::{Cluster, SOON, TOKEN, V34, binary, until, versions};

#[tokio::test]
async fn both_ports_speak_tls_and_turn_away_clients_without_a_certificate() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        for port in [2379, 2380] {
            let endpoint = cluster.endpoint(1, port);
            let seen = port_security(&*cluster.dial(1, port), &endpoint, &cluster.tls)
                .await
                .unwrap();
            assert!(
                seen.speaks_tls && seen.refuses_without_certificate,
                "{version} {port}: {seen:?}"
            );
            assert_eq!((seen.untrusted, seen.protocol), (None, "TLS 1.3"));
            assert_eq!(seen.presented.len(), 1);
        }
        // The chain is read, and judged, even when it comes from a CA that is not trusted.
        let mut foreign = cluster.tls.clone();
        foreign.ca_pem = Ca::new().pem;
        let seen = port_security(&*cluster.dial(1, 2379), &cluster.endpoint(1, 2379), &foreign)
            .await
            .unwrap();
        let why = seen.untrusted.unwrap();
        assert!(why.contains("not issued by this cluster's CA"), "{why}");
        assert_eq!(seen.presented.len(), 1);
    }
}

#[tokio::test]
async fn a_member_that_etcd_silently_left_on_plain_http_is_found_out() {
    for version in versions() {
        let cluster = Cluster::prepared(version, &[]);
        let (client, peer) = (cluster.endpoint(1, 2379), cluster.endpoint(1, 2380));
        let mut plain = std::process::Command::new(binary(version))
            .env_clear()
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .arg("--data-dir")
            .arg(cluster.path("plain"))
            .args(["--name", "m", "--initial-cluster", &format!("m=http://{peer}")])
            .args(["--listen-client-urls", &format!("http://{client}")])
            .args(["--advertise-client-urls", &format!("http://{client}")])
            .args(["--listen-peer-urls", &format!("http://{peer}")])
            .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
            .spawn()
            .unwrap();
        for endpoint in [client, peer] {
            let dial = TcpDial::new(endpoint.host.clone(), endpoint.port);
            let seen = until("plain port", async || {
                port_security(&dial, &endpoint, &cluster.tls).await
            })
            .await;
            assert!(
                !seen.speaks_tls && !seen.refuses_without_certificate,
                "{version}: {seen:?}"
            );
        }
        plain.kill().unwrap();
        plain.wait().unwrap();
    }
}

#[tokio::test]
async fn a_tls_port_that_lets_anybody_in_is_found_out() {
    for version in versions() {
        let mut cluster = Cluster::prepared(version, &[]);
        cluster.let_anybody_in();
        cluster.start(1, "new", &[1]);
        cluster.healthy(&[1]).await;
        let seen = port_security(&*cluster.dial(1, 2379), &cluster.endpoint(1, 2379), &cluster.tls)
            .await
            .unwrap();
        assert!(
            seen.speaks_tls && !seen.refuses_without_certificate,
            "{version}: {seen:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable_not_insecure() {
    let cluster = Cluster::prepared(V34, &[]);
    let closed = port_security(&*cluster.dial(1, 2379), &cluster.endpoint(1, 2379), &cluster.tls).await;
    assert!(matches!(closed, Err(EtcdError::Unreachable { .. })), "{closed:?}");
}

#[tokio::test]
async fn health_versions_and_metrics_of_a_healthy_cluster() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let http = cluster.http(1, 2379);
        let health = http.health(SOON).await.unwrap();
        assert!(health.healthy && health.status == 200 && health.reason.is_empty());
        let versions = until("cluster version", async || {
            let versions = http.version(SOON).await?;
            versions.cluster.map(|_| versions).ok_or(EtcdError::NotLeader)
        })
        .await;
        assert_eq!(versions.server.to_string(), version);
        assert_eq!(versions.cluster.unwrap().series(), versions.server.series());

        let metrics = http.metrics(SOON).await.unwrap();
        assert_eq!(metrics.has_leader, Some(true));
        assert!(
            metrics.leader_changes.unwrap() >= 1 && metrics.quota_bytes == Some(2 << 30),
            "{metrics:?}"
        );
        let peers: Vec<_> = [2, 3]
            .map(|member| bootstrap_member_id(&[cluster.peer_url(member)], TOKEN))
            .into_iter()
            .collect();
        assert!(peers.iter().all(|peer| metrics.active_peers[peer] == 1), "{metrics:?}");
        for latency in [metrics.wal_fsync.unwrap(), metrics.backend_commit.unwrap()] {
            assert!(latency.count > 0 && latency.p99_seconds > 0.0, "{latency:?}");
        }
        let leaders = [1, 2, 3].map(|member| cluster.http(member, 2379));
        let mut leading = 0;
        for http in &leaders {
            leading += u32::from(http.metrics(SOON).await.unwrap().is_leader.unwrap());
        }
        assert_eq!(leading, 1);
    }
}

#[tokio::test]
async fn before_there_is_a_quorum_the_peer_port_tells_who_is_there_and_the_client_port_is_silent() {
    for version in versions() {
        let mut cluster = Cluster::prepared(version, &[]);
        cluster.start(1, "new", &[1, 2, 3]);
        let peer = cluster.http(1, 2380);
        let seen = until("peer port", async || peer.peer_members(SOON).await).await;
        let ids = [1, 2, 3].map(|member| bootstrap_member_id(&[cluster.peer_url(member)], TOKEN));
        assert_eq!(seen.cluster_id, bootstrap_cluster_id(&ids));
        assert_eq!(seen.members.len(), 3);
        assert!(seen.members.iter().all(|member| ids.contains(&member.id)));
        assert_eq!(peer.version(SOON).await.unwrap().cluster, None);

        let limit = std::time::Duration::from_secs(1);
        let silent = cluster.client(1).status(limit).await.unwrap_err();
        assert!(matches!(silent, EtcdError::Silent { seconds: 1, .. }), "{silent:?}");
    }
}
