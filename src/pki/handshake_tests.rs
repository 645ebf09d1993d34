//! Issued certificates in real TLS handshakes (rustls, both sides authenticated), and what they say.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::test_keys::{DAY, authority, desired, host, now};
use super::{Authority, Certificate, Issued, client_spec, operator_spec, peer_spec, server_spec};
use crate::inventory::KeyType;

/// A clock that stands still.
#[derive(Debug)]
struct Clock(Timestamp);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.as_second().try_into().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn roots(ca: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(ca.certificate().der().to_vec()))
        .unwrap();
    Arc::new(roots)
}

fn chain(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let cert = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.expose_pem().as_bytes()).unwrap();
    (vec![cert], key)
}

/// One mutually authenticated connection at the time `at`; both sides trust `ca` only. `Err` says what went wrong.
async fn handshake(ca: &Authority, server: &Issued, client: &Issued, dial: &str, at: Timestamp) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clock = Arc::new(Clock(at));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca), Arc::clone(&provider))
        .build()
        .unwrap();
    let (server_chain, server_key) = chain(server);
    let server_config = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock) as _)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(server_chain, server_key)
        .unwrap();
    let (client_chain, client_key) = chain(client);
    let client_config = ClientConfig::builder_with_details(provider, clock)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca))
        .with_client_auth_cert(client_chain, client_key)
        .unwrap();

    let (near, far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(Arc::new(server_config)).accept(far).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await
    };
    let connect = async {
        let name = ServerName::try_from(dial.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::new(client_config)).connect(name, near).await?;
        let mut heard = Vec::new();
        // With TLS 1.3 a refused client learns of it only when it reads.
        stream.read_to_end(&mut heard).await?;
        Ok::<_, std::io::Error>(heard)
    };
    match tokio::join!(serve, connect) {
        (Ok(()), Ok(heard)) => {
            assert_eq!(heard, b"hello");
            Ok(())
        }
        (served, heard) => Err(format!("server: {served:?}, client: {heard:?}")),
    }
}

#[tokio::test]
async fn members_and_operator_talk_with_every_key_type() {
    for key_type in [KeyType::EcdsaP256, KeyType::Ed25519, KeyType::Rsa3072] {
        let ca = authority(key_type);
        let mut desired = desired();
        desired.pki.key_type = key_type;
        let (one, two) = (host("etcd-1", "10.0.0.1"), host("etcd-2", "fd00::2"));
        let server = ca.issue(&server_spec(&desired, &one), now()).unwrap();
        let operator = ca.issue(&operator_spec(key_type), now()).unwrap();
        for dial in ["10.0.0.1", "etcd-1", "localhost", "127.0.0.1", "::1"] {
            handshake(&ca, &server, &operator, dial, now()).await.unwrap();
        }
        // Peers dial with the certificate they serve, in both directions; the gateway with the server's.
        let peer_1 = ca.issue(&peer_spec(&desired, &one), now()).unwrap();
        let peer_2 = ca.issue(&peer_spec(&desired, &two), now()).unwrap();
        handshake(&ca, &peer_1, &peer_2, "10.0.0.1", now()).await.unwrap();
        handshake(&ca, &peer_2, &peer_1, "fd00::2", now()).await.unwrap();
        handshake(&ca, &server, &server, "127.0.0.1", now()).await.unwrap();
    }
}

#[tokio::test]
async fn what_must_not_talk_does_not() {
    let (ca, stranger) = (authority(KeyType::EcdsaP256), authority(KeyType::EcdsaP256));
    let spec = server_spec(&desired(), &host("etcd-1", "10.0.0.1"));
    let server = ca.issue(&spec, now()).unwrap();
    let operator = ca.issue(&operator_spec(KeyType::EcdsaP256), now()).unwrap();

    // The same names, from a CA of the same name.
    let foreign_client = stranger.issue(&operator_spec(KeyType::EcdsaP256), now()).unwrap();
    let foreign_server = stranger.issue(&spec, now()).unwrap();
    let refusals = [
        (&server, &operator, "10.0.0.2", "NotValidForName"),
        (&operator, &operator, "localhost", "InvalidPurpose"),
        (&server, &foreign_client, "10.0.0.1", "BadSignature"),
        (&foreign_server, &operator, "10.0.0.1", "BadSignature"),
    ];
    for (server, client, dial, why) in refusals {
        let error = handshake(&ca, server, client, dial, now()).await.unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[tokio::test]
async fn certificates_hold_from_a_little_before_now_until_their_end() {
    let ca = authority(KeyType::EcdsaP256);
    let server = ca
        .issue(&server_spec(&desired(), &host("etcd-1", "10.0.0.1")), now())
        .unwrap();
    let day = client_spec("backup", DAY, KeyType::EcdsaP256).unwrap();
    let client = ca.issue(&day, now()).unwrap();
    let minute = Duration::from_secs(60);
    for good in [now() - 4 * minute, now() + DAY - minute] {
        handshake(&ca, &server, &client, "10.0.0.1", good).await.unwrap();
    }
    for bad in [now() - 6 * minute, now() + DAY + minute] {
        let error = handshake(&ca, &server, &client, "10.0.0.1", bad).await.unwrap_err();
        assert!(error.contains("Expired") || error.contains("NotValidYet"), "{error}");
    }
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let ca = authority(KeyType::EcdsaP256);
    let late = now() + 3600 * DAY;
    let issued = ca
        .issue(&peer_spec(&desired(), &host("etcd-1", "10.0.0.1")), late)
        .unwrap();
    assert_eq!(issued.facts.not_after, ca.certificate().facts().not_after);
    assert_eq!(issued.facts.days_left(late), 50);
    assert!(
        ca.issue(&operator_spec(KeyType::EcdsaP256), now() + 3650 * DAY)
            .is_err()
    );
}

#[test]
fn the_certificates_say_what_etcd_and_strict_verifiers_look_for() {
    for key_type in [KeyType::EcdsaP256, KeyType::Ed25519, KeyType::Rsa3072] {
        let ca = authority(key_type);
        let (_, ca_x509) = X509Certificate::from_der(ca.certificate().der()).unwrap();
        let usage = ca_x509.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
        assert!(!usage.value.digital_signature());
        assert_eq!(
            ca_x509.basic_constraints().unwrap().unwrap().value.path_len_constraint,
            Some(0)
        );

        let mut desired = desired();
        desired.pki.key_type = key_type;
        let issued = ca
            .issue(&peer_spec(&desired, &host("etcd-1", "10.0.0.1")), now())
            .unwrap();
        let leaf = Certificate::from_pem(&issued.cert_pem).unwrap();
        let (_, x509) = X509Certificate::from_der(leaf.der()).unwrap();
        let usage = x509.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        assert_eq!(usage.key_encipherment(), key_type == KeyType::Rsa3072);
        assert_eq!(
            key_ids(&x509).0,
            key_ids(&ca_x509).1,
            "authority key id = the CA's subject key id"
        );
        assert!(key_ids(&x509).1.is_some());
        let facts = &issued.facts;
        assert!(facts.server_auth && facts.client_auth && !facts.ca);
        assert_eq!(facts.serial.len(), 40, "20 random bytes");
        assert_eq!(facts.key_type, super::facts::key_type_name(key_type));
        assert!(facts.ip_addresses.contains(&"10.0.0.1".parse::<IpAddr>().unwrap()));
        assert!(facts.dns_names.contains("etcd-1"));
    }
}

/// Authority key id and subject key id.
fn key_ids(x509: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    use x509_parser::extensions::ParsedExtension;
    let (mut authority, mut subject) = (None, None);
    for extension in x509.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0.to_vec()),
            _ => {}
        }
    }
    (authority, subject)
}
