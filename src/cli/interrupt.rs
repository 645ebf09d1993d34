//! Ctrl-C: the first one stops between two steps, the second one at once. Where a command has left something to clear away,
//! the end of the terminal counts as one.

use tokio::signal::unix::{Signal, SignalKind, signal as signal_of};
use tokio_util::sync::CancellationToken;

use super::error::{Exit, Failure};
use crate::report::print::tell;

/// From now on the first Ctrl-C (or SIGTERM) cancels `stop`. The second one ends the program; what a step was doing is then
/// found and finished by the next run.
pub fn cancels(stop: CancellationToken) {
    cancels_saying(stop, "stopping after the current step");
}

/// The same, where something else follows than the end of a step.
pub fn cancels_saying(stop: CancellationToken, what_follows: &'static str) {
    tokio::spawn(async move {
        signal().await;
        tell!("{what_follows}; press Ctrl-C again to stop immediately");
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

/// Everything that asks this program to end: Ctrl-C, SIGTERM, the end of its terminal.
pub struct Endings {
    each: [Signal; 3],
}

impl Endings {
    /// From now on they are told here, and no longer end the program by themselves.
    ///
    /// # Errors
    /// When the system gives no way to hear of them.
    pub fn listen() -> Result<Self, Failure> {
        let on = |kind| signal_of(kind).map_err(|error| Failure::unexpected("cannot wait for signals", error));
        Ok(Self {
            each: [
                on(SignalKind::interrupt())?,
                on(SignalKind::terminate())?,
                on(SignalKind::hangup())?,
            ],
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.each;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn signal() {
    let terminate = async {
        match signal_of(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}
