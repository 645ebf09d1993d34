//! Ctrl-C: the first one stops between two steps, the second one at once.

use tokio_util::sync::CancellationToken;

use super::error::{Exit, Failure};

/// From now on the first Ctrl-C (or SIGTERM) cancels `stop`. The second one ends the program; what a step was doing is then
/// found and finished by the next run.
pub fn cancels(stop: CancellationToken) {
    tokio::spawn(async move {
        signal().await;
        anstream::eprintln!("stopping after the current step; press Ctrl-C again to stop immediately");
        stop.cancel();
        signal().await;
        std::process::exit(Exit::Interrupted as i32);
    });
}

/// Does `work`, unless the operator stops: for looking and waiting, which leave nothing half-done.
///
/// # Errors
/// The work's own; [`Exit::Interrupted`].
pub async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err(Failure::new(Exit::Interrupted, "stopped; nothing was in progress")
            .hint("run the same command again to continue where this one stopped")),
    }
}

/// Ends when the operator has had enough: Ctrl-C, SIGTERM, or a terminal that was closed.
pub async fn asked_to_stop() {
    let hung_up = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
            Ok(mut hangup) => hangup.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signal() => {}
        _ = hung_up => {}
    }
}

async fn signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}
