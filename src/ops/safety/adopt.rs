//! Taking over data that something else made.

use std::collections::BTreeMap;

use super::bootstrap::Marker;
use super::{Blocked, Rule};
use crate::host::{DataState, HostFacts};
use crate::inventory::{ClusterId, Desired, NodeName};
use crate::ops::model::{Fact, why_and_help};
use crate::ops::sight::MEND;

/// May the data on every host be noted as that of this cluster's members?
///
/// # Errors
/// Every host that was not seen, has no member's data where its member was seen to have it, or whose data another inventory
/// has.
pub fn may_note(
    desired: &Desired,
    hosts: &BTreeMap<NodeName, Fact<HostFacts>>,
    cluster_id: ClusterId,
) -> Result<(), Vec<Blocked>> {
    let mut blocked = Vec::new();
    for host in desired.hosts.values() {
        let facts = match hosts.get(&host.name) {
            Some(Fact::Known(facts)) => facts,
            Some(Fact::Unknown(why)) => {
                let (why, help) = why_and_help(why);
                blocked.push(Blocked::new(Rule::Unreachable, why, help.unwrap_or(MEND)).on(&host.name));
                continue;
            }
            Some(Fact::Absent) | None => {
                blocked.push(Blocked::new(Rule::Unreachable, "it was not inspected", MEND).on(&host.name));
                continue;
            }
        };
        let path = &host.paths.data;
        if facts.data.state != DataState::Bootstrapped {
            let refusal = Blocked::new(
                Rule::DataGone,
                format!("{path} has no member's data"),
                "see that its member runs, and run this again",
            );
            blocked.push(refusal.on(&host.name));
        }
        let ours = |marker: &Marker| {
            (&marker.cluster, &marker.member, marker.cluster_id) == (&desired.cluster, &host.name, cluster_id)
        };
        match (&facts.data.marker, Marker::on(facts)) {
            (None, _) => {}
            (Some(_), Some(marker)) if ours(&marker) => {}
            (Some(_), Some(marker)) => {
                let refusal = Blocked::new(
                    Rule::ForeignData,
                    format!(
                        "{path} belongs to the member {} of the cluster {}, which has an inventory already",
                        marker.member, marker.cluster
                    ),
                    "work with that inventory; if it is lost, take the cluster over with --cluster and the name that the note has",
                );
                blocked.push(refusal.on(&host.name));
            }
            (Some(_), None) => {
                let refusal = Blocked::new(
                    Rule::ForeignData,
                    format!("{} cannot be parsed", host.paths.marker()),
                    "remove it if no other version of quorate looks after this member",
                );
                blocked.push(refusal.on(&host.name));
            }
        }
    }
    if blocked.is_empty() { Ok(()) } else { Err(blocked) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::samples::{CLUSTER, desired, empty, name, observed};

    #[test]
    fn data_is_noted_once_and_never_that_of_another_inventory() {
        let desired = desired(3);
        let mut seen = observed(&desired);
        assert_eq!(
            may_note(&desired, &seen.hosts, CLUSTER),
            Ok(()),
            "noted by an earlier run"
        );
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(1)) {
            facts.data.marker = None;
        }
        assert_eq!(
            may_note(&desired, &seen.hosts, CLUSTER),
            Ok(()),
            "made by something else"
        );
        seen.hosts.insert(name(1), Fact::Known(empty(&desired, 1)));
        if let Some(Fact::Known(facts)) = seen.hosts.get_mut(&name(2)) {
            facts.data.marker =
                Some(r#"{"cluster":"prod-b","cluster_id":"bad","member":"b-1","complete":true}"#.into());
        }
        seen.hosts.insert(name(3), Fact::Unknown("no route to host".into()));
        let refused = may_note(&desired, &seen.hosts, CLUSTER).expect_err("refusals");
        let rules: Vec<Rule> = refused.iter().map(|refusal| refusal.rule).collect();
        assert_eq!(rules, [Rule::DataGone, Rule::ForeignData, Rule::Unreachable]);
    }
}
