//! What a host asks a person for at the login: a password, a one-time code (keyboard-interactive).

use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer, Prompt};
use secrecy::{ExposeSecret as _, SecretString};

use super::auth::mute;
use super::handler::Watch;
use super::route::Hop;
use super::trouble::Trouble;
use crate::host::SecretSource;

/// Longest exchange of questions and answers with a server that asks again and again.
const MOST_QUESTIONS: usize = 10;

/// What became of the answers.
pub(super) enum Answered {
    /// The login is through.
    In,
    /// They were right, and the server asks for more, by one of these methods.
    Further(MethodSet),
    /// They were wrong, or nobody gave any: for the list of what was tried.
    Refused(String),
}

/// One login that asks.
pub(super) struct Asking<'a> {
    session: &'a mut Handle<Watch>,
    hop: &'a Hop,
    secrets: &'a Arc<dyn SecretSource>,
    limit: Duration,
    /// The password answered a question already: asked again, it was wrong.
    told: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        session: &'a mut Handle<Watch>,
        hop: &'a Hop,
        secrets: &'a Arc<dyn SecretSource>,
        limit: Duration,
    ) -> Self {
        Self {
            session,
            hop,
            secrets,
            limit,
            told: false,
        }
    }

    /// The method `password`.
    ///
    /// # Errors
    /// When the server stops answering.
    pub(super) async fn password(&mut self) -> Result<Answered, Trouble> {
        let Some(password) = self.the_password().await else {
            return Ok(Answered::Refused(NOBODY.replace("WHAT", "a password")));
        };
        let sent = self
            .session
            .authenticate_password(&self.hop.user, password.expose_secret().to_owned());
        let result = tokio::time::timeout(self.limit, sent).await;
        Ok(match result.map_err(|_| mute(self.hop, self.limit))? {
            Ok(AuthResult::Success) => Answered::In,
            Ok(AuthResult::Failure {
                partial_success: true,
                remaining_methods,
            }) => Answered::Further(remaining_methods),
            Ok(AuthResult::Failure { .. }) | Err(_) => Answered::Refused("password".to_owned()),
        })
    }

    /// The method `keyboard-interactive`: the questions are the server's, and so is their number.
    ///
    /// # Errors
    /// When the server stops answering.
    pub(super) async fn questions(&mut self) -> Result<Answered, Trouble> {
        let refused = || Answered::Refused("keyboard-interactive".to_owned());
        let user = self.hop.user.clone();
        let mut asked = tokio::time::timeout(
            self.limit,
            self.session.authenticate_keyboard_interactive_start(user, None),
        )
        .await
        .map_err(|_| mute(self.hop, self.limit))?;
        for _ in 0..MOST_QUESTIONS {
            let Ok(answer) = asked else {
                return Ok(refused());
            };
            let (said, prompts) = match answer {
                Answer::Success => return Ok(Answered::In),
                Answer::Failure {
                    partial_success: true,
                    remaining_methods,
                } => return Ok(Answered::Further(remaining_methods)),
                Answer::Failure { .. } => return Ok(refused()),
                Answer::InfoRequest {
                    name,
                    instructions,
                    prompts,
                } => (format!("{name} {instructions}"), prompts),
            };
            // An empty list of questions must be answered too.
            let mut replies = Vec::new();
            for prompt in prompts {
                match self.reply(&said, &prompt).await {
                    Some(reply) => replies.push(reply.expose_secret().to_owned()),
                    None => {
                        let what = format!("`{}`", shown(&prompt.prompt));
                        return Ok(Answered::Refused(NOBODY.replace("WHAT", &what)));
                    }
                }
            }
            let sent = self.session.authenticate_keyboard_interactive_respond(replies);
            asked = tokio::time::timeout(self.limit, sent)
                .await
                .map_err(|_| mute(self.hop, self.limit))?;
        }
        Ok(refused())
    }

    /// The password where it is asked for, whatever is typed for anything else.
    async fn reply(&mut self, said: &str, prompt: &Prompt) -> Option<SecretString> {
        if is_for_the_password(&prompt.prompt) && !prompt.echo && !self.told {
            self.told = true;
            return self.the_password().await;
        }
        let question = format!("{} {}", shown(said), shown(&prompt.prompt));
        let question = format!("{}: {}", self.hop.label(), question.trim_start());
        self.ask(move |secrets, _| secrets.code(&question)).await
    }

    async fn the_password(&self) -> Option<SecretString> {
        self.ask(|secrets, who| secrets.login_password(who)).await
    }

    /// Not under a time-out: somebody may be typing.
    async fn ask(
        &self,
        ask: impl FnOnce(&dyn SecretSource, &str) -> Option<SecretString> + Send + 'static,
    ) -> Option<SecretString> {
        let (secrets, who) = (Arc::clone(self.secrets), self.hop.label());
        let asked = tokio::task::spawn_blocking(move || ask(secrets.as_ref(), &who));
        asked.await.ok().flatten()
    }
}

const NOBODY: &str = "the host asks for WHAT: run quorate in a terminal to be asked";

/// PAM's own question, as it is in the untranslated locale that sshd runs in.
fn is_for_the_password(prompt: &str) -> bool {
    let prompt = prompt.to_ascii_lowercase();
    prompt.contains("password")
        && !["one-time", "onetime", "one time", "otp", "new "]
            .iter()
            .any(|word| prompt.contains(word))
}

/// A host's words on the operator's terminal: one line, nothing that moves the cursor.
fn shown(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_for_the_password_is_answered_with_it() {
        for prompt in ["Password: ", "(ops@etcd-1) Password: ", "Password for ops@IPA.LAN:"] {
            assert!(is_for_the_password(prompt), "{prompt}");
        }
        for prompt in [
            "Verification code: ",
            "One-time password (OATH) for `ops': ",
            "Enter your OTP password",
            "New password: ",
            "Passcode:",
        ] {
            assert!(!is_for_the_password(prompt), "{prompt}");
        }
    }

    #[test]
    fn a_hosts_words_stay_on_one_line() {
        assert_eq!(shown("Hello\x1b[2J\r\n  you:\t"), "Hello [2J you:");
    }
}
