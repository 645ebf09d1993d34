//! Sizes, quota, compaction, and whether all members hold the same.

use super::{Examined, Finding, Kind};
use crate::etcd::MemberStatus;
use crate::ops::exec::real::MemberHash;
use crate::ops::last_resort::LastResort;
use crate::ops::model::{Fact, label, why_and_help};
use crate::ops::safety::upkeep::{nearly_full, quota, quota_of, worth_defragmenting};
use crate::report::human_bytes;

/// etcd warns at its start about a larger quota (`MaxQuotaBytes`, server/storage/quota.go).
const LARGEST_QUOTA: u64 = 8 << 30;

/// With this many revisions and no compaction ever, nobody compacts: neither etcd nor the clients.
const MANY_REVISIONS: i64 = 10_000;

pub(super) fn findings(examined: &Examined<'_>) -> Vec<Finding> {
    let mut findings = sizes(examined);
    let configured = quota(examined.desired);
    match configured {
        None => findings.push(Finding::advice(
            Kind::NoQuota,
            "the quota is disabled: the database can grow until the disk is full",
            "set `quota-backend-bytes` in `etcd.config` (2 to 8 GiB)",
        )),
        Some(large) if large > LARGEST_QUOTA => findings.push(Finding::advice(
            Kind::QuotaTooLarge,
            format!(
                "the quota is {}, but etcd is designed for at most 8 GiB",
                human_bytes(large)
            ),
            "store less in one cluster, and lower `quota-backend-bytes`",
        )),
        Some(_) => {}
    }
    findings.extend(compaction(examined));
    findings.extend(hashes(examined));
    findings
}

fn sizes(examined: &Examined<'_>) -> Vec<Finding> {
    let configured = quota(examined.desired);
    let of = |status: &MemberStatus| {
        let full = quota_of(status, configured).is_some_and(|quota| nearly_full(status, quota));
        match (full, worth_defragmenting(status, configured)) {
            (true, Ok(why)) => Some(Finding::problem(Kind::WorthDefragmenting, why, "run `quorate defrag`")),
            (true, Err(why)) => {
                let help = "writes stop at the quota, and only `quorate alarm disarm` allows them again";
                Some(Finding::problem(Kind::NearlyFull, why, help))
            }
            // As etcd's own alert has it (contrib/mixin, etcdDatabaseHighFragmentationRatio): less than half is in use.
            (false, Ok(why)) if status.db_in_use * 2 < status.db_size => {
                Some(Finding::advice(Kind::WorthDefragmenting, why, "run `quorate defrag`"))
            }
            (false, _) => None,
        }
    };
    let members = examined.membership().into_iter().flat_map(|m| {
        m.members
            .iter()
            .filter_map(|member| Some((member, m.status_of(member.id)?)))
    });
    members
        .filter_map(|(member, status)| Some(of(status)?.on(label(examined.desired, member))))
        .collect()
}

fn compaction(examined: &Examined<'_>) -> Option<Finding> {
    let hash = examined.hashes.known()?.first()?;
    let retention = examined.desired.options.get("auto-compaction-retention");
    if retention.is_some_and(|value| value.as_str().is_some_and(|text| text != "0")) {
        // It has not come to that yet.
        return None;
    }
    (hash.compact_revision <= 0 && hash.revision > MANY_REVISIONS).then(|| {
        let says = format!(
            "its {} revisions were never compacted, so the database keeps growing",
            hash.revision
        );
        let help = "set `auto-compaction-mode: periodic` and `auto-compaction-retention: 8h` in `etcd.config` \
                    (Kubernetes compacts on its own)";
        Finding::advice(Kind::NeverCompacted, says, help)
    })
}

fn hashes(examined: &Examined<'_>) -> Vec<Finding> {
    let hashes = match &examined.hashes {
        Fact::Known(hashes) => hashes,
        // There is no cluster to compare.
        Fact::Absent => return Vec::new(),
        Fact::Unknown(unknown) => {
            let (why, help) = why_and_help(unknown);
            let says = format!("the members' data was not compared: {why}");
            let help = help.unwrap_or("run `quorate check-hashes` once all members answer");
            return vec![Finding::advice(Kind::NotCompared, says, help)];
        }
    };
    let (right, odd): (Vec<&MemberHash>, Vec<&MemberHash>) = hashes.iter().partition(|hash| hash.agrees);
    if !odd.is_empty() && right.len() * 2 <= hashes.len() {
        let each: Vec<String> = hashes.iter().map(|h| format!("{} {:08x}", h.name, h.hash)).collect();
        let says = format!("the members' data differs, and no majority agrees: {}", each.join(", "));
        let help = "stop the clients, compare what each member has (`quorate ctl --limit NAME -- get --prefix '' --consistency s`), and decide by \
                    hand which one is right";
        return vec![Finding::problem(Kind::DataDiffers, says, help)];
    }
    let differs = odd.into_iter().map(|hash| {
        let says = format!(
            "its data differs from the others' at revision {} ({:08x})",
            hash.revision, hash.hash
        );
        let help = "take a backup of a member that agrees with the others";
        let odd = Finding::problem(Kind::DataDiffers, says, help).or(LastResort::replace_the_odd_one(&hash.name));
        odd.on(&hash.name)
    });
    differs.collect()
}
