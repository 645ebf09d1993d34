//! From a dialled stream to a secured one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls::HTTP2;
use super::{ClientTls, Dial, Endpoint, Stream};

/// How long a stream may take to be opened. Where sshd forwards nothing and lets one session onto a connection, several logins
/// come before it, one after the other; what goes wrong there SSH says by itself, and sooner.
const WAY_LIMIT: Duration = Duration::from_secs(90);

/// How long the handshake may take. Before quorum etcd's client port accepts TCP and stays silent.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Why no secured stream came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    /// The stream itself could not be opened.
    #[error("{0}")]
    Dial(io::Error),
    /// TLS failed, or the stream broke under the handshake: the cause is inside.
    #[error("{0}")]
    Handshake(io::Error),
    /// Nothing came back within [`CONNECT_LIMIT`].
    #[error("no answer within {} s", CONNECT_LIMIT.as_secs())]
    Silent,
}

/// A stream to etcd's gRPC on which TLS is done already: whoever uses it speaks plain HTTP/2.
///
/// # Errors
/// When the port cannot be reached, or one side does not take the other's certificate; the text is for the operator.
pub async fn open_stream(dial: &dyn Dial, endpoint: &Endpoint, tls: &ClientTls) -> io::Result<Box<dyn Stream>> {
    let config = tls.config(endpoint, HTTP2).map_err(io::Error::other)?;
    let name = endpoint.server_name().map_err(io::Error::other)?;
    let opened = secured(dial, config, name).await.map_err(io::Error::other)?;
    Ok(Box::new(opened))
}

/// Opens a stream. Nobody has been asked anything yet: that it takes long is said of the way, and not of the member.
pub(super) async fn dialled(dial: &dyn Dial) -> Result<Box<dyn Stream>, ConnectFailure> {
    let late = |_| {
        let why = format!("no stream to it could be opened within {} s", WAY_LIMIT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    };
    let stream = timeout(WAY_LIMIT, dial.dial()).await.unwrap_or_else(late);
    stream.map_err(ConnectFailure::Dial)
}

/// Dials and shakes hands.
pub(super) async fn secured(
    dial: &dyn Dial,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<Box<dyn Stream>>, ConnectFailure> {
    let stream = dialled(dial).await?;
    match timeout(CONNECT_LIMIT, TlsConnector::from(config).connect(name, stream)).await {
        Ok(shaken) => shaken.map_err(ConnectFailure::Handshake),
        Err(_) => Err(ConnectFailure::Silent),
    }
}

/// As [`secured`], and waits for the server's first bytes.
///
/// In TLS 1.3 a server judges our certificate only after our side of the handshake is over. An HTTP/2 server speaks
/// first (its SETTINGS), so reading before writing tells acceptance from refusal here, with the reason intact; later
/// it would surface as an HTTP/2 error that has lost its cause.
pub(super) async fn accepted(
    dial: &dyn Dial,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<TlsStream<Box<dyn Stream>>, ConnectFailure> {
    let mut stream = secured(dial, config, name).await?;
    match timeout(CONNECT_LIMIT, stream.fill_buf()).await {
        Err(_) => Err(ConnectFailure::Silent),
        Ok(Err(error)) => Err(ConnectFailure::Handshake(error)),
        Ok(Ok([])) => Err(ConnectFailure::Handshake(io::ErrorKind::UnexpectedEof.into())),
        Ok(Ok(_)) => Ok(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::dial::Slow;
    use crate::etcd::tls::provider;

    async fn fails(way: Duration) -> ConnectFailure {
        let endpoint = Endpoint {
            host: "10.0.0.1".to_owned(),
            port: 2379,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = endpoint.server_name().unwrap();
        secured(&Slow(way), Arc::new(config), name).await.err().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_way_is_not_the_members_silence() {
        let before = tokio::time::Instant::now();
        assert!(matches!(fails(CONNECT_LIMIT * 3).await, ConnectFailure::Silent));
        assert_eq!(before.elapsed(), CONNECT_LIMIT * 4, "the handshake has all of its time");
        let ConnectFailure::Dial(error) = fails(WAY_LIMIT * 2).await else {
            panic!("the member was never asked");
        };
        assert!(
            error
                .to_string()
                .contains("no stream to it could be opened within 90 s")
        );
    }
}
