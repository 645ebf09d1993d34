//! Logging in: offering keys one by one, then a password where the operator gave one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg};
use russh::{MethodKind, MethodSet};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::UnixStream;

use super::environment::SshEnvironment;
use super::handler::Watch;
use super::keys::{self, KeyFile, Secret};
use super::offers::{self, Offer, Shown, Signer};
use super::route::Hop;
use super::signer::{LoginSigner, SignError};
use super::trouble::Trouble;
use crate::host::SecretSource;

/// Longest exchange of questions and answers with a server that asks again and again.
const MOST_QUESTIONS: usize = 10;

/// Logs in on `session`, which has finished its key exchange.
///
/// # Errors
/// [`Trouble::Login`] with everything that was tried, [`Trouble::Connect`] when the server stops answering.
pub(super) async fn login(
    session: &mut Handle<Watch>,
    hop: &Hop,
    env: &SshEnvironment,
    secrets: &Arc<dyn SecretSource>,
) -> Result<(), Trouble> {
    let mut login = Login {
        session,
        hop,
        env,
        secrets,
        tried: Vec::new(),
        methods: None,
        hash: None,
    };
    match login.attempt().await? {
        true => Ok(()),
        false => Err(login.refused()),
    }
}

struct Login<'a> {
    session: &'a mut Handle<Watch>,
    hop: &'a Hop,
    env: &'a SshEnvironment,
    secrets: &'a Arc<dyn SecretSource>,
    tried: Vec<String>,
    /// What the server said it would go on with; `None` before it said anything.
    methods: Option<MethodSet>,
    /// The hash for RSA signatures, once it was asked for.
    hash: Option<Option<HashAlg>>,
}

impl Login<'_> {
    async fn attempt(&mut self) -> Result<bool, Trouble> {
        let rules = &self.hop.identities;
        let (mut agent, held) = match &rules.agent {
            Some(socket) => self.ask_agent(socket).await,
            None => (None, Vec::new()),
        };
        let files = self.look_at_files(&held);
        let offers = offers::offers(&held, &files, rules);
        if offers.len() > offers::MOST {
            let left_out = offers.len() - offers::MOST;
            self.tried
                .push(format!("{left_out} more keys skipped: servers give up after six"));
        }
        for offer in offers.into_iter().take(offers::MOST) {
            if !self.goes_on_with(MethodKind::PublicKey) {
                break;
            }
            if self.offer(offer, agent.as_mut()).await? {
                return Ok(true);
            }
            if self.session.is_closed() {
                return Ok(false);
            }
        }
        self.password().await
    }

    fn goes_on_with(&self, method: MethodKind) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(&method))
    }

    async fn ask_agent(&mut self, socket: &Path) -> (Option<AgentClient<UnixStream>>, Vec<AgentIdentity>) {
        // An agent on the far side of a dead forwarding accepts and never answers.
        let asked = tokio::time::timeout(Duration::from_secs(5), async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            let held = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, held))
        });
        let why = match asked.await {
            Ok(Ok((agent, held))) => return (Some(agent), held),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        self.tried.push(format!("agent at {}: {why}", socket.display()));
        (None, Vec::new())
    }

    fn look_at_files(&mut self, held: &[AgentIdentity]) -> Vec<KeyFile> {
        let rules = &self.hop.identities;
        let mut files = Vec::new();
        for path in &rules.files {
            match keys::look(path, &rules.certificates) {
                Ok(file) => {
                    let in_agent = |key| held.iter().any(|identity| identity.public_key().key_data() == key);
                    let elsewhere = matches!(file.secret, Secret::Elsewhere);
                    if elsewhere && !file.public.as_ref().is_some_and(|key| in_agent(key.key_data())) {
                        self.tried
                            .push(format!("{}: a public key that the agent does not hold", path.display()));
                    }
                    files.push(file);
                }
                Err(why) if rules.named => self.tried.push(format!("{}: {why}", path.display())),
                Err(_) => {}
            }
        }
        files
    }

    /// Offers one key; `true` when the server is content.
    async fn offer(&mut self, mut offer: Offer, agent: Option<&mut AgentClient<UnixStream>>) -> Result<bool, Trouble> {
        let name = offer.name();
        let mut signer = match (&offer.signer, agent) {
            (Signer::Agent(identity), Some(agent)) => LoginSigner::Agent(agent, identity),
            (Signer::Agent(_), None) => return Ok(false),
            (Signer::File(file), _) => {
                let locked = matches!(file.secret, Secret::Locked);
                if locked && !matches!(offer.shown, Shown::Hidden) {
                    match self.send(&offer.shown, &mut LoginSigner::Nobody).await? {
                        Err(SignError::Acceptable) => {}
                        result => return Ok(self.note(name, result)),
                    }
                }
                // Not under a time-out: somebody may be typing.
                match self.env.keys.open(file, self.secrets).await {
                    Ok(key) => LoginSigner::Key(key),
                    Err(why) => {
                        self.tried.push(format!("{name}: {why}"));
                        return Ok(false);
                    }
                }
            }
        };
        if let (Shown::Hidden, LoginSigner::Key(key)) = (&offer.shown, &signer) {
            offer.shown = Shown::Key(key.public_key().clone());
        }
        let result = self.send(&offer.shown, &mut signer).await?;
        Ok(self.note(name, result))
    }

    async fn send(
        &mut self,
        shown: &Shown,
        signer: &mut LoginSigner<'_>,
    ) -> Result<Result<AuthResult, SignError>, Trouble> {
        let user = self.hop.user.clone();
        let limit = self.env.connect_timeout;
        let hash = match shown {
            Shown::Key(key) => self.hash_for(&key.algorithm()).await?,
            Shown::Certificate(certificate) => self.hash_for(&certificate.algorithm()).await?,
            Shown::Hidden => None,
        };
        let sent = async {
            match shown {
                Shown::Key(key) => {
                    self.session
                        .authenticate_publickey_with(user, key.clone(), hash, signer)
                        .await
                }
                Shown::Certificate(certificate) => {
                    self.session
                        .authenticate_certificate_with(user, (**certificate).clone(), hash, signer)
                        .await
                }
                Shown::Hidden => Err(SignError::Failed("the key is locked".to_owned())),
            }
        };
        tokio::time::timeout(limit, sent)
            .await
            .map_err(|_| mute(self.hop, limit))
    }

    /// The hash of an RSA signature: the best that the server announces, SHA-256 when it announces nothing.
    async fn hash_for(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, Trouble> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        if let Some(hash) = self.hash {
            return Ok(hash);
        }
        let limit = self.env.connect_timeout;
        let asked = tokio::time::timeout(limit, self.session.best_supported_rsa_hash()).await;
        let announced = asked.map_err(|_| mute(self.hop, limit))?.unwrap_or_default();
        Ok(*self.hash.insert(announced.unwrap_or(Some(HashAlg::Sha256))))
    }

    /// Takes down how an offer went; `true` when the server is content.
    fn note(&mut self, name: String, result: Result<AuthResult, SignError>) -> bool {
        match result {
            Ok(AuthResult::Success) => return true,
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                let how = if partial_success {
                    " (accepted, but more is asked for)"
                } else {
                    ""
                };
                self.tried.push(format!("{name}{how}"));
                self.methods = Some(remaining_methods);
            }
            Err(error) => self.tried.push(format!("{name}: {error}")),
        }
        false
    }

    /// The last resort, only with a password that the operator wanted to be used.
    async fn password(&mut self) -> Result<bool, Trouble> {
        if self.session.is_closed() {
            return Ok(false);
        }
        let (secrets, who) = (Arc::clone(self.secrets), self.hop.label());
        let asked = tokio::task::spawn_blocking(move || secrets.login_password(&who)).await;
        let Some(password) = asked.ok().flatten() else {
            return Ok(false);
        };
        let limit = self.env.connect_timeout;
        if self.methods.is_none() {
            // Nothing was offered yet: "none" is how a client asks what a server would take.
            let asked = tokio::time::timeout(limit, self.session.authenticate_none(&self.hop.user)).await;
            match asked.map_err(|_| mute(self.hop, limit))? {
                Ok(AuthResult::Success) => return Ok(true),
                Ok(AuthResult::Failure { remaining_methods, .. }) => self.methods = Some(remaining_methods),
                Err(_) => return Ok(false),
            }
        }
        let by_question =
            !self.goes_on_with(MethodKind::Password) && self.goes_on_with(MethodKind::KeyboardInteractive);
        let sent = async {
            if by_question {
                answer_questions(self.session, &self.hop.user, &password).await
            } else {
                let secret = password.expose_secret().to_owned();
                self.session
                    .authenticate_password(&self.hop.user, secret)
                    .await
                    .map(|result| result.success())
            }
        };
        let result = tokio::time::timeout(limit, sent)
            .await
            .map_err(|_| mute(self.hop, limit))?;
        self.tried.push("password".to_owned());
        Ok(result.unwrap_or(false))
    }

    fn refused(self) -> Trouble {
        let tried = match self.tried.is_empty() {
            true => "nothing: no agent and no key file".to_owned(),
            false => self.tried.join(", "),
        };
        let hop = self.hop;
        let methods: Vec<&str> = self.methods.iter().flat_map(|set| set.iter()).map(Into::into).collect();
        let mut hint = format!(
            "try `ssh {} -p {}`; set a key that the host knows in `ssh.identity`, or load it into the agent",
            format_args!("{}@{}", hop.user, hop.host),
            hop.port
        );
        if !methods.is_empty() {
            hint.push_str(&format!(" (the host accepts: {})", methods.join(", ")));
        }
        Trouble::Login {
            target: hop.place(),
            user: hop.user.clone(),
            tried,
            hint,
        }
    }
}

/// Keyboard-interactive: the password answers every question that is not echoed.
async fn answer_questions(
    session: &mut Handle<Watch>,
    user: &str,
    password: &SecretString,
) -> Result<bool, russh::Error> {
    let mut answer = session.authenticate_keyboard_interactive_start(user, None).await?;
    for _ in 0..MOST_QUESTIONS {
        let prompts = match answer {
            Answer::Success => return Ok(true),
            Answer::Failure { .. } => return Ok(false),
            Answer::InfoRequest { prompts, .. } => prompts,
        };
        // An empty list of questions must be answered too.
        let reply = |echo| {
            if echo {
                String::new()
            } else {
                password.expose_secret().to_owned()
            }
        };
        let replies = prompts.iter().map(|prompt| reply(prompt.echo)).collect();
        answer = session.authenticate_keyboard_interactive_respond(replies).await?;
    }
    Ok(false)
}

fn mute(hop: &Hop, limit: Duration) -> Trouble {
    Trouble::Connect {
        target: hop.place(),
        why: format!("no answer during the login within {} s", limit.as_secs_f32()),
        hint: "the host is overloaded, or its login waits for something (PAM, DNS); see its sshd log".to_owned(),
    }
}
