use super::*;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::Builder;
use russh::keys::{Algorithm, PrivateKey};
use std::sync::Arc;

fn key() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

fn certificate(key: &PrivateKey) -> Certificate {
    let subject = key.public_key().key_data().clone();
    let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), subject, 0, u64::MAX - 1).unwrap();
    builder.all_principals_valid().unwrap();
    builder.sign(&self::key()).unwrap()
}

fn file(name: &str, key: &PrivateKey, secret: Secret) -> KeyFile {
    KeyFile {
        path: name.into(),
        public: Some(key.public_key().clone()),
        secret,
        certificates: vec![],
    }
}

fn open(key: &PrivateKey) -> Secret {
    Secret::Open(Arc::new(key.clone()))
}

fn held(key: &PrivateKey, comment: &str) -> AgentIdentity {
    AgentIdentity::PublicKey {
        key: key.public_key().clone(),
        comment: comment.into(),
    }
}

/// `who signs: what is shown`, shortened.
fn shown(offers: &[Offer]) -> Vec<String> {
    let short = |offer: &Offer| {
        let what = match &offer.shown {
            Shown::Key(_) => "key",
            Shown::Certificate(_) => "certificate",
            Shown::Hidden => "hidden",
        };
        match &offer.signer {
            Signer::Agent(identity) => format!("agent {}: {what}", identity.comment()),
            Signer::File(file) => format!("{}: {what}", file.path.display()),
        }
    };
    offers.iter().map(short).collect()
}

fn rules(only: bool, named: bool) -> Identities {
    Identities {
        only,
        named,
        ..Identities::default()
    }
}

#[test]
fn only_named_keys_are_offered_and_the_agent_signs_for_those_it_holds() {
    let (mine, locked, foreign) = (key(), key(), key());
    let files = [
        file("/mine", &mine, open(&mine)),
        file("/locked", &locked, Secret::Locked),
    ];
    let agent = [held(&foreign, "foreign"), held(&locked, "locked")];
    assert_eq!(
        shown(&offers(&agent, &files, &rules(true, true))),
        ["/mine: key", "agent locked: key"]
    );
}

#[test]
fn the_agents_other_keys_follow_configured_ones_and_precede_the_usual_files() {
    let (mine, both, foreign) = (key(), key(), key());
    let files = [file("/mine", &mine, open(&mine)), file("/both", &both, open(&both))];
    let agent = [held(&foreign, "foreign"), held(&both, "both")];
    let configured = offers(&agent, &files, &rules(false, true));
    assert_eq!(
        shown(&configured),
        ["/mine: key", "agent both: key", "agent foreign: key"]
    );
    let usual = offers(&agent, &files, &rules(false, false));
    assert_eq!(shown(&usual), ["agent foreign: key", "agent both: key", "/mine: key"]);
}

#[test]
fn certificates_come_before_their_key_and_none_comes_twice() {
    let mine = key();
    let (beside, loaded) = (certificate(&mine), certificate(&mine));
    let mut with = file("/mine", &mine, Secret::Locked);
    with.certificates = vec![beside.clone(), loaded.clone()];
    let files = [with];
    assert_eq!(
        shown(&offers(&[], &files, &rules(true, true))),
        ["/mine: certificate", "/mine: certificate", "/mine: key"]
    );
    let in_agent = AgentIdentity::Certificate {
        certificate: loaded,
        comment: "loaded".into(),
    };
    let agent = [held(&mine, "mine"), in_agent];
    assert_eq!(
        shown(&offers(&agent, &files, &rules(true, true))),
        [
            "agent loaded: certificate",
            "agent mine: certificate",
            "agent mine: key"
        ]
    );
}

#[test]
fn a_public_key_file_stands_for_the_agents_key_and_for_nothing_without_it() {
    let mine = key();
    let files = [file("/mine.pub", &mine, Secret::Elsewhere)];
    assert_eq!(
        shown(&offers(&[held(&mine, "mine")], &files, &rules(true, true))),
        ["agent mine: key"]
    );
    assert!(offers(&[], &files, &rules(true, true)).is_empty());
}

#[test]
fn an_old_locked_file_is_offered_although_its_public_half_is_hidden() {
    let hidden = KeyFile {
        public: None,
        ..file("/old", &key(), Secret::Locked)
    };
    assert_eq!(shown(&offers(&[], &[hidden], &rules(true, true))), ["/old: hidden"]);
}
