//! `kube`: this cluster for Kubernetes and what runs beside it.

mod check;
mod files;

use super::args::{Global, KubeCommand};
use super::error::{Exit, Failure};

/// `kube ...`.
///
/// # Errors
/// See the exit codes.
pub async fn kube(global: &Global, command: &KubeCommand) -> Result<Exit, Failure> {
    match command {
        KubeCommand::Files(args) => files::files(global, args).await,
        KubeCommand::Check(args) => check::check(global, args).await,
    }
}
