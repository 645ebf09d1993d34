//! The data of all members compared: etcd's own hash of everything up to one revision, from each.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::etcd::{EtcdClient, EtcdError, KvHash};
use crate::ops::exec::StepError;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, host_of, label};
use crate::ops::plan::count;
use crate::ops::rest::Purpose;
use crate::ops::safety::rest::resting;

/// A compaction reaches the members one after the other; until then their hashes cannot be compared.
const SETTLE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(250);

/// What one member says.
#[derive(Debug, Clone)]
pub struct MemberHash {
    /// Its name.
    pub name: String,
    /// The revision that was asked for.
    pub revision: i64,
    /// The hash.
    pub hash: u32,
    /// What it has compacted; hashes are comparable where this is equal.
    pub compact_revision: i64,
    /// False for one that differs from most of the others (or, without a majority, from the first).
    pub agrees: bool,
}

impl RealWorld {
    /// The hash of every voter at the newest revision that all of them have.
    ///
    /// # Errors
    /// When one cannot be asked, or they do not come to the same compaction.
    pub async fn hashes(&self) -> Result<Vec<MemberHash>, StepError> {
        let began = Instant::now();
        loop {
            if let Some((names, revision, answers)) = self.ask_all().await?
                && answers
                    .windows(2)
                    .all(|pair| pair[0].compact_revision == pair[1].compact_revision)
            {
                return Ok(judge(names, revision, &answers));
            }
            if began.elapsed() > SETTLE {
                return Err(StepError::new("the members are not compacted to the same revision")
                    .hint("run this again in a moment; a member that stays behind is slow: see `quorate status`"));
            }
            sleep(POLL).await;
        }
    }

    /// `None` when a compaction has overtaken the revision that was asked for.
    async fn ask_all(&self) -> Result<Option<(Vec<String>, i64, Vec<KvHash>)>, StepError> {
        let membership = self.membership().await?;
        let tls = self
            .viewer()
            .await
            .ok_or_else(|| StepError::new("there is no certificate to ask members with"))?;
        let mut members: Vec<(String, EtcdClient)> = Vec::new();
        for member in membership.voters() {
            let name = label(self.desired(), member);
            let spec = host_of(self.desired(), member)
                .ok_or_else(|| StepError::new(format!("{name} is not in the inventory")))?;
            if let Some(why) = membership.in_the_dark(member.id) {
                return Err(StepError::new(format!("{name}: {why}")).hint("fix the connection to it first"));
            }
            if membership.status_of(member.id).is_none() {
                let hosts = &self.seen.lock().await.hosts;
                let rests =
                    resting(self.desired(), hosts, Purpose::Maintenance).any(|(host, _)| host.name == spec.name);
                let hint = match rests {
                    true => format!("end its maintenance first: `quorate maintain {name} --done`"),
                    false => "bring it back first: `quorate up`".to_owned(),
                };
                return Err(StepError::new(format!("{name} does not answer")).hint(hint));
            }
            members.push((name, self.fleet.client(spec, &tls).await?));
        }
        let statuses = membership.status.values().filter_map(Fact::known);
        let revision = statuses
            .map(|status| status.header.revision)
            .min()
            .ok_or_else(|| StepError::new("no member reports its revision"))?;
        // One after the other: a member applies nothing and answers nobody while it reads all of its data for this
        // (`hashByRev` holds the read lock, server/storage/mvcc/kvstore.go), and a quorum must go on meanwhile.
        let mut answers = Vec::new();
        for (_, client) in &members {
            match client.hash_kv(revision).await {
                Ok(answer) => answers.push(answer),
                Err(EtcdError::Compacted { .. }) => return Ok(None),
                Err(error @ EtcdError::Denied { .. }) => {
                    return Err(StepError::new(error.to_string())
                        .hint("etcd shows hashes to `root` alone: ask an operator who can open the CA key"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let names = members.into_iter().map(|(name, _)| name).collect();
        Ok(Some((names, revision, answers)))
    }

    /// Compares all members, which must have reached a revision.
    ///
    /// # Errors
    /// When one differs, or they are older than that.
    pub(super) async fn compare_members(&self, at_least: i64) -> Result<String, StepError> {
        let hashes = self.hashes().await?;
        let first = hashes.first().ok_or_else(|| StepError::new("there is no member"))?;
        let revision = first.revision;
        if revision < at_least {
            return Err(StepError::new(format!(
                "the cluster is at revision {revision}, but the backup goes up to {at_least}"
            ))
            .hint("what was restored does not match the manifest: see `quorate backup verify`"));
        }
        let odd: Vec<&str> = hashes.iter().filter(|h| !h.agrees).map(|h| h.name.as_str()).collect();
        if !odd.is_empty() {
            let hint = "take a backup of a member that agrees with the others";
            let hint = self
                .sight()
                .await
                .hint(hint, Some(&LastResort::replace_the_odd_one(odd[0])));
            return Err(StepError::new(format!(
                "the data of {} differs from that of the others at revision {revision}",
                odd.join(", ")
            ))
            .hint(hint));
        }
        let same = count(hashes.len(), "member");
        Ok(format!("{same} with hash {:08x} at revision {revision}", first.hash))
    }
}

fn judge(names: Vec<String>, revision: i64, answers: &[KvHash]) -> Vec<MemberHash> {
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    for answer in answers {
        *votes.entry(answer.hash).or_default() += 1;
    }
    let majority = votes.into_iter().find(|(_, count)| *count > answers.len() / 2);
    let right = majority
        .map(|(hash, _)| hash)
        .or(answers.first().map(|answer| answer.hash));
    let members = names.into_iter().zip(answers).map(|(name, answer)| MemberHash {
        name,
        revision,
        hash: answer.hash,
        compact_revision: answer.compact_revision,
        agrees: Some(answer.hash) == right,
    });
    members.collect()
}
