//! Status and upkeep of one member.

use std::time::Duration;

use tonic::transport::Channel;

use super::{EtcdClient, LARGEST_MESSAGE, RAFT_LIMIT};
use crate::etcd::error::Asked;
use crate::etcd::pb::maintenance_client::MaintenanceClient;
use crate::etcd::snapshot::{SNAPSHOT_IDLE, SnapshotStream};
use crate::etcd::version::{minor_version, server_version};
use crate::etcd::{Alarm, AlarmKind, Answer, EtcdError, KvHash, MemberStatus, pb};
use crate::inventory::MemberId;

/// A hand-over takes 0.1 s; to a member that is down it never ends.
const MOVE_LEADER_LIMIT: Duration = Duration::from_secs(5);
/// Hashing reads the whole key space.
const HASH_LIMIT: Duration = Duration::from_secs(60);

/// What to do about an online downgrade (3.6 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DowngradeStep {
    /// Would it be allowed?
    Validate,
    /// Begin: the storage goes to the older version's format.
    Enable,
    /// Give it up, while every member still runs the newer version.
    Cancel,
}

impl EtcdClient {
    fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    /// How this member is. Served from its memory, also without quorum.
    ///
    /// # Errors
    /// Any [`EtcdError`]; `Silent` when nothing comes within `limit`.
    pub async fn status(&self, limit: Duration) -> Result<MemberStatus, EtcdError> {
        let asked = self.asked("status", limit);
        let mut maintenance = self.maintenance();
        let status = asked.answer(maintenance.status(pb::StatusRequest {})).await?;
        told(&asked, status)
    }

    /// Hands leadership to `target`. Must be asked of the leader; check first that the target is up.
    ///
    /// # Errors
    /// `NotLeader`; `Refused` for a target that cannot lead; `Silent` for one that is down.
    pub async fn move_leader(&self, target: MemberId) -> Result<(), EtcdError> {
        let asked = self.asked("move leader", MOVE_LEADER_LIMIT);
        let request = pb::MoveLeaderRequest { target_id: target.0 };
        let mut maintenance = self.maintenance();
        asked.answer(maintenance.move_leader(request)).await?;
        Ok(())
    }

    /// The hash of this member's key space at `revision` (0: now, which differs between members under writes).
    ///
    /// At the revision that it has compacted to, which is the newest one too where nobody writes, a release does what it
    /// likes: 3.4 refuses (`rev <= compactRev`, mvcc/kvstore.go), later ones tell what they noted *before* that compaction
    /// and have forgotten after a restart (`hashStorage`, server/storage/mvcc/hash.go). What it holds now is the same on
    /// all, so that is asked for instead.
    ///
    /// # Errors
    /// `Compacted` for an old revision, also for the compacted one when others were written since; `Other` with code
    /// `OutOfRange` for one that this member does not have yet.
    pub async fn hash_kv(&self, revision: i64) -> Result<KvHash, EtcdError> {
        let answer = self.hash_as_told(revision).await;
        let told = matches!(answer, Ok(_) | Err(EtcdError::Compacted { .. }));
        if revision == 0 || !told || !self.compacted_to(revision).await? {
            return answer;
        }
        let now = self.hash_as_told(0).await?;
        match now.header.revision == revision {
            true => Ok(now),
            false => Err(EtcdError::Compacted { operation: "hash" }),
        }
    }

    async fn hash_as_told(&self, revision: i64) -> Result<KvHash, EtcdError> {
        let asked = self.asked("hash", HASH_LIMIT);
        let mut maintenance = self.maintenance();
        let answer = asked
            .answer(maintenance.hash_kv(pb::HashKvRequest { revision }))
            .await?;
        Ok(KvHash {
            header: asked.header(answer.header)?,
            hash: answer.hash,
            compact_revision: answer.compact_revision,
        })
    }

    /// The active alarms. (3.4 sends no header with them.)
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn alarms(&self) -> Result<Vec<Alarm>, EtcdError> {
        let asked = self.asked("alarm list", RAFT_LIMIT);
        let request = pb::AlarmRequest {
            action: pb::alarm_request::Action::Get.into(),
            ..Default::default()
        };
        let mut maintenance = self.maintenance();
        let answer = asked.answer(maintenance.alarm(request)).await?;
        Ok(answer.alarms.iter().filter_map(alarm).collect())
    }

    /// Takes back an alarm, as it stood in [`EtcdClient::alarms`].
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn disarm(&self, alarm: Alarm) -> Result<(), EtcdError> {
        let asked = self.asked("alarm disarm", RAFT_LIMIT);
        let kind = match alarm.kind {
            AlarmKind::Nospace => pb::AlarmType::Nospace,
            AlarmKind::Corrupt => pb::AlarmType::Corrupt,
        };
        let request = pb::AlarmRequest {
            action: pb::alarm_request::Action::Deactivate.into(),
            member_id: alarm.member.0,
            alarm: kind.into(),
        };
        let mut maintenance = self.maintenance();
        asked.answer(maintenance.alarm(request)).await?;
        Ok(())
    }

    /// Gives free space inside the database file back to the file system. Blocks this member's reads and writes;
    /// allow at least 1 s per 50 MB. When `limit` runs out the server goes on by itself.
    ///
    /// # Errors
    /// Any [`EtcdError`].
    pub async fn defragment(&self, limit: Duration) -> Result<(), EtcdError> {
        let asked = self.asked("defragment", limit);
        let mut maintenance = self.maintenance();
        asked.answer(maintenance.defragment(pb::DefragmentRequest {})).await?;
        Ok(())
    }

    /// Prepares, begins or gives up an online downgrade to `version` (`3.5`); returns the cluster's version now. Every
    /// member passes it on to the leader.
    ///
    /// # Errors
    /// `Other` with code `InvalidArgument` for a version that is not allowed, `Refused` when one is under way or none
    /// is; before 3.6 `Other` or `Refused`.
    pub async fn downgrade(&self, step: DowngradeStep, version: &str) -> Result<Answer<String>, EtcdError> {
        let asked = self.asked("downgrade", RAFT_LIMIT);
        let action = match step {
            DowngradeStep::Validate => pb::downgrade_request::Action::Validate,
            DowngradeStep::Enable => pb::downgrade_request::Action::Enable,
            DowngradeStep::Cancel => pb::downgrade_request::Action::Cancel,
        };
        let request = pb::DowngradeRequest {
            action: action.into(),
            version: version.to_owned(),
        };
        let mut maintenance = self.maintenance();
        let answer = asked.answer(maintenance.downgrade(request)).await?;
        asked.with(answer.header, answer.version)
    }

    /// Begins a snapshot of this member's database.
    ///
    /// # Errors
    /// Any [`EtcdError`]; `Denied` without the root role when authentication is on.
    pub async fn snapshot(&self) -> Result<SnapshotStream, EtcdError> {
        let asked = self.asked("snapshot", SNAPSHOT_IDLE);
        let mut maintenance = self.maintenance();
        let stream = asked.answer(maintenance.snapshot(pb::SnapshotRequest {})).await?;
        Ok(SnapshotStream::new(stream, self.endpoint.clone()))
    }
}

/// A status in quorate's own types. A downgrade to a version that cannot be read is not taken for none.
fn told(asked: &Asked<'_>, status: pb::StatusResponse) -> Result<MemberStatus, EtcdError> {
    let minor = |text: &str| minor_version(text).map_err(|e| asked.malformed(e.to_string()));
    let under_way = status.downgrade_info.filter(|job| job.enabled);
    Ok(MemberStatus {
        header: asked.header(status.header)?,
        version: server_version(&status.version).map_err(|e| asked.malformed(e.to_string()))?,
        db_size: size(status.db_size),
        db_in_use: size(status.db_size_in_use),
        db_quota: size(status.db_size_quota),
        leader: MemberId(status.leader),
        raft_index: status.raft_index,
        raft_applied: status.raft_applied_index,
        raft_term: status.raft_term,
        errors: status.errors,
        learner: status.is_learner,
        storage_version: match status.storage_version.as_str() {
            "" => None,
            text => Some(minor(text)?),
        },
        downgrade: under_way.map(|job| minor(&job.target_version)).transpose()?,
    })
}

/// Sizes are signed on the wire and never negative.
fn size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

fn alarm(alarm: &pb::AlarmMember) -> Option<Alarm> {
    let kind = match alarm.alarm() {
        pb::AlarmType::Nospace => AlarmKind::Nospace,
        pb::AlarmType::Corrupt => AlarmKind::Corrupt,
        pb::AlarmType::None => return None,
    };
    Some(Alarm {
        member: MemberId(alarm.member_id),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::Endpoint;
    use crate::inventory::Version;

    /// What etcd says of itself, with such a storage version and such a downgrade.
    fn says(storage: &str, job: Option<(bool, &str)>) -> Result<MemberStatus, EtcdError> {
        let endpoint = Endpoint {
            host: "10.0.0.1".into(),
            port: 2379,
        };
        let asked = Asked {
            way: None,
            operation: "status",
            endpoint: &endpoint,
            limit: RAFT_LIMIT,
            member: None,
        };
        let status = pb::StatusResponse {
            header: Some(pb::ResponseHeader::default()),
            version: "3.6.14".into(),
            storage_version: storage.into(),
            downgrade_info: job.map(|(enabled, target)| pb::DowngradeInfo {
                enabled,
                target_version: target.into(),
            }),
            ..Default::default()
        };
        told(&asked, status)
    }

    #[test]
    fn a_downgrade_is_under_way_only_while_it_is_enabled() {
        let idle = says("3.6.0", Some((false, ""))).unwrap();
        assert_eq!(
            (idle.storage_version, idle.downgrade),
            (Some(Version::new(3, 6, 0)), None)
        );
        let begun = says("3.5.0", Some((true, "3.5.0"))).unwrap();
        let to = Some(Version::new(3, 5, 0));
        assert_eq!((begun.storage_version, begun.downgrade), (to, to));
        // 3.5 tells neither.
        let silent = says("", None).unwrap();
        assert_eq!((silent.storage_version, silent.downgrade), (None, None));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_none() {
        assert!(says("3.6.0", Some((true, "soon"))).is_err());
        assert!(says("new", None).is_err());
    }
}
