//! What goes wrong between here and a member is told by its cause.

use quorate::etcd::{EtcdClient, EtcdError};

use crate::certs::{Ca, Client};
use crate::cluster::{Cluster, SOON, V34, current, until, versions};

async fn single(version: &'static str) -> Cluster {
    let mut cluster = Cluster::prepared(version, &[]);
    cluster.start(1, "new", &[1]);
    cluster.healthy(&[1]).await;
    cluster
}

fn tls_reason(error: EtcdError) -> String {
    match error {
        EtcdError::Tls { why, .. } => why,
        other => panic!("not a TLS error: {other:?}"),
    }
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_named_as_the_cause() {
    for version in versions() {
        let cluster = single(version).await;
        let expired = cluster.ca.client(&Client {
            expired: true,
            ..Client::default()
        });
        let why = tls_reason(cluster.client_as(1, &expired).status(SOON).await.unwrap_err());
        assert!(why.contains("refused our certificate: it expired"), "{version}: {why}");

        let mut foreign = Ca::new().client(&Client::default());
        foreign.ca_pem = cluster.ca.pem.clone();
        let why = tls_reason(cluster.client_as(1, &foreign).status(SOON).await.unwrap_err());
        assert!(
            why.contains("refused our certificate: it") && why.contains("its CA"),
            "{version}: {why}"
        );

        let mut distrustful = cluster.tls.clone();
        distrustful.ca_pem = Ca::new().pem;
        let why = tls_reason(cluster.client_as(1, &distrustful).status(SOON).await.unwrap_err());
        assert!(why.contains("not issued by this cluster's CA"), "{version}: {why}");

        let elsewhere = EtcdClient::connect(cluster.dial(1, 2379), cluster.endpoint(9, 2379), &cluster.tls).unwrap();
        let why = tls_reason(elsewhere.status(SOON).await.unwrap_err());
        assert!(
            why.contains(&format!("not for {} but for", cluster.address(9))),
            "{version}: {why}"
        );
    }
}

#[tokio::test]
async fn a_revoked_certificate_gets_no_reason_and_the_error_says_so() {
    for version in versions() {
        let mut cluster = Cluster::prepared(version, &[]);
        let crl = cluster.path("crl.der");
        std::fs::write(&crl, cluster.ca.revoke(666)).unwrap();
        cluster.add_option("--client-crl-file", &crl);
        cluster.start(1, "new", &[1]);
        cluster.healthy(&[1]).await;
        let revoked = cluster.ca.client(&Client {
            serial: 666,
            ..Client::default()
        });
        let why = tls_reason(cluster.client_as(1, &revoked).status(SOON).await.unwrap_err());
        assert!(why.contains("revoked"), "{version}: {why}");
    }
}

#[tokio::test]
async fn a_client_survives_its_members_restart() {
    let mut cluster = single(current()).await;
    let client = cluster.client(1);
    client.put("k", b"v").await.unwrap();
    cluster.kill(1);
    let closed = client.status(SOON).await.unwrap_err();
    assert!(
        matches!(closed, EtcdError::Unreachable { .. } | EtcdError::Unavailable { .. }),
        "{closed:?}"
    );
    let closed = client.status(SOON).await.unwrap_err();
    assert!(matches!(closed, EtcdError::Unreachable { .. }), "{closed:?}");
    cluster.start(1, "new", &[1]);
    let found = until("restarted member", async || client.get("k").await).await;
    assert_eq!(found.value.unwrap().value, b"v");
}

#[tokio::test]
async fn without_a_quorum_memory_answers_and_raft_does_not() {
    for version in versions() {
        let mut cluster = Cluster::of_three(version).await;
        cluster.kill(2);
        cluster.kill(3);
        let client = cluster.client(1);
        let (_, members) = tokio::join!(client.put("k", b"v"), client.members(false));
        assert_eq!(members.unwrap().value.len(), 3);
        let status = client.status(SOON).await.unwrap();
        assert_eq!(status.leader.0, 0);
        assert!(status.errors.iter().any(|error| error.contains("no leader")));
        let refused = client.put("k", b"v").await.unwrap_err();
        assert!(matches!(refused, EtcdError::Unavailable { .. }), "{refused:?}");
        if version != V34 {
            let refused = client.members(true).await.unwrap_err();
            assert!(matches!(refused, EtcdError::Unavailable { .. }), "{refused:?}");
        }
        let health = cluster.http(1, 2379).health(SOON).await.unwrap();
        assert!(!health.healthy && health.status == 503);
    }
}
