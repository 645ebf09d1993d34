//! What secures a connection to etcd: whom we trust, who we are, and whom we expect.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::EtcdError;

/// HTTP/2 only: what etcd's gRPC speaks.
pub(super) const HTTP2: &[u8] = b"h2";
/// HTTP/1.1 only: health, version, members, metrics.
pub(super) const HTTP1: &[u8] = b"http/1.1";

/// The CA bundle to trust and the certificate to show.
#[derive(Clone)]
pub struct ClientTls {
    /// One or more CA certificates, PEM.
    pub ca_pem: String,
    /// The client certificate, leaf first, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: SecretString,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls { .. }")
    }
}

/// One port of one member, by the name its certificate must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The IP address or DNS name that the server's certificate must be valid for.
    pub host: String,
    /// The TCP port, for messages and the `Host` header; the stream itself comes from a [`super::Dial`].
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// `host:port`, IPv6 in brackets, as it stands in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Endpoint {
    /// The port that a client URL names; `None` where that is not `https://HOST:PORT`.
    pub fn of_url(url: &str) -> Option<Self> {
        let uri: tonic::transport::Uri = url.parse().ok()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        (uri.scheme_str() == Some("https")).then_some(Self {
            host: host.to_owned(),
            port: uri.port_u16()?,
        })
    }

    /// The name to verify.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, EtcdError> {
        ServerName::try_from(self.host.clone())
            .map_err(|_| self.tls_error(format!("`{}` is neither an IP address nor a DNS name", self.host)))
    }

    pub(super) fn tls_error(&self, why: impl Into<String>) -> EtcdError {
        EtcdError::Tls {
            endpoint: self.to_string(),
            why: why.into(),
        }
    }
}

/// The one crypto library of the program, named so that a second one in the tree cannot make the choice ambiguous.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl ClientTls {
    /// The trusted CAs.
    pub(super) fn roots(&self, endpoint: &Endpoint) -> Result<Arc<RootCertStore>, EtcdError> {
        let unreadable = |why: String| endpoint.tls_error(format!("the CA bundle cannot be read: {why}"));
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()) {
            let ca = ca.map_err(|e| unreadable(e.to_string()))?;
            roots.add(ca).map_err(|e| unreadable(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unreadable("it contains no certificate".to_owned()));
        }
        Ok(Arc::new(roots))
    }

    /// Our own chain and key.
    pub(super) fn identity(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), EtcdError> {
        let unreadable = |what: &str, why: String| endpoint.tls_error(format!("our {what} cannot be read: {why}"));
        let chain = CertificateDer::pem_slice_iter(self.cert_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unreadable("client certificate", e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.expose_secret().as_bytes())
            .map_err(|e| unreadable("private key", e.to_string()))?;
        Ok((chain, key))
    }

    /// Everything rustls needs for mutual TLS with one application protocol.
    pub(super) fn config(&self, endpoint: &Endpoint, protocol: &[u8]) -> Result<Arc<ClientConfig>, EtcdError> {
        let (chain, key) = self.identity(endpoint)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| endpoint.tls_error(e.to_string()))?
            .with_root_certificates(self.roots(endpoint)?)
            .with_client_auth_cert(chain, key)
            .map_err(|e| endpoint.tls_error(format!("our certificate and key do not match: {e}")))?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            host: "10.0.0.1".to_owned(),
            port: 2379,
        }
    }

    #[test]
    fn debug_output_holds_neither_key_nor_certificate() {
        let tls = ClientTls {
            ca_pem: "ca-text".to_owned(),
            cert_pem: "cert-text".to_owned(),
            key_pem: "key-text".into(),
        };
        assert_eq!(format!("{tls:?}"), "ClientTls { .. }");
    }

    #[test]
    fn endpoints_print_as_they_stand_in_a_url() {
        let v6 = Endpoint {
            host: "fd00::1".to_owned(),
            port: 2379,
        };
        assert_eq!(v6.to_string(), "[fd00::1]:2379");
        assert_eq!(endpoint().to_string(), "10.0.0.1:2379");
    }

    #[test]
    fn an_endpoint_is_read_from_the_url_that_a_member_publishes() {
        let read = |url| Endpoint::of_url(url).map(|e| (e.host, e.port));
        assert_eq!(read("https://10.0.0.1:2379"), Some(("10.0.0.1".to_owned(), 2379)));
        assert_eq!(read("https://[fd00::1]:2379"), Some(("fd00::1".to_owned(), 2379)));
        assert_eq!(
            read("https://etcd-1.example.com:2379"),
            Some(("etcd-1.example.com".to_owned(), 2379))
        );
        for other in ["http://10.0.0.1:2379", "https://10.0.0.1", "unix://sock", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn unusable_material_is_refused_before_anything_is_dialled() {
        let tls = ClientTls {
            ca_pem: String::new(),
            cert_pem: String::new(),
            key_pem: "junk".into(),
        };
        let why = tls.roots(&endpoint()).unwrap_err().to_string();
        assert!(
            why.contains("the CA bundle cannot be read: it contains no certificate"),
            "{why}"
        );
        let why = tls.config(&endpoint(), HTTP2).unwrap_err().to_string();
        assert!(why.contains("our private key cannot be read"), "{why}");
        assert!(!why.contains("junk"), "{why}");
    }
}
