//! Members come and go.

use quorate::etcd::EtcdError;
use quorate::inventory::{MemberId, PeerUrl};

use crate::cluster::{Cluster, SOON, until, versions};

#[tokio::test]
async fn a_learner_joins_catches_up_gets_its_vote_and_leaves_again() {
    for version in versions() {
        let mut cluster = Cluster::of_three(version).await;
        let (leader, _) = cluster.leader(&[1, 2, 3]).await;
        let client = cluster.client(leader);

        // For the first seconds etcd refuses: its members must have been connected for 5 s.
        let url = cluster.peer_url(4);
        let added = until("learner entry", async || {
            client.member_add(std::slice::from_ref(&url), true).await
        })
        .await;
        assert!(added.value.learner && !added.value.started());
        let id = added.value.id;
        let twice = client.member_add(&[cluster.peer_url(4)], true).await.unwrap_err();
        assert!(matches!(twice, EtcdError::Refused { .. }), "{twice:?}");
        assert_eq!(client.member_promote(id).await.unwrap_err(), EtcdError::LearnerNotReady);

        cluster.start(4, "existing", &[1, 2, 3, 4]);
        let newcomer = cluster.client(4);
        let status = until("learner status", async || newcomer.status(SOON).await).await;
        assert!(status.learner && status.header.member_id == id);
        let refused = newcomer.put("k", b"").await.unwrap_err();
        assert!(matches!(refused, EtcdError::Refused { .. }), "{refused:?}");

        let promoted = until("promotion", async || client.member_promote(id).await).await;
        assert!(promoted.value.iter().all(|member| !member.learner));
        let voter = client.member_promote(id).await.unwrap_err();
        assert!(matches!(voter, EtcdError::Refused { .. }), "{voter:?}");
        cluster.healthy(&[4]).await;

        let elsewhere = PeerUrl("https://127.0.0.1:12380".to_owned());
        let updated = client
            .member_update(id, std::slice::from_ref(&elsewhere))
            .await
            .unwrap();
        assert!(
            updated
                .value
                .iter()
                .any(|member| member.peer_urls == [elsewhere.clone()])
        );

        let left = until("removal", async || client.member_remove(id).await).await;
        assert_eq!(left.value.len(), 3);
        assert_eq!(client.member_remove(id).await.unwrap_err(), EtcdError::NoSuchMember(id));
        let unknown = MemberId(0xbad);
        assert_eq!(
            client.member_promote(unknown).await.unwrap_err(),
            EtcdError::NoSuchMember(unknown)
        );
    }
}
