//! Keys and values, as far as looking after a cluster needs them.

use std::time::Duration;

use tonic::transport::Channel;

use super::{EtcdClient, LARGEST_MESSAGE, RAFT_LIMIT};
use crate::etcd::pb::kv_client::KvClient;
use crate::etcd::{Answer, EtcdError, Header, KeyValue, LeaseId, pb};

/// A physical compaction walks the whole database.
const COMPACT_LIMIT: Duration = Duration::from_secs(600);
/// A key that nobody writes: reading it proves that a quorum answers and costs next to nothing.
const NO_SUCH_KEY: &str = "\u{1}quorate/ping";

impl EtcdClient {
    fn kv(&self) -> KvClient<Channel> {
        // As in etcd's own client: what the server sends is bounded by what was stored.
        KvClient::new(self.channel.clone())
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_decoding_message_size(usize::MAX)
    }

    /// Writes one key.
    ///
    /// # Errors
    /// `NoSpace`, `Unavailable` (it may still have been written), or any other [`EtcdError`].
    pub async fn put(&self, key: &str, value: &[u8]) -> Result<Header, EtcdError> {
        self.write(key, value, LeaseId(0)).await
    }

    /// Writes one key that vanishes with `lease`.
    ///
    /// # Errors
    /// As [`EtcdClient::put`]; `Other` with code `NotFound` when the lease is gone.
    pub async fn put_leased(&self, key: &str, value: &[u8], lease: LeaseId) -> Result<Header, EtcdError> {
        self.write(key, value, lease).await
    }

    async fn write(&self, key: &str, value: &[u8], lease: LeaseId) -> Result<Header, EtcdError> {
        let asked = self.asked("put", RAFT_LIMIT);
        let request = pb::PutRequest {
            key: key.as_bytes().to_vec(),
            value: value.to_vec(),
            lease: lease.0,
        };
        let mut kv = self.kv();
        let answer = asked.answer(kv.put(request)).await?;
        asked.header(answer.header)
    }

    /// Reads one key, linearizably.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn get(&self, key: &str) -> Result<Answer<Option<KeyValue>>, EtcdError> {
        let request = pb::RangeRequest {
            key: key.as_bytes().to_vec(),
            ..Default::default()
        };
        let answer = self.range("get", request).await?;
        Ok(Answer {
            header: answer.header,
            value: answer.value.0.into_iter().next(),
        })
    }

    /// Reads every key that begins with `prefix` (not empty), in order, linearizably and in one answer: for small
    /// ranges.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn get_prefix(&self, prefix: &str) -> Result<Answer<Vec<KeyValue>>, EtcdError> {
        let request = pb::RangeRequest {
            key: prefix.as_bytes().to_vec(),
            range_end: end_of_prefix(prefix.as_bytes()),
            ..Default::default()
        };
        let answer = self.range("get", request).await?;
        Ok(Answer {
            header: answer.header,
            value: answer.value.0,
        })
    }

    /// How many keys begin with `prefix`; with an empty one, how many there are.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn range_count(&self, prefix: &str) -> Result<Answer<u64>, EtcdError> {
        let first = if prefix.is_empty() { b"\0" } else { prefix.as_bytes() };
        let request = pb::RangeRequest {
            key: first.to_vec(),
            range_end: end_of_prefix(prefix.as_bytes()),
            count_only: true,
            ..Default::default()
        };
        let answer = self.range("count", request).await?;
        Ok(Answer {
            header: answer.header,
            value: answer.value.1,
        })
    }

    /// How many keys there were at `revision`, as this member alone knows.
    ///
    /// # Errors
    /// `Compacted` for an old revision; any other [`EtcdError`].
    pub async fn count_at(&self, revision: i64) -> Result<Answer<u64>, EtcdError> {
        let request = pb::RangeRequest {
            key: b"\0".to_vec(),
            range_end: b"\0".to_vec(),
            revision,
            serializable: true,
            count_only: true,
            ..Default::default()
        };
        let answer = self.range("count", request).await?;
        Ok(Answer {
            header: answer.header,
            value: answer.value.1,
        })
    }

    /// Whether this member has compacted to `revision` or a later one: the revision before it can be read no more.
    pub(super) async fn compacted_to(&self, revision: i64) -> Result<bool, EtcdError> {
        // Revision 1 is that of an empty store; 0 would mean the newest.
        if revision <= 1 {
            return Ok(false);
        }
        let request = pb::RangeRequest {
            key: NO_SUCH_KEY.into(),
            revision: revision - 1,
            serializable: true,
            ..Default::default()
        };
        match self.range("read", request).await {
            Ok(_) => Ok(false),
            Err(EtcdError::Compacted { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// At most `limit` keys from `first` on and before `end` (`\0`: to the last one), as this member alone knows them, with or
    /// without their values; and how many there are in all. The member counts them one by one, in its index.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn page(
        &self,
        first: &[u8],
        end: &[u8],
        limit: u32,
        keys_only: bool,
    ) -> Result<Answer<(Vec<KeyValue>, u64)>, EtcdError> {
        let request = pb::RangeRequest {
            key: first.to_vec(),
            range_end: end.to_vec(),
            limit: i64::from(limit),
            serializable: true,
            keys_only,
            ..Default::default()
        };
        self.range("read", request).await
    }

    /// Deletes one key and returns how many were there (0 or 1).
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn delete(&self, key: &str) -> Result<Answer<u64>, EtcdError> {
        let asked = self.asked("delete", RAFT_LIMIT);
        let request = pb::DeleteRangeRequest {
            key: key.as_bytes().to_vec(),
            range_end: Vec::new(),
        };
        let mut kv = self.kv();
        let answer = asked.answer(kv.delete_range(request)).await?;
        asked.with(answer.header, answer.deleted.unsigned_abs())
    }

    /// Drops the history before `revision`. With `physical` it returns when the space is free inside the file.
    ///
    /// # Errors
    /// `Compacted` when already done: a success to most callers.
    pub async fn compact(&self, revision: i64, physical: bool) -> Result<Header, EtcdError> {
        let limit = if physical { COMPACT_LIMIT } else { RAFT_LIMIT };
        let asked = self.asked("compact", limit);
        let mut kv = self.kv();
        let answer = asked
            .answer(kv.compact(pb::CompactionRequest { revision, physical }))
            .await?;
        asked.header(answer.header)
    }

    /// Asks for a key that does not exist, through a quorum. A refusal for want of permission proves life too, but
    /// carries no header.
    ///
    /// # Errors
    /// Any [`EtcdError`] but `Denied`.
    pub async fn linearizable_ping(&self) -> Result<Option<Header>, EtcdError> {
        match self.get(NO_SUCH_KEY).await {
            Ok(answer) => Ok(Some(answer.header)),
            Err(EtcdError::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn range(
        &self,
        operation: &'static str,
        request: pb::RangeRequest,
    ) -> Result<Answer<(Vec<KeyValue>, u64)>, EtcdError> {
        let asked = self.asked(operation, RAFT_LIMIT);
        let mut kv = self.kv();
        let answer = asked.answer(kv.range(request)).await?;
        let found = answer.kvs.into_iter().map(key_value).collect();
        asked.with(answer.header, (found, answer.count.unsigned_abs()))
    }
}

fn key_value(kv: pb::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key,
        value: kv.value,
        mod_revision: kv.mod_revision,
        version: kv.version,
    }
}

/// The first key after all that begin with `prefix`; `\0` means "to the end".
pub fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    match prefix.iter().rposition(|byte| *byte < 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        }
        None => vec![0],
    }
}

#[cfg(test)]
mod tests {
    use super::end_of_prefix;

    #[test]
    fn a_prefix_ends_where_etcd_says_it_does() {
        assert_eq!(end_of_prefix(b"ab"), b"ac");
        assert_eq!(end_of_prefix(b"a\xff"), b"b");
        assert_eq!(end_of_prefix(b"\xff\xff"), b"\0");
        assert_eq!(end_of_prefix(b""), b"\0");
    }
}
