//! Users and roles, with certificates as the only credentials.

use quorate::etcd::{Access, EtcdError, Permission};

use crate::certs::Client;
use crate::cluster::{Cluster, SOON, V34, versions};

#[tokio::test]
async fn root_by_common_name_keeps_working_and_others_get_what_their_roles_say() {
    for version in versions() {
        let mut cluster = Cluster::prepared(version, &[]);
        cluster.start(1, "new", &[1]);
        cluster.healthy(&[1]).await;
        let root = cluster.client(1);
        assert!(
            matches!(root.auth_enable().await, Err(EtcdError::Refused { .. })),
            "no root user yet"
        );

        assert!(!root.auth_is_on().await.unwrap(), "{version}");
        root.user_add("root", None).await.unwrap();
        root.role_add("root").await.unwrap();
        root.user_grant_role("root", "root").await.unwrap();
        root.user_add("app", None).await.unwrap();
        root.user_add("human", Some(&"secret".into())).await.unwrap();
        root.user_change_password("human", &"other".into()).await.unwrap();
        root.role_add("reader").await.unwrap();
        let permission = Permission {
            access: Access::Read,
            key: b"app/".to_vec(),
            range_end: b"app0".to_vec(),
        };
        root.role_grant_permission("reader", &permission).await.unwrap();
        root.user_grant_role("app", "reader").await.unwrap();
        assert!(matches!(
            root.user_add("app", None).await,
            Err(EtcdError::Refused { .. })
        ));
        assert_eq!(root.user_list().await.unwrap().value, ["app", "human", "root"]);
        assert_eq!(root.role_list().await.unwrap().value, ["reader", "root"]);
        assert_eq!(root.user_get("app").await.unwrap().value, ["reader"]);
        assert_eq!(
            root.role_get("reader").await.unwrap().value,
            std::slice::from_ref(&permission)
        );

        root.auth_enable().await.unwrap();
        assert!(root.auth_is_on().await.unwrap(), "{version}");
        if version != V34 {
            assert!(root.auth_status().await.unwrap().value);
        }
        root.put("app/1", b"v").await.unwrap();
        root.status(SOON).await.unwrap();
        root.hash_kv(0).await.unwrap();
        let app = cluster.client_as(
            1,
            &cluster.ca.client(&Client {
                name: "app",
                ..Client::default()
            }),
        );
        assert_eq!(app.get("app/1").await.unwrap().value.unwrap().value, b"v");
        assert!(matches!(app.put("app/1", b"w").await, Err(EtcdError::Denied { .. })));
        assert!(matches!(app.hash_kv(0).await, Err(EtcdError::Denied { .. })));
        assert_eq!(app.linearizable_ping().await.unwrap(), None, "denied, so alive");
        let nobody = cluster.client_as(
            1,
            &cluster.ca.client(&Client {
                name: "nobody",
                ..Client::default()
            }),
        );
        assert!(matches!(nobody.get("app/1").await, Err(EtcdError::Denied { .. })));

        root.role_revoke_permission("reader", &permission.key, &permission.range_end)
            .await
            .unwrap();
        assert!(matches!(app.get("app/1").await, Err(EtcdError::Denied { .. })));
        root.user_revoke_role("app", "reader").await.unwrap();
        root.auth_disable().await.unwrap();
        root.user_delete("app").await.unwrap();
        root.role_delete("reader").await.unwrap();
        assert_eq!(root.role_list().await.unwrap().value, ["root"]);
    }
}
