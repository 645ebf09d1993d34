//! Logging in: offering keys one by one, then what the operator types where the host asks for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::environment::SshEnvironment;
use super::handler::Watch;
use super::keys::{self, KeyFile, Secret};
use super::offers::{self, Offer, Shown, Signer};
use super::questions::{Answered, Asking};
use super::route::Hop;
use super::signer::{LoginSigner, SignError};
use super::trouble::Trouble;
use crate::host::SecretSource;

/// How many methods a host may ask for, one after the other.
const MOST_METHODS: usize = 4;

/// Stands behind what a host accepted that asks for something else besides.
const MORE: &str = " (accepted, but more is asked for)";

/// How a round of questions to the operator ended.
enum Went {
    In,
    Further,
    Nowhere,
}

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
        // A host may want a key and a code (`AuthenticationMethods`), in any order.
        for _ in 0..MOST_METHODS {
            if self.keys(&offers, agent.as_mut()).await? {
                return Ok(true);
            }
            match self.ask_the_operator().await? {
                Went::In => return Ok(true),
                Went::Further => {}
                Went::Nowhere => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Offers one key after the other; the server ends the connection after too many (`MaxAuthTries`).
    async fn keys(
        &mut self,
        offers: &[Offer],
        mut agent: Option<&mut AgentClient<UnixStream>>,
    ) -> Result<bool, Trouble> {
        for offer in offers {
            if !self.goes_on_with(MethodKind::PublicKey) || self.session.is_closed() {
                break;
            }
            if self.offer(offer.clone(), agent.as_deref_mut()).await? {
                return Ok(true);
            }
        }
        Ok(false)
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
                    let held = file.public.as_ref().is_some_and(|key| in_agent(key.key_data()));
                    if elsewhere && !held {
                        let on_token = file.public.as_ref().is_some_and(keys::on_token);
                        let why = match on_token {
                            true => "a key on a security token, which the agent uses: load it with `ssh-add`",
                            false => "a public key that the agent does not hold",
                        };
                        self.tried.push(format!("{}: {why}", path.display()));
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
                let how = if partial_success { MORE } else { "" };
                self.tried.push(format!("{name}{how}"));
                self.methods = Some(remaining_methods);
            }
            Err(error) => self.tried.push(format!("{name}: {error}")),
        }
        false
    }

    /// What the host asks a person for: a password, a code, or both.
    async fn ask_the_operator(&mut self) -> Result<Went, Trouble> {
        if self.session.is_closed() || !self.hop.asks {
            return Ok(Went::Nowhere);
        }
        let limit = self.env.connect_timeout;
        if self.methods.is_none() {
            // Nothing was offered yet: "none" is how a client asks what a server would take.
            let asked = tokio::time::timeout(limit, self.session.authenticate_none(&self.hop.user)).await;
            match asked.map_err(|_| mute(self.hop, limit))? {
                Ok(AuthResult::Success) => return Ok(Went::In),
                Ok(AuthResult::Failure { remaining_methods, .. }) => self.methods = Some(remaining_methods),
                Err(_) => return Ok(Went::Nowhere),
            }
        }
        // In OpenSSH's order.
        for method in [MethodKind::KeyboardInteractive, MethodKind::Password] {
            if !self.goes_on_with(method) || self.session.is_closed() {
                continue;
            }
            let by_questions = method == MethodKind::KeyboardInteractive;
            let mut asking = Asking::new(self.session, self.hop, self.secrets, limit);
            let answered = match by_questions {
                true => asking.questions().await?,
                false => asking.password().await?,
            };
            match answered {
                Answered::Refused(why) => self.tried.push(why),
                Answered::In => return Ok(Went::In),
                Answered::Further(remaining) => {
                    self.tried.push(format!("{}{MORE}", <&str>::from(&method)));
                    self.methods = Some(remaining);
                    return Ok(Went::Further);
                }
            }
        }
        Ok(Went::Nowhere)
    }

    fn refused(self) -> Trouble {
        let tried = match self.tried.is_empty() {
            true => "nothing: no agent and no key file".to_owned(),
            false => self.tried.join(", "),
        };
        let hop = self.hop;
        let methods: Vec<&str> = self.methods.iter().flat_map(|set| set.iter()).map(Into::into).collect();
        let mut hint = format!(
            "try `ssh {}`; set a key that the host knows in `ssh.identity`, or load it into the agent",
            hop.by_hand()
        );
        if tried.contains(MORE) {
            hint = format!(
                "try `ssh {}`; the host wants {} besides: run quorate in a terminal, and type what it asks for",
                hop.by_hand(),
                methods.join(" or ")
            );
        } else if !methods.is_empty() {
            hint.push_str(&format!(" (the host accepts: {})", methods.join(", ")));
        }
        if methods.iter().all(|method| method.starts_with("gssapi")) && !methods.is_empty() {
            hint = "quorate does not log in with Kerberos: let the host accept a key for this login".to_owned();
        }
        if let Some(provider) = &hop.identities.pkcs11 {
            hint.push_str(&format!(
                "; keys of `PKCS11Provider {provider}` are used through the agent: `ssh-add -s {provider}`"
            ));
        }
        Trouble::Login {
            target: hop.place(),
            user: hop.user.clone(),
            tried,
            hint,
        }
    }
}

pub(super) fn mute(hop: &Hop, limit: Duration) -> Trouble {
    Trouble::Connect {
        target: hop.place(),
        why: format!("no answer during the login within {} s", limit.as_secs_f32()),
        hint: "the host is overloaded, or its login waits for something (PAM, DNS); see its sshd log".to_owned(),
    }
}
