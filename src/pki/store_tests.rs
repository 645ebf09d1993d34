//! Stories of the CA on the operators' machines.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use russh::keys::ssh_key::Cipher;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::sealed::UnsealError;
use super::test_keys::{
    DAY, authority, cluster, locked, now, policy, public_line, ssh_ecdsa, ssh_ed25519, ssh_rsa, write_age_key,
    write_ssh_key,
};
use super::{Authority, AuthorityError, PkiDir, Recipient, SecretPem, StoreError};
use crate::inventory::KeyType;

/// A repository with `pki/` and a home with keys.
struct Desk {
    home: TempDir,
    repository: TempDir,
}

impl Desk {
    fn new() -> Desk {
        Desk {
            home: tempfile::tempdir().unwrap(),
            repository: tempfile::tempdir().unwrap(),
        }
    }

    fn pki(&self) -> PkiDir {
        PkiDir::at(self.repository.path().join("pki"), &cluster())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.repository.path().join("pki").join(name)
    }

    /// A pki directory whose CA operator 1 made and can open; returns that operator's key file.
    fn with_ca(&self) -> PathBuf {
        let key = write_ssh_key(self.home.path(), "id_ed25519", &ssh_ed25519(1));
        let own = Recipient::of_identities(std::slice::from_ref(&key)).unwrap();
        self.pki()
            .create(
                &policy(KeyType::EcdsaP256),
                &own,
                std::slice::from_ref(&key),
                &mut nobody_answers,
                now(),
            )
            .unwrap();
        key
    }

    fn unlock(&self, identities: &[PathBuf]) -> Result<Authority, StoreError> {
        self.pki().unlock(identities, &mut nobody_answers, now())
    }
}

fn nobody_answers(path: &Path) -> Option<SecretString> {
    panic!("asked for the passphrase of {}", path.display())
}

/// The error with its chain, as it is printed at the edge.
fn printed(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn recipients(keys: &[&russh::keys::PrivateKey]) -> Vec<Recipient> {
    let lines: Vec<_> = keys.iter().map(|key| public_line(key)).collect();
    Recipient::parse_all(&lines, Path::new("/")).unwrap()
}

#[test]
fn a_created_ca_is_opened_again_and_nothing_secret_lies_on_disk() {
    let desk = Desk::new();
    assert!(desk.pki().status().unwrap().is_empty());
    let key = desk.with_ca();
    let opened = desk.unlock(&[key]).unwrap();
    assert_eq!(opened.certificate().facts().common_name, "prod-a etcd CA");
    assert_eq!(desk.pki().trusted().unwrap(), [opened.certificate().clone()]);

    let secret = opened.key().expose_pem().lines().nth(1).unwrap().to_owned();
    for entry in fs::read_dir(desk.file("")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains(&secret) && !text.contains("PRIVATE KEY"),
            "{}",
            path.display()
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
    let status = desk.pki().status().unwrap();
    assert!(status.sealed && !status.plain_key);
    assert_eq!(status.recipients.len(), 1);
    assert!(
        status.recipients[0].ends_with("operator1@laptop"),
        "{:?}",
        status.recipients
    );
}

#[test]
fn a_ca_is_never_overwritten() {
    let desk = Desk::new();
    desk.with_ca();
    let before = fs::read(desk.file("ca.key.age")).unwrap();
    let again = desk.pki().create(
        &policy(KeyType::Ed25519),
        &recipients(&[&ssh_ed25519(2)]),
        &[],
        &mut nobody_answers,
        now(),
    );
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    assert_eq!(fs::read(desk.file("ca.key.age")).unwrap(), before);
    let nobody = Desk::new();
    let error = nobody
        .pki()
        .create(&policy(KeyType::Ed25519), &[], &[], &mut nobody_answers, now())
        .unwrap_err();
    assert!(matches!(error, StoreError::Seal { .. }) && error.hint().contains("pki.recipients"));
    assert!(
        nobody.pki().status().unwrap().is_empty(),
        "a refused creation leaves nothing"
    );
}

#[test]
fn a_ca_that_its_maker_could_not_open_again_is_not_made() {
    let desk = Desk::new();
    let key = write_ssh_key(desk.home.path(), "id_ed25519", &ssh_ed25519(1));
    let made = desk.pki().create(
        &policy(KeyType::EcdsaP256),
        &recipients(&[&ssh_ed25519(2)]),
        std::slice::from_ref(&key),
        &mut nobody_answers,
        now(),
    );
    assert!(
        matches!(made, Err(StoreError::NotYours { .. })),
        "sealed to a colleague only"
    );
    assert!(
        desk.pki().status().unwrap().is_empty(),
        "a refused creation leaves nothing"
    );
}

#[test]
fn a_stale_pub_file_beside_the_key_is_not_sealed_to() {
    let desk = Desk::new();
    let key = write_ssh_key(desk.home.path(), "id_ed25519", &ssh_ed25519(1));
    fs::write(key.with_extension("pub"), public_line(&ssh_ed25519(2))).unwrap();
    let own = Recipient::of_identities(std::slice::from_ref(&key)).unwrap();
    desk.pki()
        .create(
            &policy(KeyType::EcdsaP256),
            &own,
            std::slice::from_ref(&key),
            &mut nobody_answers,
            now(),
        )
        .unwrap();
}

#[test]
fn every_kind_of_key_opens_what_is_sealed_to_it() {
    let desk = Desk::new();
    let (age_file, age_public) = write_age_key(desk.home.path(), "age.txt");
    let rsa = ssh_rsa();
    let rsa_file = write_ssh_key(desk.home.path(), "id_rsa", &rsa);
    let entries = [age_public, public_line(&rsa), public_line(&ssh_ed25519(1))];
    let all = Recipient::parse_all(&entries, Path::new("/")).unwrap();
    desk.pki()
        .create(
            &policy(KeyType::EcdsaP256),
            &all,
            std::slice::from_ref(&age_file),
            &mut nobody_answers,
            now(),
        )
        .unwrap();
    desk.unlock(&[age_file]).unwrap();
    desk.unlock(&[rsa_file]).unwrap();
    for cipher in [Cipher::Aes256Ctr, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        let key = locked(&ssh_ed25519(1), "correct horse", cipher);
        let path = write_ssh_key(desk.home.path(), "id_locked", &key);
        let mut answer = |asked: &Path| (asked == path).then(|| SecretString::from("correct horse"));
        desk.pki()
            .unlock(std::slice::from_ref(&path), &mut answer, now())
            .unwrap();
    }
}

#[test]
fn a_passphrase_is_asked_for_only_when_the_key_can_help_and_not_for_ever() {
    let desk = Desk::new();
    desk.with_ca();
    let stranger = locked(&ssh_ed25519(9), "secret", Cipher::Aes256Ctr);
    let stranger = write_ssh_key(desk.home.path(), "id_stranger", &stranger);
    let error = desk.unlock(&[stranger]).unwrap_err();
    assert!(
        error.to_string().contains("id_stranger (it is not sealed to this key)"),
        "{error}"
    );

    let own = locked(&ssh_ed25519(1), "right", Cipher::Aes256Ctr);
    let own = write_ssh_key(desk.home.path(), "id_ed25519", &own);
    let mut asked = 0;
    let mut wrong = |_: &Path| {
        asked += 1;
        Some(SecretString::from("wrong"))
    };
    let error = desk
        .pki()
        .unlock(std::slice::from_ref(&own), &mut wrong, now())
        .unwrap_err();
    assert!(error.to_string().contains("the passphrase is wrong"), "{error}");
    assert_eq!(asked, 3);
    let error = desk.pki().unlock(&[own], &mut |_| None, now()).unwrap_err();
    assert!(error.to_string().contains("its passphrase was not given"), "{error}");
}

#[test]
fn when_no_key_opens_it_the_error_says_who_can_and_what_was_tried() {
    let desk = Desk::new();
    desk.with_ca();
    let ecdsa = write_ssh_key(desk.home.path(), "id_ecdsa", &ssh_ecdsa());
    let other = write_ssh_key(desk.home.path(), "id_other", &ssh_ed25519(2));
    let (age_file, _) = write_age_key(desk.home.path(), "age.txt");
    let missing = desk.home.path().join("id_missing");
    let error = desk.unlock(&[ecdsa, other, age_file, missing]).unwrap_err();
    let text = error.to_string();
    for part in [
        "id_ecdsa (an ECDSA SSH key can only sign",
        "id_other (it is not sealed to this key)",
        "age.txt (it is not sealed to this key)",
        "id_missing (there is no such file)",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().contains("operator1@laptop") && error.hint().contains("quorate pki seal"));
    assert!(
        desk.unlock(&[])
            .unwrap_err()
            .to_string()
            .contains("no key file was given")
    );
}

#[test]
fn operators_come_and_go() {
    let desk = Desk::new();
    let first = desk.with_ca();
    let second = write_ssh_key(desk.home.path(), "id_second", &ssh_ed25519(2));
    let opened = desk.unlock(std::slice::from_ref(&first)).unwrap();
    let only_second = recipients(&[&ssh_ed25519(2)]);
    let reseal = |keys: &[PathBuf]| desk.pki().reseal(&only_second, keys, &mut nobody_answers);
    assert!(matches!(
        reseal(std::slice::from_ref(&second)),
        Err(StoreError::NotYours { .. })
    ));
    reseal(std::slice::from_ref(&first)).unwrap();
    let again = desk.unlock(&[second]).unwrap();
    assert_eq!(again.certificate(), opened.certificate());
    assert!(matches!(desk.unlock(&[first]), Err(StoreError::NotYours { .. })));
    assert!(desk.pki().status().unwrap().recipients[0].ends_with("operator2@laptop"));
}

#[test]
fn a_creation_cut_off_after_the_key_is_completed_by_unlocking() {
    let desk = Desk::new();
    let key = desk.with_ca();
    let certificate = fs::read(desk.file("ca.crt")).unwrap();
    fs::remove_file(desk.file("ca.crt")).unwrap();
    desk.unlock(&[key]).unwrap();
    assert_eq!(fs::read(desk.file("ca.crt")).unwrap(), certificate);
}

#[test]
fn a_sealed_file_from_another_cluster_is_refused_even_with_its_comments_changed() {
    let (ours, theirs) = (Desk::new(), Desk::new());
    let key = ours.with_ca();
    let staging = "staging".parse().unwrap();
    let own = Recipient::of_identities(std::slice::from_ref(&key)).unwrap();
    let other = PkiDir::at(theirs.repository.path().join("pki"), &staging);
    other
        .create(
            &policy(KeyType::EcdsaP256),
            &own,
            std::slice::from_ref(&key),
            &mut nobody_answers,
            now(),
        )
        .unwrap();

    let foreign = fs::read_to_string(theirs.file("ca.key.age")).unwrap();
    for text in [foreign.clone(), foreign.replace("staging", "prod-a")] {
        fs::write(ours.file("ca.key.age"), text).unwrap();
        let error = ours.unlock(std::slice::from_ref(&key)).unwrap_err();
        let StoreError::Unseal { source, .. } = &error else {
            panic!("{error}")
        };
        assert!(
            matches!(source, UnsealError::OtherCluster { found, .. } if found == "staging"),
            "{source}"
        );
        assert!(error.hint().contains("pki.dir"));
    }
}

#[test]
fn a_sealed_key_of_another_ca_of_the_same_cluster_is_refused() {
    let (before, after) = (Desk::new(), Desk::new());
    let key = before.with_ca();
    after.with_ca();
    fs::copy(after.file("ca.key.age"), before.file("ca.key.age")).unwrap();
    let error = before.unlock(&[key]).unwrap_err();
    assert!(matches!(error, StoreError::OtherCa { .. }), "{error}");
    assert!(error.hint().contains("one commit"));
}

#[test]
fn damage_is_told_from_a_missing_key() {
    let desk = Desk::new();
    let key = desk.with_ca();
    let good = fs::read_to_string(desk.file("ca.key.age")).unwrap();
    let armor = good.find("-----BEGIN").unwrap();
    let body = armor + "-----BEGIN AGE ENCRYPTED FILE-----\n".len();
    let flipped_at = good.len() - 100;
    let flip = if good.as_bytes()[flipped_at] == b'A' { "B" } else { "A" };
    let damaged = [
        String::new(),
        good[..armor].to_owned(),
        good[..body + 200].to_owned(),
        format!("{}{flip}{}", &good[..flipped_at], &good[flipped_at + 1..]),
    ];
    for text in damaged {
        fs::write(desk.file("ca.key.age"), &text).unwrap();
        let error = desk.unlock(std::slice::from_ref(&key)).unwrap_err();
        assert!(printed(&error).contains("it is damaged"), "{error}\n{text}");
        assert!(error.hint().contains("version control"));
    }
    fs::write(desk.file("ca.crt"), "scribble").unwrap();
    let error = desk.unlock(&[key]).unwrap_err();
    assert!(matches!(error, StoreError::Certificates { .. }), "{error}");
}

#[test]
fn each_missing_part_has_its_own_error() {
    let desk = Desk::new();
    let missing = desk.unlock(&[]).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }) && missing.hint().contains("quorate up"));
    assert!(matches!(desk.pki().trusted(), Err(StoreError::Missing { .. })));
    desk.with_ca();
    fs::remove_file(desk.file("ca.key.age")).unwrap();
    let no_key = desk.unlock(&[]).unwrap_err();
    assert!(matches!(no_key, StoreError::NoKey { .. }) && no_key.hint().contains("quorate pki seal"));
}

#[test]
fn an_expired_ca_says_so() {
    let desk = Desk::new();
    let key = desk.with_ca();
    let late = desk
        .pki()
        .unlock(std::slice::from_ref(&key), &mut nobody_answers, now() + 3650 * DAY);
    let error = late.unwrap_err();
    assert!(printed(&error).contains("expired at 2035-12-30"), "{error}");
    assert!(error.hint().contains("rotate-ca"));
    let early = desk.pki().unlock(&[key], &mut nobody_answers, now() - DAY).unwrap_err();
    assert!(printed(&early).contains("this machine's clock says"), "{early}");
    assert!(early.hint().contains("clock"));
}

#[test]
fn a_ca_that_was_brought_along_is_used_only_once_sealed() {
    let desk = Desk::new();
    let key = write_ssh_key(desk.home.path(), "id_ed25519", &ssh_ed25519(1));
    let brought = authority(KeyType::EcdsaP256);
    fs::create_dir_all(desk.file("")).unwrap();
    fs::write(desk.file("ca.crt"), brought.certificate().to_pem()).unwrap();
    fs::write(desk.file("ca.key"), brought.key().expose_pem()).unwrap();
    assert!(desk.pki().status().unwrap().plain_key);
    let refused = desk.unlock(std::slice::from_ref(&key)).unwrap_err();
    assert!(matches!(refused, StoreError::PlainKey { .. }) && refused.hint().contains("quorate pki seal"));

    // Sealed to somebody else only: the plain key must not be lost.
    let strangers = recipients(&[&ssh_ed25519(2)]);
    let error = desk
        .pki()
        .seal_plain_key(&strangers, std::slice::from_ref(&key), &mut nobody_answers, now())
        .unwrap_err();
    assert!(matches!(error, StoreError::NotYours { .. }));
    assert!(desk.file("ca.key").exists() && !desk.file("ca.key.age").exists());

    let own = recipients(&[&ssh_ed25519(1)]);
    desk.pki()
        .seal_plain_key(&own, std::slice::from_ref(&key), &mut nobody_answers, now())
        .unwrap();
    assert!(!desk.file("ca.key").exists());
    assert_eq!(desk.unlock(&[key]).unwrap().certificate(), brought.certificate());
}

fn load_error(cert_pem: &str, key: &str) -> AuthorityError {
    let key = SecretPem::new(Zeroizing::new(key.to_owned()));
    Authority::load(cert_pem, key, now()).unwrap_err()
}

#[test]
fn a_key_and_a_certificate_that_do_not_belong_together_are_refused() {
    let (one, other) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
    let cert_pem = one.certificate().to_pem();
    let mismatch = load_error(&cert_pem, other.key().expose_pem());
    assert!(matches!(&mismatch, AuthorityError::KeyMismatch { subjects } if subjects == "CN=prod-a etcd CA"));
    assert!(mismatch.hint().contains("same CA"));

    let spec = super::operator_spec(KeyType::EcdsaP256);
    let leaf = one.issue(&spec, now()).unwrap();
    let not_a_ca = load_error(&leaf.cert_pem, leaf.key.expose_pem());
    assert!(matches!(not_a_ca, AuthorityError::NotACa { .. }) && not_a_ca.hint().contains("CA:TRUE"));

    assert!(matches!(
        load_error("", one.key().expose_pem()),
        AuthorityError::Certificate(_)
    ));
    let damaged = one.key().expose_pem().replacen("M", "N", 1);
    for key in ["", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", damaged.as_str()] {
        let error = load_error(&cert_pem, key);
        assert!(matches!(error, AuthorityError::Key { .. }), "{error}");
        assert!(error.hint().contains("openssl pkey"));
    }
}

#[test]
fn during_a_rotation_the_certificate_of_the_key_is_picked_from_the_bundle() {
    let (old, new) = (authority(KeyType::EcdsaP256), authority(KeyType::Rsa3072));
    let bundle = super::bundle_pem(&[old.certificate().clone(), new.certificate().clone()]);
    let loaded = Authority::load(&bundle, new.key().clone(), now()).unwrap();
    assert_eq!(loaded.certificate(), new.certificate());
    let debug = format!("{loaded:?}");
    assert!(debug.contains("[secret]") && !debug.contains("BEGIN"), "{debug}");
}

#[test]
fn keys_in_the_older_pem_formats_load_too() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let cert_pem = params.self_signed(&rsa).unwrap().pem();
    // PKCS#8 wraps the PKCS#1 key in an OCTET STRING at a fixed place: 26 bytes for a 2048-bit key.
    let pkcs1 = &rsa.serialized_der()[26..];
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pkcs1);
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
    let loaded = Authority::load(&cert_pem, SecretPem::new(Zeroizing::new(pem)), now()).unwrap();
    let issued = loaded.issue(&super::operator_spec(KeyType::EcdsaP256), now()).unwrap();
    let leaf = super::Certificate::from_pem(&issued.cert_pem).unwrap();
    assert!(leaf.is_issued_by(loaded.certificate()));
}
