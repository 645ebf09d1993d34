//! CAs of before: remembered with their moment, once, and read strictly.

use std::fs;

use super::certificate::bundle_pem;
use super::test_keys::{DAY, authority, cluster, now};
use super::{CertError, PkiDir, StoreError};
use crate::inventory::KeyType;

#[test]
fn a_ca_that_goes_is_remembered_once_with_its_moment() {
    let dir = tempfile::tempdir().unwrap();
    let pki = PkiDir::at(dir.path(), &cluster());
    assert!(pki.retired().unwrap().is_empty());
    let [first, second] = [(), ()].map(|()| authority(KeyType::EcdsaP256).certificate().clone());
    pki.remember(&first, now()).unwrap();
    pki.remember(&first, now() + DAY).unwrap();
    pki.remember(&second, now() + DAY).unwrap();
    let retired = pki.retired().unwrap();
    let moments: Vec<_> = retired.iter().map(|ca| (ca.certificate.clone(), ca.until)).collect();
    assert_eq!(moments, [(first, now()), (second, now() + DAY)]);
}

#[test]
fn a_certificate_without_its_moment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pki = PkiDir::at(dir.path(), &cluster());
    let pem = bundle_pem(&[authority(KeyType::EcdsaP256).certificate().clone()]);
    for text in [
        pem.clone(),
        format!("# trusted until soon: x\n{pem}"),
        format!("# trusted until 2026-01-01T00:00:00Z: x\n{pem}{pem}"),
        "# trusted until 2026-01-01T00:00:00Z: x\n".to_owned(),
    ] {
        fs::write(dir.path().join("ca-previous.crt"), &text).unwrap();
        let error = pki.retired().unwrap_err();
        let expected = matches!(
            &error,
            StoreError::Certificates {
                source: CertError::Pem { .. } | CertError::Missing,
                ..
            }
        );
        assert!(expected, "{error:?}");
    }
}
