//! Which keys are offered to a server, in which order: a pure decision.

use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::keys::{KeyFile, Secret};
use super::route::Identities;

/// Something to offer.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// What the server is shown.
    pub(super) shown: Shown,
    /// Who signs.
    pub(super) signer: Signer,
}

/// What the server is shown.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    Key(PublicKey),
    Certificate(Box<Certificate>),
    /// The file does not tell before it is opened.
    Hidden,
}

/// Who signs.
#[derive(Debug, Clone)]
pub(super) enum Signer {
    /// The agent, asked for this identity.
    Agent(Box<AgentIdentity>),
    /// A key file.
    File(Box<KeyFile>),
}

impl Offer {
    /// For the list of what was tried.
    pub(super) fn name(&self) -> String {
        let kind = if matches!(self.shown, Shown::Certificate(_)) {
            "certificate"
        } else {
            "key"
        };
        match &self.signer {
            Signer::File(file) => format!("{kind} {}", file.path.display()),
            Signer::Agent(identity) => {
                let print = identity.public_key().fingerprint(HashAlg::Sha256);
                format!("agent's {kind} {print} {}", identity.comment())
                    .trim_end()
                    .to_owned()
            }
        }
    }
}

/// Everything worth offering, best first.
///
/// Named files come first, each with its certificates before the bare key, signed by the agent where it holds the key, so
/// that nobody has to type a passphrase. Other keys of the agent follow, unless only the named files may be used. The
/// usual files (`~/.ssh/id_*`) come after the agent.
pub(super) fn offers(agent: &[AgentIdentity], files: &[KeyFile], rules: &Identities) -> Vec<Offer> {
    let named: Vec<Offer> = files.iter().flat_map(|file| of_file(agent, file)).collect();
    let in_files = |identity: &AgentIdentity| {
        files
            .iter()
            .any(|file| file.public.as_ref().is_some_and(|key| same(key, identity)))
    };
    let of_agent = |identity: &AgentIdentity| Offer {
        shown: match identity {
            AgentIdentity::PublicKey { key, .. } => Shown::Key(key.clone()),
            AgentIdentity::Certificate { certificate, .. } => Shown::Certificate(Box::new(certificate.clone())),
        },
        signer: Signer::Agent(Box::new(identity.clone())),
    };
    match (rules.only, rules.named) {
        (true, _) => named,
        (false, true) => {
            let others = agent.iter().filter(|identity| !in_files(identity));
            named.into_iter().chain(others.map(of_agent)).collect()
        }
        (false, false) => {
            let rest = named
                .into_iter()
                .filter(|offer| matches!(offer.signer, Signer::File(_)));
            agent.iter().map(of_agent).chain(rest).collect()
        }
    }
}

fn same(key: &PublicKey, identity: &AgentIdentity) -> bool {
    identity.public_key().key_data() == key.key_data()
}

fn of_file(agent: &[AgentIdentity], file: &KeyFile) -> Vec<Offer> {
    let Some(public) = &file.public else {
        return vec![Offer {
            shown: Shown::Hidden,
            signer: Signer::File(Box::new(file.clone())),
        }];
    };
    let held: Vec<&AgentIdentity> = agent.iter().filter(|identity| same(public, identity)).collect();
    let bare = held
        .iter()
        .find(|identity| matches!(identity, AgentIdentity::PublicKey { .. }));
    let signer = match (bare, &file.secret) {
        (Some(identity), _) => Some(Signer::Agent(Box::new((**identity).clone()))),
        (None, Secret::Elsewhere) => None,
        (None, _) => Some(Signer::File(Box::new(file.clone()))),
    };
    let mut offers = Vec::new();
    for identity in &held {
        if let AgentIdentity::Certificate { certificate, .. } = identity {
            let signer = Signer::Agent(Box::new((**identity).clone()));
            offers.push(Offer {
                shown: Shown::Certificate(Box::new(certificate.clone())),
                signer,
            });
        }
    }
    let Some(signer) = signer else {
        return offers;
    };
    let shown_already = |certificate: &Certificate| {
        held.iter()
            .any(|i| matches!(i, AgentIdentity::Certificate { certificate: other, .. } if other == certificate))
    };
    for certificate in file
        .certificates
        .iter()
        .filter(|certificate| !shown_already(certificate))
    {
        offers.push(Offer {
            shown: Shown::Certificate(Box::new(certificate.clone())),
            signer: signer.clone(),
        });
    }
    offers.push(Offer {
        shown: Shown::Key(public.clone()),
        signer,
    });
    offers
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
