//! Starting, restarting and retiring the member on a host.

use super::RealWorld;
use crate::inventory::{NodeName, PeerUrl};
use crate::ops::exec::StepError;
use crate::ops::exec::wait::{Patience, watch};
use crate::ops::plan::{Action, HostChange, Step};
use crate::report::Reporter;

impl RealWorld {
    pub(super) async fn start(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.start().await?;
        Ok("asked to start".into())
    }

    /// Hands leadership over, puts the change in place and restarts; takes the change back when the member does not
    /// come up with it.
    pub(super) async fn restart(
        &self,
        step: &Step,
        node: &NodeName,
        change: &HostChange,
        url: &PeerUrl,
        reporter: &dyn Reporter,
    ) -> Result<String, StepError> {
        self.hand_over(url).await?;
        if !change.is_empty() {
            self.provision(step, node, change, reporter).await?;
        }
        let host = self.host(node).await?;
        host.restart().await?;
        let up = watch(step, &step.ensures, Patience::of(step), self, reporter).await;
        match up {
            Ok(()) => Ok("healthy and caught up".into()),
            Err(error) if change.files.is_empty() => Err(error),
            Err(error) => Err(self.take_back(node, change, error).await),
        }
    }

    /// Puts the previous files back and restarts with them; the error says which of the two worlds the member is in.
    async fn take_back(&self, node: &NodeName, change: &HostChange, error: StepError) -> StepError {
        let paths: Vec<_> = change.files.iter().map(|f| f.path.clone()).collect();
        let back = async {
            let host = self.host(node).await?;
            host.restore_previous(&paths).await?;
            host.restart().await
        };
        let outcome = match back.await {
            Ok(()) => "the previous files were put back and etcd was restarted with them".to_owned(),
            Err(failure) => format!("putting the previous files back failed as well: {failure}"),
        };
        StepError { message: format!("{}; {outcome}", error.message), ..error }
    }

    pub(super) async fn retire(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.disable_stop().await?;
        Ok("stopped, and it stays so after a reboot".into())
    }

    pub(super) async fn set_aside(&self, node: &NodeName, action: &Action) -> Result<String, StepError> {
        let reason = match action {
            Action::ClearAborted => "aborted-start",
            _ => "left-the-cluster",
        };
        let place = self.host(node).await?.set_aside(reason).await?;
        Ok(match place {
            Some(place) => format!("moved to {place}"),
            None => "there was none".into(),
        })
    }

    pub(super) async fn wipe(&self, node: &NodeName) -> Result<String, StepError> {
        self.host(node).await?.wipe_contents().await?;
        Ok("deleted".into())
    }
}
