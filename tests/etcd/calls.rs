//! Every call, on both versions.

use quorate::etcd::{DowngradeStep, EtcdError, RAFT_LIMIT, bootstrap_cluster_id, bootstrap_member_id};
use quorate::inventory::MemberId;
use sha2::{Digest, Sha256};

use crate::cluster::{Cluster, SOON, TOKEN, V34, V35, until, versions};

#[tokio::test]
async fn answers_name_the_member_that_gave_them_and_the_cluster_computed_beforehand() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let ids = [1, 2, 3].map(|member| bootstrap_member_id(&[cluster.peer_url(member)], TOKEN));
        for (member, id) in (1..).zip(ids) {
            let status = cluster.client(member).status(SOON).await.unwrap();
            assert_eq!(status.header.member_id, id);
            assert_eq!(status.header.cluster_id, bootstrap_cluster_id(&ids));
            assert_eq!(status.version.to_string(), version);
            assert!(ids.contains(&status.leader) && !status.learner && status.errors.is_empty());
            assert!(status.db_size >= status.db_in_use && status.db_in_use > 0);
        }
        for linearizable in [true, false] {
            let members = cluster.client(2).members(linearizable).await.unwrap();
            assert_eq!(members.header.member_id, ids[1]);
            let mut seen: Vec<MemberId> = members.value.iter().map(|member| member.id).collect();
            let mut expected = ids.to_vec();
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected);
            assert!(members.value.iter().all(|member| member.started() && !member.learner));
        }
    }
}

#[tokio::test]
async fn keys_are_written_read_counted_and_deleted() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let (one, two) = (cluster.client(1), cluster.client(2));
        let first = one.put("a/1", b"x").await.unwrap();
        let second = two.put("a/1", b"y").await.unwrap();
        one.put("a/2", b"z").await.unwrap();
        one.put("b", b"").await.unwrap();
        assert_eq!(second.revision, first.revision + 1);
        let found = one.get("a/1").await.unwrap().value.unwrap();
        assert_eq!(
            (found.value, found.version, found.mod_revision),
            (b"y".to_vec(), 2, second.revision)
        );
        let keys: Vec<_> = one
            .get_prefix("a/")
            .await
            .unwrap()
            .value
            .into_iter()
            .map(|kv| kv.key)
            .collect();
        assert_eq!(keys, [b"a/1", b"a/2"]);
        assert_eq!(one.range_count("a/").await.unwrap().value, 2);
        assert_eq!(one.range_count("").await.unwrap().value, 3);
        assert_eq!(one.delete("b").await.unwrap().value, 1);
        assert_eq!(one.delete("b").await.unwrap().value, 0);
        assert_eq!(two.get("b").await.unwrap().value, None);
        assert!(two.linearizable_ping().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn members_hash_alike_and_compaction_is_told_apart_from_failure() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let clients = [1, 2, 3].map(|member| cluster.client(member));
        for value in [b"1", b"2", b"3"] {
            clients[0].put("k", value).await.unwrap();
        }
        let mut revision = 0;
        for client in &clients {
            // A linearizable read makes sure that the member has applied what was written.
            revision = client.get("k").await.unwrap().header.revision;
        }
        let mut hashes = Vec::new();
        for client in &clients {
            let hash = client.hash_kv(revision).await.unwrap();
            hashes.push((hash.hash, hash.compact_revision));
        }
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
        let future = clients[0].hash_kv(revision + 100).await.unwrap_err();
        assert!(
            matches!(&future, EtcdError::Other { code, .. } if code == "OutOfRange"),
            "{future:?}"
        );

        clients[0].compact(revision, true).await.unwrap();
        let again = clients[0].compact(revision, true).await.unwrap_err();
        assert_eq!(again, EtcdError::Compacted { operation: "compact" });
        let past = clients[0].hash_kv(revision - 1).await.unwrap_err();
        assert_eq!(past, EtcdError::Compacted { operation: "hash" });
        clients[1].defragment(RAFT_LIMIT).await.unwrap();
        assert_eq!(clients[1].alarms().await.unwrap(), []);
    }
}

/// 3.4 refuses to hash at the revision that it has compacted to; later ones tell what they noted before the compaction, until
/// they are restarted. The newest key is a deleted one, which the compaction takes away.
#[tokio::test]
async fn where_nobody_writes_members_hash_alike_at_the_revision_they_are_compacted_to() {
    for version in versions() {
        let mut cluster = Cluster::of_three(version).await;
        let clients = [1, 2, 3].map(|member| cluster.client(member));
        clients[0].put("k", b"1").await.unwrap();
        clients[0].put("gone", b"2").await.unwrap();
        clients[0].delete("gone").await.unwrap();
        let revision = clients[0].get("k").await.unwrap().header.revision;
        clients[0].compact(revision, true).await.unwrap();
        cluster.kill(3);
        cluster.start(3, "existing", &[1, 2, 3]);
        cluster.healthy(&[1, 2, 3]).await;
        let mut hashes = Vec::new();
        for member in [1, 2, 3] {
            let client = cluster.client(member);
            let answer = until("the compaction", async || match client.hash_kv(revision).await {
                Ok(answer) if answer.compact_revision != revision => Err(EtcdError::Compacted {
                    operation: "nothing yet",
                }),
                told => told,
            });
            hashes.push(answer.await.hash);
        }
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{version}: {hashes:?}");

        // Once something was written that state is no more to be had, and nothing else is taken for it.
        clients[0].put("k", b"3").await.unwrap();
        clients[0].get("k").await.unwrap();
        let past = clients[0].hash_kv(revision).await.unwrap_err();
        assert_eq!(past, EtcdError::Compacted { operation: "hash" }, "{version}");
        clients[0].hash_kv(revision + 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_arrives_whole_and_with_its_size_known_from_the_start() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let client = cluster.client(1);
        for number in 0..20 {
            client.put(&format!("big/{number}"), &[number; 100_000]).await.unwrap();
        }
        let mut snapshot = client.snapshot().await.unwrap();
        assert_eq!(snapshot.total(), None);
        let mut file = Vec::new();
        while let Some(chunk) = snapshot.chunk().await.unwrap() {
            file.extend_from_slice(&chunk);
            assert!(snapshot.total().is_some());
        }
        assert_eq!(snapshot.total(), Some(file.len() as u64));
        assert!(file.len() > 2_000_000 && file.len() % 512 == 32);
        let (database, checksum) = file.split_at(file.len() - 32);
        assert_eq!(&Sha256::digest(database)[..], checksum);
    }
}

#[tokio::test]
async fn leadership_moves_only_from_the_leader_to_a_member_that_can_take_it() {
    for version in versions() {
        let cluster = Cluster::of_three(version).await;
        let (leader, status) = cluster.leader(&[1, 2, 3]).await;
        let other = if leader == 1 { 2 } else { 1 };
        let target = cluster.client(other).status(SOON).await.unwrap().header.member_id;
        assert_eq!(
            cluster.client(other).move_leader(target).await,
            Err(EtcdError::NotLeader)
        );
        let unknown = cluster.client(leader).move_leader(MemberId(0xbad)).await.unwrap_err();
        assert!(matches!(unknown, EtcdError::Refused { .. }), "{unknown:?}");
        cluster.client(leader).move_leader(target).await.unwrap();
        let moved = cluster.client(other).status(SOON).await.unwrap();
        assert_eq!(moved.leader, target);
        assert!(moved.raft_term > status.raft_term);
    }
}

#[tokio::test]
async fn a_downgrade_is_refused_where_etcd_has_none() {
    let cluster = Cluster::of_three(V34).await;
    let missing = cluster
        .client(1)
        .downgrade(DowngradeStep::Validate, "3.3")
        .await
        .unwrap_err();
    assert!(
        matches!(&missing, EtcdError::Other { code, .. } if code == "Unimplemented"),
        "{missing:?}"
    );
    let cluster = Cluster::of_three(V35).await;
    let wrong = cluster
        .client(1)
        .downgrade(DowngradeStep::Validate, "3.1")
        .await
        .unwrap_err();
    assert!(
        matches!(&wrong, EtcdError::Other { code, .. } if code == "InvalidArgument"),
        "{wrong:?}"
    );
    let idle = cluster
        .client(1)
        .downgrade(DowngradeStep::Cancel, "")
        .await
        .unwrap_err();
    assert!(matches!(idle, EtcdError::Refused { .. }), "{idle:?}");
}

#[tokio::test]
async fn a_full_database_is_recognised_and_can_be_brought_back() {
    for version in versions() {
        let mut cluster = Cluster::prepared(version, &["--quota-backend-bytes", "2097152"]);
        cluster.start(1, "new", &[1]);
        cluster.healthy(&[1]).await;
        let client = cluster.client(1);
        let mut last = Ok(());
        // The file grows when a batch is committed, ten times a second: on a fast disk more fits in before that.
        for _ in 0..2000 {
            last = client.put("same-key", &[b'x'; 100_000]).await.map(drop);
            if last.is_err() {
                break;
            }
        }
        assert_eq!(last, Err(EtcdError::NoSpace { operation: "put" }));
        let alarms = client.alarms().await.unwrap();
        assert_eq!(alarms.len(), 1);
        let full = client.status(SOON).await.unwrap();
        assert_eq!(alarms[0].member, full.header.member_id);
        assert!(full.errors.iter().any(|error| error.contains("NOSPACE")), "{full:?}");
        let health = cluster.http(1, 2379).health(SOON).await.unwrap();
        assert!(!health.healthy && health.status == 503, "{health:?}");

        client.compact(full.header.revision, true).await.unwrap();
        client.defragment(RAFT_LIMIT).await.unwrap();
        client.disarm(alarms[0]).await.unwrap();
        client.put("same-key", b"fits again").await.unwrap();
        assert_eq!(client.alarms().await.unwrap(), []);
    }
}
