//! Giving sudo its password: once, when it asks.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::channel::News;
use super::exec::Exec;
use super::judge::said_by_sudo;
use super::sudo::{Question, question, words};
use crate::host::HostError;

/// How long a line of sudo that is not ended stays so before it counts as a question in PAM's own words.
const SETTLED: Duration = Duration::from_millis(700);

/// How long sudo may take to go once it has been told that there is nothing more to read.
const GOING: Duration = Duration::from_secs(10);

/// Waits for sudo's question, answers it, and comes back when the loader behind sudo runs. A sudo that does not ask is
/// told nothing; one that asks again, for a better password or a new one, is told that there is none.
///
/// # Errors
/// sudo's refusal, or what a login says that never comes to sudo.
pub(super) async fn tell(exec: &mut Exec, password: &SecretString) -> Result<(), HostError> {
    // How much sudo had said when it got its answer.
    let mut answered = None;
    loop {
        let asked = match said_by_sudo(&exec.ended) {
            Some((said, prompt)) => question(said.get(answered.unwrap_or(0)..).unwrap_or_default(), &prompt),
            None => Question::None,
        };
        let message = match asked {
            Question::Ours => None,
            Question::Perhaps => timeout(SETTLED, exec.read.wait()).await.ok(),
            Question::None => Some(exec.read.wait().await),
        };
        let Some(message) = message else {
            let said = said_by_sudo(&exec.ended).map_or(0, |(said, _)| said.len());
            if answered.replace(said).is_some() {
                return Err(asked_again(exec).await);
            }
            let line = Bytes::from(format!("{}\n", password.expose_secret()));
            exec.write.send(line).await.map_err(|error| exec.judge.failed(&error))?;
            continue;
        };
        match exec.ended.take(message) {
            News::Data(data) => exec.first.extend_from_slice(&data),
            News::Nothing | News::Eof => {}
            News::End => return Err(gone(exec, answered.is_some())),
        }
        if exec.ended.begun() {
            return Ok(());
        }
    }
}

/// Lets sudo go, and says why it did not take the password.
async fn asked_again(exec: &mut Exec) -> HostError {
    let _ = exec.write.finish().await;
    let going = async { while !matches!(exec.ended.take(exec.read.wait().await), News::End) {} };
    // What it has said until then has to do.
    let _ = timeout(GOING, going).await;
    let said = said_by_sudo(&exec.ended).unwrap_or_default();
    exec.judge.wrong_password(&words(&said.0, &said.1))
}

fn gone(exec: &Exec, answered: bool) -> HostError {
    match said_by_sudo(&exec.ended) {
        Some((said, prompt)) if answered && exec.ended.closed => exec.judge.wrong_password(&words(&said, &prompt)),
        _ => exec.judge.without_frame(&exec.ended),
    }
}
