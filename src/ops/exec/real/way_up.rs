//! What makes the members' data fit for the next minor, without a restart: a write before 3.5, and before 3.7 a snapshot of
//! every raft log. From 3.6 on a member writes one when the version of the cluster falls ([`crate::ops::safety::way_up`]).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RealWorld;
use crate::inventory::Version;
use crate::ops::check::Look;
use crate::ops::exec::{StepError, World, fault, first_open};
use crate::ops::model::Membership;
use crate::ops::plan::Step;
use crate::report::{Event, Reporter};

/// etcd looks every few seconds whether its version has to change, and asks every member for that.
const FALLS_OR_RISES: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(200);

/// Not of any client.
const KEY: &str = "quorate/before-3.5";

impl RealWorld {
    /// Writes a key and deletes it again: two entries of the raft log that every member applies to its database.
    pub(super) async fn write_one_key(&self) -> Result<String, StepError> {
        let membership = self.membership().await?;
        let client = self.leader(&membership).await?;
        client.put(KEY, b"").await?;
        let gone = client.delete(KEY).await?;
        Ok(format!("written and deleted, at revision {}", gone.header.revision))
    }

    /// Tells etcd to go back, waits until its version has fallen for every member, and tells it that it stays; then waits
    /// until the version has risen again. Where all snapshots are there already only the last is left to do.
    pub(super) async fn open_the_way_up(&self, step: &Step, reporter: &dyn Reporter) -> Result<String, StepError> {
        let seen = self.look(&Look::at(&step.ensures)).await;
        let membership = self.membership().await?;
        let runs = membership
            .releases()
            .min()
            .ok_or_else(|| StepError::new("no member reports its release"))?;
        if first_open(&step.ensures, &seen).is_some() {
            let before = Version::new(runs.major, runs.minor - 1, 0);
            self.begin_downgrade(before).await?;
            fault::point(&format!("told:{}", step.id));
            let fallen = self.everywhere(before, step, reporter).await;
            fault::point(&format!("fallen:{}", step.id));
            // Whatever came of it: nobody is to go back.
            self.call_off_downgrade().await?;
            fallen?;
        }
        self.everywhere(runs, step, reporter).await?;
        Ok("every member has written one".to_owned())
    }

    /// Waits until the cluster works at the minor of `version` for every member that is a host of the inventory.
    async fn everywhere(&self, version: Version, step: &Step, reporter: &dyn Reporter) -> Result<(), StepError> {
        let begun = Instant::now();
        let tls = self.tls().await?;
        let membership = self.membership().await?;
        let mut said = false;
        loop {
            let Some(open) = self.works_elsewhere(&membership, version, &tls).await else {
                return Ok(());
            };
            if begun.elapsed() > FALLS_OR_RISES {
                return Err(
                    StepError::new(format!("after {} s: {open}", begun.elapsed().as_secs())).hint(
                        "run the same command again: it continues from the current state; if nothing changes, see the leader's log (`quorate logs \
                     NAME`)",
                    ),
                );
            }
            if !std::mem::replace(&mut said, true) {
                reporter.event(&Event::StepWaiting {
                    step: step.id.clone(),
                    node: None,
                    on: open,
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// A member for whom the cluster does not work at this minor yet, in a sentence.
    async fn works_elsewhere(
        &self,
        membership: &Membership,
        version: Version,
        tls: &crate::etcd::ClientTls,
    ) -> Option<String> {
        let hosts = self.desired().hosts.values();
        for host in hosts.filter(|host| membership.of(host).is_some_and(|member| member.started())) {
            let works_at = self.fleet.works_at(host, tls).await;
            if works_at.is_none_or(|at| at.series() != version.series()) {
                let at = works_at.map_or("no version".to_owned(), |at| at.series_text());
                return Some(format!(
                    "{} still sees cluster version {at} instead of {}",
                    host.name,
                    version.series_text()
                ));
            }
        }
        None
    }
}
