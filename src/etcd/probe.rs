//! A second look at a port after etcd has started. etcd silently serves plain HTTP when its TLS keys are misplaced in
//! the configuration, and its health check says "true" all the same; only the port itself tells.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::connect::{ConnectFailure, dialled, secured};
use super::error::{Asked, is_hang_up, tls_cause, tls_reason};
use super::tls::{HTTP1, provider};
use super::{ClientTls, Dial, Endpoint, EtcdError, Stream};

/// How one port is secured, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSecurity {
    /// False: the port talks plain HTTP to anybody.
    pub speaks_tls: bool,
    /// True: a client without a certificate was turned away.
    pub refuses_without_certificate: bool,
    /// The certificates the port presents, DER, leaf first; read even when they are not to be trusted.
    pub presented: Vec<Vec<u8>>,
    /// Why the presented chain does not prove the expected name under the given CA bundle; `None` when it does.
    pub untrusted: Option<String>,
    /// The protocol agreed on, `TLS 1.3` or `TLS 1.2`; empty without TLS.
    pub protocol: &'static str,
}

/// The limit of each of the three or fewer exchanges.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);
/// Both ports answer this one, with or without quorum (the client port once it serves).
const REQUEST: &[u8] = b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";

/// Looks at a client or peer port: with our certificate, and then without any.
///
/// # Errors
/// `Unreachable`, `Silent`; `Tls` when the port refuses our certificate or speaks neither TLS nor HTTP; `Unavailable`
/// when it hangs up in a way that proves nothing (the server was stopping, for example).
pub async fn port_security(dial: &dyn Dial, endpoint: &Endpoint, tls: &ClientTls) -> Result<PortSecurity, EtcdError> {
    let look = Look {
        dial,
        endpoint,
        name: endpoint.server_name()?,
        witness: Arc::new(Witness::new(endpoint, tls)?),
    };
    let asked = look.asked();
    let (chain, key) = tls.identity(endpoint)?;
    let with_certificate = look
        .builder()?
        .with_client_auth_cert(chain, key)
        .map_err(|e| endpoint.tls_error(format!("our certificate and key do not match: {e}")))?;
    let mut stream = match look.open(with_certificate).await {
        Ok(stream) => stream,
        Err(failure @ ConnectFailure::Handshake(_)) => {
            if look.speaks_plain_http().await? {
                return Ok(PortSecurity {
                    speaks_tls: false,
                    refuses_without_certificate: false,
                    presented: Vec::new(),
                    untrusted: None,
                    protocol: "",
                });
            }
            return Err(asked.connect(&failure));
        }
        Err(failure) => return Err(asked.connect(&failure)),
    };
    let protocol = protocol_name(&stream);
    first_bytes(&mut stream)
        .await
        .map_err(|error| asked.connect(&ConnectFailure::Handshake(error)))?;
    let (presented, untrusted) = look.witness.seen();
    Ok(PortSecurity {
        speaks_tls: true,
        refuses_without_certificate: look.refuses_strangers().await?,
        presented,
        untrusted,
        protocol,
    })
}

struct Look<'a> {
    dial: &'a dyn Dial,
    endpoint: &'a Endpoint,
    name: ServerName<'static>,
    witness: Arc<Witness>,
}

impl Look<'_> {
    fn asked(&self) -> Asked<'_> {
        Asked {
            way: None,
            operation: "port check",
            endpoint: self.endpoint,
            limit: EXCHANGE_LIMIT,
            member: None,
        }
    }

    fn builder(&self) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, EtcdError> {
        Ok(ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| self.endpoint.tls_error(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.witness) as Arc<dyn ServerCertVerifier>))
    }

    async fn open(&self, mut config: ClientConfig) -> Result<TlsStream<Box<dyn Stream>>, ConnectFailure> {
        config.alpn_protocols = vec![HTTP1.to_vec()];
        secured(self.dial, Arc::new(config), self.name.clone()).await
    }

    /// Only a TLS alert proves a refusal, and only an answer proves admission. In TLS 1.3 the alert comes after the
    /// handshake, at the first use.
    async fn refuses_strangers(&self) -> Result<bool, EtcdError> {
        let config = self.builder()?.with_no_client_auth();
        let error = match self.open(config).await {
            Ok(mut stream) => match first_bytes(&mut stream).await {
                Ok(_) => return Ok(false),
                Err(error) => error,
            },
            Err(ConnectFailure::Handshake(error)) => error,
            Err(failure) => return Err(self.asked().connect(&failure)),
        };
        match tls_cause(&error) {
            Some(rustls::Error::AlertReceived(_)) => Ok(true),
            _ => Err(self.asked().transport(&error)),
        }
    }

    async fn speaks_plain_http(&self) -> Result<bool, EtcdError> {
        let asked = self.asked();
        let mut stream = dialled(self.dial).await.map_err(|failure| asked.connect(&failure))?;
        // A TLS port answers plain HTTP with status 400 or not at all.
        match first_bytes(&mut stream).await {
            Ok(bytes) => Ok(bytes.starts_with(b"HTTP/1.1 200")),
            Err(error) if is_hang_up(error.kind()) => Ok(false),
            Err(error) => Err(asked.transport(&error)),
        }
    }
}

/// Sends a request and returns the beginning of the answer.
async fn first_bytes<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let exchange = async {
        // A write can fail because the refusal is already there to be read: the reading decides.
        let sent = match stream.write_all(REQUEST).await {
            Ok(()) => stream.flush().await,
            failed => failed,
        };
        let mut answer = vec![0; 32];
        match stream.read(&mut answer).await {
            Ok(0) => Err(sent.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => {
                answer.truncate(length);
                Ok(answer)
            }
            Err(error) => Err(error),
        }
    };
    timeout(EXCHANGE_LIMIT, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn protocol_name<S>(stream: &TlsStream<S>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "unknown",
    }
}

/// Judges a chain as usual, keeps chain and judgement, and lets the handshake go on either way: this is a look at the
/// port, nothing is entrusted to it. The server still has to prove that it holds the leaf's key.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<(Vec<Vec<u8>>, Option<String>)>,
}

impl Witness {
    fn new(endpoint: &Endpoint, tls: &ClientTls) -> Result<Witness, EtcdError> {
        let judge = WebPkiServerVerifier::builder_with_provider(tls.roots(endpoint)?, provider())
            .build()
            .map_err(|e| endpoint.tls_error(e.to_string()))?;
        Ok(Witness {
            judge,
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> (Vec<Vec<u8>>, Option<String>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judgement = self.judge.verify_server_cert(leaf, rest, name, ocsp, now);
        let chain = std::iter::once(leaf).chain(rest).map(|der| der.to_vec()).collect();
        let untrusted = judgement.err().map(|error| tls_reason(&error));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (chain, untrusted);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
