//! Who looks at etcd. Looking never needs the CA key: an operator who has it looks with a certificate made for the run,
//! another one with their own from `pki/viewers`, and whoever has neither sees the hosts alone.

use jiff::Timestamp;

use super::Vault;
use crate::etcd::{ClientTls, OUR_CERTIFICATE};
use crate::ops::model::{Fact, Membership, NO_WAY_TO_ASK, Observed, why_and_help};
use crate::pki::{StoreError, bundle_pem};
use crate::report::chain;

/// What helps where members refuse the certificate of someone who only looks.
const ISSUED_AGAIN: &str = "update the pki directory from version control; if that does not help, have your certificate issued \
                            again with `quorate pki viewer NAME --recipient KEY`";

/// What a look asks etcd with.
#[derive(Debug, Clone)]
pub enum Viewer {
    /// That of an operator who can open the CA key: made for the run.
    Certified(ClientTls),
    /// That of an operator who only looks. The checkout may not know yet that it was revoked.
    Guest(ClientTls),
    /// Nothing: why, and what to do about it. The hosts can be inspected all the same.
    Blind {
        /// Completes "no member could be queried: ".
        why: String,
        /// What to do.
        help: String,
    },
}

impl Viewer {
    /// What to ask with.
    pub fn tls(&self) -> Option<&ClientTls> {
        match self {
            Viewer::Certified(tls) | Viewer::Guest(tls) => Some(tls),
            Viewer::Blind { .. } => None,
        }
    }

    /// Why no member can be asked, as the fact about a cluster says it; `None` where they can be.
    pub fn blindness(&self) -> Option<Fact<Membership>> {
        match self {
            Viewer::Certified(_) | Viewer::Guest(_) => None,
            Viewer::Blind { why, help } => Some(Fact::unknown(&format!("{NO_WAY_TO_ASK}: {why}"), Some(help))),
        }
    }

    /// A look, with the reason why etcd could not be asked where that is so.
    pub fn explain(&self, mut seen: Observed) -> Observed {
        let Fact::Unknown(told) = &seen.cluster else {
            return seen;
        };
        let why = match self {
            Viewer::Guest(_) if told.contains(OUR_CERTIFICATE) => {
                let why = format!("{NO_WAY_TO_ASK}: {}", why_and_help(told).0);
                Some(Fact::unknown(&why, Some(ISSUED_AGAIN)))
            }
            _ => self.blindness(),
        };
        seen.cluster = why.unwrap_or(seen.cluster);
        seen
    }
}

impl Vault {
    /// Who looks at etcd.
    ///
    /// # Errors
    /// When the CA has expired, or a file is damaged. That none of the operator's keys opens it is none.
    pub async fn viewer(&self) -> Result<Viewer, StoreError> {
        if self.dir.status()?.is_empty() {
            let why = StoreError::Missing {
                dir: self.dir.path().to_owned(),
            };
            return Ok(blind(&why));
        }
        let mut slot = self.viewer.lock().await;
        if let Some(known) = slot.as_ref() {
            return Ok(known.clone());
        }
        let opened = match self.is_keyless() {
            true => self.operator().await.map(drop),
            false => self.authority().await.map(drop),
        };
        let closed = match opened {
            Ok(()) => return self.operator().await.map(Viewer::Certified),
            Err(closed) if closed.is_for_others() => closed,
            Err(error) => return Err(error),
        };
        // Kept: whoever watches is not asked for a passphrase every second.
        Ok(slot.insert(self.without_the_key(&closed).await?).clone())
    }

    /// The same for those who mend certificates or examine them: an expired CA only means that etcd cannot be asked.
    ///
    /// # Errors
    /// When a file is damaged.
    pub async fn viewer_past_expiry(&self) -> Result<Viewer, StoreError> {
        match self.viewer().await {
            Err(error) if error.is_expired() => Ok(blind(&error)),
            other => other,
        }
    }

    /// Whether the look was that of an operator who cannot open the CA key.
    pub fn only_looks(&self) -> bool {
        self.viewer.try_lock().is_ok_and(|viewer| viewer.is_some())
    }

    /// Refuses an operator who cannot open the CA key: everything that changes a cluster may have to issue certificates,
    /// and nothing is begun that could not be ended. What else is wrong with the CA is left to what needs it.
    ///
    /// # Errors
    /// Who could open it, and what to ask them for.
    pub async fn may_change(&self) -> Result<(), StoreError> {
        if self.dir.status()?.is_empty() {
            return Ok(());
        }
        let opened = match self.is_keyless() {
            true => self.operator().await.map(drop),
            false => self.authority().await.map(drop),
        };
        match opened {
            Err(closed) if closed.is_for_others() => Err(closed),
            _ => Ok(()),
        }
    }

    /// The certificate of an operator who looks, from `pki/viewers`.
    async fn without_the_key(&self, closed: &StoreError) -> Result<Viewer, StoreError> {
        let (dir, identities, ask) = (self.dir.clone(), self.identities.clone(), self.ask.clone());
        let opening =
            tokio::task::spawn_blocking(move || dir.viewers(&identities, &mut |path| ask(path), Timestamp::now()));
        let found = match opening.await {
            Ok(found) => found?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let Some(viewer) = found.best else {
            return Ok(Viewer::Blind {
                why: match found.unfit.is_empty() {
                    true => "none of your keys opens the CA key or a certificate in viewers beside it".to_owned(),
                    false => found.unfit.join("; "),
                },
                help: format!(
                    "ask {} to run `quorate pki viewer NAME --recipient KEY` with your name and public key, and to commit the \
                     pki directory",
                    closed.who_can()
                ),
            });
        };
        Ok(Viewer::Guest(ClientTls {
            ca_pem: bundle_pem(&self.dir.trusted()?),
            cert_pem: viewer.cert_pem,
            key_pem: viewer.key.expose_pem().to_owned().into(),
        }))
    }
}

fn blind(error: &StoreError) -> Viewer {
    Viewer::Blind {
        why: chain(error),
        help: error.hint(),
    }
}
