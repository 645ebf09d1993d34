//! Signatures of bundles, and every way in which one does not count.

use jiff::Timestamp;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{HashAlg, PrivateKey};

use super::fixtures::{Place, release_directory};
use crate::bundle::signature::{NAMESPACE, SignatureError, signed_by, with_key};
use crate::bundle::{AllowedSigners, Stranger};
use crate::inventory::Arch;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "somebody").unwrap()
}

fn public(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn judged(allowed: &str, wanted: &[&str], signature: &str) -> Result<String, SignatureError> {
    let allowed = AllowedSigners::parse(allowed).unwrap();
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    signed_by(b"a manifest", signature, &allowed, &wanted, now())
}

fn why(outcome: Result<String, SignatureError>) -> Stranger {
    match outcome {
        Err(SignatureError::Stranger { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signature_of_somebody_who_is_listed_counts_and_no_other() {
    let (alice, mallory) = (key(1), key(2));
    let signature = with_key(&alice, b"a manifest").unwrap();
    let line = format!("alice@example.com,*@release.example.com {}", public(&alice));
    assert_eq!(
        judged(&line, &["alice@example.com"], &signature).unwrap(),
        "alice@example.com"
    );
    assert_eq!(
        judged(&line, &["x", "bob@release.example.com"], &signature).unwrap(),
        "bob@release.example.com"
    );
    assert!(judged(&line, &[], &signature).unwrap().starts_with("alice@example.com"));
    assert!(matches!(
        why(judged(&line, &["bob@example.com"], &signature)),
        Stranger::Others(_)
    ));
    let strangers = with_key(&mallory, b"a manifest").unwrap();
    assert_eq!(why(judged(&line, &[], &strangers)), Stranger::Unknown);
    assert_eq!(why(judged("", &[], &signature)), Stranger::Unknown);
    let other = with_key(&alice, b"another manifest").unwrap();
    assert_eq!(judged(&line, &[], &other).unwrap_err(), SignatureError::Altered);
    let elsewhere = alice.sign("file", HashAlg::Sha512, b"a manifest").unwrap();
    let elsewhere = elsewhere.to_pem(Default::default()).unwrap();
    assert_eq!(
        judged(&line, &[], &elsewhere).unwrap_err(),
        SignatureError::Namespace("file".into())
    );
    for nothing in ["", "-----BEGIN SSH SIGNATURE-----\n", "gibberish"] {
        assert!(matches!(
            judged(&line, &[], nothing),
            Err(SignatureError::Unreadable(_))
        ));
    }
}

#[test]
fn limits_of_a_line_are_kept() {
    let alice = key(1);
    let signature = with_key(&alice, b"a manifest").unwrap();
    let with = |options: &str| judged(&format!("alice {options} {}", public(&alice)), &["alice"], &signature);
    for good in [
        &format!("namespaces=\"{NAMESPACE}\""),
        "namespaces=\"file,quorate-*\"",
        "valid-before=\"20261201Z\"",
        "valid-after=\"202611301100Z\",valid-before=\"20261130120001Z\"",
    ] {
        assert_eq!(with(good).as_deref(), Ok("alice"), "{good}");
    }
    assert!(matches!(why(with("namespaces=\"file\"")), Stranger::Namespace(_)));
    assert!(matches!(
        why(with("namespaces=\"*,!quorate-bundle\"")),
        Stranger::Namespace(_)
    ));
    assert!(matches!(why(with("valid-before=\"20261130Z\"")), Stranger::NoLonger(_)));
    assert!(matches!(why(with("valid-after=\"20261201Z\"")), Stranger::NotYet(_)));
    assert_eq!(why(with("cert-authority")), Stranger::Authority);
    // A second line of the same key that allows it is enough.
    let both = format!("old valid-before=\"20200101Z\" {0}\nalice {0}\n", public(&alice));
    assert_eq!(judged(&both, &[], &signature).as_deref(), Ok("alice"));
}

#[test]
fn a_line_that_is_not_understood_spoils_the_list() {
    let line = public(&key(1));
    let text = format!(
        "# a comment\n\nalice {line}\nbob\nbob permit=\"x\" {line}\nbob valid-before=\"soon\" {line}\nbob ssh-ed25519 AAAA\n"
    );
    let bad = AllowedSigners::parse(&text).unwrap_err();
    let lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [4, 5, 6, 7], "{bad:?}");
}

#[test]
fn what_is_signed_is_the_manifest_as_it_lies_in_the_tar() {
    let place = Place::new();
    let bundle = {
        place
            .create(&[release_directory(place.path(), "3.5.30", Arch::Amd64)])
            .unwrap();
        crate::bundle::Bundle::open(&place.out()).unwrap()
    };
    let mut archive = tar::Archive::new(std::fs::File::open(place.out()).unwrap());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let mut json = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut json).unwrap();
    assert_eq!(bundle.manifest_json(), json);
    assert_eq!(bundle.digest(), crate::bundle::Digest::of(&json));
}
