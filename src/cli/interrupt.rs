//! Ctrl-C: the first one stops between two steps, the second one at once.

use tokio_util::sync::CancellationToken;

use super::error::Exit;

/// A token that the first Ctrl-C (or SIGTERM) cancels. The second one ends the program; what a step was doing is then
/// found and finished by the next run.
pub fn token() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        signal().await;
        anstream::eprintln!("stopping after the current step; press Ctrl-C again to stop at once");
        stop.cancel();
        signal().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    token
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
