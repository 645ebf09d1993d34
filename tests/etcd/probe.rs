//! The write probe while members die.

use std::time::Duration;

use quorate::etcd::{EtcdError, ProbeSettings, WriteProbe};

use crate::cluster::{Cluster, current, until};

#[tokio::test]
async fn a_killed_leader_costs_a_gap_and_an_election_but_no_acknowledged_write() {
    let mut cluster = Cluster::of_three(current()).await;
    let settings = ProbeSettings {
        key: "quorate/probe/test".to_owned(),
        rate: 100,
    };
    let endpoints = [1, 2, 3].map(|member| cluster.client(member)).to_vec();
    let probe = WriteProbe::start(endpoints, settings).await.unwrap();
    let (leader, before) = cluster.leader(&[1, 2, 3]).await;
    let others: Vec<u8> = [1, 2, 3].into_iter().filter(|member| *member != leader).collect();
    let witness = cluster.client(others[0]);
    until("first writes", async || written(&witness, 20).await).await;

    cluster.kill(leader);
    cluster.leader(&others).await;
    let so_far = witness.get("quorate/probe/test").await.unwrap().value.unwrap().version;
    until("writes after the election", async || {
        written(&witness, so_far + 20).await
    })
    .await;
    cluster.start(leader, "new", &[1, 2, 3]);
    cluster.healthy(&[leader]).await;

    let findings = probe.finish().await.unwrap();
    assert_eq!(findings.lost, 0, "{findings:?}");
    assert!(
        findings.acks >= 40 && findings.failed_attempts > 0 && findings.elections >= 1,
        "{findings:?}"
    );
    let gap = findings.longest_gap;
    assert!(
        gap > Duration::from_millis(300) && gap < Duration::from_secs(5),
        "{findings:?}"
    );
    assert_eq!(witness.range_count("quorate/").await.unwrap().value, 0);
    assert!(cluster.client(others[0]).members(true).await.unwrap().header.raft_term > before.raft_term);
}

#[tokio::test]
async fn a_probe_that_is_dropped_stops_writing() {
    let mut cluster = Cluster::prepared(current(), &[]);
    cluster.start(1, "new", &[1]);
    cluster.healthy(&[1]).await;
    let client = cluster.client(1);
    let settings = ProbeSettings {
        key: "quorate/probe/dropped".to_owned(),
        rate: 50,
    };
    let probe = WriteProbe::start(vec![client.clone()], settings).await.unwrap();
    until("a write", async || {
        client
            .get("quorate/probe/dropped")
            .await?
            .value
            .ok_or(EtcdError::NotLeader)
    })
    .await;
    drop(probe);
    until("silence", async || {
        let before = client.get("quorate/probe/dropped").await?.header.revision;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let after = client.get("quorate/probe/dropped").await?.header.revision;
        if before == after {
            Ok(())
        } else {
            Err(EtcdError::NotLeader)
        }
    })
    .await;
}

#[tokio::test]
async fn a_probe_without_endpoints_is_an_error() {
    let settings = ProbeSettings {
        key: "k".to_owned(),
        rate: 1,
    };
    assert!(WriteProbe::start(Vec::new(), settings).await.is_err());
}

async fn written(client: &quorate::etcd::EtcdClient, version: i64) -> Result<(), EtcdError> {
    match client.get("quorate/probe/test").await?.value {
        Some(found) if found.version >= version => Ok(()),
        _ => Err(EtcdError::NotLeader),
    }
}
