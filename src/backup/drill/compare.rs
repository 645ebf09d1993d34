//! What a restored store says, held against the manifest.

use crate::backup::manifest::{KeyspaceHash, Manifest};
use crate::etcd::{EtcdClient, EtcdError};

/// Revision, keys and hash of the restored store, and what of it is not as the manifest says.
pub(super) async fn compare(
    client: &EtcdClient,
    manifest: Option<&Manifest>,
) -> Result<(i64, u64, KeyspaceHash, Vec<String>), EtcdError> {
    let now = client.range_count("").await?;
    let revision = now.header.revision;
    let Some(manifest) = manifest else {
        return Ok((revision, now.value, hash(client, revision).await?, Vec::new()));
    };
    if revision < manifest.revision {
        let text = format!("it goes up to revision {revision} instead of {}", manifest.revision);
        return Ok((revision, now.value, hash(client, revision).await?, vec![text]));
    }
    let mut wrong = Vec::new();
    let keys = client.count_at(manifest.revision).await?.value;
    if keys != manifest.keys {
        wrong.push(format!(
            "{keys} keys at revision {} instead of {}",
            manifest.revision, manifest.keys
        ));
    }
    let mut found = hash(client, manifest.revision).await?;
    if let Some(told) = manifest.hash {
        if found.compact_revision < told.compact_revision {
            // Compacted between the snapshot's beginning and its hash: bring this copy to the same state.
            match client.compact(told.compact_revision, true).await {
                Ok(_) | Err(EtcdError::Compacted { .. }) => found = hash(client, manifest.revision).await?,
                Err(error) => return Err(error),
            }
        }
        if found != told {
            wrong.push(format!("its hash is {:08x} instead of {:08x}", found.hash, told.hash));
        }
    }
    Ok((revision, now.value, found, wrong))
}

async fn hash(client: &EtcdClient, revision: i64) -> Result<KeyspaceHash, EtcdError> {
    let answer = client.hash_kv(revision).await?;
    Ok(KeyspaceHash {
        hash: answer.hash,
        compact_revision: answer.compact_revision,
    })
}
