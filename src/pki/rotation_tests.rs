//! Stories of a CA that gives way to the next, on the operator's machine; cut off at every place.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::test_keys::{DAY, cluster, desired, host, now, policy, ssh_ed25519, write_ssh_key};
use super::{
    Certificate, IssuedRecord, PkiDir, Recipient, Rotation, Stage, StoreError, client_spec, host_bundle, server_spec,
};
use crate::inventory::KeyType;

/// A repository whose CA one operator made and can open.
struct Desk {
    dir: TempDir,
    key: PathBuf,
    recipients: Vec<Recipient>,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let key = write_ssh_key(dir.path(), "id_ed25519", &ssh_ed25519(1));
        let recipients = Recipient::of_identities(std::slice::from_ref(&key)).unwrap();
        let desk = Desk { dir, key, recipients };
        desk.pki()
            .create(
                &policy(KeyType::EcdsaP256),
                &desk.recipients,
                std::slice::from_ref(&desk.key),
                &mut |_| None,
                now(),
            )
            .unwrap();
        desk
    }

    fn pki(&self) -> PkiDir {
        PkiDir::at(self.dir.path().join("pki"), &cluster())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("pki").join(name)
    }

    fn prepare(&self) -> Result<Certificate, StoreError> {
        self.pki().prepare_next(
            &policy(KeyType::EcdsaP256),
            &self.recipients,
            std::slice::from_ref(&self.key),
            &mut |_| None,
            now() + DAY,
        )
    }

    /// The CA that signs now, proved by opening it.
    fn signer(&self) -> Certificate {
        let mut nobody = |path: &Path| panic!("asked for the passphrase of {}", path.display());
        let authority = self
            .pki()
            .unlock(std::slice::from_ref(&self.key), &mut nobody, now() + DAY)
            .unwrap();
        authority.certificate().clone()
    }

    fn stage(&self) -> Option<Stage> {
        self.pki().rotation().unwrap().map(|rotation| rotation.stage)
    }
}

#[test]
fn three_turns_lead_from_the_old_ca_to_the_new_one() {
    let desk = Desk::new();
    let old = desk.signer();
    assert_eq!(desk.stage(), None);

    let new = desk.prepare().unwrap();
    assert_eq!(desk.stage(), Some(Stage::TrustBoth));
    assert_eq!(desk.pki().trusted().unwrap(), [old.clone(), new.clone()]);
    assert_eq!(desk.signer(), old, "leaves still come from the CA that everybody knows");

    assert_eq!(desk.pki().switch_to_next().unwrap(), new);
    assert_eq!(desk.stage(), Some(Stage::Reissue));
    assert_eq!(desk.pki().trusted().unwrap(), [new.clone(), old]);
    assert_eq!(desk.signer(), new);

    desk.pki().retire_previous(Some(now())).unwrap();
    assert_eq!(desk.stage(), None);
    assert_eq!(desk.pki().trusted().unwrap(), std::slice::from_ref(&new));
    assert_eq!(desk.signer(), new);
    assert!(!desk.file("ca-next.crt").exists() && !desk.file("ca-next.key.age").exists());
}

#[test]
fn a_turn_that_was_cut_off_is_done_again() {
    let desk = Desk::new();
    let old = desk.signer();

    // Killed after the key, before anything public: nobody has seen that CA, another is made.
    let orphan = desk.prepare().unwrap();
    desk.pki().write_trusted(std::slice::from_ref(&old)).unwrap();
    fs::remove_file(desk.file("ca-next.crt")).unwrap();
    assert_eq!(desk.stage(), None);
    let new = desk.prepare().unwrap();
    assert_ne!(new, orphan);

    // Killed before ca.crt was written.
    desk.pki().write_trusted(std::slice::from_ref(&old)).unwrap();
    assert_eq!(desk.prepare().unwrap(), new);
    assert_eq!(desk.pki().trusted().unwrap(), [old.clone(), new.clone()]);

    // Killed between the key's rename and the new order of ca.crt: still to be switched, and switched to the same.
    fs::rename(desk.file("ca-next.key.age"), desk.file("ca.key.age")).unwrap();
    assert_eq!(desk.stage(), Some(Stage::TrustBoth));
    assert_eq!(desk.pki().switch_to_next().unwrap(), new);
    assert_eq!(desk.pki().switch_to_next().unwrap(), new, "twice is once");
    assert_eq!(desk.signer(), new);

    // Killed after ca.crt lost the old CA, before ca-next.crt went.
    desk.pki().write_trusted(std::slice::from_ref(&new)).unwrap();
    assert_eq!(
        desk.pki().rotation().unwrap(),
        Some(Rotation {
            new: new.clone(),
            old,
            stage: Stage::Reissue
        })
    );
    desk.pki().retire_previous(Some(now())).unwrap();
    assert_eq!(desk.stage(), None);
    assert_eq!(desk.pki().trusted().unwrap(), [new]);
}

#[test]
fn an_operator_who_comes_in_the_middle_can_open_both_keys() {
    let desk = Desk::new();
    desk.prepare().unwrap();
    let second = write_ssh_key(desk.dir.path(), "id_second", &ssh_ed25519(2));
    let both = Recipient::of_identities(&[desk.key.clone(), second.clone()]).unwrap();
    desk.pki().write_recipients(&both).unwrap();
    let listed = [desk.pki().recipients_path().display().to_string()];
    let read = Recipient::parse_all(&listed, desk.dir.path()).unwrap();
    assert_eq!(
        read.iter().map(Recipient::label).collect::<Vec<_>>(),
        both.iter().map(Recipient::label).collect::<Vec<_>>()
    );
    desk.pki()
        .reseal(&read, std::slice::from_ref(&desk.key), &mut |_| None)
        .unwrap();
    let open = || {
        desk.pki()
            .unlock(std::slice::from_ref(&second), &mut |_| None, now() + DAY)
            .unwrap()
    };
    assert_eq!(open().certificate().facts().sha256, desk.signer().facts().sha256);
    let new = desk.pki().switch_to_next().unwrap();
    assert_eq!(*open().certificate(), new);
}

#[test]
fn a_turn_out_of_order_is_refused() {
    let desk = Desk::new();
    let refused = |result: Result<(), StoreError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::NotRotating { .. }), "{error:?}");
        assert!(error.hint().contains("rotate-ca"));
    };
    refused(desk.pki().switch_to_next().map(drop));
    refused(desk.pki().retire_previous(Some(now())));
    desk.prepare().unwrap();
    refused(desk.pki().retire_previous(Some(now())));
}

#[test]
fn a_ca_that_has_nothing_to_do_with_the_rotation_stays_trusted_wherever_it_is_cut_off() {
    let desk = Desk::new();
    let old = desk.signer();
    let other = super::test_keys::authority(KeyType::Ed25519).certificate().clone();
    desk.pki().write_trusted(&[old, other.clone()]).unwrap();
    let new = desk.prepare().unwrap();
    desk.pki().switch_to_next().unwrap();
    let next = fs::read(desk.file("ca-next.crt")).unwrap();
    desk.pki().retire_previous(Some(now())).unwrap();
    fs::write(desk.file("ca-next.crt"), next).unwrap();
    desk.pki().retire_previous(Some(now())).unwrap();
    assert_eq!(desk.pki().trusted().unwrap(), [new, other]);
}

#[test]
fn what_a_host_trusts_is_the_same_text_before_and_after_the_switch() {
    let desk = Desk::new();
    desk.prepare().unwrap();
    let before = host_bundle(&desk.pki().trusted().unwrap());
    desk.pki().switch_to_next().unwrap();
    assert_eq!(host_bundle(&desk.pki().trusted().unwrap()), before);
}

#[test]
fn the_list_of_issued_certificates_knows_who_waits_for_a_new_one() {
    let desk = Desk::new();
    let mut nobody = |_: &Path| None;
    let old = desk
        .pki()
        .unlock(std::slice::from_ref(&desk.key), &mut nobody, now())
        .unwrap();
    let issue = |name: &str| {
        let issued = old
            .issue(&client_spec("app", DAY * 30, KeyType::EcdsaP256).unwrap(), now())
            .unwrap();
        IssuedRecord::of(name, &issued.facts, old.certificate().facts())
    };
    let mut list = desk.pki().issued().unwrap();
    assert_eq!(list.records, []);
    list.records = vec![issue("prometheus"), issue("apiserver")];
    desk.pki().write_issued(&list, now()).unwrap();
    assert_eq!(desk.pki().issued().unwrap(), list);
    let text = fs::read_to_string(desk.file("issued.yml")).unwrap();
    assert!(text.starts_with('#') && text.contains("prometheus") && !text.contains("PRIVATE"));

    let ours = &old.certificate().facts().sha256;
    assert_eq!(list.not_from(ours, now()), Vec::<&IssuedRecord>::new());
    let mut names: Vec<_> = list.not_from("another", now()).iter().map(|r| r.name.clone()).collect();
    assert_eq!(names, ["apiserver", "prometheus"]);
    list.records.push(IssuedRecord {
        issuer: "another".into(),
        ..issue("prometheus")
    });
    names = list.not_from("another", now()).iter().map(|r| r.name.clone()).collect();
    assert_eq!(names, ["apiserver"], "the newest of a name counts");
    assert_eq!(
        list.not_from("another", now() + DAY * 31),
        Vec::<&IssuedRecord>::new(),
        "expired: nobody uses it"
    );
    assert_eq!(list.revoke("apiserver", now()), 1);
    assert_eq!(list.not_from("another", now()), Vec::<&IssuedRecord>::new());

    desk.pki().write_issued(&list, now() + DAY * 31).unwrap();
    assert_eq!(
        desk.pki().issued().unwrap().records,
        [],
        "what has expired is forgotten"
    );
    fs::write(desk.file("issued.yml"), "- name: x\n  surprise: 1\n").unwrap();
    assert!(matches!(desk.pki().issued(), Err(StoreError::IssuedList { .. })));
}

#[test]
fn leaves_of_both_cas_are_told_apart_although_the_cas_have_one_name() {
    let desk = Desk::new();
    let old = desk.signer();
    let new = desk.prepare().unwrap();
    desk.pki().switch_to_next().unwrap();
    let mut nobody = |_: &Path| None;
    let authority = desk
        .pki()
        .unlock(std::slice::from_ref(&desk.key), &mut nobody, now() + DAY)
        .unwrap();
    let leaf = authority
        .issue(&server_spec(&desired(), &host("etcd-1", "10.0.0.1")), now() + DAY)
        .unwrap();
    let leaf = Certificate::from_pem(&leaf.cert_pem).unwrap();
    assert_eq!(old.facts().subject, new.facts().subject);
    assert!(leaf.is_issued_by(&new) && !leaf.is_issued_by(&old));
}
