//! The lock that keeps two operators from changing one host at the same time.
//!
//! It is held by a script on the host that lives as long as this program's connection and heartbeat do, so it frees
//! itself however this program ends; see `scripts/lock.sh` for the steps that make it safe.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::facts_parser::lock_holder;
use super::trouble::{not_understood, script_failed};
use super::{Host, HostError, LockHolder, Running, scripts};
use crate::bounds;

/// How often the holder says that it lives; the script gives up after 60 s of silence.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long taking or giving back the lock may take; a theft waits up to 3 s for the other script to go.
const LIMIT: Duration = Duration::from_secs(20);
/// A holder's name and a few words, in one line.
const LONGEST: u64 = 64 * 1024;
/// The script's exit status when somebody else holds the lock.
const HELD: i32 = 75;
const OPERATION: &str = "taking the lock";

/// Why there is no lock.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LockRefused {
    /// Somebody else has it, and lives.
    #[error("{who} holds the lock since {since}: {doing}", who = .0.who, since = .0.since, doing = .0.doing)]
    Held(Box<LockHolder>),
    /// It could not be tried.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The lock, for as long as this lives. Dropping it frees the lock, without waiting for the host.
#[derive(Debug)]
pub struct LockGuard {
    alive: watch::Receiver<bool>,
    keeper: JoinHandle<()>,
    stdin: Option<mpsc::Sender<Bytes>>,
}

impl LockGuard {
    /// Resolves when the lock is gone: stolen, the connection lost, the host down. A run must stop then.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut alive = self.alive.clone();
        async move {
            // An error means that nobody watches over the script any more: gone as well.
            let _ = alive.wait_for(|alive| !alive).await;
        }
    }

    /// Whether the lock is still held, as far as is known here.
    pub fn is_held(&self) -> bool {
        *self.alive.borrow()
    }

    /// Gives the lock back and waits until the host has done so (at most 20 s; it frees itself then).
    pub async fn release(mut self) {
        self.stdin = None;
        self.keeper.abort();
        let _ = timeout(LIMIT, self.lost()).await;
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Ends the script's input: it removes the lock and ends.
        self.keeper.abort();
    }
}

impl Host {
    /// Takes the lock for `holder`, whose `id` must be new for each try. One that its holder left behind by dying, or
    /// by a reboot of the host, is taken over.
    ///
    /// # Errors
    /// [`LockRefused::Held`] by somebody who lives; otherwise what went wrong.
    pub async fn lock(&self, holder: &LockHolder) -> Result<LockGuard, LockRefused> {
        self.take_lock(holder, "0").await
    }

    /// Takes the lock from whoever has it: ends the holder's script, whose run then stops, and writes who did so and
    /// when to `lock-audit.log` beside the lock.
    ///
    /// # Errors
    /// What went wrong; [`LockRefused::Held`] when the other could not be ended or somebody else was quicker.
    pub async fn steal_lock(&self, holder: &LockHolder) -> Result<LockGuard, LockRefused> {
        self.take_lock(holder, "1").await
    }

    async fn take_lock(&self, holder: &LockHolder, steal: &str) -> Result<LockGuard, LockRefused> {
        let not_sensible = |why: String| not_understood(&self.node, OPERATION, why);
        if holder.id.is_empty() || !holder.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(not_sensible(format!("`{}` is not a run's id", holder.id.escape_debug())).into());
        }
        let mut json = serde_json::to_vec(holder).map_err(|error| not_sensible(error.to_string()))?;
        json.push(b'\n');
        let script = scripts::LOCK.with(vec![self.paths.lock.to_string(), holder.id.clone(), steal.to_owned()]);
        let mut running = self.transport.spawn(&script).await?;
        // When it has ended already, its answer below says why.
        let _ = running.stdin.send(Bytes::from(json)).await;
        let answer = timeout(LIMIT, first_line(&mut running.stdout)).await;
        match answer.as_deref() {
            Ok("locked") => Ok(guard(running)),
            Ok(line) => Err(self.refused(line, running).await),
            Err(_) => Err(self.lost("no answer in time").into()),
        }
    }

    async fn refused(&self, line: &str, running: Running) -> LockRefused {
        let Running { stdin, done, .. } = running;
        drop(stdin);
        let output = match timeout(LIMIT, done).await {
            Ok(Ok(Ok(output))) => output,
            Ok(Ok(Err(error))) => return error.into(),
            Ok(Err(_)) | Err(_) => return self.lost("the script on the host did not finish").into(),
        };
        match line.strip_prefix("held ") {
            Some(json) if output.status == Some(HELD) => LockRefused::Held(Box::new(lock_holder(json, true))),
            _ => script_failed(&self.node, OPERATION, &output).into(),
        }
    }

    fn lost(&self, why: &str) -> HostError {
        HostError::Lost {
            node: self.node.clone(),
            operation: OPERATION.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// Keeps the heart beating and notices when the script ends.
fn guard(running: Running) -> LockGuard {
    let Running {
        mut stdout,
        stdin,
        done,
    } = running;
    let (tell, alive) = watch::channel(true);
    tokio::spawn(async move {
        // Whatever way it ended: the lock is not held any more.
        let _ = done.await;
        tell.send_replace(false);
    });
    let heart = stdin.downgrade();
    let keeper = tokio::spawn(async move {
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    let Some(stdin) = heart.upgrade() else { return };
                    // A full channel means that the host is slow to read: there is a beat waiting already.
                    let _ = stdin.try_send(Bytes::from_static(b"\n"));
                }
                // Nothing is said any more, but an unread channel would hold up its connection.
                said = stdout.recv() => if said.is_none() { return },
            }
        }
    });
    LockGuard {
        alive,
        keeper,
        stdin: Some(stdin),
    }
}

/// The first line of what the script says; what there is of it when it ends early.
async fn first_line(stdout: &mut mpsc::Receiver<Bytes>) -> String {
    let mut text = Vec::new();
    while !text.contains(&b'\n') {
        match stdout.recv().await {
            Some(chunk) if bounds::keep(&mut text, &chunk, LONGEST).is_ok() => {}
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).lines().next().unwrap_or("").to_owned()
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
