//! What the steps of `defrag`, `compact` and `alarm disarm` do.

use std::time::Duration;

use tokio::time::sleep;

use super::drive::Lab;
use super::host::Link;
use crate::etcd::AlarmKind;
use crate::inventory::{NodeName, PeerUrl};
use crate::ops::exec::StepError;

const POLL: Duration = Duration::from_millis(200);

impl Lab {
    /// etcd goes on with it when nobody waits any more.
    pub(super) async fn defragment(&self, node: &NodeName, url: &PeerUrl) -> Result<(), StepError> {
        self.hand_over(url).await?;
        self.on(node, |w| w.defragment(node))?.map_err(StepError::new)?;
        loop {
            {
                let state = self.now();
                let host = &state.world.hosts[node];
                if host.unit.process.is_none() || host.link != Link::Up {
                    return Err(StepError::new(format!("{node} does not answer")));
                }
                if !host.busy() {
                    return Ok(());
                }
            }
            sleep(POLL).await;
        }
    }

    pub(super) async fn compact(&self, revision: i64) -> Result<(), StepError> {
        let id = self.leader(&self.membership().await?)?;
        let revision = u64::try_from(revision).map_err(|_| StepError::new("a negative revision"))?;
        self.stroke(|w| w.compact(id, revision))?.map_err(StepError::new)
    }

    /// Every alarm of a kind, and then a write.
    pub(super) async fn disarm(&self, kind: AlarmKind) -> Result<(), StepError> {
        let id = self.leader(&self.membership().await?)?;
        self.stroke(|w| w.disarm(id, kind))?.map_err(StepError::new)?;
        self.stroke(|w| w.try_to_write(id))?.map_err(StepError::new)
    }
}
