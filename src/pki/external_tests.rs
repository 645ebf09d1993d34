use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::{Duration as Span, OffsetDateTime};

use super::*;
use crate::inventory::KeyType;
use crate::pki::test_keys::{DAY, cluster, desired, host, now, policy, ssh_ed25519, write_ssh_key};
use crate::pki::{peer_spec, server_spec};

/// A company's root CA, and what it makes of a request.
struct Company {
    root: Issuer<'static, KeyPair>,
    root_pem: String,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let start = OffsetDateTime::from_unix_timestamp(now().as_second()).unwrap();
    params.not_before = start - Span::days(30);
    params.not_after = start + Span::days(3650);
    params
}

impl Company {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Company {
        let key = KeyPair::generate().unwrap();
        let mut params = named("Example Root CA");
        change(&mut params);
        let root_pem = params.self_signed(&key).unwrap().pem();
        Company {
            root: Issuer::new(params, key),
            root_pem,
        }
    }

    /// The intermediate's certificate, changed from what was requested.
    fn sign(&self, request: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        let asked = &request.params;
        assert_eq!(asked.is_ca, IsCa::Ca(BasicConstraints::Constrained(0)));
        assert!(asked.key_usages.contains(&KeyUsagePurpose::KeyCertSign));
        let dates = named("");
        (request.params.not_before, request.params.not_after) = (dates.not_before, dates.not_after);
        change(&mut request.params);
        request.signed_by(&self.root).unwrap().pem()
    }
}

struct Desk {
    place: tempfile::TempDir,
    dir: PkiDir,
    key: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let place = tempfile::tempdir().unwrap();
        Desk {
            dir: PkiDir::at(place.path().join("pki"), &cluster()),
            key: write_ssh_key(place.path(), "id_ed25519", &ssh_ed25519(1)),
            place,
        }
    }

    fn recipients(&self) -> Vec<Recipient> {
        Recipient::of_identities(std::slice::from_ref(&self.key)).unwrap()
    }

    fn request(&self) -> String {
        let keys = std::slice::from_ref(&self.key);
        let policy = policy(KeyType::EcdsaP256);
        self.dir
            .request(&policy, &self.recipients(), keys, &mut |_| None, now())
            .unwrap()
    }

    fn import(&self, answer: &str) -> Result<Imported, StoreError> {
        let host = host("etcd-1", "10.0.0.1");
        let leaves = [server_spec(&desired(), &host), peer_spec(&desired(), &host)];
        let expected = Expectations {
            now: now(),
            leaf_validity: 365 * DAY,
            leaves: &leaves,
        };
        let keys = std::slice::from_ref(&self.key);
        self.dir
            .import(answer, &expected, &self.recipients(), keys, &mut |_| None)
    }

    fn problems(&self, answer: &str) -> Vec<String> {
        match self.import(answer) {
            Err(StoreError::Answer { problems }) => problems,
            other => panic!("{other:?}"),
        }
    }

    fn unlock(&self) -> Authority {
        let keys = std::slice::from_ref(&self.key);
        self.dir.unlock(keys, &mut |_| None, now()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.place.path().join("pki"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn contains_key(path: &Path) -> bool {
    std::fs::read_to_string(path).unwrap().contains("PRIVATE KEY")
}

#[test]
fn a_request_is_made_once_and_its_key_lies_there_sealed_only() {
    let desk = Desk::new();
    let request = desk.request();
    assert_eq!(desk.request(), request, "the answer may be on its way");
    assert_eq!(desk.names(), ["ca-request.csr", "ca-request.key.age"]);
    for name in desk.names() {
        assert!(!contains_key(&desk.place.path().join("pki").join(name)));
    }
    assert!(desk.dir.request_waits());
    assert!(desk.dir.status().unwrap().is_empty(), "there is no CA yet");
}

#[test]
fn the_first_answer_becomes_the_ca_and_what_it_issues_leads_to_the_companys_root() {
    let (desk, company) = (Desk::new(), Company::new(|_| {}));
    let intermediate = company.sign(&desk.request(), |_| {});
    // In any order, as companies send them.
    assert_eq!(
        desk.import(&format!("{}{intermediate}", company.root_pem)).unwrap(),
        Imported::First
    );
    assert_eq!(desk.names(), ["ca-chain.crt", "ca.crt", "ca.key.age"]);
    let ca = Certificate::from_pem(&intermediate).unwrap();
    assert_eq!(
        desk.dir.trusted().unwrap(),
        std::slice::from_ref(&ca),
        "members trust nothing of the company's but this"
    );
    let authority = desk.unlock();
    assert_eq!(authority.certificate(), &ca);
    assert_eq!(desk.dir.shown_with(&ca).unwrap(), [ca], "the root is what others have");
    let made = authority
        .issue(&server_spec(&desired(), &host("a", "10.0.0.9")), now())
        .unwrap();
    assert!(
        Certificate::from_pem(&made.cert_pem)
            .unwrap()
            .is_issued_by(authority.certificate())
    );
}

#[test]
fn with_a_ca_at_work_the_answer_becomes_the_next_one() {
    let (desk, company) = (Desk::new(), Company::new(|_| {}));
    let keys = std::slice::from_ref(&desk.key);
    let policy = policy(KeyType::EcdsaP256);
    let old = desk
        .dir
        .create(&policy, &desk.recipients(), keys, &mut |_| None, now())
        .unwrap();
    let intermediate = company.sign(&desk.request(), |_| {});
    let answer = format!("{intermediate}{}", company.root_pem);
    assert_eq!(desk.import(&answer).unwrap(), Imported::Next);
    let rotation = desk.dir.rotation().unwrap().unwrap();
    assert_eq!(rotation.stage, crate::pki::Stage::TrustBoth);
    assert_eq!(&rotation.old, old.certificate());
    assert_eq!(
        desk.unlock().certificate(),
        old.certificate(),
        "the old one signs until then"
    );
    assert_eq!(desk.dir.trusted().unwrap().len(), 2);
    desk.dir.switch_to_next().unwrap();
    assert_eq!(
        desk.unlock().certificate(),
        &Certificate::from_pem(&intermediate).unwrap()
    );
    assert_eq!(
        desk.dir.shown_with(old.certificate()).unwrap(),
        [],
        "a root is shown with nothing"
    );
    // Another answer would have to wait for the end of this.
    desk.request();
    assert!(matches!(desk.import(&answer), Err(StoreError::Rotating { .. })));
}

#[test]
fn every_problem_with_an_answer_is_named_and_nothing_is_changed() {
    let (desk, company) = (Desk::new(), Company::new(|_| {}));
    let request = desk.request();
    let before = desk.names();
    let ends_early = OffsetDateTime::from_unix_timestamp(now().as_second()).unwrap() + Span::days(9);
    let bad = company.sign(&request, |params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = ends_early;
    });
    let problems = desk.problems(&bad).join("\n");
    for says in [
        "may not sign",
        "clientAuth",
        "before certificates issued today",
        "`CN=Example Root CA` is missing",
    ] {
        assert!(problems.contains(says), "{says}: {problems}");
    }
    let other = Company::new(|_| {});
    assert!(desk.problems(&other.root_pem)[0].contains("for the key of the request"));
    assert!(desk.problems("no certificate")[0].contains("no certificate"));
    assert_eq!(desk.names(), before);
}

#[test]
fn constraints_anywhere_above_are_found_by_issuing_with_it() {
    let desk = Desk::new();
    let narrow = Company::new(|root| {
        root.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
            excluded_subtrees: Vec::new(),
        });
    });
    let answer = format!("{}{}", narrow.sign(&desk.request(), |_| {}), narrow.root_pem);
    let problems = desk.problems(&answer).join("\n");
    assert!(
        problems.contains("etcd-server:etcd-1") && problems.contains("not accepted"),
        "{problems}"
    );
    let shallow = Company::new(|root| root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let answer = format!("{}{}", shallow.sign(&desk.request(), |_| {}), shallow.root_pem);
    assert!(desk.problems(&answer)[0].contains("does not allow a CA below it"));
    let servers = Company::new(|root| root.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let answer = format!("{}{}", servers.sign(&desk.request(), |_| {}), servers.root_pem);
    assert!(desk.problems(&answer)[0].contains("clientAuth"));
}

#[test]
fn an_answer_nobody_asked_for_is_refused() {
    let desk = Desk::new();
    let error = desk.import("").unwrap_err();
    assert!(matches!(error, StoreError::NoRequest { .. }));
    assert!(error.hint().contains("pki csr"));
}

#[test]
fn an_operator_who_is_removed_cannot_open_the_key_of_a_request_either() {
    let desk = Desk::new();
    let other = write_ssh_key(desk.place.path(), "other", &ssh_ed25519(2));
    let both = Recipient::of_identities(&[desk.key.clone(), other.clone()]).unwrap();
    let keys = std::slice::from_ref(&desk.key);
    let policy = policy(KeyType::EcdsaP256);
    desk.dir.request(&policy, &both, keys, &mut |_| None, now()).unwrap();
    let path = desk.dir.request_key_path();
    let opens = |key: &PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let opened = desk.dir.unseal(&path, &text, std::slice::from_ref(key), &mut |_| None);
        opened.is_ok()
    };
    assert!(opens(&desk.key) && opens(&other));
    desk.dir.reseal(&desk.recipients(), keys, &mut |_| None).unwrap();
    assert!(opens(&desk.key) && !opens(&other));
}
