//! Throw-away certificates.

use std::net::IpAddr;

use quorate::etcd::ClientTls;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

pub struct Leaf {
    pub cert: String,
    pub key: String,
}

/// What a client certificate differs in; `Default` is a good one.
pub struct Client {
    pub name: &'static str,
    pub expired: bool,
    pub serial: u64,
}

impl Default for Client {
    fn default() -> Self {
        Client {
            name: "root",
            expired: false,
            serial: 7,
        }
    }
}

impl Ca {
    pub fn new() -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For a member's client and peer port. On loopback the source address of every peer is 127.0.0.1.
    pub fn member(&self, address: IpAddr) -> Leaf {
        let mut params = leaf("member");
        params.subject_alt_names = vec![
            SanType::IpAddress(address),
            SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        ];
        self.issue(params)
    }

    pub fn client(&self, client: &Client) -> ClientTls {
        let mut params = leaf(client.name);
        params.serial_number = Some(SerialNumber::from(client.serial));
        if client.expired {
            params.not_after = OffsetDateTime::now_utc() - Duration::hours(1);
        }
        let leaf = self.issue(params);
        ClientTls {
            ca_pem: self.pem.clone(),
            cert_pem: leaf.cert,
            key_pem: leaf.key.into(),
        }
    }

    /// A revocation list, DER, which every version takes.
    pub fn revoke(&self, serial: u64) -> Vec<u8> {
        let now = OffsetDateTime::now_utc();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: now - Duration::hours(1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    fn issue(&self, params: CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        Leaf {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

fn leaf(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}
